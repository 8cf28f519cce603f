/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fragmented UDP. The stack loses the assigned socket of a fragment when it reassembles the
 * datagram. So the fragments of a datagram for a router are only marked, which makes routing
 * deliver them here. When the stack looks for the datagram's socket, the sk_lookup program
 * names the listener (tc/reassembled.bpf.c). Only the first fragment has the ports;
 * fragments that come before it pass.
 *
 * An sk_lookup program can take a socket only out of a map. The listeners of rules are put
 * there when the rules change, and when a listener is bound.
 */
#ifndef SHUNT_FRAGMENTS_H
#define SHUNT_FRAGMENTS_H

#include "deliver.h"
#include "reassembled.h"

/* Datagrams whose fragments are to be marked. */
struct shunt_fragments_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SHUNT_FRAGMENTS);
	__type(key, struct shunt_fragment);
	__type(value, __u32);
};
MAP(shunt_fragments);

/* Sets *ret to what all fragments of the packet's datagram have in common. */
static __always_inline void datagram_of(const struct packet *pkt, struct shunt_fragment *ret)
{
	__builtin_memcpy(ret->src, pkt->src, 16);
	__builtin_memcpy(ret->dst, pkt->dst, 16);
	ret->id = pkt->fragment;
	ret->family = pkt->family;
	ret->pad = 0;
}

static __always_inline void listener_of(const struct bpf_sock *sk, struct shunt_listener *ret)
{
	__u32 *addr = (__u32 *)ret->addr;

	__builtin_memset(ret, 0, sizeof(*ret));
	ret->family = sk->family;
	ret->port = sk->src_port;
	if (sk->family == AF_INET) {
		addr[0] = sk->src_ip4;
		return;
	}
	addr[0] = sk->src_ip6[0];
	addr[1] = sk->src_ip6[1];
	addr[2] = sk->src_ip6[2];
	addr[3] = sk->src_ip6[3];
}

/* Whether the map has the listener. If not, asks the supervisor to put the listener there. */
static __always_inline bool is_collected(struct shunt_conf *conf, struct work *w)
{
	struct bpf_sock *sk = bpf_map_lookup_elem(&shunt_listeners, &w->reassembled.listener);

	if (sk) {
		bpf_sk_release(sk);
		return true;
	}
	bpf_map_update_elem(&shunt_wanted, &w->reassembled.listener, &w->tick, BPF_ANY);
	if (!conf->run.listeners_wanted) {
		conf->run.listeners_wanted = COLLECT_WANTED;
		wake_supervisor(EVENT_LISTENERS_WANTED);
	}
	return false;
}

/* Sets *ret to the address of the listener at 'to', if the listener may take the packet. */
static __always_inline bool find_listener(struct __sk_buff *skb, const struct packet *pkt,
					  const __u8 *to, __u16 to_port,
					  const struct shunt_conf *conf, struct shunt_listener *ret)
{
	struct bpf_sock *sk = lookup(skb, pkt, IPPROTO_UDP, to, to_port);
	bool found;

	if (!sk)
		return false;
	found = is_router_socket(sk, IPPROTO_UDP) &&
		(pkt->ifindex != SHUNT_LOCAL_IFINDEX || !sent_by_its_router(skb, sk, conf));
	if (found)
		listener_of(sk, ret);
	bpf_sk_release(sk);
	return found;
}

/* Records the listener of w->rule for the datagram. Returns false if the map does not have
 * the listener yet. */
static __always_inline bool remember_listener(struct __sk_buff *skb, const struct packet *pkt,
					      const struct shunt_rule_counters *counters,
					      struct shunt_conf *conf, struct work *w)
{
	w->reassembled.counters = w->rule.counters;
	w->reassembled.generation = counters->generation;
	if (!(w->reassembled.generation & 1)) /* the rule is being deleted */
		return false;
	if (!find_listener(skb, pkt, w->rule.to, w->rule.to_port, conf, &w->reassembled.listener) ||
	    !is_collected(conf, w))
		return false;
	w->reassembled.tick = w->tick;
	flow_of(pkt, &w->flow);
	w->flow.ifindex = 0;
	if (conf->reassembled_tick != w->tick)
		conf->reassembled_tick = w->tick;
	return !bpf_map_update_elem(&shunt_datagrams, &w->flow, &w->reassembled, BPF_ANY);
}

/* Whether a connected socket has the flow. Sets *ret_router if it is a router's; the stack
 * finds this socket by itself. */
