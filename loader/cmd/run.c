// SPDX-License-Identifier: GPL-2.0-only
/*
 * shunt run: the supervisor of 'proven' admission. It promotes pairs that are
 * busy and whose readers have shown that they can't tell, and takes out those
 * that no longer profit. The programs do the looking and the moving; here is
 * when. Without it the pairs stay as they are.
 *
 *   busy        WATCHED   the receive calls of both ends are seen
 *   clean       JOINING   waits for a moment with nothing unread
 *   both in     ACTIVE    until a verdict or an observer finds a reason
 *   reason      LEAVING   redirects only behind others that wait to be read
 *               EMPTYING  none; each end leaves the map once its queue is empty
 *   both out    WAITING   plain TCP, longer each time
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

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "attach/cgroups.h"
#include "attach/fragment_listeners.h"
#include "attach/ifaces.h"
#include "attach/policy_route.h"
#include "bpf/pins.h"
#include "bypass/adopt.h"
#include "bypass/pair_table.h"
#include "bypass/pairs.h"
#include "bypass/tracepoints.h"
#include "cmd/command.h"
#include "cmd/rule_socket.h"
#include "nat/nat_attach.h"
#include "nat/nat_store.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/options.h"
#include "util/sd_notify.h"

#define MS 1000000ULL

/* Of the clean receive calls that prove a reader, so many are the last ones. */
#define LATE_RECVS 16
/* LEAVING, while the reader reads but always has more to read. */
#define SOFT_MS 1000
/* The same for one that splices. */
#define SOFT_SPLICE_MS 20
/* Passes to wait for a quiet moment. */
#define MAX_TRIES 100
#define WATCH_MS 1000
#define PATIENCE_MS 1000
#define MAX_PATIENCE_MS 300000
/* A reader that splices will do it again. */
#define SPLICE_PATIENCE_MS 600000
/* How long the tracepoints stay after the last pair that needed them. */
#define LINGER_MS 100
/* Between two passes: something is moving, something is watched, nothing is. */
#define MOVE_MS 1
#define WATCH_PASS_MS 5
#define REST_MS 40
#define IDLE_MS 250
/* Passes take at most one part in so many of our time; while something moves or
 * is watched, the second. */
#define PASS_SHARE 50
#define HURRY_SHARE 4
#define LONGEST_MS 1000

/* LEAVING or EMPTYING that takes longer waits for a reader, and is not hurried. */
#define STUCK_AFTER_MS 200

/* How long redirected bytes may wait for a reader that splices. */
#define STUCK_MS 2000

/* Listeners of fragmented datagrams are looked for at most so often. */
#define GATHER_MS 500
/* How often the cgroups are looked at. */
#define CGROUPS_MS 250
/* How often NAT that its rules attached is asked whether it is needed. */
#define NAT_MS 1000

struct run {
	struct shunt_conf *conf;
	struct pair_table table;
	const struct shunt_exclude *excludes;
	int scan;          /* iterator link */
	int asks, splices; /* maps */
	int recv, send, read, ioctl; /* tracepoint links, -1 when not attached */
	__u32 used;
	__u32 watched;     /* pairs WATCHED */
	__u32 moving;      /* pairs JOINING, LEAVING, EMPTYING */
	__u32 stuck;       /* of them, those whose readers let them wait */
	__u32 active;
	__u64 needed_ns;   /* when the tracepoints were last needed */
	bool stopping;
	__u32 splicers;    /* of conf->splicers, those that we know of */
	bool news;         /* there are others */
	struct shunt_state *states;
	int links;         /* tells of interfaces, -1 if none are wanted */
	bool links_changed;
	__u64 gathered_ns; /* when listeners were last looked for */
	__u64 nat_ns;      /* when NAT was last asked */
	__u64 cgroups_ns;  /* when the cgroups were last looked at */
	struct cgroups cgroups;
	struct rule_server rules;
};

