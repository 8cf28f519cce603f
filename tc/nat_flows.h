/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NAT: which flow a packet belongs to. Flows stand in a queue, and while there
 * are some a timer looks at the next few ten times a second, and ends those that
 * have been idle for long enough. (A timer for each flow takes memory that the
 * kernel does not always have at hand.)
 */
#ifndef SHUNT_NAT_FLOWS_H
#define SHUNT_NAT_FLOWS_H

#include "nat_room.h"
#include "nat_search.h"

#define EEXIST (-17)
#define SWEEP_NS (SECOND / 10)
#define SWEEP_MAX 2048 /* flows at a time */
#define PORT_TRIES 16
#define PORT_FIRST 32768 /* of another source port */
#define PORT_MASK 0x7fff

/* --- flows ------------------------------------------------------------------ */

static __always_inline void key_of(struct shunt_nat_key *key, const struct packet *pkt,
				   __u8 direction)
{
	__builtin_memcpy(key->src, pkt->src, 16);
	__builtin_memcpy(key->dst, pkt->dst, 16);
	key->sport = pkt->sport;
	key->dport = pkt->dport;
	key->family = pkt->family;
	key->proto = pkt->proto;
	key->direction = direction;
	key->pad = 0;
}

/* The key of an answer to pkt. */
static __always_inline void answer_key(struct shunt_nat_key *key, const struct packet *pkt,
				       __u8 direction)
{
	__builtin_memcpy(key->src, pkt->dst, 16);
	__builtin_memcpy(key->dst, pkt->src, 16);
	key->sport = pkt->dport;
	key->dport = pkt->sport;
	key->family = pkt->family;
	key->proto = pkt->proto;
	key->direction = direction;
	key->pad = 0;
}

/* Looks at the flow whose turn it is. */
static long sweep_one(__u32 i, void *data)
{
	struct shunt_nat_sweep *sweep = *(struct shunt_nat_sweep **)data;
	struct shunt_nat_flow *out;
	struct shunt_nat_turn turn;

	(void)i;
	if (bpf_map_pop_elem(&shunt_nat_queue, &turn))
		return 1;
	out = flow_get(&turn.key);
	if (!out || out->id != turn.id || end_idle(&turn.key, out) ||
	    !look_again(&turn, out))
		__sync_fetch_and_add(&sweep->flows, -1);
	return 0;
}

static int sweep_due(void *map, __u32 *key, struct shunt_nat_sweep *sweep)
{
	__u32 n = sweep->flows / 10 + 16;

	(void)map;
	(void)key;
	bpf_loop(n < SWEEP_MAX ? n : SWEEP_MAX, sweep_one, &sweep, 0);
	/* A flow made after the second look starts the timer itself. */
	if (!sweep->flows && __sync_lock_test_and_set(&sweep->running, 0) && !sweep->flows)
		return 0;
	sweep->running = 1;
	bpf_timer_start(&sweep->timer, SWEEP_NS, 0);
	return 0;
}

/* Puts a flow in the queue; false if there is no room. */
static __noinline bool enqueue(const struct shunt_nat_key *key, __u16 id)
{
	struct shunt_nat_sweep *sweep = sweep_get();
	struct shunt_nat_turn turn = { .key = *key, .id = id };

	if (!sweep || bpf_map_push_elem(&shunt_nat_queue, &turn, 0))
		return false;
	__sync_fetch_and_add(&sweep->flows, 1);
	if (!sweep->running && !__sync_lock_test_and_set(&sweep->running, 1))
		bpf_timer_start(&sweep->timer, SWEEP_NS, 0);
	return true;
}

static __always_inline void note(struct shunt_nat_flow *flow, const struct packet *pkt, __u32 len)
{
	if (pkt->proto == IPPROTO_TCP && !note_tcp(flow, pkt))
		return;
	flow->seen_ns = bpf_ktime_get_coarse_ns();
	flow->packets++;
	flow->bytes += len;
}

