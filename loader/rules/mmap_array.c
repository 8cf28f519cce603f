// SPDX-License-Identifier: GPL-2.0-only
#include "rules/mmap_array.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bpf/pins.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/output.h"

/* Mapping all of a large array takes milliseconds; mapping one window takes some µs. */
#define WINDOW 65536

void mmap_array_close(struct mmap_array *r)
{
	if (r->base)
		munmap(r->base, r->size);
	close_fd(&r->fd);
	free(r->mapped);
	*r = (struct mmap_array){ .fd = -1 };
}

int mmap_array_open(struct mmap_array *ret, int fd)
{
	struct mmap_array r = { .fd = fd };
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);
	int error;

	if (bpf_obj_get_info_by_fd(fd, &info, &len)) {
		error = -errno;
		close(fd);
		return error;
	}
	r.entries = info.max_entries;
	r.size = (size_t)info.value_size * info.max_entries;
	r.size = (r.size + getpagesize() - 1) & -(size_t)getpagesize();
	r.mapped = calloc(r.size / WINDOW + 1, 1);
	r.base = mmap(NULL, r.size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r.base == MAP_FAILED || !r.mapped) {
		r.base = r.base == MAP_FAILED ? NULL : r.base;
		mmap_array_close(&r);
		return -ENOMEM;
	}
	*ret = r;
	return 0;
}

static void mmap_array_map(struct mmap_array *r, size_t window)
{
	size_t at = window * WINDOW, len = r->size - at < WINDOW ? r->size - at : WINDOW;

	if (mmap(r->base + at, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, r->fd, at) ==
	    MAP_FAILED) {
		/* To end here is like a kill: the next command repairs the store. */
		fail(-errno, "can't map the rules");
		output_finish(); /* what waits until the lock is free */
		exit(1);
	}
	r->mapped[window] = 1;
}

void *mmap_array_at(struct mmap_array *r, size_t at, size_t len)
{
	size_t window;

	for (window = at / WINDOW; window <= (at + len - 1) / WINDOW; window++)
		if (!r->mapped[window])
			mmap_array_map(r, window);
	return r->base + at;
}

int inner_create(const char *name, __u32 value_size, __u32 entries)
{
	LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(__u32), value_size, entries, &o);

	return fd < 0 ? fail(-errno, "can't make a map of %u entries for rules", entries) : fd;
}

static int inner_open(int outer)
{
	__u32 id, zero = 0;
	int fd;

	if (bpf_map_lookup_elem(outer, &zero, &id))
		return -errno;
	fd = bpf_map_get_fd_by_id(id);
	return fd < 0 ? -errno : fd;
}

int inner_install(int outer, int inner)
{
	__u32 zero = 0;

	if (bpf_map_update_elem(outer, &zero, &inner, BPF_ANY))
		return fail(-errno, "can't put a new map for rules in place");
	return 0;
}

int inner_pinned(const char *name)
{
	_cleanup_fd_ int outer = pin_open(HALF_STEER, "maps", name);

	return outer < 0 ? outer : inner_open(outer);
}
