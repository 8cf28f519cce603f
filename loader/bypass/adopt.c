// SPDX-License-Identifier: GPL-2.0-only
#include "bypass/adopt.h"

#include <ftw.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <bpf/bpf.h>

#include "bpf/pins.h"
#include "bypass/pairs.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/netns.h"

/* A busy connection may move just while it is looked at. */
#define TRIES 10
#define MAX_CGROUPS 4096

static struct {
	__u64 cgroups[MAX_CGROUPS]; /* ids, the loaded ones and those below */
	int n_cgroups;
	struct shunt_old *old;
	size_t n_old;
} found;

static int add_cgroup(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)ftw;
	if (type == FTW_D && found.n_cgroups < MAX_CGROUPS)
		found.cgroups[found.n_cgroups++] = st->st_ino;
	return 0;
}

static bool scoped(const struct shunt_old *o)
{
	int i;

	for (i = 0; i < found.n_cgroups; i++)
		if (found.cgroups[i] == o->cgroup)
			return true;
	return false;
}

/* Runs the iterator in this network namespace. */
static void collect(void *data)
{
	_cleanup_fd_ int link = iter_link("shunt_adopt", NULL);
	_cleanup_free_ void *rows = NULL;
	const struct shunt_old *o;
	size_t size = 0, i;
	void *more;

	(void)data;
	if (link < 0 || iter_read(link, &rows, &size) || !size)
		return;
	more = realloc(found.old, found.n_old * sizeof(*o) + size);
	if (!more)
		return;
	found.old = more;
	o = rows;
	for (i = 0; i < size / sizeof(*o); i++)
		if (scoped(&o[i]))
			found.old[found.n_old++] = o[i];
}

/* Orders the ends of a connection next to each other: by the lower endpoint,
 * then the higher one. */
static void key_of(const struct shunt_old *o, __u8 key[40])
{
	__u8 a[20] = {}, b[20] = {};

	memcpy(a, o->local, 16);
	memcpy(a + 16, &o->local_port, 2);
	memcpy(b, o->remote, 16);
	memcpy(b + 16, &o->remote_port, 2);
	memcpy(key, memcmp(a, b, 20) < 0 ? a : b, 20);
	memcpy(key + 20, memcmp(a, b, 20) < 0 ? b : a, 20);
}

static int compare(const void *a, const void *b)
{
	__u8 x[40], y[40];

	key_of(a, x);
	key_of(b, y);
	return memcmp(x, y, sizeof(x));
}

/* A SYN counts as a byte at one end and not at the other. */
static bool same_isn(__u32 a, __u32 b)
{
	return a == b || a + 1 == b || a == b + 1;
}

static bool mirrored(const struct shunt_old *a, const struct shunt_old *b)
{
	return a->family == b->family && a->local_port == b->remote_port &&
	       a->remote_port == b->local_port && !memcmp(a->local, b->remote, 16) &&
	       !memcmp(a->remote, b->local, 16) && same_isn(a->sent_isn, b->received_isn) &&
	       same_isn(a->received_isn, b->sent_isn);
}

/* Enters the pairs for the second pass; the lower port counts as the server. */
static unsigned int match(int map)
{
	const struct shunt_old *a, *b, *server, *client;
	unsigned int n = 0;
	size_t i, j;

	sort_array(found.old, found.n_old, sizeof(*a), compare);
	for (i = 0; i < found.n_old; i++) {
		a = &found.old[i];
		for (j = i + 1; j < found.n_old && !compare(a, &found.old[j]); j++) {
			b = &found.old[j];
			if (!mirrored(a, b))
				continue;
			server = a->local_port < b->local_port ? a : b;
			client = server == a ? b : a;
			if (!bpf_map_update_elem(map, &server->cookie, &client->cookie, BPF_ANY))
				n++;
		}
	}
	return n;
}

static void clear(int map)
{
	__u64 key;

	while (!bpf_map_get_next_key(map, NULL, &key))
		if (bpf_map_delete_elem(map, &key))
			return;
}

void adopt_connections(void)
{
	const struct shunt_state *states = pin_mmap("shunt_state", NULL);
	_cleanup_fd_ int map = pin_open("maps", "shunt_adopted");
	unsigned int n = 0;
	int i, tries;

	if (!states || map < 0)
		return;
	for (i = 0; i < SHUNT_STATES; i++)
		if (states[i].kind == SHUNT_CGROUP)
			nftw(states[i].name, add_cgroup, 16, FTW_PHYS);
	for (tries = 0; tries < TRIES; tries++) {
		found.n_old = 0;
		each_netns(collect, NULL);
		n += match(map);
		each_netns(collect, NULL);
		clear(map);
	}
	free(found.old);
	memset(&found, 0, sizeof(found));
	debug("%u older connections registered", n);
}
