/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TCP segments of connections that the router has lost by a crash or a reboot. No socket
 * has the flow, but a rule matches. If only the router can have had the connection, the
 * segment is given to the listener. The stack answers with a reset, so the client connects
 * again. All other segments pass, because they may belong to a connection that was
 * forwarded before the rule was added (I8).
 */
#ifndef SHUNT_FORGOTTEN_H
#define SHUNT_FORGOTTEN_H

#include "deliver.h"
#include "remembered.h"

/* tc/tracked.bpf.c */
extern int shunt_is_tracked(struct __sk_buff *skb, const struct packet *pkt);

/* Whether nobody but the router can receive the packet: routing has no next hop for it,
 * and its destination is no address of this host, which would answer by itself. Inlined,
 * because Linux 6.1 adds up the stacks of all functions in a call chain. */
static __always_inline bool leads_nowhere(struct __sk_buff *skb, const struct packet *pkt)
{
	const struct sk_buff *k = (const void *)skb;
	long route;

	if (pkt->ifindex == SHUNT_LOCAL_IFINDEX)
		return 0;
	route = look_up_route(skb, pkt);
	if (route < 0 || route > BPF_FIB_LKUP_RET_FWD_DISABLED || route == BPF_FIB_LKUP_RET_SUCCESS)
		return 0;
	return !shunt_own_address(skb, pkt, (__u64)BPF_CORE_READ(k, dev, nd_net.net)) &&
	       !shunt_is_tracked(skb, pkt);
}

enum forgotten {
	FORGOTTEN_NO,
	FORGOTTEN_YES,
	FORGOTTEN_BY_RULE, /* the rule has every segment reset that belongs to no socket */
};

/* Tells whether the router had the connection. Sets w->rule to the rule that matches. */
static __always_inline enum forgotten classify_unknown(struct __sk_buff *skb,
						       const struct packet *pkt, __u64 hash,
						       struct work *w)
{
	if (!shunt_find(pkt, &w->rule) || w->rule.action != SHUNT_STEER ||
	    w->rule.unknown == SHUNT_UNKNOWN_PASS ||
	    is_left_to_own_service(skb, pkt, IPPROTO_TCP, &w->rule))
		return FORGOTTEN_NO;
	if (is_remembered(hash))
		return FORGOTTEN_YES;
	if (w->rule.unknown == SHUNT_UNKNOWN_RESET)
		return FORGOTTEN_BY_RULE;
	if (!leads_nowhere(skb, pkt))
		return FORGOTTEN_NO;
	/* This segment makes connection tracking know the flow, so the next segment would pass. */
	remember(hash);
	return FORGOTTEN_YES;
}

/* Whether the segment, which belongs to no socket, is of a connection that the router has
 * forgotten. */
static __always_inline enum forgotten is_forgotten(struct __sk_buff *skb, const struct packet *pkt,
						   const struct shunt_conf *conf)
{
	struct work *w = work_get();
	enum forgotten ret;
	__u32 tick;
	__u64 hash;

	/* Nothing answers a reset. */
	if (!w || starts_flow(pkt, IPPROTO_TCP) || pkt->tcp_flags & TCP_RST)
		return FORGOTTEN_NO;
	hash = connection_hash(pkt, conf);
	tick = tick_now();
	if (was_let_pass(hash, tick))
		return FORGOTTEN_NO;
	ret = classify_unknown(skb, pkt, hash, w);
	if (ret == FORGOTTEN_NO)
		remember_let_pass(hash, tick);
	return ret;
}

/* Assigns the packet to the listener. For IPv4 the stack sends a reset from an address of
 * another host only for a transparent socket. Without a listener there is no answer, and
 * the client sends again. */
static __always_inline void assign_for_reset(struct __sk_buff *skb, const struct packet *pkt,
					     const struct rule_match *rule)
{
	struct bpf_sock *sk = lookup(skb, pkt, IPPROTO_TCP, rule->to, rule->to_port);

	if (!sk)
		return;
	if (sk->state == TCP_LISTEN && tcp_transparent(sk, TCP_LISTEN))
		bpf_sk_assign(skb, sk, 0);
	bpf_sk_release(sk);
}

/* Lets the stack reset the connection of a segment that belongs to no socket, if the router
 * has forgotten the connection. */
static __always_inline void reset_forgotten(struct __sk_buff *skb, const struct packet *pkt,
					    const struct shunt_conf *conf)
{
	struct work *w = work_get();
	struct shunt_rule_counters *counters;

	if (is_forgotten(skb, pkt, conf) == FORGOTTEN_NO || !w)
		return;
	assign_for_reset(skb, pkt, &w->rule);
	counters = counters_at(conf, w->rule.counters);
	if (counters)
		COUNT_RULE(conf, counters, resets, 1);
	COUNT(resets, 1);
	deliver(skb, conf);
}

/* Records at a request for a connection whether the connection is a router's. */
static __always_inline void remember_request(const struct packet *pkt, bool steered,
					     const struct shunt_conf *conf)
{
	__u64 hash = connection_hash(pkt, conf);

	if (steered)
		remember(hash);
	else
		forget(hash);
}

#endif
