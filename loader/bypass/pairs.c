// SPDX-License-Identifier: GPL-2.0-only
#include "bypass/pairs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <shunt/pair_ends.h>

#include "bpf/pins.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/netns.h"

/*
 * An update of a map in a map waits for running programs (kernel/bpf/syscall.c,
 * maybe_wait_bpf_programs). membarrier() would too, but not with one CPU.
 */
int wait_programs(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	_cleanup_fd_ int inner = -1, outer = -1;
	__u32 zero = 0;

	inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "shunt_wait", 4, 4, 1, NULL);
	if (inner < 0)
		return fail(-errno, "can't make a map");
	opts.inner_map_fd = inner;
	outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "shunt_wait", 4, 4, 1, &opts);
	if (outer < 0 || bpf_map_update_elem(outer, &zero, &inner, BPF_ANY))
		return fail(-errno, "can't wait for running programs");
	return 0;
}

static int read_all(int fd, void **ret, size_t *ret_size)
{
	_cleanup_free_ char *buf = NULL;
	size_t len = 0, room = 0;
	ssize_t got;
	char *more;

	do {
		if (room - len < 65536) {
			room = room ? room * 2 : 131072;
			more = realloc(buf, room);
			if (!more)
				return -ENOMEM;
			buf = more;
		}
		got = read(fd, buf + len, room - len);
		if (got < 0 && errno == EAGAIN)
			continue;
		if (got < 0)
			return -errno;
		len += got;
	} while (got);
	*ret = buf;
	*ret_size = len;
	buf = NULL;
	return 0;
}

/* Opens a program that walks over a map, or its twin that walks over the open
 * files of all processes, whichever was loaded; *map is NULL for the twin. */
static int open_walker(const char *prog, const char **map)
{
	int fd = pin_open("progs", prog);
	char twin[BPF_OBJ_NAME_LEN + sizeof("_files")];

	if (fd != -ENOENT || !*map)
		return fd;
	snprintf(twin, sizeof(twin), "%s_files", prog);
	*map = NULL;
	return pin_open("progs", twin);
}

int iter_link(const char *prog, const char *map)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	union bpf_iter_link_info info = {};
	_cleanup_fd_ int prog_fd = open_walker(prog, &map);
	_cleanup_fd_ int map_fd = map ? pin_open("maps", map) : -1;
	int link;

	if (prog_fd < 0)
		return prog_fd;
	if (map && map_fd < 0)
		return map_fd;
	info.map.map_fd = map_fd;
	opts.iter_info = &info;
	opts.iter_info_len = sizeof(info);
	link = bpf_link_create(prog_fd, 0, BPF_TRACE_ITER, map ? &opts : NULL);
	return link < 0 ? -errno : link;
}

int iter_read(int link, void **ret, size_t *ret_size)
{
	_cleanup_fd_ int fd = bpf_iter_create(link);

	return fd < 0 ? -errno : read_all(fd, ret, ret_size);
}

int iter_run(int link, struct shunt_row **ret, size_t *ret_n)
{
	void *rows;
	size_t size;
	int error = iter_read(link, &rows, &size);

	if (error)
		return error;
	*ret = rows;
	*ret_n = size / sizeof(**ret);
	return 0;
}

/* Runs a pinned iterator over a pinned map and collects what it prints. */
static int walk(const char *prog, const char *map, struct shunt_row **ret, size_t *ret_n)
{
	_cleanup_fd_ int link = iter_link(prog, map);

	return link < 0 ? link : iter_run(link, ret, ret_n);
}

struct visit {
	const char *prog;
	struct shunt_row *rows; /* what was printed anywhere */
	size_t n;
	int error;
};

static void visit_sockets(void *data)
{
	struct visit *v = data;
	_cleanup_fd_ int link = iter_link(v->prog, NULL);
	_cleanup_free_ struct shunt_row *rows = NULL;
	struct shunt_row *all;
	size_t n = 0;
	int error = link < 0 ? link : iter_run(link, &rows, &n);

	if (error)
		v->error = error;
	if (!n)
		return;
	all = reallocarray(v->rows, v->n + n, sizeof(*all));
	if (!all) {
		v->error = -ENOMEM;
		return;
	}
	memcpy(all + v->n, rows, n * sizeof(*all));
	v->rows = all;
	v->n += n;
}

