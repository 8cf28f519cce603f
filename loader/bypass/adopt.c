// SPDX-License-Identifier: GPL-2.0-only
#include "bypass/adopt.h"

#include <ftw.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <bpf/bpf.h>

#include "bpf/pins.h"
#include "bypass/iterators.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/netns.h"

/* The sequence numbers of a busy connection may change while it is printed: then it does
 * not match, and the next try may find it. */
#define TRIES 10
#define MAX_CGROUPS 4096

static struct {
	__u64 cgroups[MAX_CGROUPS]; /* ids of the loaded cgroups and of those below them */
	int n_cgroups;
	struct shunt_older_conn *conns;
	size_t n_conns;
} found;

static int add_cgroup(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)ftw;
	if (type == FTW_D && found.n_cgroups < MAX_CGROUPS)
		found.cgroups[found.n_cgroups++] = st->st_ino;
	return 0;
}

static bool is_in_loaded_cgroup(const struct shunt_older_conn *c)
{
	int i;

	for (i = 0; i < found.n_cgroups; i++)
		if (found.cgroups[i] == c->cgroup)
			return true;
	return false;
}

/* Runs the iterator over the sockets of this network namespace and keeps the rows of
 * sockets in loaded cgroups. */
static void collect_conns(void *data)
{
	_cleanup_fd_ int link = iter_link(HALF_BYPASS, "shunt_adopt", NULL);
	_cleanup_free_ void *rows = NULL;
	const struct shunt_older_conn *row;
	size_t size = 0, i;
	void *more;

	(void)data;
	if (link < 0 || iter_read(link, &rows, &size) || !size)
		return;
	more = realloc(found.conns, found.n_conns * sizeof(*row) + size);
	if (!more)
		return;
	found.conns = more;
	row = rows;
	for (i = 0; i < size / sizeof(*row); i++)
		if (is_in_loaded_cgroup(&row[i]))
			found.conns[found.n_conns++] = row[i];
}

/* Sort key: the lower endpoint, then the higher one. It is the same for both ends of a
 * connection, so that they become neighbours. */
static void sort_key(const struct shunt_older_conn *c, __u8 key[40])
{
	__u8 a[20] = {}, b[20] = {};

	memcpy(a, c->local, 16);
	memcpy(a + 16, &c->local_port, 2);
	memcpy(b, c->remote, 16);
	memcpy(b + 16, &c->remote_port, 2);
	memcpy(key, memcmp(a, b, 20) < 0 ? a : b, 20);
	memcpy(key + 20, memcmp(a, b, 20) < 0 ? b : a, 20);
}

static int compare_conns(const void *a, const void *b)
{
	__u8 x[40], y[40];

	sort_key(a, x);
	sort_key(b, y);
	return memcmp(x, y, sizeof(x));
}

/* One end counts the SYN as a byte, and the other one does not. */
static bool same_isn(__u32 a, __u32 b)
{
	return a == b || a + 1 == b || a == b + 1;
}

static bool is_same_conn(const struct shunt_older_conn *a, const struct shunt_older_conn *b)
{
	return a->family == b->family && a->local_port == b->remote_port &&
	       a->remote_port == b->local_port && !memcmp(a->local, b->remote, 16) &&
	       !memcmp(a->remote, b->local, 16) && same_isn(a->sent_isn, b->received_isn) &&
	       same_isn(a->received_isn, b->sent_isn);
}

/* Puts the pairs into the map for the second run. The end with the lower port counts as the
 * server. Returns how many pairs there are. */
static unsigned int find_pairs(int map)
{
	const struct shunt_older_conn *a, *b, *server, *client;
	unsigned int n = 0;
	size_t i, j;

	sort_array(found.conns, found.n_conns, sizeof(*a), compare_conns);
	for (i = 0; i < found.n_conns; i++) {
		a = &found.conns[i];
		for (j = i + 1; j < found.n_conns && !compare_conns(a, &found.conns[j]); j++) {
			b = &found.conns[j];
			if (!is_same_conn(a, b))
				continue;
			server = a->local_port < b->local_port ? a : b;
			client = server == a ? b : a;
			if (!bpf_map_update_elem(map, &server->cookie, &client->cookie, BPF_ANY))
				n++;
		}
	}
	return n;
}

static void clear_map(int map)
{
	__u64 key;

	while (!bpf_map_get_next_key(map, NULL, &key))
		if (bpf_map_delete_elem(map, &key))
			return;
}

void adopt_connections(void)
{
	const struct shunt_attachment *attachments = attachments_map();
	_cleanup_fd_ int map = pin_open(HALF_BYPASS, "maps", "shunt_adopted");
	unsigned int n = 0;
	int i, tries;

	if (!attachments || map < 0)
		return;
	for (i = 0; i < SHUNT_ATTACHMENTS; i++)
		if (attachments[i].kind == ATTACH_CGROUP)
			nftw(attachments[i].name, add_cgroup, 16, FTW_PHYS);
	for (tries = 0; tries < TRIES; tries++) {
		found.n_conns = 0;
		for_each_netns(collect_conns, NULL);
		n += find_pairs(map);
		for_each_netns(collect_conns, NULL);
		clear_map(map);
	}
	free(found.conns);
	memset(&found, 0, sizeof(found));
	debug("%u older connections registered", n);
}
