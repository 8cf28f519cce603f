// SPDX-License-Identifier: GPL-2.0-only
/* What 'shunt run' does when something changes on the host. */
#include "attach/fragment_listeners.h"
#include "attach/ifaces.h"
#include "attach/loopback.h"
#include "attach/policy_route.h"
#include "bpf/pins.h"
#include "bypass/adopt.h"
#include "bypass/lingering.h"
#include "cmd/run.h"
#include "nat/nat_attach.h"
#include "nat/nat_store.h"
#include "util/clock.h"
#include "util/log.h"

/* Time between two searches for the listeners of fragmented datagrams: while one is missing, and
 * after one was bound. */
#define COLLECT_MS 500
#define COLLECT_BOUND_MS 5
/* Pause after a sync of the interfaces that failed for lack of files or memory. */
#define RETRY_MS 1000
/* Time between two checks of the cgroups. */
#define CGROUPS_MS 250
/* Time between two checks of the settings of lo. */
#define LO_MS 1000
/* Time between two checks whether NAT that rules attached is still needed. */
#define NAT_MS 1000

/* The settings of steering, if it is loaded; NULL if not. */
static struct shunt_conf *steering(const struct run *r)
{
	return run_serves(r, HALF_STEER) ? r->half[HALF_STEER].conf : NULL;
}

static int sync_links(struct run *r)
{
	unsigned int n;
	int error = steering(r) ? route_restore(steering(r), &n) : 0;

	return error ? error : ifaces_sync(steering(r), run_attachments(r));
}

/* Follows interfaces and routing rules that came or went. This does not wait for the lock, because
 * the command that holds it may be an unload that waits for this process to end. */
static void follow_links(struct run *r)
{
	_cleanup_lock_ int lock = -1;

	if (r->rtnl_fd < 0)
		return;
	r->links_changed |= ifaces_changed(r->rtnl_fd);
	if (!r->links_changed || r->stopping || monotonic_ns() < r->links_retry_ns)
		return;
	lock = pins_trylock();
	if (lock < 0)
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
	struct shunt_attachment *attachments = r->half[HALF_BYPASS].attachments;
	_cleanup_lock_ int lock = -1;

	if (r->stopping || !run_serves(r, HALF_BYPASS) ||
	    monotonic_ns() - r->cgroups_checked_ns < CGROUPS_MS * NS_PER_MS)
		return;
	r->cgroups_checked_ns = monotonic_ns();
	if (cgroups_changed(&r->cgroups, attachments)) {
		lock = pins_trylock();
		if (lock >= 0 && run_serves(r, HALF_BYPASS))
			r->cgroups.added |= cgroups_sync(&r->cgroups, attachments);
	}
	if (r->cgroups.added)
		adopt_connections();
	r->cgroups.added = false;
}

int run_find_listeners(struct run *r, int ms)
{
	__u32 *wanted, why;
	__u64 pause_ns;

	if (!run_serves(r, HALF_STEER))
		return ms;
	wanted = &r->half[HALF_STEER].conf->run.listeners_wanted;
	why = __atomic_load_n(wanted, __ATOMIC_SEQ_CST);
	pause_ns = (why == COLLECT_BOUND ? COLLECT_BOUND_MS : COLLECT_MS) * NS_PER_MS;
	if (!why)
		return ms;
	if (monotonic_ns() - r->listeners_searched_ns < pause_ns)
		return why == COLLECT_BOUND && ms > COLLECT_BOUND_MS ? COLLECT_BOUND_MS : ms;
	r->listeners_searched_ns = monotonic_ns();
	__atomic_store_n(wanted, COLLECT_NOT, __ATOMIC_SEQ_CST);
	listeners_collect();
	return ms;
}

static void detach_nat(struct run *r)
{
	struct shunt_attachment *attachments = r->half[HALF_NAT].attachments;
	_cleanup_lock_ int lock = -1;

	if (r->stopping || !run_serves(r, HALF_NAT) ||
	    monotonic_ns() - r->nat_checked_ns < NAT_MS * NS_PER_MS)
		return;
	r->nat_checked_ns = monotonic_ns();
	if (!nat_attached(attachments))
		return;
	lock = pins_trylock();
	if (lock >= 0 && run_serves(r, HALF_NAT) && !nat_store_open())
		nat_detach_unused(attachments);
}

static void keep_lo_for(struct run *r, enum half half)
{
	struct shunt_conf *conf = r->half[half].conf;
	_cleanup_lock_ int lock = -1;

	if (!run_serves(r, half) || !loopback_lost_setting(conf))
		return;
	lock = pins_trylock();
	if (lock >= 0 && run_serves(r, half) && !loopback_reassert(conf))
		say("set again what somebody had changed in net.ipv4.conf.lo");
}

/* Sets again the settings of lo that somebody has changed, 'sysctl --system' for example. It checks
 * them from time to time, because the kernel reports no such change. */
static void keep_lo(struct run *r)
{
	int half;

	if (r->rtnl_fd < 0 || r->stopping || monotonic_ns() - r->lo_checked_ns < LO_MS * NS_PER_MS)
		return;
	r->lo_checked_ns = monotonic_ns();
	for (half = 0; half < HALVES; half++)
		keep_lo_for(r, half);
}

/* Removes the programs and maps of unloaded bypasses whose readers have read their bytes. */
static void sweep_lingering(struct run *r)
{
	_cleanup_lock_ int lock = -1;

	if (!lingering_is_any() || monotonic_ns() - r->lingering_checked_ns < NS_PER_SEC)
		return;
	r->lingering_checked_ns = monotonic_ns();
	lock = pins_trylock();
	if (lock >= 0)
		lingering_sweep();
}

void run_follow(struct run *r)
{
	follow_links(r);
	follow_cgroups(r);
	detach_nat(r);
	keep_lo(r);
	sweep_lingering(r);
}