static __u64 clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static __u64 now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* entries of shunt_pairs */

static void set_stage(struct shunt_pair *p, enum shunt_stage stage)
{
	p->since_ns = now_ns();
	__atomic_store_n(&p->stage, stage, __ATOMIC_SEQ_CST);
}

/* What was clean but too little the last time counts on, but for what has to be
 * seen now. */
static void watch(struct run *r, struct shunt_pair *p)
{
	const __u32 most = p->why == WHY_WATCHED ? SHUNT_CLEAN_RECVS - LATE_RECVS : 0;
	int i;

	for (i = 0; i < 2; i++) {
		if (p->end[i].recvs > most)
			p->end[i].recvs = most;
		p->end[i].fault = 0;
		p->end[i].quiet = 0;
		p->end[i].dry = p->end[i].dry_rows = 0;
	}
	p->tries = 0;
	r->watched++; /* the observers are attached, and the next pass made, at once */
	set_stage(p, STAGE_WATCHED);
}

/* The next wait, in ms: four times the last one, or a fourth of it if the pair was on
 * the fast path for longer than it had waited. */
static __u32 next_patience(__u32 last_ms, __u64 active_ms)
{
	__u32 ms = active_ms > last_ms ? last_ms / 4 : last_ms * 4;

	if (ms < PATIENCE_MS)
		return PATIENCE_MS;
	return ms < MAX_PATIENCE_MS ? ms : MAX_PATIENCE_MS;
}

static void wait_longer(struct shunt_pair *p, __u32 why)
{
	__u64 now = now_ns();

	p->patience_ms = next_patience(p->patience_ms, p->active_ns ? (now - p->active_ns) / MS : 0);
	p->active_ns = 0;
	p->why = why;
	p->retry_ns = now + (why == WHY_SPLICE ? SPLICE_PATIENCE_MS : p->patience_ms) * MS;
	set_stage(p, STAGE_WAITING);
}

/* Has the process spliced lately? */
static bool tainted(const struct run *r, __u32 tgid)
{
	__u64 at_ns;

	return tgid && !bpf_map_lookup_elem(r->splices, &tgid, &at_ns) &&
	       now_ns() - at_ns < SPLICE_PATIENCE_MS * MS;
}

static bool excluded(const struct run *r, const struct shunt_end *end)
{
	__u32 i;

	for (i = 0; i < r->conf->excludes; i++)
		if (r->excludes[i].kind == EXCLUDE_PROCESS &&
		    !strncmp(r->excludes[i].comm, end->comm, SHUNT_COMM))
			return true;
	return false;
}

/* tracepoints */

/* The one that tells splice stays while there are members, also when this
 * process dies. */
static void set_tracepoints(struct run *r)
{
	__u64 now = now_ns();
	bool watching;

	r->conf->watching = r->watched;
	if (r->watched)
		r->needed_ns = now;
	watching = now - r->needed_ns < LINGER_MS * MS;
	want_tracepoint(&r->recv, "shunt_recv", watching && r->conf->sees_flags);
	want_tracepoint(&r->send, "shunt_send", watching && r->conf->sees_flags);
	want_tracepoint(&r->ioctl, "shunt_ioctl", watching && r->conf->fionread_faulty);
	want_pinned(&r->read, "shunt_read", watching || r->active || r->moving);
}

/* the steps of one pair */

static __u32 fault(const struct run *r, const struct shunt_pair *p)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (p->end[i].fault)
			return p->end[i].fault;
		if (tainted(r, p->end[i].tgid))
			return WHY_TAINTED;
	}
	return 0;
}

/* The same for what need not be asked at every pass. */
static __u32 owner_fault(const struct run *r, struct shunt_pair *p)
{
	__u32 one;
	int i;

	for (i = 0; i < 2; i++) {
		if (excluded(r, &p->end[i]))
			return p->end[i].fault = WHY_EXCLUDED;
		if (r->conf->fionread_faulty && !bpf_map_lookup_elem(r->asks, &p->end[i].tgid, &one))
			return p->end[i].fault = WHY_FIONREAD;
	}
	return 0;
}

