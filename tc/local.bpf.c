// SPDX-License-Identifier: GPL-2.0-only
/*
 * Steering of packets that this host itself sends, by the rules with 'origin local'. A
 * packet can be given to a socket only at ingress, so there are two programs. The one at an
 * interface's egress finds the rule and redirects the packet to lo's ingress. The one at
 * lo's ingress gives the packet to the router's socket. It recognises these packets by the
 * mark.
 *
 * Packets of the router itself are left alone, or they would come back to the router
 * (router.h).
 */
#include "errors.h"
#include "translated.h"
#include "router.h"
#include "steer_flow.h"

/* One entry, if the operator gave --router-cgroup: the cgroup of the router. */
struct shunt_router_map {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
};
MAP(shunt_router);

/* Whether the sender is a router, whatever the rule. Only routers have transparent sockets. */
static __always_inline bool sent_by_router(struct __sk_buff *skb, struct bpf_sock *sk, int proto,
					   const struct shunt_conf *conf)
{
	if (proto == IPPROTO_TCP ? tcp_transparent(sk, sk->state) : udp_transparent(sk))
		return true;
	if (conf->router_mark && (skb->mark & conf->router_mark) == conf->router_mark)
		return true;
	return conf->router_cgroup && bpf_skb_under_cgroup(skb, &shunt_router, 0) == 1;
}

enum taken {
	TAKEN_NO, /* no router has the flow */
	TAKEN_YES,
	TAKEN_BY_OTHER, /* a socket has the flow that is no router's, or the router sends it */
	TAKEN_IN_LOOP,  /* the router sends it because of a flow that was steered to the router */
};

/* Whether a router has a socket with this flow. */
static __always_inline enum taken taken_by_socket(struct __sk_buff *skb, const struct packet *pkt,
						  int proto)
{
	struct bpf_sock *sk = lookup(skb, pkt, proto, pkt->dst, pkt->dport);
	enum taken taken = TAKEN_NO;
	__u32 state;

	if (!sk)
		return TAKEN_NO;
	state = sk->state;
	if (has_flow(proto, state))
		taken = (proto == IPPROTO_TCP ? tcp_transparent(sk, state) : udp_transparent(sk))
				? TAKEN_YES
				: TAKEN_BY_OTHER;
	bpf_sk_release(sk);
	return taken;
}

/* Whether the listener at 'to' would take the packet. first: the flow is new. */
static __always_inline enum taken taken_by_listener(struct __sk_buff *skb, const struct packet *pkt,
						    int proto, const __u8 *to, __u16 to_port,
						    const struct shunt_conf *conf, bool first)
{
	struct bpf_sock *sk = lookup(skb, pkt, proto, to, to_port);
	enum sent_by by = SENT_BY_OTHERS;
	enum taken taken = TAKEN_NO;

	if (!sk)
		return TAKEN_NO;
	if (takes_packet(sk, pkt, proto)) {
		if (sent_by_its_router(skb, sk, conf))
			by = SENT_BY_ROUTER;
		else if (first)
			by = shunt_sent_by(skb, pkt, (__u64)address_of(sk));
		else if (sent_by_known(skb, sk, conf))
			by = SENT_BY_ROUTER;
		taken = by == SENT_BY_OTHERS ? TAKEN_YES
			: by == SENT_IN_LOOP ? TAKEN_IN_LOOP
					     : TAKEN_BY_OTHER;
	}
	bpf_sk_release(sk);
	return taken;
}

/* Whether a listener that has the packet's UDP flow would take the packet. */
static __always_inline enum taken taken_by_tracked_flow(struct __sk_buff *skb,
							const struct packet *pkt,
							const struct shunt_conf *conf)
{
	struct work *w = work_get();
	struct shunt_rule_counters *counters;

	if (!w || !udp_flow_find(pkt, conf, &w->hash, &w->udp_flow) || !w->udp_flow.to_port)
		return TAKEN_NO;
	counters = counters_at(conf, w->udp_flow.counters);
	if (!counters || counters->generation != w->udp_flow.generation)
		return TAKEN_NO;
	return taken_by_listener(skb, pkt, IPPROTO_UDP, w->udp_flow.to, w->udp_flow.to_port, conf,
				 false);
}

