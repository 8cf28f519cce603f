// SPDX-License-Identifier: GPL-2.0-only
/*
 * How the readers of watched pairs read. Every read of a TCP stream calls
 * tcp_rcv_space_adjust(), where the system call tells a receive from a splice;
 * recv and its kin then report their flags (sock_recv_length, 6.3 and later).
 *
 * The tracepoints fire for every socket on the host, so they are attached only
 * while they are needed (loader/bypass/supervisor.c).
 */
#include <shunt/bpf/maps.bpf.h>
#include <shunt/bpf/syscalls.bpf.h>

/* processes seen to ask FIONREAD */
struct shunt_asks_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
};
MAP(shunt_asks);

/* processes seen to splice from a TCP socket, and when last: CLOCK_MONOTONIC, ns */
struct shunt_splices_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
};
MAP(shunt_splices);

/* The client's end of a pair that is watched, met for the first time. */
static __always_inline struct shunt_sk *client_end(struct sock *sk)
{
	const struct shunt_conf *conf = conf_get();
	struct shunt_pair *pair;
	struct shunt_sk *st;
	__u64 cookie;
	__u32 *slot;

	if (!conf || !conf->watching)
		return NULL;
	cookie = bpf_get_socket_cookie(sk);
	slot = bpf_map_lookup_elem(&shunt_slot, &cookie);
	pair = slot ? bpf_map_lookup_elem(&shunt_pairs, slot) : NULL;
	if (!pair || pair->end[END_CLIENT].cookie != cookie)
		return NULL;
	st = bpf_sk_storage_get(&shunt_sk, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!st)
		return NULL;
	st->is_client = 1;
	st->slot = *slot;
	st->peer_cookie = pair->end[END_SERVER].cookie;
	st->cookie = cookie;
	return st;
}

static __always_inline struct shunt_end *watched_end(struct sock *sk, struct shunt_pair **ret)
{
	struct shunt_sk *st = bpf_sk_storage_get(&shunt_sk, sk, 0, 0);
	struct shunt_pair *pair;

	if (!st)
		st = client_end(sk);
	if (!st)
		return NULL;
	pair = pair_get(st);
	if (!pair)
		return NULL;
	*ret = pair;
	return own_end(pair, st);
}

/* A reader that asks again and again holds its socket's lock, for which a redirect has
 * to wait and TCP has not. */
static __always_inline bool polls(struct shunt_end *end, int ret)
{
	if (ret == -EAGAIN) {
		end->empty_recvs += end->empty_recvs < SHUNT_EMPTY_RECVS;
		return false;
	}
	if (ret > 0) {
		end->empty_runs += end->empty_recvs == SHUNT_EMPTY_RECVS && end->empty_runs < SHUNT_EMPTY_RUNS;
		end->empty_recvs = 0;
	}
	return end->empty_runs == SHUNT_EMPTY_RUNS;
}

static __always_inline __u8 flags_fault(int flags)
{
	if (!(flags & MSG_DONTWAIT))
		return WHY_BLOCKING;
	if (flags & (MSG_WAITALL | MSG_OOB | MSG_TRUNC))
		return WHY_RECV_FLAGS;
	return 0;
}

enum read_kind {
	READ_OTHERWISE, /* by io_uring (which may splice, and loses SEND_ZC in the map), by a
			 * thread of the kernel, or on an architecture that is not listed */
	READ_TO_MEMORY, /* read, readv, recvfrom, recvmsg, recvmmsg */
	READ_BY_SPLICE, /* splice, sendfile */
};

/* How the present system call reads. */
static __always_inline enum read_kind current_read_kind(void)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	const struct pt_regs___arm64 *arm = (const void *)regs;
	long nr;

	if (bpf_core_field_exists(regs->orig_ax)) {
		nr = BPF_CORE_READ(regs, orig_ax);
		if (nr == X86_64_READ || nr == X86_64_READV || nr == X86_64_RECVFROM ||
		    nr == X86_64_RECVMSG || nr == X86_64_RECVMMSG)
			return READ_TO_MEMORY;
		return nr == X86_64_SPLICE || nr == X86_64_SENDFILE ? READ_BY_SPLICE : READ_OTHERWISE;
	}
	if (bpf_core_field_exists(arm->syscallno)) {
		nr = BPF_CORE_READ(arm, syscallno);
		if (nr == ARM64_READ || nr == ARM64_READV || nr == ARM64_RECVFROM ||
		    nr == ARM64_RECVMSG || nr == ARM64_RECVMMSG)
			return READ_TO_MEMORY;
		return nr == ARM64_SPLICE || nr == ARM64_SENDFILE ? READ_BY_SPLICE : READ_OTHERWISE;
	}
	return READ_OTHERWISE;
}

