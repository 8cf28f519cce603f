// SPDX-License-Identifier: GPL-2.0-only
/* shunt steer: the rules that give flows to a transparent listener. */
#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/fragment_listeners.h"
#include "attach/ifaces.h"
#include "attach/local_origin.h"
#include "attach/own_addresses.h"
#include "bpf/pins.h"
#include "cmd/command.h"
#include "cmd/rule_socket.h"
#include "cmd/services.h"
#include "cmd/steer.h"
#include "rules/counters.h"
#include "rules/rule.h"
#include "rules/rule_copy.h"
#include "rules/rule_store.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/iface.h"
#include "util/log.h"
#include "util/options.h"
#include "util/parse.h"

#define PRUNE_SEC 3600
#define MAX_PRUNE_SEC 31536000U

static int refuse_words(const char *verb, int argc, char **argv)
{
	if (argc < 2)
		return 0;
	return refuse("steer %s: '%s' is one word too many", verb, argv[1]);
}

static void say_rule(const char *what, const struct shunt_rule *r)
{
	char text[RULE_TEXT];

	rule_format(r, text, sizeof(text));
	say("%s: %s", what, text);
}

static int steer_add(int argc, char **argv)
{
	_cleanup_lock_ int lock = -1;
	struct shunt_rule r;
	const struct shunt_rule *was, *new = &r;
	bool added, same;
	int error;

	error = rule_parse(argc - 1, argv + 1, &r);
	if (error)
		return error;
	if (r.shadowed)
		return refuse("steer add: 'shadowed' is a word of rule files");
	lock = rules_lock();
	if (lock < 0)
		return lock;
	was = rules_find(&r);
	same = was && rule_keep_router(was, &r);
	error = rule_is_local(&r) ? local_origin_begin() : 0;
	if (error)
		return error;
	error = rules_add(&r, &added);
	if (error)
		return error;
	if (!added)
		say_rule(same ? "already there" : "replaced by", &r);
	listeners_add_wanted(&new, 1);
	ifaces_warn_idle_rules(&new, 1);
	own_addresses_warn(&new, 1);
	return 0;
}

static int steer_del(int argc, char **argv)
{
	_cleanup_lock_ int lock = -1;
	struct shunt_rule match;
	int error;

	error = rule_parse_match(argc - 1, argv + 1, &match);
	if (error)
		return error;
	lock = rules_lock();
	if (lock < 0)
		return lock;
	if (rules_del(&match))
		say_missing("rule", argc - 1, argv + 1);
	return 0;
}

static int steer_flush(int argc, char **argv)
{
	_cleanup_lock_ int lock = -1;
	int error = refuse_words("flush", argc, argv);

	if (error)
		return error;
	lock = rules_lock();
	if (lock < 0)
		return lock;
	return rules_flush();
}

static const char *iface_trouble(const struct shunt_rule *r)
{
	__u32 now = r->ifindex;

	if (*r->ifname && !rule_is_local(r) && iface_index(r->ifname, &now))
		return " (the interface can't be looked at)";

	return now == r->ifindex ? ""
	       : now             ? " (the interface came later)"
				 : " (no such interface)";
}

static int widest(const struct rule_copy *all, __u32 count)
{
	char text[RULE_TEXT];
	size_t len, max = 0;
	__u32 i;

	for (i = 0; i < count; i++) {
		rule_format(&all[i].rule, text, sizeof(text));
		len = strlen(text);
		max = len > max ? len : max;
	}
	return max;
}

bool only_ipv4_listens(const struct shunt_rule *r)
{
	static const __u8 loopback[16] = { [15] = 1 };
	struct shunt_rule v4 = *r;

	if (r->family != AF_INET6 || r->action != SHUNT_STEER ||
	    memcmp(r->to, loopback, sizeof(loopback)) || rule_listens(r) != LISTENER_NONE)
		return false;
	v4.family = AF_INET;
	memcpy(v4.to, "\x7f\0\0\1", 4);
	return rule_listens(&v4) == LISTENER_THERE;
}

void find_listeners(struct rule_copy *all, __u32 count)
{
	__u32 i;

	for (i = 0; i < count; i++)
		all[i].only_ipv4 = *all[i].rule.service && only_ipv4_listens(&all[i].rule);
}

