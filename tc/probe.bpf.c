// SPDX-License-Identifier: GPL-2.0-only
/*
 * For 'shunt steer test --deliver': puts made-up packets on an interface's way in, and
 * notes where the kernel drops one. Their hash is the command's token; no other packet
 * that has the mark before steering has seen the packet has that hash.
 */
#include <shunt/bpf/maps.bpf.h>

/* one entry, of the one command */
struct shunt_dropped_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct shunt_dropped);
};
MAP(shunt_dropped);

/* Run by BPF_PROG_TEST_RUN, with the interface in cb[0] and the token in cb[1]. Returns
 * what bpf_clone_redirect() says. */
SEC("tc")
int shunt_inject(struct __sk_buff *skb)
{
	const struct shunt_conf *conf = conf_get();
	__u32 ifindex = skb->cb[0], token = skb->cb[1];
	long error;

	if (!conf)
		return -1;
	bpf_set_hash(skb, token);
	skb->mark = conf->mark;
	error = bpf_clone_redirect(skb, ifindex, BPF_F_INGRESS);
	bpf_set_hash(skb, 0); /* the original is dropped, too */
	return error;
}

SEC("raw_tp")
int shunt_drop(struct bpf_raw_tracepoint_args *ctx)
{
	const struct sk_buff *skb = (const void *)ctx->args[0];
	struct shunt_dropped *d;
	__u32 zero = 0;

	d = bpf_map_lookup_elem(&shunt_dropped, &zero);
	if (!d || BPF_CORE_READ(skb, hash) != d->token)
		return 0;
	d->reason = ctx->args[2];
	d->mark = BPF_CORE_READ(skb, mark);
	__sync_fetch_and_add(&d->count, 1);
	return 0;
}

char LICENSE[] SEC("license") __weak = "GPL";