void iter_everywhere(const char *prog)
{
	struct visit v = { .prog = prog };

	each_netns(visit_sockets, &v);
	free(v.rows);
}

void bypass_wake_readers(struct shunt_conf *conf)
{
	if (__sync_lock_test_and_set(&conf->wakeups_pending, 0))
		iter_everywhere("shunt_wakeup");
}

static __u64 pair_id(const struct shunt_row *r)
{
	return r->sk.cookie < r->sk.peer_cookie ? r->sk.cookie : r->sk.peer_cookie;
}

int bypass_same_pair(const struct shunt_row *a, const struct shunt_row *b)
{
	return a->sk.cookie == b->sk.peer_cookie && b->sk.cookie == a->sk.peer_cookie;
}

const struct shunt_pair *bypass_pair(const struct shunt_row *r)
{
	static const struct shunt_pair *pairs;

	if (!r->sk.slot || r->sk.slot >= SHUNT_PAIRS)
		return NULL;
	if (!pairs)
		pairs = pin_mmap("shunt_pairs", NULL);
	if (!pairs || own_end(&pairs[r->sk.slot], &r->sk)->cookie != r->sk.cookie)
		return NULL;
	return &pairs[r->sk.slot];
}

/* Why messages of an active pair under 'proven' go by TCP, if they do. */
static enum shunt_why active_why(void)
{
	static const struct shunt_conf *conf;

	if (!conf)
		conf = pin_mmap("shunt_conf", NULL);
	return conf && !supervisor_beats(conf) ? WHY_UNSUPERVISED : WHY_REDIRECTED;
}

/* Of a pair that has no entry. */
static unsigned int plain_reason(const struct shunt_row *a, const struct shunt_row *b)
{
	if (a->sk.why == WHY_NO_ENTRY || (b && b->sk.why == WHY_NO_ENTRY))
		return WHY_NO_ENTRY;
	return a->sk.why == WHY_TOO_FEW_EXCHANGES ? WHY_TOO_FEW_EXCHANGES : WHY_NOT_BUSY;
}

const char *bypass_state(const struct shunt_row *a, const struct shunt_row *b, unsigned int *ret_why)
{
	const struct shunt_pair *p = bypass_pair(a);

	*ret_why = WHY_PEER_ABSENT;
	if (a->state != TCP_ESTABLISHED || (a->sk.eager && !b))
		return "closing";
	*ret_why = WHY_REDIRECTED;
	if (a->sk.eager)
		return a->member && b->member ? "active" : "plain";
	*ret_why = plain_reason(a, b);
	switch (p ? p->stage : STAGE_FREE) {
	case STAGE_WATCHED:
		*ret_why = WHY_WATCHED;
		return "watched";
	case STAGE_JOINING:
		*ret_why = WHY_JOINING;
		return "joining";
	case STAGE_ACTIVE:
		*ret_why = active_why();
		return "active";
	case STAGE_LEAVING:
	case STAGE_EMPTYING:
		*ret_why = p->why;
		return "leaving";
	case STAGE_WAITING:
		*ret_why = p->why;
		return "plain";
	}
	return "plain";
}

int bypass_active(const struct shunt_row *a, const struct shunt_row *b)
{
	unsigned int why;

	return !strcmp(bypass_state(a, b, &why), "active");
}

static int compare_rows(const void *va, const void *vb)
{
	const struct shunt_row *a = va, *b = vb;

	if (pair_id(a) != pair_id(b))
		return pair_id(a) < pair_id(b) ? -1 : 1;
	if (a->sk.is_client != b->sk.is_client)
		return b->sk.is_client - a->sk.is_client;
	return a->sk.cookie < b->sk.cookie ? -1 : a->sk.cookie > b->sk.cookie;
}

/* Sorts the rows, without closed sockets: a closed socket lives on until the last
 * reader of its memory is done. A socket with several descriptors can have several
 * rows, of which one stays. Returns how many rows are left. */
