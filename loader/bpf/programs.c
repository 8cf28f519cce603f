// SPDX-License-Identifier: GPL-2.0-only
#include "bpf/programs.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/kernel_features.h"
#include "bpf/pins.h"
#include "bpf/program_choice.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "shunt.skel.h"

static void destroy_skel(struct shunt_bpf **skel)
{
	shunt_bpf__destroy(*skel);
}

#define _cleanup_skel_ _cleanup_(destroy_skel)

static struct shunt_bpf *take_skel(struct shunt_bpf **skel)
{
	struct shunt_bpf *taken = *skel;

	*skel = NULL;
	return taken;
}

/* Makes the object use the table of attachments that the first half has pinned; does nothing for
 * the first half. */
static void reuse_attachments(struct shunt_bpf *skel)
{
	_cleanup_fd_ int fd = attachments_open();

	if (fd >= 0)
		bpf_map__reuse_fd(skel->maps.shunt_attachment, fd);
}

int programs_open(const struct program_set *set, struct shunt_bpf **ret)
{
	_cleanup_skel_ struct shunt_bpf *skel = NULL;
	int error, map_iterators;

	error = kernel_types_read();
	if (is_shortage(error))
		return fail(error, "can't read the kernel's type information");
	map_iterators = set->bypass ? kernel_has_map_iterators() : 0;
	if (map_iterators < 0)
		return fail(map_iterators, "can't find out what this kernel can do");
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		return deny(-ENOENT,
			    "this kernel has no type information (/sys/kernel/btf/vmlinux); "
			    "shunt needs CONFIG_DEBUG_INFO_BTF");
	skel = shunt_bpf__open();
	if (!skel)
		return fail(-errno, "can't open the programs");
	choose_programs(skel, set, map_iterators);
	size_maps(skel, set);
	choose_maps(skel, set);
	if (set->shared_attachments)
		reuse_attachments(skel);
	error = shunt_bpf__load(skel);
	if (error)
		return fail(error,
			    "the kernel refuses the programs ('shunt check', or -v, shows why)");
	*ret = take_skel(&skel);
	return 0;
}

static int make_pin_folders(enum half half)
{
	const char *const kinds[] = { "", "maps", "progs", "links" };
	char path[PIN_PATH];
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (mkdir(pin_path(path, half, kinds[i], ""), 0700) && errno != EEXIST)
			return fail(-errno, "can't make '%s'", path);
	return 0;
}

static int pin(int fd, enum half half, const char *kind, const char *name)
{
	char path[PIN_PATH];

	if (bpf_obj_pin(fd, pin_path(path, half, kind, name)))
		return fail(-errno, "can't pin '%s'", path);
	return 0;
}

/* Pins the table of attachments, unless it is the table that is pinned. */
static int pin_attachments(int fd)
{
	_cleanup_fd_ int pinned = attachments_open();
	int error = pinned;

	if (pinned >= 0)
		return 0;
	if (pinned == -ENOENT)
		error = attachments_pin(fd);
	return error ? fail(error, "can't pin the table of attachments") : 0;
}

static int pin_map(enum half half, const struct bpf_map *map)
{
	return pin(bpf_map__fd(map), half, "maps", bpf_map__name(map));
}

/* Pins the maps of a half. The settings come first, because unload needs them to clean up after a
 * kill (I10). */
static int pin_maps(enum half half, struct shunt_bpf *skel)
{
	struct bpf_map *map;
	int error;

	error = pin_map(half, skel->maps.shunt_conf);
	if (error)
		return error;
	/* A file descriptor does not tell that a map was created: since libbpf 1.4 each map has
	 * one from the start. */
	bpf_object__for_each_map(map, skel->obj) {
		if (bpf_map__is_internal(map) || map == skel->maps.shunt_conf ||
		    map == skel->maps.shunt_attachment || !bpf_map__autocreate(map))
			continue;
		error = pin_map(half, map);
		if (error)
			return error;
	}
	return 0;
}

static int pin_programs(enum half half, struct shunt_bpf *skel)
{
	struct bpf_program *prog;
	int error;

	bpf_object__for_each_program(prog, skel->obj) {
		if (!bpf_program__autoload(prog))
			continue;
		error = pin(bpf_program__fd(prog), half, "progs", bpf_program__name(prog));
		if (error)
			return error;
	}
	return 0;
}

int programs_pin(enum half half, struct shunt_bpf *skel)
{
	int error = pin_attachments(bpf_map__fd(skel->maps.shunt_attachment));

	if (error)
		return error;
	error = make_pin_folders(half);
	if (error)
		return error;
	error = pin_maps(half, skel);
	return error ? error : pin_programs(half, skel);
}

/* Makes the object use the pinned maps of the half. A map that is not pinned is not created. */
static void reuse_pinned_maps(enum half half, struct shunt_bpf *skel)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, skel->obj) {
		_cleanup_fd_ int fd = -1;

		if (bpf_map__is_internal(map))
			continue;
		fd = pin_open(half, "maps", bpf_map__name(map));
		if (fd < 0 || bpf_map__reuse_fd(map, fd))
			bpf_map__set_autocreate(map, false);
	}
}

/* Opens the object with the pinned maps of the half, and with one or two programs to load; second
 * may be NULL. Returns NULL after reporting an error. */