/* A packet that is taken is counted at lo's ingress, any other packet here. */
static __always_inline enum taken taken_by_rule(struct __sk_buff *skb, const struct packet *pkt,
						int proto, const struct shunt_conf *conf)
{
	bool first = starts_flow(pkt, proto);
	struct rule_match rule = {};
	struct shunt_rule_counters *counters;
	enum taken taken;

	if (!shunt_find(pkt, &rule))
		return TAKEN_NO;
	counters = counters_at(conf, rule.counters);
	if (!counters)
		return TAKEN_NO;
	if (rule.action != SHUNT_STEER || is_left_to_own_service(skb, pkt, proto, &rule)) {
		if (first)
			count_rule_packet(conf, counters, skb->len);
		if (first && rule.action == SHUNT_STEER)
			count_own_service(conf, counters);
		return TAKEN_NO;
	}
	if (is_translated(skb, pkt, proto)) {
		if (first)
			COUNT(translated, 1);
		return TAKEN_NO;
	}
	taken = taken_by_listener(skb, pkt, proto, rule.to, rule.to_port, conf, first);
	if ((taken == TAKEN_BY_OTHER || taken == TAKEN_IN_LOOP) && first)
		COUNT(routers_own, 1);
	if (taken == TAKEN_IN_LOOP) {
		COUNT_RULE(conf, counters, loops, 1);
		COUNT(loops, 1);
	}
	if (taken == TAKEN_NO && first) {
		count_rule_packet(conf, counters, skb->len);
		count_miss(conf, counters);
	}
	return taken;
}

/* Whether the router has forgotten the connection. If a rule has all unknown segments
 * reset, segments that the router itself sends are left alone. */
static __always_inline enum taken taken_as_forgotten(struct __sk_buff *skb,
						     const struct packet *pkt,
						     const struct shunt_conf *conf)
{
	enum forgotten forgotten = is_forgotten(skb, pkt, conf);
	struct work *w = work_get();
	struct bpf_sock *sk;
	enum taken taken;

	if (forgotten != FORGOTTEN_BY_RULE || !w)
		return forgotten == FORGOTTEN_YES ? TAKEN_YES : TAKEN_NO;
	sk = lookup(skb, pkt, IPPROTO_TCP, w->rule.to, w->rule.to_port);
	if (!sk)
		return TAKEN_NO;
	taken = sent_by_its_router(skb, sk, conf) || sent_by_known(skb, sk, conf) ? TAKEN_BY_OTHER
										  : TAKEN_YES;
	bpf_sk_release(sk);
	return taken;
}

/* Whether a router gets the packet, which the socket sk sends: the order of the steps is that of
 * steer_flow(). */
static __always_inline bool take_flow(struct __sk_buff *skb, struct bpf_sock *sk,
				      const struct packet *pkt, int proto,
				      const struct shunt_conf *conf)
{
	enum taken taken;

	if (sent_by_router(skb, sk, proto, conf))
		return false;
	taken = taken_by_socket(skb, pkt, proto);
	if (taken == TAKEN_NO && proto == IPPROTO_UDP)
		taken = taken_by_tracked_flow(skb, pkt, conf);
	if (taken == TAKEN_NO && may_match_rules(pkt, proto, conf))
		taken = taken_by_rule(skb, pkt, proto, conf);
	if (proto == IPPROTO_TCP && taken != TAKEN_YES) {
		if (starts_flow(pkt, proto))
			remember_request(pkt, false, conf);
		else if (taken == TAKEN_NO)
			taken = taken_as_forgotten(skb, pkt, conf);
	}
	return taken == TAKEN_YES;
}

