// SPDX-License-Identifier: GPL-2.0-only
/* shunt metrics: the numbers of 'shunt status' in Prometheus' text format. */
#include <stdio.h>
#include <string.h>

#include "attach/attach.h"
#include "bpf/pins.h"
#include "cmd/command.h"
#include "cmd/status.h"
#include "util/log.h"
#include "util/options.h"
#include "util/text.h"

static void head(const char *name, const char *type, const char *help)
{
	printf("# HELP shunt_%s %s\n# TYPE shunt_%s %s\n", name, help, name, type);
}

static void gauge(const char *name, __u64 value, const char *help)
{
	head(name, "gauge", help);
	printf("shunt_%s %llu\n", name, value);
}

#define NAME_SIZE 64

static void number(const char *name, const struct status_number *n, const char *help, __u64 value)
{
	head(name, n->type == NUMBER_COUNTER ? "counter" : "gauge", help);
	printf("shunt_%s %llu\n", name, value);
}

/* The name of a metric without "shunt_". */
static void metric_name(const struct status_number *n, const char *number_name,
			char name[NAME_SIZE])
{
	snprintf(name, NAME_SIZE, "%s_%s%s", status_half_name(n->half), number_name,
		 n->type == NUMBER_COUNTER ? "_total" : "");
}

/* Prints the numbers of a half by their names, and also by their old names. */
static void print_numbers(const struct status *s, enum half half)
{
	char name[NAME_SIZE], old_name[NAME_SIZE], help[NAME_SIZE + 32];
	const struct status_number *n;

	for (n = status_numbers; n->name; n++) {
		__u64 value = status_number_value(&s->numbers, n);

		if (n->half != half)
			continue;
		metric_name(n, n->name, name);
		number(name, n, n->help, value);
		if (!n->old_name)
			continue;
		metric_name(n, n->old_name, old_name);
		snprintf(help, sizeof(help), "The old name of shunt_%s.", name);
		number(old_name, n, help, value);
	}
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

	head("attached", "gauge", "Whether the program is still attached where load attached it.");
	for (i = 0; i < SHUNT_ATTACHMENTS; i++) {
		const char *kind = kind_text(s->attachments[i].kind);

		if (!kind)
			continue;
		fputs("shunt_attached{", stdout);
		label("kind", kind);
		putchar(',');
		label("name", s->attachments[i].name);
		printf("} %d\n", is_attached(s->attachments, i));
	}
}

static void print_all(const struct status *s)
{
	head("info", "gauge", "The version of shunt and of the kernel.");
	fputs("shunt_info{", stdout);
	label("version", SHUNT_VERSION);
	putchar(',');
	label("kernel", s->host.release);
	puts("} 1");
	gauge("loaded", s->conf && s->conf->run.loaded, "Whether shunt is loaded.");
	if (!s->conf || !s->attachments)
		return;
	gauge("draining", s->lingering, "Whether an unload waits for readers.");
	print_attached(s);
	if (s->half[HALF_BYPASS] || status_has(s, ATTACH_CGROUP))
		print_numbers(s, HALF_BYPASS);
	if (status_has_steering(s))
		print_numbers(s, HALF_STEER);
	if (s->numbers.nat_rules || s->numbers.count.nat_made || status_has(s, ATTACH_NAT_OUT) ||
	    status_has(s, ATTACH_NAT_RAW_OUT))
		print_numbers(s, HALF_NAT);
}

int cmd_metrics(int argc, char **argv)
{
	_cleanup_lock_ int lock = -1;
	_cleanup_(status_free) struct status s = {};
	int error;

	if (argc == 2 && !strcmp(argv[1], "help")) {
		printf("usage: shunt metrics\n\n"
		       "Prints the numbers of 'shunt status' in Prometheus' text format, for a file that\n"
		       "node_exporter's textfile collector reads, or any other way to serve them. A half\n"
		       "that is not loaded is left out. The counters begin at load.\n");
		return 0;
	}
	if (argc > 1)
		return refuse("metrics: unknown word '%s'", argv[1]);
	if (opt.json)
		return refuse(
			"metrics: -j: it is Prometheus' text format; 'shunt -j status' has the same");
	error = status_read(&s, &lock);
	if (error)
		return error;
	print_all(&s);
	return 0;
}
