// SPDX-License-Identifier: GPL-2.0-only
/* shunt metrics: what status knows, in Prometheus' text format. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach/attach.h"
#include "bpf/pins.h"
#include "cmd/command.h"
#include "cmd/status.h"
#include "util/log.h"
#include "util/options.h"
#include "util/text.h"

/* The name of a counter ends in _total, that of a gauge does not. */
static void head(const char *name, const char *help)
{
	const char *end = strrchr(name, '_');

	printf("# HELP shunt_%s %s\n# TYPE shunt_%s %s\n", name, help, name,
	       end && !strcmp(end, "_total") ? "counter" : "gauge");
}

static void metric(const char *name, __u64 value, const char *help)
{
	head(name, help);
	printf("shunt_%s %llu\n", name, (unsigned long long)value);
}

static void label(const char *name, const char *value)
{
	size_t length;

	printf("%s=\"", name);
	for (; *value; value += length) {
		length = utf8_length(value);
		if (!length) {
			fputs("\xef\xbf\xbd", stdout); /* U+FFFD: Prometheus takes UTF-8 only */
			length = 1;
		} else if (*value == '\n')
			fputs("\\n", stdout);
		else if (*value == '"' || *value == '\\')
			printf("\\%c", *value);
		else
			fwrite(value, 1, length, stdout);
	}
	putchar('"');
}

static const char *kind_text(unsigned int kind)
{
	switch (kind) {
	case ATTACH_CGROUP:
		return "cgroup";
	case ATTACH_IFACE:
		return "iface";
	case ATTACH_MONITOR_IN:
		return "monitor";
	case ATTACH_NAT_OUT:
	case ATTACH_NAT_RAW_OUT:
		return "nat";
	default:
		return NULL; /* the other half of one of these */
	}
}

static void print_attached(const struct status *s)
{
	unsigned int i;

	head("attached", "Is the program still attached where load put it?");
	for (i = 0; i < SHUNT_ATTACHMENTS; i++) {
		const char *kind = kind_text(s->attachments[i].kind);

		if (!kind)
			continue;
		fputs("shunt_attached{", stdout);
		label("kind", kind);
		putchar(',');
		label("name", s->attachments[i].name);
		printf("} %d\n", attached(s->attachments, i));
	}
}

static void print_bypass(const struct status *s)
{
	const struct shunt_count *c = &s->count;

	metric("bypass_pairs", s->pairs, "Pairs of sockets, both on this host.");
	metric("bypass_active_pairs", s->active, "Pairs on the fast path.");
	metric("bypass_supervised", s->supervised, "Does the supervisor run?");
	metric("bypass_redirected_bytes_total", c->redirected_bytes, "Bytes on the fast path.");
	metric("bypass_redirected_messages_total", c->redirected_msgs,
	       "Messages on the fast path.");
	metric("bypass_passed_bytes_total", c->passed_bytes, "Bytes that members sent by TCP.");
	metric("bypass_passed_messages_total", c->passed_msgs,
	       "Messages that members sent by TCP.");
	metric("bypass_promoted_total", c->promoted, "Pairs that entered the fast path.");
	metric("bypass_demoted_total", c->demoted, "Pairs that left the fast path alive.");
	metric("bypass_map_full_total", c->map_full, "Pairs left to TCP for want of room.");
	metric("bypass_entries", s->conf->run.pair_entries,
	       "Pairs that are or were watched: entries in use.");
	metric("bypass_max_entries", SHUNT_PAIRS - 1, "Room for such pairs.");
	metric("bypass_reclaimed_total", s->conf->run.reclaimed,
	       "Entries taken from idle pairs for others.");
	metric("bypass_no_entry_total", s->conf->run.no_entry,
	       "Times that a busy pair found no entry.");
	metric("bypass_queued_bytes", s->queued, "Bytes on the fast path that wait to be read.");
	metric("bypass_max_bytes", s->conf->max_bytes,
	       "Bound of the bytes queued in one direction.");
	metric("bypass_max_messages", s->conf->max_msgs, "The same for messages.");
	metric("bypass_host_bytes", s->conf->max_pages * getpagesize(),
	       "TCP memory in use above which nothing is redirected.");
}

