// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/metrics_rules.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "bypass/pairs.h"
#include "cmd/metrics_table.h"
#include "cmd/metrics_text.h"
#include "cmd/steer.h"
#include "rules/rule.h"
#include "rules/rule_store.h"
#include "util/cleanup.h"

/* Where the value of a metric is. */
static const struct {
	enum metric_id id;
	size_t at;
} counters[] = {
	{ METRIC_RULE_PACKETS, offsetof(struct rule_counts, packets) },
	{ METRIC_RULE_BYTES, offsetof(struct rule_counts, bytes) },
	{ METRIC_RULE_FLOWS, offsetof(struct rule_counts, flows) },
	{ METRIC_RULE_MISSES, offsetof(struct rule_counts, misses) },
};

static void begin(enum metric_id id)
{
	metric_begin(metrics[id].name, metrics[id].type, metrics[id].help);
}

/* "127.0.0.1:9999"; empty for a pass rule */
static const char *listener_text(const struct shunt_rule *r, char text[ENDPOINT_TEXT])
{
	*text = '\0';
	return r->action == SHUNT_STEER ? endpoint_text(text, r->family, r->to, r->to_port) : text;
}

static void print_rule(const struct shunt_rule *r, size_t at)
{
	char text[RULE_TEXT], listener[ENDPOINT_TEXT], service[SHUNT_SERVICE + 1] = "";
	struct rule_counts counts;
	__u64 value;

	rule_format(r, text, sizeof(text));
	memcpy(service, r->service, SHUNT_SERVICE);
	rules_counts(r, &counts);
	memcpy(&value, (const char *)&counts + at, sizeof(value));
	metric_label("rule", text);
	metric_label("listener", listener_text(r, listener));
	metric_label("service", service);
	metric_value(value);
}

static bool same_listener(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return b->action == SHUNT_STEER && a->proto == b->proto && a->family == b->family &&
	       a->to_port == b->to_port && !memcmp(a->to, b->to, sizeof(a->to));
}

/* The number of rules that steer to the listener of rule i; 0 if an earlier rule does, too, or if the rule
 * steers nowhere. */
static __u64 count_rules(const struct shunt_rule **all, __u32 count, __u32 i)
{
	__u64 rules = 0;
	__u32 j;

	for (j = 0; j < count && all[i]->action == SHUNT_STEER; j++) {
		if (!same_listener(all[i], all[j]))
			continue;
		if (j < i)
			return 0;
		rules++;
	}
	return rules;
}

static void print_listeners(enum metric_id id, const struct shunt_rule **all, __u32 count)
{
	char listener[ENDPOINT_TEXT];
	__u32 i;

	begin(id);
	for (i = 0; i < count; i++) {
		__u64 value = count_rules(all, count, i);
		int answer = LISTENER_THERE;

		if (!value)
			continue;
		if (id == METRIC_LISTENER_PRESENT) {
			answer = rule_listens(all[i]);
			value = answer == LISTENER_THERE;
		}
		if (answer < 0)
			continue;
		metric_label("protocol", all[i]->proto == IPPROTO_TCP ? "tcp" : "udp");
		metric_label("listener", listener_text(all[i], listener));
		metric_value(value);
	}
}

int metrics_print_rules(void)
{
	_cleanup_free_ const struct shunt_rule **all = NULL;
	__u32 count = 0, shown, r;
	size_t i;
	int error = rules_sorted(&all, &count);

	if (error)
		return error;
	shown = count < METRICS_RULES ? count : METRICS_RULES;
	for (i = 0; i < sizeof(counters) / sizeof(*counters); i++) {
		begin(counters[i].id);
		for (r = 0; r < shown; r++)
			print_rule(all[r], counters[i].at);
	}
	begin(METRIC_RULES_LEFT_OUT);
	metric_value(count - shown);
	print_listeners(METRIC_LISTENER_PRESENT, all, shown);
	print_listeners(METRIC_LISTENER_RULES, all, shown);
	return 0;
}