/* Bytes one way, so many that a reader never has none to read. */
static bool streams(const struct shunt_end *reader, const struct shunt_end *sender)
{
	return reader->recvs >= SHUNT_CLEAN_RECVS && !sender->recvs && !reader->quiet;
}

static void step_watched(struct run *r, struct shunt_pair *p)
{
	const struct shunt_end *e = p->end;
	__u32 why = fault(r, p);

	if (why)
		wait_longer(p, why);
	else if (streams(&e[0], &e[1]) || streams(&e[1], &e[0]))
		wait_longer(p, WHY_STREAM);
	else if ((e[0].recvs >= SHUNT_CLEAN_RECVS || !e[0].recvs) &&
		 (e[1].recvs >= SHUNT_CLEAN_RECVS || !e[1].recvs) && (e[0].recvs || e[1].recvs))
		(why = owner_fault(r, p)) ? wait_longer(p, why) : set_stage(p, STAGE_JOINING);
	else if (now_ns() - p->since_ns > WATCH_MS * MS)
		wait_longer(p, WHY_WATCHED);
}

static void step_joining(struct run *r, struct shunt_pair *p)
{
	__u32 why = fault(r, p);

	if (!why && p->end[0].member && p->end[1].member) {
		p->tries = 0;
		p->active_ns = now_ns();
		if (__sync_bool_compare_and_swap(&p->stage, STAGE_JOINING, STAGE_ACTIVE))
			r->conf->promoted++;
		return;
	}
	if (!why && ++p->tries <= MAX_TRIES)
		return;
	p->why = why ? why : WHY_JOINING;
	p->tries = 0;
	if (p->end[0].member || p->end[1].member)
		set_stage(p, STAGE_LEAVING);
	else
		wait_longer(p, p->why);
}

/* When it last sent something, for the day when others need its entry. */
static void note_use(struct shunt_pair *p)
{
	__u64 msgs = p->end[0].msgs + p->end[1].msgs;

	if (msgs != p->busy_msgs)
		p->busy_ns = now_ns();
	p->busy_msgs = msgs;
}

/* A process of ours has begun to splice. */
static void step_active(struct run *r, struct shunt_pair *p)
{
	if (!tainted(r, p->end[0].tgid) && !tainted(r, p->end[1].tgid))
		return;
	if (__sync_bool_compare_and_swap(&p->stage, STAGE_ACTIVE, STAGE_LEAVING))
		p->why = WHY_TAINTED;
}

/* A reader that splices and never receives the bytes redirected before can't
 * be given them: its connection ends with a reset, not with wrong bytes. */
static void reset_stuck(struct shunt_pair *p)
{
	int i;

	if (now_ns() - p->since_ns < STUCK_MS * MS)
		return;
	for (i = 0; i < 2; i++)
		if (p->end[i].fault == WHY_SPLICE && p->end[i].queued) {
			say("reset a connection of process %u: it received, then spliced", p->end[i].tgid);
			p->end[i].reset = 1;
			iter_everywhere("shunt_reset");
		}
	p->since_ns = now_ns();
}

static void step_emptying(struct run *r, struct shunt_pair *p)
{
	if (p->end[0].member || p->end[1].member) {
		reset_stuck(p);
		return;
	}
	r->conf->demoted++;
	wait_longer(p, p->why);
}

/* A closed socket is out of the map and met no more. */
static bool gone(const struct run *r, const struct shunt_end *end)
{
	return r->conf->pass - end->seen > 1;
}

