// SPDX-License-Identifier: GPL-2.0-only
/* shunt monitor: the flows seen on the interfaces, the heaviest first. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "attach/attach.h"
#include "attach/tc.h"
#include "bpf/pins.h"
#include "bpf/programs.h"
#include "bypass/pairs.h"
#include "cmd/command.h"
#include "flows/filter.h"
#include "flows/flow_counters.h"
#include "flows/flow_labels.h"
#include "flows/screen.h"
#include "rules/rule.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "util/options.h"

#define DEFAULT_TOP 20
#define MAX_TOP 100000
#define MAX_INTERVAL 3600
#define FILTER_TEXT 4096
#define LEAST_WIDTH 21 /* of 255.255.255.255:65535 */
#define OTHER_COLUMNS 37

/* An interface, and our programs there if there are none that load attached. */
struct tap {
	char name[IF_NAMESIZE];
	unsigned int ifindex;
	struct shunt_state in;
	struct shunt_state out;
	int in_link;
	int out_link;
};

enum order { BY_BPS, BY_PPS, BY_BYTES, BY_PACKETS };

static const char *const order_names[] = { "bps", "pps", "bytes", "packets" };
static const char order_keys[] = "bpBP";

struct monitor {
	struct tap *taps;
	unsigned int n_taps;
	bool all;              /* no interface was named */
	unsigned int top;      /* 0: as many as fit */
	unsigned int interval; /* seconds */
	bool once;
	bool screen;
	enum order order;
	char text[FILTER_TEXT]; /* the filter as it was typed */
	struct filter *filter;

	struct private_monitor own; /* skel is NULL if load's count */
	const struct shunt_conf *conf; /* of what is loaded, NULL if nothing is */
	struct seen seen;
	struct marks *marks;
	struct flows flows;
	size_t known;          /* flows that are counted there */
	size_t matching;       /* of the flows: the first ones */
};

static int usage(void)
{
	printf("usage: shunt monitor [--iface NAME]... [--top N] [--sort bps|pps|bytes|packets]\n"
	       "                     [--interval SEC] [--once] [FILTER]\n\n"
	       "The flows seen on the interfaces (all that are up), as they come in and go out, and\n"
	       "the bypassed pairs, which no interface sees. Keys: b, p sort by bytes and packets a\n"
	       "second, B, P by their totals, q ends.\n\n"
	       "  --top N         show N flows (as many as fit, or %d)\n"
	       "  --sort HOW      bytes or packets a second, or total bytes or packets (bps)\n"
	       "  --interval SEC  between two readings (1)\n"
	       "  --once          one table, after one interval\n"
	       "  FILTER          show only some: tcp, udp, icmp, icmp6, ip, ip6, proto N, in, out,\n"
	       "                  iface NAME, [src|dst] host ADDR, [src|dst] net ADDR/LEN,\n"
	       "                  [src|dst] port N[-M], steered, bypassed, nat; with and, or, not\n"
	       "                  and brackets, as in 'tcp and (port 80 or port 443)'\n\n"
	       "Marks: S steered, B bypassed, N translated. Counting begins with the command, or with\n"
	       "'shunt load --monitor NAME'. The flows are kept in bounded memory; -j tells for\n"
	       "each how many packets and bytes it may have more, at most (missed).\n", DEFAULT_TOP);
	return 0;
}

/* Words */

static int add_tap(struct monitor *m, const char *name)
{
	struct tap *more;
	unsigned int i;

	for (i = 0; i < m->n_taps; i++)
		if (!strcmp(m->taps[i].name, name))
			return 0;
	more = realloc(m->taps, (m->n_taps + 1) * sizeof(*more));
	if (!more)
		return fail(-ENOMEM, "monitor");
	m->taps = more;
	more += m->n_taps;
	*more = (struct tap){ .in_link = -1, .out_link = -1 };
	if (strlen(name) >= sizeof(more->name))
		return deny(-ENODEV, "no interface '%s'", name);
	strcpy(more->name, name);
	m->n_taps++;
	return 0;
}

