/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Gives a packet to the router's socket: to the socket that already has the flow, else to
 * the listener of a rule. The mark makes routing deliver the packet to this host, although
 * its destination is another host.
 */
#ifndef SHUNT_DELIVER_H
#define SHUNT_DELIVER_H

#include "flows.h"
#include "own.h"

/* Variables of each CPU that the stack has no room for. In the headers, only the fields
 * that has_valid_syncookie() writes are ever other than 0. */
struct work {
	struct ipv4_header ip4;
	struct ipv6_header ip6;
	struct tcp_header tcp;
	/* tc/fragments.h */
	struct shunt_fragment datagram;
	struct shunt_flow flow;
	struct shunt_reassembled reassembled;
	struct shunt_udp_flow udp_flow;
	__u64 hash; /* of the UDP flow, once udp_flow_find() has run */
	struct rule_match rule;
	__u32 tick;
	struct packet answer __attribute__((aligned(8))); /* tc/errors.h */
};

struct shunt_work_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct work);
};
MAP(shunt_work);

static __always_inline struct work *work_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&shunt_work, &zero);
}

#define TRACE(pkt, rule) \
	do { \
		const char *proto_ = (pkt)->proto == IPPROTO_TCP ? "tcp" : "udp"; \
		if ((pkt)->family == AF_INET) \
			bpf_printk("shunt: steer %s %pI4:%d -> %pI4:%d to %pI4:%d", proto_, \
				   (pkt)->src, (pkt)->sport, (pkt)->dst, (pkt)->dport, (rule)->to, \
				   (rule)->to_port); \
		else \
			bpf_printk("shunt: steer %s [%pI6]:%d -> [%pI6]:%d to [%pI6]:%d", proto_, \
				   (pkt)->src, (pkt)->sport, (pkt)->dst, (pkt)->dport, (rule)->to, \
				   (rule)->to_port); \
	} while (0)

/* include/uapi/asm-generic/errno.h: a member of a reuseport group, before 6.6 */
#define ESOCKTNOSUPPORT 94

/* inet_flags bit INET_FLAGS_TRANSPARENT, include/net/inet_sock.h since 6.6 */
#define INET_FLAGS_TRANSPARENT 15

/* Whether the full socket at 'inet' has IP_TRANSPARENT. */
#define TRANSPARENT(inet, read, read_bit) \
	(bpf_core_field_exists((inet)->inet_flags) \
		 ? !!(read(inet, inet_flags) & (1UL << INET_FLAGS_TRANSPARENT)) \
		 : !!read_bit((const struct inet_sock___bits *)(inet), transparent))

#define LOAD_FIELD(p, f) ((p)->f)

/* The socket's kernel address, for bpf_probe_read_kernel(). The verifier takes a pointer
 * that was stored in a map for a plain number. NULL, which reads as zeroes, without a map. */
static __always_inline const void *address_of(const struct bpf_sock *sk)
{
	struct shunt_count *count = count_get();

	if (!count)
		return NULL;
	count->sk_address = (__u64)sk;
	return (const void *)*(volatile __u64 *)&count->sk_address;
}

/* Reads by probe: no helper turns a UDP socket into a typed pointer. */
static __always_inline bool udp_transparent(struct bpf_sock *sk)
{
	const struct inet_sock *inet = address_of(sk);

	return TRANSPARENT(inet, BPF_CORE_READ, BPF_CORE_READ_BITFIELD_PROBED);
}

/* bpf_skc_to_*() refuses request and TIME_WAIT sockets of an MPTCP listener, so these are
 * read by probe. */
static __always_inline bool tcp_transparent(struct bpf_sock *sk, __u32 state)
{
	const struct inet_request_sock *req;
	const struct inet_timewait_sock *tw;
	const struct tcp_sock *tp;

	if (state == TCP_NEW_SYN_RECV) {
		req = address_of(sk);
		return BPF_CORE_READ_BITFIELD_PROBED(req, no_srccheck);
	}
	if (state == TCP_TIME_WAIT) {
		tw = address_of(sk);
		return BPF_CORE_READ_BITFIELD_PROBED(tw, tw_transparent);
	}
	tp = bpf_skc_to_tcp_sock(sk);
	return tp && TRANSPARENT(&tp->inet_conn.icsk_inet, LOAD_FIELD, BPF_CORE_READ_BITFIELD);
}

