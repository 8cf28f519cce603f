// SPDX-License-Identifier: GPL-2.0-only
/* shunt monitor: the flows at the interfaces, those with the most traffic first. */
#include "cmd/monitor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "bpf/pins.h"
#include "cmd/command.h"
#include "flows/screen.h"
#include "rules/rule.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/options.h"
#include "util/parse.h"

#define MAX_TOP 100000
#define MAX_INTERVAL 3600

static const char order_keys[] = "bpBP"; /* keys that choose an enum order */

static int usage(void)
{
	printf("usage: shunt monitor [--iface NAME]... [--top N] [--sort bps|pps|bytes|packets]\n"
	       "                     [--interval SEC] [--once] [FILTER]\n\n"
	       "Shows the flows at the interfaces (all that are up), incoming and outgoing ones, and\n"
	       "the bypassed pairs, which pass no interface. Keys: b, p sort by bytes and packets a\n"
	       "second, B, P by their totals, q ends.\n\n"
	       "  --top N         show N flows (as many as fit, or %d)\n"
	       "  --sort HOW      bytes or packets a second, or total bytes or packets (bps)\n"
	       "  --interval SEC  between two readings (1)\n"
	       "  --once          print one table after one interval, and end\n"
	       "  FILTER          only these flows: tcp, udp, icmp, icmp6, ip, ip6, proto N, in, out,\n"
	       "                  iface NAME, [src|dst] host ADDR, [src|dst] net ADDR/LEN,\n"
	       "                  [src|dst] port N[-M], steered, bypassed, nat; with and, or, not\n"
	       "                  and brackets, as in 'tcp and (port 80 or port 443)'\n\n"
	       "Labels: S steered, B bypassed, N translated. Counting begins with the command, or with\n"
	       "'shunt load --monitor NAME'. Memory is bounded, so packets may be missed; -j prints\n"
	       "for each flow how many of its packets and bytes were missed at most.\n",
	       DEFAULT_TOP);
	return 0;
}

static int parse_order(struct monitor *m, const char *word)
{
	int i;

	for (i = 0; i <= BY_PACKETS; i++) {
		if (!strcmp(word, monitor_orders[i])) {
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
	size_t len = strlen(m->filter_text);

	if (len + strlen(word) + 2 > sizeof(m->filter_text))
		return refuse("filter: longer than %zu letters", sizeof(m->filter_text));
	snprintf(m->filter_text + len, sizeof(m->filter_text) - len, "%s%s", len ? " " : "", word);
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
		return monitor_add_iface(m, value);
	if (!strcmp(option, "--top"))
		return parse_count(option, value, MAX_TOP, &m->top);
	if (!strcmp(option, "--sort"))
		return parse_order(m, value);
	return parse_count(option, value, MAX_INTERVAL, &m->interval);
}

static int parse(int argc, char **argv, struct monitor *m)
{
	int i, error = 0;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--once")) {
			m->once = true;
		} else if (!strncmp(argv[i], "--", 2)) {
			error = parse_option(m, argv[i], argv[i + 1]);
			i++;
		} else {
			error = add_words(m, argv[i]);
		}
		if (error)
			return error;
	}
	m->all = !m->n_ifaces;
	return filter_parse(m->filter_text, &m->filter);
}

static enum order sort_order; /* for compare_flows() */

static double weight(const struct flow *f)
{
	switch (sort_order) {
	case BY_BPS:
		return f->byte_rate;
	case BY_PPS:
		return f->packet_rate;
	case BY_BYTES:
		return f->counter.bytes;
	default:
		return f->counter.packets;
	}
}

/* Most traffic first. Equal flows are ordered by their keys, so that their order does not change
 * from one second to the next. */
static int compare_flows(const void *va, const void *vb)
{
	const struct flow *a = va, *b = vb;

	if (weight(a) != weight(b))
		return weight(a) > weight(b) ? -1 : 1;
	if (a->counter.bytes != b->counter.bytes)
		return a->counter.bytes > b->counter.bytes ? -1 : 1;
	return memcmp(&a->counter, &b->counter, SHUNT_FLOW_KEY_WORDS * 4);
}

static bool is_watched(const struct monitor *m, const struct flow *f)
{
	unsigned int i;

	if (m->all || !f->iface[0])
		return true;
	for (i = 0; i < m->n_ifaces; i++)
		if (!strcmp(m->ifaces[i].name, f->iface))
			return true;
	return false;
}