static int parse_order(struct monitor *m, const char *word)
{
	int i;

	for (i = 0; i <= BY_PACKETS; i++) {
		if (!strcmp(word, order_names[i])) {
			m->order = i;
			return 0;
		}
	}
	return refuse("--sort '%s': not one of bps, pps, bytes, packets", word);
}

static int parse_count(const char *option, const char *word, unsigned int max, unsigned int *ret)
{
	unsigned int n;

	if (!parse_number(word, max, &n) || !n)
		return refuse("%s '%s': not a number from 1 to %u", option, word, max);
	*ret = n;
	return 0;
}

static int add_words(struct monitor *m, const char *word)
{
	size_t len = strlen(m->text);

	if (len + strlen(word) + 2 > sizeof(m->text))
		return refuse("filter: longer than %zu letters", sizeof(m->text));
	snprintf(m->text + len, sizeof(m->text) - len, "%s%s", len ? " " : "", word);
	return 0;
}

static int parse_option(struct monitor *m, const char *option, const char *value)
{
	bool known = !strcmp(option, "--iface") || !strcmp(option, "--top") ||
		     !strcmp(option, "--sort") || !strcmp(option, "--interval");

	if (!known)
		return refuse("monitor: unknown word '%s'; see 'shunt monitor help'", option);
	if (!value)
		return refuse("monitor: %s: a value is missing", option);
	if (!strcmp(option, "--iface"))
		return add_tap(m, value);
	if (!strcmp(option, "--top"))
		return parse_count(option, value, MAX_TOP, &m->top);
	if (!strcmp(option, "--sort"))
		return parse_order(m, value);
	return parse_count(option, value, MAX_INTERVAL, &m->interval);
}

static int parse(int argc, char **argv, struct monitor *m)
{
	int i, error = 0;

	for (i = 1; i < argc && !error; i++) {
		if (!strcmp(argv[i], "--once")) {
			m->once = true;
		} else if (!strncmp(argv[i], "--", 2)) {
			error = parse_option(m, argv[i], argv[i + 1]);
			i++;
		} else {
			error = add_words(m, argv[i]);
		}
	}
	if (!error)
		error = filter_parse(m->text, &m->filter);
	m->all = !m->n_taps;
	return error;
}

/* Programs */

static const struct shunt_state *loaded_states(const struct monitor *m)
{
	return m->conf ? pin_mmap("shunt_state", NULL) : NULL;
}

/* Does load count what crosses the interface? NULL: any. */
static bool is_counted(const struct shunt_state *states, const char *name)
{
	int i;

	for (i = 0; states && i < SHUNT_STATES; i++)
		if (states[i].kind == SHUNT_MONITOR_IN && (!name || !strcmp(states[i].name, name)))
			return true;
	return false;
}

static bool load_counts(const struct monitor *m)
{
	const struct shunt_state *states = loaded_states(m);
	unsigned int i;

	for (i = 0; i < m->n_taps; i++)
		if (!is_counted(states, m->taps[i].name))
			return false;
	return is_counted(states, NULL);
}

static bool is_up(const char *name)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_flags = 0 };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	return fd >= 0 && !ioctl(fd, SIOCGIFFLAGS, &request) && request.ifr_flags & IFF_UP;
}

static int tap_all(struct monitor *m)
{
	struct if_nameindex *list = if_nameindex(), *i;
	int error = 0;

	if (!list)
		return fail(-errno, "can't list the interfaces");
	for (i = list; i->if_index && !error; i++)
		if (is_up(i->if_name))
			error = add_tap(m, i->if_name);
	if_freenameindex(list);
	return error;
}

static int find_taps(struct monitor *m)
{
	unsigned int i;

	for (i = 0; i < m->n_taps; i++) {
		m->taps[i].ifindex = if_nametoindex(m->taps[i].name);
		if (!m->taps[i].ifindex)
			return deny(-ENODEV, "no interface '%s'", m->taps[i].name);
	}
	return 0;
}