/* Why no packet meets the rule; "" if no reason is known. */
static const char *trouble(const struct rule_copy *c)
{
	return c->only_ipv4 ? " (the router listens on 127.0.0.1 only: it can't take IPv6)"
			    : iface_trouble(&c->rule);
}

static void list_text(const struct rule_copy *all, __u32 count)
{
	int width = widest(all, count);
	char text[RULE_TEXT];
	__u32 i;

	for (i = 0; i < count; i++) {
		const struct rule_counts *c = &all[i].counts;

		rule_format(&all[i].rule, text, sizeof(text));
		if (all[i].rule.shadowed) {
			printf("%-*s  comes back when the rule above is deleted\n", width, text);
			continue;
		}
		printf("%-*s  packets %llu bytes %llu flows %llu misses %llu", width, text,
		       c->packets, c->bytes, c->flows, c->misses);
		if (c->own_services)
			printf(" own services %llu", c->own_services);
		if (c->loops)
			printf(" loops ended %llu", c->loops);
		if (c->resets)
			printf(" resets %llu", c->resets);
		puts(trouble(&all[i]));
	}
}

static void list_object(const struct rule_copy *c)
{
	json_open(&json_stdout, '{');
	rule_json_fields(&json_stdout, &c->rule, &c->counts);
	if (c->only_ipv4)
		json_bool(&json_stdout, "only_ipv4_listens", true);
	json_close(&json_stdout, '}');
}

static void list_json(const struct rule_copy *all, __u32 count)
{
	__u32 i;

	json_open(&json_stdout, '[');
	for (i = 0; i < count; i++)
		list_object(&all[i]);
	json_close(&json_stdout, ']');
}

void print_rules(const struct rule_copy *all, __u32 count)
{
	if (opt.json)
		list_json(all, count);
	else
		list_text(all, count);
}

/* Copies the rules while it holds the lock. The lock is released before they are printed. */
static int copy_all(struct rule_copy **ret, __u32 *ret_count)
{
	_cleanup_free_ const struct shunt_rule **all = NULL;
	_cleanup_lock_ int lock = rules_lock();
	__u32 count = 0;
	int error;

	if (lock < 0)
		return lock;
	error = rules_sorted(&all, &count);
	if (error)
		return error;
	error = rules_copy(all, count, ret, ret_count);
	if (error)
		return error;
	find_listeners(*ret, *ret_count);
	return 0;
}

static int steer_list(int argc, char **argv)
{
	_cleanup_free_ struct rule_copy *all = NULL;
	__u32 count = 0;
	int error = refuse_words("list", argc, argv);

	if (error)
		return error;
	error = copy_all(&all, &count);
	if (error)
		return error;
	print_rules(all, count);
	return 0;
}

/* Reads --older-than SEC as ticks, which are 1.07 seconds each. */
static int parse_age(int argc, char **argv, __u32 *ret_ticks)
{
	unsigned int sec = PRUNE_SEC;

	if (argc > 1 && strcmp(argv[1], "--older-than"))
		return refuse("steer prune: unknown word '%s'", argv[1]);
	if (argc == 2)
		return refuse("--older-than: a value is missing");
	if (argc > 3)
		return refuse("steer prune: '%s' is one word too many", argv[3]);
	if (argc == 3 && !parse_number(argv[2], MAX_PRUNE_SEC, &sec))
		return refuse("--older-than '%s': not a number of seconds from 0 to %u (a year)",
			      argv[2], MAX_PRUNE_SEC);
	*ret_ticks = SHUNT_TICKS(sec * 1000000000ULL);
	return 0;
}

/* Whether the listener of the rule is gone and was last found that long ago: 1 or 0, or -errno
 * after reporting it. */
static int may_prune(const struct shunt_rule *r, __u32 ticks)
{
	struct rule_counts c;
	int listens;

	if (r->action != SHUNT_STEER)
		return 0;
	rules_counts(r, &c);
	if (ticks_now() - c.last_hit < ticks)
		return 0;
	listens = rule_listens(r);
	return listens < 0 ? listens : listens == LISTENER_NONE;
}

