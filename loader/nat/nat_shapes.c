// SPDX-License-Identifier: GPL-2.0-only
#include "nat/nat_shapes.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>

#include <bpf/bpf.h>

#include "util/array.h"
#include "util/log.h"

static enum shunt_nat_group group_of(const struct shunt_nat_match *key)
{
	if (key->is_target)
		return key->family == AF_INET ? NAT_TARGET4 : NAT_TARGET6;
	return key->family == AF_INET ? NAT_DST4 : NAT_DST6;
}

/* Longer prefixes first, then smaller blocks: the order of precedence. */
static int compare_shapes(const void *a, const void *b)
{
	const __u8 *x = a, *y = b;

	return x[0] != y[0] ? y[0] - x[0] : y[1] - x[1];
}

static int add_shape(struct shunt_nat_shapes *s, const struct shunt_nat_match *key)
{
	unsigned int i;

	for (i = 0; i < s->count; i++)
		if (s->shape[i].dst_len == key->dst_len && s->shape[i].port_len == key->port_len)
			return 0;
	if (s->count == SHUNT_NAT_SHAPES)
		return deny(-ENOSPC,
			    "no room for more than %d pairs of prefix length and port block",
			    SHUNT_NAT_SHAPES);
	s->shape[s->count].dst_len = key->dst_len;
	s->shape[s->count++].port_len = key->port_len;
	return 0;
}

/* Writes a group's shapes into the copy that is not in force, and then puts it in force. */
static void publish(struct shunt_nat *nat, struct shunt_nat_shapes *shapes, enum shunt_nat_group g,
		    struct shunt_nat_shapes *s)
{
	__u32 other = 2 * g + !(nat->current[g] & 1);

	sort_array(s->shape, s->count, sizeof(s->shape[0]), compare_shapes);
	shapes[other] = *s;
	__atomic_store_n(&nat->current[g], other, __ATOMIC_RELEASE);
}

static void publish_changed(struct shunt_nat *nat, struct shunt_nat_shapes *shapes,
			    struct shunt_nat_shapes s[NAT_GROUPS])
{
	unsigned int g;

	for (g = 0; g < NAT_GROUPS; g++)
		if (s[g].count != shapes[nat->current[g]].count)
			publish(nat, shapes, g, &s[g]);
}

int nat_shapes_add(struct shunt_nat *nat, struct shunt_nat_shapes *shapes,
		   const struct nat_entries *e)
{
	struct shunt_nat_shapes wide[NAT_GROUPS];
	unsigned int g;
	size_t i;
	int error;

	for (g = 0; g < NAT_GROUPS; g++)
		wide[g] = shapes[nat->current[g]];
	for (i = 0; i < e->count; i++) {
		error = add_shape(&wide[group_of(&e->entry[i].key)], &e->entry[i].key);
		if (error)
			return error;
	}
	publish_changed(nat, shapes, wide);
	return 0;
}

int nat_shapes_remove_unused(struct shunt_nat *nat, struct shunt_nat_shapes *shapes, int match_fd)
{
	struct shunt_nat_shapes used[NAT_GROUPS] = {};
	struct shunt_nat_match key, *last = NULL;
	int error;

	while (!bpf_map_get_next_key(match_fd, last, &key)) {
		error = add_shape(&used[group_of(&key)], &key);
		if (error)
			return error;
		last = &key;
	}
	publish_changed(nat, shapes, used);
	return 0;
}
