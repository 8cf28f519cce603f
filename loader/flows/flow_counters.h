/* SPDX-License-Identifier: GPL-2.0-only */
/* The flows that the monitor's programs have counted. */
#ifndef SHUNT_FLOW_COUNTERS_H
#define SHUNT_FLOW_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>

#include <shunt/abi.h>

enum flow_label {
	LABEL_STEERED = 1,
	LABEL_BYPASSED = 2,
	LABEL_NAT = 4,
};

struct flow {
	struct shunt_flow_counter counter; /* counted by all CPUs */
	char iface[SHUNT_IFNAME];          /* "" if no interface saw it: a bypassed pair */
	unsigned int labels;               /* enum flow_label */
	__u64 missed_packets;              /* at most this many of its packets were not counted */
	__u64 missed_bytes;
	double packet_rate; /* per second, since the last reading */
	double byte_rate;
};

struct flows {
	struct flow *list;
	size_t n;
	size_t room;
};

/* Adds a flow, all of whose members are 0. Returns NULL if there is no memory. */
struct flow *flows_add(struct flows *flows);

/* File descriptors of the monitor's maps. */
struct flow_maps {
	int monitor;
	int buckets;
	int ways;
};

/* One reading of the counters. */
struct reading {
	struct shunt_bucket *buckets;
	struct shunt_flow_counter *ways;
	struct shunt_flow_counter sum; /* of all packets, missed ones too */
	double at;                     /* seconds, CLOCK_MONOTONIC */
};

/* The counters and the last two readings. */
struct flow_reader {
	const struct shunt_bucket *buckets;
	const struct shunt_flow_counter *ways;
	unsigned int n; /* buckets of all CPUs */
	struct reading now;
	struct reading before;
};

/* Sets up the monitor's settings; mark is the fwmark of steering. Reports errors and returns
 * -errno. */
int monitor_prepare(int monitor_fd, __u32 mark);

/* Changes the mark by which the monitor tells steered packets. Reports errors and returns -errno. */
int monitor_set_mark(int monitor_fd, __u32 mark);

/* Maps the counters. With in_use the programs have counted before, so the first reading is made
 * at once; otherwise it is empty. Reports errors and returns -errno; the caller closes in any
 * case. */
int flow_reader_open(struct flow_reader *reader, const struct flow_maps *maps, bool in_use);
void flow_reader_close(struct flow_reader *reader);

/* Reads the counters and replaces *flows. An interface that is gone has the name "?". Returns 0
 * or -ENOMEM without a message. */
int flow_reader_read(struct flow_reader *reader, struct flows *flows);

/* Bytes and packets per second of all flows, since the last reading. */
double flow_reader_byte_rate(const struct flow_reader *reader);
double flow_reader_packet_rate(const struct flow_reader *reader);

#endif
