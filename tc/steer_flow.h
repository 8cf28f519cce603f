/* SPDX-License-Identifier: GPL-2.0-only */
/* Steers a TCP or UDP packet whose ports are known: first by its socket, then by its tracked
 * UDP flow, then by the rules, and last as a segment that the router has forgotten. */
#ifndef SHUNT_STEER_FLOW_H
#define SHUNT_STEER_FLOW_H

#include "forgotten.h"

/* Searches the rules, and returns whether the packet was given to a listener. listens: a
 * socket is at the packet's own destination. */
static __always_inline bool steer_by_rule(struct __sk_buff *skb, const struct packet *pkt,
					  int proto, const struct shunt_conf *conf, bool listens)
{
	struct work *w = work_get();
	struct shunt_rule_counters *counters;
	bool own;

	if (!w || !shunt_find(pkt, &w->rule))
		return false;
	counters = counters_at(conf, w->rule.counters);
	if (!counters)
		return false;
	own = w->rule.action == SHUNT_STEER && listens &&
	      is_left_to_own_service(skb, pkt, proto, &w->rule);
	if (starts_flow(pkt, proto)) {
		count_rule_packet(conf, counters, skb->len);
		if (own)
			leave_to_own_service(proto, w, counters, conf);
		return !own && w->rule.action == SHUNT_STEER &&
		       steer_to_listener(skb, pkt, proto, w, counters, conf);
	}
	/* The ACK of a SYN cookie. The cookie fits any listener that has sent cookies lately. */
	if (own || w->rule.action != SHUNT_STEER ||
	    !assign(skb, pkt, proto, w->rule.to, w->rule.to_port))
		return false;
	count_rule_packet(conf, counters, skb->len);
	deliver(skb, conf);
	return true;
}

/* The steps, in order. proto is pkt->proto. */
static __always_inline void steer_flow(struct __sk_buff *skb, const struct packet *pkt, int proto,
				       const struct shunt_conf *conf)
{
	bool listens, given = false;

	if (steer_to_socket(skb, pkt, proto, conf, &listens))
		return;
	if (proto == IPPROTO_UDP && steer_tracked_flow(skb, pkt, conf, listens))
		return;
	if (may_match_rules(pkt, proto, conf))
		given = steer_by_rule(skb, pkt, proto, conf, listens);
	if (proto != IPPROTO_TCP)
		return;
	if (starts_flow(pkt, proto))
		remember_request(pkt, given, conf);
	else if (!given)
		reset_forgotten(skb, pkt, conf);
}

/* Calls steer_flow() with the protocol as a constant. Not static: the verifier checks the
 * function once, not for each caller, and it has its own stack. */
__weak __attribute__((noinline)) int shunt_steer_flow(struct __sk_buff *skb,
						      const struct packet *pkt)
{
	const struct shunt_conf *conf = conf_get();

	if (!pkt || !conf)
		return 0;
	if (pkt->proto == IPPROTO_TCP)
		steer_flow(skb, pkt, IPPROTO_TCP, conf);
	else
		steer_flow(skb, pkt, IPPROTO_UDP, conf);
	return 0;
}

#endif
