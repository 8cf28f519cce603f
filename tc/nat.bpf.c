// SPDX-License-Identifier: GPL-2.0-only
/*
 * NAT: at egress, what goes to a rule's destination is sent to its target; at
 * ingress, what comes back gets its old addresses. Flows are made by a rule
 * and from then on stand for themselves, whatever happens to the rules, until
 * the connection begins anew. They stand in a queue, and while there are some a
 * timer looks at the next few ten times a second, and ends those that have been
 * idle for long enough. (A timer for each flow takes memory that the kernel does
 * not always have at hand.)
 *
 * Routing took place before egress, for the old destination: the way to the
 * target is looked up again. A packet that is redirected comes through egress
 * a second time, told by its tc_index.
 */
#include "packet.h"

#define NEXT (-1) /* TC_ACT_UNSPEC, TCX_NEXT: other programs go on */
#define DROP 2    /* TC_ACT_SHOT */

#define LOOPBACK 1 /* ifindex */
#define NAT_DONE 0x5348 /* in tc_index: rewritten */
#define CLOCK_MONOTONIC 1
#define EEXIST (-17)
#define SECOND 1000000000ULL
#define ROUTE_NS SECOND
#define SWEEP_NS (SECOND / 10)
#define SWEEP_MAX 2048 /* flows at a time */

#define IPPROTO_ICMP 1
#define IPPROTO_ICMPV6 58
#define TCP_FIN 0x01
#define TCP_RST 0x04

#define ETHERNET 14
#define TCP_CHECK 16
#define UDP_CHECK 6
#define IPV4_CHECK 10
#define IPV4_SRC 12
#define IPV4_DST 16
#define IPV6_SRC 8
#define IPV6_DST 24

#define ICMP_HEADER 8
#define ICMP_CHECK 2

#define PORT_TRIES 16
#define PORT_FIRST 32768 /* of another source port */
#define PORT_MASK 0x7fff

struct shunt_nat_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_nat);
};
MAP(shunt_nat);

struct shunt_nat_rules_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHUNT_NAT_RULES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_nat_rule);
};
MAP(shunt_nat_rules);

struct shunt_nat_match_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SHUNT_NAT_MATCHES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct shunt_nat_match);
	__type(value, struct shunt_nat_target);
};
MAP(shunt_nat_match);

struct shunt_nat_shapes_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * NAT_GROUPS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_nat_shapes);
};
MAP(shunt_nat_shapes);

struct shunt_nat_ports_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_nat_ports);
};
MAP(shunt_nat_ports);

/* load sets the size */
struct shunt_nat_flows_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct shunt_nat_key);
	__type(value, struct shunt_nat_flow);
};
MAP(shunt_nat_flows);

/* Datagrams of flows whose first fragment has come, by their addresses and
 * identification in the place of ports; later ones carry no ports. */
struct shunt_nat_pieces_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct shunt_nat_key);
	__type(value, struct shunt_nat_key);
};
MAP(shunt_nat_pieces);

/* How many fragments of a datagram have come before the first one, by the same
 * key: most are of none that NAT is for. */
struct shunt_nat_early_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct shunt_nat_key);
	__type(value, __u64);
};
MAP(shunt_nat_early);

struct shunt_nat_turn {
	struct shunt_nat_key key;
	__u16 id; /* the flow's; another one has taken its place if they differ */
	__u16 pad;
};

/* the entries out of all flows, in the order in which to look whether they have
 * ended; load sets the size */
struct shunt_nat_queue_map {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1);
	__type(value, struct shunt_nat_turn);
};
MAP(shunt_nat_queue);

struct shunt_nat_sweep {
	struct bpf_timer timer;
	__u32 running;
	__u32 flows; /* in the queue */
};

struct shunt_nat_sweep_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct shunt_nat_sweep);
};
MAP(shunt_nat_sweep);

/* What is to become of a packet that no flow is known for. */
enum fate {
	FATE_NONE,       /* nothing */
	FATE_TARGET,     /* it goes to a rule's target */
	FATE_STRAIGHT,   /* it goes to a target by itself: that is kept in mind */
	FATE_OTHER_PORT, /* likewise, but a flow has the same two ends */
};

/* What is too much for the stack, or for the verifier. */
struct draft {
	struct packet pkt;            /* the verifier forgets how it was read */
	struct shunt_nat_flow flow;   /* that is being made */
	struct shunt_nat_key back;    /* of its entry for what comes back */
	struct shunt_nat_target target;
	enum fate fate;
	__u32 changes;                /* of the rules, when they were asked */
	struct shunt_nat_key piece;   /* of the datagram of a first fragment */
};

