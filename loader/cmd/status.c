// SPDX-License-Identifier: GPL-2.0-only
/* shunt status: what is attached where, rules, pairs, counters. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "attach/attach.h"
#include "attach/attachments.h"
#include "attach/cgroup.h"
#include "attach/loopback.h"
#include "attach/mark_rules.h"
#include "attach/policy_route.h"
#include "bpf/pins.h"
#include "bypass/pairs.h"
#include "cmd/command.h"
#include "cmd/status.h"
#include "cmd/status_ports.h"
#include "rules/rule_store.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "util/netns.h"
#include "util/options.h"
#include "util/text.h"

#define ULL(x) ((unsigned long long)(x))

static const char *admit_text(unsigned int admit)
{
	return admit == SHUNT_EAGER ? "eager" : "proven";
}

static void json_attached(const struct status *s, const char *name, enum attachment_kind kind)
{
	unsigned int i;

	json_open_in(&json_stdout, name, '[');
	for (i = 0; s->attachments && i < SHUNT_ATTACHMENTS; i++) {
		if (s->attachments[i].kind != kind)
			continue;
		json_open(&json_stdout, '{');
		json_string(&json_stdout, kind == ATTACH_CGROUP ? "path" : "name",
			    s->attachments[i].name);
		if (kind == ATTACH_CGROUP)
			json_string(&json_stdout, "admit", admit_text(s->attachments[i].admit));
		else
			json_string(&json_stdout, "via",
				    s->attachments[i].clsact ? "clsact" : "tcx");
		json_bool(&json_stdout, "attached", attached(s->attachments, i));
		if (kind == ATTACH_CGROUP)
			json_bool(&json_stdout, "gone", !cgroup_id(s->attachments[i].name));
		json_close(&json_stdout, '}');
	}
	json_close(&json_stdout, ']');
}

static void json_patterns(const struct status *s)
{
	unsigned int i;

	json_open_in(&json_stdout, "patterns", '[');
	for (i = 0; s->attachments && i < SHUNT_ATTACHMENTS; i++)
		if (s->attachments[i].kind == ATTACH_PATTERN)
			json_string(&json_stdout, NULL, s->attachments[i].name);
	json_close(&json_stdout, ']');
}

/* One entry for the two attachments of an interface. */
static void json_nat_ifaces(const struct status *s)
{
	unsigned int i;

	json_open_in(&json_stdout, "ifaces", '[');
	for (i = 0; s->attachments && i < SHUNT_ATTACHMENTS; i++) {
		if (s->attachments[i].kind != ATTACH_NAT_OUT &&
		    s->attachments[i].kind != ATTACH_NAT_RAW_OUT)
			continue;
		json_open(&json_stdout, '{');
		json_string(&json_stdout, "name", s->attachments[i].name);
		json_string(&json_stdout, "via", s->attachments[i].clsact ? "clsact" : "tcx");
		json_bool(&json_stdout, "attached", attached(s->attachments, i));
		json_close(&json_stdout, '}');
	}
	json_close(&json_stdout, ']');
}

static void exclude_text(const struct shunt_exclude *x, char *text, size_t size)
{
	char addr[64];

	if (x->kind == EXCLUDE_PORT && x->low == x->high)
		snprintf(text, size, "port:%u", x->low);
	else if (x->kind == EXCLUDE_PORT)
		snprintf(text, size, "port:%u-%u", x->low, x->high);
	else if (x->kind == EXCLUDE_PROCESS)
		snprintf(text, size, "process:%s", x->comm);
	else
		snprintf(text, size, "%s/%u", inet_ntop(x->family, x->addr, addr, sizeof(addr)),
			 x->len);
}

static void json_excludes(void)
{
	const struct shunt_exclude *x = pin_mmap("shunt_exclude", NULL);
	char text[128];
	int i;

	json_open_in(&json_stdout, "excludes", '[');
	for (i = 0; x && i < SHUNT_EXCLUDES && x[i].kind; i++) {
		exclude_text(&x[i], text, sizeof(text));
		json_string(&json_stdout, NULL, text);
	}
	json_close(&json_stdout, ']');
}

