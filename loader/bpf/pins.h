/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pin directory: programs, maps and links that are pinned there outlive the command that made
 * them. Each half has a folder, named by half_name(), with maps/NAME, progs/NAME and links/NAME;
 * bpffs allows no dots in names.
 */
#ifndef SHUNT_PINS_H
#define SHUNT_PINS_H

#include <stdbool.h>
#include <stddef.h>

#include <shunt/abi.h>

#include "bpf/halves.h"
#include "util/cleanup.h"

#define PIN_PATH 4096

/*
 * Waits for the lock on the pin directory and takes it. With create, makes the directory (mode
 * 0700) and mounts bpffs if they are missing; else moves this process to the network namespace
 * of load, if that exists. Refuses maps of another version of shunt. Output waits in memory
 * until pins_unlock(). Returns the fd that holds the lock, -ENOENT without a message if the
 * directory is missing, or another -errno after reporting it.
 */
int pins_lock(bool create);

/* The same, whatever version has loaded. Does not move this process to another namespace. */
int pins_lock_any_version(bool create);

/* Refuses maps of another version, which every command would misread. Returns 0, or -EPROTO after
 * reporting it. */
int pins_check_version(void);

/* Whether another version has loaded a half. Reports errors, and returns false then. */
bool pins_are_of_other_version(void);

/* Releases the lock and prints the output that has waited (util/output.h). Does nothing if *lock
 * is negative. */
void pins_unlock(int *lock);
#define _cleanup_lock_ _cleanup_(pins_unlock)

/* Takes the lock if nobody has it. The process stays in its network namespace. Returns the fd that
 * holds the lock, or -errno without a message: -EWOULDBLOCK if another process has it. */
int pins_trylock(void);

/* pins_lock(false) for commands that only read. If another process keeps the lock for two seconds,
 * returns an fd that holds no lock: the command goes on without it. */
int pins_lock_or_continue(void);

/* Moves this process to the network namespace that load ran in, where the interfaces and routes
 * are. Returns 0, also if nothing is loaded, or -errno without a message: -ENOENT if the
 * namespace is gone, with its interfaces and routes. */
int netns_enter_loaded(void);

/* netns_enter_loaded() for the network namespace that these settings name. */
int netns_enter_of(const struct shunt_conf *conf);

/* Whether this process is in the network namespace of what is loaded. */
bool netns_is_loaded(void);

/* Reports that the namespace is gone. Returns -ENOENT. */
int netns_report_gone(void);

/* netns_enter_loaded() for commands that need the namespace. Returns 0, or -errno after reporting
 * it. */
int netns_require_loaded(void);

/* Returns 0, or -ENOENT after reporting that this process can't see the pins, because of a mount
 * by 'ip netns exec'. */
int pins_check_reachable(void);

/* Reports that nothing is loaded, or that this process can't see it. Returns -ENOENT. */
int report_not_loaded(void);

/* Writes the path of an object of a half; kind is maps, progs or links. Returns path. */
const char *pin_path(char path[PIN_PATH], enum half half, const char *kind, const char *name);

/* Opens a pinned map or program. Returns its fd, or -errno without a message. */
int pin_open(enum half half, const char *kind, const char *name);

/* Maps all of a pinned BPF_F_MMAPABLE array into memory, shared with the programs; ret_size may
 * be NULL. Returns NULL and sets errno, without a message, if it fails. Nobody unmaps it: the
 * process soon ends. */
void *pin_mmap(enum half half, const char *name, size_t *ret_size);

/* Maps the table of attachments, which all halves share, as pin_mmap() does. */
struct shunt_attachment *attachments_map(void);

/* attachments_open() opens the pinned table of attachments and returns its fd. attachments_pin()
 * pins the table behind fd and returns 0. Both return -errno without a message if they fail. */
int attachments_open(void);
int attachments_pin(int fd);

/* Adds up the counters of all CPUs. Returns 0, or -errno without a message. */
int pins_read_counters(enum half half, struct shunt_count *ret);

/* Takes the lock that a supervisor of the half holds while it runs. Returns its fd, or -errno
 * without a message: -EWOULDBLOCK if a supervisor runs. */
int supervisor_lock(enum half half);

/* Whether that lock is on the present folder of the half: an upgrade exchanges the folder. */
bool supervisor_lock_is_current(enum half half, int fd);

/* Whether a supervisor runs; true also if that can't be found out. */
bool supervisor_is_running(enum half half);

/* Whether the last heartbeat of the supervisor is recent enough. A supervisor that was stopped
 * (SIGSTOP) holds its lock, but gives none. */
bool supervisor_has_heartbeat(const struct shunt_conf *conf);

/* Remove a pin, or all of one kind and their folder. It is no error if they are missing. Return
 * 0, or -errno after reporting it. */
int unpin(enum half half, const char *kind, const char *name);
int unpin_all(enum half half, const char *kind);

/* Removes the empty folder of a half. It is no error if it is missing. Returns 0, or -errno after
 * reporting it. */
int pins_remove_half(enum half half);

/* Removes the table of attachments and the pin directory, if no half is left there. Returns 0, or
 * -errno after reporting it. */
int pins_remove(void);

#endif
