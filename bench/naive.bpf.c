// SPDX-License-Identifier: GPL-2.0-only
/*
 * The yardstick: what sockmap demos do. Every IPv4 socket enters a map as soon
 * as it is established, keyed by its addresses and ports, and every message is
 * redirected to the socket whose key mirrors the sender's. There are no bounds,
 * and nothing keeps bytes in order: not for use. naive_pass lets every message
 * go by TCP: it shows what it costs to run a program at all.
 */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define AF_INET 2

struct key {
	__u32 local, remote;
	__u32 local_port, remote_port; /* host byte order */
};

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 65536);
	__type(key, struct key);
	__type(value, __u64);
} naive_socks SEC(".maps");

SEC("sockops")
int naive_insert(struct bpf_sock_ops *ops)
{
	struct key key = { ops->local_ip4, ops->remote_ip4, ops->local_port,
			   bpf_ntohl(ops->remote_port) };

	if (ops->family == AF_INET && (ops->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB ||
				       ops->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB))
		bpf_sock_hash_update(ops, &naive_socks, &key, BPF_ANY);
	return 1;
}

SEC("sk_msg")
int naive_redirect(struct sk_msg_md *msg)
{
	struct key peer = { msg->remote_ip4, msg->local_ip4, bpf_ntohl(msg->remote_port),
			    msg->local_port };

	bpf_msg_redirect_hash(msg, &naive_socks, &peer, BPF_F_INGRESS);
	return SK_PASS;
}

SEC("sk_msg")
int naive_pass(struct sk_msg_md *msg)
{
	(void)msg;
	return SK_PASS;
}

char LICENSE[] SEC("license") = "GPL";
