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
#include <unistd.h>

#include <bpf/libbpf.h>

#include "attach/cgroups.h"
#include "attach/fragment_listeners.h"
#include "attach/ifaces.h"
#include "attach/loopback.h"
#include "attach/policy_route.h"
#include "bpf/pins.h"
#include "bypass/adopt.h"
#include "bypass/supervisor.h"
#include "cmd/command.h"
#include "cmd/rule_socket.h"
#include "nat/nat_attach.h"
#include "nat/nat_store.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/options.h"
#include "util/sd_notify.h"

/* How long pairs have for leaving the fast path at the end. */
#define STOP_MS 2000
/* Time between two searches for the listeners of fragmented datagrams: while one is missing, and
 * after one was bound. */
#define COLLECT_MS 500
#define COLLECT_BOUND_MS 5
/* Pause after a sync of the interfaces that failed for lack of files or memory. */
#define RETRY_MS 1000
/* Time between two checks of the cgroups, */
#define CGROUPS_MS 250
/* of the settings of lo, */
#define LO_MS 1000
/* and of whether NAT that rules attached is still needed. */
#define NAT_MS 1000

struct run {
	struct shunt_conf *conf;
	struct shunt_attachment *attachments;
	struct supervisor supervisor;
	int rtnl_fd; /* reports changes of interfaces and routing rules; -1: steering is not loaded */
	bool links_changed;
	__u64 links_retry_ns; /* no sync before this time */
	bool stopping;
	__u64 stop_ns; /* when the command ends, even if pairs are still on the fast path */
	__u64 listeners_searched_ns;
	__u64 nat_checked_ns;
	__u64 lo_checked_ns;
	__u64 cgroups_checked_ns;
	struct cgroups cgroups;
	struct rule_server rules;
};

static int sync_links(struct run *r)
{
	unsigned int n;
	int error = route_restore(r->conf, &n);

	return error ? error : ifaces_sync(r->conf, r->attachments);
}

/* Interfaces, or routing rules, came or went. This does not wait for the lock, because the command
 * that holds it may be an unload that waits for this process to end. */
static void follow_links(struct run *r)
{
	_cleanup_lock_ int lock = -1;

	if (r->rtnl_fd < 0)
		return;
	r->links_changed |= ifaces_changed(r->rtnl_fd);
	if (!r->links_changed || r->stopping || monotonic_ns() < r->links_retry_ns)
		return;
	lock = pins_trylock();
	if (lock < 0 || !r->conf->run.loaded)
		return;
	r->links_changed = false;
	if (!is_shortage(sync_links(r)))
		return;
	r->links_changed = true;
	r->links_retry_ns = monotonic_ns() + RETRY_MS * NS_PER_MS;
}

/* Cgroups were removed and made again, as those of a service that restarts. Their
 * connections may be older than the attachment. */
static void follow_cgroups(struct run *r)
{
	_cleanup_lock_ int lock = -1;

	if (r->stopping || monotonic_ns() - r->cgroups_checked_ns < CGROUPS_MS * NS_PER_MS)
		return;
	r->cgroups_checked_ns = monotonic_ns();
	if (!cgroups_changed(&r->cgroups, r->attachments))
		return;
	lock = pins_trylock();
	if (lock >= 0 && r->conf->run.loaded && cgroups_sync(&r->cgroups, r->attachments))
		adopt_connections();
}

/* Searches the listeners of fragmented datagrams if a program wants one. Returns how many ms to
 * wait until the next search, at most ms. */
static int find_listeners(struct run *r, int ms)
{
	__u32 why = __atomic_load_n(&r->conf->run.listeners_wanted, __ATOMIC_SEQ_CST);
	__u64 pause_ns = (why == COLLECT_BOUND ? COLLECT_BOUND_MS : COLLECT_MS) * NS_PER_MS;

	if (!why || !r->conf->run.loaded)
		return ms;
	if (monotonic_ns() - r->listeners_searched_ns < pause_ns)
		return why == COLLECT_BOUND && ms > COLLECT_BOUND_MS ? COLLECT_BOUND_MS : ms;
	r->listeners_searched_ns = monotonic_ns();
	__atomic_store_n(&r->conf->run.listeners_wanted, COLLECT_NOT, __ATOMIC_SEQ_CST);
	listeners_collect();
	return ms;
}

static void detach_nat(struct run *r)
{
	_cleanup_lock_ int lock = -1;

	if (r->stopping || monotonic_ns() - r->nat_checked_ns < NAT_MS * NS_PER_MS)
		return;
	r->nat_checked_ns = monotonic_ns();
	if (!nat_attached(r->attachments))
		return;
	lock = pins_trylock();
	if (lock >= 0 && r->conf->run.loaded && !nat_store_open())
		nat_detach_unused(r->attachments);
}

/* No event tells that a setting of lo was changed, by 'sysctl --system' for example. */
static void keep_lo(struct run *r)
{
	_cleanup_fd_ int lock = -1;

	if (r->rtnl_fd < 0 || r->stopping || monotonic_ns() - r->lo_checked_ns < LO_MS * NS_PER_MS)
		return;
	r->lo_checked_ns = monotonic_ns();
	if (!loopback_lost_setting(r->conf))
		return;
	lock = pins_trylock();
	if (lock >= 0 && r->conf->run.loaded && !loopback_reassert(r->conf))
		say("set again what somebody had changed in net.ipv4.conf.lo");
}

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

	if (now - r->conf->run.beat_ns >= SHUNT_BEAT_NS) /* every verdict reads it */
		__atomic_store_n(&r->conf->run.beat_ns, now, __ATOMIC_RELAXED);
}

