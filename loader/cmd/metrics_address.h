/* SPDX-License-Identifier: GPL-2.0-only */
/* Where 'shunt run --metrics' listens: ADDRESS:PORT, :PORT of 127.0.0.1, or a path, with or without
 * "unix:". */
#ifndef SHUNT_METRICS_ADDRESS_H
#define SHUNT_METRICS_ADDRESS_H

#include <netinet/in.h>
#include <sys/types.h>
#include <sys/un.h>

struct metrics_address {
	const char *word; /* of the command line; NULL: none */
	socklen_t size;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un path;
	};
};

/* Reads the word. Returns 0, or -errno after reporting it. */
int metrics_address_parse(const char *word, struct metrics_address *ret);

/* Makes a socket that listens there; that of a path is for root and the group only. Returns the file
 * descriptor, or -errno after reporting it. */
int metrics_address_listen(const struct metrics_address *a, gid_t group);

#endif
