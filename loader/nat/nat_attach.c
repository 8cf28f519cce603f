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
#include "attach/iface_names.h"
#include "attach/loopback.h"
#include "attach/route_lookup.h"
#include "bpf/pins.h"
#include "nat/nat_store.h"
#include "rules/rule.h"
#include "util/cleanup.h"
#include "util/iface.h"
#include "util/log.h"

int nat_attach(struct shunt_attachment *attachments, unsigned int ifindex)
{
	char name[IF_NAMESIZE];
	struct shunt_attachment want[2], *s;
	int i, error;

	if (!if_indextoname(ifindex, name))
		return fail(-errno, "no interface with index %u", ifindex);
	error = nat_attachments(name, want);
	if (error)
		return error;
	for (i = 0; i < 2; i++) {
		s = attachment_find(attachments, want[i].kind, name);
		want[i].auto_attached = !s || s->auto_attached;
		if (!s && !i)
			say("NAT attached to '%s'", name);
		error = attach_new(attachments, &want[i]);
		if (error)
			return error;
	}
	return 0;
}

/* Detaches NAT where nat_attach() attached it. Goes on after an error; returns the first one. */
static int detach_all(struct shunt_attachment *attachments)
{
	int i, error, first = 0;

	for (i = SHUNT_ATTACHMENTS - 1; i >= 0; i--) {
		if (!attachment_is_nat(&attachments[i]) || !attachments[i].auto_attached)
			continue;
		error = detach(attachments, i);
		first = first ? first : error;
	}
	return first;
}

bool nat_attached(const struct shunt_attachment *attachments)
{
	int i;

	for (i = 0; i < SHUNT_ATTACHMENTS; i++)
		if (attachment_is_nat(&attachments[i]) && attachments[i].auto_attached)
			return true;
	return false;
}

int nat_detach_unused(struct shunt_attachment *attachments)
{
	_cleanup_fd_ int flows = -1;
	struct shunt_nat_key key;

	if (!nat_attached(attachments) || !nat_store_empty())
		return 0;
	flows = pin_open(HALF_NAT, "maps", "shunt_nat_flows");
	if (flows < 0)
		return fail(flows, "can't open the flows");
	if (!bpf_map_get_next_key(flows, NULL, &key))
		return -EBUSY;
	if (errno != ENOENT)
		return fail(-errno, "can't read the flows");
	nat_store_forget();
	return detach_all(attachments);
}

int nat_allow_route_lookups(struct shunt_conf *conf)
{
	__atomic_store_n(&conf->run.nat, 1, __ATOMIC_SEQ_CST);
	return loopback_acquire(conf, LOOPBACK_FORWARDING);
}

int nat_lock(void)
{
	_cleanup_lock_ int lock = pins_lock(false);
	_cleanup_fd_ int prog = -1;
	const struct shunt_conf *conf;
	struct shunt_attachment *attachments;
	bool loaded[HALVES];
	int error;

	if (lock == -ENOENT)
		return report_not_loaded();
	if (lock < 0)
		return lock;
	conf = pin_mmap(HALF_NAT, "shunt_conf", NULL);
	attachments = attachments_map();
	if ((!conf || !attachments) && errno != ENOENT)
		return fail(-errno, "can't map the settings of nat");
	error = halves_loaded(loaded);
	if (error <= 0)
		return error ? error : report_not_loaded();
	if (!loaded[HALF_NAT])
		return deny(-ENOENT, "NAT is not loaded; 'shunt load --nat' loads it");
	prog = pin_open(HALF_NAT, "progs", "shunt_nat_init");
	if (prog < 0)
		return deny(-ENOENT, "NAT is not loaded; 'shunt load --nat' loads it");
	error = nat_store_open();
	if (error)
		return error;
	nat_detach_unused(attachments);
	return take_fd(&lock);
}

/* --- interfaces that rules need ------------------------------------------------------------- */

#define VISITED 64

/* State of nat_attach_for_rules(). */
struct attach_run {
	struct shunt_attachment *attachments;
	struct shunt_conf *conf;
	bool was_there[SHUNT_ATTACHMENTS];
	bool was_on;                   /* conf->run.nat */
	unsigned int visited[VISITED]; /* interfaces that have NAT by now */
	unsigned int n_visited;
	/* rules to warn of: their number and the first one */
	struct warning {
		unsigned int rules;
		const struct shunt_nat_rule *first;
	} no_route_to_dst, no_route_to_target, loopback_to_other_host;
};

static struct attach_run attach_run;

/* Attaches NAT to an interface once. Reports errors and returns -errno. */
static int attach_once(unsigned int ifindex)
{
	unsigned int i;
	int error;

	for (i = 0; i < attach_run.n_visited; i++)
		if (attach_run.visited[i] == ifindex)
			return 0;
	error = nat_attach(attach_run.attachments, ifindex);
	if (error)
		return error;
	if (attach_run.n_visited < VISITED)
		attach_run.visited[attach_run.n_visited++] = ifindex;
	return 0;
}

static void warn_later(struct warning *w, const struct shunt_nat_rule *r)
{
	if (!w->rules++)
		w->first = r;
}