static int tap_one(struct monitor *m, struct tap *tap)
{
	int error = tc_sweep(tap->ifindex, tap->name);

	if (error)
		return error;
	tap->in = (struct shunt_state){
		.kind = SHUNT_MONITOR_IN, .ifindex = tap->ifindex, .owner = getpid(),
	};
	strcpy(tap->in.name, tap->name);
	tap->out = tap->in;
	tap->out.kind = SHUNT_MONITOR_OUT;
	error = tc_attach_link(&tap->in, m->own.in, &tap->in_link);
	return error ? error : tc_attach_link(&tap->out, m->own.out, &tap->out_link);
}

static int attach_own(struct monitor *m)
{
	unsigned int i;
	int error = private_monitor_open(&m->own);

	if (!error)
		error = seen_prepare(m->own.monitor, m->conf ? m->conf->mark : 0);
	if (!error)
		error = seen_open(&m->seen, &(struct seen_maps){ m->own.monitor, m->own.buckets,
								 m->own.seen }, false);
	for (i = 0; i < m->n_taps && !error; i++)
		error = tap_one(m, &m->taps[i]);
	return error;
}

static int open_loaded(struct monitor *m)
{
	const struct shunt_state *states = loaded_states(m);
	_cleanup_fd_ int monitor = pin_open("maps", "shunt_monitor");
	_cleanup_fd_ int buckets = pin_open("maps", "shunt_buckets");
	_cleanup_fd_ int seen = pin_open("maps", "shunt_seen");
	const struct seen_maps maps = { monitor, buckets, seen };
	int i, error = 0;

	if (monitor < 0 || buckets < 0 || seen < 0)
		return deny(-ENOENT, "can't open the monitor's maps in '%s'", opt.pin_dir);
	for (i = 0; m->all && i < SHUNT_STATES && !error; i++)
		if (states[i].kind == SHUNT_MONITOR_IN)
			error = add_tap(m, states[i].name);
	m->all = false;
	return error ? error : seen_open(&m->seen, &maps, true);
}

static int start(struct monitor *m)
{
	_cleanup_lock_ int lock = pins_lock(false);
	int error;

	if (lock < 0 && lock != -ENOENT)
		return lock;
	m->conf = lock < 0 ? NULL : pin_mmap("shunt_conf", NULL);
	m->marks = marks_new();
	if (!m->marks)
		return fail(-ENOMEM, "monitor");
	error = find_taps(m);
	if (error)
		return error;
	if (load_counts(m))
		return open_loaded(m);
	if (m->all)
		error = tap_all(m);
	if (!error)
		error = find_taps(m);
	return error ? error : attach_own(m);
}

static void stop(struct monitor *m)
{
	unsigned int i;

	for (i = m->n_taps; i--;) {
		if (!m->own.skel)
			break;
		tc_detach_link(&m->taps[i].out, m->own.out, &m->taps[i].out_link);
		tc_detach_link(&m->taps[i].in, m->own.in, &m->taps[i].in_link);
	}
	if (m->own.skel)
		private_monitor_close(&m->own);
	marks_free(m->marks);
	free(m->flows.list);
	seen_close(&m->seen);
	free(m->filter);
	free(m->taps);
}

/* What is shown */

static enum order order_now; /* of the comparison */

static double weight(const struct flow *f)
{
	switch (order_now) {
	case BY_BPS:
		return f->byte_rate;
	case BY_PPS:
		return f->packet_rate;
	case BY_BYTES:
		return f->seen.bytes;
	default:
		return f->seen.packets;
	}
}

/* Heaviest first; then the order does not change from one second to the next. */
static int compare_flows(const void *va, const void *vb)
{
	const struct flow *a = va, *b = vb;

	if (weight(a) != weight(b))
		return weight(a) > weight(b) ? -1 : 1;
	if (a->seen.bytes != b->seen.bytes)
		return a->seen.bytes > b->seen.bytes ? -1 : 1;
	return memcmp(&a->seen, &b->seen, SHUNT_SEEN_WORDS * 4);
}

static bool is_tapped(const struct monitor *m, const struct flow *f)
{
	unsigned int i;

	if (m->all || !f->iface[0])
		return true;
	for (i = 0; i < m->n_taps; i++)
		if (!strcmp(m->taps[i].name, f->iface))
			return true;
	return false;
}

