// SPDX-License-Identifier: GPL-2.0-only
#include "bpf/kept_maps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "bpf/next.h"
#include "bpf/pins.h"
#include "bpf/shapes.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "shunt.skel.h"

/* What becomes of a map whose values have another shape. */
enum if_changed {
	REFUSE,  /* it has what must not be lost */
	CONVERT, /* an array of settings or counters */
	RENEW,   /* it has nothing between two runs of a program */
};

static enum if_changed what_if_changed(const struct bpf_map *map)
{
	static const struct {
		const char *name;
		enum if_changed what;
	} maps[] = {
		{ "shunt_conf", CONVERT },    { "shunt_count", CONVERT },
		{ "shunt_exclude", CONVERT }, { "shunt_nat", CONVERT },
		{ "shunt_monitor", CONVERT }, { "shunt_attachment", CONVERT },
		{ "shunt_events", RENEW },
	};
	size_t i;

	for (i = 0; i < sizeof(maps) / sizeof(*maps); i++)
		if (!strcmp(maps[i].name, bpf_map__name(map)))
			return maps[i].what;
	return bpf_map__type(map) == BPF_MAP_TYPE_PERCPU_ARRAY ? RENEW : REFUSE;
}

/* A pinned map, with the types of its keys and values. */
struct old_map {
	int fd;
	struct bpf_map_info info;
	struct btf *btf; /* NULL: the kernel knows no types for it */
};

static void old_map_close(struct old_map *m)
{
	close_fd(&m->fd);
	btf__free(m->btf);
}

#define _cleanup_old_map_ _cleanup_(old_map_close)

static int open_pinned(enum half half, const char *name)
{
	return strcmp(name, "shunt_attachment") ? pin_open(half, "maps", name)
						: attachments_next_open();
}

/* Returns 0, -ENOENT without a message if nothing is pinned, or another -errno after reporting it. */
static int old_map_open(enum half half, const char *name, struct old_map *ret)
{
	__u32 len = sizeof(ret->info);

	*ret = (struct old_map){ .fd = open_pinned(half, name) };
	if (ret->fd == -ENOENT)
		return -ENOENT;
	if (ret->fd < 0)
		return fail(ret->fd, "can't open the map '%s' of %s", name, half_name(half));
	if (bpf_obj_get_info_by_fd(ret->fd, &ret->info, &len))
		return fail(-errno, "can't look at the map '%s' of %s", name, half_name(half));
	if (!ret->info.btf_id)
		return 0;
	ret->btf = btf__load_from_kernel_by_id(ret->info.btf_id);
	return ret->btf ? 0 : fail(-errno, "can't read the types of the map '%s'", name);
}

static struct shape old_value(const struct old_map *m)
{
	return (struct shape){ m->btf, m->info.btf_value_type_id };
}

/* The kernel keeps no types for these kinds of maps: bpf_object__create_map() of libbpf. */
static bool has_types(const struct bpf_map *map)
{
	return bpf_map__type(map) != BPF_MAP_TYPE_SOCKHASH &&
	       bpf_map__type(map) != BPF_MAP_TYPE_CGROUP_ARRAY && bpf_map__btf_value_type_id(map);
}

static bool is_same(const struct old_map *old, const struct bpf_map *map, const struct btf *btf)
{
	const struct shape key = { btf, bpf_map__btf_key_type_id(map) };
	const struct shape value = { btf, bpf_map__btf_value_type_id(map) };

	if (old->info.type != bpf_map__type(map) || old->info.key_size != bpf_map__key_size(map) ||
	    old->info.value_size != bpf_map__value_size(map) ||
	    old->info.map_flags != bpf_map__map_flags(map) ||
	    old->info.max_entries != bpf_map__max_entries(map))
		return false;
	if (!old->btf || !has_types(map))
		return true;
	return shapes_equal(old_value(old), value) &&
	       shapes_equal((struct shape){ old->btf, old->info.btf_key_type_id }, key);
}

/* --- settings --------------------------------------------------------------------------- */

