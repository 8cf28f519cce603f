/* SPDX-License-Identifier: GPL-2.0-only */
/* Lists the pairs of sockets, with their state and the reason for it. */
#ifndef SHUNT_PAIRS_H
#define SHUNT_PAIRS_H

#include <stdbool.h>
#include <stddef.h>

#include <shunt/abi.h>

/* Whether the programs of the bypass are loaded. */
bool bypass_is_loaded(void);

/*
 * The sockets of all pairs that have socket storage, sorted so that the two ends of a pair are
 * neighbours, the connecting end first. The caller frees *ret. Returns 0, or -errno after
 * reporting it.
 */
int bypass_list(struct shunt_row **ret, size_t *ret_n);

/* bypass_list(), and the accepting ends of pending pairs, which have no storage yet. */
int bypass_list_all(struct shunt_row **ret, size_t *ret_n);

/* bypass_list(), but does not report errors. */
int bypass_read(struct shunt_row **ret, size_t *ret_n);

/* Whether the rows are the two ends of one connection. */
bool bypass_same_pair(const struct shunt_row *a, const struct shunt_row *b);

/* The entry of shunt_pairs for this socket's pair, to read only; NULL if it has none. */
const struct shunt_pair *bypass_pair(const struct shunt_row *r);

/* What a pair does, as 'shunt sockets' prints it. */
enum pair_state {
	PAIR_PLAIN, /* by TCP */
	PAIR_WATCHED,
	PAIR_JOINING,
	PAIR_ACTIVE, /* on the fast path */
	PAIR_LEAVING,
	PAIR_CLOSING, /* at least one end is closed */
	PAIR_STATES,
};

/* The name of a state in lower case. */
const char *pair_state_name(enum pair_state state);

/* The state of a pair. *ret_why becomes the reason, an enum shunt_why. b is the other end's
 * row; NULL if that end is closed or has no storage. */
enum pair_state bypass_state(const struct shunt_row *a, const struct shunt_row *b,
			     unsigned int *ret_why);

/* A reason, an enum shunt_why, in words. */
const char *why_text(unsigned int why);

/* The name of a reason, of lower-case letters and '_', as metrics and JSON have it. */
const char *why_name(unsigned int why);

/* "127.0.0.1:80" or "[::1]:80" */
#define ENDPOINT_TEXT 64
const char *endpoint_text(char text[ENDPOINT_TEXT], unsigned int family, const __u8 *addr,
			  unsigned int port);

#endif