static void keep_matching(struct monitor *m)
{
	size_t i;

	m->matching = m->known = 0;
	for (i = 0; i < m->flows.n; i++) {
		if (!is_tapped(m, &m->flows.list[i]))
			continue;
		m->known++;
		if (filter_matches(m->filter, &m->flows.list[i]))
			m->flows.list[m->matching++] = m->flows.list[i];
	}
	m->flows.n = m->matching;
}

static void sort(struct monitor *m)
{
	order_now = m->order;
	if (m->matching)
		sort_array(m->flows.list, m->matching, sizeof(*m->flows.list), compare_flows);
}

static int read_flows(struct monitor *m)
{
	int error = seen_read(&m->seen, &m->flows);

	if (!error)
		error = marks_add(m->marks, &m->flows, m->seen.now.at - m->seen.before.at);
	if (error)
		return fail(error, "monitor");
	keep_matching(m);
	sort(m);
	return 0;
}

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

static void proto_text(char text[8], const struct shunt_seen *s)
{
	static const struct {
		unsigned int family;
		unsigned int number;
		const char *name;
	} names[] = {
		{ AF_INET, IPPROTO_TCP, "tcp" }, { AF_INET, IPPROTO_UDP, "udp" },
		{ AF_INET, IPPROTO_ICMP, "icmp" }, { AF_INET, IPPROTO_ICMPV6, "icmp6" },
		{ AF_INET, IPPROTO_SCTP, "sctp" }, { AF_INET, IPPROTO_GRE, "gre" },
		{ AF_INET, IPPROTO_ESP, "esp" }, { AF_INET, IPPROTO_IGMP, "igmp" },
		{ 0, 0x806, "arp" }, { 0, 0x88cc, "lldp" },
	};
	unsigned int number = s->family ? s->proto : s->dport, family = s->family ? AF_INET : 0;
	size_t i;

	snprintf(text, 8, s->family ? "%u" : "%04x", number);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].family == family && names[i].number == number)
			strcpy(text, names[i].name);
}

static void end_text(char text[ENDPOINT_TEXT], const struct shunt_seen *s, bool dst)
{
	const __u8 *addr = dst ? s->dst : s->src;

	if (!s->family)
		strcpy(text, "-");
	else if (s->sport || s->dport)
		endpoint_text(text, s->family, addr, dst ? s->dport : s->sport);
	else
		inet_ntop(s->family, addr, text, ENDPOINT_TEXT);
}

/* Takes out of the middle what is too much. */
static void shorten(char *text, size_t width)
{
	size_t len = strlen(text), tail = width / 2;

	if (len <= width)
		return;
	memmove(text + width - tail, text + len - tail, tail + 1);
	text[width - tail - 1] = text[width - tail - 2] = '.';
}

static const char *direction_text(const struct shunt_seen *s)
{
	return s->direction == SHUNT_IN ? "in" : s->direction == SHUNT_OUT ? "out" : "-";
}

static void marks_text(char text[4], unsigned int marks)
{
	snprintf(text, 4, "%s%s%s", marks & MARK_STEERED ? "S" : "", marks & MARK_BYPASSED ? "B" : "",
		 marks & MARK_NAT ? "N" : "");
}

static void print_flow(FILE *out, const struct flow *f, int width)
{
	char proto[8], src[ENDPOINT_TEXT], dst[ENDPOINT_TEXT], bps[8], pps[8], bytes[8], marks[4];

	proto_text(proto, &f->seen);
	end_text(src, &f->seen, false);
	end_text(dst, &f->seen, true);
	shorten(src, width);
	shorten(dst, width);
	marks_text(marks, f->marks);
	fprintf(out, "%-7.7s %-3s %-4.4s %-*s %-*s %4s %4s %4s%s%s\n", f->iface[0] ? f->iface : "-",
		direction_text(&f->seen), proto, width, src, width, dst,
		short_number(bps, f->byte_rate), short_number(pps, f->packet_rate),
		short_number(bytes, f->seen.bytes), *marks ? " " : "", marks);
}