static __always_inline bool is_connected(struct __sk_buff *skb, const struct packet *pkt,
					 bool *ret_router)
{
	struct bpf_sock *sk = lookup(skb, pkt, IPPROTO_UDP, pkt->dst, pkt->dport);
	bool connected;

	if (!sk)
		return false;
	connected = has_flow(IPPROTO_UDP, sk->state);
	*ret_router = connected && udp_transparent(sk);
	bpf_sk_release(sk);
	return connected;
}

/* Finds the listener of a UDP flow and sets w->rule to its address; port 0 means a service
 * of this host. Sets *ret_entry to the flow's entry, or to NULL if the flow is new. Returns
 * the rule's counters, NULL if there is no rule. */
static __always_inline struct shunt_rule_counters *find_udp_target(
	struct __sk_buff *skb, const struct packet *pkt, const struct shunt_conf *conf,
	struct work *w, struct shunt_udp_flow **ret_entry)
{
	struct shunt_udp_flow *entry = udp_flow_find(pkt, conf, &w->hash, &w->udp_flow);
	struct shunt_rule_counters *counters = entry ? counters_at(conf, w->udp_flow.counters)
						     : NULL;

	if (counters && counters->generation == w->udp_flow.generation) {
		w->rule.counters = w->udp_flow.counters;
		w->rule.to_port = w->udp_flow.to_port;
		__builtin_memcpy(w->rule.to, w->udp_flow.to, 16);
		*ret_entry = entry;
		return counters;
	}
	*ret_entry = NULL;
	if (!shunt_find(pkt, &w->rule) || w->rule.action != SHUNT_STEER)
		return NULL;
	if (is_left_to_own_service(skb, pkt, IPPROTO_UDP, &w->rule))
		w->rule.to_port = 0;
	return counters_at(conf, w->rule.counters);
}

/* Counts a datagram for a service of this host. entry is the flow's, NULL for a new flow. */
static __always_inline void count_own_packet(const struct __sk_buff *skb,
					     const struct shunt_conf *conf,
					     struct shunt_rule_counters *counters,
					     const struct shunt_udp_flow *entry)
{
	count_rule_packet(conf, counters, skb->len);
	if (!entry)
		count_own_service(conf, counters);
}

/* Finds and records the listener of the datagram. Returns whether a router gets the datagram. */
static __always_inline bool take_first_fragment(struct __sk_buff *skb, const struct packet *pkt,
						struct shunt_conf *conf, struct work *w)
{
	struct shunt_udp_flow *entry;
	struct shunt_rule_counters *counters;
	bool router = false;

	if (is_connected(skb, pkt, &router))
		return router;
	counters = find_udp_target(skb, pkt, conf, w, &entry);
	if (counters && !w->rule.to_port)
		count_own_packet(skb, conf, counters, entry);
	if (!counters || !w->rule.to_port || !remember_listener(skb, pkt, counters, conf, w))
		return false;
	count_rule_packet(conf, counters, skb->len);
	if (entry) {
		udp_flow_refresh(entry, w->tick);
		return true;
	}
	COUNT_RULE(conf, counters, flows, 1);
	counters->last_hit = w->tick;
	COUNT(steered_flows, 1);
	udp_flow_add(&w->udp_flow, w->hash, &w->rule, counters, conf);
	if (conf->run.trace)
		TRACE(pkt, &w->rule);
	return true;
}

/* Returns 1 if this fragment is of a datagram for a router. */
__weak __attribute__((noinline)) int shunt_take_fragment(struct __sk_buff *skb,
							 const struct packet *pkt)
{
	struct shunt_conf *conf = conf_get();
	struct work *w;
	__u32 *tick;

	w = work_get();
	if (!pkt || !conf || !w)
		return 0;
	COUNT(fragments, 1);
	if (pkt->proto != IPPROTO_UDP)
		return 0;
	w->tick = tick_now();
	datagram_of(pkt, &w->datagram);
	if (!pkt->first) {
		tick = bpf_map_lookup_elem(&shunt_fragments, &w->datagram);
		return tick && w->tick - *tick <= SHUNT_FRAGMENT_IDLE;
	}
	if (!take_first_fragment(skb, pkt, conf, w)) {
		/* An earlier datagram may have had the same id. */
		bpf_map_delete_elem(&shunt_fragments, &w->datagram);
		return 0;
	}
	return !bpf_map_update_elem(&shunt_fragments, &w->datagram, &w->tick, BPF_ANY);
}

#endif
