/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NAT: how flows are made, found, checked again and ended. All flows stand in one queue.
 * While there are flows, a timer examines a part of the queue ten times a second and ends
 * flows that have been idle for too long. (With a timer for each flow, the kernel would
 * need memory at moments when it may have none.)
 */
#ifndef SHUNT_NAT_FLOWS_H
#define SHUNT_NAT_FLOWS_H

#include "nat_room.h"
#include "nat_search.h"

#define EEXIST (-17)
#define SWEEP_NS (SECOND / 10)
#define SWEEP_MAX 2048 /* flows that one run of the timer examines */
#define PORT_TRIES 16
#define PORT_FIRST 32768 /* replacement source ports begin here */
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

/* The key that a reply to pkt has. */
static __always_inline void reply_key_of(struct shunt_nat_key *key, const struct packet *pkt,
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

/* Takes one flow from the queue, and ends the flow or puts it back. */
static long sweep_one(__u32 i, void *data)
{
	struct shunt_nat_sweep *sweep = *(struct shunt_nat_sweep **)data;
	struct shunt_nat_flow *orig;
	struct shunt_nat_expiry_entry entry;

	(void)i;
	if (bpf_map_pop_elem(&shunt_nat_queue, &entry))
		return 1;
	orig = flow_get(&entry.key);
	if (!orig || orig->id != entry.id || end_idle(&entry.key, orig) || !requeue(&entry, orig))
		__sync_fetch_and_add(&sweep->flows, -1);
	return 0;
}

static int sweep_due(void *map, __u32 *key, struct shunt_nat_sweep *sweep)
{
	__u32 n = sweep->flows / 10 + 16;

	(void)map;
	(void)key;
	bpf_loop(n < SWEEP_MAX ? n : SWEEP_MAX, sweep_one, &sweep, 0);
	/* sweep->flows is read twice. A flow that is made after the second time finds running
	 * unset, and starts the timer itself. */
	if (!sweep->flows && __sync_lock_test_and_set(&sweep->running, 0) && !sweep->flows)
		return 0;
	sweep->running = 1;
	bpf_timer_start(&sweep->timer, SWEEP_NS, 0);
	return 0;
}

/* Puts a new flow in the queue. Returns false if the queue is full. */
static __noinline bool enqueue(const struct shunt_nat_key *key, __u16 id)
{
	struct shunt_nat_sweep *sweep = sweep_get();
	struct shunt_nat_expiry_entry entry = { .key = *key, .id = id };

	if (!sweep || bpf_map_push_elem(&shunt_nat_queue, &entry, 0))
		return false;
	__sync_fetch_and_add(&sweep->flows, 1);
	if (!sweep->running && !__sync_lock_test_and_set(&sweep->running, 1))
		bpf_timer_start(&sweep->timer, SWEEP_NS, 0);
	return true;
}

static __always_inline void account_packet(struct shunt_nat_flow *flow, const struct packet *pkt,
					   __u32 len)
{
	if (pkt->proto == IPPROTO_TCP && !tcp_track(flow, pkt))
		return;
	flow->last_packet_ns = bpf_ktime_get_coarse_ns();
	flow->packets++;
	flow->bytes += len;
}

static __noinline bool tcp_socket_has(struct __sk_buff *skb, struct bpf_sock_tuple *t,
				      const struct shunt_nat_key *reply_key)
{
	struct bpf_sock *sk;
	bool has;

	if (reply_key->family == AF_INET)
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
				      const struct shunt_nat_key *reply_key)
{
	struct bpf_sock *sk;
	bool has;

	if (reply_key->family == AF_INET)
		sk = bpf_sk_lookup_udp(skb, t, sizeof(t->ipv4), BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_sk_lookup_udp(skb, t, sizeof(t->ipv6), BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return false;
	has = sk->state == TCP_ESTABLISHED; /* connected */
	bpf_sk_release(sk);
	return has;
}

/* Whether a socket of this host has a connection whose packets come in with these
 * addresses and ports. */
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
	return to->proto == IPPROTO_TCP ? tcp_socket_has(skb, &t, to) : udp_socket_has(skb, &t, to);
}

/* Whether a socket of this host already uses the flow's addresses and ports behind NAT. The
 * socket would get the flow's replies; or, for a forwarded flow to a target on this
 * host, the flow's packets. */
static __always_inline bool reply_tuple_in_use(struct __sk_buff *skb,
					       const struct shunt_nat_key *reply_key,
					       bool forwarded)
{
	struct shunt_nat_key sent = {
		.sport = reply_key->dport,
		.dport = reply_key->sport,
		.family = reply_key->family,
		.proto = reply_key->proto,
	};

	if (socket_has(skb, reply_key))
		return true;
	__builtin_memcpy(sent.src, reply_key->dst, 16);
	__builtin_memcpy(sent.dst, reply_key->src, 16);
	return forwarded && socket_has(skb, &sent);
}

struct port_search {
	struct __sk_buff *skb;
	struct scratch *scratch;
	bool forwarded;
	long error;
};

static long try_port(__u32 i, void *data)
{
	struct port_search *s = data;
	struct scratch *d = s->scratch;

	if (i || s->error == EEXIST)
		d->reply_key.dport = PORT_FIRST + (bpf_get_prandom_u32() & PORT_MASK);
	s->error = EEXIST;
	/* An untranslated TCP connection of a local socket needs no flow: the socket look-up
	 * finds it. Untranslated UDP gets a flow, which is cheaper than a socket look-up for
	 * each packet. */
	if (!(d->disposition == DISP_TRACK && d->reply_key.proto == IPPROTO_UDP) &&
	    reply_tuple_in_use(s->skb, &d->reply_key, s->forwarded))
		return 0;
	s->error = bpf_map_update_elem(&shunt_nat_flows, &d->reply_key, &d->flow, BPF_NOEXIST);
	if (s->error == EEXIST)
		return 0;
	return 1;
}

/* Fills in the key of the flow's replies. They come from the target; its address has the
 * first t->to_len bits of t->to and the rest of the old destination. */
static __always_inline void fill_reply_key(struct shunt_nat_key *reply_key,
					   const struct shunt_nat_key *key,
					   const struct shunt_nat_target *t)
{
	const __u32 *old = (const __u32 *)key->dst, *to = (const __u32 *)t->to;
	__u32 *bits = (__u32 *)reply_key->src;
	int i;

	copy_first_bits(reply_key->src, key->dst, t->to_len);
	for (i = 0; i < 4; i++)
		bits[i] = (old[i] ^ bits[i]) | to[i];
	__builtin_memcpy(reply_key->dst, key->src, 16);
	reply_key->sport = t->one_to_one ? key->dport - t->dport_low + t->to_low
			   : t->to_low   ? t->to_low
					 : key->dport;
	reply_key->dport = key->sport;
	reply_key->family = key->family;
	reply_key->proto = key->proto;
	reply_key->direction = NAT_DIR_REPLY;
	reply_key->pad = 0;
}

/* Notes the interface by which the flow's packets leave before NAT. */
static __always_inline void set_orig_iface(struct __sk_buff *skb, struct shunt_nat_flow *flow,
					   bool raw)
{
	flow->ifindex = skb->ifindex;
	flow->raw = raw;
	if (!raw)
		bpf_skb_load_bytes(skb, 6, flow->orig_mac, 6);
}

/* The route to the old destination leads to another interface now. The route to the target
 * may have changed too, so it is looked up again. */
static __noinline void update_orig_iface(struct __sk_buff *skb, struct shunt_nat_flow *orig,
					 bool raw)
{
	struct shunt_nat_flow *reply = flow_get(&orig->other);

	if (reply)
		set_orig_iface(skb, reply, raw);
	set_orig_iface(skb, orig, raw);
	if (orig->route_ns != ~0ULL)
		orig->route_ns = 0;
}

static __noinline struct shunt_nat_flow *count_refused(enum disposition disposition, __u32 rule)
{
	struct shunt_nat_rule *r = rule_get(rule);

	if (disposition == DISP_TRACK)
		return NULL;
	COUNT(nat_refused, 1);
	if (r)
		__sync_fetch_and_add(&r->refused, 1);
	return NULL;
}

static __always_inline void fill_flow(struct __sk_buff *skb, const struct shunt_nat_key *key,
				      struct scratch *d, bool raw)
{
	struct shunt_nat_flow *flow = &d->flow;

	__builtin_memset(flow, 0, sizeof(*flow));
	flow->other = *key;
	flow->last_packet_ns = bpf_ktime_get_coarse_ns();
	flow->rule = d->target.rule;
	flow->fallback_oif = d->target.ifindex;
	flow->id = bpf_get_prandom_u32();
	flow->source = source_of(skb, key);
	if (d->disposition == DISP_TRACK) {
		flow->forward_action = NAT_UNTRANSLATED;
		flow->generation = d->generation;
	}
	set_orig_iface(skb, flow, raw);
}

/*
 * Makes the two entries of a flow from key to d->target. The flow gets another source port
 * if its own is in use, or for DISP_CHANGE_PORT. Returns NULL if there is no room.
 */
static __noinline struct shunt_nat_flow *make_flow(struct __sk_buff *skb,
						   const struct shunt_nat_key *key,
						   struct scratch *d, bool raw)
{
	enum disposition disposition = d->disposition;
	struct shunt_nat_flow *flow = &d->flow, *orig;
	__u32 index = d->target.rule;
	struct shunt_nat_rule *rule;
	struct port_search s = {
		.skb = skb,
		.scratch = d,
		.forwarded = !skb->sk,
		.error = disposition == DISP_CHANGE_PORT ? EEXIST : 0,
	};

	fill_reply_key(&d->reply_key, key, &d->target);
	fill_flow(skb, key, d, raw);
	if (disposition != DISP_TRACK && !make_room(flow->source))
		return count_refused(disposition, index);
	bpf_loop(disposition == DISP_TRACK ? 1 : PORT_TRIES, try_port, &s, 0);
	if (s.error)
		return count_refused(disposition, index);
	flow->other = d->reply_key;
	if (disposition == DISP_CHANGE_PORT)
		flow->route_ns = ~0ULL; /* never looked up: only the port changes */
	if (bpf_map_update_elem(&shunt_nat_flows, key, flow, BPF_NOEXIST)) {
		bpf_map_delete_elem(&shunt_nat_flows, &d->reply_key);
		orig = flow_get(key); /* another CPU was faster */
		return orig ? orig : count_refused(disposition, index);
	}
	orig = flow_get(key);
	if (!orig)
		return NULL;
	if (!enqueue(key, flow->id)) {
		bpf_map_delete_elem(&shunt_nat_flows, &d->reply_key);
		bpf_map_delete_elem(&shunt_nat_flows, key);
		return count_refused(disposition, index);
	}
	COUNT(nat_made, 1);
	source_flows_add(flow->source, 1);
	if (disposition == DISP_TRACK)
		COUNT(nat_untranslated, 1);
	if (d->reply_key.dport != key->sport)
		COUNT(nat_other_ports, 1);
	rule = rule_get(index);
	if (rule)
		__sync_fetch_and_add(&rule->flows, 1);
	return orig;
}

/* The entry that replies to a packet would find. */
static __always_inline struct shunt_nat_flow *reply_flow_of(const struct packet *pkt)
{
	struct shunt_nat_key reply_key;

	reply_key_of(&reply_key, pkt, NAT_DIR_REPLY);
	return flow_get(&reply_key);
}

/* Whether a rule or a target has the port. */
static __always_inline bool port_is_of_rules(__u8 proto, __u32 port)
{
	__u32 which = proto == IPPROTO_UDP;
	const struct shunt_nat_ports *ports = bpf_map_lookup_elem(&shunt_nat_ports, &which);

	return ports && ports->bits[(port & 0xffff) / 64] & 1ULL << port % 64;
}

static __always_inline bool find_target(const struct packet *pkt, struct scratch *d, __u32 current,
					bool is_target)
{
	struct nat_search s = {
		.pkt = pkt,
		.key = { .family = pkt->family, .proto = pkt->proto, .is_target = is_target },
		.scratch = d,
		.shapes = current,
	};

	bpf_loop(SHUNT_NAT_SHAPES, try_shape, &s, 0);
	return s.found;
}

/* Decides what happens to a packet without a flow. d->target is filled in too. */
static __noinline enum disposition find_disposition(const struct packet *pkt, struct scratch *d)
{
	const struct shunt_nat *nat = nat_get();
	bool v4 = pkt->family == AF_INET;

	d->disposition = DISP_IGNORE;
	if (!nat || !port_is_of_rules(pkt->proto, pkt->dport))
		return DISP_IGNORE;
	d->generation = nat->generation;
	if (find_target(pkt, d, nat->current[v4 ? NAT_DST4 : NAT_DST6], false))
		return d->disposition = DISP_TRANSLATE;
	if (reply_flow_of(pkt))
		d->disposition = DISP_CHANGE_PORT;
	else if (find_target(pkt, d, nat->current[v4 ? NAT_TARGET4 : NAT_TARGET6], true) &&
		 has_room_untranslated(nat))
		d->disposition = DISP_TRACK;
	__builtin_memset(&d->target, 0, sizeof(d->target));
	__builtin_memcpy(d->target.to, pkt->dst, 16);
	d->target.to_len = 128;
	d->target.rule = SHUNT_NAT_RULES; /* none */
	return d->disposition;
}

/* Whether the rules in force would give the packet the same target. */
static __always_inline bool same_target(const struct shunt_nat_key *key, const struct packet *pkt,
					const struct shunt_nat_flow *orig, struct scratch *d)
{
	if (find_disposition(pkt, d) == DISP_IGNORE)
		return false;
	fill_reply_key(&d->reply_key, key, &d->target);
	return d->reply_key.sport == orig->other.sport &&
	       same_address(d->reply_key.src, orig->other.src);
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
	struct scratch *d = scratch_get();

	if (!reply || !d)
		return true; /* another CPU removes it */
	if (reply->packets && !has_closed(orig, reply) && !has_closed(reply, orig) &&
	    !((orig->tcp_flags | reply->tcp_flags) & TCP_RST))
		return true;
	if ((!reply->packets || idle_of(orig, reply, IPPROTO_TCP) == NAT_CLOSED) &&
	    !same_target(key, pkt, orig, d)) {
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
	struct scratch *d = scratch_get();

	if (!nat || !d || orig->generation == nat->generation)
		return true;
	if (!same_target(key, pkt, orig, d)) {
		end_flow(key, orig);
		return false;
	}
	orig->generation = d->generation;
	return true;
}

#endif
