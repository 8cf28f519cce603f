/* SPDX-License-Identifier: GPL-2.0-only */
/* What keeps a socket from ever being paired. */
#ifndef SHUNT_ELIGIBLE_H
#define SHUNT_ELIGIBLE_H

#include <shunt/bpf/endpoint.bpf.h>
#include <shunt/bpf/prefix.bpf.h>

/* ports and prefixes that stay plain */
struct shunt_exclude_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHUNT_EXCLUDES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_exclude);
};
MAP(shunt_exclude);

struct shunt_proof_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHUNT_PROOFS);
	__type(key, __u32);
	__type(value, struct shunt_proof);
};
MAP(shunt_proof);

/* Where the proof for a server's socket is, if there is one. */
static __always_inline struct shunt_proof *proof_place(__u64 cookie)
{
	__u32 place = cookie / 2 % SHUNT_PROOFS; /* a local client took the next one */

	return bpf_map_lookup_elem(&shunt_proof, &place);
}

struct excluding {
	struct endpoints e;
	__u32 found;
};

static long exclude_step(__u32 i, void *data)
{
	struct excluding *x = data;
	const struct shunt_exclude *entry = bpf_map_lookup_elem(&shunt_exclude, &i);

	if (!entry)
		return 1;
	if (entry->kind == EXCLUDE_PORT)
		x->found = (x->e.local_port >= entry->low && x->e.local_port <= entry->high) ||
			   (x->e.remote_port >= entry->low && x->e.remote_port <= entry->high);
	else if (entry->kind == EXCLUDE_PREFIX && entry->family == x->e.family)
		x->found = in_prefix(x->e.local, entry->addr, entry->len) ||
			   in_prefix(x->e.remote, entry->addr, entry->len);
	return x->found != 0;
}

/* Does the operator keep this connection off the fast path? */
static __always_inline bool excluded(const struct sock *sk)
{
	const struct shunt_conf *conf = conf_get();
	struct excluding x = {};

	if (!conf || !conf->excludes)
		return false;
	endpoints_of(sk, &x.e);
	bpf_loop(conf->excludes, exclude_step, &x, 0);
	return x.found;
}

static __always_inline bool is_mptcp(const struct sock *sk)
{
	const struct tcp_sock___mptcp *tp = (const void *)sk;

	return bpf_core_field_exists(tp->is_mptcp) && BPF_CORE_READ(tp, is_mptcp);
}

/* A socket without a file belongs to the kernel: an MPTCP subflow, nfsd. */
static __always_inline bool in_kernel_use(const struct sock *sk)
{
	return !BPF_CORE_READ(sk, sk_socket, file);
}

static __always_inline bool has_ulp(const struct sock *sk)
{
	return BPF_CORE_READ((const struct inet_connection_sock *)sk, icsk_ulp_ops);
}

#endif