static void keep_matching(struct monitor *m)
{
	size_t i;

	m->matching = m->counted = 0;
	for (i = 0; i < m->flows.n; i++) {
		if (!is_watched(m, &m->flows.list[i]))
			continue;
		m->counted++;
		if (filter_matches(m->filter, &m->flows.list[i]))
			m->flows.list[m->matching++] = m->flows.list[i];
	}
	m->flows.n = m->matching;
}

static void sort(struct monitor *m)
{
	sort_order = m->order;
	if (m->matching)
		sort_array(m->flows.list, m->matching, sizeof(*m->flows.list), compare_flows);
}

static int read_flows(struct monitor *m)
{
	int error = flow_reader_read(&m->reader, &m->flows);

	if (error)
		return fail(error, "monitor");
	error = flow_labels_add(m->labels, &m->flows, m->reader.now.at - m->reader.before.at);
	if (error)
		return fail(error, "monitor");
	keep_matching(m);
	sort(m);
	return 0;
}

static int show(const struct monitor *m)
{
	if (m->screen)
		return monitor_draw(m);
	if (opt.json)
		monitor_print_json(m);
	else
		monitor_print_text(m);
	return fflush(stdout) ? fail(-errno, "stdout") : 0;
}

static double seconds_now(void)
{
	return (double)monotonic_ns() / NS_PER_SEC;
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

/* Gives the terminal back while the command is stopped. */
static int suspend(const struct monitor *m)
{
	int error;

	if (m->screen)
		screen_close();
	raise(SIGSTOP);
	if (!m->screen)
		return 0;
	error = screen_open();
	return error ? error : monitor_draw(m);
}

/* Returns 0, 1 to end the command, or -errno after reporting it. */
static int handle_signal(const struct monitor *m, int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	if (info.ssi_signo == SIGTSTP)
		return suspend(m);
	if (info.ssi_signo != SIGWINCH)
		return 1;
	return m->screen ? monitor_draw(m) : 0;
}

/* Returns 0, 1 to end the command, or -errno after reporting it. */
static int handle_key(struct monitor *m)
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
	return monitor_draw(m);
}

static int tick(struct monitor *m)
{
	int error;

	if (!m->own.skel && !m->conf->run.loaded) {
		screen_close();
		return deny(-ENOENT, "shunt was unloaded");
	}
	error = read_flows(m);
	if (error)
		return error;
	error = show(m);
	return error ? error : m->once;
}

/* Waits for a signal, a key or the next reading, and handles it. Returns 0, 1 to end the command,
 * or -errno after reporting it. */
static int wait_and_handle(struct monitor *m, int signals, double *next)
{
	struct pollfd fds[] = { { .fd = signals, .events = POLLIN },
				{ .fd = m->screen ? STDIN_FILENO : -1, .events = POLLIN } };
	double left = *next - seconds_now();
	int error;

	if (left <= 0) {
		*next += left < -(double)m->interval ? m->interval - left : m->interval;
		return tick(m);
	}
	if (poll(fds, 2, (int)(left * 1000) + 1) < 0 && errno != EINTR)
		return fail(-errno, "poll");
	if (fds[0].revents & POLLIN) {
		error = handle_signal(m, signals);
		if (error)
			return error;
	}
	if (fds[1].revents & (POLLHUP | POLLERR | POLLNVAL))
		return 1;
	return fds[1].revents & POLLIN ? handle_key(m) : 0;
}

static int begin_screen(struct monitor *m)
{
	int error;

	m->screen = !m->once && !opt.json && screen_there();
	if (!m->screen)
		return 0;
	error = screen_open();
	return error ? error : monitor_draw(m);
}

static int watch(struct monitor *m, int signals)
{
	double next = seconds_now() + m->interval;
	int error = begin_screen(m);

	while (!error)
		error = wait_and_handle(m, signals, &next);
	screen_close();
	return error > 0 ? 0 : error;
}

static int run(struct monitor *m)
{
	_cleanup_fd_ int signals = -1;
	sigset_t set;
	int error;

	/* From here on a signal ends the command in order, so that stop() runs. */
	block_signals(&set);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		return fail(-errno, "signals");
	error = monitor_attach(m);
	return error ? error : watch(m, signals);
}

static void stop(struct monitor *m)
{
	monitor_detach(m);
	flow_labels_free(m->labels);
	free(m->flows.list);
	flow_reader_close(&m->reader);
	free(m->filter);
	free(m->ifaces);
}

int cmd_monitor(int argc, char **argv)
{
	_cleanup_(stop) struct monitor m = { .interval = 1 };
	int error;

	if (argc == 2 && !strcmp(argv[1], "help"))
		return usage();
	netns_enter_loaded(); /* the filter looks up interfaces in load's namespace */
	error = parse(argc, argv, &m);
	return error ? error : run(&m);
}