static int prune(const struct shunt_rule **all, __u32 count, __u32 ticks)
{
	_cleanup_free_ struct shunt_rule *old = calloc(count + 1, sizeof(*old));
	__u32 i, found = 0;
	int error = 0;

	if (!old)
		return fail(-ENOMEM, "the rules");
	for (i = 0; i < count; i++) {
		int yes = may_prune(all[i], ticks);

		if (yes < 0)
			return yes;
		if (yes)
			old[found++] = *all[i];
	}
	for (i = 0; i < found && !error; i++) {
		say_rule("deleted", &old[i]);
		error = services_prune(&old[i]);
	}
	return error;
}

static int steer_prune(int argc, char **argv)
{
	_cleanup_free_ const struct shunt_rule **all = NULL;
	_cleanup_lock_ int lock = -1;
	__u32 ticks = 0, count = 0;
	int error = parse_age(argc, argv, &ticks);

	if (error)
		return error;
	lock = rules_lock();
	if (lock < 0)
		return lock;
	error = rules_sorted(&all, &count);
	return error ? error : prune(all, count, ticks);
}

static int steer_help(int argc, char **argv);

static const struct command verbs[] = {
	{ "add", steer_add, "RULE", "add a rule, or change what it does" },
	{ "del", steer_del, "RULE", "delete a rule; 'to', 'pass' and 'service' may be left out" },
	{ "list", steer_list, "", "the rules in order of precedence, with their counters" },
	{ "flush", steer_flush, "", "delete all rules" },
	{ "prune", steer_prune, "[--older-than SEC]",
	  "delete rules whose listener is gone, and was not there for SEC seconds (3600)" },
	{ "test", steer_test,
	  "[--deliver] tcp|udp src ADDR[:PORT] dst ADDR:PORT [iface NAME|origin local]",
	  "which rule this packet meets, and why; sport and dport may be words too;\n"
	  "        'test -' reads many from standard input and prints just the rules;\n"
	  "        --deliver sends packets from 'iface NAME' to a socket of its own in the place of\n"
	  "        the listener: exit status 0 if they arrive" },
	{ "help", steer_help, "", "this text" },
	{ NULL, NULL, NULL, NULL },
};

static int steer_help(int argc, char **argv)
{
	const struct command *c;

	(void)argc;
	(void)argv;
	printf("usage: shunt steer VERB ...\n\n");
	for (c = verbs; c->name; c++)
		printf("  %s%s%s\n        %s\n", c->name, *c->usage ? " " : "", c->usage, c->help);
	printf("\nRULE: tcp|udp dst ADDR[/LEN] [dport LOW[-HIGH]] [src ADDR[/LEN]]\n"
	       "      [sport LOW[-HIGH]] [iface NAME | origin local]\n"
	       "      (to ADDR:PORT [own take|keep] [unknown auto|reset|pass] | pass)\n"
	       "      [service ID]\n\n"
	       "The longest destination prefix wins, then the longest source prefix, the\n"
	       "narrowest dport range, the narrowest sport range, then a rule with an\n"
	       "interface. Rules are for what arrives, those with 'origin local' for what this\n"
	       "host itself sends, but not what the router sends. A packet that matches no rule,\n"
	       "or a pass rule, is not touched. Multicast and broadcast need a rule for\n"
	       "that address, or within 224.0.0.0/4 or ff00::/8. Packets for an address of this\n"
	       "host where a service of its own listens, such as ssh, are left to that; a rule for\n"
	       "that single address takes them, and so does any with 'own take'. A TCP segment of\n"
	       "a connection that no socket has is reset by the listener if only the router can\n"
	       "have had it; with 'unknown reset' all are reset, with 'unknown pass' none.\n"
	       "Without sport, a test takes source port %d, and with --deliver a random one.\n",
	       TEST_SPORT);
	return 0;
}

int cmd_steer(int argc, char **argv)
{
	if (argc > 1 && steer_for_group(argv[1]) && must_ask())
		return ask_rule_server("steer", argc, argv);
	netns_enter_loaded(); /* a rule's interface is looked up there */
	return run_command("steer", verbs, argc - 1, argv + 1);
}