static void print_excludes(void)
{
	const struct shunt_exclude *x = pin_mmap("shunt_exclude", NULL);
	char text[128];
	int i;

	for (i = 0; x && i < SHUNT_EXCLUDES && x[i].kind; i++) {
		exclude_text(&x[i], text, sizeof(text));
		printf("  excluded %s\n", printable(text));
	}
}

static const char *supervisor_text(const struct status *s)
{
	return s->supervised ? "running" : s->stalled ? "no heartbeat" : "none";
}

static void print_supervisor(const struct status *s)
{
	if (!s->proven || s->supervised)
		return;
	if (s->stalled)
		printf("  THE SUPERVISOR IS STOPPED: 'shunt run' gives no heartbeat; what is 'proven' goes "
		       "by TCP until the process goes on\n");
	else
		printf("  NO SUPERVISOR: no pair is promoted, and what is 'proven' goes by TCP; start "
		       "'shunt run'\n");
}

static void json_bypass(const struct status *s)
{
	const struct shunt_count *c = &s->count;

	json_open_in(&json_stdout, "bypass", '{');
	json_attached(s, "cgroups", ATTACH_CGROUP);
	json_number(&json_stdout, "pairs", s->pairs);
	json_number(&json_stdout, "active", s->active);
	json_bool(&json_stdout, "supervised", s->supervised);
	json_string(&json_stdout, "supervisor", supervisor_text(s));
	json_number(&json_stdout, "redirected_bytes", c->redirected_bytes);
	json_number(&json_stdout, "redirected_messages", c->redirected_msgs);
	json_number(&json_stdout, "passed_bytes", c->passed_bytes);
	json_number(&json_stdout, "passed_messages", c->passed_msgs);
	json_number(&json_stdout, "promoted", c->promoted);
	json_number(&json_stdout, "demoted", c->demoted);
	json_number(&json_stdout, "map_full", c->map_full);
	json_number(&json_stdout, "entries", s->conf ? s->conf->run.pair_entries : 0);
	json_number(&json_stdout, "max_entries", SHUNT_PAIRS - 1);
	json_number(&json_stdout, "reclaimed", s->conf ? s->conf->run.reclaimed : 0);
	json_number(&json_stdout, "no_entry", s->conf ? s->conf->run.no_entry : 0);
	json_number(&json_stdout, "queued_bytes", s->queued);
	json_excludes();
	json_number(&json_stdout, "max_bytes", s->conf ? s->conf->max_bytes : 0);
	json_number(&json_stdout, "max_messages", s->conf ? s->conf->max_msgs : 0);
	json_number(&json_stdout, "host_bytes", s->conf ? s->conf->max_pages * getpagesize() : 0);
	json_close(&json_stdout, '}');
}

static void json_steer(const struct status *s)
{
	const struct shunt_count *c = &s->count;

	json_open_in(&json_stdout, "steer", '{');
	json_attached(s, "ifaces", ATTACH_IFACE);
	json_patterns(s);
	json_ports(s, &s->links);
	json_number(&json_stdout, "mark", s->conf ? s->conf->mark : 0);
	json_number(&json_stdout, "table", s->conf ? s->conf->table : 0);
	json_bool(&json_stdout, "routed",
		  s->conf && s->conf->mark && !s->netns_gone && route_present(s->conf));
	if (s->preceded)
		json_number(&json_stdout, "preceded_by", s->preceded_by);
	json_number(&json_stdout, "rules", s->rules);
	json_number(&json_stdout, "max_rules", s->conf ? s->conf->max_rules : 0);
	json_number(&json_stdout, "max_flows", s->conf ? s->conf->flow_buckets : 0);
	json_number(&json_stdout, "steered_packets", c->steered_packets);
	json_number(&json_stdout, "steered_flows", c->steered_flows);
	json_number(&json_stdout, "no_listener", c->no_listener);
	json_number(&json_stdout, "not_transparent", c->not_transparent);
	json_number(&json_stdout, "reuseport", c->reuseport);
	json_number(&json_stdout, "fragments", c->fragments);
	json_number(&json_stdout, "steered_errors", c->steered_errors);
	json_number(&json_stdout, "malformed", c->malformed);
	json_bool(&json_stdout, "local", s->conf && s->conf->run.local);
	json_number(&json_stdout, "routers_own", c->routers_own);
	json_number(&json_stdout, "loops", c->loops);
	json_number(&json_stdout, "translated", c->translated);
	json_number(&json_stdout, "own_services", c->own_services);
	json_number(&json_stdout, "resets", c->resets);
	json_close(&json_stdout, '}');
}