static void free_btf(struct btf **btf)
{
	btf__free(*btf);
}

/* The shape of struct shunt_conf in this build, from the embedded object. */
static int own_conf_shape(struct btf **ret_btf, struct shape *ret)
{
	struct shunt_bpf *skel = shunt_bpf__open();
	const void *data;
	__u32 size;

	if (!skel)
		return fail(-errno, "can't open the programs");
	data = btf__raw_data(bpf_object__btf(skel->obj), &size);
	*ret_btf = data ? btf__new(data, size) : NULL;
	*ret = (struct shape){ *ret_btf, bpf_map__btf_value_type_id(skel->maps.shunt_conf) };
	shunt_bpf__destroy(skel);
	return *ret_btf ? 0 : fail(-ENOMEM, "can't read the types of the programs");
}

int old_conf_read(enum half half, struct old_conf *ret)
{
	_cleanup_old_map_ struct old_map old = { .fd = -1 };
	_cleanup_(free_btf) struct btf *btf = NULL;
	_cleanup_free_ void *value = NULL;
	struct shape own;
	__u32 zero = 0;
	int error = old_map_open(half, "shunt_conf", &old);

	if (error)
		return error;
	error = own_conf_shape(&btf, &own);
	if (error)
		return error;
	value = calloc(1, old.info.value_size);
	if (!value || bpf_map_lookup_elem(old.fd, &zero, value))
		return fail(value ? -errno : -ENOMEM, "can't read the settings of %s",
			    half_name(half));
	ret->same_shape = shapes_equal(old_value(&old), own);
	shape_convert(old_value(&old), value, own, &ret->conf);
	return 0;
}

__u32 *old_conf_field(enum half half, const char *field)
{
	_cleanup_old_map_ struct old_map old = { .fd = -1 };
	__u32 offset;
	char *conf;
	int error = old_map_open(half, "shunt_conf", &old);

	error = error ? error : shape_offset(old_value(&old), field, &offset);
	errno = -error;
	conf = error ? NULL : pin_mmap(half, "shunt_conf", NULL);
	return conf ? (__u32 *)(void *)(conf + offset) : NULL;
}

int old_conf_set(enum half half, const char *field, __u32 value)
{
	__u32 *at = old_conf_field(half, field);

	if (!at)
		return fail(-errno, "can't set '%s' of %s", field, half_name(half));
	__atomic_store_n(at, value, __ATOMIC_SEQ_CST);
	return 0;
}

/* --- maps of an object that is open ------------------------------------------------------ */

static int refuse_map(enum half half, const struct bpf_map *map)
{
	return deny(-EPROTO,
		    "%s can't be upgraded: the map '%s' has another form in this version; "
		    "'shunt save >FILE' and 'shunt unload %s' with the version that is loaded, then "
		    "'shunt load --config FILE' with this one",
		    half_name(half), bpf_map__name(map), half_name(half));
}

static bool is_in_object(const struct bpf_map *map)
{
	return !bpf_map__is_internal(map) && bpf_map__autocreate(map);
}

/* Whether the pinned map can go on. Returns 1, 0, or -errno after reporting it. */
static int can_keep(enum half half, const struct shunt_bpf *skel, const struct bpf_map *map)
{
	_cleanup_old_map_ struct old_map old = { .fd = -1 };
	int error = old_map_open(half, bpf_map__name(map), &old);

	if (error)
		return error == -ENOENT ? 0 : error;
	return is_same(&old, map, bpf_object__btf(skel->obj));
}

/* Whether all pairs of the bypass can go on: all maps are the same, except those that keep nothing
 * between two runs of a program. */
static int can_keep_all(enum half half, const struct shunt_bpf *skel)
{
	struct bpf_map *map;
	int same;

	bpf_object__for_each_map(map, skel->obj) {
		if (!is_in_object(map) || (what_if_changed(map) == RENEW))
			continue;
		same = can_keep(half, skel, map);
		if (same <= 0)
			return same;
	}
	return 1;
}

