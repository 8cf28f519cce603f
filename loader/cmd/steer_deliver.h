/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * shunt steer test --deliver: makes packets that come in by an interface, and finds out whether
 * they arrive at a socket as steered packets do. The socket belongs to the command and stands in
 * for the router's listener. It drops what arrives, so no program sees a connection.
 */
#ifndef SHUNT_STEER_DELIVER_H
#define SHUNT_STEER_DELIVER_H

#include <stdbool.h>

#include <shunt/abi.h>
#include "attach/nft_marks.h"
#include "cmd/probe_packet.h"

enum delivery_fate {
	FATE_NOT_TRIED,
	FATE_DELIVERED,
	FATE_LOST,
};

struct delivery {
	enum delivery_fate first; /* the first packet of the flow */
	enum delivery_fate later; /* a packet that follows an answer */
	/* about the packet that was lost: */
	bool steered;    /* the program at the interface saw it */
	bool dropped;    /* the kernel reported that it dropped the packet */
	__u32 mark;      /* the mark that the packet had then */
	char reason[48]; /* why the kernel dropped the packet */
	__u32 bit;       /* the mark of steered packets */
	struct nft_markers markers;
};

/* Checks that the packet can be tried, and that steering is attached to its interface. Returns 0,
 * or -errno after reporting it. */
int delivery_check(const struct probe *f);

/* Sends the packets. A lost packet is no error: *ret describes the loss. Returns 0, or -errno after
 * reporting it. The caller frees the markers. */
int delivery_try(const struct probe *f, struct delivery *ret);

bool delivery_made(const struct delivery *d);

void delivery_text(const struct delivery *d);

/* Writes the member "delivery" of an open JSON object. */
void delivery_json(const struct delivery *d);

#endif