struct shunt_nat_draft_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct draft);
};
MAP(shunt_nat_draft);

static __always_inline struct shunt_nat *nat_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&shunt_nat, &zero);
}

static __always_inline struct shunt_nat_sweep *sweep_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&shunt_nat_sweep, &zero);
}

static __always_inline struct draft *draft_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&shunt_nat_draft, &zero);
}

static __always_inline struct shunt_nat_rule *rule_get(__u32 index)
{
	return bpf_map_lookup_elem(&shunt_nat_rules, &index);
}

static __always_inline struct shunt_nat_flow *flow_get(const struct shunt_nat_key *key)
{
	return bpf_map_lookup_elem(&shunt_nat_flows, key);
}

/* --- which rule ------------------------------------------------------------ */

struct search {
	const struct packet *pkt;
	struct shunt_nat_match key;
	struct draft *draft;
	__u32 shapes; /* index in shunt_nat_shapes */
	__u32 found;
};

/* The first len bits of addr. */
static __always_inline void first_bits(__u8 *to, const __u8 *addr, __u32 len)
{
	const __u32 *from = (const __u32 *)addr;
	__u32 *word = (__u32 *)to;
	int i;

	for (i = 0; i < 4; i++) {
		if (len >= 32)
			word[i] = from[i];
		else
			word[i] = len ? from[i] & bpf_htonl(~0U << (32 - len)) : 0;
		len = len >= 32 ? len - 32 : 0;
	}
}

static long try_shape(__u32 i, void *data)
{
	struct search *s = data;
	const struct shunt_nat_shapes *shapes = bpf_map_lookup_elem(&shunt_nat_shapes, &s->shapes);
	const struct shunt_nat_target *target;

	if (!shapes || i >= shapes->count || i >= SHUNT_NAT_SHAPES)
		return 1;
	s->key.dst_len = shapes->shape[i].dst_len;
	s->key.port_len = shapes->shape[i].port_len;
	s->key.port = s->pkt->dport & (0xffff0000 >> (s->key.port_len & 31));
	first_bits(s->key.dst, s->pkt->dst, s->key.dst_len);
	target = bpf_map_lookup_elem(&shunt_nat_match, &s->key);
	if (!target)
		return 0;
	s->draft->target = *target;
	s->found = 1;
	return 1;
}

/* --- changing packets ------------------------------------------------------ */

static __always_inline __u32 check_of(const struct packet *pkt)
{
	return pkt->at + (pkt->proto == IPPROTO_TCP ? TCP_CHECK : UDP_CHECK);
}

/* Of UDP no checksum stays none, and none comes out as one. */
static __always_inline __u64 check_flags(const struct packet *pkt)
{
	return pkt->proto == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
}

/*
 * Puts an address in the place of another; at and check are where the address
 * and the checksum over it are, from the start of the data.
 *
 * If the device summed the whole packet, that sum has to stay right: IPv4's
 * header sums up to nothing, but IPv6's changes as a whole, which the store
 * sees to, since the checksum's correction is taken for one of both.
 */
static __always_inline long put_address(struct __sk_buff *skb, __u8 family, __u32 l2, __u32 at,
					__u32 check, __u64 flags, const __u8 *old, const __u8 *new)
{
	long error;

	if (family == AF_INET) {
		__u32 was = *(const __u32 *)old, is = *(const __u32 *)new;

		error = bpf_l3_csum_replace(skb, l2 + IPV4_CHECK, was, is, 4);
		if (check)
			error |= bpf_l4_csum_replace(skb, check, was, is,
						     flags | BPF_F_PSEUDO_HDR | 4);
		return error | bpf_skb_store_bytes(skb, at, new, 4, 0);
	}
	error = bpf_skb_store_bytes(skb, at, new, 16, BPF_F_RECOMPUTE_CSUM);
	if (check)
		error |= bpf_l4_csum_replace(skb, check, 0,
					     bpf_csum_diff((__be32 *)old, 16, (__be32 *)new, 16, 0),
					     flags | BPF_F_PSEUDO_HDR);
	return error;
}

