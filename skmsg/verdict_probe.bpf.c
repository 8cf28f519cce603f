// SPDX-License-Identifier: GPL-2.0-only
/* The same verdict for kernels without the casts: 6.1. */
#include <shunt/bpf/endpoint.bpf.h>

#define TCP_SOCK(address) ((const struct tcp_sock *)(address))
#define PSOCK(address) ((const struct sk_psock *)(address))
#define REDIR_PEER(msg) ((__u64)BPF_CORE_READ((struct sk_msg *)(msg), sk_redir))
#define READ_BITS(p, field) BPF_CORE_READ_BITFIELD_PROBED(p, field)
#define READ(p, ...) BPF_CORE_READ(p, __VA_ARGS__)

#include "verdict.h"

SEC("sk_msg")
int shunt_verdict61(struct sk_msg_md *msg)
{
	return verdict(msg);
}

char LICENSE[] SEC("license") __weak = "GPL";