static int keep(enum half half, struct bpf_map *map)
{
	_cleanup_fd_ int fd = open_pinned(half, bpf_map__name(map));
	int error = fd < 0 ? fd : bpf_map__reuse_fd(map, fd);

	return error ? fail(error, "can't take over the map '%s' of %s", bpf_map__name(map),
			    half_name(half))
		     : 0;
}

static int choose(enum half half, struct shunt_bpf *skel, struct bpf_map *map)
{
	_cleanup_fd_ int pinned = open_pinned(half, bpf_map__name(map));
	int same = can_keep(half, skel, map);

	if (same < 0)
		return same;
	if (same)
		return keep(half, map);
	if (pinned >= 0 && what_if_changed(map) == REFUSE)
		return refuse_map(half, map);
	return 0;
}

int maps_keep(enum half half, struct shunt_bpf *skel, bool *ret_all)
{
	struct bpf_map *map;
	int error = half == HALF_BYPASS ? can_keep_all(half, skel) : 1;

	if (error < 0)
		return error;
	*ret_all = error;
	bpf_object__for_each_map(map, skel->obj) {
		if (!is_in_object(map) || (!*ret_all && map != skel->maps.shunt_attachment))
			continue;
		error = choose(half, skel, map);
		if (error)
			return error;
	}
	return 0;
}

/* --- maps of an object that is loaded ------------------------------------------------------ */

/* Converts one entry of an array; of one for each CPU, the part of each CPU. */
static int convert_entry(const struct old_map *old, const struct bpf_map *map, struct shape to,
			 __u32 index)
{
	const bool percpu = old->info.type == BPF_MAP_TYPE_PERCPU_ARRAY;
	const int cpus = percpu ? libbpf_num_possible_cpus() : 1;
	const size_t in = (old->info.value_size + 7) & ~7UL;
	const size_t out = (bpf_map__value_size(map) + 7) & ~7UL;
	_cleanup_free_ char *from = NULL, *value = NULL;
	int i;

	if (cpus < 0)
		return cpus;
	from = calloc(cpus, in);
	value = calloc(cpus, out);
	if (!from || !value)
		return -ENOMEM;
	if (bpf_map_lookup_elem(old->fd, &index, from) ||
	    bpf_map_lookup_elem(bpf_map__fd(map), &index, value))
		return -errno;
	for (i = 0; i < cpus; i++)
		shape_convert(old_value(old), from + i * in, to, value + i * out);
	return bpf_map_update_elem(bpf_map__fd(map), &index, value, BPF_ANY) ? -errno : 0;
}

static int convert(enum half half, const struct shunt_bpf *skel, const struct bpf_map *map)
{
	const struct shape to = { bpf_object__btf(skel->obj), bpf_map__btf_value_type_id(map) };
	_cleanup_old_map_ struct old_map old = { .fd = -1 };
	int error = old_map_open(half, bpf_map__name(map), &old);
	__u32 i;

	if (error)
		return error == -ENOENT ? 0 : error;
	for (i = 0; i < old.info.max_entries && i < bpf_map__max_entries(map); i++) {
		error = convert_entry(&old, map, to, i);
		if (error)
			return fail(error, "can't convert the map '%s' of %s", bpf_map__name(map),
				    half_name(half));
	}
	return 0;
}

/* Whether the object uses the pinned map itself. */
static bool is_kept(enum half half, const struct bpf_map *map)
{
	_cleanup_old_map_ struct old_map old = { .fd = -1 };
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);

	return !old_map_open(half, bpf_map__name(map), &old) &&
	       !bpf_obj_get_info_by_fd(bpf_map__fd(map), &info, &len) && info.id == old.info.id;
}

int maps_convert(enum half half, const struct shunt_bpf *skel)
{
	struct bpf_map *map;
	int error;

	bpf_object__for_each_map(map, skel->obj) {
		if (!is_in_object(map) || what_if_changed(map) != CONVERT || is_kept(half, map))
			continue;
		error = convert(half, skel, map);
		if (error)
			return error;
	}
	return 0;
}
