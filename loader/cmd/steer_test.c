// SPDX-License-Identifier: GPL-2.0-only
/* shunt steer test: which rule a made-up packet meets, and why. */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "bpf/pins.h"
#include "cmd/probe_ask.h"
#include "cmd/probe_packet.h"
#include "cmd/probe_words.h"
#include "cmd/steer.h"
#include "cmd/steer_deliver.h"
#include "rules/rule_copy.h"
#include "rules/rule_store.h"
#include "util/address.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "util/options.h"

/* Whether the rule may match a multicast or broadcast packet: see is_meant() in tc/rules.h. */
static bool is_meant(const struct shunt_rule *r, const struct probe *f)
{
	int bits = r->family == AF_INET ? 32 : 128;

	return !probe_is_group(f) || r->dst_len == bits ||
	       (r->dst_len >= (bits == 32 ? 4 : 8) && is_multicast(r->family, r->dst));
}

static bool matches(const struct shunt_rule *r, const struct probe *f)
{
	return r->family == f->dst.family && r->proto == f->proto &&
	       in_prefix(f->dst.addr, r->dst, r->dst_len) &&
	       in_prefix(f->src.addr, r->src, r->src_len) && f->dst.port >= r->dport_low &&
	       f->dst.port <= r->dport_high && f->src.port >= r->sport_low &&
	       f->src.port <= r->sport_high &&
	       (r->ifindex == f->ifindex || (!r->ifindex && f->ifindex != SHUNT_LOCAL_IFINDEX)) &&
	       is_meant(r, f);
}

/* Keeps in all[] the rules that match the packet, except the rule hit. Returns their number. */
static __u32 keep_others(const struct shunt_rule **all, __u32 count, const struct probe *f,
			 const struct shunt_rule *hit)
{
	__u32 i, kept = 0;

	for (i = 0; i < count; i++)
		if (all[i] != hit && matches(all[i], f))
			all[kept++] = all[i];
	return kept;
}

/* The answer to a test, with copies of the rules, so that it can be printed without the lock. */
struct answer {
	struct rule_copy
		*rules; /* first the rule that the packet meets, if any; then others that match */
	bool hit;
	__u32 others;
	enum shunt_answer listener;
	__u32 own; /* the rule leaves the packet to a service of this host */
};

static void free_answer(struct answer *a)
{
	free(a->rules);
}

static const struct shunt_rule *hit_of(const struct answer *a)
{
	return a->hit ? &a->rules[0].rule : NULL;
}

static const struct rule_copy *other(const struct answer *a, __u32 i)
{
	return &a->rules[a->hit + i];
}

/* Copies the rules: first the one that the packet meets. */
static int copy_rules(const struct probe *f, const struct shunt_rule *hit, struct answer *a)
{
	_cleanup_free_ const struct shunt_rule **all = NULL;
	_cleanup_free_ const struct shunt_rule **order = NULL;
	__u32 count = 0;
	int error = rules_sorted(&all, &count);

	if (error)
		return error;
	a->others = keep_others(all, count, f, hit);
	a->hit = hit;
	order = calloc(a->others + 1, sizeof(*order));
	if (!order)
		return fail(-ENOMEM, "the rules");
	order[0] = hit;
	memcpy(order + a->hit, all, a->others * sizeof(*order));
	error = rules_copy(order, a->hit + a->others, &a->rules, &count);
	a->others = error ? 0 : count - a->hit;
	return error;
}

static int ask_target(const struct probe *f, struct answer *a)
{
	const struct shunt_rule *hit = hit_of(a);
	int listener;

	if (!hit || hit->action != SHUNT_STEER)
		return 0;
	listener = rule_listens(hit);
	if (listener < 0)
		return listener;
	a->listener = listener;
	return hit->own == SHUNT_OWN_KEEP ? probe_ask(f, ASK_OWN, &a->own) : 0;
}

/* Asks while it holds the lock, which it releases before the answer is printed. */
static int find_answer(const struct probe *f, struct answer *a)
{
	_cleanup_lock_ int lock = rules_lock();
	__u32 index = 0;
	int error;

	if (lock < 0)
		return lock;
	error = probe_ask(f, ASK_RULE, &index);
	if (error)
		return error;
	error = copy_rules(f, rules_at(index), a);
	return error ? error : ask_target(f, a);
}

/* Why the packet meets its rule. The first of the other rules is the next in precedence. */
static const char *why_hit(const struct probe *f, const struct answer *a)
{
	if (!a->hit && probe_is_group(f))
		return "no rule matches, because multicast and broadcast need a rule for the address: the "
		       "packet is not touched";
	if (!a->hit)
		return "no rule matches: the packet is not touched";
	return a->others ? rule_won(hit_of(a), &other(a, 0)->rule) : "the only rule that matches";
}

/* Whether a rule steers the packet to a listener that is there. */
static bool is_steered(const struct answer *a)
{
	const struct shunt_rule *hit = hit_of(a);

	return hit && hit->action == SHUNT_STEER && a->listener == LISTENER_THERE && !a->own;
}