static void step(struct run *r, struct shunt_pair *p)
{
	int i;

	for (i = 0; i < 2; i++)
		if (gone(r, &p->end[i]))
			p->end[i].member = 0;
	if (gone(r, &p->end[0]) && gone(r, &p->end[1])) {
		pair_table_free(&r->table, p);
		return;
	}
	if (r->stopping && (p->stage == STAGE_ACTIVE || p->stage == STAGE_JOINING)) {
		p->why = WHY_PATIENCE;
		set_stage(p, STAGE_LEAVING);
	}
	switch (p->stage) {
	case STAGE_WATCHED:
		step_watched(r, p);
		break;
	case STAGE_JOINING:
		step_joining(r, p);
		break;
	case STAGE_ACTIVE:
		note_use(p);
		if (r->news)
			step_active(r, p);
		break;
	case STAGE_LEAVING:
		if (!p->tries++)
			p->since_ns = now_ns();
		break;
	case STAGE_EMPTYING:
		step_emptying(r, p);
		break;
	}
}

static bool splices(const struct shunt_pair *p)
{
	return p->end[0].fault == WHY_SPLICE || p->end[1].fault == WHY_SPLICE;
}

/* Seen with nothing queued, or not so for too long. Behind what nobody reads
 * nothing goes by TCP: see may_queue_up(). */
static bool may_empty(const struct shunt_pair *p)
{
	if (p->stage != STAGE_LEAVING)
		return false;
	if (!p->end[0].queued && !p->end[1].queued)
		return p->tries > 1;
	if (splices(p))
		return now_ns() - p->since_ns > SOFT_SPLICE_MS * MS;
	return now_ns() - p->since_ns > SOFT_MS * MS && !p->end[0].stalled && !p->end[1].stalled;
}

/* Redirects that began before their pair was EMPTYING are over after a wait, one
 * for all; those behind redirected bytes of a reader that splices go on until
 * there are none. */
static void settle(struct run *r)
{
	bool wait = false;
	struct shunt_pair *p;

	for (p = &r->table.pairs[1]; p < &r->table.pairs[r->table.end]; p++) {
		if (may_empty(p)) {
			p->end[0].queued = p->end[1].queued = 1;
			set_stage(p, STAGE_EMPTYING);
			p->tries = ~0U;
		}
		if (p->stage == STAGE_EMPTYING && (p->tries == ~0U || splices(p)))
			wait = true;
	}
	if (!wait)
		return;
	wait = wait_programs();
	for (p = &r->table.pairs[1]; p < &r->table.pairs[r->table.end]; p++)
		if (p->stage == STAGE_EMPTYING && p->tries == ~0U) {
			p->tries = 0;
			if (wait)
				set_stage(p, STAGE_LEAVING);
		}
}

static bool is_stuck(const struct shunt_pair *p)
{
	return (p->stage == STAGE_LEAVING || p->stage == STAGE_EMPTYING) &&
	       (p->end[0].queued || p->end[1].queued) &&
	       now_ns() - p->since_ns > STUCK_AFTER_MS * MS;
}

static void step_all(struct run *r)
{
	__u32 splicers = r->conf->splicers;
	struct shunt_pair *p;

	r->news = r->splicers != splicers;
	r->splicers = splicers;
	r->watched = r->moving = r->stuck = r->active = r->used = 0;
	for (p = &r->table.pairs[1]; p < &r->table.pairs[r->table.end]; p++) {
		if (p->stage == STAGE_FREE)
			continue;
		step(r, p);
		r->used += p->stage != STAGE_FREE;
		r->watched += p->stage == STAGE_WATCHED;
		r->active += p->stage == STAGE_ACTIVE;
		r->moving += p->stage == STAGE_JOINING || p->stage == STAGE_LEAVING ||
			     p->stage == STAGE_EMPTYING;
		r->stuck += is_stuck(p);
	}
	settle(r);
}

