/* SPDX-License-Identifier: GPL-2.0-only */
/* The interfaces of this network namespace, and which of them are ports of others. */
#ifndef SHUNT_LINKS_H
#define SHUNT_LINKS_H

#include <net/if.h>
#include <stddef.h>

#include <linux/types.h>

struct link {
	__u32 ifindex;
	__u32 master; /* index of the interface that has this one as a port; 0: none */
	char name[IF_NAMESIZE];
	char kind[IF_NAMESIZE]; /* of the master: "bridge", "bond"; "" if it has no name */
	__u32 parent;           /* of a macvlan: index of the interface that it is on; else 0 */
};

struct links {
	struct link *all;
	size_t count;
};

/* Reads them; 0 or -errno, said. The caller frees them. */
int links_read(struct links *ret);

void links_free(struct links *l);

/* NULL if there is none of that index. */
const struct link *links_at(const struct links *l, __u32 ifindex);

/*
 * The interface that this one is a port of, NULL if it is no port. The packets of a port
 * come to the master's tc ingress as well; those of an interface in a VRF do not come to
 * the VRF's, so that is no port here.
 */
const struct link *link_master(const struct links *l, const struct link *port);

/* The same for the last in such a chain: a bridge, of a bond that is its port. */
const struct link *link_top(const struct links *l, const struct link *port);

/* The VRF that it is in, NULL if it is in none. */
const struct link *link_vrf(const struct links *l, const struct link *port);

#define PORT_TEXT 80

/* Says in text what the port is: "a port of the bridge 'br0'". Returns text. */
const char *port_text(char text[PORT_TEXT], const struct links *l, const struct link *port);

#endif
