/* SPDX-License-Identifier: GPL-2.0-only */
/* The packets that 'shunt steer test' makes up. */
#ifndef SHUNT_PROBE_PACKET_H
#define SHUNT_PROBE_PACKET_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/if_ether.h>

#include "rules/rule.h"
#include "util/parse.h"

#define PACKET_MAX 128

/* What a packet is matched by. */
struct probe {
	__u8 proto;
	__u32 ifindex;
	struct endpoint src;
	struct endpoint dst;
};

/* Where in the flow the packet is. */
enum probe_part {
	PART_FIRST, /* the request for a connection; a datagram */
	PART_REPLY, /* the answer, from the destination to the source */
	PART_LATER, /* one of the client again */
	PART_END,   /* a reset; a datagram */
};

/* Is the destination many hosts? */
bool probe_is_group(const struct probe *f);

/* Makes one, with an Ethernet header for that address; returns its length. The packet does
 * not leave this host: its time to live is 1. */
size_t probe_packet(const struct probe *f, enum probe_part part, const __u8 mac[ETH_ALEN],
		    __u8 packet[PACKET_MAX]);

#endif
