// SPDX-License-Identifier: GPL-2.0-only
/*
 * shunt run: the one long-lived process. It runs the supervisor of the bypass
 * (bypass/supervisor.h). Besides, it follows interfaces, cgroups and listeners, and changes
 * rules for callers that are not root.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "attach/fragment_listeners.h"
#include "attach/ifaces.h"
#include "bpf/pins.h"
#include "bypass/adopt.h"
#include "bypass/supervisor.h"
#include "cmd/command.h"
#include "cmd/run.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/options.h"
#include "util/sd_notify.h"

/* How long pairs have for leaving the fast path at the end. */
#define STOP_MS 2000
static int event(void *ctx, void *data, size_t size)
{
	(void)ctx;
	(void)data;
	(void)size;
	return 0;
}

static int signal_fd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void beat(struct run *r)
{
	__u64 now = monotonic_ns();
	int half;

	/* Written only when it is due: every verdict reads this memory, on all CPUs. */
	for (half = 0; half < HALVES; half++)
		if (run_serves(r, half) && now - r->half[half].conf->run.beat_ns >= SHUNT_BEAT_NS)
			__atomic_store_n(&r->half[half].conf->run.beat_ns, now, __ATOMIC_RELAXED);
}

/* epoll_wait() for one event, with heartbeats. */
static int wait_event(struct run *r, int ep, struct epoll_event *e, int ms)
{
	const int step = SHUNT_BEAT_NS / NS_PER_MS;
	int n;

	for (; ms > step; ms -= step) {
		beat(r);
		n = epoll_wait(ep, e, 1, step);
		if (n || run_must_begin_anew(r))
			return n;
	}
	beat(r);
	return epoll_wait(ep, e, 1, ms);
}

static void stop(struct run *r)
{
	notify_service_manager("STOPPING=1");
	r->stopping = r->supervisor.stopping = true;
	r->stop_ns = monotonic_ns() + STOP_MS * NS_PER_MS;
}

static bool is_over(const struct run *r)
{
	return r->stopping && (supervisor_at_rest(&r->supervisor) || monotonic_ns() > r->stop_ns);
}

/* Prints which halves this process serves. */
static void say_ready(const struct run *r)
{
	char names[64] = "";
	int half, at = 0;

	for (half = 0; half < HALVES; half++)
		if (run_serves(r, half))
			at += snprintf(names + at, sizeof(names) - at, " %s", half_name(half));
	say("ready:%s", names);
}

static int loop(struct run *r, struct ring_buffer *ring, int signals)
{
	_cleanup_fd_ int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event on_signal = { .events = EPOLLIN, .data.u32 = 1 };
	struct epoll_event on_ring = { .events = EPOLLIN };
	struct epoll_event e;
	int ms;

	if (signals < 0 || ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, signals, &on_signal) ||
	    epoll_ctl(ep, EPOLL_CTL_ADD, ring_buffer__epoll_fd(ring), &on_ring) ||
	    (r->rtnl_fd >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, r->rtnl_fd, &on_ring)))
		return fail(-errno, "can't wait for events");
	run_follow(r);
	listeners_collect_again();
	beat(r);
	notify_service_manager("READY=1");
	say_ready(r);
	while (!run_must_begin_anew(r)) {
		ms = supervisor_scan(&r->supervisor);
		if (is_over(r))
			break;
		if (wait_event(r, ep, &e, run_find_listeners(r, ms)) > 0 && e.data.u32 &&
		    !r->stopping)
			stop(r);
		ring_buffer__consume(ring);
		run_follow(r);
		rule_server_keep(&r->rules);
		metrics_server_keep(&r->metrics);
	}
	return 0;
}

/* What the words of the command ask for. */
struct run_words {
	const char *group;
	struct metrics_address metrics; /* without a word: none */
	bool metrics_rules;
};

static int start_server(struct run *r, gid_t group)
{
	return rule_server_inherit(&r->rules, group) ? 0 : rule_server_start(&r->rules, group);
}

/* Starts to serve callers that are not root. If this fails, only root can change rules. That is an
 * error only with --group, because then somebody asked for it. Then starts to serve metrics. */
