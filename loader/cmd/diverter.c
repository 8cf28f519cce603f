// SPDX-License-Identifier: GPL-2.0-only
/*
 * shunt diverter: takes the words that ziti-router, or an operator who sets up its services by
 * hand, gives to an external diverter. A request that can be read does not fail: after a failure
 * the router would give up the service, and would log that at its debug level only.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attach/fragment_listeners.h"
#include "attach/loopback.h"
#include "bpf/pins.h"
#include "cmd/command.h"
#include "cmd/diverter_words.h"
#include "cmd/kept_rules.h"
#include "cmd/rule_socket.h"
#include "cmd/services.h"
#include "cmd/steer.h"
#include "rules/routers.h"
#include "rules/rule_copy.h"
#include "rules/rule_store.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/netns.h"

static int help(void)
{
	puts("usage: shunt diverter -I -c ADDR -m LEN -p tcp|udp [-o SRC -n LEN] -l LOW -h HIGH\n"
	     "                      -t PORT [-s SERVICE] [-N IFACE]\n"
	     "       shunt diverter -D -c ADDR [-m LEN] [-p PROTO] [-o SRC -n LEN] [-l LOW -h HIGH]\n"
	     "                      [-N IFACE]\n"
	     "       shunt diverter -L [-c ADDR] [-m LEN] [-p PROTO]\n"
	     "       shunt diverter -V\n\n"
	     "ziti-router runs this for each of its services, by the name shunt-diverter, if its tunnel\n"
	     "has 'mode: tproxy:' and the path of shunt-diverter. -I steers to 127.0.0.1:PORT ([::1]\n"
	     "for IPv6); with PORT 0 it makes a pass rule. It replaces the service's rule for the same\n"
	     "packets; the rule of another service comes back when this one is deleted. -D deletes the\n"
	     "newest rule whose listener is gone, or else the newest rule. Without -p it is for both\n"
	     "protocols, without -l for all ports; a rule that is not there is no error. -L lists the\n"
	     "rules. -V prints the version, and fails if nothing is loaded or the caller may not change\n"
	     "rules: the caller has to be root or in the group of 'shunt run'. -V deletes the rules of\n"
	     "routers that have ended.");
	return 0;
}

/* The router that calls; 0 if it is not known. A router opens its listener before it calls the
 * diverter. The search for the listener comes first, because it is much faster than the search for
 * the listener's process. */
static __u8 maker_of(const struct shunt_rule *r)
{
	pid_t caller = caller_parent();
	__u8 known = router_find(caller);

	if (known || r->action != SHUNT_STEER || rule_listens(r) != LISTENER_THERE)
		return known;
	return router_enter(caller, r);
}

/* Reads the rule that -I adds. *ret_never becomes true if no packet can match the rule. */
static int read_rule(const struct diverter_words *w, struct shunt_rule *r, bool *ret_never)
{
	int error = diverter_read_match(w, r, ret_never);

	if (error)
		return error;
	if (!r->proto)
		return refuse("diverter: -p tcp or -p udp is missing");
	if (!diverter_word(w, 'l') && !diverter_word(w, 'h'))
		return refuse("diverter: -l LOW and -h HIGH are missing");
	error = diverter_read_to(w, r);
	if (error || *ret_never)
		return error;
	error = *r->ifname ? rule_find_iface(r) : 0;
	if (error)
		return error;
	if (r->ifindex == SHUNT_NO_IFINDEX)
		say("no interface '%s' yet", r->ifname);
	diverter_read_service(w, r);
	return 0;
}

static int insert(const struct diverter_words *w)
{
	_cleanup_lock_ int lock = -1;
	struct shunt_rule r = {};
	const struct shunt_rule *new = &r;
	bool never = false;
	int error = read_rule(w, &r, &never);

	if (error || never)
		return error;
	lock = rules_lock();
	if (lock < 0)
		return lock;
	r.router = maker_of(&r);
	error = service_add(&r);
	if (error)
		return error;
	listeners_add_wanted(&new, 1);
	if (only_ipv4_listens(&r))
		say("nobody listens at [::1]:%u, only at 127.0.0.1, as ziti-router does: it can't take "
		    "IPv6, and the packets pass",
		    r.to_port);
	return 0;
}

/* Whether the words of -D are for the rule r. They may leave out the protocol and the ports. */
static bool meant(const struct diverter_words *w, const struct shunt_rule *r,
		  const struct shunt_rule *like)
{
	return r->family == like->family && r->dst_len == like->dst_len &&
	       r->src_len == like->src_len && !memcmp(r->dst, like->dst, sizeof(r->dst)) &&
	       !memcmp(r->src, like->src, sizeof(r->src)) && !strcmp(r->ifname, like->ifname) &&
	       (!like->proto || r->proto == like->proto) &&
	       ((!diverter_word(w, 'l') && !diverter_word(w, 'h')) ||
		(r->dport_low == like->dport_low && r->dport_high == like->dport_high));
}

/* Deletes all rules that the words are for. This reads all rules, which takes long if there are
 * many. A router names one rule and does not come here. */
