// SPDX-License-Identifier: GPL-2.0-only
#include "nat/nat_attach.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "attach/attach.h"
#include "attach/attachments.h"
#include "attach/loopback.h"
#include "attach/policy_route.h"
#include "bpf/pins.h"
#include "nat/nat_store.h"
#include "rules/rule.h"
#include "util/cleanup.h"
#include "util/iface.h"
#include "util/log.h"

int nat_attach(struct shunt_state *states, unsigned int ifindex)
{
	char name[IF_NAMESIZE];
	struct shunt_state want[2], *s;
	int i, error;

	if (!if_indextoname(ifindex, name))
		return fail(-errno, "no interface with index %u", ifindex);
	error = nat_states(name, want);
	for (i = 0; i < 2 && !error; i++) {
		s = state_find(states, want[i].kind, name);
		want[i].admit = !s || s->admit;
		if (!s && !i)
			say("NAT attached to '%s'", name);
		error = attach_new(states, &want[i]);
	}
	return error;
}

static int detach_all(struct shunt_state *states)
{
	int i, error, first = 0;

	for (i = SHUNT_STATES - 1; i >= 0; i--) {
		if (!state_is_nat(&states[i]) || !states[i].admit)
			continue;
		error = detach(states, i);
		first = first ? first : error;
	}
	return first;
}

bool nat_attached(const struct shunt_state *states)
{
	int i;

	for (i = 0; i < SHUNT_STATES; i++)
		if (state_is_nat(&states[i]) && states[i].admit)
			return true;
	return false;
}

int nat_detach_unused(struct shunt_state *states)
{
	_cleanup_fd_ int flows = -1;
	struct shunt_nat_key key;

	if (!nat_attached(states) || !nat_store_empty())
		return 0;
	flows = pin_open("maps", "shunt_nat_flows");
	if (flows < 0)
		return fail(flows, "can't open the flows");
	if (!bpf_map_get_next_key(flows, NULL, &key))
		return -EBUSY;
	if (errno != ENOENT)
		return fail(-errno, "can't read the flows");
	nat_store_forget();
	return detach_all(states);
}

int nat_allow_route_lookups(struct shunt_conf *conf)
{
	__atomic_store_n(&conf->run.nat, 1, __ATOMIC_SEQ_CST);
	return lo_on(conf, LO_FORWARDING);
}

/* --- where rules lead ------------------------------------------------------------- */

#define SEEN 64

struct reach {
	struct shunt_state *states;
	struct shunt_conf *conf;
	bool was_there[SHUNT_STATES];
	bool was_on;		 /* conf->run.nat */
	unsigned int seen[SEEN]; /* interfaces that have NAT by now */
	unsigned int n;
	/* rules whose destination is a single address without a route, whose target
	 * has no route, and those for loopback addresses whose target is elsewhere */
	struct trouble {
		unsigned int rules;
		const struct shunt_nat_rule *first;
	} lost, unrouted, stuck;
};

static struct reach reach;

static int reach_iface(unsigned int ifindex)
{
	unsigned int i;
	int error;

	for (i = 0; i < reach.n; i++)
		if (reach.seen[i] == ifindex)
			return 0;
	error = nat_attach(reach.states, ifindex);
	if (!error && reach.n < SEEN)
		reach.seen[reach.n++] = ifindex;
	return error;
}

static void note(struct trouble *t, const struct shunt_nat_rule *r)
{
	if (!t->rules++)
		t->first = r;
}

static void warn_lost(const struct trouble *t)
{
	char text[INET6_ADDRSTRLEN];

	if (!t->rules)
		return;
	inet_ntop(t->first->family, t->first->dst, text, sizeof(text));
	if (t->rules == 1)
		warn("this host has no route to the destination %s, and without one nothing "
		     "sent there gets as far as NAT",
		     text);
	else
		warn("this host has no route to the destinations of %u rules, such as %s, and "
		     "without one nothing sent there gets as far as NAT",
		     t->rules, text);
}

