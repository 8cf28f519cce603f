/* SPDX-License-Identifier: GPL-2.0-only */
/* The parts of 'shunt run'. */
#ifndef SHUNT_RUN_H
#define SHUNT_RUN_H

#include <stdbool.h>

#include "attach/cgroups.h"
#include "bpf/halves.h"
#include "bypass/supervisor.h"
#include "cmd/metrics_server.h"
#include "cmd/rule_socket.h"

struct run {
	struct half_pins half[HALVES]; /* without conf: not loaded when this process began */
	int lock[HALVES];              /* supervisor_lock() of those that were */
	__u64 halves_checked_ns;
	struct supervisor supervisor;
	int rtnl_fd; /* reports changes of interfaces and routing rules; -1: there is no interface */
	bool links_changed;
	__u64 links_retry_ns; /* no sync before this time */
	bool begin_anew;
	bool stopping;
	__u64 stop_ns; /* when the command ends, even if pairs are still on the fast path */
	__u64 listeners_searched_ns;
	__u64 nat_checked_ns;
	__u64 lo_checked_ns;
	__u64 lingering_checked_ns;
	__u64 cgroups_checked_ns;
	struct cgroups cgroups;
	struct rule_server rules;
	struct metrics_server metrics;
};

/* Whether the half is loaded now, and was loaded when this process began. */
bool run_serves(const struct run *r, enum half half);

/* The table of attachments; NULL if nothing is served. */
struct shunt_attachment *run_attachments(const struct run *r);

/* --- run_follow.c: what changes on the host ------------------------------------------------- */

/* Reacts to changes on the host. Looks, at most as often as each kind needs it, at interfaces,
 * cgroups, settings of lo, NAT that is not needed any more, and bypasses that linger. Reports
 * errors. */
void run_follow(struct run *r);

/* Searches the listeners of fragmented datagrams if a program wants one. Returns how many ms to
 * wait until the next search, at most ms. */
int run_find_listeners(struct run *r, int ms);

/* --- run_anew.c: other halves are loaded ---------------------------------------------------- */

/* Whether this process has to begin anew: a half was unloaded, or there is more to serve. */
bool run_must_begin_anew(struct run *r);

/* Hands the locks of the halves that are still loaded on to the process that begins anew. */
void run_hand_on_locks(struct run *r);

/* Whether this process was a supervisor before it began anew. */
bool run_began_anew(void);

/* Whether another program is where this one was when the process began. */
bool run_program_is_replaced(void);

/* Whether an upgrade has replaced a half that this process serves, or the program on disk. */
bool run_was_upgraded(const struct run *r);

/* Begins anew as the same process, which serves what is loaded now; after an upgrade, with the program
 * that is on disk now. Returns after an error only. */
int run_begin_anew(bool upgraded);

/* The lock of a half that the process had before it began anew; -1 if there is none. */
int run_inherited_lock(enum half half);

/* For a process that finds nothing loaded. Returns 1 if it began anew: what it served was unloaded
 * meanwhile, so its work is done. Otherwise reports an error and returns -errno. */
int run_nothing_loaded(void);

/* For the begin of the process: notes which program it runs, and gives a process that began anew its
 * old name. */
void run_begin(void);

#endif
