/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The contract of BPF programs and user space: the values of the pinned maps, a header for
 * each subject. Integers are in host byte order unless a field says otherwise. Addresses are
 * in network byte order, IPv4 ones in the first four bytes.
 */
#ifndef SHUNT_ABI_H
#define SHUNT_ABI_H

#include <linux/bpf.h>
#include <linux/types.h>

/* The number of this contract. Pins of another number are refused: raise it when a struct
 * or the meaning of a field changes. */
#define SHUNT_ABI 17

#include <shunt/attachments.h>
#include <shunt/bypass.h>
#include <shunt/conf.h>
#include <shunt/counters.h>
#include <shunt/monitor.h>
#include <shunt/nat.h>
#include <shunt/rule_store.h>
#include <shunt/services.h>
#include <shunt/steer.h>

#endif