/* Small messages one way, of a pair that is vouched for. */
static bool is_small_stream(const struct shunt_row *rows, size_t n, const struct shunt_sk *sk)
{
	size_t i;

	if (sk->run_msgs < SHUNT_STREAM_MSGS || sk->run_bytes / SHUNT_STREAM_MEAN >= sk->run_msgs)
		return false;
	for (i = 0; i < n; i++)
		if (rows[i].sk.cookie == sk->peer_cookie)
			return rows[i].sk.run_msgs <= sk->run_msgs / SHUNT_STREAM_SHARE;
	return true;
}

/* Out of the map, though who vouched for it did so for good: TCP is faster. Its
 * readers were to take what comes, so it need not wait for a quiet moment. */
static bool leave_vouched(struct run *r, const struct shunt_row *row, enum shunt_why why)
{
	struct shunt_pair *p = pair_table_add(&r->table, row, now_ns());

	if (!p)
		return false;
	p->end[0].member = p->end[1].member = 1;
	p->why = why;
	set_stage(p, STAGE_LEAVING);
	p->since_ns -= SOFT_MS * MS;
	p->tries = 1;
	return true;
}

/* What the pass printed: plain pairs that are busy, and vouched ones. */
static void consider(struct run *r, const struct shunt_row *rows, size_t n)
{
	_cleanup_free_ struct shunt_row *none = NULL;
	struct shunt_pair *p;
	bool assign = false, watched = false;
	enum shunt_why why;
	size_t i, ignored;
	__u32 slot;

	for (i = 0; i < n && !r->stopping; i++) {
		const struct shunt_sk *sk = &rows[i].sk;

		if (sk->slot && sk->slot < SHUNT_PAIRS) {
			p = &r->table.pairs[sk->slot];
			if (p->stage != STAGE_WAITING || p->end[!sk->active].cookie != sk->cookie)
				continue;
			p->busy_ns = now_ns();
			if (p->busy_ns >= p->retry_ns)
				watch(r, p);
		} else if (!bpf_map_lookup_elem(r->table.slot_map, &sk->cookie, &slot)) {
			continue;
		} else if (sk->vouched) {
			why = sk->contended == SHUNT_CONTENDED ? WHY_POLLS :
			      is_small_stream(rows, n, sk) ? WHY_STREAM : WHY_REDIRECTED;
			assign |= why && leave_vouched(r, &rows[i], why);
		} else if ((p = pair_table_add(&r->table, &rows[i], now_ns()))) {
			watch(r, p);
			assign = watched = true;
		}
	}
	if (!assign)
		return;
	if (watched)
		r->conf->watching = 1;
	r->conf->assign = 1;
	iter_run(r->scan, &none, &ignored);
	r->conf->assign = 0;
}

/* One pass; returns what it took of a CPU, in ns. */
static __u64 pass(struct run *r)
{
	_cleanup_free_ struct shunt_row *rows = NULL;
	__u64 start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	size_t n = 0;

	r->conf->pass++;
	r->conf->met = 0;
	if (iter_run(r->scan, &rows, &n))
		return 0;
	pair_table_begin_pass(&r->table, now_ns());
	step_all(r);
	r->conf->entries = r->used;
	bypass_kick(r->conf);
	consider(r, rows, n);
	set_tracepoints(r);
	return clock_ns(CLOCK_THREAD_CPUTIME_ID) - start;
}

static int longer(int ms, __u64 took_ns, int share)
{
	__u64 least = took_ns * share / MS;

	if (least > LONGEST_MS)
		return LONGEST_MS;
	return least > (__u64)ms ? (int)least : ms;
}

static int pause_ms(struct run *r, __u64 took_ns)
{
	if (r->scan < 0)
		return IDLE_MS;
	if (r->moving > r->stuck)
		return longer(MOVE_MS, took_ns, HURRY_SHARE);
	if (r->watched)
		return longer(WATCH_PASS_MS, took_ns, HURRY_SHARE);
	if (!r->conf->met) {
		/* The next pair wakes us, unless it came meanwhile. */
		r->conf->idle = 1;
		return IDLE_MS;
	}
	return longer(REST_MS, took_ns, PASS_SHARE);
}