static int delete_meant(const struct diverter_words *w, const struct shunt_rule *like)
{
	_cleanup_free_ const struct shunt_rule **all = NULL;
	_cleanup_free_ struct shunt_rule *copy = NULL;
	__u32 i, count = 0, found = 0;
	int error = rules_sorted(&all, &count);

	if (error)
		return error;
	copy = calloc(count + 1, sizeof(*copy));
	if (!copy)
		return fail(-ENOMEM, "the rules");
	for (i = 0; i < count; i++)
		if (meant(w, all[i], like))
			copy[found++] = *all[i];
	for (i = found; i && !error; i--) /* deletes the first in precedence last */
		error = rules_del(&copy[i - 1]);
	return error || found ? error : -ENOENT;
}

static int delete (const struct diverter_words *w, int argc, char **argv)
{
	_cleanup_lock_ int lock = -1;
	struct shunt_rule r = {};
	bool never = false;
	int error = diverter_read_match(w, &r, &never);

	if (error || never)
		return error;
	lock = rules_lock();
	if (lock < 0)
		return lock;
	if (!r.proto || (!diverter_word(w, 'l') && !diverter_word(w, 'h')))
		error = delete_meant(w, &r);
	else
		error = service_del(&r, router_find(caller_parent()));
	if (error != -ENOENT)
		return error;
	say_missing("rule", argc - 1, argv + 1);
	return 0;
}

/* Whether -L lists the rule r. */
static bool listed(const struct diverter_words *w, const struct shunt_rule *r,
		   const struct shunt_rule *like)
{
	if (like->proto && r->proto != like->proto)
		return false;
	return !diverter_word(w, 'c') ||
	       (r->family == like->family && r->dst_len == like->dst_len &&
		!memcmp(r->dst, like->dst, sizeof(r->dst)));
}

static int copy_listed(const struct diverter_words *w, const struct shunt_rule *like,
		       struct rule_copy **ret, __u32 *ret_count)
{
	_cleanup_free_ const struct shunt_rule **all = NULL;
	_cleanup_lock_ int lock = rules_lock();
	__u32 i, count = 0, kept = 0;
	int error;

	if (lock < 0)
		return lock;
	error = rules_sorted(&all, &count);
	if (error)
		return error;
	for (i = 0; i < count; i++)
		if (listed(w, all[i], like))
			all[kept++] = all[i];
	error = rules_copy(all, kept, ret, ret_count);
	if (error)
		return error;
	find_listeners(*ret, *ret_count);
	return 0;
}

static int list(const struct diverter_words *w)
{
	_cleanup_free_ struct rule_copy *all = NULL;
	struct shunt_rule like = {};
	__u32 count = 0;
	int error = diverter_read_proto(w, &like);

	if (error)
		return error;
	error = diverter_word(w, 'c') ? diverter_read_dst(w, &like) : 0;
	if (error)
		return error;
	error = copy_listed(w, &like, &all, &count);
	if (error)
		return error;
	print_rules(all, count);
	return 0;
}

static void say_without_lo(void)
{
	const struct shunt_attachment *attachments = attachments_map();
	int i;

	for (i = 0; attachments && i < SHUNT_ATTACHMENTS; i++)
		if (attachments[i].kind == ATTACH_IFACE &&
		    attachments[i].ifindex == LOOPBACK_IFINDEX)
			return;
	say("steering is not on lo, so services are not there for this host itself ('shunt load "
	    "--iface lo')");
}

/* This is the only call whose failure the router reports: then it does not start. */
static int show_version(void)
{
	__u64 from = caller_netns();
	_cleanup_lock_ int lock = rules_lock();
	int error;

	if (lock < 0)
		return lock;
	error = netns_require_loaded();
	if (error)
		return error;
	if (from != own_netns_cookie())
		return deny(-EXDEV,
			    "shunt is loaded in another network namespace than this one, and can't "
			    "reach listeners here");
	puts(SHUNT_VERSION);
	say_without_lo();
	/* A router starts. An error with the rules of other routers must not stop it. */
	services_sweep();
	return 0;
}

/* While shunt is restarted, a service that comes or goes waits for the load: the router does not call
 * again. */
static void wait_for_restart(void)
{
	const struct timespec pause = { .tv_nsec = 20000000 };

	while (!half_is_loaded(HALF_STEER) && kept_rules_are_recent())
		nanosleep(&pause, NULL);
}

int cmd_diverter(int argc, char **argv)
{
	struct diverter_words w;
	int error;

	if (argc == 2 && !strcmp(argv[1], "help"))
		return help();
	error = diverter_words_read(argc, argv, &w);
	if (error)
		return error;
	if (must_ask())
		return ask_rule_server("diverter", argc, argv);
	wait_for_restart();
	if (w.action != 'V')
		netns_enter_loaded(); /* a rule's interface is looked up there */
	switch (w.action) {
	case 'I':
		return insert(&w);
	case 'D':
		return delete (&w, argc, argv);
	case 'L':
		return list(&w);
	default:
		return show_version();
	}
}
