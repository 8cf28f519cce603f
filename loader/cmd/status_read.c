// SPDX-License-Identifier: GPL-2.0-only
/* What 'shunt status' and 'shunt metrics' know. */
#include "cmd/status.h"

#include <errno.h>

#include "attach/policy_route.h"
#include "bpf/pins.h"
#include "bypass/pairs.h"
#include "rules/rule_store.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/netns.h"

bool status_has(const struct status *s, enum attachment_kind kind)
{
	int i;

	for (i = 0; s->attachments && i < SHUNT_ATTACHMENTS; i++)
		if (s->attachments[i].kind == kind)
			return true;
	return false;
}

static int read_pairs(struct status *s)
{
	_cleanup_free_ struct shunt_row *rows = NULL;
	size_t i, n = 0;
	int error = bypass_list(&rows, &n);

	if (error)
		return error;
	for (i = 0; i < n; i++) {
		s->queued += rows[i].queued;
		s->pairs += !i || !bypass_same_pair(&rows[i - 1], &rows[i]);
		s->active += i && bypass_same_pair(&rows[i - 1], &rows[i]) &&
			     bypass_active(&rows[i - 1], &rows[i]);
	}
	return 0;
}

static int read_rules(struct status *s)
{
	int error = rules_open();

	if (!error)
		s->rules = rules_count();
	return error;
}

static int read_nat(struct status *s)
{
	const struct shunt_nat_rule *rules = pin_mmap("shunt_nat_rules", NULL);
	unsigned int i;

	s->nat = pin_mmap("shunt_nat", NULL);
	if (!rules || !s->nat)
		return fail(-errno, "can't read the NAT rules");
	for (i = 0; i < s->nat->rules; i++)
		s->nat_rules += rules[i].used;
	return 0;
}

static int read_loaded(struct status *s)
{
	int i, error;

	s->conf = pin_mmap("shunt_conf", NULL);
	s->attachments = pin_mmap("shunt_attachment", NULL);
	if (!s->conf || !s->attachments)
		return 0;
	error = pins_read_counters(&s->count);
	if (error)
		return fail(error, "can't read the counters");
	s->count.promoted += s->conf->run.promoted;
	s->count.demoted += s->conf->run.demoted;
	for (i = 0; i < SHUNT_ATTACHMENTS; i++)
		s->proven |= s->attachments[i].kind == ATTACH_CGROUP &&
			     s->attachments[i].admit == SHUNT_PROVEN;
	s->stalled = supervisor_is_running();
	s->supervised = s->stalled && supervisor_has_heartbeat(s->conf);
	s->stalled &= !s->supervised;
	error = netns_enter_loaded();
	if (error && error != -ENOENT)
		return fail(error, "can't look for the network namespace that shunt was loaded in");
	s->netns_gone = error;
	error = 0;
	s->preceded = s->conf->run.loaded && !s->netns_gone &&
		      route_preceded(s->conf, &s->preceded_by);
	if (status_has(s, ATTACH_CGROUP))
		error = read_pairs(s);
	if (!error && (status_has(s, ATTACH_IFACE) || status_has(s, ATTACH_PATTERN)))
		error = read_rules(s);
	if (!error && !s->netns_gone)
		error = links_read(&s->links);
	return error ? error : read_nat(s);
}

int status_read(struct status *s, int *ret_lock)
{
	_cleanup_lock_ int lock = pins_lock_or_continue();
	int error;

	*s = (struct status){ .pairs = 0 };
	uname(&s->host);
	if (lock == -ENOENT)
		return pins_check_reachable();
	error = lock < 0 ? lock : read_loaded(s);
	if (!error)
		*ret_lock = take_fd(&lock);
	return error;
}

void status_free(struct status *s)
{
	links_free(&s->links);
}