static __always_inline long put_port(struct __sk_buff *skb, __u32 at, __u32 check, __u64 flags,
				     __u16 old, __u16 new)
{
	__be16 is = bpf_htons(new);

	if (old == new)
		return 0;
	return bpf_l4_csum_replace(skb, check, bpf_htons(old), is, flags | 2) |
	       bpf_skb_store_bytes(skb, at, &is, 2, 0);
}

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

/* A reset that was the last word ended the connection; a forged one would
 * have been followed by others. */
static __always_inline bool was_reset(const struct shunt_nat_flow *out,
				      const struct shunt_nat_flow *in)
{
	if (out->last_flags & TCP_RST)
		return out->seen_ns >= in->seen_ns;
	return in->last_flags & TCP_RST && in->seen_ns >= out->seen_ns;
}

static __always_inline enum shunt_nat_idle idle_of(const struct shunt_nat_flow *out,
						   const struct shunt_nat_flow *in, __u8 proto)
{
	__u8 fins;

	if (proto == IPPROTO_TCP) {
		fins = !!(out->tcp_flags & TCP_FIN) + !!(in->tcp_flags & TCP_FIN);
		if (fins == 2 || was_reset(out, in))
			return NAT_CLOSED;
		if (fins)
			return NAT_CLOSING;
	}
	if (!in->packets)
		return NAT_OPENING;
	return proto == IPPROTO_TCP ? NAT_TCP : NAT_UDP;
}

/* Removes both entries of a flow; false if another CPU is at it. */
static __noinline bool end_flow(const struct shunt_nat_key *key, const struct shunt_nat_flow *out)
{
	struct shunt_nat_key back = out->other;

	if (bpf_map_delete_elem(&shunt_nat_flows, &back) ||
	    bpf_map_delete_elem(&shunt_nat_flows, key))
		return false;
	COUNT(nat_ended, 1);
	return true;
}

/* Ends a flow if it has been idle for long enough. */
static __noinline bool end_idle(const struct shunt_nat_key *key, const struct shunt_nat_flow *out)
{
	struct shunt_nat_key back = out->other;
	struct shunt_nat_flow *in = flow_get(&back);
	__u64 now = bpf_ktime_get_ns(), due = out->seen_ns;
	struct shunt_nat *nat = nat_get();
	bool unanswered;

	if (!nat)
		return false;
	if (!in)
		return false; /* another CPU ends it */
	if (in->seen_ns > due)
		due = in->seen_ns;
	due += nat->idle_ns[idle_of(out, in, back.proto)];
	unanswered = !in->packets && in->how != NAT_STRAIGHT;
	if (now < due || !end_flow(key, out))
		return false;
	if (unanswered)
		COUNT(nat_unanswered, 1);
	return true;
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
	    bpf_map_push_elem(&shunt_nat_queue, &turn, 0))
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
	flow->seen_ns = bpf_ktime_get_coarse_ns();
	flow->packets++;
	flow->bytes += len;
	if (pkt->proto != IPPROTO_TCP)
		return;
	if (flow->tcp_flags != (flow->tcp_flags | pkt->tcp_flags))
		flow->tcp_flags |= pkt->tcp_flags;
	if (flow->last_flags != pkt->tcp_flags)
		flow->last_flags = pkt->tcp_flags;
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
	if (fate == FATE_STRAIGHT)
		COUNT(nat_straight, 1);
	if (d->back.dport != key->sport)
		COUNT(nat_ports, 1);
	rule = rule_get(index);
	if (rule)
		__sync_fetch_and_add(&rule->flows, 1);
	return out;
}

static __always_inline bool same_address(const __u8 *a, const __u8 *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	return x[0] == y[0] && x[1] == y[1];
}

/* Would the answers to a packet that is not ours be taken for a flow's? */
static __always_inline bool clashes(const struct packet *pkt)
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