static void listener_text(const struct answer *a)
{
	static const char *const words[] = {
		[LISTENER_NONE] = "no listener: the packet passes",
		[LISTENER_OPAQUE] = "the listener lacks IP_TRANSPARENT: the packet passes",
		[LISTENER_THERE] = "the listener is there",
	};

	if (a->own)
		puts("    a service of this host listens there, and keeps it: the packet passes ('own "
		     "take' takes it)");
	else
		printf("    %s\n", words[a->listener]);
}

static const char *why_lost(const struct shunt_rule *hit, const struct shunt_rule *r)
{
	return r->shadowed && rule_same_match(hit, r) ? "older than the rule for the same packets"
						      : rule_lost(hit, r);
}

static void test_text(const struct probe *f, const struct answer *a, const struct delivery *d)
{
	const struct shunt_rule *hit = hit_of(a);
	char text[RULE_TEXT];
	__u32 i;

	if (!hit) {
		puts(why_hit(f, a));
		if (d)
			puts("    not delivered: nothing steers the packet");
		return;
	}
	rule_format(hit, text, sizeof(text));
	printf("%s\n    %s\n", text, why_hit(f, a));
	if (hit->action == SHUNT_STEER)
		listener_text(a);
	if (d && is_steered(a))
		delivery_text(d);
	else if (d)
		puts("    not delivered: nothing steers the packet");
	for (i = 0; i < a->others; i++) {
		rule_format(&other(a, i)->rule, text, sizeof(text));
		printf("not %s\n    %s\n", text, why_lost(hit, &other(a, i)->rule));
	}
}

static void json_hit(const struct answer *a)
{
	const struct shunt_rule *hit = hit_of(a);

	if (!hit) {
		json_null(&json_stdout, "rule");
		return;
	}
	json_open_in(&json_stdout, "rule", '{');
	rule_json_fields(&json_stdout, hit, &a->rules[0].counts);
	json_close(&json_stdout, '}');
}

static void test_json(const struct probe *f, const struct answer *a, const struct delivery *d)
{
	const struct shunt_rule *hit = hit_of(a);
	__u32 i;

	json_open(&json_stdout, '{');
	json_hit(a);
	json_string(&json_stdout, "why", why_hit(f, a));
	if (hit && hit->action == SHUNT_STEER) {
		json_bool(&json_stdout, "listener", a->listener != LISTENER_NONE);
		json_bool(&json_stdout, "transparent", a->listener == LISTENER_THERE);
		json_bool(&json_stdout, "own_service", a->own);
	}
	if (d)
		delivery_json(d);
	json_open_in(&json_stdout, "others", '[');
	for (i = 0; hit && i < a->others; i++) {
		json_open(&json_stdout, '{');
		rule_json_fields(&json_stdout, &other(a, i)->rule, &other(a, i)->counts);
		json_string(&json_stdout, "why", why_lost(hit, &other(a, i)->rule));
		json_close(&json_stdout, '}');
	}
	json_close(&json_stdout, ']');
	json_close(&json_stdout, '}');
}

static int print_answer(const struct probe *f, const struct answer *a, const struct delivery *d)
{
	if (opt.json)
		test_json(f, a, d);
	else
		test_text(f, a, d);
	return d && !delivery_made(d) ? -EHOSTUNREACH : 0;
}

/* A new source port for each test: connection tracking may still know the flow of an earlier one. */
static __u16 random_port(void)
{
	__u16 n = 0;

	if (getrandom(&n, sizeof(n), 0) != sizeof(n))
		return TEST_SPORT;
	return 32768 + n % 28232; /* net.ipv4.ip_local_port_range */
}

static void free_delivery(struct delivery *d)
{
	nft_markers_free(&d->markers);
}

static int test_delivery(int argc, char **argv)
{
	_cleanup_(free_answer) struct answer a = {};
	_cleanup_(free_delivery) struct delivery d = {};
	struct probe f = {};
	int error;

	if (argc == 1 && !strcmp(argv[0], "-"))
		return refuse("--deliver: '-' is for tests without it");
	error = probe_parse(argc, argv, random_port(), &f);
	if (error)
		return error;
	error = delivery_check(&f);
	if (error)
		return error;
	error = find_answer(&f, &a);
	if (error)
		return error;
	error = is_steered(&a) ? delivery_try(&f, &d) : 0;
	return error ? error : print_answer(&f, &a, &d);
}

int steer_test(int argc, char **argv)
{
	_cleanup_(free_answer) struct answer a = {};
	struct probe f = {};
	int error;

	if (argc > 1 && !strcmp(argv[1], "--deliver"))
		return test_delivery(argc - 2, argv + 2);
	if (argc == 2 && !strcmp(argv[1], "-"))
		return steer_test_lines();
	error = probe_parse(argc - 1, argv + 1, TEST_SPORT, &f);
	if (error)
		return error;
	error = find_answer(&f, &a);
	return error ? error : print_answer(&f, &a, NULL);
}
