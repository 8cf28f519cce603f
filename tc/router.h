/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tells whether the router itself makes a connection that a rule would give to the router.
 * Otherwise the router would connect to itself again and again.
 *
 * The cgroup of the listener's socket is not enough. A socket keeps the cgroup of the
 * process that made it. This may be systemd (socket activation), or a process that moved to
 * another cgroup later. So the open files of the sending process are examined:
 *
 * - A process that has the listener open is the router. Its present cgroup is noted, and
 *   whatever runs there is the router from then on.
 * - A router may have several processes, and the process that connects may not have the
 *   listener. But that process, or a parent, has a connection open that was steered to the
 *   listener before. This is a loop, which ends here.
 *
 * No other process has such files, so connections of other programs are steered. The kernel
 * may send a packet later (if the next hop had no MAC address yet). Then another process is
 * running, and its files do not count, because it does not have the sending socket. The
 * router's next connection reveals the router.
 */
#ifndef SHUNT_ROUTER_H
#define SHUNT_ROUTER_H

#include "deliver.h"

/* How many open files of a process are examined: at each connection, and at most. Listeners
 * are opened early, so they are among the first files. */
#define FILES_FEW 256
#define FILES_MOST 65536

/* A parent or grandparent may hold the connection that the listener has accepted: some
 * programs serve a connection with the output of other programs. */
#define ROUTER_PARENTS 3

/* A sender's cgroup, and the listener that its connections are for. */
struct sender {
	__u64 listener; /* inode number of its socket, which no other socket gets */
	__u64 cgroup;
};

struct sender_state {
	__u32 tick;   /* when the count of flows began */
	__u32 flows;  /* connections for the listener since then */
	__u32 router; /* the listener's router runs in this cgroup */
	__u32 loops;  /* connections that came back to their sender */
};

struct shunt_senders_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct sender);
	__type(value, struct sender_state);
};
MAP(shunt_senders);

/* TCP connections of this host that were steered, with the inode number of their listener. */
struct shunt_local_tcp_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct shunt_flow);
	__type(value, __u64);
};
MAP(shunt_local_tcp);

enum file_wanted {
	FILE_LISTENER = 1, /* the listener that would get the packet */
	FILE_SENDER = 2,   /* the socket that sends the packet */
	FILE_ACCEPTED = 4, /* a connection that was steered to the listener before */
};

#define WALK_FILES 16 /* files that one step reads */

/* A walk over the open files of a process. */
struct file_walk {
	const void *fd; /* the kernel's array of files */
	const void *listener;
	const void *sender;
	const void *sockets; /* f_op of all sockets */
	__u64 inode;         /* of the listener */
	__u32 wanted;        /* enum file_wanted: the walk ends when all of these are found */
	__u32 found;
	struct shunt_flow flow;
	__u32 pad;
	const void *files[WALK_FILES];
};

/* One entry for each CPU. The walk is not on the stack: the verifier of Linux 6.1 takes the
 * stack after the first step of bpf_loop() for the result of all steps. */
struct shunt_walk_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct file_walk);
};
MAP(shunt_walk);

static __always_inline struct file_walk *walk_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&shunt_walk, &zero);
}

/* Sets *ret to the flow of packets from the socket's peer. Returns false if the socket is
 * neither IPv4 nor IPv6. */
static __always_inline bool flow_of_socket(const struct sock_common *c, struct shunt_flow *ret)
{
	__builtin_memset(ret, 0, sizeof(*ret));
	ret->family = BPF_CORE_READ(c, skc_family);
	ret->sport = bpf_ntohs(BPF_CORE_READ(c, skc_dport));
	ret->dport = BPF_CORE_READ(c, skc_num);
	ret->ifindex = SHUNT_LOCAL_IFINDEX;
	if (ret->family == AF_INET) {
		BPF_CORE_READ_INTO((__be32 *)ret->src, c, skc_daddr);
		BPF_CORE_READ_INTO((__be32 *)ret->dst, c, skc_rcv_saddr);
	} else if (ret->family == AF_INET6) {
		BPF_CORE_READ_INTO((struct in6_addr *)ret->src, c, skc_v6_daddr);
		BPF_CORE_READ_INTO((struct in6_addr *)ret->dst, c, skc_v6_rcv_saddr);
	} else {
		return false;
	}
	return true;
}

/* Whether the file is a connection that was steered to the listener. */
static __noinline bool is_accepted(const struct file *file)
{
	struct file_walk *w = walk_get();
	const struct sock_common *sk;
	const struct socket *socket;
	const __u64 *inode;

	if (!w || BPF_CORE_READ(file, f_op) != w->sockets)
		return false;
	socket = BPF_CORE_READ(file, private_data);
	sk = (const void *)BPF_CORE_READ(socket, sk);
	if (!flow_of_socket(sk, &w->flow))
		return false;
	inode = bpf_map_lookup_elem(&shunt_local_tcp, &w->flow);
	return inode && *inode == w->inode;
}

/* bpf_loop() callback: examines the next WALK_FILES open files. */
static long files_step(__u32 i, void *data)
{
	struct file_walk *w = walk_get();
	const void *file;
	int j;

	(void)data;
	if (!w || bpf_probe_read_kernel(w->files, sizeof(w->files),
					(const char *)w->fd + i * sizeof(w->files)))
		return 1;
	for (j = 0; j < WALK_FILES; j++) {
		file = w->files[j];
		if (!file)
			continue;
		if (file == w->listener)
			w->found |= FILE_LISTENER;
		if (file == w->sender)
			w->found |= FILE_SENDER;
		if (w->wanted & ~w->found & FILE_ACCEPTED && is_accepted(file))
			w->found |= FILE_ACCEPTED;
	}
	return (w->found & w->wanted) == w->wanted;
}

