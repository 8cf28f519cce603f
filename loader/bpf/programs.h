/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHUNT_PROGRAMS_H
#define SHUNT_PROGRAMS_H

#include <stdbool.h>

#include <linux/types.h>

struct shunt_bpf;
struct shunt_conf;

/* Which programs are wanted, and the size of their maps. */
struct program_set {
	bool bypass;
	bool steer;
	bool monitor;
	bool nat;
	bool monitor_only;  /* no other maps are made */
	bool on_demand_too; /* those that program_open() loads later, too */
	__u32 flow_buckets; /* of shunt_udp_flows: a power of two; 0: one */
	__u32 nat_flows;
};

/* Opens and loads the programs. Reports errors and returns -errno. The caller destroys
 * *ret. */
int programs_open(const struct program_set *set, struct shunt_bpf **ret);

/* Pins all that was loaded. 0 or -errno, said. */
int programs_pin(struct shunt_bpf *skel);

/* Has the verdict run on the map of sockets. 0 or -errno, said. */
int attach_verdict(struct shunt_bpf *skel);

/*
 * Opens a pinned program of a half that is loaded. Those that few need, and that
 * take the kernel long to verify, are loaded the first time: the test program,
 * NAT, steering of what this host sends. The caller holds the lock. The fd, or
 * -errno, said.
 */
int program_open(const char *name);

/* Loads the programs of one or both halves and throws them away again: does
 * this kernel take them? 0 or -errno, said. */
int programs_try(bool bypass, bool steer);

/* A bypass of our own, seen by nobody else: for 'shunt check'. */
struct private_bypass {
	struct shunt_bpf *skel;
	struct shunt_conf *conf;
	int socks; /* fds of the maps */
	int storage;
};

/* 0 or -errno, said. */
int private_bypass_open(struct private_bypass *ret);
void private_bypass_close(struct private_bypass *b);

/* Monitor programs and their maps of our own: fds, which go with it. */
struct private_monitor {
	struct shunt_bpf *skel;
	int in; /* programs */
	int out;
	int monitor; /* maps */
	int buckets;
	int ways;
};

/* 0 or -errno, said. */
int private_monitor_open(struct private_monitor *ret);
void private_monitor_close(struct private_monitor *m);

/* Entries of shunt_buckets on this machine. */
unsigned int monitor_buckets(void);

/* What 'shunt steer test --deliver' has for itself, beside the settings that are loaded:
 * fds, which go with it. */
struct private_probe {
	struct shunt_bpf *skel;
	int inject; /* programs */
	int drop;
	int dropped; /* map */
};

/* 0 or -errno, said. */
int private_probe_open(struct private_probe *ret);
void private_probe_close(struct private_probe *p);

/* Can programs look into the peer with plain loads (6.2 and later)? */
bool kernel_casts(void);

/* May programs walk over the entries of a map? A hardened kernel may refuse that;
 * then programs walk over the open files of all processes. */
int kernel_walks_maps(void);

/* Does a tracepoint tell with what flags a program receives? Not on 6.1. */
bool kernel_sees_flags(void);

#endif
