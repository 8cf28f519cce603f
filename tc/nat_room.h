/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NAT: who gives way when the table of flows is full. A flow that nobody has answered
 * makes room for a new one, if its source has as many flows as the newcomer's, or more;
 * an answered flow does so if its source has over twice as many. So whoever fills the
 * table gives way to others, and others never to them. Sources share counters by chance
 * (a secret hash); of IPv6 a source is the first 64 bits, and on this host it is a user.
 */
#ifndef SHUNT_NAT_ROOM_H
#define SHUNT_NAT_ROOM_H

#include "nat_end.h"

#define ROOM_TRIES 16  /* flows looked at for a new one */
#define ROOM_SPARE 16  /* for packets of other CPUs at the same moment */
#define ROOM_LARGE 256 /* flows: smaller tables spare nothing */

static __always_inline __u32 mix(__u32 hash, __u32 word)
{
	hash = (hash ^ word) * 0x9e3779b1;
	return hash ^ hash >> 15;
}

/* Which counter is the source's? */
static __noinline __u32 source_of(struct __sk_buff *skb, const struct shunt_nat_key *key)
{
	const struct shunt_nat_sweep *sweep = sweep_get();
	const __u32 *src = (const __u32 *)key->src;
	__u32 hash = mix(mix(sweep ? sweep->seed : 0, src[0]), src[1]);

	if (!skb->ingress_ifindex)
		hash = mix(hash, bpf_get_socket_uid(skb));
	return mix(hash, key->family) % SHUNT_NAT_SOURCES;
}

/* Puts a flow in the queue again. If others have taken the place, the flow ends: nobody
 * would look at it any more. */
static __noinline bool requeue(const struct shunt_nat_expiry_entry *entry,
			       const struct shunt_nat_flow *orig)
{
	if (!bpf_map_push_elem(&shunt_nat_queue, entry, 0))
		return true;
	end_flow(&entry->key, orig);
	return false;
}

/* NAT's flows come first: what goes straight to targets gets half of the room. */
static __always_inline bool has_room_untranslated(const struct shunt_nat *nat)
{
	const struct shunt_nat_sweep *sweep = sweep_get();

	return sweep && sweep->flows < nat->flows / 2;
}

struct eviction {
	__s32 flows; /* that the newcomer's source has */
	__u32 done;
};

/* May this flow be ended for a newcomer whose source has so many flows? */
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

/* Sees to room for one flow more; false if nobody gives way. */
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
