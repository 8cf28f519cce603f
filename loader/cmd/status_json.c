// SPDX-License-Identifier: GPL-2.0-only
/* The JSON of 'shunt status'. */
#include "cmd/status.h"

#include "attach/attach.h"
#include "attach/cgroup.h"
#include "attach/policy_route.h"
#include "bpf/pins.h"
#include "cmd/command.h"
#include "cmd/status_ports.h"
#include "config/excludes.h"
#include "util/json.h"
#include "util/options.h"

static const char *via(const struct shunt_attachment *a)
{
	return a->clsact ? "clsact" : "tcx";
}

static void json_cgroups(const struct status *s)
{
	unsigned int i;

	json_open_in(&json_stdout, "cgroups", '[');
	for (i = 0; s->attachments && i < SHUNT_ATTACHMENTS; i++) {
		const struct shunt_attachment *a = &s->attachments[i];
		bool removed;

		if (a->kind != ATTACH_CGROUP)
			continue;
		removed = !cgroup_id(a->name);
		json_open(&json_stdout, '{');
		json_string(&json_stdout, "path", a->name);
		json_string(&json_stdout, "admit", status_admit_text(a->admit));
		json_bool(&json_stdout, "attached", is_attached(s->attachments, i));
		json_bool(&json_stdout, "removed", removed);
		json_bool(&json_stdout, "gone", removed); /* the old name */
		json_close(&json_stdout, '}');
	}
	json_close(&json_stdout, ']');
}

static bool is_nat_out(enum attachment_kind kind)
{
	return kind == ATTACH_NAT_OUT || kind == ATTACH_NAT_RAW_OUT;
}

/* The interfaces with an attachment of this kind. NAT and the monitor have two attachments at
 * an interface: the kind is one of them. */
static void json_ifaces(const struct status *s, enum attachment_kind kind)
{
	unsigned int i;

	json_open_in(&json_stdout, "ifaces", '[');
	for (i = 0; s->attachments && i < SHUNT_ATTACHMENTS; i++) {
		const struct shunt_attachment *a = &s->attachments[i];

		if (a->kind != kind && !(is_nat_out(kind) && is_nat_out(a->kind)))
			continue;
		json_open(&json_stdout, '{');
		json_string(&json_stdout, "name", a->name);
		json_string(&json_stdout, "via", via(a));
		json_bool(&json_stdout, "attached", is_attached(s->attachments, i));
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

static void json_excludes(const struct status *s)
{
	const struct shunt_exclude *x = pin_mmap(HALF_BYPASS, "shunt_exclude", NULL);
	char text[128];
	__u32 i;

	json_open_in(&json_stdout, "excludes", '[');
	for (i = 0; x && i < s->conf->excludes; i++) {
		exclude_text(&x[i], text, sizeof(text));
		json_string(&json_stdout, NULL, text);
	}
	json_close(&json_stdout, ']');
}

static const char *supervisor_text(const struct status *s)
{
	return s->supervised ? "running" : s->stalled ? "no heartbeat" : "none";
}

static void json_number_as(const char *name, const struct status_number *n, __u64 value)
{
	if (n->type == NUMBER_FLAG)
		json_bool(&json_stdout, name, value);
	else
		json_number(&json_stdout, name, value);
}

/* Prints the numbers of a half by their names, and also by their old names. */
static void json_numbers(const struct status *s, enum half half)
{
	const struct status_number *n;
	__u64 value;

	for (n = status_numbers; n->name; n++) {
		if (n->half != half)
			continue;
		value = status_number_value(&s->numbers, n);
		json_number_as(n->name, n, value);
		if (n->old_name)
			json_number_as(n->old_name, n, value);
	}
}

static void json_pairs(const struct status *s)
{
	int i;

	json_open_in(&json_stdout, "pair_states", '{');
	for (i = 0; i < PAIR_STATES; i++)
		json_number(&json_stdout, pair_state_name(i), s->pair_states[i]);
	json_close(&json_stdout, '}');
	json_open_in(&json_stdout, "pair_reasons", '{');
	for (i = 0; i < WHY_COUNT; i++)
		if (s->pair_reasons[i])
			json_number(&json_stdout, why_name(i), s->pair_reasons[i]);
	json_close(&json_stdout, '}');
}

static void json_bypass(const struct status *s)
{
	json_open_in(&json_stdout, "bypass", '{');
	json_cgroups(s);
	json_string(&json_stdout, "supervisor", supervisor_text(s));
	json_numbers(s, HALF_BYPASS);
	json_number(&json_stdout, "active", s->numbers.active_pairs); /* the old name */
	json_pairs(s);
	json_excludes(s);
	json_close(&json_stdout, '}');
}

static void json_steer(const struct status *s)
{
	const bool route = s->conf && s->conf->mark && !s->netns_gone && route_is_present(s->conf);

	json_open_in(&json_stdout, "steer", '{');
	json_ifaces(s, ATTACH_IFACE);
	json_patterns(s);
	json_ports(s, &s->links);
	json_number(&json_stdout, "mark", s->conf ? s->conf->mark : 0);
	json_number(&json_stdout, "table", s->conf ? s->conf->table : 0);
	json_bool(&json_stdout, "route_present", route);
	json_bool(&json_stdout, "routed", route); /* the old name */
	if (s->preceded)
		json_number(&json_stdout, "preceded_by", s->preceded_by);
	json_numbers(s, HALF_STEER);
	json_close(&json_stdout, '}');
}

static void json_nat(const struct status *s)
{
	json_open_in(&json_stdout, "nat", '{');
	json_ifaces(s, ATTACH_NAT_OUT);
	json_numbers(s, HALF_NAT);
	json_close(&json_stdout, '}');
}

void status_print_json(const struct status *s)
{
	int half;

	json_open(&json_stdout, '{');
	json_string(&json_stdout, "version", SHUNT_VERSION);
	json_string(&json_stdout, "kernel", s->host.release);
	json_bool(&json_stdout, "loaded", s->conf && s->conf->run.loaded);
	json_open_in(&json_stdout, "halves", '[');
	for (half = 0; half < HALVES; half++)
		if (s->half[half])
			json_string(&json_stdout, NULL, half_name(half));
	json_close(&json_stdout, ']');
	json_bool(&json_stdout, "netns_gone", s->netns_gone);
	json_bool(&json_stdout, "draining", s->lingering);
	json_number(&json_stdout, "lingering_bypasses", s->lingering);
	json_number(&json_stdout, "lingering_bytes", s->lingering_bytes);
	json_bool(&json_stdout, "trace", s->conf && s->conf->run.trace);
	json_bypass(s);
	json_steer(s);
	json_open_in(&json_stdout, "monitor", '{');
	json_ifaces(s, ATTACH_MONITOR_IN);
	json_close(&json_stdout, '}');
	json_nat(s);
	json_close(&json_stdout, '}');
}
