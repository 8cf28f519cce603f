/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pin directory: where programs, maps and links outlive the command that
 * made them. Maps are maps/NAME, programs progs/NAME, links links/NAME; bpffs
 * allows no dots in names.
 */
#ifndef SHUNT_PINS_H
#define SHUNT_PINS_H

#include <stdbool.h>
#include <stddef.h>

#include <shunt/abi.h>

#include "util/cleanup.h"

#define PIN_PATH 4096

/*
 * Takes the lock on the pin directory, waiting for whoever has it. The lock
 * goes with the returned fd, which pins_unlock() takes; what is printed until then waits
 * in memory. With create the directory is made (mode 0700) and bpffs is mounted if need
 * be; without it, -ENOENT (unsaid) if it is missing.
 */
int pins_lock(bool create);

/* Lets go of it, and prints what was written meanwhile (util/output.h); nothing if there
 * is no fd. */
void pins_unlock(int *lock);
#define _cleanup_lock_ _cleanup_(pins_unlock)

/* pins_lock() without waiting, for what is loaded: its fd, or -errno, unsaid;
 * -EWOULDBLOCK if somebody has it. */
int pins_trylock(void);

/* pins_lock() for those who only look: waits a moment, and goes on without the lock
 * if somebody keeps it, as an unload does that waits for readers. */
int pins_lock_or_continue(void);

/* Moves this process to the network namespace that load ran in, where the
 * interfaces and routes are. 0; -ENOENT, unsaid, if it is gone (and with it all
 * that was there). */
int netns_enter_loaded(void);

/* Says that it is gone; returns -ENOENT. */
int netns_report_gone(void);

/* Both: for what makes no sense elsewhere. */
int netns_require_loaded(void);

/* 0, or -ENOENT, said, where what is pinned can't be seen. */
int pins_reachable(void);

/* Says that nothing is loaded, or can't be seen; returns -ENOENT. */
int not_loaded(void);

/* Path of an object below the pin directory; kind is maps, progs or links. */
const char *pin_path(char path[PIN_PATH], const char *kind, const char *name);

/* Opens a pinned map or program: fd, or -errno, unsaid. */
int pin_open(const char *kind, const char *name);

/* Maps all of a pinned BPF_F_MMAPABLE array into memory, shared with the
 * programs; *ret_size may be NULL. NULL and errno if it fails, unsaid. The
 * caller never unmaps it: the process is short. */
void *pin_mmap(const char *name, size_t *ret_size);

/* Adds up the copies of the counters; 0 or -errno, unsaid. */
int pins_count(struct shunt_count *ret);

/* The lock that a running supervisor holds: its fd, -EWOULDBLOCK if another
 * has it, or -errno; unsaid. */
int supervisor_lock(void);
bool supervisor_runs(void);

/* Did the supervisor give a heartbeat within the limit? A stopped one holds its lock. */
bool supervisor_beats(const struct shunt_conf *conf);

/* Removes a pin, or all of one kind and its folder; missing is no error. */
int unpin(const char *kind, const char *name);
int unpin_all(const char *kind);

/* Removes the empty pin directory. */
int pins_remove(void);

#endif
