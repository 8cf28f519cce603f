// SPDX-License-Identifier: GPL-2.0-only
#include "rules/store_journal.h"

#include <shunt/rule_hash.h>
#include "rules/counters.h"

/* The slot has its new value: brings the numbers of rules and counters up to date. */
static void journal_finish(struct store *s)
{
	struct shunt_store_journal *b = s->journal;

	b->rules = b->change_rules;
	if (b->change_counters)
		counters_free(s, b->change_counters - 1);
	__atomic_store_n(&b->change_slot, 0, __ATOMIC_SEQ_CST);
}

void journal_publish(struct store *s, __u32 slot, __u64 hash, __u32 value,
		     const struct journal_entry *e)
{
	struct shunt_store_journal *b = s->journal;

	b->change_rules = b->rules + e->rules;
	b->change_counters = e->frees_counters ? e->counters + 1 : 0;
	b->change_value = (__u64)tag_of(hash) << 32 | value;
	__atomic_store_n(&b->change_slot, slot + 1, __ATOMIC_SEQ_CST);
	slot_set(s, SLOTS_INDEX, slot, hash, value);
	journal_finish(s);
}

void journal_repair(struct store *s)
{
	struct shunt_store_journal *b = s->journal;

	if (!b->change_slot)
		return;
	if (slot_get(s, SLOTS_INDEX, b->change_slot - 1) == b->change_value)
		journal_finish(s);
	b->change_slot = 0;
}