static void json_nat(const struct status *s)
{
	const struct shunt_count *c = &s->count;

	json_open_in(&json_stdout, "nat", '{');
	json_nat_ifaces(s);
	json_number(&json_stdout, "rules", s->nat_rules);
	json_number(&json_stdout, "flows", c->nat_made - c->nat_ended);
	json_number(&json_stdout, "max_flows", s->nat ? s->nat->flows : 0);
	json_number(&json_stdout, "made", c->nat_made);
	json_number(&json_stdout, "unanswered", c->nat_unanswered);
	json_number(&json_stdout, "evicted", c->nat_evicted);
	json_number(&json_stdout, "straight", c->nat_untranslated);
	json_number(&json_stdout, "packets", c->nat_packets);
	json_number(&json_stdout, "refused", c->nat_refused);
	json_number(&json_stdout, "other_ports", c->nat_other_ports);
	json_number(&json_stdout, "errors", c->nat_errors);
	json_number(&json_stdout, "fragments", c->nat_fragments);
	json_number(&json_stdout, "unroutable", c->nat_unroutable);
	json_close(&json_stdout, '}');
}

static void print_json(const struct status *s)
{
	json_open(&json_stdout, '{');
	json_string(&json_stdout, "version", SHUNT_VERSION);
	json_string(&json_stdout, "kernel", s->host.release);
	json_bool(&json_stdout, "loaded", s->conf && s->conf->run.loaded);
	json_bool(&json_stdout, "netns_gone", s->netns_gone);
	json_bool(&json_stdout, "draining", s->conf && s->conf->run.drain_mode);
	json_bool(&json_stdout, "trace", s->conf && s->conf->run.trace);
	json_bypass(s);
	json_steer(s);
	json_open_in(&json_stdout, "monitor", '{');
	json_attached(s, "ifaces", ATTACH_MONITOR_IN);
	json_close(&json_stdout, '}');
	json_nat(s);
	json_close(&json_stdout, '}');
}

/* What is wrong with an attachment, "" if nothing. */
static const char *why_not(const struct status *s, unsigned int i)
{
	if (!s->conf->run.loaded || s->netns_gone || attached(s->attachments, i))
		return "";
	if (attached_away(s->attachments, i))
		return "  NOT ATTACHED: in another network namespace, and shunt's program still on it; "
		       "'shunt run' or 'shunt unload' takes it off";
	if (s->attachments[i].kind == ATTACH_CGROUP && !cgroup_id(s->attachments[i].name))
		return s->supervised
			       ? "  GONE: the supervisor attaches when it is made again"
			       : "  GONE, and no supervisor that attaches when it is made again; start 'shunt run'";
	return "  NOT ATTACHED: it was removed; the same 'shunt load' again attaches it";
}

