// SPDX-License-Identifier: GPL-2.0-only
#include "bypass/pair_table.h"

#include <string.h>

#include <bpf/bpf.h>

#include <shunt/pair_ends.h>

/* Any pair may take the entry of a pair that was idle for longer. */
#define IDLE_NS 5000000000ULL
/* Limit of the searches between two scans, each of which reads the whole table. */
#define MAX_SEARCHES 64
/* How long 'shunt sockets' gives WHY_NO_ENTRY as a reason after a pair found no entry. */
#define REFUSED_NS 2000000000ULL

/* How many entries the pairs of each cgroup have: a hash table with open addressing. */
#define COUNTS (2 * SHUNT_PAIRS)

static struct entry_count {
	__u64 cgroup;
	__u32 entries;
} counts[COUNTS];

static struct entry_count *count_of(__u64 cgroup)
{
	__u32 i = cgroup * 0x9e3779b97f4a7c15ULL >> 32;

	for (i %= COUNTS; counts[i].entries && counts[i].cgroup != cgroup; i = (i + 1) % COUNTS)
		;
	return &counts[i];
}

/* Fills counts[]. Returns how many cgroups have entries. */
static __u32 count_entries(const struct pair_table *t)
{
	const struct shunt_pair *p;
	struct entry_count *c;
	__u32 cgroups = 0;

	memset(counts, 0, sizeof(counts));
	for (p = &t->pairs[1]; p < &t->pairs[t->pairs_end]; p++) {
		if (p->stage == STAGE_FREE)
			continue;
		c = count_of(p->cgroup);
		cgroups += !c->entries;
		c->cgroup = p->cgroup;
		c->entries++;
	}
	return cgroups;
}

/* The entry to take away for a pair of this cgroup. NULL if there is none: only idle entries
 * are taken, and those of a cgroup that has more than its share for one that has less. */
static struct shunt_pair *find_victim(const struct pair_table *t, __u64 cgroup, __u64 now_ns)
{
	const __u32 share = SHUNT_PAIRS / (count_entries(t) + 1);
	bool below_share = count_of(cgroup)->entries < share;
	struct shunt_pair *p, *found = NULL;
	__u32 entries, most = 0;

	for (p = &t->pairs[1]; p < &t->pairs[t->pairs_end]; p++) {
		if (p->stage != STAGE_WAITING && p->stage != STAGE_ACTIVE)
			continue;
		entries = count_of(p->cgroup)->entries;
		if (now_ns - p->busy_ns < IDLE_NS && (!below_share || entries <= share))
			continue;
		if (!found || entries > most || (entries == most && p->busy_ns < found->busy_ns)) {
			found = p;
			most = entries;
		}
	}
	return found;
}

/* Takes an entry away. Returns it if it is free now; NULL if there is none, or if its pair
 * has to leave the fast path first. */
static struct shunt_pair *reclaim(struct pair_table *t, __u64 cgroup, __u64 now_ns)
{
	struct shunt_pair *p;

	if (t->searches++ >= MAX_SEARCHES)
		return NULL;
	p = find_victim(t, cgroup, now_ns);
	if (!p)
		return NULL;
	if (p->stage == STAGE_WAITING) {
		pair_table_free(t, p);
		t->conf->run.reclaimed++;
		return p;
	}
	if (__sync_bool_compare_and_swap(&p->stage, STAGE_ACTIVE, STAGE_LEAVING)) {
		p->why = WHY_RECLAIMED;
		p->since_ns = now_ns;
	}
	return NULL;
}

static struct shunt_pair *find_free(struct pair_table *t)
{
	__u32 i;

	for (i = t->first_free; i < SHUNT_PAIRS && t->pairs[i].stage != STAGE_FREE; i++)
		;
	t->first_free = i;
	return i < SHUNT_PAIRS ? &t->pairs[i] : NULL;
}

static void set_slot(struct pair_table *t, __u64 cookie, __u32 slot)
{
	bpf_map_update_elem(t->slot_map, &cookie, &slot, BPF_ANY);
}

struct shunt_pair *pair_table_add(struct pair_table *t, const struct shunt_row *row, __u64 now_ns)
{
	struct shunt_pair *p = find_free(t);
	__u32 slot;

	if (!p)
		p = reclaim(t, row->cgroup, now_ns);
	if (!p) {
		t->conf->run.no_entry++;
		t->conf->run.pair_table_full = 1;
		t->refused_ns = now_ns;
		return NULL;
	}
	slot = p - t->pairs;
	memset(p, 0, sizeof(*p));
	p->cgroup = row->cgroup;
	p->busy_ns = now_ns;
	own_end(p, &row->sk)->cookie = row->sk.cookie;
	peer_end(p, &row->sk)->cookie = row->sk.peer_cookie;
	p->end[0].last_scan = p->end[1].last_scan = t->conf->run.scan_seq;
	set_slot(t, row->sk.cookie, slot);
	set_slot(t, row->sk.peer_cookie, slot);
	if (slot >= t->pairs_end)
		t->pairs_end = slot + 1;
	return p;
}

void pair_table_free(struct pair_table *t, struct shunt_pair *p)
{
	__u32 slot;
	int i;

	for (i = 0; i < 2; i++)
		if (!bpf_map_lookup_elem(t->slot_map, &p->end[i].cookie, &slot) &&
		    slot == p - t->pairs)
			bpf_map_delete_elem(t->slot_map, &p->end[i].cookie);
	memset(p, 0, sizeof(*p));
	if (p - t->pairs < t->first_free)
		t->first_free = p - t->pairs;
}

void pair_table_begin_scan(struct pair_table *t, __u64 now_ns)
{
	t->searches = 0;
	if (now_ns - t->refused_ns > REFUSED_NS)
		t->conf->run.pair_table_full = 0;
}
