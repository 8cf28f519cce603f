// SPDX-License-Identifier: GPL-2.0-only
#include "bpf/programs.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/kept_maps.h"
#include "bpf/kernel_features.h"
#include "bpf/next.h"
#include "bpf/pins.h"
#include "bpf/program_choice.h"
#include "bpf/skeleton.h"
#include "util/cleanup.h"
#include "util/log.h"

/* Makes the object use the table of attachments that the first half has pinned; does nothing for
 * the first half. */
static void reuse_attachments(struct shunt_bpf *skel)
{
	_cleanup_fd_ int fd = attachments_open();

	if (fd >= 0)
		bpf_map__reuse_fd(skel->maps.shunt_attachment, fd);
}

/* Finds out what this kernel can do. Returns whether it has iterators over maps, or -errno after
 * reporting it. */
static int look_at_kernel(bool bypass)
{
	int error = kernel_types_read(), map_iterators;

	if (is_shortage(error))
		return fail(error, "can't read the kernel's type information");
	map_iterators = bypass ? kernel_has_map_iterators() : 0;
	if (map_iterators < 0)
		return fail(map_iterators, "can't find out what this kernel can do");
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		return deny(-ENOENT,
			    "this kernel has no type information (/sys/kernel/btf/vmlinux); "
			    "shunt needs CONFIG_DEBUG_INFO_BTF");
	return map_iterators;
}

/* Opens the object with the programs and maps of the set; NULL after reporting an error. */
static struct shunt_bpf *open_chosen(const struct program_set *set, bool map_iterators)
{
	struct shunt_bpf *skel = shunt_bpf__open();

	if (!skel) {
		fail(-errno, "can't open the programs");
		return NULL;
	}
	choose_programs(skel, set, map_iterators);
	size_maps(skel, set);
	choose_maps(skel, set);
	return skel;
}

/* Loads the chosen programs, which the message calls what. Returns 0, or -errno after reporting it. */
static int load_chosen(struct shunt_bpf *skel, const char *what)
{
	int error = kernel_types_error(shunt_bpf__load(skel));

	if (is_shortage(error))
		return fail(error, "can't load %s", what);
	return error ? fail(error, "the kernel refuses %s ('shunt check', or -v, shows why)", what)
		     : 0;
}

int programs_open(const struct program_set *set, struct shunt_bpf **ret)
{
	_cleanup_skel_ struct shunt_bpf *skel = NULL;
	int error = look_at_kernel(set->bypass);

	if (error < 0)
		return error;
	skel = open_chosen(set, error);
	if (!skel)
		return -EIO;
	if (set->shared_attachments)
		reuse_attachments(skel);
	error = load_chosen(skel, "the programs");
	if (error)
		return error;
	*ret = take_skel(&skel);
	return 0;
}

/* Chooses, too, the programs that were loaded when something first needed them. */
static void choose_pinned(enum half half, struct shunt_bpf *skel)
{
	struct bpf_program *prog;
	char path[PIN_PATH];

	bpf_object__for_each_program(prog, skel->obj)
		if (!access(pin_path(path, half, "progs", bpf_program__name(prog)), F_OK))
			bpf_program__set_autoload(prog, true);
}

int programs_open_next(enum half half, const struct program_set *set, struct shunt_bpf **ret,
		       bool *ret_kept)
{
	_cleanup_skel_ struct shunt_bpf *skel = NULL;
	int error = look_at_kernel(set->bypass);

	if (error < 0)
		return error;
	skel = open_chosen(set, error);
	if (!skel)
		return -EIO;
	choose_pinned(half, skel);
	error = maps_keep(half, skel, ret_kept);
	if (error)
		return error;
	error = load_chosen(skel, "the programs");
	if (error)
		return error;
	error = maps_convert(half, skel);
	if (error)
		return error;
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

static int pin_half(enum half half, struct shunt_bpf *skel)
{
	int error = make_pin_folders(half);

	if (error)
		return error;
	error = pin_maps(half, skel);
	return error ? error : pin_programs(half, skel);
}

int programs_pin(enum half half, struct shunt_bpf *skel)
{
	int error = pin_attachments(bpf_map__fd(skel->maps.shunt_attachment));

	return error ? error : pin_half(half, skel);
}

int programs_pin_next(enum half half, struct shunt_bpf *skel)
{
	int error = attachments_next_pin(bpf_map__fd(skel->maps.shunt_attachment));

	return error ? error : pin_half(half_next(half), skel);
}

void programs_close(struct shunt_bpf *skel)
{
	shunt_bpf__destroy(skel);
}

/* The hash of a program's instructions. */
static int program_tag(enum half half, const char *name, __u8 ret[BPF_TAG_SIZE])
{
	_cleanup_fd_ int fd = pin_open(half, "progs", name);
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return fd < 0 ? fd : -errno;
	memcpy(ret, info.tag, BPF_TAG_SIZE);
	return 0;
}

bool programs_equal(enum half a, enum half b)
{
	__u8 x[BPF_TAG_SIZE], y[BPF_TAG_SIZE];
	char path[PIN_PATH];
	struct dirent *e;
	bool equal = true;
	DIR *dir = opendir(pin_path(path, b, "progs", ""));

	if (!dir)
		return false;
	while (equal && (e = readdir(dir)))
		equal = *e->d_name == '.' ||
			(!program_tag(a, e->d_name, x) && !program_tag(b, e->d_name, y) &&
			 !memcmp(x, y, sizeof(x)));
	closedir(dir);
	return equal;
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
	char what[BPF_OBJ_NAME_LEN + sizeof("the program ''")];
	const struct bpf_program *prog;
	int error;

	if (!skel)
		return -EIO;
	snprintf(what, sizeof(what), "the program '%s'", name);
	error = load_chosen(skel, what);
	if (error)
		return error;
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
	error = load_chosen(skel, "the programs of --deliver");
	if (error)
		return error;
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
