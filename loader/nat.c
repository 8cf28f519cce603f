// SPDX-License-Identifier: GPL-2.0-only
/* shunt nat: rules that send packets to another address and port. */
#include "nat.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include "json.h"
#include "nat_store.h"
#include "pins.h"
#include "route.h"
#include "rule.h"
#include "shunt.h"

#define ADDRESS_TEXT INET6_ADDRSTRLEN
#define TO_TEXT (ADDRESS_TEXT + 24)
#define NAT_TEXT 192

/* --- rules as words --------------------------------------------------------- */

static unsigned int address_bits(unsigned int family)
{
	return family == AF_INET ? 32 : 128;
}

/* ADDR, ADDR:LOW[-HIGH], ADDR/LEN or ADDR/LEN:LOW[-HIGH]; IPv6 with a port in
 * brackets. */
static int parse_to(const char *word, struct shunt_nat_rule *r, __u8 *ret_family)
{
	const char *slash = strchr(word, '/'), *bracket = strchr(word, ']'), *colon;
	char address[ADDRESS_TEXT + 8];
	size_t len;
	int error;

	colon = strchr(slash ? slash : bracket ? bracket : word, ':');
	if (colon && !slash && !bracket && strchr(colon + 1, ':'))
		colon = NULL; /* IPv6 */
	len = colon ? (size_t)(colon - word) : strlen(word);
	if (len >= sizeof(address))
		return refuse("'%s': not an address", word);
	snprintf(address, sizeof(address), "%.*s", (int)len, word);
	if (*word == '[' && bracket && bracket < word + len) {
		memmove(address + (bracket - word), address + (bracket - word) + 1,
			strlen(address + (bracket - word)));
		memmove(address, address + 1, strlen(address));
	}
	error = parse_prefix(address, ret_family, r->to, &r->to_len);
	if (!error && colon)
		error = parse_range(colon + 1, &r->to_low, &r->to_high);
	return error;
}

struct words {
	const char *dst, *dport, *to;
};

static int find_words(int argc, char **argv, struct words *w)
{
	const char **value;
	int i;

	for (i = 1; i < argc; i += 2) {
		value = !strcmp(argv[i], "dst") ? &w->dst :
			!strcmp(argv[i], "dport") ? &w->dport :
			!strcmp(argv[i], "to") ? &w->to : NULL;
		if (!value)
			return refuse("'%s': no word of a NAT rule; see 'shunt nat help'", argv[i]);
		if (*value)
			return refuse("'%s' is given twice", argv[i]);
		if (i + 1 == argc)
			return refuse("'%s': a value is missing", argv[i]);
		*value = argv[i + 1];
	}
	return 0;
}

static int check_to(const struct shunt_nat_rule *r, const struct words *w, __u8 to_family)
{
	int wide = r->dport_high - r->dport_low, to_wide = r->to_high - r->to_low;

	if (to_family != r->family)
		return refuse("'to %s' and 'dst %s': one is IPv4, the other IPv6", w->to, w->dst);
	if (r->to_len != r->dst_len && r->to_len != address_bits(r->family))
		return refuse("'to %s': a prefix of /%u, or a single address, for 'dst %s'", w->to,
			      r->dst_len, w->dst);
	if (to_wide && to_wide != wide)
		return refuse("'to %s': one port, or as many as dport has (%d)", w->to, wide + 1);
	return 0;
}

/* Reads the words of a rule; with match_only 'to' may be missing. */
static int parse_rule(int argc, char **argv, bool match_only, struct shunt_nat_rule *ret)
{
	struct shunt_nat_rule r = { .dport_high = 65535 };
	struct words w = {};
	__u8 to_family;
	int error;

	if (argc < 1)
		return refuse("a NAT rule is missing; see 'shunt nat help'");
	if (strcmp(argv[0], "tcp") && strcmp(argv[0], "udp"))
		return refuse("'%s': a NAT rule begins with tcp or udp", argv[0]);
	r.proto = *argv[0] == 't' ? IPPROTO_TCP : IPPROTO_UDP;
	error = find_words(argc, argv, &w);
	if (error)
		return error;
	if (!w.dst)
		return refuse("a NAT rule needs 'dst ADDR[/LEN]'");
	if (!w.to && !match_only)
		return refuse("a NAT rule needs 'to ADDR[/LEN][:PORT]'");
	error = parse_prefix(w.dst, &r.family, r.dst, &r.dst_len);
	if (!error && w.dport)
		error = parse_range(w.dport, &r.dport_low, &r.dport_high);
	if (!error && r.dport_low == 1 && r.dport_high == 65535)
		r.dport_low = 0; /* all of them */
	if (!error && w.to)
		error = parse_to(w.to, &r, &to_family);
	if (!error && w.to)
		error = check_to(&r, &w, to_family);
	if (!error)
		*ret = r;
	return error;
}

