// SPDX-License-Identifier: GPL-2.0-only
/* shunt nat: rules that send packets to another address and port. */
#include "nat/nat_attach.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include "bpf/pins.h"
#include "cmd/command.h"
#include "nat/nat_rule.h"
#include "nat/nat_store.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "util/options.h"
#include "util/text.h"

/* --- adding -------------------------------------------------------------------- */

int nat_lock(void)
{
	_cleanup_lock_ int lock = pins_lock(false);
	_cleanup_fd_ int prog = -1;
	const struct shunt_conf *conf;
	struct shunt_state *states;
	int error;

	if (lock == -ENOENT)
		return not_loaded();
	if (lock < 0)
		return lock;
	conf = pin_mmap("shunt_conf", NULL);
	states = pin_mmap("shunt_state", NULL);
	if (!conf || !states || !conf->run.loaded)
		return not_loaded();
	prog = pin_open("progs", "shunt_nat_init");
	if (prog < 0)
		return deny(-ENOENT,
			    "NAT is not loaded; unload, and give 'shunt load' --nat or --iface, too");
	error = nat_store_open();
	if (error)
		return error;
	nat_detach_unused(states);
	return take_fd(&lock);
}

static int nat_add(int argc, char **argv)
{
	_cleanup_lock_ int lock = -1;
	struct shunt_nat_rule r, was = {};
	char text[NAT_TEXT], old[NAT_TEXT];
	int error;

	home_netns();
	error = nat_rule_parse(argc - 1, argv + 1, false, &r);
	if (error)
		return error;
	lock = nat_lock();
	if (lock < 0)
		return lock;
	error = nat_attach_for_rules(&r, 1);
	if (error)
		return error;
	error = nat_store_add(&r, &was);
	if (error)
		nat_attach_undo();
	if (error || !was.used)
		return error;
	nat_rule_format(&r, text);
	nat_rule_format(&was, old);
	say("%s: %s", strcmp(text, old) ? "replaced by" : "already there", text);
	return 0;
}

/* --- taking away ------------------------------------------------------------------ */

static int nat_del(int argc, char **argv)
{
	_cleanup_lock_ int lock = -1;
	struct shunt_nat_rule match;
	int error;

	error = nat_rule_parse(argc - 1, argv + 1, true, &match);
	if (error)
		return error;
	lock = nat_lock();
	if (lock < 0)
		return lock;
	error = nat_store_del(&match);
	if (error != -ENOENT)
		return error;
	say_missing("rule", argc - 1, argv + 1);
	return 0;
}

static int refuse_words(const char *verb, int argc, char **argv)
{
	if (argc < 2)
		return 0;
	return refuse("nat %s: '%s' is one word too many", verb, argv[1]);
}

static int nat_flush(int argc, char **argv)
{
	struct shunt_state *states;
	_cleanup_lock_ int lock = -1;
	int error = refuse_words("flush", argc, argv);

	if (error)
		return error;
	lock = nat_lock();
	if (lock < 0)
		return lock;
	states = pin_mmap("shunt_state", NULL);
	if (!states)
		return fail(-errno, "can't map the settings");
	error = nat_store_flush();
	if (!error)
		error = nat_detach_unused(states);
	if (error != -EBUSY)
		return error;
	say("flows are alive: NAT stays attached until they have ended");
	return 0;
}

/* --- showing ---------------------------------------------------------------------- */

static void list_json(const struct shunt_nat_rule **all, unsigned int count)
{
	unsigned int i;

	json_open(&json_stdout, '[');
	for (i = 0; i < count; i++)
		nat_rule_json(&json_stdout, all[i]);
	json_close(&json_stdout, ']');
}

static void list_text(const struct shunt_nat_rule **all, unsigned int count)
{
	char text[NAT_TEXT];
	unsigned int i;
	int len, width = 0;

	for (i = 0; i < count; i++) {
		nat_rule_format(all[i], text);
		len = strlen(text);
		width = len > width ? len : width;
	}
	for (i = 0; i < count; i++) {
		nat_rule_format(all[i], text);
		printf("%-*s  flows %llu refused %llu\n", width, text, all[i]->flows,
		       all[i]->refused);
	}
}

