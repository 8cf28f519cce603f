// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/metrics_text.h"

#include <stdio.h>

#include "util/clock.h"
#include "util/text.h"

static bool openmetrics;
static char begun[METRIC_NAME]; /* the whole name of the metric that was begun */
static bool has_labels;         /* the sample that is being written */

void metric_set_openmetrics(void)
{
	openmetrics = true;
}

void metric_full_name(char full[METRIC_NAME], const char *name, enum number_type type)
{
	snprintf(full, METRIC_NAME, "shunt_%s%s", name, type == NUMBER_COUNTER ? "_total" : "");
}

const char *metric_type_text(enum number_type type)
{
	return type == NUMBER_COUNTER ? "counter" : "gauge";
}

/* In OpenMetrics the metric of a counter lacks the "_total" that its samples have. */
void metric_begin(const char *name, enum number_type type, const char *help)
{
	char family[METRIC_NAME];

	metric_full_name(begun, name, type);
	metric_full_name(family, name, openmetrics ? NUMBER_GAUGE : type);
	printf("# HELP %s %s\n# TYPE %s %s\n", family, help, family, metric_type_text(type));
}

static void write_escaped(const char *value)
{
	size_t length;

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
}

void metric_label(const char *label, const char *value)
{
	if (has_labels)
		printf(",%s=\"", label);
	else
		printf("%s{%s=\"", begun, label);
	write_escaped(value);
	putchar('"');
	has_labels = true;
}

/* Writes what stands before the value. */
static void end_labels(void)
{
	if (has_labels)
		fputs("} ", stdout);
	else
		printf("%s ", begun);
	has_labels = false;
}

void metric_value(__u64 value)
{
	end_labels();
	printf("%llu\n", value);
}

void metric_seconds(__u64 ns)
{
	end_labels();
	printf("%llu.%03llu\n", ns / NS_PER_SEC, ns % NS_PER_SEC / NS_PER_MS);
}

void metric_end(void)
{
	if (openmetrics)
		puts("# EOF");
}
