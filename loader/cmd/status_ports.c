// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/status_ports.h"

#include <stdio.h>

#include "attach/ifaces.h"
#include "util/json.h"
#include "util/text.h"

static bool is_attached(const struct status *s, __u32 ifindex)
{
	int i;

	for (i = 0; i < SHUNT_ATTACHMENTS; i++)
		if (s->attachments[i].kind == ATTACH_IFACE && s->attachments[i].ifindex == ifindex)
			return true;
	return false;
}

/* Whether a pattern matches the port. If the port is attached, the operator has named it. */
static bool is_passed_over(const struct status *s, const struct links *l, const struct link *port)
{
	return link_master(l, port) && iface_matches_pattern(s->attachments, port) &&
	       !is_attached(s, port->ifindex);
}

void json_ports(const struct status *s, const struct links *l)
{
	const struct link *port;
	size_t i;

	json_open_in(&json_stdout, "passed_over", '[');
	for (i = 0; s->attachments && i < l->count; i++) {
		port = &l->all[i];
		if (!is_passed_over(s, l, port))
			continue;
		json_open(&json_stdout, '{');
		json_string(&json_stdout, "name", port->name);
		json_string(&json_stdout, "master", link_master(l, port)->name);
		json_string(&json_stdout, "kind", port->kind);
		json_string(&json_stdout, "instead", link_top(l, port)->name);
		json_bool(&json_stdout, "attached", is_attached(s, link_top(l, port)->ifindex));
		json_close(&json_stdout, '}');
	}
	json_close(&json_stdout, ']');
}

void print_ports(const struct status *s, const struct links *l)
{
	const struct link *port, *top;
	char text[PORT_TEXT];
	size_t i;

	for (i = 0; i < l->count; i++) {
		port = &l->all[i];
		if (!is_passed_over(s, l, port))
			continue;
		top = link_top(l, port);
		printf("  passed over: %s, %s", printable(port->name),
		       printable(port_text(text, l, port)));
		if (is_attached(s, top->ifindex))
			printf(", where steering is attached\n");
		else
			printf("; NOT ATTACHED there: load '--iface %s' as well\n",
			       printable(top->name));
	}
}

const char *port_note(char *text, size_t size, const struct links *l, __u32 ifindex)
{
	const struct link *port = links_find(l, ifindex);
	const struct link *top = port ? link_top(l, port) : NULL;
	char what[PORT_TEXT];

	*text = '\0';
	if (top)
		snprintf(text, size, "  %s, where its packets come as well: name '%s' instead",
			 port_text(what, l, port), top->name);
	return text;
}
