// SPDX-License-Identifier: GPL-2.0-only
/*
 * NAT. At egress, packets for a rule's destination get the addresses of its target. At
 * ingress, the target's replies get their old addresses back. A rule makes a flow for the
 * first packet. Later packets of the flow need no rule, so changes of the rules do not
 * touch the flow until its connection begins anew (I12).
 */
#include "nat_errors.h"

#define CLOCK_MONOTONIC 1

/* Reads the packet into the scratch area. A frame that still carries VLAN tags counts as
 * malformed here: the programs on the tag's own interface translate it. */
static __noinline enum parsed read_packet(struct __sk_buff *skb)
{
	struct scratch *scratch = scratch_get();
	enum parsed parsed;

	if (!scratch)
		return PARSED_MALFORMED;
	__builtin_memset(&scratch->pkt, 0, sizeof(scratch->pkt));
	scratch->pkt.ifindex = skb->ifindex;
	parsed = parse(skb, &scratch->pkt);
	return scratch->pkt.vlan_bytes ? PARSED_MALFORMED : parsed;
}

static __always_inline int nat_out(struct __sk_buff *skb, __u32 l2)
{
	enum parsed parsed = read_packet(skb);
	struct scratch *scratch = scratch_get();

	if (!scratch)
		return TC_NEXT;
	switch (parsed) {
	case PARSED_PORTS:
		return translate_original(skb, &scratch->pkt, l2, false);
	case PARSED_FRAGMENT:
		return translate_fragment(skb, &scratch->pkt, l2, NAT_DIR_EGRESS_FRAGMENT);
	case PARSED_OTHER:
		if (skb->ifindex != LOOPBACK_IFINDEX &&
		    error_about_original(skb, &scratch->pkt, l2, true) == TC_DROP)
			return TC_DROP;
		return error_about_reply(skb, &scratch->pkt, l2);
	default:
		return TC_NEXT;
	}
}

static __always_inline int nat_in(struct __sk_buff *skb, __u32 l2)
{
	enum parsed parsed = read_packet(skb);
	struct scratch *scratch = scratch_get();

	if (!scratch)
		return TC_NEXT;
	switch (parsed) {
	case PARSED_PORTS:
		return translate_reply(skb, &scratch->pkt, l2, false);
	case PARSED_FRAGMENT:
		return translate_fragment(skb, &scratch->pkt, l2, NAT_DIR_INGRESS_FRAGMENT);
	case PARSED_OTHER:
		return error_about_original(skb, &scratch->pkt, l2, false);
	default:
		return TC_NEXT;
	}
}

SEC("tc")
int shunt_nat_out(struct __sk_buff *skb)
{
	return nat_out(skb, ETH_HLEN);
}

SEC("tc")
int shunt_nat_in(struct __sk_buff *skb)
{
	return nat_in(skb, ETH_HLEN);
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

/* Load and upgrade run this program once to set up the timer. Returns a negative errno on failure. */
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
		sweep->seed = bpf_get_prandom_u32();
	if (error && error != -EBUSY) /* EBUSY: an upgrade keeps the timer */
		return error;
	return bpf_timer_set_callback(&sweep->timer, sweep_due);
}

char LICENSE[] SEC("license") __weak = "GPL";
