/* SPDX-License-Identifier: GPL-2.0-only */
/* The embedded BPF programs: loads and pins them, and loads copies that only this process uses. */
#ifndef SHUNT_PROGRAMS_H
#define SHUNT_PROGRAMS_H

#include <stdbool.h>

#include <linux/types.h>

#include "bpf/halves.h"

struct shunt_bpf;
struct shunt_conf;

/* Which programs are wanted, and the size of their maps. */
struct program_set {
	bool bypass;
	bool steer;
	bool monitor;
	bool nat;
	bool shared_attachments; /* takes the pinned table of attachments, if there is one */
	bool on_demand_too;      /* also the programs that program_open() loads later */
	__u32 flow_buckets;      /* entries of shunt_udp_flows, a power of two; 0: one entry */
	__u32 nat_flows;         /* flows that NAT has room for; 0: tables of one entry */
};

/* Opens and loads the programs. The caller destroys *ret. Returns 0, or -errno after reporting
 * it. */
int programs_open(const struct program_set *set, struct shunt_bpf **ret);

/* Opens and loads the programs that take the place of those of a half that is loaded. Their maps are
 * the pinned ones, or converted, or new: see bpf/kept_maps.h. *ret_kept: all of them are kept, or
 * converted. The caller frees *ret by programs_close(). Returns 0, or -errno after reporting it. */
int programs_open_next(enum half half, const struct program_set *set, struct shunt_bpf **ret,
		       bool *ret_kept);

/* Pins all programs and maps that were loaded in the folder of the half. After a failure some may
 * be pinned. Returns 0, or -errno after reporting it. */
int programs_pin(enum half half, struct shunt_bpf *skel);

/* The same for what takes the place of those of a half that is loaded: pins in the next folder of
 * that half (bpf/next.h). */
int programs_pin_next(enum half half, struct shunt_bpf *skel);

void programs_close(struct shunt_bpf *skel);

/* Whether all programs that are pinned for b have the same instructions as those for a. */
bool programs_equal(enum half a, enum half b);

/* Attaches the verdict to the map of sockets. Returns 0, or -errno after reporting it. */
int attach_verdict(struct shunt_bpf *skel);

/*
 * Opens a pinned program of a half that is loaded. Some programs are loaded and pinned only at
 * the first call, because few hosts need them and the kernel takes long to verify them: those of
 * 'steer test', of NAT, and of rules with 'origin local'. The caller holds the lock. Returns the
 * fd, or -errno after reporting it.
 */
int program_open(enum half half, const char *name);

/* Whether this kernel accepts the programs of one or both halves: loads them and unloads them
 * again. Returns 0, or -errno after reporting it. */
int programs_try(bool bypass, bool steer);

/* A bypass that only this process uses, for the self-tests. */
struct private_bypass {
	struct shunt_bpf *skel;
	struct shunt_conf *conf;
	int socks; /* fds of the maps, which belong to skel */
	int storage;
};

/* Returns 0, or -errno after reporting it. */
int private_bypass_open(struct private_bypass *ret);
void private_bypass_close(struct private_bypass *b);

/* Monitor programs and maps that only this process uses. The fds belong to skel. */
struct private_monitor {
	struct shunt_bpf *skel;
	int in; /* programs */
	int out;
	int monitor; /* maps */
	int buckets;
	int ways;
};

/* Returns 0, or -errno after reporting it. */
int private_monitor_open(struct private_monitor *ret);
void private_monitor_close(struct private_monitor *m);

/* The number of entries of shunt_buckets on this machine. */
unsigned int monitor_buckets(void);

/* The programs of 'shunt steer test --deliver', which use the maps that are loaded. The fds belong
 * to skel. */
struct private_probe {
	struct shunt_bpf *skel;
	int inject; /* programs */
	int drop;
	int dropped; /* map, of this process only */
};

/* Returns 0, or -errno after reporting it. */
int private_probe_open(struct private_probe *ret);
void private_probe_close(struct private_probe *p);

#endif