static struct shunt_bpf *open_with_pinned_maps(enum half half, const char *first,
					       const char *second)
{
	struct shunt_bpf *skel = shunt_bpf__open();
	struct bpf_program *prog;
	const char *name;

	if (!skel) {
		fail(-errno, "can't open the programs");
		return NULL;
	}
	bpf_object__for_each_program(prog, skel->obj) {
		name = bpf_program__name(prog);
		bpf_program__set_autoload(prog, !strcmp(name, first) ||
							(second && !strcmp(name, second)));
	}
	reuse_pinned_maps(half, skel);
	return skel;
}

/* Loads one more program and pins it. */
static int add_program(enum half half, const char *name)
{
	_cleanup_skel_ struct shunt_bpf *skel = open_with_pinned_maps(half, name, NULL);
	const struct bpf_program *prog;
	int error;

	if (!skel)
		return -EIO;
	error = shunt_bpf__load(skel);
	if (error)
		return fail(error,
			    "the kernel refuses the program '%s' ('shunt check', or -v, shows why)",
			    name);
	prog = bpf_object__find_program_by_name(skel->obj, name);
	return pin(bpf_program__fd(prog), half, "progs", name);
}

int program_open(enum half half, const char *name)
{
	int error, fd = pin_open(half, "progs", name);

	if (fd == -ENOENT) {
		error = add_program(half, name);
		if (error)
			return error;
		fd = pin_open(half, "progs", name);
	}
	return fd < 0 ? fail(fd, "can't open the program '%s'", name) : fd;
}

int private_probe_open(struct private_probe *ret)
{
	_cleanup_skel_ struct shunt_bpf *skel = open_with_pinned_maps(HALF_STEER, "shunt_inject",
								      "shunt_drop");
	int error;

	if (!skel)
		return -EIO;
	bpf_map__set_autocreate(skel->maps.shunt_dropped, true);
	error = shunt_bpf__load(skel);
	if (error)
		return fail(error, "the kernel refuses the programs of --deliver (-v shows why)");
	*ret = (struct private_probe){
		.inject = bpf_program__fd(skel->progs.shunt_inject),
		.drop = bpf_program__fd(skel->progs.shunt_drop),
		.dropped = bpf_map__fd(skel->maps.shunt_dropped),
	};
	ret->skel = take_skel(&skel);
	return 0;
}

void private_probe_close(struct private_probe *p)
{
	if (p->skel)
		shunt_bpf__destroy(p->skel);
	p->skel = NULL;
}

int attach_verdict(struct shunt_bpf *skel)
{
	const struct bpf_program *prog = skel->progs.shunt_verdict;

	if (!bpf_program__autoload(prog))
		prog = skel->progs.shunt_verdict61;
	if (bpf_prog_attach(bpf_program__fd(prog), bpf_map__fd(skel->maps.shunt_socks),
			    BPF_SK_MSG_VERDICT, 0))
		return fail(-errno, "can't attach the verdict to the map of sockets");
	return 0;
}

int programs_try(bool bypass, bool steer)
{
	const struct program_set set = {
		.bypass = bypass,
		.steer = steer,
		.nat = steer,
		.on_demand_too = steer,
		.nat_flows = 1,
	};
	_cleanup_skel_ struct shunt_bpf *skel = NULL;

	return programs_open(&set, &skel);
}

int private_bypass_open(struct private_bypass *ret)
{
	const struct program_set set = { .bypass = true };
	_cleanup_skel_ struct shunt_bpf *skel = NULL;
	struct shunt_conf *conf;
	int error;

	error = programs_open(&set, &skel);
	if (error)
		return error;
	error = attach_verdict(skel);
	if (error)
		return error;
	conf = mmap(NULL, sizeof(*conf), PROT_READ | PROT_WRITE, MAP_SHARED,
		    bpf_map__fd(skel->maps.shunt_conf), 0);
	if (conf == MAP_FAILED)
		return fail(-errno, "can't map the settings");
	/* The self-tests reach none of these bounds. */
	*conf = (struct shunt_conf){
		.abi = SHUNT_ABI,
		.max_bytes = 1U << 30,
		.max_msgs = 1U << 20,
		.max_pages = ~0ULL,
		.host_msgs = ~0U,
	};
	*ret = (struct private_bypass){
		.conf = conf,
		.socks = bpf_map__fd(skel->maps.shunt_socks),
		.storage = bpf_map__fd(skel->maps.shunt_sk),
	};
	ret->skel = take_skel(&skel);
	return 0;
}

void private_bypass_close(struct private_bypass *b)
{
	munmap(b->conf, sizeof(*b->conf));
	shunt_bpf__destroy(b->skel);
}

int private_monitor_open(struct private_monitor *ret)
{
	const struct program_set set = { .monitor = true };
	struct shunt_bpf *skel = NULL;
	int error = programs_open(&set, &skel);

	if (error)
		return error;
	*ret = (struct private_monitor){
		.skel = skel,
		.in = bpf_program__fd(skel->progs.shunt_count_in),
		.out = bpf_program__fd(skel->progs.shunt_count_out),
		.monitor = bpf_map__fd(skel->maps.shunt_monitor),
		.buckets = bpf_map__fd(skel->maps.shunt_buckets),
		.ways = bpf_map__fd(skel->maps.shunt_ways),
	};
	return 0;
}

void private_monitor_close(struct private_monitor *m)
{
	shunt_bpf__destroy(m->skel);
	m->skel = NULL;
}
