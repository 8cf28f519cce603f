// SPDX-License-Identifier: GPL-2.0-only
/*
 * stream server|client ADDRESS PORT [-n CONNECTIONS] [-s BYTES] [-t TURN] [-b] [-T]
 *
 * CONNECTIONS stream both ways at once, in writes of 1 B to 256 KiB. Each byte is compared
 * with the one that belongs at its place in the stream. With -t both sides take turns of
 * TURN bytes, so that the queues empty again and again. -b: blocking sockets with a thread
 * for each direction; without it epoll. -T: the server listens with IP_TRANSPARENT.
 *
 * Prints "ready" when all are connected (the server: when it listens). A line "stat" makes
 * it print the bytes so far. A stream ends when it has carried BYTES, or on a line "stop":
 * the client ends its streams, the server each one after the client's. The last lines are
 * the same on both sides: for each connection the client's port and the bytes that went to
 * the server and to the client. Fails if a byte was wrong or a connection broke.
 */
#include "peer.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#define MAX_CONNECTIONS 1000

struct stream {
	int fd;
	int port;     /* the client's */
	uint32_t out; /* seeds */
	uint32_t in;
	uint32_t random;
	uint64_t sent;
	uint64_t received;
	bool waiting; /* for its turn */
	bool ended;   /* we have shut our side */
	bool saw_end; /* the peer has */
	bool broken;
	pthread_t threads[2];
};

static struct stream streams[MAX_CONNECTIONS];
static int connections = 1;
static uint64_t limit, turn;
static bool is_server, blocking, transparent;
static volatile bool stopping;

static uint32_t next_random(struct stream *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 17;
	s->random ^= s->random << 5;
	return s->random;
}

/* As many small writes as large ones: the exponent is random, too. */
static size_t write_size(struct stream *s)
{
	size_t below = 2UL << next_random(s) % 18;

	return 1 + next_random(s) % (below < CHUNK ? below : CHUNK);
}

static void broke(struct stream *s, const char *what, int error)
{
	fprintf(stderr, "port %d: %s after %lu sent and %lu received: %s\n", s->port, what, s->sent,
		s->received, error ? strerror(error) : "wrong bytes");
	s->broken = true;
}

static bool may_end(const struct stream *s)
{
	if (limit && s->sent >= limit)
		return true;
	return is_server ? s->saw_end : stopping;
}

static bool over(const struct stream *s)
{
	return s->broken || (s->ended && s->saw_end);
}

/* How many bytes this end may send before the other end's next turn. */
static uint64_t room(const struct stream *s)
{
	uint64_t turns;

	if (!turn)
		return CHUNK;
	turns = s->received / turn + !is_server;
	return turns * turn > s->sent ? turns * turn - s->sent : 0;
}

static bool has_to_wait(const struct stream *s)
{
	return !room(s) && !may_end(s);
}

static void write_some(struct stream *s)
{
	size_t size = write_size(s), most = room(s);
	ssize_t n;

	if (may_end(s)) {
		shutdown(s->fd, SHUT_WR);
		s->ended = true;
		return;
	}
	n = send(s->fd, stream_at(s->out, s->sent), size < most ? size : most, MSG_NOSIGNAL);
	if (n >= 0)
		s->sent += n;
	else if (errno != EAGAIN && errno != EINTR)
		broke(s, "send", errno);
}

static void read_some(struct stream *s, char *got)
{
	ssize_t n = recv(s->fd, got, CHUNK, 0);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		broke(s, "recv", errno);
	else if (!n)
		s->saw_end = true;
	else if (n > 0 && !stream_matches(s->in, s->received, got, n))
		broke(s, "recv", 0);
	else if (n > 0)
		s->received += n;
}

static void init_stream(struct stream *s, int fd)
{
	union address a;
	socklen_t len = sizeof(a);

	if (is_server ? getpeername(fd, &a.sa, &len) : getsockname(fd, &a.sa, &len))
		die("getsockname");
	s->fd = fd;
	s->port = port_of(&a);
	s->out = 2 * s->port + is_server;
	s->in = 2 * s->port + !is_server;
	s->random = s->out * 2654435761U | 1;
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_nonblocking(fd, !blocking);
}

static void connect_all(const union address *address)
{
	int i;

	for (i = 0; i < connections; i++)
		init_stream(&streams[i], connect_to(address));
	say("ready");
}

static void accept_all(union address *address)
{
	int i, listener = listen_at(address, MAX_CONNECTIONS);

	if (transparent)
		set_option(listener, SOL_IP, IP_TRANSPARENT, 1);
	say("ready");
	for (i = 0; i < connections; i++)
		init_stream(&streams[i], accept_from(listener));
	close(listener);
}

/*
 * One line of standard input. Not by stdio: a thread that waits in fgets() holds the
 * lock of stdin, and exit() waits for this lock (seen with glibc 2.41).
 */
static bool read_command(char *line, size_t size)
{
	size_t n = 0;

	while (n + 1 < size && read(STDIN_FILENO, &line[n], 1) == 1) {
		if (line[n++] == '\n') {
			line[n] = 0;
			return true;
		}
	}
	return false;
}

