// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/teardown.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "attach/attach.h"
#include "attach/loopback.h"
#include "attach/policy_route.h"
#include "bpf/pins.h"
#include "bypass/drain.h"
#include "bypass/holders.h"
#include "bypass/lingering.h"
#include "bypass/pairs.h"
#include "cmd/kept_rules.h"
#include "cmd/next_half.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/options.h"
#include "util/text.h"

#define SUPERVISOR_WAITS 500 /* of 10 ms */

void print_left(FILE *out, const struct shunt_row *rows, size_t n)
{
	char a[ENDPOINT_TEXT], b[ENDPOINT_TEXT], process[64];
	struct holder h;
	size_t i;

	for (i = 0; i < n; i++) {
		holder_find(rows[i].sk.cookie, &h);
		*process = '\0';
		if (h.pid)
			snprintf(process, sizeof(process), ", process %d (%s)", h.pid, h.name);
		fprintf(out, "  %s <- %s holds %llu bytes%s\n",
			endpoint_text(a, rows[i].family, rows[i].local, rows[i].local_port),
			endpoint_text(b, rows[i].family, rows[i].remote, rows[i].remote_port),
			(unsigned long long)rows[i].queued, printable(process));
	}
}

static int report_left(const struct shunt_row *rows, size_t n)
{
	if (!n)
		return deny(-READERS_LEFT,
			    "sockets that no process has open are still on the fast path; what they "
			    "need stays pinned in '%s' until their bytes are read",
			    opt.pin_dir);
	deny(-READERS_LEFT,
	     "%zu socket%s still on the fast path; readers would lose bytes, so what they need "
	     "stays pinned in '%s' until the bytes are read",
	     n, n == 1 ? " is" : "s are", opt.pin_dir);
	print_left(stderr, rows, n);
	return -READERS_LEFT;
}

/* How long a connection that was reset has for leaving the fast path. */
#define RESET_MS 1000

static void reset_left(const struct shunt_row *rows, size_t n)
{
	char a[ENDPOINT_TEXT], b[ENDPOINT_TEXT];
	size_t i;

	for (i = 0; i < n; i++)
		if (holder_reset(rows[i].sk.cookie))
			say("reset %s <- %s, which held %llu bytes",
			    endpoint_text(a, rows[i].family, rows[i].local, rows[i].local_port),
			    endpoint_text(b, rows[i].family, rows[i].remote, rows[i].remote_port),
			    (unsigned long long)rows[i].queued);
}

/* Takes all sockets of a bypass off the fast path. */
static int drain(enum half half, const struct teardown *t)
{
	_cleanup_free_ struct shunt_row *left = NULL, *stuck = NULL;
	size_t n = 0, n_stuck = 0;
	int error = bypass_drain(half, DRAIN_ALL, t->timeout_ms, &left, &n);

	if (error == -READERS_LEFT && t->reset) {
		reset_left(left, n);
		error = bypass_drain(half, DRAIN_RESET, RESET_MS, &stuck, &n_stuck);
		return error == -READERS_LEFT ? report_left(stuck, n_stuck) : error;
	}
	return error == -READERS_LEFT && !t->quiet ? report_left(left, n) : error;
}

/* Waits until the supervisor has let go of a half, as it does by itself once the half is not loaded
 * any more. Waits five seconds at most for all halves together; then unload goes on. */
static void wait_supervisor(enum half half)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	static int waits; /* in all calls; a stopped supervisor (SIGSTOP) lets go of no half */

	for (; waits < SUPERVISOR_WAITS && supervisor_is_running(half); waits++)
		nanosleep(&pause, NULL);
}

/* Undoes what a half has outside of the pin directory. Goes on after an error, and returns the
 * first. */
static int undo_on_host(enum half half, const struct half_pins *pins)
{
	int error, first = pins->attachments ? detach_ifaces(pins->attachments, half) : 0;

	if (!pins->conf)
		return first;
	error = loopback_release(pins->conf, LOOPBACK_ACCEPT_LOCAL);
	first = first_error(first, error);
	error = loopback_release(pins->conf, LOOPBACK_FORWARDING);
	first = first_error(first, error);
	error = pins->conf->mark ? route_del(pins->conf) : 0;
	return first_error(first, error);
}

/* Removes the links first, so that no new pair is made. Then takes all sockets off the fast path. If
 * some hold bytes after t->timeout_ms, the folder gets another name: the bypass lingers. */
static int remove_bypass(struct shunt_attachment *attachments, const struct teardown *t)
{
	int error = detach_cgroups(attachments), lingers;

	if (error)
		return error;
	error = unpin_all(HALF_BYPASS, "links");
	if (error)
		return error;
	error = drain(HALF_BYPASS, t);
	if (error != -READERS_LEFT)
		return error ? error : remove_half(HALF_BYPASS);
	lingers = lingering_begin(HALF_BYPASS);
	return lingers ? lingers : -READERS_LEFT;
}

/* The rules of routers go to a file before "loaded" is cleared: after a kill between the two the
 * next unload writes the file again, and after a later kill the file is complete. */
static void keep_rules(enum half half, const struct half_pins *pins, bool forget)
{
	if (half == HALF_STEER && pins->conf && pins->conf->run.loaded && !forget)
		kept_rules_write();
}

int teardown(enum half half, const struct teardown *t)
{
	struct half_pins pins;
	int error = half_map(half, &pins);
	bool gone;

	if (error)
		return error;
	/* Interfaces and routes are in the network namespace of the load. If that namespace is gone,
	 * what was attached there is gone, too. */
	error = pins.conf ? netns_enter_of(pins.conf) : 0;
	gone = error == -ENOENT;
	if (error && !gone)
		return fail(error, "can't look for the network namespace that shunt was loaded in");
	keep_rules(half, &pins, t->forget || gone);
	if (pins.conf)
		pins.conf->run.loaded = 0;
	if (gone && pins.attachments && half != HALF_BYPASS)
		attachments_forget(pins.attachments, half);
	error = remove_next(half); /* of an upgrade that was killed */
	if (error)
		return error;
	error = gone ? 0 : undo_on_host(half, &pins);
	if (error)
		return error;
	wait_supervisor(half);
	return half == HALF_BYPASS ? remove_bypass(pins.attachments, t) : remove_half(half);
}

int teardown_lingering(const struct teardown *t)
{
	int half, error, first = 0;

	for (half = HALF_LINGERING; half < HALF_LINGERING_END; half++) {
		if (!lingering_is_there(half))
			continue;
		error = drain(half, t);
		error = error ? error : remove_half(half);
		first = first_error(first, error);
	}
	return first;
}

/* Bypasses that linger go first, because there may be only so many of them, and once more afterwards:
 * the bypass may be one of them now, or the former bypass of an upgrade that was killed. */
int teardown_bypasses(const struct teardown *t)
{
	int error, first = lingering_sweep();

	error = teardown(HALF_BYPASS, t);
	first = first_error(first, error);
	error = teardown_lingering(t);
	return first_error(first, error);
}

int teardown_all(const struct teardown *t)
{
	/* The other halves go even if the bypass can't. */
	static const enum half order[] = { HALF_MONITOR, HALF_NAT, HALF_STEER };
	int error, first = 0;
	size_t i;

	for (i = 0; i < sizeof(order) / sizeof(*order); i++) {
		error = teardown(order[i], t);
		first = first_error(first, error);
	}
	error = teardown_bypasses(t);
	return first_error(first, error);
}
