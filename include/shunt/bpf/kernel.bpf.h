/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel types that the programs look into, with only the fields they
 * use. libbpf relocates every access to the running kernel (CO-RE), so the
 * order, size and neighbours of the fields here do not matter.
 */
#ifndef SHUNT_KERNEL_BPF_H
#define SHUNT_KERNEL_BPF_H

#include <linux/types.h>
#include <linux/bpf.h>
#include <stdbool.h>

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define O_NONBLOCK 04000
#define MSG_OOB 0x1
#define TCP_NAGLE_CORK 2
#define MSG_TRUNC 0x20
#define MSG_DONTWAIT 0x40
#define MSG_WAITALL 0x100
#define MSG_ERRQUEUE 0x2000
#define FIONREAD 0x541b
#define EAGAIN 11
#define EBUSY 16
#define TCP_REPAIR 19
#define SOL_SOCKET 1
#define SO_RCVLOWAT 18
#define RCV_SHUTDOWN 1
#define SK_USER_DATA_PTRMASK (~7ULL)

/* net/tcp_states.h */
enum {
	TCP_ESTABLISHED = 1,
	TCP_FIN_WAIT1 = 4,
	TCP_FIN_WAIT2 = 5,
	TCP_TIME_WAIT = 6,
	TCP_CLOSE = 7,
	TCP_CLOSE_WAIT = 8,
	TCP_LISTEN = 10,
	TCP_NEW_SYN_RECV = 12,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	__s64 counter;
} atomic64_t;

typedef struct {
	long counter;
} atomic_long_t;

typedef struct {
	atomic_t refs;
} refcount_t;

struct thread_info {
	__u32 status; /* x86 */
};

struct task_struct {
	struct thread_info thread_info;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct files_struct *files;
	char comm[16];
};

struct list_head {
	struct list_head *next, *prev;
};

struct hlist_node {
	struct hlist_node *next, **pprev;
};

struct timer_list {
	struct hlist_node entry;
};

struct hrtimer {
	__u8 state;
	__u8 is_queued;
};

struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};

struct proto {
	atomic_long_t *memory_allocated;
};

struct inode {
	unsigned long i_ino;
};

struct file {
	unsigned int f_flags;
	const void *f_op;
	void *private_data; /* of a socket: struct socket */
	struct inode *f_inode;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct socket {
	struct file *file;
	struct sock *sk;
};

struct sock;

/* include/linux/inetdevice.h; the values are numbered by IPV4_DEVCONF_* */
struct ipv4_devconf {
	int data[33];
};

struct in_ifaddr {
	struct in_ifaddr *ifa_next;
	__be32 ifa_local;
};

struct in_device {
	struct ipv4_devconf cnf;
	struct in_ifaddr *ifa_list;
};

struct inet6_ifaddr {
	struct in6_addr addr;
	struct list_head if_list;
};

struct inet6_dev {
	struct list_head addr_list;
};

struct netns_ipv4 {
	struct ipv4_devconf *devconf_all;
	__u8 sysctl_tcp_syncookies;
};

struct net {
	struct netns_ipv4 ipv4;
	struct list_head dev_base_head;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	unsigned short skc_family;
	volatile unsigned char skc_state;
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	unsigned char skc_reuseport : 1;
	struct proto *skc_prot;
	possible_net_t skc_net;
	atomic64_t skc_cookie;
	refcount_t skc_refcnt;
	unsigned long skc_flags;
	struct sock *skc_listener;
};

enum sock_flags {
	SOCK_ZEROCOPY = 0,
	SOCK_RCVTSTAMP = 1,
};

struct kernfs_node {
	__u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct sock_cgroup_data {
	struct cgroup *cgroup;
};

struct page_counter {
	atomic_long_t usage;
	unsigned long max;
	struct page_counter *parent;
};

struct mem_cgroup {
	struct page_counter memory;
	struct page_counter tcpmem;
};

struct wait_queue_head {
	struct list_head head;
};

struct socket_wq {
	struct wait_queue_head wait;
};

typedef struct {
	int owned;
} socket_lock_t;

struct sock {
	struct sock_common __sk_common;
	struct sock_cgroup_data sk_cgrp_data;
	struct {
		atomic_t rmem_alloc;
		int len;
	} sk_backlog;
	__u16 sk_protocol;
	socket_lock_t sk_lock;
	struct socket_wq *sk_wq;
	struct socket *sk_socket;
	void *sk_user_data;
	struct mem_cgroup *sk_memcg;
	int sk_forward_alloc;
	int sk_rcvlowat;
	__u32 sk_tsflags;
	int sk_peek_off;
	void *sk_filter;
	unsigned long sk_max_pacing_rate;
	__u8 sk_shutdown;
	struct timer_list sk_timer;
	__u32 sk_max_ack_backlog;
};

struct inet_sock {
	struct sock sk;
	unsigned long inet_flags;
};

/* Before Linux 6.6 the flag was a bit field. */
struct inet_sock___bits {
	__u8 transparent : 1;
};

struct request_sock_queue {
	atomic_t qlen;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct request_sock_queue icsk_accept_queue;
	void *icsk_ulp_ops;
	struct timer_list icsk_retransmit_timer;
	struct timer_list icsk_delack_timer;
	struct timer_list icsk_keepalive_timer;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 copied_seq;
	__u32 write_seq;
	__u32 rcv_nxt;
	__u32 snd_una;
	__u64 bytes_acked;
	__u64 bytes_received;
	__u32 data_segs_in;
	__u8 recvmsg_inq : 1;
	__u8 repair : 1;
	__u8 nonagle : 4;
	struct hrtimer pacing_timer;
	struct hrtimer compressed_ack_timer;
};

struct tcp_sock___mptcp {
	bool is_mptcp;
};

struct request_sock {
	struct sock_common __req_common;
};

struct inet_request_sock {
	struct request_sock req;
	__u16 no_srccheck : 1;
};

struct tcp_request_sock {
	struct inet_request_sock req;
	bool is_mptcp;
	__u32 rcv_isn;
	__u32 snt_isn;
};

struct inet_timewait_sock {
	unsigned int tw_transparent : 1;
};

struct net_device {
	struct list_head dev_list;
	struct in_device *ip_ptr;
	struct inet6_dev *ip6_ptr;
	possible_net_t nd_net;
};

struct sk_buff {
	struct net_device *dev;
	__u32 hash;
	__u32 mark;
	__u16 network_header; /* counted from head */
	unsigned char *head;
	unsigned char *data;
};

struct sk_psock {
	__u32 msg_tot_len;
	struct list_head ingress_msg;
};

struct sk_msg {
	struct sock *sk_redir;
};

struct bpf_sockopt_kern {
	struct sock *sk;
};

struct bpf_sock_ops_kern {
	struct sock *sk;
};

/* net/core/sock_map.c: the kernel's struct of a SOCKHASH */
struct bpf_shtab {
	atomic_t count;
};

/* x86 */
struct pt_regs {
	unsigned long orig_ax;
	unsigned long si;
	unsigned long dx;
	unsigned long r10;
};

struct pt_regs___arm64 {
	__u64 regs[31];
	int syscallno;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__sockmap {
	struct bpf_iter_meta *meta;
	void *map;
	void *key;
	struct sock *sk;
};

/* One open file of a process. A file that several processes have open comes once for each. */
struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct file *file;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

struct udp_sock {
	struct inet_sock inet;
};

struct bpf_iter__udp {
	struct bpf_iter_meta *meta;
	struct udp_sock *udp_sk;
};

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	void *map;
	struct sock *sk;
	void *value;
};

#pragma clang attribute pop

#endif