static __always_inline void fill_tuple(struct bpf_sock_tuple *t, const struct packet *pkt,
				       const __u8 *dst, __u16 dport)
{
	if (pkt->family == AF_INET) {
		__builtin_memcpy(&t->ipv4.saddr, pkt->src, 4);
		__builtin_memcpy(&t->ipv4.daddr, dst, 4);
		t->ipv4.sport = bpf_htons(pkt->sport);
		t->ipv4.dport = bpf_htons(dport);
	} else {
		__builtin_memcpy(t->ipv6.saddr, pkt->src, 16);
		__builtin_memcpy(t->ipv6.daddr, dst, 16);
		t->ipv6.sport = bpf_htons(pkt->sport);
		t->ipv6.dport = bpf_htons(dport);
	}
}

/* The socket that the stack would find for a packet from pkt's source to dst and dport.
 * The caller releases the socket. */
static __always_inline struct bpf_sock *lookup(struct __sk_buff *skb, const struct packet *pkt,
					       int proto, const __u8 *dst, __u16 dport)
{
	struct bpf_sock_tuple t = {};

	fill_tuple(&t, pkt, dst, dport);
	/* The verifier of 6.1 wants constant sizes. Every verifier wants TCP's sock_common
	 * and UDP's sock apart, so proto is a constant, too. */
	if (proto == IPPROTO_TCP) {
		if (pkt->family == AF_INET)
			return bpf_skc_lookup_tcp(skb, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0);
		return bpf_skc_lookup_tcp(skb, &t, sizeof(t.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	if (pkt->family == AF_INET)
		return bpf_sk_lookup_udp(skb, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0);
	return bpf_sk_lookup_udp(skb, &t, sizeof(t.ipv6), BPF_F_CURRENT_NETNS, 0);
}

/* Whether a socket in this state has the flow itself. A UDP socket has one only if it is
 * connected: a router's reply sockets are bound to the destination, but not connected. */
static __always_inline bool has_flow(int proto, __u32 state)
{
	return proto == IPPROTO_TCP ? state != TCP_LISTEN : state == TCP_ESTABLISHED;
}

/* Marks the packet, so that routing delivers it to this host. */
static __always_inline void deliver(struct __sk_buff *skb, const struct shunt_conf *conf)
{
	skb->mark |= conf->mark;
	COUNT(steered_packets, 1);
}

/* Whether sk, found at the packet's own destination, is a service of this host. If sk
 * listens on all addresses, the destination must also be an address of this host. */
static __always_inline bool is_own_service(struct __sk_buff *skb, const struct packet *pkt,
					   struct bpf_sock *sk, int proto)
{
	const struct sock *address;

	if (proto == IPPROTO_TCP ? sk->state != TCP_LISTEN : has_flow(proto, sk->state))
		return false;
	if (proto == IPPROTO_TCP ? tcp_transparent(sk, TCP_LISTEN) : udp_transparent(sk))
		return false;
	if (pkt->family == AF_INET
		    ? sk->src_ip4
		    : sk->src_ip6[0] | sk->src_ip6[1] | sk->src_ip6[2] | sk->src_ip6[3])
		return true;
	address = address_of(sk);
	return shunt_own_address(skb, pkt, (__u64)BPF_CORE_READ(address, __sk_common.skc_net.net));
}

/* Whether the rule leaves the packet to a service of this host. */
static __always_inline bool is_left_to_own_service(struct __sk_buff *skb, const struct packet *pkt,
						   int proto, const struct rule_match *rule)
{
	struct bpf_sock *sk;
	bool own;

	if (rule->own != SHUNT_OWN_KEEP)
		return false;
	sk = lookup(skb, pkt, proto, pkt->dst, pkt->dport);
	if (!sk)
		return false;
	own = is_own_service(skb, pkt, sk, proto);
	bpf_sk_release(sk);
	return own;
}

static __always_inline void count_own_service(const struct shunt_conf *conf,
					      struct shunt_rule_counters *counters)
{
	COUNT_RULE(conf, counters, own_services, 1);
	COUNT(own_services, 1);
}

/* Leaves the packet to the socket that has its flow, and returns whether there is one. Sets
 * *ret_listens if any socket is at the packet's destination. */
static __always_inline bool steer_to_socket(struct __sk_buff *skb, const struct packet *pkt,
					    int proto, const struct shunt_conf *conf,
					    bool *ret_listens)
{
	struct bpf_sock *sk = lookup(skb, pkt, proto, pkt->dst, pkt->dport);
	__u32 state;
	bool known;

	*ret_listens = sk;
	if (!sk)
		return false;
	state = sk->state;
	known = has_flow(proto, state);
	if (known && (proto == IPPROTO_TCP ? tcp_transparent(sk, state) : udp_transparent(sk))) {
		/* A request or a TIME_WAIT socket can't be assigned, and 6.1 refuses members
		 * of a reuseport group. The stack finds these by the addresses. */
		if (state != TCP_NEW_SYN_RECV && state != TCP_TIME_WAIT)
			bpf_sk_assign(skb, sk, 0);
		deliver(skb, conf);
	}
	bpf_sk_release(sk);
	return known;
}

/* Whether the packet comes out of the cgroup of the listener. If the operator named
 * neither a mark nor a cgroup, whatever runs there is the router. */
static __always_inline bool sent_by_its_router(struct __sk_buff *skb, struct bpf_sock *listener,
					       const struct shunt_conf *conf)
{
	const struct sock *sk = address_of(listener);

	if (conf->router_mark || conf->router_cgroup)
		return false;
	return BPF_CORE_READ(sk, sk_cgrp_data.cgroup, kn, id) == bpf_skb_cgroup_id(skb);
}

/* Whether this is a router's socket. Without IP_TRANSPARENT, a socket can't answer from
 * the address that the packet was sent to. */
static __always_inline bool is_router_socket(struct bpf_sock *sk, int proto)
{
	bool transparent;

	transparent = proto == IPPROTO_TCP ? tcp_transparent(sk, TCP_LISTEN) : udp_transparent(sk);
	if (!transparent)
		COUNT(not_transparent, 1);
	return transparent;
}

/* More than two minutes, for which a SYN cookie is valid: TCP_SYNCOOKIE_VALID and
 * MAX_SYNCOOKIE_AGE in include/net/tcp.h. */
#define COOKIE_TICKS 128

/* Requests that may pass here before the listener handles the first of them. */
#define COOKIE_BURST 1024U

/* Records the time if the listener may answer with a SYN cookie: when its queue may be full
 * (inet_csk_reqsk_queue_is_full()), or always. A member of a SO_REUSEPORT group counts as
 * such, because the kernel has not yet chosen the member that will answer. */
static __always_inline void note_syncookies(struct bpf_sock *listener)
{
	const struct tcp_sock *tp = bpf_skc_to_tcp_sock(listener);
	struct shunt_conf *conf = conf_get();
	const struct sock *sk;
	__u32 tick;

	if (!tp || !conf)
		return;
	sk = &tp->inet_conn.icsk_inet.sk;
	if (tp->inet_conn.icsk_accept_queue.qlen.counter + COOKIE_BURST < sk->sk_max_ack_backlog &&
	    !BPF_CORE_READ_BITFIELD(&sk->__sk_common, skc_reuseport) &&
	    sk->__sk_common.skc_net.net->ipv4.sysctl_tcp_syncookies != 2)
		return;
	tick = tick_now();
	if (conf->run.syncookie_tick != tick)
		conf->run.syncookie_tick = tick;
}

/* Whether the packet bears a valid SYN cookie of the listener. The listener keeps nothing
 * of a request that it answered with a cookie. */
static __always_inline bool has_valid_syncookie(struct bpf_sock *sk, const struct packet *pkt)
{
	struct work *w = work_get();

	if (!w)
		return false;
	__builtin_memset(&w->tcp, 0, sizeof(w->tcp));
	w->tcp.sport = bpf_htons(pkt->sport);
	w->tcp.dport = bpf_htons(pkt->dport);
	w->tcp.flags = pkt->tcp_flags;
	__builtin_memcpy(w->tcp.seqs, pkt->tcp_seqs, 8);
	if (pkt->family == AF_INET) {
		w->ip4.version_ihl = 0x45;
		__builtin_memcpy(w->ip4.src, pkt->src, 4);
		__builtin_memcpy(w->ip4.dst, pkt->dst, 4);
		return !bpf_tcp_check_syncookie(sk, &w->ip4, sizeof(w->ip4), (void *)&w->tcp,
						sizeof(w->tcp));
	}
	w->ip6.version_class = 0x60;
	__builtin_memcpy(w->ip6.src, pkt->src, 16);
	__builtin_memcpy(w->ip6.dst, pkt->dst, 16);
	return !bpf_tcp_check_syncookie(sk, &w->ip6, sizeof(w->ip6), (void *)&w->tcp,
					sizeof(w->tcp));
}

/* Whether the packet may be the first of a flow: any UDP packet, or a TCP SYN. */
static __always_inline bool starts_flow(const struct packet *pkt, int proto)
{
	return proto == IPPROTO_UDP || (pkt->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* Whether sk, found by address, is a router's listener that may take the packet. */
static __always_inline bool takes_packet(struct bpf_sock *sk, const struct packet *pkt, int proto)
{
	if (proto == IPPROTO_TCP && sk->state != TCP_LISTEN)
		return false;
	if (!starts_flow(pkt, proto))
		return has_valid_syncookie(sk, pkt) && is_router_socket(sk, proto);
	if (!is_router_socket(sk, proto))
		return false;
	if (proto == IPPROTO_TCP)
		note_syncookies(sk);
	return true;
}

/* Gives the packet to the listener at this address. Returns false if that is impossible. */
static __always_inline bool assign(struct __sk_buff *skb, const struct packet *pkt, int proto,
				   const __u8 *to, __u16 to_port)
{
	struct bpf_sock *sk = lookup(skb, pkt, proto, to, to_port);
	long error = -1;

	if (sk) {
		if (takes_packet(sk, pkt, proto))
			error = bpf_sk_assign(skb, sk, 0);
		bpf_sk_release(sk);
	}
	if (error == -ESOCKTNOSUPPORT)
		COUNT(reuseport, 1);
	return !error;
}

/* Handles a UDP packet whose flow is known: gives it to the listener, or leaves it to this host's
 * own service. Returns false if the flow is not known, or if its rule, its listener or that
 * service is gone. */
static __always_inline bool steer_tracked_flow(struct __sk_buff *skb, const struct packet *pkt,
					       const struct shunt_conf *conf, bool listens)
{
	struct work *w = work_get();
	struct shunt_udp_flow *entry;
	struct shunt_rule_counters *counters;
	__u32 tick;

	entry = w ? udp_flow_find(pkt, conf, &w->hash, &w->udp_flow) : NULL;
	if (!entry)
		return false;
	counters = counters_at(conf, w->udp_flow.counters);
	if (!counters || counters->generation != w->udp_flow.generation)
		return false;
	if (w->udp_flow.to_port
		    ? !assign(skb, pkt, IPPROTO_UDP, w->udp_flow.to, w->udp_flow.to_port)
		    : !listens)
		return false;
	tick = tick_now();
	udp_flow_refresh(entry, tick);
	count_rule_packet(conf, counters, skb->len);
	if (!w->udp_flow.to_port)
		return true;
	counters->last_hit = tick;
	deliver(skb, conf);
	return true;
}

/* Counts a packet for which the rule's listener was not there. */
static __always_inline void count_miss(const struct shunt_conf *conf,
				       struct shunt_rule_counters *counters)
{
	COUNT_RULE(conf, counters, misses, 1);
	counters->last_miss = tick_now();
	COUNT(no_listener, 1);
}

/* Gives the first packet of a flow to the listener of w->rule, and counts it. Returns false if the
 * listener is not there. */
static __always_inline bool steer_to_listener(struct __sk_buff *skb, const struct packet *pkt,
					      int proto, struct work *w,
					      struct shunt_rule_counters *counters,
					      const struct shunt_conf *conf)
{
	const struct rule_match *rule = &w->rule;

	if (!assign(skb, pkt, proto, rule->to, rule->to_port)) {
		count_miss(conf, counters);
		return false;
	}
	COUNT_RULE(conf, counters, flows, 1);
	counters->last_hit = tick_now();
	COUNT(steered_flows, 1);
	deliver(skb, conf);
	if (proto == IPPROTO_UDP)
		udp_flow_add(&w->udp_flow, w->hash, rule, counters, conf);
	if (conf->run.trace)
		TRACE(pkt, rule);
	return true;
}

/* Counts a packet that the rule leaves to a service of this host. A UDP flow is remembered, with
 * port 0, so that its next packets search no rules. */
static __always_inline void leave_to_own_service(int proto, struct work *w,
						 struct shunt_rule_counters *counters,
						 const struct shunt_conf *conf)
{
	count_own_service(conf, counters);
	if (proto != IPPROTO_UDP)
		return;
	w->rule.to_port = 0;
	udp_flow_add(&w->udp_flow, w->hash, &w->rule, counters, conf);
}

/* Whether the packet may match a rule. Rules are for first packets. Another TCP packet that
 * belongs to no socket may be of a connection that is forwarded, so it is left alone (I8),
 * unless it may answer a SYN cookie of a listener. */
static __always_inline bool may_match_rules(const struct packet *pkt, int proto,
					    const struct shunt_conf *conf)
{
	return starts_flow(pkt, proto) ||
	       (conf->run.syncookie_tick && tick_now() - conf->run.syncookie_tick <= COOKIE_TICKS &&
		(pkt->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_ACK);
}

#endif
