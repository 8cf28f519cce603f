/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NAT: which flow is evicted when the table of flows is full. A flow without a reply is
 * evicted for a new flow if its source has at least as many flows as the new flow's source.
 * A flow with replies is evicted only if its source has more than twice as many. So a source
 * that fills the table loses its own flows to others, and never takes theirs. Flows are
 * counted by a secret hash of the source, so two sources may share a counter by chance.
 * For IPv6 a source is the first 64 bits of the address; for flows of this host it is the
 * address and the user.
 */
#ifndef SHUNT_NAT_ROOM_H
#define SHUNT_NAT_ROOM_H

#include "nat_end.h"

#define ROOM_TRIES 16  /* flows that are examined for eviction */
#define ROOM_SPARE 16  /* kept free for other CPUs at the same moment */
#define ROOM_LARGE 256 /* flows: smaller tables keep nothing free */

static __always_inline __u32 mix_word(__u32 hash, __u32 word)
{
	hash = (hash ^ word) * 0x9e3779b1;
	return hash ^ hash >> 15;
}

/* The index of the source's counter in shunt_nat_sources. */
static __noinline __u32 source_of(struct __sk_buff *skb, const struct shunt_nat_key *key)
{
	const struct shunt_nat_sweep *sweep = sweep_get();
	const __u32 *src = (const __u32 *)key->src;
	__u32 hash = mix_word(mix_word(sweep ? sweep->seed : 0, src[0]), src[1]);

	if (!skb->ingress_ifindex)
		hash = mix_word(hash, bpf_get_socket_uid(skb));
	return mix_word(hash, key->family) % SHUNT_NAT_SOURCES;
}

/* Puts a flow back in the queue. If the queue has become full, the flow is ended, because
 * nothing would ever examine it again. */
static __noinline bool requeue(const struct shunt_nat_expiry_entry *entry,
			       const struct shunt_nat_flow *orig)
{
	if (!bpf_map_push_elem(&shunt_nat_queue, entry, 0))
		return true;
	end_flow(&entry->key, orig);
	return false;
}

/* Whether there is room for an untranslated flow. They get half of the table at most, because
 * NAT's own flows come first. */
static __always_inline bool has_room_untranslated(const struct shunt_nat *nat)
{
	const struct shunt_nat_sweep *sweep = sweep_get();

	return sweep && sweep->flows < nat->flows / 2;
}

struct eviction {
	__s32 flows; /* of the new flow's source */
	__u32 done;
};

/* Whether this flow may be evicted for a new flow whose source has that number of flows. */
static __always_inline bool gives_way(const struct shunt_nat_flow *orig, __s32 flows)
{
	const struct shunt_nat_flow *reply = flow_get(&orig->other);
	const __s32 *own = source_flows(orig->source);

	if (!reply || !own)
		return false;
	if (!reply->packets && reply->forward_action != NAT_UNTRANSLATED)
		return *own >= flows;
	return *own > 2 * (flows + 1);
}

/* bpf_loop() callback: takes one flow from the queue, and evicts the flow or puts it back. */
static long evict_one(__u32 i, void *data)
{
	struct eviction *e = *(struct eviction **)data;
	struct shunt_nat_sweep *sweep = sweep_get();
	struct shunt_nat_flow *orig;
	struct shunt_nat_expiry_entry entry;

	(void)i;
	if (!sweep || bpf_map_pop_elem(&shunt_nat_queue, &entry))
		return 1;
	orig = flow_get(&entry.key);
	if (orig && orig->id == entry.id) {
		if (!gives_way(orig, e->flows)) {
			if (!requeue(&entry, orig))
				__sync_fetch_and_add(&sweep->flows, -1);
			return 0;
		}
		if (end_flow(&entry.key, orig))
			COUNT(nat_evicted, 1);
	}
	__sync_fetch_and_add(&sweep->flows, -1);
	e->done = 1;
	return 1;
}

/* Makes room for one flow more. Returns false if no flow could be evicted. */
static __noinline bool make_room(__u32 source)
{
	const struct shunt_nat_sweep *sweep = sweep_get();
	const struct shunt_nat *nat = nat_get();
	const __s32 *flows = source_flows(source);
	struct eviction e = {}, *data = &e;
	__u32 room;

	if (!sweep || !nat || !flows)
		return false;
	room = nat->flows > ROOM_LARGE ? nat->flows - ROOM_SPARE : nat->flows;
	if (sweep->flows < room)
		return true;
	e.flows = *flows;
	bpf_loop(ROOM_TRIES, evict_one, &data, 0);
	return e.done || sweep->flows < nat->flows;
}

#endif
