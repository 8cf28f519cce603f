/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * shunt steer test --deliver: sends made-up packets from an interface's way in as far as a
 * socket, as steered packets go. The socket is the command's own, in the place of the
 * router's listener, and drops what comes: nobody else sees a connection.
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
	enum delivery_fate first; /* the first packet of a flow, */
	enum delivery_fate later; /* and one after an answer */
	/* of the lost one: */
	bool steered;             /* the program at the interface saw it */
	bool dropped;             /* the kernel told where the packet ended, */
	__u32 mark;               /* with this mark, */
	char reason[48];          /* for this */
	__u32 bit;                /* the mark of steered packets */
	struct nft_markers markers;
};

/* Is the packet one that can be tried, at an interface that steering is attached to? 0 or
 * -errno, said. */
int delivery_check(const struct probe *f);

/* Tries it; 0, whatever the fate, or -errno, said. The caller frees the markers. */
int delivery_try(const struct probe *f, struct delivery *ret);

bool delivery_made(const struct delivery *d);

void delivery_text(const struct delivery *d);

/* As the member delivery. */
void delivery_json(const struct delivery *d);

#endif
