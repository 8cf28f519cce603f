// SPDX-License-Identifier: GPL-2.0-only
/* Structs that two builds lay out in different ways. */
#include "unit.h"

#include <errno.h>
#include <bpf/btf.h>

#include "bpf/shapes.h"

/* What the two builds have. */
struct first {
	__u32 abi;
	__u32 gone;
	__u64 bytes;
	__u16 ports[3];
	struct {
		__u32 loaded;
		__u32 trace;
	} run;
	__u8 low : 3;
	__u8 high : 5;
};

struct second {
	__u32 abi;
	__u16 ports[4];
	__u32 bytes;
	__u64 added;
	struct {
		__u32 trace;
		__u64 loaded;
	} run;
	__u8 pad : 1;
	__u8 high : 5;
};

struct types {
	struct btf *btf;
	int u8, u16, u32, u64;
};

static void types_begin(struct types *t)
{
	t->btf = btf__new_empty();
	assert_non_null(t->btf);
	t->u8 = btf__add_int(t->btf, "unsigned char", 1, 0);
	t->u16 = btf__add_int(t->btf, "unsigned short", 2, 0);
	t->u32 = btf__add_typedef(t->btf, "__u32", btf__add_int(t->btf, "unsigned int", 4, 0));
	t->u64 = btf__add_int(t->btf, "unsigned long long", 8, 0);
}

static void add_field(struct types *t, const char *name, int type, size_t offset)
{
	assert_int_equal(btf__add_field(t->btf, name, type, offset * 8, 0), 0);
}

static struct shape make_first(struct types *t, const char *bytes_name)
{
	int run, ports, all;

	types_begin(t);
	ports = btf__add_array(t->btf, t->u32, t->u16, 3);
	run = btf__add_struct(t->btf, "run", 8);
	add_field(t, "loaded", t->u32, 0);
	add_field(t, "trace", t->u32, 4);
	all = btf__add_struct(t->btf, "conf", sizeof(struct first));
	add_field(t, "abi", t->u32, offsetof(struct first, abi));
	add_field(t, "gone", t->u32, offsetof(struct first, gone));
	add_field(t, bytes_name, t->u64, offsetof(struct first, bytes));
	add_field(t, "ports", ports, offsetof(struct first, ports));
	add_field(t, "run", run, offsetof(struct first, run));
	assert_int_equal(btf__add_field(t->btf, "low", t->u8, (offsetof(struct first, run) + 8) * 8,
					3),
			 0);
	assert_int_equal(btf__add_field(t->btf, "high", t->u8,
					(offsetof(struct first, run) + 8) * 8 + 3, 5),
			 0);
	return (struct shape){ t->btf, all };
}

static struct shape make_second(struct types *t)
{
	int run, ports, all;

	types_begin(t);
	ports = btf__add_array(t->btf, t->u32, t->u16, 4);
	run = btf__add_struct(t->btf, "run", 16);
	add_field(t, "trace", t->u32, 0);
	add_field(t, "loaded", t->u64, 8);
	all = btf__add_struct(t->btf, "conf", sizeof(struct second));
	add_field(t, "abi", t->u32, offsetof(struct second, abi));
	add_field(t, "ports", ports, offsetof(struct second, ports));
	add_field(t, "bytes", t->u32, offsetof(struct second, bytes));
	add_field(t, "added", t->u64, offsetof(struct second, added));
	add_field(t, "run", run, offsetof(struct second, run));
	assert_int_equal(btf__add_field(t->btf, "high", t->u8,
					(offsetof(struct second, run) + 16) * 8 + 1, 5),
			 0);
	return (struct shape){ t->btf, all };
}

static void fields_are_found_by_name(void **unused)
{
	const struct first from = {
		.abi = 17,
		.gone = 9,
		.bytes = 1234567,
		.ports = { 80, 443, 8080 },
		.run = { .loaded = 1, .trace = 2 },
		.low = 7,
		.high = 0x15,
	};
	struct second to = { .added = 77, .pad = 1 };
	struct types a, b;
	const struct shape x = make_first(&a, "bytes"), y = make_second(&b);

	(void)unused;
	shape_convert(x, &from, y, &to);
	assert_int_equal(to.abi, 17);
	assert_int_equal(to.bytes, 1234567);
	assert_int_equal(to.added, 77);
	assert_int_equal(to.ports[0], 80);
	assert_int_equal(to.ports[2], 8080);
	assert_int_equal(to.ports[3], 0);
	assert_int_equal(to.run.loaded, 1);
	assert_int_equal(to.run.trace, 2);
	assert_int_equal(to.high, 0x15);
	assert_int_equal(to.pad, 1);
	btf__free(a.btf);
	btf__free(b.btf);
}

static void shapes_differ_by_names_and_offsets(void **unused)
{
	struct types a, b, c, d;
	const struct shape none = {};
	const struct shape first = make_first(&a, "bytes"), same = make_first(&b, "bytes");
	const struct shape renamed = make_first(&c, "octets"), other = make_second(&d);

	(void)unused;
	assert_true(shapes_equal(first, same));
	assert_false(shapes_equal(first, renamed));
	assert_false(shapes_equal(first, other));
	assert_false(shapes_equal(first, none));
	assert_true(shapes_equal(none, none));
	btf__free(a.btf);
	btf__free(b.btf);
	btf__free(c.btf);
	btf__free(d.btf);
}

static void offsets_follow_the_path(void **unused)
{
	struct types t;
	const struct shape second = make_second(&t);
	__u32 offset;

	(void)unused;
	assert_int_equal(shape_offset(second, "run.loaded", &offset), 0);
	assert_int_equal(offset, offsetof(struct second, run.loaded));
	assert_int_equal(shape_offset(second, "bytes", &offset), 0);
	assert_int_equal(offset, offsetof(struct second, bytes));
	assert_int_equal(shape_offset(second, "run.missing", &offset), -ENOENT);
	assert_int_equal(shape_offset(second, "bytes.loaded", &offset), -ENOENT);
	assert_int_equal(shape_offset(second, "byte", &offset), -ENOENT);
	btf__free(t.btf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_found_by_name),
		cmocka_unit_test(shapes_differ_by_names_and_offsets),
		cmocka_unit_test(offsets_follow_the_path),
	};

	return cmocka_run_group_tests_name("shapes", tests, NULL, NULL);
}