/* epoll_wait() for one event, with heartbeats. */
static int wait_event(struct run *r, int ep, struct epoll_event *e, int ms)
{
	const int step = SHUNT_BEAT_NS / NS_PER_MS;
	int n;

	for (; ms > step; ms -= step) {
		beat(r);
		n = epoll_wait(ep, e, 1, step);
		if (n)
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
	follow_links(r);
	listeners_collect_again();
	beat(r);
	notify_service_manager("READY=1");
	while (r->conf->run.loaded) {
		ms = supervisor_scan(&r->supervisor);
		if (is_over(r))
			break;
		if (wait_event(r, ep, &e, find_listeners(r, ms)) > 0 && e.data.u32 && !r->stopping)
			stop(r);
		ring_buffer__consume(ring);
		follow_links(r);
		follow_cgroups(r);
		detach_nat(r);
		keep_lo(r);
		rule_server_keep(&r->rules);
	}
	return 0;
}

static int start_server(struct run *r, const char *group)
{
	gid_t id = 0;
	int error = rule_group(group, &id);

	return error ? error : rule_server_start(&r->rules, id);
}

/* Without --group a failure is no error: only root can change rules then. */
static int serve_rules(struct run *r, const char *group)
{
	int error = start_server(r, group);

	return group ? error : 0;
}

static int parse_run(int argc, char **argv, const char **ret_group)
{
	if (argc == 1)
		return 0;
	if (strcmp(argv[1], "--group"))
		return refuse("run: unknown word '%s'", argv[1]);
	if (argc == 2)
		return refuse("--group: a value is missing");
	if (argc > 3)
		return refuse("run: '%s' is one word too many", argv[3]);
	*ret_group = argv[2];
	return 0;
}

static void close_run(struct run *r)
{
	rule_server_stop(&r->rules);
	supervisor_close(&r->supervisor);
}

static void print_usage(void)
{
	printf("usage: shunt run [--group NAME]\n\n"
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
	       "                ('" RULE_GROUP "', if the host has it; 'root': nobody else)\n");
}

/* Maps the settings and opens the ring buffer. Returns 0, or -errno after reporting it. */
static int open_settings(struct run *r, int *ret_events)
{
	int error = 0;

	r->conf = pin_mmap("shunt_conf", NULL);
	*ret_events = pin_open("maps", "shunt_events");
	r->attachments = pin_mmap("shunt_attachment", NULL);
	if (!r->conf || !r->attachments || *ret_events < 0)
		error = *ret_events < 0 ? *ret_events : -errno;
	if (error && error != -ENOENT)
		return fail(error, "can't open the settings in '%s'", opt.pin_dir);
	return error || !r->conf->run.loaded ? report_not_loaded() : 0;
}

/* Takes the lock that only one supervisor has. Returns its fd, or -errno after reporting. */
static int lock_supervisor(void)
{
	int lock = supervisor_lock();

	if (lock == -EWOULDBLOCK)
		return deny(lock, "a supervisor is running already for '%s'", opt.pin_dir);
	if (lock < 0)
		return lock == -ENOENT ? report_not_loaded()
				       : fail(lock, "can't start the supervisor");
	return lock;
}

static int watch_ifaces(struct run *r)
{
	int error;

	if (!attachments_have_ifaces(r->attachments))
		return 0;
	error = netns_require_loaded();
	if (error)
		return error;
	r->rtnl_fd = ifaces_watch();
	return r->rtnl_fd < 0 ? fail(r->rtnl_fd, "can't watch the interfaces") : 0;
}

/* Opens all that the supervisor needs, while the pin directory is locked. */
static int open_run(struct run *r, int *ret_lock, int *ret_events)
{
	_cleanup_lock_ int pins = pins_lock(false);
	int error;

	if (pins < 0)
		return pins == -ENOENT ? report_not_loaded() : pins;
	*ret_lock = lock_supervisor();
	if (*ret_lock < 0)
		return *ret_lock;
	error = open_settings(r, ret_events);
	if (error)
		return error;
	error = supervisor_open(&r->supervisor, r->conf);
	if (error)
		return error == -ENOENT ? report_not_loaded()
					: fail(error, "can't start the supervisor");
	return watch_ifaces(r);
}

int cmd_run(int argc, char **argv)
{
	_cleanup_fd_ int lock = -1, events = -1, signals = -1;
	struct ring_buffer *ring;
	_cleanup_(close_run) struct run r = {
		.rtnl_fd = -1,
		.links_changed = true,
		.supervisor = SUPERVISOR_CLOSED,
	};
	const char *group = NULL;
	int error;

	if (argc == 2 && !strcmp(argv[1], "help")) {
		print_usage();
		return 0;
	}
	error = parse_run(argc, argv, &group);
	if (error)
		return error;
	signals = signal_fd();
	error = open_run(&r, &lock, &events);
	if (error)
		return error;
	error = serve_rules(&r, group);
	if (error)
		return error;
	ring = ring_buffer__new(events, event, NULL, NULL);
	if (!ring)
		return fail(-errno, "can't open the ring buffer");
	if (r.supervisor.scan_link >= 0)
		adopt_connections();
	error = loop(&r, ring, signals);
	r.conf->run.beat_ns = 0;
	ring_buffer__free(ring);
	return error;
}
