// SPDX-License-Identifier: GPL-2.0-only
/* The output of 'shunt monitor': a screen, a table, or JSON. */
#include "cmd/monitor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bypass/pairs.h"
#include "flows/screen.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "util/text.h"

#define LEAST_WIDTH 21 /* of 255.255.255.255:65535 */
#define OTHER_COLUMNS 37

const char *const monitor_orders[] = { "bps", "pps", "bytes", "packets" };

/* At most four letters: 9999, 10k, 123k, 1.2M */
static const char *short_number(char text[8], double n)
{
	const char *unit = " kMGTPE";

	if (n < 9999.5) {
		snprintf(text, 8, n < 9.95 && n != (int)n ? "%.1f" : "%.0f", n);
		return text;
	}
	for (; n >= 999.5 && unit[1]; unit++)
		n /= 1000;
	snprintf(text, 8, n < 9.95 ? "%.1f%c" : "%.0f%c", n, *unit);
	return text;
}

static void proto_text(char text[8], const struct shunt_flow_counter *s)
{
	static const struct {
		unsigned int family;
		unsigned int number;
		const char *name;
	} names[] = {
		{ AF_INET, IPPROTO_TCP, "tcp" },
		{ AF_INET, IPPROTO_UDP, "udp" },
		{ AF_INET, IPPROTO_ICMP, "icmp" },
		{ AF_INET, IPPROTO_ICMPV6, "icmp6" },
		{ AF_INET, IPPROTO_SCTP, "sctp" },
		{ AF_INET, IPPROTO_GRE, "gre" },
		{ AF_INET, IPPROTO_ESP, "esp" },
		{ AF_INET, IPPROTO_IGMP, "igmp" },
		{ 0, 0x806, "arp" },
		{ 0, 0x88cc, "lldp" },
	};
	unsigned int number = s->family ? s->proto : s->dport, family = s->family ? AF_INET : 0;
	size_t i;

	snprintf(text, 8, s->family ? "%u" : "%04x", number);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].family == family && names[i].number == number)
			strcpy(text, names[i].name);
}

static void end_text(char text[ENDPOINT_TEXT], const struct shunt_flow_counter *s, bool dst)
{
	const __u8 *addr = dst ? s->dst : s->src;

	if (!s->family)
		strcpy(text, "-");
	else if (s->sport || s->dport)
		endpoint_text(text, s->family, addr, dst ? s->dport : s->sport);
	else
		inet_ntop(s->family, addr, text, ENDPOINT_TEXT);
}

/* Shortens the text to that width by cutting from its middle. */
static void shorten(char *text, size_t width)
{
	size_t len = strlen(text), tail = width / 2;

	if (len <= width)
		return;
	memmove(text + width - tail, text + len - tail, tail + 1);
	text[width - tail - 1] = text[width - tail - 2] = '.';
}

static const char *direction_text(const struct shunt_flow_counter *s)
{
	return s->direction == SHUNT_IN ? "in" : s->direction == SHUNT_OUT ? "out" : "-";
}

static void labels_text(char text[4], unsigned int labels)
{
	snprintf(text, 4, "%s%s%s", labels & LABEL_STEERED ? "S" : "",
		 labels & LABEL_BYPASSED ? "B" : "", labels & LABEL_NAT ? "N" : "");
}

static void print_flow(FILE *out, const struct flow *f, int width)
{
	char proto[8], src[ENDPOINT_TEXT], dst[ENDPOINT_TEXT], bps[8], pps[8], bytes[8], labels[4];

	proto_text(proto, &f->counter);
	end_text(src, &f->counter, false);
	end_text(dst, &f->counter, true);
	shorten(src, width);
	shorten(dst, width);
	labels_text(labels, f->labels);
	fprintf(out, "%-7.7s %-3s %-4.4s %-*s %-*s %4s %4s %4s%s%s\n",
		f->iface[0] ? printable(f->iface) : "-", direction_text(&f->counter), proto, width,
		src, width, dst, short_number(bps, f->byte_rate), short_number(pps, f->packet_rate),
		short_number(bytes, f->counter.bytes), *labels ? " " : "", labels);
}

/* The width of an address: as much as the longest one needs, if the screen has room. */
static int address_width(const struct monitor *m, size_t n, unsigned int columns)
{
	char text[ENDPOINT_TEXT];
	unsigned int width = LEAST_WIDTH, len;
	size_t i;
	int dst;

	for (i = 0; i < n; i++) {
		for (dst = 0; dst < 2; dst++) {
			end_text(text, &m->flows.list[i].counter, dst);
			len = strlen(text);
			width = len > width ? len : width;
		}
	}
	if (m->screen && OTHER_COLUMNS + 2 * width > columns)
		width = columns > OTHER_COLUMNS + 2 * LEAST_WIDTH ? (columns - OTHER_COLUMNS) / 2
								  : LEAST_WIDTH;
	return width;
}

static void print_ifaces(FILE *out, const struct monitor *m)
{
	unsigned int i;

	if (m->all)
		fputs("all interfaces", out);
	for (i = 0; !m->all && i < m->n_ifaces; i++)
		fprintf(out, "%s%s", i ? ", " : "", printable(m->ifaces[i].name));
}