static void obey(void)
{
	char line[16];
	uint64_t sent = 0, received = 0;
	int i, broken = 0;

	if (!read_command(line, sizeof(line)) || !strcmp(line, "stop\n")) {
		stopping = true;
		return;
	}
	for (i = 0; i < connections; i++) {
		sent += streams[i].sent;
		received += streams[i].received;
		broken += streams[i].broken;
	}
	say("stat sent=%lu received=%lu broken=%d", sent, received, broken);
}

/* --- epoll --------------------------------------------------------------- */

static void await(int epoll, struct stream *s, int operation)
{
	struct epoll_event event = {
		.events = EPOLLIN | (s->ended || s->waiting ? 0 : EPOLLOUT),
		.data.ptr = s,
	};

	if (epoll_ctl(epoll, operation, s->fd, &event))
		die("epoll_ctl");
}

static int serve(int epoll, const struct epoll_event *event)
{
	static char got[CHUNK];
	struct stream *s = event->data.ptr;
	bool waited = s->waiting;

	if (event->events & ~EPOLLOUT && !s->saw_end)
		read_some(s, got);
	if (event->events & EPOLLOUT && !s->ended && !s->broken)
		write_some(s);
	s->waiting = has_to_wait(s);
	if (!over(s)) {
		if (s->ended || s->waiting != waited)
			await(epoll, s, EPOLL_CTL_MOD);
		return 0;
	}
	epoll_ctl(epoll, EPOLL_CTL_DEL, s->fd, NULL);
	return 1;
}

static void run_epoll(void)
{
	struct epoll_event events[64], command = { .events = EPOLLIN };
	int i, n, left = connections, epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0)
		die("epoll_create1");
	epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &command); /* fails if stdin is /dev/null */
	for (i = 0; i < connections; i++)
		await(epoll, &streams[i], EPOLL_CTL_ADD);
	while (left) {
		n = epoll_wait(epoll, events, 64, PATIENCE);
		if (n == 0)
			leave(FAIL, "%d streams stand still", left);
		for (i = 0; i < n; i++) {
			if (events[i].data.ptr)
				left -= serve(epoll, &events[i]);
			else
				obey();
		}
		if (stopping)
			epoll_ctl(epoll, EPOLL_CTL_DEL, 0, NULL);
	}
}

/* --- threads ------------------------------------------------------------- */

static void *writer(void *arg)
{
	struct stream *s = arg;

	while (!s->ended && !s->broken) {
		if (has_to_wait(s))
			poll(NULL, 0, 1);
		else
			write_some(s);
	}
	return NULL;
}

static void *reader(void *arg)
{
	struct stream *s = arg;
	char *got = malloc(CHUNK);

	while (!s->saw_end && !s->broken)
		read_some(s, got);
	free(got);
	return NULL;
}

static void start_thread(pthread_t *thread, void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	if (pthread_create(thread, &attr, run, arg))
		die("pthread_create");
}

static void *listen_to_commands(void *arg)
{
	while (!stopping)
		obey();
	return arg;
}

static void run_threads(void)
{
	pthread_t commands;
	int i;

	stream_at(0, 0);
	for (i = 0; i < connections; i++) {
		start_thread(&streams[i].threads[0], reader, &streams[i]);
		start_thread(&streams[i].threads[1], writer, &streams[i]);
	}
	start_thread(&commands, listen_to_commands, NULL);
	for (i = 0; i < connections; i++) {
		pthread_join(streams[i].threads[0], NULL);
		pthread_join(streams[i].threads[1], NULL);
	}
}

static int by_port(const void *a, const void *b)
{
	return ((const struct stream *)a)->port - ((const struct stream *)b)->port;
}

static int report(void)
{
	int i, broken = 0;

	qsort(streams, connections, sizeof(*streams), by_port);
	for (i = 0; i < connections; i++) {
		struct stream *s = &streams[i];

		say("%d %lu %lu", s->port, is_server ? s->received : s->sent,
		    is_server ? s->sent : s->received);
		broken += s->broken;
	}
	return broken ? FAIL : PASS;
}

static void allow_files(void)
{
	struct rlimit files = { MAX_CONNECTIONS + 64, MAX_CONNECTIONS + 64 };

	setrlimit(RLIMIT_NOFILE, &files);
}

int main(int argc, char **argv)
{
	union address address;
	int option;

	while ((option = getopt(argc, argv, "bn:s:t:T")) != -1) {
		if (option == 'b')
			blocking = true;
		else if (option == 'n')
			connections = atoi(optarg);
		else if (option == 's')
			limit = atol(optarg);
		else if (option == 't')
			turn = atol(optarg);
		else if (option == 'T')
			transparent = true;
		else
			return 2;
	}
	if (argc - optind != 3 || connections < 1 || connections > MAX_CONNECTIONS)
		leave(2,
		      "usage: stream server|client ADDRESS PORT [-n N] [-s BYTES] [-t TURN] [-b]");
	is_server = !strcmp(argv[optind], "server");
	address = address_of(argv[optind + 1], atoi(argv[optind + 2]));
	allow_files();

	if (is_server)
		accept_all(&address);
	else
		connect_all(&address);
	if (blocking)
		run_threads();
	else
		run_epoll();
	return report();
}
