// SPDX-License-Identifier: GPL-2.0-only
/*
 * shunt diverter: the words that ziti-router, and whoever set up its services
 * by hand, give to an external diverter. It never fails for what it can read:
 * the router would give the service up, and say so at its debug level only.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/fragment_listeners.h"
#include "attach/loopback.h"
#include "bpf/pins.h"
#include "cmd/command.h"
#include "cmd/rule_socket.h"
#include "cmd/services.h"
#include "cmd/steer.h"
#include "rules/routers.h"
#include "rules/rule_store.h"
#include "util/address.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/netns.h"
#include "util/options.h"
#include "util/parse.h"

static const char letters[] = "cmponlhtsN";

/* What was given, by letter; NULL if it was not. */
struct words {
	char action;
	const char *value[sizeof(letters) - 1];
};

static const char *word(const struct words *w, char letter)
{
	return w->value[strchr(letters, letter) - letters];
}

static int help(void)
{
	puts("usage: shunt diverter -I -c ADDR -m LEN -p tcp|udp [-o SRC -n LEN] -l LOW -h HIGH\n"
	     "                      -t PORT [-s SERVICE] [-N IFACE]\n"
	     "       shunt diverter -D -c ADDR [-m LEN] [-p PROTO] [-o SRC -n LEN] [-l LOW -h HIGH]\n"
	     "                      [-N IFACE]\n"
	     "       shunt diverter -L [-c ADDR] [-m LEN] [-p PROTO]\n"
	     "       shunt diverter -V\n\n"
	     "What ziti-router calls for each of its services, by the name shunt-diverter, if its\n"
	     "tunnel says 'mode: tproxy:/usr/local/sbin/shunt-diverter'. -I steers to 127.0.0.1:PORT\n"
	     "([::1] for IPv6); with PORT 0 it makes a rule that says pass. The service's\n"
	     "rule for the same packets is replaced; that of another service comes back when this one\n"
	     "is deleted. -D deletes the newest whose listener is gone, else the newest. Without -p or\n"
	     "-l it is for both protocols and all ports; deleting what is not there is no error.\n"
	     "-V prints the version, and fails if nothing is loaded or the caller may not change\n"
	     "rules: who is not root has to be in the group of 'shunt run'. It deletes the rules of\n"
	     "routers that have ended.");
	return 0;
}

static int read_action(struct words *w, const char *arg)
{
	if (w->action)
		return refuse("'%s': -%c stands there already", arg, w->action);
	w->action = arg[1];
	return 0;
}

static int read_words(int argc, char **argv, struct words *ret)
{
	struct words w = {};
	const char *at;
	int i, error;

	for (i = 1; i < argc; i++) {
		if (argv[i][0] != '-' || !argv[i][1] || argv[i][2])
			return refuse("diverter: '%s': no word of the diverter", argv[i]);
		if (strchr("IDLV", argv[i][1])) {
			error = read_action(&w, argv[i]);
			if (error)
				return error;
			continue;
		}
		at = strchr(letters, argv[i][1]);
		if (!at)
			return refuse("diverter: '%s': no word of the diverter", argv[i]);
		if (w.value[at - letters])
			return refuse("diverter: '%s' is given twice", argv[i]);
		if (++i == argc)
			return refuse("diverter: '%s': a value is missing", argv[i - 1]);
		w.value[at - letters] = argv[i];
	}
	if (!w.action)
		return refuse("diverter: -I, -D, -L or -V is missing; see 'shunt diverter help'");
	*ret = w;
	return 0;
}

/* ziti-router says 32 for a source without a length, of IPv6 too. An address with more
 * bits than that is no network: then it is the one source. */
static bool is_bare_source(char address, __u8 family, unsigned int len, const __u8 addr[16])
{
	__u8 masked[16];

	memcpy(masked, addr, sizeof(masked));
	return address == 'o' && family == AF_INET6 && len == 32 && mask_address(masked, 32);
}

static int read_prefix(const struct words *w, char address, char length, __u8 *ret_family,
		       __u8 ret_addr[16], __u8 *ret_len)
{
	const char *ip = word(w, address), *len_word = word(w, length);
	__u8 addr[16] = {}, family = strchr(ip, ':') ? AF_INET6 : AF_INET;
	unsigned int bits = family == AF_INET ? 32 : 128, len = bits;

	if (inet_pton(family, ip, addr) != 1)
		return refuse("-%c '%s': not an IPv4 or IPv6 address", address, ip);
	if (len_word && !parse_number(len_word, bits, &len))
		return refuse("-%c '%s': the prefix length is not a number from 0 to %u", length,
			      len_word, bits);
	if (is_bare_source(address, family, len, addr)) {
		if (w->action == 'I')
			say("-o '%s' -n 32: taken for this one address", ip);
		len = 128;
	}
	mask_address(addr, len);
	memcpy(ret_addr, addr, sizeof(addr));
	*ret_family = family;
	*ret_len = len;
	return 0;
}