static void warn_unrouted(const struct trouble *t)
{
	char text[INET6_ADDRSTRLEN];

	if (!t->rules)
		return;
	inet_ntop(t->first->family, t->first->to, text, sizeof(text));
	if (t->rules == 1)
		warn("this host has no route to the target %s; when it has one, add the rule "
		     "again",
		     text);
	else
		warn("this host has no route to the targets of %u rules, such as %s; when it "
		     "has, apply them again",
		     t->rules, text);
}

static void warn_stuck(const struct trouble *t)
{
	char text[INET6_ADDRSTRLEN];

	if (!t->rules)
		return;
	inet_ntop(t->first->family, t->first->dst, text, sizeof(text));
	warn("what this host sends to %s has a source that can't leave it, and the target is "
	     "elsewhere",
	     text);
}

static bool is_loopback(const struct shunt_nat_rule *r)
{
	static const __u8 one[16] = { [15] = 1 };

	return r->family == AF_INET ? r->dst[0] == 127 : !memcmp(r->dst, one, sizeof(one));
}

static int reach_rule(struct shunt_nat_rule *r)
{
	bool single = r->dst_len == (r->family == AF_INET ? 32 : 128);
	__u32 ifindex;
	int error = route_lookup(r->family, r->dst, &ifindex);

	if (!error)
		error = reach_iface(ifindex);
	else if (is_shortage(error))
		fail(error, "can't ask for a route");
	else {
		error = 0;
		if (single)
			note(&reach.lost, r);
	}
	if (error)
		return error;
	error = route_lookup(r->family, r->to, &r->ifindex);
	if (is_shortage(error))
		return fail(error, "can't ask for a route");
	if (error) {
		note(&reach.unrouted, r);
		return 0;
	}
	if (is_loopback(r) && r->ifindex != LOOPBACK)
		note(&reach.stuck, r);
	return reach_iface(r->ifindex);
}

int nat_attach_for_rules(struct shunt_nat_rule *rules, unsigned int n)
{
	unsigned int i;
	__u32 ifindex;
	int error;

	reach = (struct reach){
		.states = pin_mmap("shunt_state", NULL),
		.conf = pin_mmap("shunt_conf", NULL),
	};
	if (!reach.states || !reach.conf)
		return fail(-errno, "can't map the settings");
	reach.was_on = reach.conf->run.nat;
	for (i = 0; i < SHUNT_STATES; i++)
		reach.was_there[i] = reach.states[i].kind != SHUNT_NONE;
	error = at_home();
	if (!error)
		error = nat_allow_route_lookups(reach.conf);
	for (i = 0; i < SHUNT_STATES && !error; i++) {
		if (reach.states[i].kind != SHUNT_IFACE)
			continue;
		error = iface_index(reach.states[i].name, &ifindex);
		if (error)
			fail(error, "can't look at interface '%s'", reach.states[i].name);
		else if (ifindex)
			error = reach_iface(ifindex);
	}
	for (i = 0; i < n && !error; i++)
		error = reach_rule(&rules[i]);
	if (error) {
		nat_attach_undo();
		return error;
	}
	warn_lost(&reach.lost);
	warn_unrouted(&reach.unrouted);
	warn_stuck(&reach.stuck);
	return 0;
}

void nat_attach_undo(void)
{
	int i;

	for (i = SHUNT_STATES - 1; i >= 0; i--)
		if (state_is_nat(&reach.states[i]) && !reach.was_there[i])
			detach(reach.states, i);
	if (reach.was_on)
		return;
	reach.conf->run.nat = 0;
	lo_off(reach.conf, LO_FORWARDING);
}

int nat_replace(struct shunt_nat_rule *rules, unsigned int n, struct rule_changes *ret)
{
	int error = n ? nat_attach_for_rules(rules, n) : 0;

	if (error)
		return error;
	error = nat_store_replace(rules, n, ret);
	if (error && n)
		nat_attach_undo();
	return error;
}

void nat_replace_undo(void)
{
	nat_store_undo();
	if (reach.states)
		nat_attach_undo();
}