static void print_attached(const struct status *s)
{
	char note[160];
	unsigned int i;

	if (netns_has_moved())
		printf("  in another network namespace than this command\n");

	for (i = 0; i < SHUNT_ATTACHMENTS; i++) {
		const struct shunt_attachment *a = &s->attachments[i];

		if (a->kind == ATTACH_CGROUP)
			printf("  cgroup %s  %s", printable(a->name), admit_text(a->admit));
		else if (a->kind == ATTACH_IFACE)
			printf("  iface %s  %s", printable(a->name), a->clsact ? "clsact" : "tcx");
		else if (a->kind == ATTACH_MONITOR_IN)
			printf("  monitor %s  %s", printable(a->name),
			       a->clsact ? "clsact" : "tcx");
		else if (a->kind == ATTACH_PATTERN)
			printf("  iface '%s'%s\n", printable(a->name),
			       s->supervised
				       ? ""
				       : "  NO SUPERVISOR: those that come are not attached; start 'shunt run'");
		else if (attachment_is_nat(a))
			printf("  nat %s %s  %s", printable(a->name),
			       a->kind == ATTACH_NAT_IN || a->kind == ATTACH_NAT_RAW_IN ? "in"
											: "out",
			       a->clsact ? "clsact" : "tcx");
		if (a->kind != ATTACH_CGROUP && a->kind != ATTACH_IFACE &&
		    a->kind != ATTACH_MONITOR_IN && !attachment_is_nat(a))
			continue;
		printf("%s%s\n", why_not(s, i),
		       a->kind != ATTACH_IFACE
			       ? ""
			       : printable(port_note(note, sizeof(note), &s->links, a->ifindex)));
	}
}

static void print_lost(const struct status *s)
{
	const char *setting = s->conf->run.loaded && !s->netns_gone ? loopback_lost_setting(s->conf)
								    : NULL;

	if (setting)
		printf("  net.ipv4.conf.lo.%s was set to 0, and IPv4 packets that come in by lo are dropped; "
		       "'shunt run', or the same 'shunt load' again, sets it\n",
		       setting);
}

static void print_preceded(const struct status *s)
{
	if (!s->preceded)
		return;
	printf("  ip rule %u of another program comes before those of shunt, and may take what is "
	       "steered; %s\n",
	       s->preceded_by,
	       s->preceded_by > MARK_RULES_ROOM
		       ? "'shunt run', or the same 'shunt load' again, goes before it"
		       : "no preference is left before it: give it a larger one");
}

static void text_bypass(const struct status *s)
{
	const struct shunt_count *c = &s->count;

	printf("bypass: pairs %zu, active %zu; promoted so far %llu, demoted %llu, "
	       "refused for want of room %llu\n",
	       s->pairs, s->active, ULL(c->promoted), ULL(c->demoted), ULL(c->map_full));
	print_supervisor(s);
	printf("  watched pairs %u of at most %d; taken from idle ones for others %llu, refused to "
	       "busy ones %llu\n",
	       s->conf->run.pair_entries, SHUNT_PAIRS - 1, ULL(s->conf->run.reclaimed),
	       ULL(s->conf->run.no_entry));
	printf("  redirected %llu bytes in %llu messages\n", ULL(c->redirected_bytes),
	       ULL(c->redirected_msgs));
	printf("  passed     %llu bytes in %llu messages\n", ULL(c->passed_bytes),
	       ULL(c->passed_msgs));
	printf("  queued     %llu bytes\n", ULL(s->queued));
}

static void text_steer(const struct status *s)
{
	const struct shunt_count *c = &s->count;

	printf("steering: %u rules, mark 0x%x, table %u\n", s->rules, s->conf->mark,
	       s->conf->table);
	if (s->conf->run.loaded && !s->netns_gone && !route_present(s->conf))
		printf("  NO ROUTE: the rule or the route of that mark was removed, and nothing is "
		       "delivered; the same 'shunt load' again makes it\n");
	print_preceded(s);
	printf("  steered %llu packets, %llu flows, %llu ICMP errors\n", ULL(c->steered_packets),
	       ULL(c->steered_flows), ULL(c->steered_errors));
	printf("  left alone: %llu without a listener (%llu of them: it lacks IP_TRANSPARENT), "
	       "%llu malformed; %llu fragments seen\n",
	       ULL(c->no_listener), ULL(c->not_transparent), ULL(c->malformed), ULL(c->fragments));
	if (c->own_services)
		printf("  left to this host's own services: %llu connections and UDP flows\n",
		       ULL(c->own_services));
	if (c->resets)
		printf("  connections that the router has forgotten: %llu segments for it to reset\n",
		       ULL(c->resets));
	if (c->reuseport)
		printf("  SO_REUSEPORT: before Linux 6.6 a listener that has it gets nothing: %llu packets\n",
		       ULL(c->reuseport));
}

