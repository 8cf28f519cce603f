// SPDX-License-Identifier: GPL-2.0-only
#include "rules/units.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/random.h>
#include <unistd.h>

#include <shunt/rule_hash.h>
#include "bpf/pins.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/options.h"

#define FIRST_UNITS 8192
#define FIRST_ENTRIES 2048

static int store_map(struct store *ret, int fd)
{
	struct store s;
	int error = mmap_array_open(&s.array, fd);

	if (error)
		return error;
	s.header = store_at(&s, 0, SHUNT_FIXED);
	s.lengths = (void *)(s.header + 1);
	s.journal = (void *)(s.lengths + 1);
	*ret = s;
	return 0;
}

int store_open(struct store *ret)
{
	int fd = inner_pinned("shunt_rules");

	return fd < 0 ? fd : store_map(ret, fd);
}

void store_close(struct store *s)
{
	mmap_array_close(&s->array);
}

/* The units of a table that this many entries fill by half. */
static __u32 table_units(__u32 entries)
{
	__u32 units = 16;

	while (units < entries / 4)
		units *= 2;
	return units;
}

int store_create(struct store *ret, __u32 units, __u32 filter_entries, __u32 index_entries)
{
	__u32 filter = table_units(filter_entries), index = table_units(index_entries);
	__u32 first = SHUNT_FIXED + filter + index;
	struct store s;
	int fd, error;

	fd = inner_create("shunt_store", SHUNT_UNIT, first + units);
	if (fd < 0)
		return fd;
	error = store_map(&s, fd);
	if (error)
		return fail(error, "can't map the rules");
	if (getrandom(&s.header->seed, sizeof(s.header->seed), GRND_NONBLOCK) < 0)
		s.header->seed = (uintptr_t)&s ^ getpid();
	s.header->filter = SHUNT_FIXED;
	s.header->filter_mask = filter - 1;
	s.header->index = SHUNT_FIXED + filter;
	s.header->index_mask = index - 1;
	s.journal->units = first + units;
	s.journal->next_free_unit = first;
	*ret = s;
	return 0;
}

int store_install(const struct store *s)
{
	_cleanup_fd_ int outer = pin_open(HALF_STEER, "maps", "shunt_rules");

	if (outer < 0)
		return fail(outer, "can't open the rules in '%s'", opt.pin_dir);
	return inner_install(outer, s->array.fd);
}

int store_make(int outer)
{
	struct store s;
	int error = store_create(&s, FIRST_UNITS, FIRST_ENTRIES, FIRST_ENTRIES);

	if (error)
		return error;
	error = inner_install(outer, s.array.fd);
	store_close(&s);
	return error;
}

void *store_at(struct store *s, __u32 unit, __u32 count)
{
	return mmap_array_at(&s->array, (size_t)unit * SHUNT_UNIT, (size_t)count * SHUNT_UNIT);
}

__u32 store_alloc(struct store *s, __u32 count)
{
	__u32 unit = s->journal->next_free_unit;

	if (s->journal->units - unit < count)
		return 0;
	__atomic_store_n(&s->journal->next_free_unit, unit + count, __ATOMIC_RELEASE);
	return unit;
}

static __u32 first_unit(const struct store *s, enum slots table)
{
	return table == SLOTS_FILTER ? s->header->filter : s->header->index;
}

static __u32 unit_mask(const struct store *s, enum slots table)
{
	return table == SLOTS_FILTER ? s->header->filter_mask : s->header->index_mask;
}

static __u32 *slots_used(const struct store *s, enum slots table)
{
	return table == SLOTS_FILTER ? &s->journal->filter_used : &s->journal->index_used;
}

__u32 slots_count(const struct store *s, enum slots table)
{
	return (unit_mask(s, table) + 1) * 8;
}

bool slots_have_room(const struct store *s, enum slots table, __u32 count)
{
	return *slots_used(s, table) + count <= slots_count(s, table) / 8 * 5;
}

static __u64 *slot_at(struct store *s, enum slots table, __u32 slot)
{
	__u64 *word = store_at(s, first_unit(s, table) + slot / 8, 1);

	return word + slot % 8;
}

__u32 slot_find(struct store *s, enum slots table, __u64 hash, __u32 *ret_free)
{
	__u32 i, slot, tag = tag_of(hash);
	__u64 word;

	*ret_free = NO_SLOT;
	for (i = 0; i < SHUNT_CHAIN * 8; i++) {
		slot = ((__u32)hash + i / 8) & unit_mask(s, table);
		slot = slot * 8 + i % 8;
		word = *slot_at(s, table, slot);
		if (word >> 32 == tag)
			return slot;
		if (*ret_free == NO_SLOT && !(__u32)word)
			*ret_free = slot;
		if (!word)
			break;
	}
	return NO_SLOT;
}

__u64 slot_get(struct store *s, enum slots table, __u32 slot)
{
	return *slot_at(s, table, slot);
}

void slot_set(struct store *s, enum slots table, __u32 slot, __u64 hash, __u32 value)
{
	__u64 *word = slot_at(s, table, slot);

	if (!*word)
		++*slots_used(s, table);
	__atomic_store_n(word, (__u64)tag_of(hash) << 32 | value, __ATOMIC_RELEASE);
}
