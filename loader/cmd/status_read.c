// SPDX-License-Identifier: GPL-2.0-only
/* Reads the state of shunt for 'shunt status' and 'shunt metrics'. */
#include "cmd/status.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "attach/iface_names.h"
#include "attach/policy_route.h"
#include "bpf/pins.h"
#include "bypass/lingering.h"
#include "bypass/pairs.h"
#include "rules/rule_store.h"
#include "util/cleanup.h"
#include "util/log.h"

bool status_has(const struct status *s, enum attachment_kind kind)
{
	int i;

	for (i = 0; s->attachments && i < SHUNT_ATTACHMENTS; i++)
		if (s->attachments[i].kind == kind)
			return true;
	return false;
}

bool status_has_steering(const struct status *s)
{
	return s->half[HALF_STEER] || status_has(s, ATTACH_IFACE) || status_has(s, ATTACH_PATTERN);
}

/* Takes over from the settings of a half what belongs to that half. The settings of steering come
 * first and as a whole, because most of what is printed is about steering. */
static void join_settings(struct shunt_conf *all, enum half half, const struct shunt_conf *conf)
{
	const __u32 loaded = all->run.loaded, trace = all->run.trace;

	if (half == HALF_STEER)
		*all = *conf;
	if (half == HALF_BYPASS) {
		all->max_bytes = conf->max_bytes;
		all->max_msgs = conf->max_msgs;
		all->max_pages = conf->max_pages;
		all->excludes = conf->excludes;
		all->run.pair_entries = conf->run.pair_entries;
		all->run.reclaimed = conf->run.reclaimed;
		all->run.no_entry = conf->run.no_entry;
		all->run.promoted = conf->run.promoted;
		all->run.demoted = conf->run.demoted;
		all->run.drain_mode = conf->run.drain_mode;
	}
	if (half == HALF_NAT) {
		all->run.nat = conf->run.nat;
		all->run.forwarding = conf->run.forwarding;
	}
	all->netns = conf->netns;
	all->run.loaded = loaded | conf->run.loaded;
	all->run.trace = trace | conf->run.trace;
	if (conf->run.beat_ns > all->run.beat_ns)
		all->run.beat_ns = conf->run.beat_ns;
}

/* The numbers that are in the settings. */
static void read_conf(const struct shunt_conf *conf, struct status_numbers *n)
{
	n->pair_entries = conf->run.pair_entries;
	n->reclaimed_entries = conf->run.reclaimed;
	n->refused_entries = conf->run.no_entry;
	n->max_bytes = conf->max_bytes;
	n->max_messages = conf->max_msgs;
	n->host_bytes = conf->max_pages * getpagesize();
	n->max_rules = conf->max_rules;
	n->max_flows = conf->flow_buckets;
	n->origin_local = conf->run.local;
}

/* Adds the counters of a half to the sums. A counter that belongs to another half is 0 in this
 * one. */
static int add_counters(struct status *s, enum half half)
{
	struct shunt_count count = {};
	__u64 *to = (__u64 *)&s->numbers.count, *from = (__u64 *)&count;
	int error = pins_read_counters(half, &count);
	size_t i;

	if (error)
		return fail(error, "can't read the counters of %s", half_name(half));
	for (i = 0; i < sizeof(count) / sizeof(*to); i++)
		to[i] += from[i];
	return 0;
}

static int read_half(struct status *s, enum half half)
{
	struct half_pins pins;
	int error = half_map(half, &pins);

	if (error || !pins.conf)
		return error;
	join_settings(&s->settings, half, pins.conf);
	s->conf = &s->settings;
	s->attachments = pins.attachments;
	s->half[half] = pins.conf->run.loaded;
	return add_counters(s, half);
}

/* Adds up the bytes that wait for readers of bypasses that linger. */
static void read_lingering(struct status *s)
{
	_cleanup_free_ struct shunt_row *rows = NULL;
	size_t i, count = 0;

	if (lingering_list(&rows, &count))
		return;
	for (i = 0; i < count; i++)
		s->lingering_bytes += rows[i].queued;
}

static int read_halves(struct status *s)
{
	static const enum half order[] = { HALF_STEER, HALF_BYPASS, HALF_NAT, HALF_MONITOR };
	struct shunt_count *c = &s->numbers.count;
	size_t i;
	int error;

	for (i = 0; i < HALVES; i++) {
		error = read_half(s, order[i]);
		if (error)
			return error;
	}
	s->lingering = lingering_count();
	if (s->lingering)
		read_lingering(s);
	if (!s->conf)
		return 0;
	/* programs promote eager pairs and demote none; the supervisor counts the others */
	c->promoted += s->conf->run.promoted;
	c->demoted += s->conf->run.demoted;
	s->numbers.nat_flows = c->nat_made - c->nat_ended;
	read_conf(s->conf, &s->numbers);
	return 0;
}

