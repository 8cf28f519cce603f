// SPDX-License-Identifier: GPL-2.0-only
/* The text of 'shunt status'. */
#include "cmd/status.h"

#include <stdio.h>

#include "attach/attach.h"
#include "attach/attachments.h"
#include "attach/cgroup.h"
#include "attach/loopback.h"
#include "attach/mark_rules.h"
#include "attach/policy_route.h"
#include "bpf/pins.h"
#include "bypass/lingering.h"
#include "cmd/teardown.h"
#include "cmd/command.h"
#include "cmd/status_ports.h"
#include "config/excludes.h"
#include "util/netns.h"
#include "util/text.h"

static void print_excludes(const struct status *s)
{
	const struct shunt_exclude *x = pin_mmap(HALF_BYPASS, "shunt_exclude", NULL);
	char text[128];
	__u32 i;

	for (i = 0; x && i < s->conf->excludes; i++) {
		exclude_text(&x[i], text, sizeof(text));
		printf("  excluded %s\n", printable(text));
	}
}

static void print_supervisor(const struct status *s)
{
	if (!s->proven || s->supervised)
		return;
	if (s->stalled)
		printf("  THE SUPERVISOR IS STOPPED: 'shunt run' writes no heartbeat; 'proven' pairs go by "
		       "TCP until the process goes on\n");
	else
		printf("  NO SUPERVISOR: no pair is promoted, and 'proven' pairs go by TCP; start "
		       "'shunt run'\n");
}

/* Why the attachment is not attached; "" if it is, or if nothing is loaded. */
static const char *why_not(const struct status *s, const struct shunt_attachment *a)
{
	const unsigned int i = a - s->attachments;

	if (!s->conf->run.loaded || s->netns_gone || is_attached(s->attachments, i))
		return "";
	if (has_moved_away(s->attachments, i))
		return "  NOT ATTACHED: in another network namespace, with shunt's program still on it; "
		       "'shunt run' or 'shunt unload' takes the program off";
	if (a->kind == ATTACH_CGROUP && !cgroup_id(a->name))
		return s->supervised
			       ? "  REMOVED: the supervisor attaches when the cgroup is made again"
			       : "  REMOVED, and no supervisor attaches when the cgroup is made again; start "
				 "'shunt run'";
	return "  NOT ATTACHED: the program was removed; the same 'shunt load' again attaches it";
}

static const char *via(const struct shunt_attachment *a)
{
	return a->clsact ? "clsact" : "tcx";
}

static void print_steering(const struct status *s, const struct shunt_attachment *a)
{
	char note[160];

	printf("  iface %s  %s%s%s\n", printable(a->name), via(a), why_not(s, a),
	       printable(port_note(note, sizeof(note), &s->links, a->ifindex)));
}

static void print_attachment(const struct status *s, const struct shunt_attachment *a)
{
	switch (a->kind) {
	case ATTACH_CGROUP:
		printf("  cgroup %s  %s%s\n", printable(a->name), status_admit_text(a->admit),
		       why_not(s, a));
		break;
	case ATTACH_IFACE:
		print_steering(s, a);
		break;
	case ATTACH_PATTERN:
		printf("  iface '%s'%s\n", printable(a->name),
		       s->supervised
			       ? ""
			       : "  NO SUPERVISOR: interfaces that come later are not attached; start 'shunt run'");
		break;
	case ATTACH_MONITOR_IN:
		printf("  monitor %s  %s%s\n", printable(a->name), via(a), why_not(s, a));
		break;
	case ATTACH_NAT_IN:
	case ATTACH_NAT_RAW_IN:
		printf("  nat %s in  %s%s\n", printable(a->name), via(a), why_not(s, a));
		break;
	case ATTACH_NAT_OUT:
	case ATTACH_NAT_RAW_OUT:
		printf("  nat %s out  %s%s\n", printable(a->name), via(a), why_not(s, a));
		break;
	default:
		break; /* free, or the second one of the monitor */
	}
}

static void print_attached(const struct status *s)
{
	unsigned int i;

	if (netns_has_moved())
		printf("  in another network namespace than this command\n");
	for (i = 0; i < SHUNT_ATTACHMENTS; i++)
		print_attachment(s, &s->attachments[i]);
}

static void print_lost(const struct status *s)
{
	const char *setting = s->conf->run.loaded && !s->netns_gone ? loopback_lost_setting(s->conf)
								    : NULL;

	if (setting)
		printf("  net.ipv4.conf.lo.%s was set to 0, so IPv4 packets that come in by lo are dropped; "
		       "'shunt run', or the same 'shunt load' again, sets it to 1\n",
		       setting);
}

static void print_preceded(const struct status *s)
{
	if (!s->preceded)
		return;
	printf("  ip rule %u of another program comes before those of shunt, and may take steered "
	       "packets; %s\n",
	       s->preceded_by,
	       s->preceded_by > MARK_RULES_ROOM
		       ? "'shunt run', or the same 'shunt load' again, moves shunt's before it"
		       : "no preference is left before it: give it a larger one");
}

