/* SPDX-License-Identifier: GPL-2.0-only */
/* A TCP or UDP packet whose ports are known: whose it is, in order of precedence. */
#ifndef SHUNT_STEER_FLOW_H
#define SHUNT_STEER_FLOW_H

#include "forgotten.h"

/* Asks the rules, and returns whether the packet was given to a listener. With listens, a
 * socket is at the packet's own destination. */
static __always_inline bool steer_by_rule(struct __sk_buff *skb, const struct packet *pkt,
				      int proto, const struct shunt_conf *conf, bool listens)
{
	struct work *w = work_get();
	struct shunt_rule_counters *t;

	if (!w || !shunt_find(pkt, &w->rule))
		return false;
	t = counters_at(conf, w->rule.counters);
	if (!t)
		return false;
	if (starts_flow(pkt, proto)) {
		count_rule_packet(conf, t, skb->len);
		if (w->rule.action != SHUNT_STEER)
			return false;
		if (!listens || !is_left_to_own_service(skb, pkt, proto, &w->rule))
			return steer_to_listener(skb, pkt, proto, w, t, conf);
		leave_to_own_service(proto, w, t, conf);
		return false;
	}
	if (w->rule.action != SHUNT_STEER ||
	    !assign(skb, pkt, proto, w->rule.to, w->rule.to_port))
		return false;
	count_rule_packet(conf, t, skb->len);
	deliver(skb, conf);
	return true;
}

static __always_inline void steer_flow(struct __sk_buff *skb, const struct packet *pkt,
				       int proto, const struct shunt_conf *conf)
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

/* The same for a packet whose ports are set. Not static: so it is verified
 * once, not for each caller, and its stack is not the caller's. */
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