static size_t tidy(struct shunt_row *rows, size_t n)
{
	size_t i, open = 0, kept = 0;

	for (i = 0; i < n; i++)
		if (rows[i].state != TCP_CLOSE)
			rows[open++] = rows[i];
	if (open)
		sort_array(rows, open, sizeof(*rows), compare_rows);
	for (i = 0; i < open; i++)
		if (!kept || rows[kept - 1].sk.cookie != rows[i].sk.cookie)
			rows[kept++] = rows[i];
	return kept;
}

bool bypass_is_loaded(void)
{
	_cleanup_fd_ int fd = pin_open("progs", "shunt_wakeup");

	return fd >= 0;
}

int bypass_read(struct shunt_row **ret, size_t *ret_n)
{
	int error = walk("shunt_list", "shunt_sk", ret, ret_n);

	if (error)
		return error;
	*ret_n = tidy(*ret, *ret_n);
	return 0;
}

int bypass_list(struct shunt_row **ret, size_t *ret_n)
{
	int error = bypass_read(ret, ret_n);

	return error ? fail(error, "can't list the paired sockets") : 0;
}

int bypass_list_all(struct shunt_row **ret, size_t *ret_n)
{
	struct visit v = { .prog = "shunt_list_pending" };

	v.error = walk("shunt_list", "shunt_sk", &v.rows, &v.n);
	if (!v.error)
		each_netns(visit_sockets, &v);
	*ret = v.rows;
	if (v.error)
		return fail(v.error, "can't list the paired sockets");
	*ret_n = tidy(v.rows, v.n);
	return 0;
}

/* How long redirects may go on behind others while everything drains. */
#define SOFT_MS 100

static unsigned int now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void rest(void)
{
	const struct timespec pause = { .tv_nsec = 5000000 };

	nanosleep(&pause, NULL);
}

static bool any_queued(void)
{
	_cleanup_free_ struct shunt_row *rows = NULL;
	size_t n = 0, i;

	if (walk("shunt_list", "shunt_sk", &rows, &n))
		return false;
	for (i = 0; i < n; i++)
		if (rows[i].queued)
			return true;
	return false;
}

/* Lets the queues run empty, for those that are being read. */
static void pass_softly(struct shunt_conf *conf)
{
	unsigned int start = now_ms();

	if (conf->drain_mode)
		return;
	__atomic_store_n(&conf->drain_mode, DRAIN_KEEP_QUEUED, __ATOMIC_SEQ_CST);
	while (any_queued() && now_ms() - start < SOFT_MS)
		rest();
}

/* Members that no walk came by: no process has their file open (io_uring can hold
 * a socket so). */
static bool members_left(void)
{
	_cleanup_fd_ int map = pin_open("maps", "shunt_socks");
	__u64 key;

	return map >= 0 && !bpf_map_get_next_key(map, NULL, &key);
}

int bypass_drain(unsigned int timeout_ms, struct shunt_row **ret, size_t *ret_n)
{
	struct shunt_conf *conf = pin_mmap("shunt_conf", NULL);
	unsigned int start = now_ms();
	int error;

	if (!conf)
		return 0; /* nothing can have been attached */
	pass_softly(conf);
	__atomic_store_n(&conf->drain_mode, DRAIN_ALL, __ATOMIC_SEQ_CST);
	error = wait_programs();
	if (error)
		return error;
	for (;;) {
		_cleanup_free_ struct shunt_row *rows = NULL;
		size_t n;

		error = walk("shunt_drain", "shunt_socks", &rows, &n);
		if (error == -ENOENT)
			return 0;
		if (error)
			return fail(error, "can't walk over the sockets on the fast path");
		bypass_wake_readers(conf);
		if (!n && !members_left())
			return 0;
		if (now_ms() - start >= timeout_ms) {
			*ret = rows;
			*ret_n = n;
			rows = NULL;
			return -EBUSY;
		}
		rest();
	}
}

const char *endpoint_text(char text[ENDPOINT_TEXT], unsigned int family, const __u8 *addr,
			  unsigned int port)
{
	char a[INET6_ADDRSTRLEN];

	if (!inet_ntop(family, addr, a, sizeof(a)))
		snprintf(a, sizeof(a), "?");
	snprintf(text, ENDPOINT_TEXT, family == AF_INET6 ? "[%s]:%u" : "%s:%u", a, port);
	return text;
}