static void print_steer(const struct status *s)
{
	const struct shunt_count *c = &s->count;

	metric("steer_rules", s->rules, "Rules in force.");
	metric("steer_steered_packets_total", c->steered_packets, "Packets given to a listener.");
	metric("steer_steered_flows_total", c->steered_flows, "Flows given to a listener.");
	metric("steer_steered_errors_total", c->steered_errors,
	       "ICMP errors about what a router has sent, given to its socket.");
	metric("steer_no_listener_total", c->no_listener, "Packets whose rule has no listener.");
	metric("steer_not_transparent_total", c->not_transparent,
	       "Of those, packets whose listener lacks IP_TRANSPARENT.");
	metric("steer_reuseport_total", c->reuseport,
	       "Of those, packets whose listener shares its port by SO_REUSEPORT.");
	metric("steer_own_services_total", c->own_services,
	       "Connections and UDP flows left to this host's own services.");
	metric("steer_resets_total", c->resets,
	       "TCP segments of connections that the router has forgotten, for it to reset.");
	metric("steer_fragments_total", c->fragments, "Fragments seen, steered or not.");
	metric("steer_malformed_total", c->malformed, "Malformed packets, left alone.");
	metric("steer_local", s->conf->run.local, "Is what this host sends steered, too?");
	metric("steer_routers_own_total", c->routers_own,
	       "Packets of the router itself, left alone.");
	metric("steer_loops_total", c->loops,
	       "Of those, connections that were left alone after others had come back to the router.");
	metric("steer_translated_total", c->translated,
	       "Packets of this host left alone, as their source was translated before.");
}

static void print_nat(const struct status *s)
{
	const struct shunt_count *c = &s->count;

	metric("nat_rules", s->nat_rules, "NAT rules in force.");
	metric("nat_flows", c->nat_made - c->nat_ended, "Flows that are alive.");
	metric("nat_max_flows", s->nat->flows, "Room for flows.");
	metric("nat_made_total", c->nat_made, "Flows that began.");
	metric("nat_unanswered_total", c->nat_unanswered, "Flows that ended without an answer.");
	metric("nat_evicted_total", c->nat_evicted, "Flows that gave way to new ones.");
	metric("nat_straight_total", c->nat_untranslated,
	       "Of those made, flows that go straight to a rule's target.");
	metric("nat_other_ports_total", c->nat_other_ports,
	       "Of those made, flows that got another source port.");
	metric("nat_packets_total", c->nat_packets, "Packets rewritten, both ways.");
	metric("nat_errors_total", c->nat_errors, "ICMP errors rewritten.");
	metric("nat_refused_total", c->nat_refused,
	       "Packets of new flows that were dropped for want of room.");
	metric("nat_unroutable_total", c->nat_unroutable,
	       "Packets dropped for want of a route to the target.");
	metric("nat_fragments_total", c->nat_fragments,
	       "Fragments of flows left alone, as they came before the first one.");
}

static void print_all(const struct status *s)
{
	head("info", "The version of shunt and of the kernel.");
	fputs("shunt_info{", stdout);
	label("version", SHUNT_VERSION);
	putchar(',');
	label("kernel", s->host.release);
	puts("} 1");
	metric("loaded", s->conf && s->conf->run.loaded, "Is shunt loaded?");
	if (!s->conf || !s->attachments)
		return;
	metric("draining", s->conf->run.drain_mode, "Does an unload wait for readers?");
	print_attached(s);
	if (status_has(s, ATTACH_CGROUP))
		print_bypass(s);
	if (status_has(s, ATTACH_IFACE) || status_has(s, ATTACH_PATTERN))
		print_steer(s);
	if (s->nat_rules || s->count.nat_made || status_has(s, ATTACH_NAT_OUT) ||
	    status_has(s, ATTACH_NAT_RAW_OUT))
		print_nat(s);
}

int cmd_metrics(int argc, char **argv)
{
	_cleanup_lock_ int lock = -1;
	_cleanup_(status_free) struct status s = {};
	int error;

	if (argc == 2 && !strcmp(argv[1], "help")) {
		printf("usage: shunt metrics\n\n"
		       "What 'shunt status' knows, in Prometheus' text format: for a file that\n"
		       "node_exporter's textfile collector reads, or any other way to serve it. Only the\n"
		       "halves that are loaded are told of. The counters begin at load.\n");
		return 0;
	}
	if (argc > 1)
		return refuse("metrics: unknown word '%s'", argv[1]);
	if (opt.json)
		return refuse(
			"metrics: -j: it is Prometheus' text format; 'shunt -j status' has the same");
	error = status_read(&s, &lock);
	if (!error)
		print_all(&s);
	return error;
}
