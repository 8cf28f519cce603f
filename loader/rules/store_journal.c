// SPDX-License-Identifier: GPL-2.0-only
#include "rules/store_journal.h"

#include <shunt/rule_hash.h>
#include "rules/counters.h"

/* The slot has its new value: brings the numbers of rules and counters up to date. */
static void journal_finish(struct store *s)
{
	struct shunt_store_journal *j = s->journal;

	j->rules = j->change_rules;
	if (j->change_counters)
		counters_free(s, j->change_counters - 1);
	__atomic_store_n(&j->change_slot, 0, __ATOMIC_SEQ_CST);
}

void journal_publish(struct store *s, __u32 slot, __u64 hash, __u32 value,
		     const struct journal_entry *e)
{
	struct shunt_store_journal *j = s->journal;

	j->change_rules = j->rules + e->rules;
	j->change_counters = e->frees_counters ? e->counters + 1 : 0;
	j->change_value = (__u64)tag_of(hash) << 32 | value;
	__atomic_store_n(&j->change_slot, slot + 1, __ATOMIC_SEQ_CST);
	slot_set(s, SLOTS_INDEX, slot, hash, value);
	journal_finish(s);
}

void journal_repair(struct store *s)
{
	struct shunt_store_journal *j = s->journal;

	if (!j->change_slot)
		return;
	if (slot_get(s, SLOTS_INDEX, j->change_slot - 1) == j->change_value)
		journal_finish(s);
	j->change_slot = 0;
}
