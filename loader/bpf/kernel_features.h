/* SPDX-License-Identifier: GPL-2.0-only */
/* What this kernel offers to BPF programs. */
#ifndef SHUNT_KERNEL_FEATURES_H
#define SHUNT_KERNEL_FEATURES_H

#include <stdbool.h>

/* Reads the kernel's type information (BTF), once. Returns 0, or -errno without a message; then
 * the functions below return false. */
int kernel_types_read(void);

/* libbpf says -ESRCH for each error that keeps it from reading the type information. Returns the
 * reason if that is a shortage (is_shortage()), else the error. */
int kernel_types_error(int error);

/* Whether programs can read the peer's socket with plain loads (bpf_rdonly_cast, Linux 6.2). */
bool kernel_has_rdonly_cast(void);

/* Whether programs can iterate over the sockets in a map. A hardened kernel may refuse that; then
 * shunt iterates over the open files of all processes. Returns 1, 0, or -errno without a
 * message. */
int kernel_has_map_iterators(void);

/* Whether a tracepoint reports the flags of receive calls (Linux 6.3). */
bool kernel_reports_recv_flags(void);

/* Whether programs can reset a connection (bpf_sock_destroy, Linux 6.5). */
bool kernel_has_sock_destroy(void);

#endif