static int serve_others(struct run *r, const struct run_words *w)
{
	int error = rule_group(w->group, &r->metrics.group);

	if (!error)
		error = start_server(r, r->metrics.group);
	if (error && w->group)
		return error;
	r->metrics.address = w->metrics;
	r->metrics.rules = w->metrics_rules;
	return metrics_server_start(&r->metrics);
}

/* Takes over what served others before the process began anew, to be ended by close_run(). */
static void inherit_servers(struct run *r, const struct run_words *w)
{
	rule_server_inherit(&r->rules, 0);
	r->metrics.address = w->metrics;
	metrics_server_inherit(&r->metrics);
}

static void stop_serving(struct run *r)
{
	rule_server_stop(&r->rules);
	metrics_server_stop(&r->metrics);
}

static int parse_run(int argc, char **argv, struct run_words *w)
{
	int i, error = 0;

	for (i = 1; i < argc && !error; i++) {
		if (!strcmp(argv[i], "--metrics-rules")) {
			w->metrics_rules = true;
			continue;
		}
		if (strcmp(argv[i], "--group") && strcmp(argv[i], "--metrics"))
			return refuse("run: unknown word '%s'", argv[i]);
		if (i + 1 == argc)
			return refuse("%s: a value is missing", argv[i]);
		if (!strcmp(argv[i], "--group"))
			w->group = argv[i + 1];
		else
			error = metrics_address_parse(argv[i + 1], &w->metrics);
		i++;
	}
	if (!error && w->metrics_rules && !w->metrics.word)
		return refuse("--metrics-rules: without '--metrics'");
	return error;
}

static void close_run(struct run *r)
{
	int half;

	if (!r->begin_anew)
		stop_serving(r);
	supervisor_close(&r->supervisor);
	for (half = 0; half < HALVES; half++)
		close_fd(&r->lock[half]);
}

static void print_usage(void)
{
	printf("usage: shunt run [--group NAME] [--metrics ADDRESS:PORT [--metrics-rules]]\n\n"
	       "The supervisor, in the foreground.\n\n"
	       "  bypass    moves busy pairs to the fast path if their readers are fit for it, and back\n"
	       "            to TCP if TCP is faster; attaches again to cgroups that are made anew\n"
	       "  steering  attaches to interfaces that come later, by a pattern or made anew; makes\n"
	       "            the routing rules, their route and the settings of lo again if somebody\n"
	       "            changes them; moves its routing rules before those of others; finds the\n"
	       "            listeners of fragmented datagrams\n"
	       "  NAT       detaches what rules attached, when neither rules nor flows are left\n\n"
	       "It ends on SIGTERM, with all its pairs back on TCP, and when shunt is unloaded. It\n"
	       "notifies systemd when it is ready (Type=notify).\n\n"
	       "  --group NAME  the members of this group may change and list steering rules\n"
	       "                ('" RULE_GROUP "', if the host has it; 'root': nobody else)\n"
	       "  --metrics ADDRESS:PORT  serve metrics for Prometheus at /metrics; without ADDRESS at\n"
	       "                127.0.0.1. unix:PATH is a socket for root and the group\n"
	       "  --metrics-rules  with series for each steering rule (shunt metrics --rules)\n");
}

/* If the half is loaded, maps its settings and takes the lock that only one supervisor can hold.
 * Reports errors and returns -errno. */
static int open_half(struct run *r, enum half half)
{
	_cleanup_fd_ int inherited = run_inherited_lock(half);
	struct half_pins pins;
	int error = half_map(half, &pins);

	if (error || !pins.conf || !pins.attachments || !pins.conf->run.loaded)
		return error;
	r->lock[half] = inherited >= 0 ? take_fd(&inherited) : supervisor_lock(half);
	if (r->lock[half] == -EWOULDBLOCK)
		return deny(-EWOULDBLOCK, "a supervisor is running already for '%s'", opt.pin_dir);
	if (r->lock[half] < 0)
		return fail(r->lock[half], "can't start the supervisor");
	r->half[half] = pins;
	return 0;
}

/* The ring buffers of all halves that are loaded, as one. Reports errors and returns NULL. */
static struct ring_buffer *open_rings(const struct run *r)
{
	struct ring_buffer *ring = NULL;
	int half, error = 0;