static __noinline bool tcp_socket_has(struct __sk_buff *skb, struct bpf_sock_tuple *t,
				      const struct shunt_nat_key *back)
{
	struct bpf_sock *sk;
	bool has;

	if (back->family == AF_INET)
		sk = bpf_skc_lookup_tcp(skb, t, sizeof(t->ipv4), BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_skc_lookup_tcp(skb, t, sizeof(t->ipv6), BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return false;
	has = sk->state != TCP_LISTEN;
	bpf_sk_release(sk);
	return has;
}

static __noinline bool udp_socket_has(struct __sk_buff *skb, struct bpf_sock_tuple *t,
				      const struct shunt_nat_key *back)
{
	struct bpf_sock *sk;
	bool has;

	if (back->family == AF_INET)
		sk = bpf_sk_lookup_udp(skb, t, sizeof(t->ipv4), BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_sk_lookup_udp(skb, t, sizeof(t->ipv6), BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return false;
	has = sk->state == TCP_ESTABLISHED; /* connected */
	bpf_sk_release(sk);
	return has;
}

/* Has a socket of this host a connection of its own to that source, from that
 * destination? */
static __noinline bool socket_has(struct __sk_buff *skb, const struct shunt_nat_key *to)
{
	struct bpf_sock_tuple t = {};

	if (to->family == AF_INET) {
		__builtin_memcpy(&t.ipv4.saddr, to->src, 4);
		__builtin_memcpy(&t.ipv4.daddr, to->dst, 4);
		t.ipv4.sport = bpf_htons(to->sport);
		t.ipv4.dport = bpf_htons(to->dport);
	} else {
		__builtin_memcpy(t.ipv6.saddr, to->src, 16);
		__builtin_memcpy(t.ipv6.daddr, to->dst, 16);
		t.ipv6.sport = bpf_htons(to->sport);
		t.ipv6.dport = bpf_htons(to->dport);
	}
	return to->proto == IPPROTO_TCP ? tcp_socket_has(skb, &t, to) :
					  udp_socket_has(skb, &t, to);
}

/* Would the flow's packets be taken for those of a socket of this host: the
 * answers; or, if they are forwarded, what goes to a target on this host? */
static __always_inline bool taken(struct __sk_buff *skb, const struct shunt_nat_key *back,
				  bool forwarded)
{
	struct shunt_nat_key out = {
		.sport = back->dport, .dport = back->sport,
		.family = back->family, .proto = back->proto,
	};

	if (socket_has(skb, back))
		return true;
	__builtin_memcpy(out.src, back->dst, 16);
	__builtin_memcpy(out.dst, back->src, 16);
	return forwarded && socket_has(skb, &out);
}

struct port_search {
	struct __sk_buff *skb;
	struct draft *draft;
	bool forwarded;
	long error;
};

static long try_port(__u32 i, void *data)
{
	struct port_search *s = data;
	struct draft *d = s->draft;

	if (i || s->error == EEXIST)
		d->back.dport = PORT_FIRST + (bpf_get_prandom_u32() & PORT_MASK);
	s->error = EEXIST;
	/* A socket tells for TCP that goes straight; UDP is cheaper as a flow
	 * than asked for with each packet. */
	if (!(d->fate == FATE_STRAIGHT && d->back.proto == IPPROTO_UDP) &&
	    taken(s->skb, &d->back, s->forwarded))
		return 0;
	s->error = bpf_map_update_elem(&shunt_nat_flows, &d->back, &d->flow, BPF_NOEXIST);
	if (s->error == EEXIST)
		return 0;
	return 1;
}

/* The answers to a flow come from the target, which keeps some bits of the
 * old destination. */
static __always_inline void fill_back(struct shunt_nat_key *back, const struct shunt_nat_key *key,
				      const struct shunt_nat_target *t)
{
	const __u32 *old = (const __u32 *)key->dst, *to = (const __u32 *)t->to;
	__u32 *bits = (__u32 *)back->src;
	int i;

	first_bits(back->src, key->dst, t->keep);
	for (i = 0; i < 4; i++)
		bits[i] = (old[i] ^ bits[i]) | to[i];
	__builtin_memcpy(back->dst, key->src, 16);
	back->sport = t->shift ? key->dport - t->dport_low + t->to_low :
		      t->to_low ? t->to_low : key->dport;
	back->dport = key->sport;
	back->family = key->family;
	back->proto = key->proto;
	back->direction = NAT_IN;
	back->pad = 0;
}

/* The flow's packets leave by this interface before NAT. */
static __always_inline void set_home(struct __sk_buff *skb, struct shunt_nat_flow *flow, bool raw)
{
	flow->ifindex = skb->ifindex;
	flow->raw = raw;
	if (!raw)
		bpf_skb_load_bytes(skb, 6, flow->home, 6);
}

/* The way to the old destination is another one now, and so may be the target's. */
static __noinline void move_home(struct __sk_buff *skb, struct shunt_nat_flow *out, bool raw)
{
	struct shunt_nat_flow *in = flow_get(&out->other);

	if (in)
		set_home(skb, in, raw);
	set_home(skb, out, raw);
	if (out->route_ns != ~0ULL)
		out->route_ns = 0;
}

static __noinline struct shunt_nat_flow *no_flow(enum fate fate, __u32 rule)
{
	struct shunt_nat_rule *r = rule_get(rule);

	if (fate == FATE_STRAIGHT)
		return NULL;
	COUNT(nat_refused, 1);
	if (r)
		__sync_fetch_and_add(&r->refused, 1);
	return NULL;
}

static __always_inline void fill_flow(struct __sk_buff *skb, const struct shunt_nat_key *key,
				      struct draft *d, bool raw)
{
	struct shunt_nat_flow *flow = &d->flow;

	__builtin_memset(flow, 0, sizeof(*flow));
	flow->other = *key;
	flow->seen_ns = bpf_ktime_get_coarse_ns();
	flow->rule = d->target.rule;
	flow->fallback = d->target.ifindex;
	flow->id = bpf_get_prandom_u32();
	flow->share = share_of(skb, key);
	if (d->fate == FATE_STRAIGHT) {
		flow->how = NAT_STRAIGHT;
		flow->changes = d->changes;
	}
	set_home(skb, flow, raw);
}

/*
 * Makes the two entries of a flow from key to the draft's target, with another
 * source port if its own is taken, or if its fate says so. NULL if there is no
 * room.
 */
static __noinline struct shunt_nat_flow *make_flow(struct __sk_buff *skb,
						   const struct shunt_nat_key *key,
						   struct draft *d, bool raw)
{
	enum fate fate = d->fate;
	struct shunt_nat_flow *flow = &d->flow, *out;
	__u32 index = d->target.rule;
	struct shunt_nat_rule *rule;
	struct port_search s = {
		.skb = skb,
		.draft = d,
		.forwarded = !skb->sk,
		.error = fate == FATE_OTHER_PORT ? EEXIST : 0,
	};

	fill_back(&d->back, key, &d->target);
	fill_flow(skb, key, d, raw);
	if (fate != FATE_STRAIGHT && !make_room(flow->share))
		return no_flow(fate, index);
	bpf_loop(fate == FATE_STRAIGHT ? 1 : PORT_TRIES, try_port, &s, 0);
	if (s.error)
		return no_flow(fate, index);
	flow->other = d->back;
	if (fate == FATE_OTHER_PORT)
		flow->route_ns = ~0ULL; /* as it is */
	if (bpf_map_update_elem(&shunt_nat_flows, key, flow, BPF_NOEXIST)) {
		bpf_map_delete_elem(&shunt_nat_flows, &d->back);
		out = flow_get(key); /* another CPU was faster */
		return out ? out : no_flow(fate, index);
	}
	out = flow_get(key);
	if (!out)
		return NULL;
	if (!enqueue(key, flow->id)) {
		bpf_map_delete_elem(&shunt_nat_flows, &d->back);
		bpf_map_delete_elem(&shunt_nat_flows, key);
		return no_flow(fate, index);
	}
	COUNT(nat_made, 1);
	share_add(flow->share, 1);
	if (fate == FATE_STRAIGHT)
		COUNT(nat_straight, 1);
	if (d->back.dport != key->sport)
		COUNT(nat_ports, 1);
	rule = rule_get(index);
	if (rule)
		__sync_fetch_and_add(&rule->flows, 1);
	return out;
}

/* The flow that the answers to a packet would be taken for. */
static __always_inline struct shunt_nat_flow *answered_by(const struct packet *pkt)
{
	struct shunt_nat_key back;

	answer_key(&back, pkt, NAT_IN);
	return flow_get(&back);
}

/* Is it the port of a rule, or of a target? */
static __always_inline bool port_matters(__u8 proto, __u32 port)
{
	__u32 which = proto == IPPROTO_UDP;
	const struct shunt_nat_ports *ports = bpf_map_lookup_elem(&shunt_nat_ports, &which);

	return ports && ports->bits[(port & 0xffff) / 64] & 1ULL << port % 64;
}

static __always_inline bool search(const struct packet *pkt, struct draft *d, __u32 current,
				   bool is_target)
{
	struct search s = {
		.pkt = pkt,
		.key = { .family = pkt->family, .proto = pkt->proto, .is_target = is_target },
		.draft = d,
		.shapes = current,
	};

	bpf_loop(SHUNT_NAT_SHAPES, try_shape, &s, 0);
	return s.found;
}

/* Finds a packet's fate, which goes into the draft with the target. */
static __noinline enum fate find_fate(const struct packet *pkt, struct draft *d)
{
	const struct shunt_nat *nat = nat_get();
	bool v4 = pkt->family == AF_INET;

	d->fate = FATE_NONE;
	if (!nat || !port_matters(pkt->proto, pkt->dport))
		return FATE_NONE;
	d->changes = nat->changes;
	if (search(pkt, d, nat->current[v4 ? NAT_DST4 : NAT_DST6], false))
		return d->fate = FATE_TARGET;
	if (answered_by(pkt))
		d->fate = FATE_OTHER_PORT;
	else if (search(pkt, d, nat->current[v4 ? NAT_TARGET4 : NAT_TARGET6], true) &&
		 has_room(nat))
		d->fate = FATE_STRAIGHT;
	__builtin_memset(&d->target, 0, sizeof(d->target));
	__builtin_memcpy(d->target.to, pkt->dst, 16);
	d->target.keep = 128;
	d->target.rule = SHUNT_NAT_RULES; /* none */
	return d->fate;
}

/* Would the rules make the same flow of the packet? */
static __always_inline bool same_target(const struct shunt_nat_key *key, const struct packet *pkt,
					const struct shunt_nat_flow *out, struct draft *d)
{
	if (find_fate(pkt, d) == FATE_NONE)
		return false;
	fill_back(&d->back, key, &d->target);
	return d->back.sport == out->other.sport && same_address(d->back.src, out->other.src);
}

/*
 * A known flow's request for a connection: the last one may have ended. If it
 * has, or if nobody has answered, the rules are asked again; false if they say
 * something else now, and the flow is removed.
 */
static __noinline bool reopen(const struct shunt_nat_key *key, const struct packet *pkt,
			      struct shunt_nat_flow *out)
{
	struct shunt_nat_flow *in = flow_get(&out->other);
	struct draft *d = draft_get();

	if (!in || !d)
		return true; /* another CPU removes it */
	if (in->packets && !has_closed(out, in) && !has_closed(in, out) &&
	    !((out->tcp_flags | in->tcp_flags) & TCP_RST))
		return true;
	if ((!in->packets || idle_of(out, in, IPPROTO_TCP) == NAT_CLOSED) &&
	    !same_target(key, pkt, out, d)) {
		end_flow(key, out);
		return false;
	}
	out->tcp_flags = out->last_flags = 0;
	in->tcp_flags = in->last_flags = 0;
	out->fin = in->fin = 0;
	in->packets = 0;
	return true;
}

/* UDP that goes straight to a target is in nobody's way: when the rules have
 * changed they are asked again. False as with reopen(). */
static __noinline bool still_straight(const struct shunt_nat_key *key, const struct packet *pkt,
				      struct shunt_nat_flow *out)
{
	const struct shunt_nat *nat = nat_get();
	struct draft *d = draft_get();

	if (!nat || !d || out->changes == nat->changes)
		return true;
	if (!same_target(key, pkt, out, d)) {
		end_flow(key, out);
		return false;
	}
	out->changes = d->changes;
	return true;
}

#endif