static const char *proto_name(unsigned int proto)
{
	return proto == IPPROTO_TCP ? "tcp" : "udp";
}

static void format_prefix(unsigned int family, const __u8 *addr, unsigned int len,
			  char text[ADDRESS_TEXT + 4])
{
	inet_ntop(family, addr, text, ADDRESS_TEXT);
	if (len != address_bits(family))
		sprintf(text + strlen(text), "/%u", len);
}

static void format_range(unsigned int low, unsigned int high, char text[16])
{
	snprintf(text, 16, low == high ? "%u" : "%u-%u", low, high);
}

static void format_to(const struct shunt_nat_rule *r, char text[TO_TEXT])
{
	char prefix[ADDRESS_TEXT + 4], range[16];

	format_prefix(r->family, r->to, r->to_len, prefix);
	format_range(r->to_low, r->to_high, range);
	if (!r->to_low)
		snprintf(text, TO_TEXT, "%s", prefix);
	else
		snprintf(text, TO_TEXT, r->family == AF_INET6 ? "[%s]:%s" : "%s:%s", prefix, range);
}

static void format_rule(const struct shunt_nat_rule *r, char text[NAT_TEXT])
{
	char dst[ADDRESS_TEXT + 4], range[16], to[TO_TEXT];

	format_prefix(r->family, r->dst, r->dst_len, dst);
	format_range(r->dport_low, r->dport_high, range);
	format_to(r, to);
	snprintf(text, NAT_TEXT, "%s dst %s%s%s to %s", proto_name(r->proto), dst,
		 r->dport_low ? " dport " : "", r->dport_low ? range : "", to);
}

/* --- attaching ----------------------------------------------------------------- */

/* Takes the lock and opens the rules: the fd that holds the lock, or -errno,
 * said. */
static int nat_lock(void)
{
	_cleanup_fd_ int lock = pins_lock(false), prog = -1;
	const struct shunt_conf *conf;
	int error;

	if (lock == -ENOENT)
		return not_loaded();
	if (lock < 0)
		return lock;
	conf = pin_mmap("shunt_conf", NULL);
	if (!conf || !conf->loaded)
		return not_loaded();
	prog = pin_open("progs", "shunt_nat_out");
	if (prog < 0)
		return deny(-ENOENT, "NAT is not loaded; give 'shunt load' --nat or --iface");
	error = nat_store_open();
	return error ? error : take_fd(&lock);
}

/* Attaches NAT to where packets for dst leave now and where the target's
 * answers arrive, and to the interfaces of load. */
static int attach_for(struct shunt_nat_rule *r)
{
	struct shunt_state *states = pin_mmap("shunt_state", NULL);
	struct shunt_conf *conf = pin_mmap("shunt_conf", NULL);
	__u32 before = 0;
	int i, error;

	if (!states || !conf)
		return fail(-errno, "can't map the settings");
	error = nat_forwarding(conf);
	for (i = 0; i < SHUNT_STATES && !error; i++)
		if (states[i].kind == SHUNT_IFACE && if_nametoindex(states[i].name))
			error = nat_attach(states, if_nametoindex(states[i].name));
	if (!error && !route_lookup(r->family, r->dst, &before))
		error = nat_attach(states, before);
	if (!error && !route_lookup(r->family, r->to, &r->ifindex) && r->ifindex != before)
		error = nat_attach(states, r->ifindex);
	return error;
}

static int nat_add(int argc, char **argv)
{
	_cleanup_fd_ int lock = -1;
	struct shunt_nat_rule r, was = {};
	char text[NAT_TEXT], old[NAT_TEXT];
	int error;

	home_netns();
	error = parse_rule(argc - 1, argv + 1, false, &r);
	if (error)
		return error;
	lock = nat_lock();
	if (lock < 0)
		return lock;
	error = attach_for(&r);
	if (!error)
		error = nat_store_add(&r, &was);
	if (error || !was.used)
		return error;
	format_rule(&r, text);
	format_rule(&was, old);
	say("%s: %s", strcmp(text, old) ? "replaced by" : "already there", text);
	return 0;
}

