/* SPDX-License-Identifier: GPL-2.0-only */
/* Makes the packets of 'shunt steer test'. */
#ifndef SHUNT_PROBE_PACKET_H
#define SHUNT_PROBE_PACKET_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/if_ether.h>

#include "rules/rule.h"
#include "util/parse.h"

#define PACKET_MAX 128

/* A packet, as far as rules match it. */
struct probe {
	__u8 proto;
	__u32 ifindex;
	struct endpoint src;
	struct endpoint dst;
};

/* The place of a packet in its flow. */
enum probe_part {
	PART_FIRST, /* SYN of the client; a datagram */
	PART_REPLY, /* answer from the destination to the source */
	PART_LATER, /* a later packet of the client */
	PART_END,   /* RST of the client; a datagram */
};

/* Whether the destination is multicast or broadcast. */
bool probe_is_group(const struct probe *f);

/* Writes a packet with an Ethernet header to mac, and returns its length. The packet does not leave
 * this host, because its TTL is 1. */
size_t probe_packet(const struct probe *f, enum probe_part part, const __u8 mac[ETH_ALEN],
		    __u8 packet[PACKET_MAX]);

#endif
