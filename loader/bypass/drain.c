// SPDX-License-Identifier: GPL-2.0-only
#include "bypass/drain.h"

#include <errno.h>
#include <stdbool.h>
#include <time.h>

#include <bpf/bpf.h>

#include "bpf/kept_maps.h"
#include "bpf/pins.h"
#include "bypass/iterators.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"

/* How long redirects may go on behind redirected unread bytes. */
#define KEEP_QUEUED_MS 100

void bypass_wake_readers(enum half half, __u32 *wakeups_pending)
{
	if (__sync_lock_test_and_set(wakeups_pending, 0))
		iter_everywhere(half, "shunt_wakeup");
}

static bool is_over(__u64 start_ns, unsigned int ms)
{
	return monotonic_ns() - start_ns >= ms * NS_PER_MS;
}

static void pause_briefly(void)
{
	const struct timespec pause = { .tv_nsec = 5000000 };

	nanosleep(&pause, NULL);
}

static bool is_any_queued(enum half half)
{
	_cleanup_free_ struct shunt_row *rows = NULL;
	size_t n = 0, i;

	if (iter_run_once(half, "shunt_list", "shunt_sk", &rows, &n))
		return false;
	for (i = 0; i < n; i++)
		if (rows[i].queued)
			return true;
	return false;
}

/* Gives readers that read the time to empty their queues, so that a message in several parts
 * arrives as one. */
static void drain_keeping_queued(enum half half, __u32 *drain_mode)
{
	__u64 start_ns = monotonic_ns();

	if (*drain_mode)
		return;
	__atomic_store_n(drain_mode, DRAIN_KEEP_QUEUED, __ATOMIC_SEQ_CST);
	while (is_any_queued(half) && !is_over(start_ns, KEEP_QUEUED_MS))
		pause_briefly();
}

/* Whether members are left that no iterator visited: no process has their file open. io_uring
 * can hold a socket like that. */
static bool has_members(enum half half)
{
	_cleanup_fd_ int map = pin_open(half, "maps", "shunt_socks");
	__u64 key;

	return map >= 0 && !bpf_map_get_next_key(map, NULL, &key);
}

int bypass_drain(enum half half, enum shunt_drain_mode mode, unsigned int timeout_ms,
		 struct shunt_row **ret, size_t *ret_n)
{
	/* a bypass that lingers may be of another version */
	__u32 *drain_mode = old_conf_field(half, "run.drain_mode");
	__u32 *wakeups_pending = old_conf_field(half, "run.wakeups_pending");
	__u64 start_ns = monotonic_ns();
	int error;

	if (!drain_mode || !wakeups_pending)
		return errno == ENOENT
			       ? 0 /* nothing can have been attached */
			       : fail(-errno, "can't map the settings of %s", half_name(half));
	drain_keeping_queued(half, drain_mode);
	__atomic_store_n(drain_mode, mode, __ATOMIC_SEQ_CST);
	error = wait_programs();
	if (error)
		return error;
	for (;;) {
		_cleanup_free_ struct shunt_row *rows = NULL;
		size_t n;

		error = iter_run_once(half, "shunt_drain", "shunt_socks", &rows, &n);
		if (error == -ENOENT)
			return 0;
		if (error)
			return fail(error, "can't walk over the sockets on the fast path");
		bypass_wake_readers(half, wakeups_pending);
		if (!n && !has_members(half))
			return 0;
		if (is_over(start_ns, timeout_ms)) {
			*ret = rows;
			*ret_n = n;
			rows = NULL;
			return -READERS_LEFT;
		}
		pause_briefly();
	}
}
