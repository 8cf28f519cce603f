// SPDX-License-Identifier: GPL-2.0-only
#include "bypass/iterators.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/pins.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/netns.h"

/*
 * An update of a map in a map makes the kernel wait for running programs
 * (kernel/bpf/syscall.c, maybe_wait_bpf_programs). membarrier() would wait too, but not on a
 * host with one CPU.
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

/*
 * Opens an iterator over a map. On kernels without such iterators its twin was loaded, which
 * iterates over the open files of all processes: then *map becomes NULL.
 */
static int open_iterator(enum half half, const char *prog, const char **map)
{
	int fd = pin_open(half, "progs", prog);
	char twin[BPF_OBJ_NAME_LEN + sizeof("_files")];

	if (fd != -ENOENT || !*map)
		return fd;
	snprintf(twin, sizeof(twin), "%s_files", prog);
	*map = NULL;
	return pin_open(half, "progs", twin);
}

int iter_link(enum half half, const char *prog, const char *map)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	union bpf_iter_link_info info = {};
	_cleanup_fd_ int prog_fd = open_iterator(half, prog, &map);
	_cleanup_fd_ int map_fd = map ? pin_open(half, "maps", map) : -1;
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
	void *rows = NULL;
	size_t size = 0;
	int error = iter_read(link, &rows, &size);

	if (error)
		return error;
	*ret = rows;
	*ret_n = size / sizeof(**ret);
	return 0;
}

int iter_run_once(enum half half, const char *prog, const char *map, struct shunt_row **ret,
		  size_t *ret_n)
{
	_cleanup_fd_ int link = iter_link(half, prog, map);

	return link < 0 ? link : iter_run(link, ret, ret_n);
}

struct visit {
	enum half half;
	const char *prog;
	struct shunt_row *rows; /* of all network namespaces */
	size_t n;
	int error;
};

/* Runs the iterator in this network namespace. */
static void visit_netns(void *data)
{
	struct visit *v = data;
	_cleanup_fd_ int link = iter_link(v->half, v->prog, NULL);
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

int iter_all_netns(enum half half, const char *prog, struct shunt_row **rows, size_t *n)
{
	struct visit v = { .half = half, .prog = prog, .rows = *rows, .n = *n };

	for_each_netns(visit_netns, &v);
	*rows = v.rows;
	*n = v.n;
	return v.error;
}

void iter_everywhere(enum half half, const char *prog)
{
	_cleanup_free_ struct shunt_row *rows = NULL;
	size_t n = 0;

	iter_all_netns(half, prog, &rows, &n);
}