/* --- taking away ------------------------------------------------------------------ */

static int nat_del(int argc, char **argv)
{
	_cleanup_fd_ int lock = -1;
	struct shunt_nat_rule match;
	int error;

	error = parse_rule(argc - 1, argv + 1, true, &match);
	if (error)
		return error;
	lock = nat_lock();
	if (lock < 0)
		return lock;
	error = nat_store_del(&match);
	if (error != -ENOENT)
		return error;
	say("no such rule; nothing to delete");
	return 0;
}

static int refuse_words(const char *verb, int argc, char **argv)
{
	if (argc < 2)
		return 0;
	return refuse("nat %s: '%s' is one word too many", verb, argv[1]);
}

/* Without rules and flows NAT comes off what it attached itself to. */
static int detach_idle(void)
{
	struct shunt_state *states = pin_mmap("shunt_state", NULL);
	_cleanup_fd_ int flows = pin_open("maps", "shunt_nat_flows");
	struct shunt_nat_key key;

	if (!states || flows < 0)
		return fail(-errno, "can't open the flows");
	if (bpf_map_get_next_key(flows, NULL, &key)) {
		nat_store_forget();
		return nat_detach(states);
	}
	say("flows are alive: NAT stays attached for them; flush again when they have ended");
	return 0;
}

static int nat_flush(int argc, char **argv)
{
	_cleanup_fd_ int lock = -1;
	int error = refuse_words("flush", argc, argv);

	if (error)
		return error;
	lock = nat_lock();
	if (lock < 0)
		return lock;
	error = nat_store_flush();
	return error ? error : detach_idle();
}

/* --- showing ---------------------------------------------------------------------- */

static void list_json(const struct shunt_nat_rule **all, unsigned int count)
{
	char text[ADDRESS_TEXT + 4], to[TO_TEXT], range[16];
	unsigned int i;

	json_open(stdout, '[');
	for (i = 0; i < count; i++) {
		const struct shunt_nat_rule *r = all[i];

		format_prefix(r->family, r->dst, r->dst_len, text);
		format_range(r->dport_low ? r->dport_low : 1, r->dport_high, range);
		format_to(r, to);
		json_open(stdout, '{');
		json_string(stdout, "proto", proto_name(r->proto));
		json_string(stdout, "dst", text);
		json_string(stdout, "dport", range);
		json_string(stdout, "to", to);
		json_number(stdout, "flows", r->flows);
		json_number(stdout, "refused", r->refused);
		json_close(stdout, '}');
	}
	json_close(stdout, ']');
}

static void list_text(const struct shunt_nat_rule **all, unsigned int count)
{
	char text[NAT_TEXT];
	unsigned int i;
	int len, width = 0;

	for (i = 0; i < count; i++) {
		format_rule(all[i], text);
		len = strlen(text);
		width = len > width ? len : width;
	}
	for (i = 0; i < count; i++) {
		format_rule(all[i], text);
		printf("%-*s  flows %llu refused %llu\n", width, text, all[i]->flows,
		       all[i]->refused);
	}
}

static int nat_list(int argc, char **argv)
{
	_cleanup_free_ const struct shunt_nat_rule **all = NULL;
	_cleanup_fd_ int lock = -1;
	unsigned int count = 0;
	int error = refuse_words("list", argc, argv);

	if (error)
		return error;
	lock = nat_lock();
	if (lock < 0)
		return lock;
	error = nat_store_list(&all, &count);
	if (error)
		return error;
	if (opt.json)
		list_json(all, count);
	else
		list_text(all, count);
	return 0;
}

static void endpoint(unsigned int family, const __u8 *addr, unsigned int port, char text[TO_TEXT])
{
	char address[ADDRESS_TEXT];

	inet_ntop(family, addr, address, sizeof(address));
	snprintf(text, TO_TEXT, family == AF_INET6 ? "[%s]:%u" : "%s:%u", address, port);
}

