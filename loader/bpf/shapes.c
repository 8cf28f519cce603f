// SPDX-License-Identifier: GPL-2.0-only
#include "bpf/shapes.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <bpf/btf.h>

/* The type behind typedefs, const and the like. */
static const struct btf_type *bare(struct shape *s)
{
	const struct btf_type *t = btf__type_by_id(s->btf, s->type);

	while (t && (btf_is_mod(t) || btf_is_typedef(t))) {
		s->type = t->type;
		t = btf__type_by_id(s->btf, s->type);
	}
	return t;
}

static struct shape member_shape(struct shape s, const struct btf_member *m)
{
	return (struct shape){ s.btf, m->type };
}

static bool members_equal(struct shape a, const struct btf_type *x, struct shape b,
			  const struct btf_type *y)
{
	const struct btf_member *m = btf_members(x), *n = btf_members(y);
	int i;

	if (btf_vlen(x) != btf_vlen(y))
		return false;
	for (i = 0; i < btf_vlen(x); i++, m++, n++)
		if (m->offset != n->offset ||
		    strcmp(btf__name_by_offset(a.btf, m->name_off),
			   btf__name_by_offset(b.btf, n->name_off)) ||
		    !shapes_equal(member_shape(a, m), member_shape(b, n)))
			return false;
	return true;
}

static bool arrays_equal(struct shape a, const struct btf_type *x, struct shape b,
			 const struct btf_type *y)
{
	const struct btf_array *m = btf_array(x), *n = btf_array(y);

	return m->nelems == n->nelems &&
	       shapes_equal((struct shape){ a.btf, m->type }, (struct shape){ b.btf, n->type });
}

bool shapes_equal(struct shape a, struct shape b)
{
	const struct btf_type *x, *y;

	if (!a.btf || !b.btf)
		return !a.btf && !b.btf;
	x = bare(&a);
	y = bare(&b);
	if (!x || !y || btf_kind(x) != btf_kind(y))
		return x == y;
	if (btf_is_composite(x))
		return x->size == y->size && members_equal(a, x, b, y);
	if (btf_is_array(x))
		return arrays_equal(a, x, b, y);
	return btf_is_ptr(x) || x->size == y->size;
}

static const struct btf_member *find_member(struct shape s, const struct btf_type *t,
					    const char *name, size_t len)
{
	const struct btf_member *m = btf_members(t);
	const char *found;
	int i;

	for (i = 0; i < btf_vlen(t); i++, m++) {
		found = btf__name_by_offset(s.btf, m->name_off);
		if (!strncmp(found, name, len) && !found[len])
			return m;
	}
	return NULL;
}

/* Copies a field of some bits. */
static void convert_bits(const void *value, __u32 from, void *ret_value, __u32 to, __u32 bits)
{
	const __u8 *in = value;
	__u8 *out = ret_value;
	__u32 i;

	for (i = 0; i < bits; i++, from++, to++) {
		out[to / 8] &= ~(1U << to % 8);
		out[to / 8] |= (in[from / 8] >> from % 8 & 1) << to % 8;
	}
}

/* Copies an integer; the value fits into both sizes, or is cut. The byte order is that of this host. */
static void convert_integer(const void *value, __u32 from, void *ret_value, __u32 to)
{
	__u64 n = 0;

	if (from > sizeof(n) || to > sizeof(n))
		return;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	memcpy(&n, value, from);
	memcpy(ret_value, &n, to);
#else
	memcpy((char *)&n + sizeof(n) - from, value, from);
	memcpy(ret_value, (char *)&n + sizeof(n) - to, to);
#endif
}

static void convert_array(struct shape from, const struct btf_type *x, const char *value,
			  struct shape to, const struct btf_type *y, char *ret_value)
{
	const struct btf_array *m = btf_array(x), *n = btf_array(y);
	const __s64 in = btf__resolve_size(from.btf, m->type);
	const __s64 out = btf__resolve_size(to.btf, n->type);
	__u32 i;

	for (i = 0; i < m->nelems && i < n->nelems && in > 0 && out > 0; i++)
		shape_convert((struct shape){ from.btf, m->type }, value + i * in,
			      (struct shape){ to.btf, n->type }, ret_value + i * out);
}

static void convert_member(struct shape from, const struct btf_type *x, const char *value,
			   struct shape to, const struct btf_type *y, int index, char *ret_value)
{
	const struct btf_member *n = btf_members(y) + index, *m;
	const char *name = btf__name_by_offset(to.btf, n->name_off);
	__u32 bits = btf_member_bitfield_size(y, index), in, out;
	int from_index;

	m = find_member(from, x, name, strlen(name));
	if (!m)
		return;
	from_index = m - btf_members(x);
	in = btf_member_bit_offset(x, from_index);
	out = btf_member_bit_offset(y, index);
	if (bits && bits == btf_member_bitfield_size(x, from_index))
		convert_bits(value, in, ret_value, out, bits);
	else if (!bits && !btf_member_bitfield_size(x, from_index))
		shape_convert(member_shape(from, m), value + in / 8, member_shape(to, n),
			      ret_value + out / 8);
}

void shape_convert(struct shape from, const void *value, struct shape to, void *ret_value)
{
	const struct btf_type *x = bare(&from), *y = bare(&to);
	int i;

	if (!x || !y)
		return;
	if (btf_is_composite(x) && btf_is_composite(y)) {
		for (i = 0; i < btf_vlen(y); i++)
			convert_member(from, x, value, to, y, i, ret_value);
		return;
	}
	if (btf_is_array(x) && btf_is_array(y))
		convert_array(from, x, value, to, y, ret_value);
	else if ((btf_is_int(x) || btf_is_any_enum(x)) && (btf_is_int(y) || btf_is_any_enum(y)))
		convert_integer(value, x->size, ret_value, y->size);
}

int shape_offset(struct shape s, const char *path, __u32 *ret)
{
	const struct btf_member *m;
	const struct btf_type *t;
	size_t len;

	*ret = 0;
	for (; *path; path += len + (path[len] == '.')) {
		len = strcspn(path, ".");
		t = bare(&s);
		m = t && btf_is_composite(t) ? find_member(s, t, path, len) : NULL;
		if (!m)
			return -ENOENT;
		*ret += btf_member_bit_offset(t, m - btf_members(t)) / 8;
		s = member_shape(s, m);
	}
	return 0;
}