/* The sums of all flows, and of those that the filter lets pass. */
static void print_head(FILE *out, const struct monitor *m)
{
	char bps[8], pps[8];
	double bytes = 0, packets = 0;
	size_t i;

	print_ifaces(out, m);
	fprintf(out, ": %zu flows by %s; in all %s B/s, %s packets/s\n", m->counted,
		monitor_orders[m->order], short_number(bps, flow_reader_byte_rate(&m->reader)),
		short_number(pps, flow_reader_packet_rate(&m->reader)));
	if (!m->filter_text[0])
		return;
	for (i = 0; i < m->matching; i++) {
		bytes += m->flows.list[i].byte_rate;
		packets += m->flows.list[i].packet_rate;
	}
	fprintf(out, "only %s: %zu flows; %s B/s, %s packets/s\n", printable(m->filter_text),
		m->matching, short_number(bps, bytes), short_number(pps, packets));
}

static void print_table(FILE *out, const struct monitor *m, size_t n, unsigned int columns)
{
	int width = address_width(m, n, columns);
	size_t i;

	fprintf(out, "%-7s %-3s %-4s %-*s %-*s %4s %4s %4s\n", "IFACE", "DIR", "PROT", width,
		"SOURCE", width, "DESTINATION", "B/s", "P/s", "SUM");
	for (i = 0; i < n; i++)
		print_flow(out, &m->flows.list[i], width);
}

static size_t shown(const struct monitor *m, size_t fit)
{
	size_t n = m->top && m->top < fit ? m->top : fit;

	return n < m->matching ? n : m->matching;
}

/* The flows get the lines that the head, the titles and the last line leave. */
int monitor_draw(const struct monitor *m)
{
	_cleanup_free_ char *text = NULL;
	unsigned int lines, columns, used = m->filter_text[0] ? 4 : 3;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return fail(-errno, "monitor");
	screen_size(&lines, &columns);
	print_head(out, m);
	print_table(out, m, shown(m, lines > used ? lines - used : 0), columns);
	fputs("sort: b/s p/s Bytes Packets, q ends   labels: S steered B bypassed N translated",
	      out);
	fclose(out);
	screen_show(text);
	return 0;
}

void monitor_print_text(const struct monitor *m)
{
	print_head(stdout, m);
	print_table(stdout, m, shown(m, m->top ? m->top : DEFAULT_TOP), 0);
	if (!m->once)
		putchar('\n');
}

static void json_end(const struct shunt_flow_counter *s, bool dst)
{
	char text[INET6_ADDRSTRLEN];

	if (!inet_ntop(s->family, dst ? s->dst : s->src, text, sizeof(text)))
		return;
	json_string(&json_stdout, dst ? "dst" : "src", text);
	if (s->sport || s->dport)
		json_number(&json_stdout, dst ? "dport" : "sport", dst ? s->dport : s->sport);
}

static void json_flow(const struct flow *f)
{
	char proto[8];

	json_open(&json_stdout, '{');
	if (f->iface[0])
		json_string(&json_stdout, "iface", f->iface);
	if (f->counter.direction)
		json_string(&json_stdout, "direction", direction_text(&f->counter));
	proto_text(proto, &f->counter);
	json_string(&json_stdout, "proto", proto);
	json_end(&f->counter, false);
	json_end(&f->counter, true);
	json_number(&json_stdout, "packets", f->counter.packets);
	json_number(&json_stdout, "bytes", f->counter.bytes);
	json_number(&json_stdout, "packets_per_second", f->packet_rate + 0.5);
	json_number(&json_stdout, "bytes_per_second", f->byte_rate + 0.5);
	json_number(&json_stdout, "missed_packets", f->missed_packets);
	json_number(&json_stdout, "missed_bytes", f->missed_bytes);
	json_bool(&json_stdout, "steered", f->labels & LABEL_STEERED);
	json_bool(&json_stdout, "bypassed", f->labels & LABEL_BYPASSED);
	json_bool(&json_stdout, "nat", f->labels & LABEL_NAT);
	json_close(&json_stdout, '}');
}

void monitor_print_json(const struct monitor *m)
{
	size_t i, n = shown(m, m->top ? m->top : DEFAULT_TOP);

	json_open(&json_stdout, '{');
	json_number(&json_stdout, "packets", m->reader.now.sum.packets);
	json_number(&json_stdout, "bytes", m->reader.now.sum.bytes);
	json_number(&json_stdout, "packets_per_second", flow_reader_packet_rate(&m->reader) + 0.5);
	json_number(&json_stdout, "bytes_per_second", flow_reader_byte_rate(&m->reader) + 0.5);
	json_number(&json_stdout, "matching", m->matching);
	json_open_in(&json_stdout, "flows", '[');
	for (i = 0; i < n; i++)
		json_flow(&m->flows.list[i]);
	json_close(&json_stdout, ']');
	json_close(&json_stdout, '}');
}