static bool any_supervisor_is_running(const struct status *s)
{
	int half;

	for (half = 0; half < HALVES; half++)
		if (s->half[half] && supervisor_is_running(half))
			return true;
	return false;
}

static void read_supervisor(struct status *s)
{
	bool runs = any_supervisor_is_running(s);
	int i;

	for (i = 0; i < SHUNT_ATTACHMENTS; i++)
		s->proven |= s->attachments[i].kind == ATTACH_CGROUP &&
			     s->attachments[i].admit == SHUNT_PROVEN;
	s->supervised = runs && supervisor_has_heartbeat(s->conf);
	s->stalled = runs && !s->supervised;
	s->numbers.supervised = s->supervised;
}

/* Goes to the network namespace of the load, where the routing rules and interfaces are. */
static int enter_loaded_netns(struct status *s)
{
	int error = netns_enter_loaded();

	if (error && error != -ENOENT)
		return fail(error, "can't look for the network namespace that shunt was loaded in");
	s->netns_gone = error;
	s->preceded = s->conf->run.loaded && !s->netns_gone &&
		      route_is_preceded(s->conf, &s->preceded_by);
	return 0;
}

/* Counts a pair by its state, and by the reason if it is not on the fast path. other is NULL if
 * only one end has storage. */
static void count_pair(struct status *s, const struct shunt_row *r, const struct shunt_row *other)
{
	unsigned int why = WHY_REDIRECTED;

	s->pair_states[bypass_state(r, other, &why)]++;
	if (why != WHY_REDIRECTED && why < WHY_COUNT)
		s->pair_reasons[why]++;
}

static int read_pairs(struct status *s)
{
	_cleanup_free_ struct shunt_row *rows = NULL;
	struct status_numbers *n = &s->numbers;
	size_t i, count = 0;
	int error;

	error = bypass_list(&rows, &count);
	if (error)
		return error;
	for (i = 0; i < count; i++) {
		const struct shunt_row *other = i + 1 < count ? &rows[i + 1] : NULL;

		n->queued_bytes += rows[i].queued;
		if (i && bypass_same_pair(&rows[i - 1], &rows[i]))
			continue;
		if (other && !bypass_same_pair(&rows[i], other))
			other = NULL;
		count_pair(s, &rows[i], other);
		n->pairs++;
	}
	n->active_pairs = s->pair_states[PAIR_ACTIVE];
	return 0;
}

static int read_rules(struct status *s)
{
	int error;

	if (!status_has_steering(s))
		return 0;
	error = rules_open();
	if (error)
		return error;
	s->numbers.rules = rules_count();
	return 0;
}

static int read_nat(struct status *s)
{
	const struct shunt_nat_rule *rules = pin_mmap(HALF_NAT, "shunt_nat_rules", NULL);
	const struct shunt_nat *nat = pin_mmap(HALF_NAT, "shunt_nat", NULL);
	unsigned int i;

	if (!s->half[HALF_NAT])
		return 0;
	if (!rules || !nat)
		return fail(-errno, "can't read the NAT rules");
	s->numbers.nat_max_flows = nat->flows;
	for (i = 0; i < nat->rules; i++)
		s->numbers.nat_rules += rules[i].used;
	return 0;
}

static int read_loaded(struct status *s)
{
	int error = read_halves(s);

	if (error || !s->conf || !s->attachments)
		return error;
	read_supervisor(s);
	error = enter_loaded_netns(s);
	if (error)
		return error;
	error = attachments_read(&s->named);
	if (error)
		return error;
	s->attachments = s->named;
	error = s->half[HALF_BYPASS] ? read_pairs(s) : 0;
	if (error)
		return error;
	error = read_rules(s);
	if (error)
		return error;
	error = s->netns_gone ? 0 : links_read(&s->links);
	return error ? error : read_nat(s);
}

int status_read(struct status *s, int *ret_lock)
{
	_cleanup_lock_ int lock = pins_lock_or_continue();
	int error;

	*s = (struct status){ .numbers.max_pair_entries = SHUNT_PAIRS - 1 };
	uname(&s->host);
	if (lock == -ENOENT)
		return pins_check_reachable();
	if (lock < 0)
		return lock;
	error = read_loaded(s);
	if (error)
		return error;
	*ret_lock = take_fd(&lock);
	return 0;
}

void status_free(struct status *s)
{
	links_free(&s->links);
	free(s->named);
}