/* Interfaces, or routing rules, came or went. Whoever holds the lock may wait for us to end. */
static void follow_links(struct run *r)
{
	_cleanup_fd_ int lock = -1;
	unsigned int n;

	if (r->links < 0)
		return;
	r->links_changed |= ifaces_changed(r->links);
	if (!r->links_changed || r->stopping)
		return;
	lock = pins_trylock();
	if (lock < 0 || !r->conf->loaded)
		return;
	r->links_changed = false;
	route_restore(r->conf, &n);
	ifaces_sync(r->conf, r->states);
}

/* Cgroups were removed and made again, as those of a service that restarts. Their
 * connections may be older than the attachment. */
static void follow_cgroups(struct run *r)
{
	_cleanup_fd_ int lock = -1;

	if (r->stopping || now_ns() - r->cgroups_ns < CGROUPS_MS * MS)
		return;
	r->cgroups_ns = now_ns();
	if (!cgroups_changed(&r->cgroups, r->states))
		return;
	lock = pins_trylock();
	if (lock >= 0 && r->conf->loaded && cgroups_sync(&r->cgroups, r->states))
		adopt_connections();
}

/* Fragmented datagrams want a listener; it may not be there. */
static void find_listeners(struct run *r)
{
	if (!r->conf->wanted || now_ns() - r->gathered_ns < GATHER_MS * MS)
		return;
	r->gathered_ns = now_ns();
	__atomic_store_n(&r->conf->wanted, 0, __ATOMIC_SEQ_CST);
	listeners_gather();
}

static void detach_nat(struct run *r)
{
	_cleanup_fd_ int lock = -1;

	if (r->stopping || now_ns() - r->nat_ns < NAT_MS * MS)
		return;
	r->nat_ns = now_ns();
	if (!nat_attached(r->states))
		return;
	lock = pins_trylock();
	if (lock >= 0 && r->conf->loaded && !nat_store_open())
		nat_rest(r->states);
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
	__u64 now = now_ns();

	if (now - r->conf->beat_ns >= SHUNT_BEAT_NS) /* every verdict reads it */
		__atomic_store_n(&r->conf->beat_ns, now, __ATOMIC_RELAXED);
}

/* epoll_wait() for one event, with heartbeats. */
static int wait_event(struct run *r, int ep, struct epoll_event *e, int ms)
{
	const int step = SHUNT_BEAT_NS / MS;
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

static int loop(struct run *r, struct ring_buffer *ring, int signals)
{
	_cleanup_fd_ int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event on_signal = { .events = EPOLLIN, .data.u32 = 1 };
	struct epoll_event on_ring = { .events = EPOLLIN };
	struct epoll_event e;
	__u64 took = 0, stop_ns = 0;

	if (signals < 0 || ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, signals, &on_signal) ||
	    epoll_ctl(ep, EPOLL_CTL_ADD, ring_buffer__epoll_fd(ring), &on_ring) ||
	    (r->links >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, r->links, &on_ring)))
		return fail(-errno, "can't wait for events");
	follow_links(r);
	beat(r);
	notify("READY=1");
	while (r->conf->loaded) {
		if (r->scan >= 0)
			took = pass(r);
		if (r->stopping && ((!r->active && !r->moving) || now_ns() > stop_ns))
			break;
		if (wait_event(r, ep, &e, pause_ms(r, took)) > 0 && e.data.u32 && !r->stopping) {
			notify("STOPPING=1");
			r->stopping = true;
			stop_ns = now_ns() + 2000 * MS;
		}
		ring_buffer__consume(ring);
		follow_links(r);
		follow_cgroups(r);
		find_listeners(r);
		detach_nat(r);
		rule_server_keep(&r->rules);
	}
	return 0;
}

