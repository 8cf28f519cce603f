// SPDX-License-Identifier: GPL-2.0-only
/* The verdict where the kernel can cast: from 6.2 on. Plain loads, no calls. */
#include <shunt/bpf/endpoint.bpf.h>

extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym __weak;
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;

#define TCP_SOCK(address) \
	((const struct tcp_sock *)bpf_rdonly_cast((void *)(address), \
						  bpf_core_type_id_kernel(struct tcp_sock)))
#define PSOCK(address) \
	((const struct sk_psock *)bpf_rdonly_cast((void *)(address), \
						  bpf_core_type_id_kernel(struct sk_psock)))
#define REDIR_PEER(msg) ((__u64)((struct sk_msg *)bpf_cast_to_kern_ctx(msg))->sk_redir)

#define ARROW_1(p, a) ((p)->a)
#define ARROW_2(p, a, b) ((p)->a->b)
#define ARROW_3(p, a, b, c) ((p)->a->b->c)
#define ARROW_N(_1, _2, _3, n, ...) ARROW_##n
#define READ_BITS(p, field) \
	({ \
		const struct tcp_sock *tp_ = (p); \
		BPF_CORE_READ_BITFIELD(tp_, field); \
	})
#define READ(p, ...) ARROW_N(__VA_ARGS__, 3, 2, 1)(p, __VA_ARGS__)

#include "verdict.h"

SEC("sk_msg")
int shunt_verdict(struct sk_msg_md *msg)
{
	return verdict(msg);
}

char LICENSE[] SEC("license") __weak = "GPL";
