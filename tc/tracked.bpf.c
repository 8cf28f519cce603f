// SPDX-License-Identifier: GPL-2.0-only
/* What connection tracking knows. An object of its own, for bpftool before 7.6 can't link
 * two objects that name the same function of the kernel. */
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

/* 1 if connection tracking knows the TCP connection. If so, netfilter may send it
 * elsewhere, or give it a mark by which it is routed. Unknown, so 0, if the kernel's
 * module was not there at load. */
__attribute__((noinline)) int shunt_is_tracked(struct __sk_buff *skb, const struct packet *pkt)
{
	struct bpf_ct_opts___shunt opts = {
		.netns_id = BPF_F_CURRENT_NETNS, .l4proto = IPPROTO_TCP,
	};
	struct bpf_sock_tuple t = {};
	struct nf_conn *ct;

	/* The type is where the functions are. Asked for a function of a module itself,
	 * libbpf before 1.3 makes a program that the kernel refuses. */
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