/* Columns for an address: what the flows need, if there is room. */
static int address_width(const struct monitor *m, size_t n, unsigned int columns)
{
	char text[ENDPOINT_TEXT];
	unsigned int width = LEAST_WIDTH, len;
	size_t i;
	int dst;

	for (i = 0; i < n; i++) {
		for (dst = 0; dst < 2; dst++) {
			end_text(text, &m->flows.list[i].seen, dst);
			len = strlen(text);
			width = len > width ? len : width;
		}
	}
	if (m->screen && OTHER_COLUMNS + 2 * width > columns)
		width = columns > OTHER_COLUMNS + 2 * LEAST_WIDTH ? (columns - OTHER_COLUMNS) / 2 :
								    LEAST_WIDTH;
	return width;
}

static void print_ifaces(FILE *out, const struct monitor *m)
{
	unsigned int i;

	if (m->all)
		fputs("all interfaces", out);
	for (i = 0; !m->all && i < m->n_taps; i++)
		fprintf(out, "%s%s", i ? ", " : "", m->taps[i].name);
}

/* All that is counted, and what the filter takes of it. */
static void print_head(FILE *out, const struct monitor *m)
{
	char bps[8], pps[8];
	double bytes = 0, packets = 0;
	size_t i;

	print_ifaces(out, m);
	fprintf(out, ": %zu flows by %s; in all %s B/s, %s packets/s\n", m->known,
		order_names[m->order], short_number(bps, seen_byte_rate(&m->seen)),
		short_number(pps, seen_packet_rate(&m->seen)));
	if (!m->text[0])
		return;
	for (i = 0; i < m->matching; i++) {
		bytes += m->flows.list[i].byte_rate;
		packets += m->flows.list[i].packet_rate;
	}
	fprintf(out, "only %s: %zu flows; %s B/s, %s packets/s\n", m->text, m->matching,
		short_number(bps, bytes), short_number(pps, packets));
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

/* Head, titles and the last line leave room for the rest. */
static int draw(const struct monitor *m)
{
	_cleanup_free_ char *text = NULL;
	unsigned int lines, columns, used = m->text[0] ? 4 : 3;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return fail(-errno, "monitor");
	screen_size(&lines, &columns);
	print_head(out, m);
	print_table(out, m, shown(m, lines > used ? lines - used : 0), columns);
	fputs("sort: b/s p/s Bytes Packets, q ends   marks: S steered B bypassed N translated", out);
	fclose(out);
	screen_show(text);
	return 0;
}

static void print_text(const struct monitor *m)
{
	print_head(stdout, m);
	print_table(stdout, m, shown(m, m->top ? m->top : DEFAULT_TOP), 0);
	if (!m->once)
		putchar('\n');
}

static void json_end(const struct shunt_seen *s, bool dst)
{
	char text[INET6_ADDRSTRLEN];

	if (!inet_ntop(s->family, dst ? s->dst : s->src, text, sizeof(text)))
		return;
	json_string(stdout, dst ? "dst" : "src", text);
	if (s->sport || s->dport)
		json_number(stdout, dst ? "dport" : "sport", dst ? s->dport : s->sport);
}

static void json_flow(const struct flow *f)
{
	char proto[8];

	json_open(stdout, '{');
	if (f->iface[0])
		json_string(stdout, "iface", f->iface);
	if (f->seen.direction)
		json_string(stdout, "direction", direction_text(&f->seen));
	proto_text(proto, &f->seen);
	json_string(stdout, "proto", proto);
	json_end(&f->seen, false);
	json_end(&f->seen, true);
	json_number(stdout, "packets", f->seen.packets);
	json_number(stdout, "bytes", f->seen.bytes);
	json_number(stdout, "packets_per_second", f->packet_rate + 0.5);
	json_number(stdout, "bytes_per_second", f->byte_rate + 0.5);
	json_number(stdout, "missed_packets", f->missed_packets);
	json_number(stdout, "missed_bytes", f->missed_bytes);
	json_bool(stdout, "steered", f->marks & MARK_STEERED);
	json_bool(stdout, "bypassed", f->marks & MARK_BYPASSED);
	json_bool(stdout, "nat", f->marks & MARK_NAT);
	json_close(stdout, '}');
}

static void print_json(const struct monitor *m)
{
	size_t i, n = shown(m, m->top ? m->top : DEFAULT_TOP);

	json_open(stdout, '{');
	json_number(stdout, "packets", m->seen.now.sum.packets);
	json_number(stdout, "bytes", m->seen.now.sum.bytes);
	json_number(stdout, "packets_per_second", seen_packet_rate(&m->seen) + 0.5);
	json_number(stdout, "bytes_per_second", seen_byte_rate(&m->seen) + 0.5);
	json_number(stdout, "matching", m->matching);
	json_open_in(stdout, "flows", '[');
	for (i = 0; i < n; i++)
		json_flow(&m->flows.list[i]);
	json_close(stdout, ']');
	json_close(stdout, '}');
}

static int show(const struct monitor *m)
{
	if (m->screen)
		return draw(m);
	if (opt.json)
		print_json(m);
	else
		print_text(m);
	return fflush(stdout) ? fail(-errno, "stdout") : 0;
}

/* The loop */

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void block_signals(sigset_t *set)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP };
	size_t i;

	sigemptyset(set);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(set, signals[i]);
	sigprocmask(SIG_BLOCK, set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* 1 to end, 0 or -errno. */
static int take_signal(const struct monitor *m, int fd)
{
	struct signalfd_siginfo info;
	int error = 0;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	if (info.ssi_signo == SIGTSTP) {
		if (m->screen)
			screen_close();
		raise(SIGSTOP);
		if (m->screen)
			error = screen_open();
	} else if (info.ssi_signo != SIGWINCH) {
		return 1;
	}
	return !error && m->screen ? draw(m) : error;
}

/* 1 to end, 0 or -errno. */
static int take_key(struct monitor *m)
{
	int key = screen_key();
	const char *order;

	if (key == 'q' || key == 'Q')
		return 1;
	order = key ? strchr(order_keys, key) : NULL;
	if (!order)
		return 0;
	m->order = order - order_keys;
	sort(m);
	return draw(m);
}

static int tick(struct monitor *m)
{
	int error;

	if (!m->own.skel && !m->conf->loaded) {
		screen_close();
		return deny(-ENOENT, "shunt was unloaded");
	}
	error = read_flows(m);
	if (!error)
		error = show(m);
	return error ? error : m->once;
}

/* 1 to end, 0 or -errno. */
static int wait_and_see(struct monitor *m, int signals, double *next)
{
	struct pollfd fds[] = { { .fd = signals, .events = POLLIN },
				{ .fd = m->screen ? STDIN_FILENO : -1, .events = POLLIN } };
	double left = *next - seconds_now();
	int error = 0;

	if (left <= 0) {
		*next += left < -(double)m->interval ? m->interval - left : m->interval;
		return tick(m);
	}
	if (poll(fds, 2, (int)(left * 1000) + 1) < 0 && errno != EINTR)
		return fail(-errno, "poll");
	if (fds[0].revents & POLLIN)
		error = take_signal(m, signals);
	if (!error && fds[1].revents & (POLLHUP | POLLERR | POLLNVAL))
		return 1;
	if (!error && fds[1].revents & POLLIN)
		error = take_key(m);
	return error;
}

static int watch(struct monitor *m, int signals)
{
	double next = seconds_now() + m->interval;
	int error = 0;

	m->screen = !m->once && !opt.json && screen_there();
	if (m->screen)
		error = screen_open();
	if (!error && m->screen)
		error = draw(m);
	while (!error)
		error = wait_and_see(m, signals, &next);
	screen_close();
	return error > 0 ? 0 : error;
}

static int run(struct monitor *m)
{
	_cleanup_fd_ int signals = -1;
	sigset_t set;
	int error;

	/* From here on a signal ends in stop(). */
	block_signals(&set);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		return fail(-errno, "signals");
	error = start(m);
	return error ? error : watch(m, signals);
}

int cmd_monitor(int argc, char **argv)
{
	struct monitor m = { .interval = 1 };
	int error;

	if (argc == 2 && !strcmp(argv[1], "help"))
		return usage();
	home_netns(); /* the filter's interfaces are looked up there */
	error = parse(argc, argv, &m);
	if (!error)
		error = run(&m);
	stop(&m);
	return error;
}
