// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/metrics_table.h"

#include <stdio.h>

#include "bypass/pairs.h"
#include "cmd/metrics_text.h"

#define RULE_LABELS "rule, listener, service"
#define LISTENER_LABELS "protocol, listener"

const struct metric metrics[METRICS] = {
	[METRIC_INFO] = { "info", NUMBER_FLAG, "version, kernel",
			  "The version of shunt and of the kernel." },
	[METRIC_BUILD_INFO] = { "build_info", NUMBER_FLAG, "version, abi, libbpf, compiler",
				"How this program was built; abi is the version of the pinned maps." },
	[METRIC_LOADED] = { "loaded", NUMBER_FLAG, NULL, "Whether shunt is loaded." },
	[METRIC_HALF_LOADED] = { "half_loaded", NUMBER_FLAG, "half",
				 "Whether this half of shunt is loaded." },
	[METRIC_DRAINING] = { "draining", NUMBER_FLAG, NULL,
			      "Whether an unload waits for readers." },
	[METRIC_LINGERING_BYPASSES] = { "lingering_bypasses", NUMBER_GAUGE, NULL,
					"Bypasses that were unloaded while readers held bytes." },
	[METRIC_LINGERING_BYTES] = { "lingering_bytes", NUMBER_GAUGE, NULL,
				     "Bytes of such bypasses that were not read yet." },
	[METRIC_SUPERVISOR_RUNNING] = { "supervisor_running", NUMBER_FLAG, NULL,
					"Whether the supervisor runs and gives heartbeats." },
	[METRIC_HEARTBEAT_AGE] = { "supervisor_heartbeat_age_seconds", NUMBER_GAUGE, NULL,
				   "Time since the last heartbeat; missing if the supervisor ended." },
	[METRIC_ATTACHED] = { "attached", NUMBER_FLAG, "kind, name",
			      "Whether the program is still attached where load attached it." },
	[METRIC_PAIR_STATES] = { "bypass_state_pairs", NUMBER_GAUGE, "state",
				 "Pairs of sockets in this state." },
	[METRIC_PAIR_REASONS] = { "bypass_reason_pairs", NUMBER_GAUGE, "reason",
				  "Pairs of sockets that are not bypassed for this reason." },
	[METRIC_ROUTE_PRESENT] = { "steer_route_present", NUMBER_FLAG, NULL,
				   "Whether the routing rules and the route of steering are there." },
	[METRIC_ROUTE_PRECEDED] = { "steer_route_preceded", NUMBER_FLAG, NULL,
				    "Whether another program has a routing rule before those." },
	[METRIC_RULE_PACKETS] = { "steer_rule_packets", NUMBER_COUNTER, RULE_LABELS,
				  "Packets that the rule applied to." },
	[METRIC_RULE_BYTES] = { "steer_rule_bytes", NUMBER_COUNTER, RULE_LABELS,
				"Bytes of those packets." },
	[METRIC_RULE_FLOWS] = { "steer_rule_flows", NUMBER_COUNTER, RULE_LABELS,
				"Flows that the rule applied to." },
	[METRIC_RULE_MISSES] = { "steer_rule_misses", NUMBER_COUNTER, RULE_LABELS,
				 "Packets left alone because the rule had no listener." },
	[METRIC_RULES_LEFT_OUT] = { "steer_rules_left_out", NUMBER_GAUGE, NULL,
				    "Rules without series of their own, as there are too many." },
	[METRIC_LISTENER_PRESENT] = { "steer_listener_present", NUMBER_FLAG, LISTENER_LABELS,
				      "Whether a transparent socket listens there." },
	[METRIC_LISTENER_RULES] = { "steer_listener_rules", NUMBER_GAUGE, LISTENER_LABELS,
				    "Rules that steer there." },
};

/* --- the reference ------------------------------------------------------------------ */

static void print_title(const char *title)
{
	printf("\n### %s\n\n| metric | type | labels | |\n| --- | --- | --- | --- |\n", title);
}

static void print_row(const char *name, enum number_type type, const char *labels, const char *help)
{
	char full[METRIC_NAME];

	metric_full_name(full, name, type);
	printf("| `%s` | %s | %s | %s |\n", full, metric_type_text(type), labels ? labels : "",
	       help);
}

static void print_metrics(const char *title, int first, int end)
{
	int i;

	print_title(title);
	for (i = first; i < end; i++)
		print_row(metrics[i].name, metrics[i].type, metrics[i].labels, metrics[i].help);
}

static void print_numbers(const char *title, enum half half)
{
	const struct status_number *n;
	char name[METRIC_NAME];

	print_title(title);
	for (n = status_numbers; n->name; n++) {
		if (n->half != half)
			continue;
		snprintf(name, sizeof(name), "%s_%s", status_half_name(half), n->name);
		print_row(name, n->type, NULL, n->help);
	}
}

static void print_reasons(void)
{
	int i;

	printf("\n### Reasons\n\n| `reason` | |\n| --- | --- |\n");
	for (i = 0; i < WHY_COUNT; i++)
		if (i != WHY_REDIRECTED)
			printf("| `%s` | %s |\n", why_name(i), why_text(i));
}

void metrics_print_reference(void)
{
	print_metrics("Of shunt as a whole", 0, METRIC_PAIR_STATES);
	print_numbers("The bypass", HALF_BYPASS);
	print_metrics("The bypass, with labels", METRIC_PAIR_STATES, METRIC_ROUTE_PRESENT);
	print_reasons();
	print_numbers("Steering", HALF_STEER);
	print_metrics("The routing rules of steering", METRIC_ROUTE_PRESENT, METRIC_BY_RULE);
	print_metrics("With `--rules`", METRIC_BY_RULE, METRICS);
	print_numbers("NAT", HALF_NAT);
}
