/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tells whether an address is set on an interface of this host. Routing rules out most
 * other addresses. But routing takes a whole prefix for local if a router has added it to
 * lo. So the addresses of all interfaces are compared, in the kernel's own lists.
 */
#ifndef SHUNT_OWN_H
#define SHUNT_OWN_H

#include "packet.h"

/* Interfaces and addresses in sum: enough for a host with many containers. */
#define OWN_STEPS 16384

/* A walk over the interfaces, and over the addresses of each. */
struct own_walk {
	__u32 dst[4];
	const struct list_head *devices; /* head of the list */
	const struct list_head *device;
	const void *at;  /* the present address; NULL: go to the next interface */
	const void *end; /* IPv6: head of the interface's list of addresses */
	__u32 found;
};

/* One entry for each CPU. The walk is not on the stack: the verifier of Linux 6.1 takes the
 * stack after the first step of bpf_loop() for the result of all steps, and removes code
 * that only a later step reaches. */
struct shunt_own_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct own_walk);
};
MAP(shunt_own);

/* The next interface; NULL after the last one. */
static __always_inline const struct net_device *own_device(struct own_walk *w)
{
	const struct list_head *device = w->device;

	w->device = BPF_CORE_READ(device, next);
	if (!w->device || w->device == w->devices)
		return NULL;
	return (const void *)w->device - bpf_core_field_offset(struct net_device, dev_list);
}

/* bpf_loop() callback, IPv4: compares one address, or goes to the next interface. */
static long own_step4(__u32 i, void *data)
{
	struct own_walk *w = *(struct own_walk **)data;
	const struct net_device *dev;
	const struct in_ifaddr *addr = w->at;

	(void)i;
	if (!addr) {
		dev = own_device(w);
		w->at = dev ? BPF_CORE_READ(dev, ip_ptr, ifa_list) : NULL;
		return !dev;
	}
	w->found = BPF_CORE_READ(addr, ifa_local) == w->dst[0];
	w->at = BPF_CORE_READ(addr, ifa_next);
	return w->found ? 1 : 0;
}

static __always_inline bool own_same6(const struct own_walk *w, const __u32 addr[4])
{
	return addr[0] == w->dst[0] && addr[1] == w->dst[1] && addr[2] == w->dst[2] &&
	       addr[3] == w->dst[3];
}

/* The same for IPv6. */
static long own_step6(__u32 i, void *data)
{
	struct own_walk *w = *(struct own_walk **)data;
	const struct net_device *dev;
	const struct inet6_ifaddr *addr;
	const struct inet6_dev *in;
	__u32 words[4] = {};

	(void)i;
	if (!w->at || w->at == w->end) {
		dev = own_device(w);
		in = dev ? BPF_CORE_READ(dev, ip6_ptr) : NULL;
		w->end = in ? (const void *)in + bpf_core_field_offset(struct inet6_dev, addr_list)
			    : NULL;
		w->at = in ? BPF_CORE_READ(in, addr_list.next) : NULL;
		return !dev;
	}
	addr = w->at - bpf_core_field_offset(struct inet6_ifaddr, if_list);
	BPF_CORE_READ_INTO(&words, addr, addr);
	w->found = own_same6(w, words);
	w->at = BPF_CORE_READ(addr, if_list.next);
	return w->found ? 1 : 0;
}

/* Looks up the packet's route: BPF_FIB_LKUP_RET_…, or less than 0. The kernel looks up
 * nothing for an interface that does not forward. */
static __noinline int look_up_route(struct __sk_buff *skb, const struct packet *pkt)
{
	struct bpf_fib_lookup fib = {
		.family = pkt->family,
		.l4_protocol = pkt->proto,
		.sport = bpf_htons(pkt->sport),
		.dport = bpf_htons(pkt->dport),
		.ifindex = pkt->ifindex && pkt->ifindex != SHUNT_LOCAL_IFINDEX ? pkt->ifindex
									       : LOOPBACK_IFINDEX,
	};

	__builtin_memcpy(fib.ipv6_src, pkt->src, 16);
	__builtin_memcpy(fib.ipv6_dst, pkt->dst, 16);
	return bpf_fib_lookup(skb, &fib, sizeof(fib), 0);
}

/* Whether this host would forward the packet. */
static __always_inline bool is_forwarded(struct __sk_buff *skb, const struct packet *pkt)
{
	int result = look_up_route(skb, pkt);

	return result >= 0 && result != BPF_FIB_LKUP_RET_NOT_FWDED &&
	       result != BPF_FIB_LKUP_RET_FWD_DISABLED;
}

/* Returns 1 if the packet's destination is an address of this host, in the network namespace
 * at that kernel address. Not static: its stack is not the caller's. */
__weak __attribute__((noinline)) int shunt_own_address(struct __sk_buff *skb,
						       const struct packet *pkt, __u64 net)
{
	__u32 zero = 0;
	struct own_walk *w = bpf_map_lookup_elem(&shunt_own, &zero);

	if (!pkt || !w || is_forwarded(skb, pkt))
		return 0;
	__builtin_memset(w, 0, sizeof(*w));
	__builtin_memcpy(w->dst, pkt->dst, 16);
	w->devices = (const void *)net + bpf_core_field_offset(struct net, dev_base_head);
	w->device = w->devices;
	if (pkt->family == AF_INET)
		bpf_loop(OWN_STEPS, own_step4, &w, 0);
	else
		bpf_loop(OWN_STEPS, own_step6, &w, 0);
	return w->found ? 1 : 0;
}

#endif
