// SPDX-License-Identifier: GPL-2.0-only
/*
 * Watches how the readers of pairs under 'proven' read. Each read of a TCP stream calls
 * tcp_rcv_space_adjust(); there the number of the system call distinguishes a receive from
 * a splice. After that the receive calls report their flags (sock_recv_length, Linux 6.3
 * and later).
 *
 * These tracepoints fire for every socket on the host, so they are attached only while they
 * are needed (loader/bypass/supervisor.c).
 */
#include <shunt/bpf/maps.bpf.h>
#include <shunt/bpf/syscalls.bpf.h>

/* processes that have used FIONREAD on kernels that answer it wrongly */
struct shunt_fionread_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
};
MAP(shunt_fionread);

/* processes that have spliced from a TCP socket, and when last: CLOCK_MONOTONIC, ns */
struct shunt_splicers_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
};
MAP(shunt_splicers);

/* Makes the storage of the socket if it is the client's end of a watched pair, because
 * sockops/pair.bpf.c made only the server's. Returns NULL for all other sockets. */
static __always_inline struct shunt_sk *make_client_storage(struct sock *sk)
{
	const struct shunt_conf *conf = conf_get();
	struct shunt_pair *pair;
	struct shunt_sk *st;
	__u64 cookie;
	__u32 *slot;

	if (!conf || !conf->run.watching)
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

/* Returns the socket's end in the entry of its pair, and sets *ret to the entry; NULL if the pair
 * has none. */
static __always_inline struct shunt_end *watched_end(struct sock *sk, struct shunt_pair **ret)
{
	struct shunt_sk *st = bpf_sk_storage_get(&shunt_sk, sk, 0, 0);
	struct shunt_pair *pair;

	if (!st)
		st = make_client_storage(sk);
	if (!st)
		return NULL;
	pair = pair_get(st);
	if (!pair)
		return NULL;
	*ret = pair;
	return own_end(pair, st);
}

/* Whether the reader calls receive again and again without waiting. That holds its socket's
 * lock, for which a redirect has to wait and TCP does not. */
static __always_inline bool polls_without_waiting(struct shunt_end *end, int ret)
{
	if (ret == -EAGAIN) {
		end->empty_recvs += end->empty_recvs < SHUNT_EMPTY_RECVS;
		return false;
	}
	if (ret > 0) {
		end->empty_runs += end->empty_recvs == SHUNT_EMPTY_RECVS &&
				   end->empty_runs < SHUNT_EMPTY_RUNS;
		end->empty_recvs = 0;
	}
	return end->empty_runs == SHUNT_EMPTY_RUNS;
}

/* Reasons for TCP in the flags of a receive call. */
static __always_inline __u8 check_recv_flags(int flags)
{
	if (!(flags & MSG_DONTWAIT))
		return WHY_BLOCKING;
	if (flags & (MSG_WAITALL | MSG_OOB | MSG_TRUNC))
		return WHY_RECV_FLAGS;
	return 0;
}

enum read_kind {
	READ_OTHERWISE, /* by io_uring, which may splice, and whose SEND_ZC fails for members; by
			 * a thread of the kernel; or on an architecture that is not listed */
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
		return nr == X86_64_SPLICE || nr == X86_64_SENDFILE ? READ_BY_SPLICE
								    : READ_OTHERWISE;
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

/* The supervisor is told of a process again if its last splice is older than this. */
#define SPLICE_REPORT_NS 1000000000ULL

/* Records that the present process splices: it may do so on all its connections. */
static __always_inline void note_splicer(struct shunt_conf *conf)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u64 now = bpf_ktime_get_ns(), *at = bpf_map_lookup_elem(&shunt_splicers, &tgid);

	if (at ? now - *at > SPLICE_REPORT_NS
	       : !bpf_map_update_elem(&shunt_splicers, &tgid, &now, BPF_ANY))
		conf->run.splicer_seq++;
	if (at)
		*at = now;
}

/* Records which process reads at this end, with its name: the supervisor may be in another
 * PID namespace, where /proc does not have the process. The name is read again at the last
 * calls of a watch, because it may have changed. */
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

/* Keeps the pair off the fast path. */
static __always_inline void rule_out(struct shunt_pair *pair, struct shunt_end *end, __u8 fault)
{
	/* A splice replaces any other reason, because must_queue_up() depends on it. */
	if (!end->fault || fault == WHY_SPLICE)
		end->fault = fault;
	pair_leave(pair, end->fault);
}

/* After recv, recvfrom, recvmsg, read and readv: context, result and flags of the call. */
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
	if (check_recv_flags(flags))
		rule_out(pair, end, check_recv_flags(flags));
	else if (polls_without_waiting(end, ret))
		rule_out(pair, end, WHY_POLLS);
	else if (ret > 0)
		end->clean_recvs++;
	return 0;
}

/* After a send: makes the storage of a client that sends and never receives. */
SEC("tp_btf/sock_send_length")
int shunt_send(__u64 *ctx)
{
	struct shunt_pair *pair;

	watched_end((struct sock *)ctx[0], &pair);
	return 0;
}

/* At each read of a TCP stream, by whatever system call. */
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
 * Records the processes that use FIONREAD. Attached while pairs are watched, on kernels that
 * answer FIONREAD wrongly for members; a process that uses it for each read, as nginx does,
 * is found in that time. It runs at every system call, so it checks the number first.
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
	bpf_map_update_elem(&shunt_fionread, &tgid, &one, BPF_ANY);
	return 0;
}

char LICENSE[] SEC("license") __weak = "GPL";
