// SPDX-License-Identifier: GPL-2.0-only
/* The part of 'shunt check' for ports of bridges, bonds and teams, for macvlans and VRFs. */
#include "cmd/check.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "attach/attachments.h"
#include "attach/links.h"
#include "bpf/pins.h"
#include "cmd/status_ports.h"
#include "util/cleanup.h"
#include "util/netns.h"

#define PORTS_SHOWN 8 /* of one bridge */

static size_t list_ports(const struct links *l, __u32 master, char *text, size_t size)
{
	size_t i, n = 0, len = 0;

	for (i = 0; i < l->count; i++) {
		if (l->all[i].master != master || !link_master(l, &l->all[i]))
			continue;
		if (n++ < PORTS_SHOWN)
			len += snprintf(text + len, size - len, "%s%s", n > 1 ? ", " : "",
					l->all[i].name);
		else if (n == PORTS_SHOWN + 1)
			len += snprintf(text + len, size - len, ", ...");
	}
	return n;
}

static const struct link *first_port(const struct links *l, __u32 master)
{
	size_t i;

	for (i = 0; i < l->count; i++)
		if (l->all[i].master == master)
			return &l->all[i];
	return NULL;
}

/* A port that steering is attached to, although patterns pass over ports; NULL if there is none. */
static const struct link *named_port(const struct links *l)
{
	const struct shunt_conf *conf = pin_mmap(HALF_STEER, "shunt_conf", NULL);
	const struct shunt_attachment *attachments = attachments_map();
	const struct link *port;
	int i;

	for (i = 0;
	     conf && attachments && conf->netns == own_netns_cookie() && i < SHUNT_ATTACHMENTS;
	     i++) {
		port = attachments[i].kind == ATTACH_IFACE ? links_find(l, attachments[i].ifindex)
							   : NULL;
		if (port && link_master(l, port))
			return port;
	}
	return NULL;
}

static void check_master(const struct links *l, const struct link *master)
{
	const struct link *port = first_port(l, master->ifindex), *top;
	char text[PORTS_SHOWN * (IF_NAMESIZE + 2) + 8], advice[64];
	size_t n = list_ports(l, master->ifindex, text, sizeof(text));

	if (!n)
		return;
	top = link_top(l, port);
	snprintf(advice, sizeof(advice), "load '--iface %s'", top->name);
	check_found(NOTE, "ports", advice,
		    "%s: a %s with %zu port%s (%s): patterns of --iface pass over "
		    "ports, whose packets come to it, too",
		    master->name, *port->kind ? port->kind : "device", n, n == 1 ? "" : "s", text);
}

/* Reports packets that rules at this interface do not see. */
static void check_unseen(const struct links *l, const struct link *iface)
{
	const struct link *vrf = link_vrf(l, iface), *below = links_find(l, iface->parent);
	char advice[64];

	if (vrf)
		check_found(NOTE, "vrf", "use TPROXY there",
			    "%s: in the VRF '%s', and the kernel shows tc no "
			    "socket of a VRF: steering finds no listener",
			    iface->name, vrf->name);
	if (!iface->parent || !below)
		return;
	snprintf(advice, sizeof(advice), "load '--iface %s', too", iface->name);
	check_found(NOTE, "macvlan", advice,
		    "%s: packets to its MAC address meet no rule at %s below it", iface->name,
		    below->name);
}

void check_ports(void)
{
	_cleanup_(links_free) struct links l = { .all = NULL };
	char text[PORT_TEXT], advice[64];
	const struct link *port;
	size_t i;

	if (links_read(&l))
		return;
	port = named_port(&l);
	if (port) {
		snprintf(advice, sizeof(advice), "load '--iface %s' instead",
			 link_top(&l, port)->name);
		check_found(WARN, "ports", advice,
			    "steering is attached to %s, %s, where its packets come as "
			    "well",
			    port->name, port_text(text, &l, port));
	}
	for (i = 0; i < l.count; i++) {
		check_master(&l, &l.all[i]);
		check_unseen(&l, &l.all[i]);
	}
}
