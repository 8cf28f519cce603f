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
	char iface[SHUNT_IFNAME]; /* "" if no interface saw it: a bypassed pair */
	unsigned int labels;    /* enum flow_label */
	__u64 missed_packets;   /* may have been counted less than it sent, by so much */
	__u64 missed_bytes;
	double packet_rate;     /* a second, since the last reading */
	double byte_rate;
};

struct flows {
	struct flow *list;
	size_t n;
	size_t room;
};

/* Adds a zeroed flow; NULL if there is no memory. */
struct flow *flows_add(struct flows *flows);

/* fds */
struct flow_maps {
	int monitor;
	int buckets;
	int ways;
};

/* One reading of the counters. */
struct reading {
	struct shunt_bucket *buckets;
	struct shunt_flow_counter *ways;
	struct shunt_flow_counter sum; /* of all packets, in a way or missed */
	double at;             /* seconds, CLOCK_MONOTONIC */
};

/* The counters, and the two last readings. */
struct flow_reader {
	const struct shunt_bucket *buckets;
	const struct shunt_flow_counter *ways;
	unsigned int n;        /* buckets */
	struct reading now;
	struct reading before;
};

/* Sets up the maps that new programs count with; mark is that of steering. 0
 * or -errno, said. */
int monitor_prepare(int monitor_fd, __u32 mark);

/* Maps the counters. With old counters the first reading is made at once, else
 * it is empty. 0 or -errno, said; the caller closes in any case. */
int flow_reader_open(struct flow_reader *s, const struct flow_maps *maps, bool old);
void flow_reader_close(struct flow_reader *s);

/* Reads again and puts the flows in place of those of *flows; interfaces that
 * are gone have the name "?". 0 or -ENOMEM. */
int flow_reader_read(struct flow_reader *s, struct flows *flows);

/* Bytes and packets in a second since the last reading, of all flows. */
double flow_reader_byte_rate(const struct flow_reader *s);
double flow_reader_packet_rate(const struct flow_reader *s);

#endif
