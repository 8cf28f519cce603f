// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names the listener when the stack has reassembled a datagram and looks for its socket.
 * Keeps the map of listeners. tc/fragments.h tells how the two work together.
 */
#include "flows.h"
#include "reassembled.h"

#define SK_PASS 1

/* False if the rule was deleted after the datagram's first fragment had come. */
static __always_inline bool is_valid(const struct shunt_reassembled *r)
{
	const struct shunt_conf *conf = conf_get();
	const struct shunt_rule_counters *counters = conf ? counters_at(conf, r->counters) : NULL;

	return counters && counters->generation == r->generation &&
	       tick_now() - r->tick <= SHUNT_FRAGMENT_IDLE;
}

/* Runs at each look-up for a socket that is not connected, while attached. */
SEC("sk_lookup")
int shunt_reassembled(struct bpf_sk_lookup *ctx)
{
	const struct shunt_conf *conf = conf_get();
	struct shunt_flow flow = {};
	const struct shunt_reassembled *r;
	struct shunt_listener l;
	struct bpf_sock *sk;
	__u32 *addr;

	/* While no fragments come, a look-up costs no more than these comparisons. */
	if (ctx->protocol != IPPROTO_UDP || !conf ||
	    tick_now() - conf->reassembled_tick > SHUNT_FRAGMENT_IDLE)
		return SK_PASS;
	flow.family = ctx->family;
	flow.sport = bpf_ntohs(ctx->remote_port);
	flow.dport = ctx->local_port;
	addr = (__u32 *)flow.src;
	if (ctx->family == AF_INET) {
		addr[0] = ctx->remote_ip4;
		addr[4] = ctx->local_ip4;
	} else {
		addr[0] = ctx->remote_ip6[0];
		addr[1] = ctx->remote_ip6[1];
		addr[2] = ctx->remote_ip6[2];
		addr[3] = ctx->remote_ip6[3];
		addr[4] = ctx->local_ip6[0];
		addr[5] = ctx->local_ip6[1];
		addr[6] = ctx->local_ip6[2];
		addr[7] = ctx->local_ip6[3];
	}
	r = bpf_map_lookup_elem(&shunt_datagrams, &flow);
	if (!r || !is_valid(r))
		return SK_PASS;
	l = r->listener;
	sk = bpf_map_lookup_elem(&shunt_listeners, &l);
	if (!sk)
		return SK_PASS;
	bpf_sk_assign(ctx, sk, 0);
	bpf_sk_release(sk);
	return SK_PASS;
}

/* Puts the wanted listeners into shunt_listeners. */
SEC("iter/udp")
int shunt_collect_listeners(struct bpf_iter__udp *ctx)
{
	struct udp_sock *udp = ctx->udp_sk;
	struct shunt_listener l = {};
	const struct sock_common *c;

	if (!udp)
		return 0;
	c = (const struct sock_common *)udp;
	l.family = c->skc_family;
	l.port = c->skc_num;
	if (c->skc_dport)
		return 0; /* connected */
	if (l.family == AF_INET)
		__builtin_memcpy(l.addr, (const void *)&c->skc_rcv_saddr, 4);
	else
		__builtin_memcpy(l.addr, (const void *)&c->skc_v6_rcv_saddr, 16);
	if (bpf_map_lookup_elem(&shunt_wanted, &l))
		bpf_map_update_elem(&shunt_listeners, &l, udp, BPF_ANY);
	return 0;
}

/* Wakes the supervisor if the socket is a wanted listener. */
static __always_inline void wake_for_listener(struct bpf_sock *sk, const struct shunt_listener *l)
{
	struct shunt_conf *conf = conf_get();

	if (!conf || bpf_get_netns_cookie(sk) != conf->netns ||
	    !bpf_map_lookup_elem(&shunt_wanted, l))
		return;
	conf->run.listeners_wanted = COLLECT_BOUND;
	wake_supervisor(EVENT_LISTENERS_WANTED);
}

/* Runs at each bind() of the host. Returns 1: bind() is never refused. */
SEC("cgroup/post_bind4")
int shunt_bound4(struct bpf_sock *sk)
{
	struct shunt_listener l = { .family = AF_INET };

	if (sk->protocol != IPPROTO_UDP)
		return 1;
	l.port = sk->src_port;
	*(__u32 *)l.addr = sk->src_ip4;
	wake_for_listener(sk, &l);
	return 1;
}

SEC("cgroup/post_bind6")
int shunt_bound6(struct bpf_sock *sk)
{
	struct shunt_listener l = { .family = AF_INET6 };
	__u32 *addr = (__u32 *)l.addr;

	if (sk->protocol != IPPROTO_UDP)
		return 1;
	l.port = sk->src_port;
	addr[0] = sk->src_ip6[0];
	addr[1] = sk->src_ip6[1];
	addr[2] = sk->src_ip6[2];
	addr[3] = sk->src_ip6[3];
	wake_for_listener(sk, &l);
	return 1;
}

char LICENSE[] SEC("license") __weak = "GPL";
