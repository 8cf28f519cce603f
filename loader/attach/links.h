/* SPDX-License-Identifier: GPL-2.0-only */
/* Lists the interfaces of this network namespace and which of them are ports of others. */
#ifndef SHUNT_LINKS_H
#define SHUNT_LINKS_H

#include <net/if.h>
#include <stddef.h>

#include <linux/types.h>

struct link {
	__u32 ifindex;
	__u32 master; /* index of the interface that has this one as a port; 0: none */
	char name[IF_NAMESIZE];
	char kind[IF_NAMESIZE]; /* of the master: "bridge", "bond"; "" if its kind has no name */
	__u32 parent;           /* of a macvlan: index of the interface below; 0: no macvlan */
};

/* Sorted by index. */
struct links {
	struct link *all;
	size_t count;
};

/* Reads all interfaces. The caller frees them with links_free(). Returns 0, or -errno after
 * reporting it. */
int links_read(struct links *ret);

void links_free(struct links *l);

/* The interface of this index; NULL if there is none. */
const struct link *links_find(const struct links *l, __u32 ifindex);

/*
 * The interface that this one is a port of; NULL if it is no port. Packets of a port come to the
 * tc ingress of its master as well. A member of a VRF does not count as a port: its packets do not
 * come to the tc ingress of the VRF.
 */
const struct link *link_master(const struct links *l, const struct link *port);

/* The last interface in a chain of masters: for a port of a bond that is a port of a bridge, the
 * bridge. NULL if it is no port. */
const struct link *link_top(const struct links *l, const struct link *port);

/* The VRF that the interface is a member of; NULL if there is none. */
const struct link *link_vrf(const struct links *l, const struct link *port);

#define PORT_TEXT 80

/* Writes what the port is: "a port of the bridge 'br0'". Returns text. */
const char *port_text(char text[PORT_TEXT], const struct links *l, const struct link *port);

#endif
