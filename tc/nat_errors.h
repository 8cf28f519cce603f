/* SPDX-License-Identifier: GPL-2.0-only */
/* NAT: ICMP errors. The packet that an error quotes is translated with the error. */
#ifndef SHUNT_NAT_ERRORS_H
#define SHUNT_NAT_ERRORS_H

#include "nat_packets.h"
#include "quote.h"

/* Replaces an address inside the quoted packet. An IPv4 header and its checksum add up to
 * zero, so ICMP's checksum stays right. In IPv6 the address is data to ICMP's checksum. */
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

/* Translates an error about a translated packet of the original direction. The error comes
 * from a router or from the target; or this host sends the error, for a target of its own
 * (leaves is true then). */
static __noinline int error_about_original(struct __sk_buff *skb, const struct packet *pkt,
					   __u32 l2, bool leaves)
{
	struct packet quote = {};
	struct shunt_nat_flow *reply;
	struct shunt_nat_key key;
	bool v4 = pkt->family == AF_INET;
	__u32 base = l2 + pkt->at + ICMP_HEADER, check = l2 + pkt->at + ICMP_CHECK;
	bool from_target;
	long error;

	if (!is_error(skb, pkt) || !shunt_read_quote(skb, pkt, &quote))
		return TC_NEXT;
	reply_key_of(&key, &quote, NAT_DIR_REPLY);
	reply = flow_get(&key);
	if (!reply || reply->forward_action == NAT_UNTRANSLATED ||
	    (!leaves && is_forged(skb, pkt, reply)))
		return TC_NEXT;
	COUNT(nat_errors, 1);
	error = put_port(skb, l2 + quote.at, check, 0, quote.sport, reply->other.sport);
	error |= put_port(skb, l2 + quote.at + 2, check, 0, quote.dport, reply->other.dport);
	error |= put_quoted(skb, pkt->family, base, base + (v4 ? IPV4_DST : IPV6_DST), check,
			    quote.dst, reply->other.dst);
	/* An error of a router on the way keeps its source and its interface. */
	from_target = same_address(pkt->src, quote.dst);
	if (from_target)
		error |= put_address(skb, pkt->family, l2, l2 + (v4 ? IPV4_SRC : IPV6_SRC),
				     v4 ? 0 : check, 0, pkt->src, reply->other.dst);
	if (error)
		return TC_DROP;
	return leaves || !from_target ? TC_NEXT : move_to_expected_iface(skb, reply, l2);
}

/* Translates an error that this host sends about a reply. */
static __noinline int error_about_reply(struct __sk_buff *skb, const struct packet *pkt, __u32 l2)
{
	struct packet quote = {};
	struct shunt_nat_flow *orig;
	struct shunt_nat_key key;
	bool v4 = pkt->family == AF_INET;
	__u32 base = l2 + pkt->at + ICMP_HEADER, check = l2 + pkt->at + ICMP_CHECK;
	long error;

	if (!is_error(skb, pkt) || !shunt_read_quote(skb, pkt, &quote))
		return TC_NEXT;
	reply_key_of(&key, &quote, NAT_DIR_ORIGINAL);
	orig = flow_get(&key);
	if (!orig || orig->forward_action == NAT_UNTRANSLATED || !same_address(pkt->dst, quote.src))
		return TC_NEXT;
	COUNT(nat_errors, 1);
	error = put_port(skb, l2 + quote.at, check, 0, quote.sport, orig->other.sport);
	error |= put_port(skb, l2 + quote.at + 2, check, 0, quote.dport, orig->other.dport);
	error |= put_quoted(skb, pkt->family, base, base + (v4 ? IPV4_SRC : IPV6_SRC), check,
			    quote.src, orig->other.src);
	error |= put_address(skb, pkt->family, l2, l2 + (v4 ? IPV4_DST : IPV6_DST), v4 ? 0 : check,
			     0, pkt->dst, orig->other.src);
	return error ? TC_DROP : forward(skb, orig, l2);
}

#endif