static int read_dst(const struct words *w, struct shunt_rule *r)
{
	if (!word(w, 'c'))
		return refuse("diverter: -c ADDR is missing");
	return read_prefix(w, 'c', 'm', &r->family, r->dst, &r->dst_len);
}

/* The router says 0.0.0.0/0 for any source, of IPv6 services too. It pairs all
 * sources of a service with all destinations; no packet comes from IPv4 and goes
 * to IPv6: then *ret_never is set. */
static int read_src(const struct words *w, struct shunt_rule *r, bool *ret_never)
{
	__u8 family = 0;
	int error;

	if (!word(w, 'o') && word(w, 'n'))
		return refuse("-n '%s': -o ADDR is missing", word(w, 'n'));
	if (!word(w, 'o'))
		return 0;
	error = read_prefix(w, 'o', 'n', &family, r->src, &r->src_len);
	if (error || family == r->family || !r->src_len)
		return error;
	say("-o '%s' and -c '%s': one is IPv4, the other IPv6; nothing to do", word(w, 'o'),
	    word(w, 'c'));
	*ret_never = true;
	return 0;
}

static int read_port(const struct words *w, char letter, unsigned int *ret)
{
	const char *text = word(w, letter);

	if (!text || parse_number(text, 65535, ret))
		return 0;
	return refuse("-%c '%s': not a port (0 to 65535)", letter, text);
}

/* One of the two stands for both; 0 is the lowest port, and 0 to 0 any. */
static int read_ports(const struct words *w, struct shunt_rule *r)
{
	unsigned int low = 0, high = 0;
	int error = read_port(w, 'l', &low);

	if (!error)
		error = read_port(w, 'h', &high);
	if (error)
		return error;
	if (!word(w, 'h'))
		high = low;
	if (!word(w, 'l'))
		low = high;
	if (low > high)
		return refuse("-l '%s' -h '%s': the range is reversed", word(w, 'l'), word(w, 'h'));
	r->dport_low = low ? low : 1;
	r->dport_high = high ? high : 65535;
	r->sport_high = 65535;
	return 0;
}

static int read_iface(const struct words *w, struct shunt_rule *r)
{
	const char *name = word(w, 'N');

	return name ? parse_ifname(name, r->ifname) : 0;
}

static int read_proto(const struct words *w, struct shunt_rule *r)
{
	const char *proto = word(w, 'p');

	if (!proto)
		return 0;
	if (!strcmp(proto, "tcp"))
		r->proto = IPPROTO_TCP;
	else if (!strcmp(proto, "udp"))
		r->proto = IPPROTO_UDP;
	else
		return refuse("-p '%s': neither tcp nor udp", proto);
	return 0;
}

static int read_match(const struct words *w, struct shunt_rule *r, bool *ret_never)
{
	int error = read_dst(w, r);

	if (!error)
		error = read_src(w, r, ret_never);
	if (!error)
		error = read_ports(w, r);
	if (!error)
		error = read_proto(w, r);
	return error ? error : read_iface(w, r);
}

static int read_to(const struct words *w, struct shunt_rule *r)
{
	unsigned int port = 0;
	int error;

	if (!word(w, 't'))
		return refuse("diverter: -t PORT is missing");
	error = read_port(w, 't', &port);
	if (error || !port)
		return error;
	r->action = SHUNT_STEER;
	r->to_port = port;
	if (r->family == AF_INET6)
		r->to[15] = 1;
	else
		memcpy(r->to, "\x7f\0\0\1", 4);
	r->own = rule_own_default(r);
	return 0;
}

/* Whatever the id has that a label can't have must not keep the service out. */
static void read_service(const struct words *w, struct shunt_rule *r)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._:-";
	size_t i;

	if (!word(w, 's'))
		return;
	snprintf(r->service, sizeof(r->service), "%s", word(w, 's'));
	for (i = 0; r->service[i]; i++)
		if (!strchr(allowed, r->service[i]))
			r->service[i] = '_';
}

/* A router has opened the listener before it calls. To find out whose it is takes much
 * longer than to see that there is none. */
static __u8 maker_of(const struct shunt_rule *r)
{
	pid_t caller = caller_parent();
	__u8 known = router_find(caller);

	if (known || r->action != SHUNT_STEER || rule_listens(r) != LISTENER_THERE)
		return known;
	return router_enter(caller, r);
}

static int insert(const struct words *w)
{
	_cleanup_lock_ int lock = -1;
	struct shunt_rule r = {};
	const struct shunt_rule *new = &r;
	bool never = false;
	int error = read_match(w, &r, &never);

	if (error)
		return error;
	if (!r.proto)
		return refuse("diverter: -p tcp or -p udp is missing");
	if (!word(w, 'l') && !word(w, 'h'))
		return refuse("diverter: -l LOW and -h HIGH are missing");
	error = read_to(w, &r);
	if (error || never)
		return error;
	if (*r.ifname)
		error = rule_find_iface(&r);
	if (error)
		return error;
	if (r.ifindex == SHUNT_NO_IFINDEX)
		say("no interface '%s' yet", r.ifname);
	read_service(w, &r);
	lock = rules_lock();
	if (lock < 0)
		return lock;
	r.router = maker_of(&r);
	error = service_add(&r);
	if (!error)
		listeners_want(&new, 1);
	if (!error && only_ipv4_listens(&r))
		say("nobody listens at [::1]:%u, only at 127.0.0.1, as ziti-router does: it can't take "
		    "IPv6, and the packets pass", r.to_port);
	return error;
}