/* A flow by its entry for what goes out; in is the other one. */
static void show_flow(const struct shunt_nat_key *key, const struct shunt_nat_flow *out,
		      const struct shunt_nat_flow *in, __u64 now)
{
	char from[TO_TEXT], dst[TO_TEXT], to[TO_TEXT], way[TO_TEXT + 24] = "straight";
	char name[IF_NAMESIZE];
	__u64 seen = out->seen_ns > in->seen_ns ? out->seen_ns : in->seen_ns;

	endpoint(key->family, key->src, key->sport, from);
	endpoint(key->family, key->dst, key->dport, dst);
	endpoint(key->family, out->other.src, out->other.sport, to);
	if (!if_indextoname(out->ifindex, name))
		snprintf(name, sizeof(name), "%u", out->ifindex);
	if (!opt.json) {
		if (out->how != NAT_STRAIGHT)
			snprintf(way, sizeof(way), "to %s from port %u", to, out->other.dport);
		printf("%s %s -> %s %s  iface %s  out %llu packets %llu bytes  in %llu packets %llu "
		       "bytes  idle %llu s\n", proto_name(key->proto), from, dst, way, name,
		       out->packets, out->bytes, in->packets, in->bytes,
		       now > seen ? (now - seen) / 1000000000 : 0);
		return;
	}
	json_open(stdout, '{');
	json_string(stdout, "proto", proto_name(key->proto));
	json_string(stdout, "src", from);
	json_string(stdout, "dst", dst);
	json_string(stdout, "to", to);
	json_number(stdout, "sport", out->other.dport);
	json_bool(stdout, "straight", out->how == NAT_STRAIGHT);
	json_string(stdout, "iface", name);
	json_number(stdout, "out_packets", out->packets);
	json_number(stdout, "out_bytes", out->bytes);
	json_number(stdout, "in_packets", in->packets);
	json_number(stdout, "in_bytes", in->bytes);
	json_number(stdout, "idle_ms", now > seen ? (now - seen) / 1000000 : 0);
	json_close(stdout, '}');
}

static int nat_flows(int argc, char **argv)
{
	_cleanup_fd_ int lock = -1, map = -1;
	struct shunt_nat_key key, *last = NULL;
	struct shunt_nat_flow out, in;
	struct timespec t;
	int error = refuse_words("flows", argc, argv);

	if (error)
		return error;
	lock = nat_lock();
	if (lock < 0)
		return lock;
	map = pin_open("maps", "shunt_nat_flows");
	if (map < 0)
		return fail(map, "can't open the flows");
	clock_gettime(CLOCK_MONOTONIC, &t);
	if (opt.json)
		json_open(stdout, '[');
	for (; !bpf_map_get_next_key(map, last, &key); last = &key)
		if (key.direction == NAT_OUT && !bpf_map_lookup_elem(map, &key, &out) &&
		    !bpf_map_lookup_elem(map, &out.other, &in))
			show_flow(&key, &out, &in, t.tv_sec * 1000000000ULL + t.tv_nsec);
	if (opt.json)
		json_close(stdout, ']');
	return 0;
}

static int nat_help(int argc, char **argv);

static const struct command verbs[] = {
	{ "add", nat_add, "RULE", "add a rule, or change its target" },
	{ "del", nat_del, "RULE", "delete a rule; 'to' may be left out; its flows go on" },
	{ "list", nat_list, "", "the rules, with the flows that each has made and refused" },
	{ "flush", nat_flush, "", "delete all rules; without flows NAT is detached where 'add' attached it" },
	{ "flows", nat_flows, "", "the flows that are alive" },
	{ "help", nat_help, "", "this text" },
	{ NULL, NULL, NULL, NULL },
};

static int nat_help(int argc, char **argv)
{
	const struct command *c;

	(void)argc;
	(void)argv;
	printf("usage: shunt nat VERB ...\n\n");
	for (c = verbs; c->name; c++)
		printf("  %s%s%s\n        %s\n", c->name, *c->usage ? " " : "", c->usage, c->help);
	printf("\nRULE: tcp|udp dst ADDR[/LEN] [dport LOW[-HIGH]] to ADDR[/LEN][:LOW[-HIGH]]\n\n"
	       "What leaves for dst is sent to the target, and the answers come back from dst.\n"
	       "A target of the same prefix length keeps the rest of the address; as many ports\n"
	       "as dport has are counted through, a single one is for all. The longest\n"
	       "destination prefix wins, then the narrowest dport range. NAT is attached to the\n"
	       "interfaces of 'shunt load', and to those by which dst and the target are reached\n"
	       "when the rule is added.\n");
	return 0;
}

int cmd_nat(int argc, char **argv)
{
	return run_command("nat", verbs, argc - 1, argv + 1);
}