/* After so long the supervisor is told again. */
#define SPLICE_NEWS_NS 1000000000ULL

/* One that splices on one connection may on all. */
static __always_inline void note_splicer(struct shunt_conf *conf)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u64 now = bpf_ktime_get_ns(), *at = bpf_map_lookup_elem(&shunt_splices, &tgid);

	if (at ? now - *at > SPLICE_NEWS_NS : !bpf_map_update_elem(&shunt_splices, &tgid, &now, BPF_ANY))
		conf->splicer_seq++;
	if (at)
		*at = now;
}

/* Who reads at this end. The supervisor can't ask /proc for the name: it may live
 * in another PID namespace. By the last receives the process may have another one. */
static __always_inline void note_reader(struct shunt_end *end)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	const struct task_struct *task;

	if (end->tgid == tgid && end->clean_recvs + 1 < SHUNT_CLEAN_RECVS)
		return;
	task = bpf_get_current_task_btf();
	BPF_CORE_READ_INTO(&end->comm, task, group_leader, comm);
	end->tgid = tgid;
}

static __always_inline void rule_out(struct shunt_pair *pair, struct shunt_end *end, __u8 fault)
{
	/* must_queue_up() has to know of a splice, whatever came before */
	if (!end->fault || fault == WHY_SPLICE)
		end->fault = fault;
	pair_leave(pair, end->fault);
}

/* recv, recvfrom, recvmsg, read, readv: what it returned and its flags. */
SEC("tp_btf/sock_recv_length")
int shunt_recv(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	int ret = (int)ctx[1], flags = (int)ctx[2];
	struct shunt_pair *pair;
	struct shunt_end *end = watched_end(sk, &pair);

	if (!end || flags & MSG_ERRQUEUE)
		return 0;
	note_reader(end);
	if (flags_fault(flags))
		rule_out(pair, end, flags_fault(flags));
	else if (polls(end, ret))
		rule_out(pair, end, WHY_POLLS);
	else if (ret > 0)
		end->clean_recvs++;
	return 0;
}

/* A client may send and never receive: it is met here. */
SEC("tp_btf/sock_send_length")
int shunt_send(__u64 *ctx)
{
	struct shunt_pair *pair;

	watched_end((struct sock *)ctx[0], &pair);
	return 0;
}

/* A read of the stream, by whatever means. */
SEC("tp_btf/tcp_rcv_space_adjust")
int shunt_read(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	struct shunt_conf *conf = conf_get();
	enum read_kind kind = current_read_kind();
	struct shunt_pair *pair;
	struct shunt_end *end;

	if (!conf)
		return 0;
	if (kind == READ_BY_SPLICE)
		note_splicer(conf);
	end = watched_end(sk, &pair);
	if (!end)
		return 0;
	if (kind != READ_TO_MEMORY) {
		note_reader(end);
		rule_out(pair, end, WHY_SPLICE);
	} else if (!conf->recv_flags_reported) {
		note_reader(end);
		end->clean_recvs++;
	}
	return 0;
}

/*
 * Processes that ask FIONREAD, on kernels that answer it wrongly for members: one
 * that does so for every read, as nginx does, shows it while it is watched.
 * Called for every system call, so it looks at the number first.
 */
SEC("tp_btf/sys_enter")
int shunt_ioctl(__u64 *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx[0];
	const struct pt_regs___arm64 *arm = (const void *)regs;
	long nr = (long)ctx[1];
	__u32 tgid, one = 1;

	if (bpf_core_field_exists(regs->orig_ax)) {
		if (nr != X86_64_IOCTL || (__u32)BPF_CORE_READ(regs, si) != FIONREAD)
			return 0;
	} else if (nr != ARM64_IOCTL || (__u32)BPF_CORE_READ(arm, regs[1]) != FIONREAD) {
		return 0;
	}
	tgid = bpf_get_current_pid_tgid() >> 32;
	bpf_map_update_elem(&shunt_asks, &tgid, &one, BPF_ANY);
	return 0;
}

char LICENSE[] SEC("license") __weak = "GPL";