/* NAT's flows come first: what goes straight to targets gets half of the room. */
static __always_inline bool has_room(const struct shunt_nat *nat)
{
	const struct shunt_nat_sweep *sweep = sweep_get();

	return sweep && sweep->flows < nat->flows / 2;
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
	if (clashes(pkt))
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
	if (in->packets && !((out->tcp_flags | in->tcp_flags) & (TCP_FIN | TCP_RST)))
		return true;
	if ((!in->packets || idle_of(out, in, IPPROTO_TCP) == NAT_CLOSED) &&
	    !same_target(key, pkt, out, d)) {
		end_flow(key, out);
		return false;
	}
	out->tcp_flags = out->last_flags = 0;
	in->tcp_flags = in->last_flags = 0;
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

/* --- the way to the target --------------------------------------------------- */

static __noinline int ask_route(struct __sk_buff *skb, struct shunt_nat_flow *out)
{
	const struct shunt_nat_key *back = &out->other;
	struct bpf_fib_lookup fib = {
		.family = back->family,
		.l4_protocol = back->proto,
		.sport = bpf_htons(back->dport),
		.dport = bpf_htons(back->sport),
		.ifindex = LOOPBACK, /* what this host sends */
	};
	long result;
	__u8 mac[6];
	int i;

	__builtin_memcpy(fib.ipv6_src, back->dst, 16);
	__builtin_memcpy(fib.ipv6_dst, back->src, 16);
	result = bpf_fib_lookup(skb, &fib, sizeof(fib), 0);
	switch (result) {
	case BPF_FIB_LKUP_RET_SUCCESS:
	case BPF_FIB_LKUP_RET_NO_NEIGH:
	case BPF_FIB_LKUP_RET_FRAG_NEEDED:
		break;
	case BPF_FIB_LKUP_RET_NOT_FWDED:
		return NAT_LOCAL;
	case BPF_FIB_LKUP_RET_BLACKHOLE:
	case BPF_FIB_LKUP_RET_UNREACHABLE:
	case BPF_FIB_LKUP_RET_PROHIBIT:
		return NAT_UNROUTED;
	default:
		out->oif = out->fallback ? out->fallback : skb->ifindex;
		return out->oif == LOOPBACK ? NAT_LOCAL : NAT_NEIGHBOR;
	}
	out->oif = fib.ifindex;
	if (out->raw && fib.ifindex == skb->ifindex)
		return NAT_PASS; /* nothing there depends on the next hop */
	if (result == BPF_FIB_LKUP_RET_NO_NEIGH)
		return NAT_NEIGHBOR;
	__builtin_memcpy(out->macs, fib.dmac, 6);
	__builtin_memcpy(out->macs + 6, fib.smac, 6);
	if (fib.ifindex != skb->ifindex || bpf_skb_load_bytes(skb, 0, mac, 6))
		return NAT_MAC;
	for (i = 0; i < 6; i++)
		if (mac[i] != fib.dmac[i])
			return NAT_MAC;
	return NAT_PASS;
}

static __always_inline int redirect(struct __sk_buff *skb, const struct shunt_nat_flow *out,
				    __u32 l2, bool fresh)
{
	__be16 proto = skb->protocol;

	if (!l2 && (bpf_skb_change_head(skb, ETHERNET, 0) ||
		    bpf_skb_store_bytes(skb, 12, &proto, 2, 0)))
		return DROP;
	if (out->how == NAT_LOCAL)
		return bpf_redirect_neigh(LOOPBACK, NULL, 0, 0);
	/* With the next hop told, the kernel would send what has to wait for
	 * its address by the old route. */
	if (out->how == NAT_NEIGHBOR || !fresh)
		return bpf_redirect_neigh(out->oif, NULL, 0, 0);
	if (bpf_skb_store_bytes(skb, 0, out->macs, 12, 0))
		return DROP;
	return out->oif == skb->ifindex ? NEXT : bpf_redirect(out->oif, 0);
}

/* Once a second the kernel sends a packet itself: so it keeps asking whether
 * the neighbour is alive. */
static __noinline int send_on(struct __sk_buff *skb, struct shunt_nat_flow *out, __u32 l2)
{
	bool fresh = out->seen_ns < out->route_ns;

	skb->tc_index = NAT_DONE;
	if (!fresh) {
		out->how = ask_route(skb, out);
		out->route_ns = out->seen_ns + ROUTE_NS;
	}
	if (out->how == NAT_PASS)
		return NEXT;
	if (out->how == NAT_UNROUTED) {
		COUNT(nat_unroutable, 1);
		return DROP;
	}
	return redirect(skb, out, l2, fresh);
}

/* --- TCP and UDP --------------------------------------------------------------- */

static __noinline long rewrite_out(struct __sk_buff *skb, const struct packet *pkt,
				   const struct shunt_nat_flow *out, __u32 l2)
{
	__u32 at = l2 + (pkt->family == AF_INET ? IPV4_DST : IPV6_DST), check = l2 + check_of(pkt);
	__u64 flags = check_flags(pkt);

	COUNT(nat_packets, 1);
	return put_port(skb, l2 + pkt->at, check, flags, pkt->sport, out->other.dport) |
	       put_port(skb, l2 + pkt->at + 2, check, flags, pkt->dport, out->other.sport) |
	       put_address(skb, pkt->family, l2, at, check, flags, pkt->dst, out->other.src);
}

static __noinline long rewrite_in(struct __sk_buff *skb, const struct packet *pkt,
				  const struct shunt_nat_flow *in, __u32 l2)
{
	__u32 at = l2 + (pkt->family == AF_INET ? IPV4_SRC : IPV6_SRC), check = l2 + check_of(pkt);
	__u64 flags = check_flags(pkt);

	COUNT(nat_packets, 1);
	return put_port(skb, l2 + pkt->at, check, flags, pkt->sport, in->other.dport) |
	       put_port(skb, l2 + pkt->at + 2, check, flags, pkt->dport, in->other.sport) |
	       put_address(skb, pkt->family, l2, at, check, flags, pkt->src, in->other.dst);
}

static __always_inline void trace(const struct packet *pkt, const struct shunt_nat_flow *out)
{
	const struct shunt_conf *conf = conf_get();
	const char *proto = pkt->proto == IPPROTO_TCP ? "tcp" : "udp";

	if (!conf || !conf->trace)
		return;
	if (pkt->family == AF_INET)
		bpf_printk("shunt: nat %s %pI4:%d -> %pI4:%d to %pI4:%d", proto, pkt->src, pkt->sport,
			   pkt->dst, pkt->dport, out->other.src, out->other.sport);
	else
		bpf_printk("shunt: nat %s [%pI6]:%d -> [%pI6]:%d to [%pI6]:%d", proto, pkt->src,
			   pkt->sport, pkt->dst, pkt->dport, out->other.src, out->other.sport);
}

static __always_inline bool is_request(const struct packet *pkt)
{
	return (pkt->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* Does a known flow still hold for the packet? Else it is removed. */
static __always_inline bool still_holds(const struct shunt_nat_key *key, const struct packet *pkt,
					struct shunt_nat_flow *out)
{
	if (pkt->proto == IPPROTO_TCP)
		return !is_request(pkt) || reopen(key, pkt, out);
	return out->how != NAT_STRAIGHT || still_straight(key, pkt, out);
}

/* This flow's datagram has more fragments; some may have been left alone. */
static __noinline void remember_piece(const struct shunt_nat_key *key)
{
	struct draft *draft = draft_get();
	__u64 *early;

	if (!draft)
		return;
	bpf_map_update_elem(&shunt_nat_pieces, &draft->piece, key, BPF_ANY);
	early = bpf_map_lookup_elem(&shunt_nat_early, &draft->piece);
	if (!early)
		return;
	COUNT(nat_fragments, *early);
	bpf_map_delete_elem(&shunt_nat_early, &draft->piece);
}

/* A fragment of a datagram whose first one is not known to be a flow's. */
static __always_inline void note_early(const struct shunt_nat_key *piece)
{
	__u64 one = 1, *early = bpf_map_lookup_elem(&shunt_nat_early, piece);

	if (early)
		__sync_fetch_and_add(early, 1);
	else
		bpf_map_update_elem(&shunt_nat_early, piece, &one, BPF_ANY);
}

/* What a target on this host answers to a packet that was forwarded leaves by
 * another interface than lo, and never comes in again. What came in is
 * translated already. */
static __noinline bool answer_out(struct __sk_buff *skb, const struct packet *pkt, __u32 l2,
				  bool first, int *ret)
{
	struct shunt_nat_flow *in;
	struct shunt_nat_key key;

	key_of(&key, pkt, NAT_IN);
	in = flow_get(&key);
	if (!in || in->how == NAT_STRAIGHT)
		return false;
	if (first)
		remember_piece(&key);
	note(in, pkt, skb->len);
	*ret = rewrite_in(skb, pkt, in, l2) ? DROP : NEXT;
	return true;
}

/* first: it is a first fragment, of the draft's piece */
static __noinline int out_flow(struct __sk_buff *skb, const struct packet *pkt, __u32 l2,
			       bool first)
{
	struct shunt_nat_key key;
	struct shunt_nat_flow *out;
	struct draft *draft;
	int ret;

	if (skb->tc_index == NAT_DONE) {
		skb->tc_index = 0;
		if (clashes(pkt))
			return NEXT; /* we rewrote it a moment ago */
	}
	key_of(&key, pkt, NAT_OUT);
	out = flow_get(&key);
	if (out && !still_holds(&key, pkt, out))
		out = NULL;
	if (!out && !skb->ingress_ifindex && skb->ifindex != LOOPBACK && port_matters(pkt->proto, pkt->sport) &&
	    answer_out(skb, pkt, l2, first, &ret))
		return ret;
	if (!out) {
		/* A connection that was there before the rule is left alone. If it is
		 * forwarded straight to a target, it keeps its port. */
		bool later = pkt->proto == IPPROTO_TCP && !is_request(pkt);

		if (later && (!skb->ingress_ifindex || pkt->tcp_flags & TCP_RST))
			return NEXT;
		draft = draft_get();
		if (!draft || find_fate(pkt, draft) == FATE_NONE ||
		    (later && draft->fate != FATE_STRAIGHT))
			return NEXT;
		out = make_flow(skb, &key, draft, !l2);
		if (!out)
			return draft->fate == FATE_STRAIGHT ? NEXT : DROP;
		if (out->how != NAT_STRAIGHT)
			trace(pkt, out);
	}
	note(out, pkt, skb->len);
	if (out->how == NAT_STRAIGHT)
		return NEXT;
	if (out->ifindex != pkt->ifindex)
		move_home(skb, out, !l2);
	if (first)
		remember_piece(&key);
	if (rewrite_out(skb, pkt, out, l2))
		return DROP;
	return send_on(skb, out, l2);
}

/* Lets a packet that came by another interface come by the one that the flow
 * left by: source validation and sockets bound to it expect that. */
static __always_inline int come_back(struct __sk_buff *skb, const struct shunt_nat_flow *in,
				     __u32 l2)
{
	if (skb->ifindex == in->ifindex || skb->ifindex == LOOPBACK || !l2)
		return NEXT;
	if (in->ifindex == LOOPBACK)
		return bpf_redirect_neigh(LOOPBACK, NULL, 0, 0);
	if (in->raw)
		return NEXT;
	if (bpf_skb_store_bytes(skb, 0, in->home, 6, 0))
		return DROP;
	return bpf_redirect(in->ifindex, BPF_F_INGRESS);
}

static __noinline int in_flow(struct __sk_buff *skb, const struct packet *pkt, __u32 l2,
			      bool first)
{
	struct shunt_nat_flow *in;
	struct shunt_nat_key key;

	key_of(&key, pkt, NAT_IN);
	in = flow_get(&key);
	if (!in)
		return NEXT;
	note(in, pkt, skb->len);
	if (in->how == NAT_STRAIGHT)
		return NEXT;
	if (first)
		remember_piece(&key);
	if (rewrite_in(skb, pkt, in, l2))
		return DROP;
	return come_back(skb, in, l2);
}

/* --- fragments --------------------------------------------------------------------- */

/* One of a datagram's fragments: the first one has the ports and is a packet like
 * others, the rest go the same way. */
static __noinline int piece(struct __sk_buff *skb, struct packet *pkt, __u32 l2, __u8 direction)
{
	struct draft *draft = draft_get();
	struct shunt_nat_key *of;
	struct shunt_nat_flow *flow;
	bool out = direction == NAT_PIECE_OUT;

	if (!draft)
		return NEXT;
	if (pkt->first && parse_ports(skb, pkt->at, NO_END, pkt) != PARSED_PORTS)
		return NEXT;
	key_of(&draft->piece, pkt, direction);
	draft->piece.sport = pkt->fragment >> 16;
	draft->piece.dport = pkt->fragment;
	if (pkt->first)
		return out ? out_flow(skb, pkt, l2, true) : in_flow(skb, pkt, l2, true);
	of = bpf_map_lookup_elem(&shunt_nat_pieces, &draft->piece);
	flow = of ? flow_get(of) : NULL;
	if (!flow) {
		note_early(&draft->piece);
		return NEXT;
	}
	COUNT(nat_packets, 1);
	if (of->direction == NAT_OUT) {
		if (put_address(skb, pkt->family, l2,
				l2 + (pkt->family == AF_INET ? IPV4_DST : IPV6_DST), 0, 0, pkt->dst,
				flow->other.src))
			return DROP;
		return send_on(skb, flow, l2);
	}
	if (put_address(skb, pkt->family, l2, l2 + (pkt->family == AF_INET ? IPV4_SRC : IPV6_SRC), 0,
			0, pkt->src, flow->other.dst))
		return DROP;
	return out ? NEXT : come_back(skb, flow, l2);
}

/* --- ICMP errors ------------------------------------------------------------------- */

static __always_inline bool is_error(struct __sk_buff *skb, const struct packet *pkt)
{
	__u8 type;

	if (!LOAD(skb, pkt->at, &type))
		return false;
	if (pkt->family == AF_INET) /* unreachable, time exceeded, parameter problem */
		return pkt->proto == IPPROTO_ICMP && (type == 3 || type == 11 || type == 12);
	return pkt->proto == IPPROTO_ICMPV6 && type >= 1 && type <= 4;
}

/* Reads the packet that an error quotes; quote->at is where its ports are. */
static __always_inline bool read_quote(struct __sk_buff *skb, const struct packet *pkt,
				       struct packet *quote)
{
	__u32 base = pkt->at + ICMP_HEADER;
	struct ipv4_header v4;
	struct ipv6_header v6;
	__be16 ports[2];

	quote->family = pkt->family;
	if (pkt->family == AF_INET) {
		if (!LOAD(skb, base, &v4) || v4.frag_off & bpf_htons(IP_OFFSET))
			return false;
		quote->proto = v4.protocol;
		quote->at = base + (v4.version_ihl & 0xf) * 4;
		__builtin_memcpy(quote->src, v4.src, 4);
		__builtin_memcpy(quote->dst, v4.dst, 4);
	} else {
		if (!LOAD(skb, base, &v6))
			return false;
		quote->proto = v6.next;
		quote->at = base + sizeof(v6);
		__builtin_memcpy(quote->src, v6.src, 16);
		__builtin_memcpy(quote->dst, v6.dst, 16);
	}
	if ((quote->proto != IPPROTO_TCP && quote->proto != IPPROTO_UDP) ||
	    !LOAD(skb, quote->at, &ports))
		return false;
	quote->sport = bpf_ntohs(ports[0]);
	quote->dport = bpf_ntohs(ports[1]);
	return true;
}

/* Puts an address in the place of another inside the quoted packet. The quoted
 * header of IPv4 sums up to nothing; the rest is data to ICMP's checksum. */
static __always_inline long put_quoted(struct __sk_buff *skb, __u8 family, __u32 base, __u32 at,
				       __u32 check, const __u8 *old, const __u8 *new)
{
	if (family == AF_INET)
		return bpf_l3_csum_replace(skb, base + IPV4_CHECK, *(const __u32 *)old,
					   *(const __u32 *)new, 4) |
		       bpf_skb_store_bytes(skb, at, new, 4, 0);
	return bpf_l4_csum_replace(skb, check, 0,
				   bpf_csum_diff((__be32 *)old, 16, (__be32 *)new, 16, 0), 0) |
	       bpf_skb_store_bytes(skb, at, new, 16, 0);
}

/* Someone on the way answers a packet that went out with an error; or this host
 * does, for a target that it has itself, and the error leaves. */
static __noinline int in_error(struct __sk_buff *skb, const struct packet *pkt, __u32 l2,
			       bool leaves)
{
	struct packet quote = {};
	struct shunt_nat_flow *in;
	struct shunt_nat_key key;
	bool v4 = pkt->family == AF_INET;
	__u32 base = l2 + pkt->at + ICMP_HEADER, check = l2 + pkt->at + ICMP_CHECK;
	long error;

	if (!is_error(skb, pkt) || !read_quote(skb, pkt, &quote))
		return NEXT;
	answer_key(&key, &quote, NAT_IN);
	in = flow_get(&key);
	if (!in || in->how == NAT_STRAIGHT)
		return NEXT;
	COUNT(nat_errors, 1);
	error = put_port(skb, l2 + quote.at, check, 0, quote.sport, in->other.sport);
	error |= put_port(skb, l2 + quote.at + 2, check, 0, quote.dport, in->other.dport);
	error |= put_quoted(skb, pkt->family, base, base + (v4 ? IPV4_DST : IPV6_DST), check,
			    quote.dst, in->other.dst);
	/* the target itself, or a router before it */
	if (same_address(pkt->src, quote.dst))
		error |= put_address(skb, pkt->family, l2, l2 + (v4 ? IPV4_SRC : IPV6_SRC),
				     v4 ? 0 : check, 0, pkt->src, in->other.dst);
	if (error)
		return DROP;
	return leaves ? NEXT : come_back(skb, in, l2);
}

/* This host answers a packet that came back with an error. */
static __noinline int out_error(struct __sk_buff *skb, const struct packet *pkt, __u32 l2)
{
	struct packet quote = {};
	struct shunt_nat_flow *out;
	struct shunt_nat_key key;
	bool v4 = pkt->family == AF_INET;
	__u32 base = l2 + pkt->at + ICMP_HEADER, check = l2 + pkt->at + ICMP_CHECK;
	long error;

	if (!is_error(skb, pkt) || !read_quote(skb, pkt, &quote))
		return NEXT;
	answer_key(&key, &quote, NAT_OUT);
	out = flow_get(&key);
	if (!out || out->how == NAT_STRAIGHT || !same_address(pkt->dst, quote.src))
		return NEXT;
	COUNT(nat_errors, 1);
	error = put_port(skb, l2 + quote.at, check, 0, quote.sport, out->other.sport);
	error |= put_port(skb, l2 + quote.at + 2, check, 0, quote.dport, out->other.dport);
	error |= put_quoted(skb, pkt->family, base, base + (v4 ? IPV4_SRC : IPV6_SRC), check,
			    quote.src, out->other.src);
	error |= put_address(skb, pkt->family, l2, l2 + (v4 ? IPV4_DST : IPV6_DST), v4 ? 0 : check, 0,
			     pkt->dst, out->other.src);
	return error ? DROP : send_on(skb, out, l2);
}

/* --- programs -------------------------------------------------------------------- */

/* Reads the packet into the draft. What still carries tags is the business of
 * the interface for its tag. */
static __noinline enum parsed read_packet(struct __sk_buff *skb)
{
	struct draft *draft = draft_get();
	enum parsed parsed;

	if (!draft)
		return PARSED_MALFORMED;
	__builtin_memset(&draft->pkt, 0, sizeof(draft->pkt));
	draft->pkt.ifindex = skb->ifindex;
	parsed = parse(skb, &draft->pkt);
	return draft->pkt.tags ? PARSED_MALFORMED : parsed;
}

static __always_inline int nat_out(struct __sk_buff *skb, __u32 l2)
{
	enum parsed parsed = read_packet(skb);
	struct draft *draft = draft_get();

	if (!draft)
		return NEXT;
	switch (parsed) {
	case PARSED_PORTS:
		return out_flow(skb, &draft->pkt, l2, false);
	case PARSED_FRAGMENT:
		return piece(skb, &draft->pkt, l2, NAT_PIECE_OUT);
	case PARSED_OTHER:
		if (skb->ifindex != LOOPBACK && in_error(skb, &draft->pkt, l2, true) == DROP)
			return DROP;
		return out_error(skb, &draft->pkt, l2);
	default:
		return NEXT;
	}
}

static __always_inline int nat_in(struct __sk_buff *skb, __u32 l2)
{
	enum parsed parsed = read_packet(skb);
	struct draft *draft = draft_get();

	if (!draft)
		return NEXT;
	switch (parsed) {
	case PARSED_PORTS:
		return in_flow(skb, &draft->pkt, l2, false);
	case PARSED_FRAGMENT:
		return piece(skb, &draft->pkt, l2, NAT_PIECE_IN);
	case PARSED_OTHER:
		return in_error(skb, &draft->pkt, l2, false);
	default:
		return NEXT;
	}
}

SEC("tc")
int shunt_nat_out(struct __sk_buff *skb)
{
	return nat_out(skb, ETHERNET);
}

SEC("tc")
int shunt_nat_in(struct __sk_buff *skb)
{
	return nat_in(skb, ETHERNET);
}

/* On interfaces without a link layer header. */
SEC("tc")
int shunt_nat_raw_out(struct __sk_buff *skb)
{
	return nat_out(skb, 0);
}

SEC("tc")
int shunt_nat_raw_in(struct __sk_buff *skb)
{
	return nat_in(skb, 0);
}

/* Run once by load: sets up the timer. 0 or a negative errno. */
SEC("tc")
int shunt_nat_init(struct __sk_buff *skb)
{
	struct shunt_nat_sweep *sweep = sweep_get();
	long error;

	(void)skb;
	if (!sweep)
		return -1;
	error = bpf_timer_init(&sweep->timer, &shunt_nat_sweep, CLOCK_MONOTONIC);
	if (!error)
		error = bpf_timer_set_callback(&sweep->timer, sweep_due);
	return error;
}

char LICENSE[] SEC("license") __weak = "GPL";