/* Whether the process has all of the wanted files open, among the first 'most' ones. */
static __noinline bool files_open(const struct task_struct *task, __u32 wanted, __u32 most)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	__u32 count = BPF_CORE_READ(table, max_fds);
	struct file_walk *w = walk_get();

	if (!w)
		return false;
	w->fd = BPF_CORE_READ(table, fd);
	w->wanted = wanted;
	w->found = 0;
	count = count < most ? count : most;
	bpf_loop(count / WALK_FILES, files_step, NULL, 0);
	return (w->found & wanted) == wanted;
}

/* Whether the sending process has the listener open. */
static __always_inline bool has_listener(const struct task_struct *task, __u32 most)
{
	return files_open(task, FILE_LISTENER, most) && files_open(task, FILE_SENDER, FILES_MOST);
}

/* Whether the sending process, or a parent, has a connection of the listener open. */
static __always_inline bool has_accepted(const struct task_struct *task)
{
	int i;

	if (!files_open(task, FILE_SENDER, FILES_MOST))
		return false;
	for (i = 0; i <= ROUTER_PARENTS; i++) {
		if (files_open(task, FILE_ACCEPTED, FILES_MOST))
			return true;
		task = BPF_CORE_READ(task, real_parent);
	}
	return false;
}

/* Whether the long examination is due. It takes long if a process has many open files, so it
 * runs when the number of connections in a tick has doubled. A loop ends at that time. */
static __always_inline bool is_due(struct sender_state *s)
{
	__u32 tick = tick_now();

	if (s->tick != tick) {
		s->tick = tick;
		s->flows = 0;
	}
	s->flows++;
	return s->loops || !(s->flows & (s->flows - 1));
}

/* The state of the sender, which is entered if it is new; NULL if there is no room. */
static __always_inline struct sender_state *sender_get(struct sender *key)
{
	struct sender_state none = {}, *s = bpf_map_lookup_elem(&shunt_senders, key);

	if (s)
		return s;
	bpf_map_update_elem(&shunt_senders, key, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&shunt_senders, key);
}

enum sent_by {
	SENT_BY_OTHERS,
	SENT_BY_ROUTER,
	SENT_IN_LOOP,
};

/* Whether the operator named the router. Then only that counts, except for loops. */
static __always_inline bool is_router_named(const struct shunt_conf *conf)
{
	return conf->router_mark || conf->router_cgroup;
}

/* Tells who sends a new flow, by the open files of the present process. */
static __always_inline enum sent_by examine_sender(struct sender_state *s, struct shunt_conf *conf)
{
	const struct task_struct *task = (const void *)bpf_get_current_task();
	bool due = is_due(s);

	if (!is_router_named(conf)) {
		if (!s->router && has_listener(task, due ? FILES_MOST : FILES_FEW)) {
			s->router = 1;
			conf->run.routers = 1;
		}
		if (s->router)
			return SENT_BY_ROUTER;
	}
	if (!due || !has_accepted(task))
		return SENT_BY_OTHERS;
	s->router = 1;
	conf->run.routers = 1;
	s->loops++;
	return SENT_IN_LOOP;
}

/* Returns enum sent_by: who has sent the first packet of a flow for the listener at this kernel
 * address. Not static: so the function has its own stack. */
__weak __attribute__((noinline)) int shunt_sent_by(struct __sk_buff *skb, const struct packet *pkt,
						   __u64 address)
{
	const struct sock *listener = (const void *)address, *sender;
	struct shunt_conf *conf = conf_get();
	struct file_walk *w = walk_get();
	struct sender_state *s;
	const struct file *file;
	struct sender key;
	enum sent_by by;

	if (!pkt || !conf || !w || !skb->sk)
		return SENT_BY_OTHERS;
	sender = address_of(skb->sk);
	w->sender = BPF_CORE_READ(sender, sk_socket, file);
	file = BPF_CORE_READ(listener, sk_socket, file);
	w->listener = file;
	w->sockets = BPF_CORE_READ(file, f_op);
	w->inode = BPF_CORE_READ(file, f_inode, i_ino);
	key.listener = w->inode;
	key.cgroup = bpf_skb_cgroup_id(skb);
	s = sender_get(&key);
	if (!w->listener || !w->sender || !s)
		return SENT_BY_OTHERS;
	by = examine_sender(s, conf);
	if (by == SENT_BY_OTHERS && pkt->proto == IPPROTO_TCP) {
		flow_of(pkt, &w->flow);
		bpf_map_update_elem(&shunt_local_tcp, &w->flow, &w->inode, BPF_ANY);
	}
	return by;
}

/* For a later packet: whether the router is known to run in the sender's cgroup. */
static __always_inline bool sent_by_known(struct __sk_buff *skb, struct bpf_sock *listener,
					  const struct shunt_conf *conf)
{
	const struct sock *sk = address_of(listener);
	const struct sender_state *s;
	struct sender key;

	if (!conf->run.routers || is_router_named(conf))
		return false;
	key.listener = BPF_CORE_READ(sk, sk_socket, file, f_inode, i_ino);
	key.cgroup = bpf_skb_cgroup_id(skb);
	s = bpf_map_lookup_elem(&shunt_senders, &key);
	return s && s->router;
}

#endif
