/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The routers that made rules by calling the diverter. A router that ends leaves its rules, so
 * each rule names its router's entry in shunt_routers; the entry shows whether that process
 * still runs. The caller holds the lock.
 */
#ifndef SHUNT_ROUTERS_H
#define SHUNT_ROUTERS_H

#include <stdbool.h>
#include <sys/types.h>

#include <shunt/abi.h>

/* The entry of a process, counted from 1; 0 if the process has none. */
__u8 router_find(pid_t pid);

/* The entry of a process. Makes one for a process that holds the socket that r steers to: a router
 * does when it calls the diverter, a shell does not. 0 if the process does not hold the socket,
 * or if that can't be found out. */
__u8 router_enter(pid_t pid, const struct shunt_rule *r);

/* What distinguishes the router of this entry from all other processes. */
struct shunt_router router_at(__u8 router);

/* The entry of a router that an earlier load knew: makes one if there is none. 0 if the router has
 * ended, or if there is no room. */
__u8 router_restore(const struct shunt_router *r);

/* Whether no router has an entry. */
bool routers_none(void);

/* Whether this router has ended. False if that can't be found out. */
bool router_gone(__u8 router);

/* Whether any router has ended. */
bool routers_gone(void);

/* Frees the entries of routers that have ended. No rule may name them any more. */
void routers_forget(void);

/* The parent of a process; 0 if that can't be found out. */
pid_t parent_of(pid_t pid);

#endif
