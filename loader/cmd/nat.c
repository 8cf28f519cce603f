// SPDX-License-Identifier: GPL-2.0-only
/* shunt nat: rules that send packets to another address and port. */
#include "nat/nat_attach.h"

#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "bpf/pins.h"
#include "bypass/pairs.h"
#include "cmd/command.h"
#include "nat/nat_rule.h"
#include "nat/nat_store.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/log.h"
#include "util/options.h"
#include "util/text.h"

/* --- adding -------------------------------------------------------------------- */

static int nat_add(int argc, char **argv)
{
	_cleanup_lock_ int lock = -1;
	struct shunt_nat_rule r, old = {};
	char text[NAT_TEXT], old_text[NAT_TEXT];
	int error;

	netns_enter_loaded();
	error = nat_rule_parse(argc - 1, argv + 1, false, &r);
	if (error)
		return error;
	lock = nat_lock();
	if (lock < 0)
		return lock;
	error = nat_attach_for_rules(&r, 1);
	if (error)
		return error;
	error = nat_store_add(&r, &old);
	if (error) {
		nat_attach_undo();
		return error;
	}
	if (!old.used)
		return 0;
	nat_rule_format(&r, text);
	nat_rule_format(&old, old_text);
	say("%s: %s", strcmp(text, old_text) ? "replaced by" : "already there", text);
	return 0;
}

/* --- deleting ------------------------------------------------------------------ */

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
	struct shunt_attachment *attachments;
	_cleanup_lock_ int lock = -1;
	int error = refuse_words("flush", argc, argv);

	if (error)
		return error;
	lock = nat_lock();
	if (lock < 0)
		return lock;
	attachments = attachments_map();
	if (!attachments)
		return fail(-errno, "can't map the settings");
	error = nat_store_flush();
	if (error)
		return error;
	error = nat_detach_unused(attachments);
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

/* Addresses of a flow as text: the client, the old destination, the target. */
struct flow_text {
	char src[ENDPOINT_TEXT], dst[ENDPOINT_TEXT], to[ENDPOINT_TEXT], iface[IF_NAMESIZE];
};

static void flow_text(const struct shunt_nat_key *key, const struct shunt_nat_flow *orig,
		      struct flow_text *ret)
{
	endpoint_text(ret->src, key->family, key->src, key->sport);
	endpoint_text(ret->dst, key->family, key->dst, key->dport);
	endpoint_text(ret->to, key->family, orig->other.src, orig->other.sport);
	if (!if_indextoname(orig->ifindex, ret->iface))
		snprintf(ret->iface, sizeof(ret->iface), "%u", orig->ifindex);
}

static __u64 idle_ns(const struct shunt_nat_flow *orig, const struct shunt_nat_flow *reply)
{
	__u64 now = monotonic_ns(), last = orig->last_packet_ns;

	if (reply->last_packet_ns > last)
		last = reply->last_packet_ns;
	return now > last ? now - last : 0;
}

static void flow_print(const struct shunt_nat_key *key, const struct shunt_nat_flow *orig,
		       const struct shunt_nat_flow *reply)
{
	char target[ENDPOINT_TEXT + 24] = "directly";
	struct flow_text t;

	flow_text(key, orig, &t);
	if (orig->forward_action != NAT_UNTRANSLATED)
		snprintf(target, sizeof(target), "to %s from port %u", t.to, orig->other.dport);
	printf("%s %s -> %s %s  iface %s  out %llu packets %llu bytes  in %llu packets %llu "
	       "bytes  idle %llu s%s\n",
	       nat_proto_name(key->proto), t.src, t.dst, target, printable(t.iface), orig->packets,
	       orig->bytes, reply->packets, reply->bytes, idle_ns(orig, reply) / NS_PER_SEC,
	       reply->packets ? "" : "  no answer yet");
}

static void flow_json(const struct shunt_nat_key *key, const struct shunt_nat_flow *orig,
		      const struct shunt_nat_flow *reply)
{
	const bool direct = orig->forward_action == NAT_UNTRANSLATED;
	struct flow_text t;

	flow_text(key, orig, &t);
	json_open(&json_stdout, '{');
	json_string(&json_stdout, "proto", nat_proto_name(key->proto));
	json_string(&json_stdout, "src", t.src);
	json_string(&json_stdout, "dst", t.dst);
	json_string(&json_stdout, "to", t.to);
	json_number(&json_stdout, "sport", orig->other.dport);
	json_bool(&json_stdout, "sent_directly_to_target", direct);
	json_bool(&json_stdout, "straight", direct); /* the old name */
	json_string(&json_stdout, "iface", t.iface);
	json_number(&json_stdout, "out_packets", orig->packets);
	json_number(&json_stdout, "out_bytes", orig->bytes);
	json_number(&json_stdout, "in_packets", reply->packets);
	json_number(&json_stdout, "in_bytes", reply->bytes);
	json_number(&json_stdout, "idle_ms", idle_ns(orig, reply) / NS_PER_MS);
	json_close(&json_stdout, '}');
}

static int nat_flows(int argc, char **argv)
{
	_cleanup_lock_ int lock = -1;
	_cleanup_fd_ int map = -1;
	struct shunt_nat_key key, *last = NULL;
	struct shunt_nat_flow orig, reply;
	int error = refuse_words("flows", argc, argv);

	if (error)
		return error;
	lock = nat_lock();
	if (lock < 0)
		return lock;
	map = pin_open(HALF_NAT, "maps", "shunt_nat_flows");
	if (map < 0)
		return fail(map, "can't open the flows");
	if (opt.json)
		json_open(&json_stdout, '[');
	for (; !bpf_map_get_next_key(map, last, &key); last = &key)
		if (key.direction == NAT_DIR_ORIGINAL && !bpf_map_lookup_elem(map, &key, &orig) &&
		    !bpf_map_lookup_elem(map, &orig.other, &reply))
			(opt.json ? flow_json : flow_print)(&key, &orig, &reply);
	if (opt.json)
		json_close(&json_stdout, ']');
	return 0;
}

static int nat_help(int argc, char **argv);

static const struct command verbs[] = {
	{ "add", nat_add, "RULE", "add a rule, or change its target" },
	{ "del", nat_del, "RULE",
	  "delete a rule ('to' may be left out); its flows stay until they end" },
	{ "list", nat_list, "", "list the rules, each with the number of flows made and refused" },
	{ "flush", nat_flush, "", "delete all rules" },
	{ "flows", nat_flows, "", "list the flows that have not ended" },
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
	       "Packets that leave for dst go to the target instead; replies come back from dst.\n"
	       "A target with the prefix length of dst keeps the rest of the address. If 'to' has as\n"
	       "many ports as dport, ports are mapped one to one; a single port stands for all. The\n"
	       "longest destination prefix wins, then the narrowest dport range. NAT is attached to\n"
	       "the interfaces of 'shunt load', and to those by which dst and the target are reached\n"
	       "when the rule is added. After the last rule is deleted and the last flow has ended,\n"
	       "'shunt run' or the next 'shunt nat' detaches NAT again.\n");
	return 0;
}

int cmd_nat(int argc, char **argv)
{
	return run_command("nat", verbs, argc - 1, argv + 1);
}