static void warn_no_route_to_dst(const struct warning *w)
{
	char text[INET6_ADDRSTRLEN];

	if (!w->rules)
		return;
	inet_ntop(w->first->family, w->first->dst, text, sizeof(text));
	if (w->rules == 1)
		warn("this host has no route to the destination %s, and without one nothing "
		     "sent there gets as far as NAT",
		     text);
	else
		warn("this host has no route to the destinations of %u rules, such as %s, and "
		     "without one nothing sent there gets as far as NAT",
		     w->rules, text);
}

static void warn_no_route_to_target(const struct warning *w)
{
	char text[INET6_ADDRSTRLEN];

	if (!w->rules)
		return;
	inet_ntop(w->first->family, w->first->to, text, sizeof(text));
	if (w->rules == 1)
		warn("this host has no route to the target %s; when it has one, add the rule "
		     "again",
		     text);
	else
		warn("this host has no route to the targets of %u rules, such as %s; when it "
		     "has, apply them again",
		     w->rules, text);
}

static void warn_loopback(const struct warning *w)
{
	char text[INET6_ADDRSTRLEN];

	if (!w->rules)
		return;
	inet_ntop(w->first->family, w->first->dst, text, sizeof(text));
	warn("what this host sends to %s has a source that can't leave it, and the target is "
	     "elsewhere",
	     text);
}

static bool is_loopback(const struct shunt_nat_rule *r)
{
	static const __u8 one[16] = { [15] = 1 };

	return r->family == AF_INET ? r->dst[0] == 127 : !memcmp(r->dst, one, sizeof(one));
}

/* Attaches NAT where packets for r leave, and where the target's replies come in. Reports errors
 * and returns -errno. */
static int attach_for_rule(struct shunt_nat_rule *r)
{
	bool single = r->dst_len == (r->family == AF_INET ? 32 : 128);
	__u32 ifindex;
	int error = route_lookup(r->family, r->dst, &ifindex);

	if (is_shortage(error))
		return fail(error, "can't ask for a route");
	if (error) {
		if (single)
			warn_later(&attach_run.no_route_to_dst, r);
	} else {
		error = attach_once(ifindex);
		if (error)
			return error;
	}
	error = route_lookup(r->family, r->to, &r->ifindex);
	if (is_shortage(error))
		return fail(error, "can't ask for a route");
	if (error) {
		warn_later(&attach_run.no_route_to_target, r);
		return 0;
	}
	if (is_loopback(r) && r->ifindex != LOOPBACK_IFINDEX)
		warn_later(&attach_run.loopback_to_other_host, r);
	return attach_once(r->ifindex);
}

/* Attaches NAT to the interfaces that have steering. Reports errors and returns
 * -errno. */
static int attach_to_loaded(void)
{
	const struct shunt_attachment *s, *end;
	__u32 ifindex;
	int error;

	s = attachments_map();
	for (end = s + SHUNT_ATTACHMENTS; s && s < end; s++) {
		if (s->kind != ATTACH_IFACE)
			continue;
		error = iface_index(s->name, &ifindex);
		if (error)
			return fail(error, "can't look at interface '%s'", s->name);
		if (ifindex)
			error = attach_once(ifindex);
		if (error)
			return error;
	}
	return 0;
}

static int attach_to_all(struct shunt_nat_rule *rules, unsigned int n)
{
	unsigned int i;
	int error = netns_require_loaded();

	if (error)
		return error;
	error = nat_allow_route_lookups(attach_run.conf);
	if (error)
		return error;
	error = attach_to_loaded();
	for (i = 0; i < n && !error; i++)
		error = attach_for_rule(&rules[i]);
	return error;
}

int nat_attach_for_rules(struct shunt_nat_rule *rules, unsigned int n)
{
	unsigned int i;
	int error;

	attach_run = (struct attach_run){
		.attachments = attachments_map(),
		.conf = pin_mmap(HALF_NAT, "shunt_conf", NULL),
	};
	if (!attach_run.attachments || !attach_run.conf)
		return fail(-errno, "can't map the settings");
	error = attachments_update_names();
	if (error < 0)
		return error;
	attach_run.was_on = attach_run.conf->run.nat;
	for (i = 0; i < SHUNT_ATTACHMENTS; i++)
		attach_run.was_there[i] = attach_run.attachments[i].kind != ATTACH_NONE;
	error = attach_to_all(rules, n);
	if (error) {
		nat_attach_undo();
		return error;
	}
	warn_no_route_to_dst(&attach_run.no_route_to_dst);
	warn_no_route_to_target(&attach_run.no_route_to_target);
	warn_loopback(&attach_run.loopback_to_other_host);
	return 0;
}

void nat_attach_undo(void)
{
	int i;

	for (i = SHUNT_ATTACHMENTS - 1; i >= 0; i--)
		if (attachment_is_nat(&attach_run.attachments[i]) && !attach_run.was_there[i])
			detach(attach_run.attachments, i);
	if (attach_run.was_on)
		return;
	attach_run.conf->run.nat = 0;
	loopback_release(attach_run.conf, LOOPBACK_FORWARDING);
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
	if (attach_run.attachments)
		nat_attach_undo();
}
