/* SPDX-License-Identifier: GPL-2.0-only */
/* The paired sockets, seen from user space. */
#ifndef SHUNT_PAIRS_H
#define SHUNT_PAIRS_H

#include <stdbool.h>
#include <stddef.h>

#include <shunt/abi.h>

/* Waits until every run of a program that started before is over. */
int wait_programs(void);

/* Are the programs of the bypass loaded? */
bool bypass_is_loaded(void);

/* Binds a pinned iterator to a pinned map (NULL: to none): the fd of the link,
 * or -errno, unsaid. */
int iter_link(const char *prog, const char *map);

/* Runs it once; *ret is what it printed, the caller frees it. */
int iter_read(int link, void **ret, size_t *ret_size);
int iter_run(int link, struct shunt_row **ret, size_t *ret_n);

/* Runs a pinned iterator over TCP sockets in every network namespace. */
void iter_everywhere(const char *prog);

/* Tells the readers that left the fast path with bytes by TCP still unread. */
void bypass_wake_readers(struct shunt_conf *conf);

/* All paired sockets, sorted so that the ends of a pair are neighbours, the
 * connecting end first. The caller frees *ret. 0 or -errno, said. */
int bypass_list(struct shunt_row **ret, size_t *ret_n);

/* With the pairs whose accepting end has not answered twice, too: of them there
 * is a proof, but nothing in storage. */
int bypass_list_all(struct shunt_row **ret, size_t *ret_n);

/* bypass_list(), unsaid. */
int bypass_read(struct shunt_row **ret, size_t *ret_n);

/* Are rows a and b the two ends of one connection? */
int bypass_same_pair(const struct shunt_row *a, const struct shunt_row *b);

/* The supervisor's entry for the pair; NULL if it has none. Not to be written to. */
const struct shunt_pair *bypass_pair(const struct shunt_row *r);

/* Do both redirect? */
int bypass_active(const struct shunt_row *a, const struct shunt_row *b);

/* Where a pair is, and why: one of plain, watched, joining, active, leaving,
 * closing. b may be NULL when that end is closed. */
const char *bypass_state(const struct shunt_row *a, const struct shunt_row *b, unsigned int *ret_why);

/*
 * Takes all sockets off the fast path; what is queued is left to be read
 * first. 0 when none is left; -EBUSY when some still hold bytes after
 * timeout_ms: their rows are in *ret, which the caller frees. Harmless to
 * repeat.
 */
int bypass_drain(unsigned int timeout_ms, struct shunt_row **ret, size_t *ret_n);

/* Reason in words of an enum shunt_why. */
const char *why_text(unsigned int why);

/* "127.0.0.1:80" or "[::1]:80" */
#define ENDPOINT_TEXT 64
const char *endpoint_text(char text[ENDPOINT_TEXT], unsigned int family, const __u8 *addr,
			  unsigned int port);

#endif
