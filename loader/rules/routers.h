/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which process made a rule: a router that calls the diverter. Nobody tells shunt when
 * a router ends, so each rule of a router names an entry of shunt_routers, and a rule
 * whose router is gone can be told. The caller holds the lock.
 */
#ifndef SHUNT_ROUTERS_H
#define SHUNT_ROUTERS_H

#include <stdbool.h>
#include <sys/types.h>

#include <shunt/abi.h>

/* The entry of a process, counted from 1; 0 if it has none. */
__u8 router_find(pid_t pid);

/* Likewise, and makes one if the process has the socket that r steers to open, as a
 * router has when it calls the diverter, and as a shell has not. 0 if it has not, or
 * that can't be told. */
__u8 router_enter(pid_t pid, const struct shunt_rule *r);

/* Has this router ended? False if that can't be told from here. */
bool router_gone(__u8 router);

/* Is there one that has ended? */
bool routers_gone(void);

/* Frees the entries of those that have ended; no rule may name them any more. */
void routers_forget(void);

/* The process that started this one; 0 if that can't be told. */
pid_t parent_of(pid_t pid);

#endif
