/* SPDX-License-Identifier: GPL-2.0-only */
/* Checks that rule a socket out for good: it is never paired. */
#ifndef SHUNT_ELIGIBLE_H
#define SHUNT_ELIGIBLE_H

#include <shunt/bpf/endpoint.bpf.h>
#include <shunt/bpf/prefix.bpf.h>

/* The ports and prefixes that the operator excluded. */
struct shunt_exclude_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHUNT_EXCLUDES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_exclude);
};
MAP(shunt_exclude);

/* Pairs whose server has not received two segments with data yet. */
struct shunt_pending_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHUNT_PENDING_PAIRS);
	__type(key, __u32);
	__type(value, struct shunt_pending_pair);
};
MAP(shunt_pending);

/* The slot for a server's socket. It may hold another pair, or none. */
static __always_inline struct shunt_pending_pair *pending_slot(__u64 cookie)
{
	/* Half the cookie, because the local client mostly has the next cookie. */
	__u32 slot = cookie / 2 % SHUNT_PENDING_PAIRS;

	return bpf_map_lookup_elem(&shunt_pending, &slot);
}

struct exclude_search {
	struct endpoints e;
	__u32 found;
};

/* bpf_loop() callback: compares the connection with entry i. */
static long match_exclude(__u32 i, void *data)
{
	struct exclude_search *x = data;
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

/* Whether the operator excluded this connection by a port or a prefix. */
static __always_inline bool is_excluded(const struct sock *sk)
{
	const struct shunt_conf *conf = conf_get();
	struct exclude_search x = {};

	if (!conf || !conf->excludes)
		return false;
	endpoints_of(sk, &x.e);
	bpf_loop(conf->excludes, match_exclude, &x, 0);
	return x.found;
}

static __always_inline bool is_mptcp(const struct sock *sk)
{
	const struct tcp_sock___mptcp *tp = (const void *)sk;

	return bpf_core_field_exists(tp->is_mptcp) && BPF_CORE_READ(tp, is_mptcp);
}

/* A socket without a file is used inside the kernel: an MPTCP subflow, nfsd. */
static __always_inline bool in_kernel_use(const struct sock *sk)
{
	return !BPF_CORE_READ(sk, sk_socket, file);
}

static __always_inline bool has_ulp(const struct sock *sk)
{
	return BPF_CORE_READ((const struct inet_connection_sock *)sk, icsk_ulp_ops);
}

#endif