static void text_local(const struct status *s)
{
	const struct shunt_count *c = &s->count;

	if (s->conf->run.local)
		printf("  what this host sends is looked at; first packets that were the router's own: "
		       "%llu\n",
		       ULL(c->routers_own));
	if (c->translated)
		printf("  left alone, as their source was translated before: %llu packets of this host; leave "
		       "the destinations of rules out of SNAT and MASQUERADE\n",
		       ULL(c->translated));
	if (c->loops)
		printf("  LOOPS ENDED: %llu connections of a router, after others had come back to that "
		       "router; 'shunt steer list' shows the rules; tell who the router is by "
		       "--router-cgroup or --router-mark at load\n",
		       ULL(c->loops));
}

static void text_nat(const struct status *s)
{
	const struct shunt_count *c = &s->count;

	printf("nat: %u rules, %llu flows, room for %u\n", s->nat_rules,
	       ULL(c->nat_made - c->nat_ended), s->nat->flows);
	printf("  made %llu flows (%llu by another source port, %llu straight to a target; "
	       "%llu ended without an answer), rewrote %llu packets, %llu ICMP errors\n",
	       ULL(c->nat_made), ULL(c->nat_other_ports), ULL(c->nat_untranslated),
	       ULL(c->nat_unanswered), ULL(c->nat_packets), ULL(c->nat_errors));
	printf("  gave way to new flows %llu; dropped for want of room %llu, of a route %llu; "
	       "left alone %llu fragments that came before their first\n",
	       ULL(c->nat_evicted), ULL(c->nat_refused), ULL(c->nat_unroutable),
	       ULL(c->nat_fragments));
}

static void print_text(const struct status *s)
{
	printf("shunt %s on Linux %s: %s\n", SHUNT_VERSION, s->host.release,
	       !s->conf                  ? "not loaded"
	       : s->conf->run.loaded     ? "loaded"
	       : s->conf->run.drain_mode ? "unloading, sockets still hold bytes"
					 : "half loaded");
	if (!s->conf || !s->attachments)
		return;
	if (s->netns_gone)
		printf("  the network namespace that it was loaded in is gone, or can't be seen from here; "
		       "'shunt unload' removes what is left\n");
	print_attached(s);
	print_ports(s, &s->links);
	print_excludes();
	if (status_has(s, ATTACH_CGROUP))
		text_bypass(s);
	if (status_has(s, ATTACH_IFACE) || status_has(s, ATTACH_PATTERN))
		text_steer(s);
	text_local(s);
	print_lost(s);
	if (s->nat_rules || s->count.nat_made)
		text_nat(s);
	if (s->conf->run.trace)
		printf("trace: on\n");
}

int cmd_status(int argc, char **argv)
{
	_cleanup_lock_ int lock = -1;
	_cleanup_(status_free) struct status s = {};
	int error;

	if (argc == 2 && !strcmp(argv[1], "help")) {
		printf("usage: shunt status\n\n"
		       "What is attached where, the rules in force, pairs and counters. The counters begin\n"
		       "at load.\n");
		return 0;
	}
	if (argc > 1)
		return refuse("status: unknown word '%s'", argv[1]);
	error = status_read(&s, &lock);
	if (error)
		return error;
	if (opt.json)
		print_json(&s);
	else
		print_text(&s);
	return 0;
}
