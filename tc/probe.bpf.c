// SPDX-License-Identifier: GPL-2.0-only
/*
 * For 'shunt steer test --deliver': injects made-up packets at an interface's ingress, and
 * notes where the kernel drops such a packet. The packets' hash is the command's token.
 * Other packets with the mark do not have this hash when they come to steering.
 */
#include <shunt/bpf/maps.bpf.h>

/* One entry: only one command runs at a time. */
struct shunt_dropped_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct shunt_dropped);
};
MAP(shunt_dropped);

/* BPF_PROG_TEST_RUN runs this program with the interface in cb[0] and the token in cb[1].
 * Returns the result of bpf_clone_redirect(). */
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
	bpf_set_hash(skb, 0); /* the original is dropped, and must not be noted */
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
