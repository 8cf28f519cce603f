// SPDX-License-Identifier: GPL-2.0-only
/* Asks connection tracking. This is an object of its own, because bpftool before 7.6 can't
 * link two objects that use the same kernel function. */
#include "deliver.h"

/* net/netfilter/nf_conntrack_bpf.c: 12 bytes on all kernels that have it */
struct bpf_ct_opts___shunt {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

struct nf_conn {
	unsigned long status;
} __attribute__((preserve_access_index));

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple,
					 __u32 tuple_size, struct bpf_ct_opts___shunt *opts,
					 __u32 opts_size) __ksym __weak;
extern void bpf_ct_release(struct nf_conn *ct) __ksym __weak;

/* Returns 1 if connection tracking knows the TCP connection: then netfilter may send the
 * connection elsewhere, or restore a mark that routes it elsewhere. Returns 0 as well if the
 * kernel's module was missing when shunt was loaded. */
__attribute__((noinline)) int shunt_is_tracked(struct __sk_buff *skb, const struct packet *pkt)
{
	struct bpf_ct_opts___shunt opts = {
		.netns_id = BPF_F_CURRENT_NETNS,
		.l4proto = IPPROTO_TCP,
	};
	struct bpf_sock_tuple t = {};
	struct nf_conn *ct;

	/* The kernel that has this type has the functions. libbpf before 1.3 can't test for a
	 * module's function: it makes a program that the kernel refuses. */
	if (!pkt || !bpf_core_type_exists(struct bpf_ct_opts___shunt))
		return 0;
	fill_tuple(&t, pkt, pkt->dst, pkt->dport);
	if (pkt->family == AF_INET)
		ct = bpf_skb_ct_lookup(skb, &t, sizeof(t.ipv4), &opts, sizeof(opts));
	else
		ct = bpf_skb_ct_lookup(skb, &t, sizeof(t.ipv6), &opts, sizeof(opts));
	if (!ct)
		return 0;
	bpf_ct_release(ct);
	return 1;
}

char LICENSE[] SEC("license") __weak = "GPL";
