/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHUNT_UNIX_SOCKET_H
#define SHUNT_UNIX_SOCKET_H

#include <sys/types.h>
#include <sys/un.h>

/* Makes a socket of this type, such as SOCK_STREAM, that listens at the path, for root and this group only.
 * A socket there that nobody listens at any more is replaced, anything else is not. Returns the file
 * descriptor, or -errno after reporting it. */
int unix_socket_listen(const struct sockaddr_un *a, int type, gid_t group);

#endif
