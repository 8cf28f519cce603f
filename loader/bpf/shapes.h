/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The shapes of values in maps, by their BTF types. Two builds of shunt may lay out a struct in
 * different ways. A field is the same field if it has the same name: who changes the meaning of a
 * field gives it another name.
 */
#ifndef SHUNT_SHAPES_H
#define SHUNT_SHAPES_H

#include <stdbool.h>

#include <linux/types.h>

struct btf;

/* A type; btf NULL: unknown. */
struct shape {
	const struct btf *btf;
	__u32 type;
};

/* Whether both types have the same fields, with the same names, sizes and offsets. */
bool shapes_equal(struct shape a, struct shape b);

/* Copies the fields that both structs have. The fields that only *to has stay as they are. */
void shape_convert(struct shape from, const void *value, struct shape to, void *ret_value);

/* Sets *ret to the offset in bytes of a field, such as "run.loaded". Returns 0, or -ENOENT without a
 * message. */
int shape_offset(struct shape s, const char *path, __u32 *ret);

#endif
