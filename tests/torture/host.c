// SPDX-License-Identifier: GPL-2.0-only
/* A process of the torture: in each slot that is its own it is the server or the client of one
 * connection after the other. */
#include "torture.h"

#include <signal.h>
#include <sys/prctl.h>

struct job {
	unsigned int slot;
	int who;
};

static bool enough(void)
{
	return shared->connections >= want_connections && shared->bytes >= want_bytes;
}

/* Makes the listener again: a connection belongs to the cgroup in which its listener was made. */
static void listen_anew(struct slot *slot, int *listener)
{
	union address any = address_of("::", 0);

	if (*listener >= 0)
		close(*listener);
	*listener = listen_at(&any, 8);
	slot->port = port_of(&any);
}

static void *serve(void *arg)
{
	const struct job *job = arg;
	struct slot *slot = &shared->slot[job->slot];
	struct side *me = &slot->side[1];
	char *buf = malloc(CHUNK);
	int listener = -1, fd;
	uint64_t number;

	for (number = 1; !enough(); number++) {
		struct end e = { .slot = slot, .me = me, .who = 1, .buf = buf };

		draw_script(job->slot, number, &e.s);
		slot->script = e.s;
		ADD(connections, 1);
		ADD(kinds[e.s.kind], 1);
		if (number % 4 == 1)
			listen_anew(slot, &listener);
		sem_post(&slot->listening);
		me->doing = "accepts";
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			die("accept");
		run_end(&e, fd);
	}
	me->done = true;
	slot->over = true;
	sem_post(&slot->listening);
	return NULL;
}

static void *call(void *arg)
{
	const struct job *job = arg;
	struct slot *slot = &shared->slot[job->slot];
	struct side *me = &slot->side[0];
	char *buf = malloc(CHUNK);
	union address to;
	uint64_t number;

	for (number = 1;; number++) {
		struct end e = { .slot = slot, .me = me, .buf = buf };

		me->doing = "waits for a listener";
		while (sem_wait(&slot->listening))
			;
		if (slot->over)
			break;
		draw_script(job->slot, number, &e.s);
		to = address_of(e.s.family, slot->port);
		me->doing = "connects";
		run_end(&e, connect_to(&to));
	}
	me->done = true;
	return NULL;
}

void run_host(unsigned int self)
{
	static struct job jobs[2 * MAX_SLOTS];
	static pthread_t threads[2 * MAX_SLOTS];
	unsigned int i, n = 0;
	int who;

	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; i < n_slots; i++)
		for (who = 0; who < 2; who++)
			if (slot_host(i, who) == self) {
				jobs[n] = (struct job){ i, who };
				if (pthread_create(&threads[n], NULL, who ? serve : call, &jobs[n]))
					die("pthread_create");
				n++;
			}
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	exit(0);
}
