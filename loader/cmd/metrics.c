// SPDX-License-Identifier: GPL-2.0-only
/* shunt metrics: the numbers of 'shunt status' for Prometheus. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "attach/attach.h"
#include "attach/policy_route.h"
#include "bpf/pins.h"
#include "cmd/command.h"
#include "cmd/metrics_rules.h"
#include "cmd/metrics_table.h"
#include "cmd/metrics_text.h"
#include "cmd/status.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/options.h"

static void begin(enum metric_id id)
{
	metric_begin(metrics[id].name, metrics[id].type, metrics[id].help);
}

static void single(enum metric_id id, __u64 value)
{
	begin(id);
	metric_value(value);
}

/* Prints the numbers of a half by their names, and also by their old names. */
static void print_numbers(const struct status *s, enum half half)
{
	char name[METRIC_NAME], full[METRIC_NAME], help[METRIC_NAME + 32];
	const struct status_number *n;

	for (n = status_numbers; n->name; n++) {
		__u64 value = status_number_value(&s->numbers, n);

		if (n->half != half)
			continue;
		snprintf(name, sizeof(name), "%s_%s", status_half_name(half), n->name);
		metric_begin(name, n->type, n->help);
		metric_value(value);
		if (!n->old_name)
			continue;
		metric_full_name(full, name, n->type);
		snprintf(help, sizeof(help), "The old name of %s.", full);
		snprintf(name, sizeof(name), "%s_%s", status_half_name(half), n->old_name);
		metric_begin(name, n->type, help);
		metric_value(value);
	}
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

	begin(METRIC_ATTACHED);
	for (i = 0; i < SHUNT_ATTACHMENTS; i++) {
		const char *kind = kind_text(s->attachments[i].kind);

		if (!kind)
			continue;
		metric_label("kind", kind);
		metric_label("name", s->attachments[i].name);
		metric_value(is_attached(s->attachments, i));
	}
}

static void print_info(const struct status *s)
{
	char abi[16];

	snprintf(abi, sizeof(abi), "%d", SHUNT_ABI);
	begin(METRIC_INFO);
	metric_label("version", SHUNT_VERSION);
	metric_label("kernel", s->host.release);
	metric_value(1);
	begin(METRIC_BUILD_INFO);
	metric_label("version", SHUNT_VERSION);
	metric_label("abi", abi);
	metric_label("libbpf", libbpf_version_string());
	metric_label("compiler", __VERSION__);
	metric_value(1);
}

static void print_supervisor(const struct status *s)
{
	__u64 beat_ns = s->conf->run.beat_ns, now = monotonic_ns();

	single(METRIC_SUPERVISOR_RUNNING, s->supervised);
	begin(METRIC_HEARTBEAT_AGE);
	if (beat_ns)
		metric_seconds(now > beat_ns ? now - beat_ns : 0);
}

static void print_pairs(const struct status *s)
{
	int i;

	begin(METRIC_PAIR_STATES);
	for (i = 0; i < PAIR_STATES; i++) {
		metric_label("state", pair_state_name(i));
		metric_value(s->pair_states[i]);
	}
	begin(METRIC_PAIR_REASONS);
	for (i = 0; i < WHY_COUNT; i++) {
		if (i == WHY_REDIRECTED)
			continue;
		metric_label("reason", why_name(i));
		metric_value(s->pair_reasons[i]);
	}
}

static void print_loaded(const struct status *s)
{
	int half;

	begin(METRIC_HALF_LOADED);
	for (half = 0; half < HALVES; half++) {
		metric_label("half", half_name(half));
		metric_value(s->half[half]);
	}
	single(METRIC_DRAINING, s->lingering > 0);
	single(METRIC_LINGERING_BYPASSES, s->lingering);
	single(METRIC_LINGERING_BYTES, s->lingering_bytes);
	print_supervisor(s);
	print_attached(s);
}

static int print_steering(const struct status *s, bool rules)
{
	print_numbers(s, HALF_STEER);
	if (!s->netns_gone && s->half[HALF_STEER]) {
		single(METRIC_ROUTE_PRESENT, !s->conf->mark || route_is_present(s->conf));
		single(METRIC_ROUTE_PRECEDED, s->preceded);
	}
	return rules ? metrics_print_rules() : 0;
}

static int print_all(const struct status *s, bool rules)
{
	int error = 0;

	print_info(s);
	single(METRIC_LOADED, s->conf && s->conf->run.loaded);
	if (!s->conf || !s->attachments)
		return 0;
	print_loaded(s);
	if (s->half[HALF_BYPASS] || status_has(s, ATTACH_CGROUP)) {
		print_numbers(s, HALF_BYPASS);
		print_pairs(s);
	}
	if (status_has_steering(s))
		error = print_steering(s, rules);
	if (s->numbers.nat_rules || s->numbers.count.nat_made || status_has(s, ATTACH_NAT_OUT) ||
	    status_has(s, ATTACH_NAT_RAW_OUT))
		print_numbers(s, HALF_NAT);
	return error;
}

static void print_usage(void)
{
	printf("usage: shunt metrics [--openmetrics] [--rules]\n"
	       "       shunt metrics --reference\n\n"
	       "Prints the numbers of 'shunt status' in Prometheus' text format, for a file that\n"
	       "node_exporter's textfile collector reads. 'shunt run' can serve the same by HTTP. A\n"
	       "half that is not loaded is left out. The counters begin at load.\n\n"
	       "  --openmetrics  the format OpenMetrics 1.0.0 instead\n"
	       "  --rules        also series for each steering rule, at most %d, and each listener\n"
	       "  --reference    no numbers, but what each metric means, as Markdown\n",
	       METRICS_RULES);
}

/* Returns 0, 1 if the reference was asked for, or -errno after reporting it. */
static int parse(int argc, char **argv, bool *ret_rules)
{
	int i;

	if (argc == 2 && !strcmp(argv[1], "--reference"))
		return 1;
	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--openmetrics"))
			metric_set_openmetrics();
		else if (!strcmp(argv[i], "--rules"))
			*ret_rules = true;
		else if (!strcmp(argv[i], "--reference"))
			return refuse("metrics: '--reference' stands alone");
		else
			return refuse("metrics: unknown word '%s'", argv[i]);
	}
	if (opt.json)
		return refuse("metrics: -j: it is Prometheus' text format; 'shunt -j status' has "
			      "the same");
	return 0;
}

int cmd_metrics(int argc, char **argv)
{
	_cleanup_lock_ int lock = -1;
	_cleanup_(status_free) struct status s = {};
	bool rules = false;
	int error;

	if (argc == 2 && !strcmp(argv[1], "help")) {
		print_usage();
		return 0;
	}
	error = parse(argc, argv, &rules);
	if (error < 0)
		return error;
	if (error) {
		metrics_print_reference();
		return 0;
	}
	error = status_read(&s, &lock);
	if (error)
		return error;
	error = print_all(&s, rules);
	if (error)
		return error;
	metric_end();
	return 0;
}
