/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NAT: makes the two entries of a flow. The reply entry's key has to be free, and no socket of
 * this host may use its addresses and ports; else the flow gets another source port.
 */
#ifndef SHUNT_NAT_MAKE_H
#define SHUNT_NAT_MAKE_H

#include "nat_expiry.h"
#include "nat_search.h"
#include "nat_sockets.h"

#define EEXIST (-17)
#define PORT_TRIES 16
#define PORT_FIRST 32768 /* replacement source ports begin here */
#define PORT_MASK 0x7fff

struct port_search {
	struct __sk_buff *skb;
	struct scratch *scratch;
	bool forwarded;
	long error;
};

/* Tries to enter the reply entry: first with the flow's own source port, then with random ones. */
static long try_port(__u32 i, void *data)
{
	struct port_search *s = data;
	struct scratch *scratch = s->scratch;

	if (i || s->error == EEXIST)
		scratch->reply_key.dport = PORT_FIRST + (bpf_get_prandom_u32() & PORT_MASK);
	s->error = EEXIST;
	/* An untranslated TCP connection of a local socket needs no flow: the socket look-up
	 * finds it. Untranslated UDP gets a flow, which is cheaper than a socket look-up for
	 * each packet. */
	if (!(scratch->disposition == DISP_TRACK && scratch->reply_key.proto == IPPROTO_UDP) &&
	    reply_tuple_in_use(s->skb, &scratch->reply_key, s->forwarded))
		return 0;
	s->error = bpf_map_update_elem(&shunt_nat_flows, &scratch->reply_key, &scratch->flow,
				       BPF_NOEXIST);
	if (s->error == EEXIST)
		return 0;
	return 1;
}

/* Fills in the key of the flow's replies. They come from the target; its address has the
 * first t->to_len bits of t->to and the rest of the old destination. */
static __always_inline void fill_reply_key(struct shunt_nat_key *reply_key,
					   const struct shunt_nat_key *key,
					   const struct shunt_nat_target *t)
{
	const __u32 *old = (const __u32 *)key->dst, *to = (const __u32 *)t->to;
	__u32 *bits = (__u32 *)reply_key->src;
	int i;

	copy_first_bits(reply_key->src, key->dst, t->to_len);
	for (i = 0; i < 4; i++)
		bits[i] = (old[i] ^ bits[i]) | to[i];
	__builtin_memcpy(reply_key->dst, key->src, 16);
	reply_key->sport = t->one_to_one ? key->dport - t->dport_low + t->to_low
			   : t->to_low   ? t->to_low
					 : key->dport;
	reply_key->dport = key->sport;
	reply_key->family = key->family;
	reply_key->proto = key->proto;
	reply_key->direction = NAT_DIR_REPLY;
	reply_key->pad = 0;
}

/* Records the interface by which the flow's packets leave without NAT, and this host's link layer
 * address there, which is at offset 6 of the packet. */
static __always_inline void set_orig_iface(struct __sk_buff *skb, struct shunt_nat_flow *flow,
					   bool raw)
{
	flow->ifindex = skb->ifindex;
	flow->raw = raw;
	if (!raw)
		bpf_skb_load_bytes(skb, 6, flow->orig_mac, 6);
}

/* The route to the old destination leads to another interface now. The route to the target
 * may have changed too, so it is looked up again. */
static __noinline void update_orig_iface(struct __sk_buff *skb, struct shunt_nat_flow *orig,
					 bool raw)
{
	struct shunt_nat_flow *reply = flow_get(&orig->other);

	if (reply)
		set_orig_iface(skb, reply, raw);
	set_orig_iface(skb, orig, raw);
	if (orig->route_ns != ~0ULL)
		orig->route_ns = 0;
}

/* Counts a flow that found no room, except an untranslated one. Returns NULL, for the caller to
 * return. */
static __noinline struct shunt_nat_flow *count_refused(enum disposition disposition, __u32 rule)
{
	struct shunt_nat_rule *r = rule_get(rule);

	if (disposition == DISP_TRACK)
		return NULL;
	COUNT(nat_refused, 1);
	if (r)
		__sync_fetch_and_add(&r->refused, 1);
	return NULL;
}

/* Fills in what both entries of the flow have in common. */
static __always_inline void fill_flow(struct __sk_buff *skb, const struct shunt_nat_key *key,
				      struct scratch *scratch, bool raw)
{
	struct shunt_nat_flow *flow = &scratch->flow;

	__builtin_memset(flow, 0, sizeof(*flow));
	flow->other = *key;
	flow->last_packet_ns = bpf_ktime_get_coarse_ns();
	flow->rule = scratch->target.rule;
	flow->fallback_oif = scratch->target.ifindex;
	flow->id = bpf_get_prandom_u32();
	flow->source = source_of(skb, key);
	if (scratch->disposition == DISP_TRACK) {
		flow->forward_action = NAT_UNTRANSLATED;
		flow->generation = scratch->generation;
	}
	set_orig_iface(skb, flow, raw);
}

/*
 * Makes the two entries of a flow from key to scratch->target. The flow gets another source port
 * if its own is in use, or for DISP_CHANGE_PORT. Returns NULL if there is no room.
 */
static __noinline struct shunt_nat_flow *make_flow(struct __sk_buff *skb,
						   const struct shunt_nat_key *key,
						   struct scratch *scratch, bool raw)
{
	enum disposition disposition = scratch->disposition;
	struct shunt_nat_flow *flow = &scratch->flow, *orig;
	__u32 index = scratch->target.rule;
	struct shunt_nat_rule *rule;
	struct port_search s = {
		.skb = skb,
		.scratch = scratch,
		.forwarded = !skb->sk,
		.error = disposition == DISP_CHANGE_PORT ? EEXIST : 0,
	};

	fill_reply_key(&scratch->reply_key, key, &scratch->target);
	fill_flow(skb, key, scratch, raw);
	if (disposition != DISP_TRACK && !make_room(flow->source))
		return count_refused(disposition, index);
	bpf_loop(disposition == DISP_TRACK ? 1 : PORT_TRIES, try_port, &s, 0);
	if (s.error)
		return count_refused(disposition, index);
	flow->other = scratch->reply_key;
	if (disposition == DISP_CHANGE_PORT)
		flow->route_ns = ~0ULL; /* never looked up: only the port changes */
	if (bpf_map_update_elem(&shunt_nat_flows, key, flow, BPF_NOEXIST)) {
		bpf_map_delete_elem(&shunt_nat_flows, &scratch->reply_key);
		orig = flow_get(key); /* another CPU was faster */
		return orig ? orig : count_refused(disposition, index);
	}
	orig = flow_get(key);
	if (!orig)
		return NULL;
	if (!enqueue(key, flow->id)) {
		bpf_map_delete_elem(&shunt_nat_flows, &scratch->reply_key);
		bpf_map_delete_elem(&shunt_nat_flows, key);
		return count_refused(disposition, index);
	}
	COUNT(nat_made, 1);
	source_flows_add(flow->source, 1);
	if (disposition == DISP_TRACK)
		COUNT(nat_untranslated, 1);
	if (scratch->reply_key.dport != key->sport)
		COUNT(nat_other_ports, 1);
	rule = rule_get(index);
	if (rule)
		__sync_fetch_and_add(&rule->flows, 1);
	return orig;
}

#endif