/* A host where the socket can't be made goes on without it, unless it was asked for. */
static int serve_rules(struct run *r, const char *group)
{
	gid_t id = 0;
	int error = rule_group(group, &id);

	if (!error)
		error = rule_server_start(&r->rules, id);
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

static void stop_rules(struct run *r)
{
	rule_server_stop(&r->rules);
}

int cmd_run(int argc, char **argv)
{
	_cleanup_fd_ int lock = -1, events = -1, pins = -1, signals = -1;
	struct ring_buffer *ring;
	_cleanup_(stop_rules) struct run r = {
		.recv = -1, .send = -1, .read = -1, .ioctl = -1, .table = { .end = 1, .first_free = 1 },
		.links = -1, .links_changed = true,
	};
	const char *group = NULL;
	__u32 i;
	int error;

	if (argc == 2 && !strcmp(argv[1], "help")) {
		printf("usage: shunt run [--group NAME]\n\n"
		       "The supervisor, in the foreground. Of the bypass: promotes pairs that have earned\n"
		       "the fast path and takes out those that do not profit, and attaches again to cgroups\n"
		       "that were removed and made anew. Of steering: attaches\n"
		       "to interfaces that come later, by a pattern or made anew, forgets those that go,\n"
		       "makes the routing rule again if somebody removes it, and finds the listeners of\n"
		       "fragmented datagrams. Of NAT: detaches what rules attached when neither rules nor\n"
		       "flows are left. Ends on SIGTERM, with all its pairs back on TCP, and when shunt is\n"
		       "unloaded.\n"
		       "Tells systemd when it is ready (Type=notify).\n\n"
		       "  --group NAME  the members of this group may change and list steering rules\n"
		       "                ('" RULE_GROUP "', if the host has it; 'root': nobody else)\n");
		return 0;
	}
	error = parse_run(argc, argv, &group);
	if (error)
		return error;
	pins = pins_lock(false);
	if (pins == -ENOENT)
		return not_loaded();
	if (pins < 0)
		return pins;
	signals = signal_fd();
	lock = supervisor_lock();
	if (lock == -EWOULDBLOCK)
		return deny(lock, "a supervisor is running already for '%s'", opt.pin_dir);
	if (lock < 0)
		return not_loaded();
	error = serve_rules(&r, group);
	if (error)
		return error;
	r.conf = pin_mmap("shunt_conf", NULL);
	r.table.conf = r.conf;
	r.table.pairs = pin_mmap("shunt_pairs", NULL);
	r.excludes = pin_mmap("shunt_exclude", NULL);
	r.scan = iter_link("shunt_scan", "shunt_sk");
	r.table.slot_map = pin_open("maps", "shunt_slot");
	r.asks = pin_open("maps", "shunt_asks");
	r.splices = pin_open("maps", "shunt_splices");
	events = pin_open("maps", "shunt_events");
	r.states = pin_mmap("shunt_state", NULL);
	if (!r.conf || !r.conf->loaded || !r.states || !r.table.pairs || !r.excludes || r.table.slot_map < 0 ||
	    r.asks < 0 || r.splices < 0 || events < 0)
		return not_loaded();
	if (ifaces_wanted(r.states)) {
		error = at_home();
		if (error)
			return error;
		r.links = ifaces_watch();
	}
	close(take_fd(&pins));
	r.conf->assign = 0; /* the last one may have died with it set */
	for (i = 1; i < SHUNT_PAIRS; i++)
		if (r.table.pairs[i].stage != STAGE_FREE)
			r.table.end = i + 1;
	ring = ring_buffer__new(events, event, NULL, NULL);
	if (!ring)
		return fail(-errno, "can't open the ring buffer");
	if (r.scan >= 0)
		adopt_connections();
	error = loop(&r, ring, signals);
	r.conf->beat_ns = 0;
	ring_buffer__free(ring);
	return error;
}
