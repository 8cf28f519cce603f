// SPDX-License-Identifier: GPL-2.0-only
/* Iterators over the paired sockets: they list them, and take members out of the map. */
#include "eligible.h"
#include "member.h"

/* Redirected bytes that wait to be read. On kernels without msg_tot_len, bytes by TCP count, too. */
static __always_inline __u64 bytes_queued(const struct sock *sk, const struct sk_psock *psock)
{
	if (bpf_core_field_exists(psock->msg_tot_len))
		return BPF_CORE_READ(psock, msg_tot_len);
	return BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter);
}

static __always_inline void fill_row(struct shunt_row *row, const struct sock *sk,
				     const struct shunt_sk *st, bool member)
{
	struct endpoints e;

	__builtin_memset(row, 0, sizeof(*row));
	if (st)
		row->sk = *st;
	endpoints_of(sk, &e);
	__builtin_memcpy(row->local, e.local, 16);
	__builtin_memcpy(row->remote, e.remote, 16);
	row->local_port = e.local_port;
	row->remote_port = e.remote_port;
	row->family = e.family;
	row->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	row->member = member;
	if (member && psock_of(sk) && !queue_empty(psock_of(sk)))
		row->queued = bytes_queued(sk, psock_of(sk));
}

/* Prints a row for a paired socket. */
static __always_inline int print_row(struct seq_file *seq, const struct sock *sk,
				     const struct shunt_sk *st)
{
	struct shunt_row row;

	fill_row(&row, sk, st, psock_of(sk));
	bpf_seq_write(seq, &row, sizeof(row));
	return 0;
}

SEC("iter/bpf_sk_storage_map")
int shunt_list(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;

	if (!sk || !ctx->value)
		return 0;
	barrier_var(sk); /* Linux 6.1 refuses arithmetic with the pointer before the check */
	return print_row(ctx->meta->seq, sk, ctx->value);
}

/* The same for kernels on which programs can't iterate over socket storage. A socket with
 * several descriptors gets several rows. */
SEC("iter/task_file")
int shunt_list_files(struct bpf_iter__task_file *ctx)
{
	struct sock *sk = tcp_of_file(ctx);
	struct shunt_sk *st = sk ? bpf_sk_storage_get(&shunt_sk, sk, 0, 0) : NULL;

	return st ? print_row(ctx->meta->seq, sk, st) : 0;
}

/* One row for each server's end of a pending pair, which has no socket storage yet. For
 * 'shunt sockets'. */
SEC("iter/tcp")
int shunt_list_pending(struct bpf_iter__tcp *ctx)
{
	const struct sock *sk = (const struct sock *)ctx->sk_common;
	const struct shunt_pending_pair *pending;
	struct shunt_row row;
	__u64 cookie;

	if (!sk || BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_ESTABLISHED)
		return 0;
	cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	pending = cookie ? pending_slot(cookie) : NULL;
	if (!pending || pending->server != cookie)
		return 0;
	fill_row(&row, sk, 0, false);
	row.sk.cookie = cookie;
	row.sk.peer_cookie = pending->client;
	row.sk.why = WHY_TOO_FEW_EXCHANGES;
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

/* Whether nobody will ever read the bytes that the socket holds: shunt_reset or 'unload --force' has
 * reset it, or it listens after its connection. */
static __always_inline bool never_read_again(const struct sock *sk, const struct shunt_sk *st)
{
	const struct shunt_pair *pair = st ? pair_get(st) : NULL;

	const __u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);
	const struct shunt_conf *conf = conf_get();

	if (state == TCP_LISTEN)
		return true;
	if (state == TCP_CLOSE && conf && conf->run.drain_mode == DRAIN_RESET)
		return true;
	return pair && own_end(pair, st)->to_reset;
}

/* Takes a member out of the map if it holds no bytes and is not the target of a redirect.
 * Prints a row if it has to stay. conf->run.drain_mode is set meanwhile. */
static __always_inline int drain(struct seq_file *seq, struct sock *sk, __u64 cookie,
				 struct shunt_sk *st)
{
	struct shunt_row row;

	if (never_read_again(sk, st) ? !bpf_map_delete_elem(&shunt_socks, &cookie)
				     : evict(sk, cookie, st))
		return 0;
	fill_row(&row, sk, 0, true);
	row.sk.cookie = cookie;
	bpf_seq_write(seq, &row, sizeof(row));
	return 0;
}

SEC("iter/sockmap")
int shunt_drain(struct bpf_iter__sockmap *ctx)
{
	struct sock *sk = ctx->sk;
	__u64 *key = ctx->key;

	return key && sk ? drain(ctx->meta->seq, sk, *key, bpf_sk_storage_get(&shunt_sk, sk, 0, 0))
			 : 0;
}

/* The same for kernels on which programs can't iterate over maps. */
SEC("iter/task_file")
int shunt_drain_files(struct bpf_iter__task_file *ctx)
{
	struct sock *sk = tcp_of_file(ctx);
	struct shunt_sk *st = sk ? bpf_sk_storage_get(&shunt_sk, sk, 0, 0) : NULL;

	return st && psock_of(sk) ? drain(ctx->meta->seq, sk, st->cookie, st) : 0;
}

char LICENSE[] SEC("license") __weak = "GPL";
