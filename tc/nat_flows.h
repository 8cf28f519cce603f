/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NAT: what happens to a packet without a flow, and whether a known flow still applies to a
 * packet. A flow keeps its translation (I12), with two exceptions: a SYN begins a new
 * connection, and an untranslated UDP flow only reserves a port.
 */
#ifndef SHUNT_NAT_FLOWS_H
#define SHUNT_NAT_FLOWS_H

#include "nat_make.h"

/* Counts a packet of the flow. TCP packets that may be forged do not count. */
static __always_inline void account_packet(struct shunt_nat_flow *flow, const struct packet *pkt,
					   __u32 len)
{
	if (pkt->proto == IPPROTO_TCP && !tcp_track(flow, pkt))
		return;
	flow->last_packet_ns = bpf_ktime_get_coarse_ns();
	flow->packets++;
	flow->bytes += len;
}

/* Whether a rule or a target has the port. */
static __always_inline bool port_is_of_rules(__u8 proto, __u32 port)
{
	__u32 which = proto == IPPROTO_UDP;
	const struct shunt_nat_ports *ports = bpf_map_lookup_elem(&shunt_nat_ports, &which);

	return ports && ports->bits[(port & 0xffff) / 64] & 1ULL << port % 64;
}

/* Looks up the packet's destination in the list of shapes 'current', among destinations or targets
 * of rules. Sets scratch->target. */
static __always_inline bool find_target(const struct packet *pkt, struct scratch *scratch,
					__u32 current, bool is_target)
{
	struct nat_search s = {
		.pkt = pkt,
		.key = { .family = pkt->family, .proto = pkt->proto, .is_target = is_target },
		.scratch = scratch,
		.shapes = current,
	};

	bpf_loop(SHUNT_NAT_SHAPES, try_shape, &s, 0);
	return s.found;
}

/* Decides what happens to a packet without a flow. Sets scratch->disposition and scratch->target. */
static __noinline enum disposition find_disposition(const struct packet *pkt,
						    struct scratch *scratch)
{
	const struct shunt_nat *nat = nat_get();
	bool v4 = pkt->family == AF_INET;

	scratch->disposition = DISP_IGNORE;
	if (!nat || !port_is_of_rules(pkt->proto, pkt->dport))
		return DISP_IGNORE;
	scratch->generation = nat->generation;
	if (find_target(pkt, scratch, nat->current[v4 ? NAT_DST4 : NAT_DST6], false))
		return scratch->disposition = DISP_TRANSLATE;
	if (reply_flow_of(pkt))
		scratch->disposition = DISP_CHANGE_PORT;
	else if (find_target(pkt, scratch, nat->current[v4 ? NAT_TARGET4 : NAT_TARGET6], true) &&
		 has_room_untranslated(nat))
		scratch->disposition = DISP_TRACK;
	__builtin_memset(&scratch->target, 0, sizeof(scratch->target));
	__builtin_memcpy(scratch->target.to, pkt->dst, 16);
	scratch->target.to_len = 128;           /* all bits of IPv4 and of IPv6 */
	scratch->target.rule = SHUNT_NAT_RULES; /* none */
	return scratch->disposition;
}

/* Whether the rules in force would give the packet the same target. */
static __always_inline bool same_target(const struct shunt_nat_key *key, const struct packet *pkt,
					const struct shunt_nat_flow *orig, struct scratch *scratch)
{
	if (find_disposition(pkt, scratch) == DISP_IGNORE)
		return false;
	fill_reply_key(&scratch->reply_key, key, &scratch->target);
	return scratch->reply_key.sport == orig->other.sport &&
	       same_address(scratch->reply_key.src, orig->other.src);
}

/*
 * A SYN with the addresses and ports of a known flow. If the flow's connection has ended, or
 * nobody has ever replied, the rules are looked up again. If they give another target now,
 * the flow is removed, and the function returns false.
 */
static __noinline bool recheck_on_syn(const struct shunt_nat_key *key, const struct packet *pkt,
				      struct shunt_nat_flow *orig)
{
	struct shunt_nat_flow *reply = flow_get(&orig->other);
	struct scratch *scratch = scratch_get();

	if (!reply || !scratch)
		return true; /* another CPU removes it */
	if (reply->packets && !has_closed(orig, reply) && !has_closed(reply, orig) &&
	    !((orig->tcp_flags | reply->tcp_flags) & TCP_RST))
		return true;
	if ((!reply->packets || idle_of(orig, reply, IPPROTO_TCP) == NAT_CLOSED) &&
	    !same_target(key, pkt, orig, scratch)) {
		end_flow(key, orig);
		return false;
	}
	orig->tcp_flags = orig->last_flags = 0;
	reply->tcp_flags = reply->last_flags = 0;
	orig->fin = reply->fin = 0;
	reply->packets = 0;
	return true;
}

/* Looks up the rules again for an untranslated UDP flow when they have changed. If they give
 * another target now, the flow is removed, and the function returns false. */
static __noinline bool recheck_untranslated(const struct shunt_nat_key *key,
					    const struct packet *pkt, struct shunt_nat_flow *orig)
{
	const struct shunt_nat *nat = nat_get();
	struct scratch *scratch = scratch_get();

	if (!nat || !scratch || orig->generation == nat->generation)
		return true;
	if (!same_target(key, pkt, orig, scratch)) {
		end_flow(key, orig);
		return false;
	}
	orig->generation = scratch->generation;
	return true;
}

#endif
