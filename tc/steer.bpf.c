// SPDX-License-Identifier: GPL-2.0-only
/*
 * Steering at tc ingress: gives a packet to the router's socket. steer_flow.h has the order
 * of the steps, deliver.h the sockets and the mark.
 *
 * Every path ends in TC_NEXT, so that other programs and filters on the interface see the
 * packet, too. No packet is dropped. A packet that no rule or no listener takes is not changed
 * (I7), except a segment of a connection that the router has forgotten (forgotten.h).
 */
#include "errors.h"
#include "steer_flow.h"

/* Whether the link layer sends the packet to many hosts. */
static __always_inline bool is_group_frame(const struct __sk_buff *skb)
{
	return skb->pkt_type == PACKET_BROADCAST || skb->pkt_type == PACKET_MULTICAST ||
	       skb->pkt_type == PACKET_LOOPBACK;
}

/* The sockets of 'shunt steer test --deliver', by the hash of the command's packets. */
struct shunt_probes_map {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
};
MAP(shunt_probes);

/* Gives a packet of that command to the command's socket instead of a router's. */
static __always_inline bool take_probe(struct __sk_buff *skb)
{
	__u32 token = skb->hash;
	struct bpf_sock *sk = bpf_map_lookup_elem(&shunt_probes, &token);

	if (!sk)
		return false;
	if (!bpf_sk_assign(skb, sk, 0))
		COUNT(probes, 1);
	bpf_sk_release(sk);
	return true;
}

/*
 * Handles a packet that has the mark already: it was steered at a port of this bridge, or when
 * this host sent it; or it is a probe, which gets its socket here. Returns whether nothing is
 * left to do. A packet that was steered at a bridge's port may have lost its socket (netfilter
 * sees the bridge's packets), and is steered again.
 */
static __always_inline bool handle_marked(struct __sk_buff *skb, const struct shunt_conf *conf)
{
	if (!(skb->mark & conf->mark))
		return false;
	return skb->sk || (skb->mark & conf->local_mark) == conf->local_mark || take_probe(skb);
}

static __always_inline void steer(struct __sk_buff *skb, const struct shunt_conf *conf)
{
	struct packet pkt = { .ifindex = skb->ifindex, .group = is_group_frame(skb) };

	/* PACKET_OTHERHOST: the packet only passes a bridge's port or a macvlan's parent. */
	if (skb->pkt_type == PACKET_OTHERHOST || handle_marked(skb, conf))
		return;
	switch (parse(skb, &pkt)) {
	case PARSED_MALFORMED:
		COUNT(malformed, 1);
		break;
	case PARSED_FRAGMENT:
		if (shunt_take_fragment(skb, &pkt))
			deliver(skb, conf);
		break;
	case PARSED_OTHER:
		if (is_icmp(&pkt) && shunt_take_error(skb, &pkt))
			deliver(skb, conf);
		break;
	case PARSED_PORTS:
		shunt_steer_flow(skb, &pkt);
	}
}

SEC("tc")
int shunt_steer(struct __sk_buff *skb)
{
	const struct shunt_conf *conf = conf_get();

	if (conf)
		steer(skb, conf);
	return TC_NEXT;
}

/* Tells what listens at the packet's destination. */
static __always_inline enum shunt_answer listens(struct __sk_buff *skb, const struct packet *pkt,
						 int proto)
{
	struct bpf_sock *sk = lookup(skb, pkt, proto, pkt->dst, pkt->dport);
	enum shunt_answer answer = LISTENER_NONE;

	if (!sk)
		return answer;
	if (proto == IPPROTO_UDP)
		answer = udp_transparent(sk) ? LISTENER_THERE : LISTENER_OPAQUE;
	else if (sk->state == TCP_LISTEN)
		answer = tcp_transparent(sk, TCP_LISTEN) ? LISTENER_THERE : LISTENER_OPAQUE;
	bpf_sk_release(sk);
	return answer;
}

/* Whether a rule with 'own keep' would leave the packet to a service of this host. */
static __always_inline bool is_for_own_service(struct __sk_buff *skb, const struct packet *pkt)
{
	const struct rule_match keep = { .own = SHUNT_OWN_KEEP };

	return pkt->proto == IPPROTO_TCP ? is_left_to_own_service(skb, pkt, IPPROTO_TCP, &keep)
					 : is_left_to_own_service(skb, pkt, IPPROTO_UDP, &keep);
}

/*
 * BPF_PROG_TEST_RUN runs this program on a made-up packet, with the interface in cb[0] and
 * the question in cb[1] (enum shunt_question).
 */
SEC("tc")
int shunt_test(struct __sk_buff *skb)
{
	struct packet pkt = { .ifindex = skb->cb[0], .group = is_group_frame(skb) };
	struct rule_match rule = {};

	if (parse(skb, &pkt) != PARSED_PORTS)
		return 0;
	if (skb->cb[1] == ASK_RULE)
		return shunt_find(&pkt, &rule);
	if (skb->cb[1] == ASK_OWN)
		return is_for_own_service(skb, &pkt);
	return pkt.proto == IPPROTO_TCP ? listens(skb, &pkt, IPPROTO_TCP)
					: listens(skb, &pkt, IPPROTO_UDP);
}

char LICENSE[] SEC("license") __weak = "GPL";