/* Is r one that the words mean, which may leave out protocol and ports? */
static bool meant(const struct words *w, const struct shunt_rule *r,
		  const struct shunt_rule *like)
{
	return r->family == like->family && r->dst_len == like->dst_len &&
	       r->src_len == like->src_len && !memcmp(r->dst, like->dst, sizeof(r->dst)) &&
	       !memcmp(r->src, like->src, sizeof(r->src)) &&
	       !strcmp(r->ifname, like->ifname) && (!like->proto || r->proto == like->proto) &&
	       ((!word(w, 'l') && !word(w, 'h')) ||
		(r->dport_low == like->dport_low && r->dport_high == like->dport_high));
}

/* Reads all rules, which the router's own deletions never need. */
static int delete_meant(const struct words *w, const struct shunt_rule *like)
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
	for (i = found; i && !error; i--) /* the first to be tried last */
		error = rules_del(&copy[i - 1]);
	return error || found ? error : -ENOENT;
}

static int delete(const struct words *w, int argc, char **argv)
{
	_cleanup_lock_ int lock = -1;
	struct shunt_rule r = {};
	bool never = false;
	int error = read_match(w, &r, &never);

	if (error || never)
		return error;
	lock = rules_lock();
	if (lock < 0)
		return lock;
	if (!r.proto || (!word(w, 'l') && !word(w, 'h')))
		error = delete_meant(w, &r);
	else
		error = service_del(&r, router_find(caller_parent()));
	if (error != -ENOENT)
		return error;
	say_missing("rule", argc - 1, argv + 1);
	return 0;
}

/* Is r one that -L is asked for? */
static bool listed(const struct words *w, const struct shunt_rule *r,
		   const struct shunt_rule *like)
{
	if (like->proto && r->proto != like->proto)
		return false;
	return !word(w, 'c') || (r->family == like->family && r->dst_len == like->dst_len &&
				 !memcmp(r->dst, like->dst, sizeof(r->dst)));
}

static int copy_listed(const struct words *w, const struct shunt_rule *like,
		       struct rule_copy **ret, __u32 *ret_count)
{
	_cleanup_free_ const struct shunt_rule **all = NULL;
	_cleanup_lock_ int lock = rules_lock();
	__u32 i, count = 0, kept = 0;
	int error;

	if (lock < 0)
		return lock;
	error = rules_sorted(&all, &count);
	for (i = 0; i < count; i++)
		if (listed(w, all[i], like))
			all[kept++] = all[i];
	if (!error)
		error = rules_copy(all, kept, ret, ret_count);
	if (!error)
		find_listeners(*ret, *ret_count);
	return error;
}

static int list(const struct words *w)
{
	_cleanup_free_ struct rule_copy *all = NULL;
	struct shunt_rule like = {};
	__u32 count = 0;
	int error = read_proto(w, &like);

	if (!error && word(w, 'c'))
		error = read_dst(w, &like);
	if (!error)
		error = copy_listed(w, &like, &all, &count);
	if (!error)
		print_rules(all, count);
	return error;
}

static void say_without_lo(void)
{
	const struct shunt_state *states = pin_mmap("shunt_state", NULL);
	int i;

	for (i = 0; states && i < SHUNT_STATES; i++)
		if (states[i].kind == SHUNT_IFACE && states[i].ifindex == LOOPBACK)
			return;
	say("steering is not on lo, so services are not there for this host itself ('shunt load "
	    "--iface lo')");
}

/* The only call whose failure the router reports: it does not start then. */
static int show_version(void)
{
	__u64 from = caller_netns();
	_cleanup_lock_ int lock = rules_lock();
	int error;

	if (lock < 0)
		return lock;
	error = at_home();
	if (error)
		return error;
	if (from != own_netns())
		return deny(-EXDEV, "shunt is loaded in another network namespace than this one, and can't "
			    "reach listeners here");
	puts(SHUNT_VERSION);
	say_without_lo();
	services_sweep(); /* a router starts; that others have left rules must not stop it */
	return 0;
}

int cmd_diverter(int argc, char **argv)
{
	struct words w;
	int error;

	if (argc == 2 && !strcmp(argv[1], "help"))
		return help();
	error = read_words(argc, argv, &w);
	if (error)
		return error;
	if (must_ask())
		return ask_rule_server("diverter", argc, argv);
	if (w.action != 'V')
		home_netns(); /* a rule's interface is looked up there */
	switch (w.action) {
	case 'I':
		return insert(&w);
	case 'D':
		return delete(&w, argc, argv);
	case 'L':
		return list(&w);
	default:
		return show_version();
	}
}
