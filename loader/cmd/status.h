/* SPDX-License-Identifier: GPL-2.0-only */
/* The state of shunt as 'shunt status' and 'shunt metrics' print it. */
#ifndef SHUNT_STATUS_H
#define SHUNT_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/utsname.h>

#include <shunt/abi.h>

#include "bpf/halves.h"
#include "attach/links.h"
#include "bypass/pairs.h"
#include "cmd/status_numbers.h"

struct status {
	struct utsname host;
	bool half[HALVES]; /* is loaded */
	/* Earlier bypasses that wait for readers (bypass/lingering.h), and the bytes to be read. */
	__u64 lingering;
	__u64 lingering_bytes;
	struct shunt_conf settings;
	struct shunt_conf *conf; /* &settings, of all halves; NULL: nothing is loaded */
	const struct shunt_attachment *attachments; /* with the present names of interfaces */
	struct shunt_attachment *named;             /* what status_free() frees of it */

	struct status_numbers numbers;  /* zero if nothing is loaded */
	bool proven;                    /* the admission of at least one cgroup is 'proven' */
	bool supervised;                /* the supervisor runs and writes heartbeats */
	bool stalled;                   /* the supervisor runs, but writes no heartbeats */
	__u64 pair_states[PAIR_STATES]; /* the numbers of pairs in each state */
	__u64 pair_reasons[WHY_COUNT];  /* the same by the reason for not being on the fast path */
	bool netns_gone;   /* the network namespace of the load has ended, or can't be reached */
	bool preceded;     /* another program's routing rule comes before those of shunt: */
	__u32 preceded_by; /* its preference */
	struct links links;
};

/*
 * Reads the state. *ret_lock becomes the lock on the pin directory: while the caller holds that
 * lock, the state stays true. It stays as it is if nothing is loaded. Returns 0, also if nothing
 * is loaded, or -errno after reporting. The caller frees *s by status_free() in any case.
 */
int status_read(struct status *s, int *ret_lock);

/* Frees what status_read() has read; *s may be all zero. */
void status_free(struct status *s);

/* Whether something of that kind is attached. */
bool status_has(const struct status *s, enum attachment_kind kind);

/* Whether steering is attached to an interface, or will be by a pattern. */
bool status_has_steering(const struct status *s);

/* "eager" or "proven", for the admission of a cgroup. */
const char *status_admit_text(unsigned int admit);

/* Print the state; the caller has looked at -j. */
void status_print_json(const struct status *s);
void status_print_text(const struct status *s);

#endif