static int nat_list(int argc, char **argv)
{
	_cleanup_free_ const struct shunt_nat_rule **all = NULL;
	_cleanup_lock_ int lock = -1;
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

#define END_TEXT (INET6_ADDRSTRLEN + 10)

static void endpoint(unsigned int family, const __u8 *addr, unsigned int port, char text[END_TEXT])
{
	char address[INET6_ADDRSTRLEN];

	inet_ntop(family, addr, address, sizeof(address));
	snprintf(text, END_TEXT, family == AF_INET6 ? "[%s]:%u" : "%s:%u", address, port);
}

/* A flow by its entry for what goes out; in is the other one. */
static void show_flow(const struct shunt_nat_key *key, const struct shunt_nat_flow *orig,
		      const struct shunt_nat_flow *reply, __u64 now)
{
	char from[END_TEXT], dst[END_TEXT], to[END_TEXT], where[END_TEXT + 24] = "straight";
	char name[IF_NAMESIZE];
	__u64 last_ns = orig->last_packet_ns > reply->last_packet_ns ? orig->last_packet_ns :
								       reply->last_packet_ns;

	endpoint(key->family, key->src, key->sport, from);
	endpoint(key->family, key->dst, key->dport, dst);
	endpoint(key->family, orig->other.src, orig->other.sport, to);
	if (!if_indextoname(orig->ifindex, name))
		snprintf(name, sizeof(name), "%u", orig->ifindex);
	if (!opt.json) {
		if (orig->forward_action != NAT_UNTRANSLATED)
			snprintf(where, sizeof(where), "to %s from port %u", to, orig->other.dport);
		printf("%s %s -> %s %s  iface %s  out %llu packets %llu bytes  in %llu packets %llu "
		       "bytes  idle %llu s%s\n",
		       nat_proto_name(key->proto), from, dst, where, plain(name), orig->packets,
		       orig->bytes, reply->packets, reply->bytes,
		       now > last_ns ? (now - last_ns) / 1000000000 : 0,
		       reply->packets ? "" : "  no answer yet");
		return;
	}
	json_open(&json_stdout, '{');
	json_string(&json_stdout, "proto", nat_proto_name(key->proto));
	json_string(&json_stdout, "src", from);
	json_string(&json_stdout, "dst", dst);
	json_string(&json_stdout, "to", to);
	json_number(&json_stdout, "sport", orig->other.dport);
	json_bool(&json_stdout, "straight", orig->forward_action == NAT_UNTRANSLATED);
	json_string(&json_stdout, "iface", name);
	json_number(&json_stdout, "out_packets", orig->packets);
	json_number(&json_stdout, "out_bytes", orig->bytes);
	json_number(&json_stdout, "in_packets", reply->packets);
	json_number(&json_stdout, "in_bytes", reply->bytes);
	json_number(&json_stdout, "idle_ms", now > last_ns ? (now - last_ns) / 1000000 : 0);
	json_close(&json_stdout, '}');
}

static int nat_flows(int argc, char **argv)
{
	_cleanup_lock_ int lock = -1;
	_cleanup_fd_ int map = -1;
	struct shunt_nat_key key, *last = NULL;
	struct shunt_nat_flow orig, reply;
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
		json_open(&json_stdout, '[');
	for (; !bpf_map_get_next_key(map, last, &key); last = &key)
		if (key.direction == NAT_DIR_ORIGINAL && !bpf_map_lookup_elem(map, &key, &orig) &&
		    !bpf_map_lookup_elem(map, &orig.other, &reply))
			show_flow(&key, &orig, &reply, t.tv_sec * 1000000000ULL + t.tv_nsec);
	if (opt.json)
		json_close(&json_stdout, ']');
	return 0;
}

static int nat_help(int argc, char **argv);

static const struct command verbs[] = {
	{ "add", nat_add, "RULE", "add a rule, or change its target" },
	{ "del", nat_del, "RULE", "delete a rule; 'to' may be left out; its flows go on" },
	{ "list", nat_list, "", "the rules, with the flows that each has made and refused" },
	{ "flush", nat_flush, "", "delete all rules" },
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
	       "when the rule is added. When all rules are deleted and the last flow has ended,\n"
	       "'shunt run' or the next 'shunt nat' detaches it again.\n");
	return 0;
}

int cmd_nat(int argc, char **argv)
{
	return run_command("nat", verbs, argc - 1, argv + 1);
}