static void print_bypass(const struct status *s)
{
	const struct status_numbers *n = &s->numbers;
	const struct shunt_count *c = &n->count;

	printf("bypass: pairs %llu, active %llu; promoted so far %llu, demoted %llu, "
	       "left to TCP because the map was full %llu\n",
	       n->pairs, n->active_pairs, c->promoted, c->demoted, c->map_full);
	print_supervisor(s);
	printf("  entries of watched pairs %llu of %llu; taken from idle pairs %llu, refused to busy "
	       "pairs %llu\n",
	       n->pair_entries, n->max_pair_entries, n->reclaimed_entries, n->refused_entries);
	printf("  redirected %llu bytes in %llu messages\n", c->redirected_bytes,
	       c->redirected_msgs);
	printf("  passed     %llu bytes in %llu messages\n", c->passed_bytes, c->passed_msgs);
	printf("  queued     %llu bytes\n", n->queued_bytes);
}

static void print_steer(const struct status *s)
{
	const struct shunt_count *c = &s->numbers.count;

	printf("steering: %llu rules, mark 0x%x, table %u\n", s->numbers.rules, s->conf->mark,
	       s->conf->table);
	if (s->conf->run.loaded && !s->netns_gone && !route_is_present(s->conf))
		printf("  NO ROUTE: the rule or the route of that mark was removed, so nothing is "
		       "delivered; the same 'shunt load' again makes it\n");
	print_preceded(s);
	printf("  steered %llu packets, %llu flows, %llu ICMP errors\n", c->steered_packets,
	       c->steered_flows, c->steered_errors);
	printf("  left alone: %llu without a listener (%llu of them because it lacks IP_TRANSPARENT), "
	       "%llu malformed; %llu fragments seen\n",
	       c->no_listener, c->not_transparent, c->malformed, c->fragments);
	if (c->own_services)
		printf("  left to this host's own services: %llu connections and UDP flows\n",
		       c->own_services);
	if (c->resets)
		printf("  connections that the router has forgotten: gave it %llu segments to reset\n",
		       c->resets);
	if (c->reuseport)
		printf("  before Linux 6.6 a listener with SO_REUSEPORT gets nothing: %llu packets\n",
		       c->reuseport);
}

static void print_local(const struct status *s)
{
	const struct shunt_count *c = &s->numbers.count;

	if (s->numbers.origin_local)
		printf("  packets that this host sends are steered, too; first packets that were the "
		       "router's own: %llu\n",
		       c->routers_own);
	if (c->translated)
		printf("  left alone because their source was translated before: %llu packets of this "
		       "host; leave the destinations of rules out of SNAT and MASQUERADE\n",
		       c->translated);
	if (c->loops)
		printf("  LOOPS ENDED: %llu connections of a router, after others had come back to that "
		       "router; 'shunt steer list' shows the rules; name the router by "
		       "--router-cgroup or --router-mark at load\n",
		       c->loops);
}

static void print_nat(const struct status *s)
{
	const struct status_numbers *n = &s->numbers;
	const struct shunt_count *c = &n->count;

	printf("nat: %llu rules, %llu flows, room for %llu\n", n->nat_rules, n->nat_flows,
	       n->nat_max_flows);
	printf("  new flows %llu: source port changed for %llu, sent directly to the target %llu, "
	       "%llu ended without an answer; rewrote %llu packets, %llu ICMP errors\n",
	       c->nat_made, c->nat_other_ports, c->nat_untranslated, c->nat_unanswered,
	       c->nat_packets, c->nat_errors);
	printf("  evicted for new flows %llu; dropped %llu packets for lack of room, %llu for lack of "
	       "a route; left alone %llu fragments that came before the first one\n",
	       c->nat_evicted, c->nat_refused, c->nat_unroutable, c->nat_fragments);
}

/* Prints the halves that are loaded. Load of steering loads NAT, too, so NAT may be among them
 * without a rule. */
static void print_halves(const struct status *s)
{
	int half;

	printf("  halves");
	for (half = 0; half < HALVES; half++)
		if (s->half[half])
			printf(" %s", half_name(half));
	putchar('\n');
}

/* The sockets that an earlier bypass waits for. */
static void print_lingering(void)
{
	_cleanup_free_ struct shunt_row *rows = NULL;
	size_t n = 0;

	if (lingering_list(&rows, &n))
		return;
	printf("  unloaded bypass: %zu sockets hold bytes that their readers have not read; "
	       "'shunt unload --force' resets them\n",
	       n);
	print_left(stdout, rows, n);
}

void status_print_text(const struct status *s)
{
	printf("shunt %s on Linux %s: %s\n", SHUNT_VERSION, s->host.release,
	       s->conf && s->conf->run.loaded ? "loaded"
	       : s->lingering                 ? "unloading, sockets still hold bytes"
	       : s->conf                      ? "half loaded"
					      : "not loaded");
	if (s->lingering)
		print_lingering();
	if (!s->conf || !s->attachments)
		return;
	if (s->netns_gone)
		printf("  the network namespace that shunt was loaded in is gone, or can't be seen from "
		       "here; 'shunt unload' removes what is left\n");
	print_halves(s);
	print_attached(s);
	print_ports(s, &s->links);
	print_excludes(s);
	if (s->half[HALF_BYPASS] || status_has(s, ATTACH_CGROUP))
		print_bypass(s);
	if (status_has_steering(s))
		print_steer(s);
	print_local(s);
	print_lost(s);
	if (s->numbers.nat_rules || s->numbers.count.nat_made)
		print_nat(s);
	if (s->conf->run.trace)
		printf("trace: on\n");
}