/* Returns 1 if the packet, whose ports are set, is for a router. Not static: so it has its
 * own stack. */
__weak __attribute__((noinline)) int shunt_take_flow(struct __sk_buff *skb,
						     const struct packet *pkt)
{
	const struct shunt_conf *conf = conf_get();
	struct bpf_sock *sk = skb->sk;

	if (!pkt || !conf || !sk)
		return 0;
	return pkt->proto == IPPROTO_TCP ? take_flow(skb, sk, pkt, IPPROTO_TCP, conf)
					 : take_flow(skb, sk, pkt, IPPROTO_UDP, conf);
}

/* Not inlined: the caller's stack is full. */
static __noinline bool is_sent_to_group(struct __sk_buff *skb)
{
	const __u8 *address = (const void *)(long)skb->data; /* of Ethernet */

	return address + 1 <= (const __u8 *)(long)skb->data_end && network_offset(skb) &&
	       *address & 1;
}

/* Whether the packet, which leaves this host, is for a router. */
static __always_inline bool is_for_router(struct __sk_buff *skb, const struct shunt_conf *conf)
{
	struct packet pkt = { .ifindex = SHUNT_LOCAL_IFINDEX };
	struct bpf_sock *sk = skb->sk; /* forwarded packets have none */

	/* A packet with a VLAN tag was seen at the VLAN device's egress before. */
	if (!sk || skb->vlan_present || is_vlan_tag(skb->protocol))
		return false;
	pkt.group = is_sent_to_group(skb);
	switch (parse(skb, &pkt)) {
	case PARSED_FRAGMENT:
		return !sent_by_router(skb, sk, IPPROTO_UDP, conf) &&
		       shunt_take_fragment(skb, &pkt);
	case PARSED_PORTS:
		return shunt_take_flow(skb, &pkt);
	case PARSED_OTHER:
		return is_icmp(&pkt) && shunt_take_error(skb, &pkt);
	default:
		return false;
	}
}

/* lo drops packets without an Ethernet header. */
static __always_inline bool add_ethernet_header(struct __sk_buff *skb)
{
	__be16 proto = skb->protocol;

	return network_offset(skb) ||
	       (!bpf_skb_change_head(skb, ETH_HLEN, 0) &&
		!bpf_skb_store_bytes(skb, ETH_HLEN - sizeof(proto), &proto, sizeof(proto), 0));
}

SEC("tc")
int shunt_local(struct __sk_buff *skb)
{
	const struct shunt_conf *conf = conf_get();

	if (!conf || !conf->run.local || !is_for_router(skb, conf))
		return TC_NEXT;
	if (skb->ifindex != LOOPBACK_IFINDEX && !add_ethernet_header(skb))
		return TC_NEXT;
	skb->mark |= conf->local_mark;
	/* A packet that is sent on lo comes to lo's ingress anyway. */
	return skb->ifindex == LOOPBACK_IFINDEX ? TC_NEXT
						: bpf_redirect(LOOPBACK_IFINDEX, BPF_F_INGRESS);
}

SEC("tc")
int shunt_arrive(struct __sk_buff *skb)
{
	const struct shunt_conf *conf = conf_get();
	struct packet pkt = { .ifindex = SHUNT_LOCAL_IFINDEX };

	if (!conf || (skb->mark & conf->local_mark) != conf->local_mark)
		return TC_NEXT;
	/* The Ethernet header has the address of another host. */
	bpf_skb_change_type(skb, PACKET_HOST);
	switch (parse(skb, &pkt)) {
	case PARSED_PORTS:
		shunt_steer_flow(skb, &pkt);
		break;
	case PARSED_OTHER: /* an error */
	case PARSED_FRAGMENT:
		COUNT(steered_packets, 1);
		break;
	default:
		break;
	}
	return TC_NEXT;
}

char LICENSE[] SEC("license") __weak = "GPL";