	for (half = 0; half < HALVES && !error; half++) {
		_cleanup_fd_ int events = -1;

		if (!r->half[half].conf)
			continue;
		events = pin_open(half, "maps", "shunt_events");
		if (events < 0)
			error = events;
		else if (ring)
			error = ring_buffer__add(ring, events, event, NULL);
		else if (!(ring = ring_buffer__new(events, event, NULL, NULL)))
			error = -errno;
	}
	if (!error)
		return ring;
	fail(error, "can't open the ring buffer");
	ring_buffer__free(ring);
	return NULL;
}

static int watch_ifaces(struct run *r)
{
	int error;

	if (!attachments_have_ifaces(run_attachments(r)))
		return 0;
	error = netns_require_loaded();
	if (error)
		return error;
	r->rtnl_fd = ifaces_watch();
	return r->rtnl_fd < 0 ? fail(r->rtnl_fd, "can't watch the interfaces") : 0;
}

static bool is_of_other_version(void)
{
	_cleanup_lock_ int pins = pins_lock_any_version(false);

	return pins >= 0 && pins_are_of_other_version();
}

/* Whether one more upgrade has come while this process began anew after the one before. The program of
 * that version may be about to be installed: waits for two seconds at most. */
static bool is_upgraded_again(void)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	int i;

	for (i = 0; run_began_anew() && i < 40 && is_of_other_version(); i++) {
		if (run_program_is_replaced())
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

/* Opens all that the supervisor needs, while the pin directory is locked. Returns 0; 1 if there is
 * nothing left to do; or -errno after reporting it. */
static int open_run(struct run *r)
{
	_cleanup_lock_ int pins = pins_lock(false);
	int half, error = 0;
	bool any = false;

	if (pins < 0)
		return pins == -ENOENT ? run_nothing_loaded() : pins;
	for (half = 0; half < HALVES && !error; half++) {
		error = open_half(r, half);
		any |= r->half[half].conf != NULL;
	}
	if (error)
		return error;
	if (!any)
		return run_nothing_loaded();
	if (r->half[HALF_BYPASS].conf)
		error = supervisor_open(&r->supervisor, r->half[HALF_BYPASS].conf);
	if (error)
		return error == -ENOENT ? report_not_loaded()
					: fail(error, "can't start the supervisor");
	return watch_ifaces(r);
}

/* Serves what is loaded until that changes, or until it is told to end. Returns 1 if the process has
 * to begin anew. */
static int serve(const struct run_words *words, bool *ret_upgraded)
{
	_cleanup_fd_ int signals = signal_fd();
	struct ring_buffer *ring;
	_cleanup_(close_run) struct run r = {
		.rtnl_fd = -1,
		.links_changed = true,
		.supervisor = SUPERVISOR_CLOSED,
		.lock = { -1, -1, -1, -1 },
	};
	int half, error;

	*ret_upgraded = is_upgraded_again();
	if (*ret_upgraded)
		return 1;
	error = open_run(&r);
	if (error) {
		inherit_servers(&r, words);
		return error < 0 ? error : 0;
	}
	error = serve_others(&r, words);
	if (error)
		return error;
	ring = open_rings(&r);
	if (!ring)
		return -EIO;
	if (r.supervisor.scan_link >= 0)
		adopt_connections();
	error = loop(&r, ring, signals);
	ring_buffer__free(ring);
	for (half = 0; half < HALVES && (r.stopping || error); half++)
		if (r.half[half].conf)
			r.half[half].conf->run.beat_ns = 0;
	if (error || r.stopping)
		return error;
	*ret_upgraded = run_was_upgraded(&r);
	run_hand_on_locks(&r);
	if (*ret_upgraded)
		stop_serving(&r); /* by the former program */
	rule_server_hand_on(&r.rules);
	metrics_server_hand_on(&r.metrics);
	return 1;
}

int cmd_run(int argc, char **argv)
{
	struct run_words words = {};
	bool upgraded = false;
	int error;

	if (argc == 2 && !strcmp(argv[1], "help")) {
		print_usage();
		return 0;
	}
	error = parse_run(argc, argv, &words);
	if (error)
		return error;
	run_begin();
	error = serve(&words, &upgraded);
	if (error <= 0)
		return error;
	return run_begin_anew(upgraded);
}
