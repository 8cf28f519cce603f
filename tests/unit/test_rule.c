// SPDX-License-Identifier: GPL-2.0-only
/* Words of steering rules, and which of two rules comes first. */
#include "unit.h"

#include <errno.h>
#include <netinet/in.h>

#include "rules/rule.h"
#include "util/address.h"
#include "util/parse.h"

static int parse(const char *text, struct shunt_rule *ret)
{
	struct words w;
	int error;

	words_split(text, &w);
	error = rule_parse(w.argc, w.argv, ret);
	words_free(&w);
	return error;
}

static struct shunt_rule rule(const char *text)
{
	struct shunt_rule r;

	if (parse(text, &r))
		fail_msg("'%s' is refused", text);
	return r;
}

/* --- words -------------------------------------------------------------------- */

/* The words that are read, and how the rule is written. */
static const struct {
	const char *words;
	const char *written; /* NULL: as it was read */
} accepted[] = {
	{ "tcp dst 10.1.0.0/16 to 127.0.0.1:9999", NULL },
	{ "tcp to 127.0.0.1:9999 dst 10.1.0.0/16", "tcp dst 10.1.0.0/16 to 127.0.0.1:9999" },
	{ "tcp dst 1.1.1.1/32 to 127.0.0.1:9", "tcp dst 1.1.1.1 to 127.0.0.1:9" },
	{ "tcp dst 1.1.1.1 to 127.0.0.1:9", NULL },
	{ "tcp dst 0.0.0.0/0 pass", NULL },
	{ "tcp dst 10.0.0.0/8 dport 80-80 pass", "tcp dst 10.0.0.0/8 dport 80 pass" },
	{ "tcp dst 10.0.0.0/8 dport 80-90 pass", NULL },
	{ "tcp dst 10.0.0.0/8 dport 1-65535 pass", "tcp dst 10.0.0.0/8 pass" },
	{ "tcp dst 10.0.0.0/8 dport 2-65535 pass", NULL },
	{ "tcp dst 10.0.0.0/8 dport 65535 pass", NULL },
	{ "tcp dst 10.0.0.0/8 sport 1-65535 pass", NULL },
	{ "udp dst 10.0.0.0/8 dport 53 src 10.0.0.0/9 sport 5060 pass", NULL },
	{ "udp dst 10.0.0.0/8 src 0.0.0.0/0 pass", "udp dst 10.0.0.0/8 pass" },
	{ "udp dst 10.0.0.0/8 src 10.2.3.4/32 pass", "udp dst 10.0.0.0/8 src 10.2.3.4 pass" },
	{ "tcp dst 2001:db8::/32 to [::1]:9999", NULL },
	{ "tcp dst 2001:0DB8:0::1/128 pass", "tcp dst 2001:db8::1 pass" },
	{ "tcp dst ::/0 pass", NULL },
	{ "tcp dst 10.1.0.0/16 iface lo pass", NULL },
	{ "tcp dst 10.1.0.0/16 iface \\043x pass", NULL }, /* #x */
	{ "tcp dst 10.1.0.0/16 iface a#x pass", NULL },
	{ "tcp dst 10.1.0.0/16 iface fifteenletters1 pass", NULL },
	{ "tcp dst 10.1.0.0/16 origin local pass", NULL },
	{ "tcp dst 10.1.0.0/16 to 127.0.0.1:9 own keep", "tcp dst 10.1.0.0/16 to 127.0.0.1:9" },
	{ "tcp dst 10.1.0.0/16 to 127.0.0.1:9 own take", NULL },
	{ "tcp dst 10.1.0.1 to 127.0.0.1:9 own keep", NULL },
	{ "tcp dst 10.1.0.1 to 127.0.0.1:9 own take", "tcp dst 10.1.0.1 to 127.0.0.1:9" },
	{ "tcp dst 10.1.0.1 to 127.0.0.1:9 unknown auto", "tcp dst 10.1.0.1 to 127.0.0.1:9" },
	{ "tcp dst 10.1.0.1 to 127.0.0.1:9 unknown reset", NULL },
	{ "tcp dst 10.1.0.1 to 127.0.0.1:9 own keep unknown pass service x", NULL },
	{ "tcp dst 10.1.0.0/16 pass service a.B_9:-", NULL },
	{ "tcp dst 10.1.0.0/16 pass service 1234567890123456789012345678901", NULL },
};

static void words_are_read_and_written(void **unused)
{
	char text[RULE_TEXT];
	struct shunt_rule r;
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(accepted) / sizeof(*accepted); i++) {
		r = rule(accepted[i].words);
		rule_format(&r, text, sizeof(text));
		assert_string_equal(text,
				    accepted[i].written ? accepted[i].written : accepted[i].words);
		/* the written rule is read as the same rule */
		assert_true(rule_same_match(&r, &(struct shunt_rule[]){ rule(text) }[0]));
	}
}

static const struct {
	const char *words;
	const char *message;
} refused[] = {
	{ "", "a rule is missing" },
	{ "icmp dst 10.0.0.0/8 pass", "'icmp': a rule begins with tcp or udp" },
	{ "tcp", "a rule needs 'dst ADDR/LEN'" },
	{ "tcp dst", "'dst': a value is missing" },
	{ "tcp dst 10.0.0.0/8", "a rule needs 'to ADDR:PORT' or 'pass'" },
	{ "tcp dst 10.0.0.0/8 dst 10.0.0.0/8 pass", "'dst' is given twice" },
	{ "tcp dst 10.0.0.0/8 pass pass", "'pass' is given twice" },
	{ "tcp dst 10.0.0.0/8 via pass", "'via': no word of a rule" },
	{ "tcp dst 10.1.0.0/8 pass", "did you mean 10.0.0.0/8?" },
	{ "tcp dst 2001:db8:1::/32 pass", "did you mean 2001:db8::/32?" },
	{ "tcp dst 10.0.0.0/33 pass", "not a number from 0 to 32" },
	{ "tcp dst 10.0.0.0/08 pass", "without leading zeros" },
	{ "tcp dst 10.0.0.0/ pass", "not a number from 0 to 32" },
	{ "tcp dst ::/129 pass", "not a number from 0 to 128" },
	{ "tcp dst 10.0.0/8 pass", "'10.0.0/8': not an IPv4 or IPv6 address or prefix" },
	{ "tcp dst 010.0.0.0/8 pass", "not an IPv4 or IPv6 address" },
	{ "tcp dst /8 pass", "not an IPv4 or IPv6 address" },
	{ "tcp dst 1111:1111:1111:1111:1111:1111:1111:1111:1111:1111 pass", "not an IPv4 or IPv6" },
	{ "tcp dst 10.0.0.0/8 dport 0 pass", "'0': not a port or a range" },
	{ "tcp dst 10.0.0.0/8 dport 65536 pass", "'65536': not a port" },
	{ "tcp dst 10.0.0.0/8 dport 80- pass", "'80-': not a port" },
	{ "tcp dst 10.0.0.0/8 dport -80 pass", "'-80': not a port" },
	{ "tcp dst 10.0.0.0/8 dport 080 pass", "'080': not a port" },
	{ "tcp dst 10.0.0.0/8 dport 90-80 pass", "did you mean 80-90?" },
	{ "tcp dst 10.0.0.0/8 sport 80,90 pass", "'80,90': not a port" },
	{ "tcp dst 10.0.0.0/8 src ::1 pass", "'src ::1' and 'dst 10.0.0.0/8': one is IPv4" },
	{ "tcp dst 10.0.0.0/8 to [::1]:9", "'to [::1]:9' and 'dst 10.0.0.0/8': one is IPv4" },
	{ "tcp dst 10.0.0.0/8 to 127.0.0.1", "'127.0.0.1': a port is missing; write ADDR:PORT" },
	{ "tcp dst ::/0 to ::1", "a port is missing; write [ADDR]:PORT" },
	{ "tcp dst ::/0 to [::1]9", "'[::1]9': not an address and port" },
	{ "tcp dst ::/0 to [::1", "'[::1': not an address and port" },
	{ "tcp dst 10.0.0.0/8 to [127.0.0.1]:9", "not an IPv4 or IPv6 address" },
	{ "tcp dst 10.0.0.0/8 to 127.0.0.1:0", "the port is not a number from 1 to 65535" },
	{ "tcp dst 10.0.0.0/8 to 127.0.0.1:", "the port is not a number" },
	{ "tcp dst 10.0.0.0/8 to 127.0.0.1:70000", "the port is not a number" },
	{ "tcp dst 10.0.0.0/8 to 0.0.0.0:9", "no host has this address" },
	{ "tcp dst 10.0.0.0/8 to 224.0.0.1:9", "a multicast address" },
	{ "tcp dst 10.0.0.0/8 to 255.255.255.255:9", "the broadcast address" },
	{ "tcp dst ::/0 to [::]:9", "no host has this address" },
	{ "tcp dst ::/0 to [ff02::1]:9", "a multicast address" },
	{ "tcp dst ::/0 to [::ffff:1.2.3.4]:9", "which no IPv6 packet is sent to" },
	{ "tcp dst 10.0.0.0/8 to 127.0.0.1:9 pass", "either 'to 127.0.0.1:9' or 'pass'" },
	{ "tcp dst 10.0.0.0/8 own take pass", "'own take' and 'pass'" },
	{ "tcp dst 10.0.0.0/8 to 127.0.0.1:9 own some", "'own some': neither take nor keep" },
	{ "tcp dst 10.0.0.0/8 to 127.0.0.1:9 unknown x",
	  "'unknown x': none of auto, reset and pass" },
	{ "tcp dst 10.0.0.0/8 unknown auto pass", "'unknown auto' and 'pass'" },
	{ "udp dst 10.0.0.0/8 to 127.0.0.1:9 unknown reset", "'unknown reset' and udp" },
	{ "tcp dst 10.0.0.0/8 iface eth* pass", "'eth*': a pattern" },
	{ "tcp dst 10.0.0.0/8 iface sixteen_letters_ pass", "not the name of an interface" },
	{ "tcp dst 10.0.0.0/8 iface '' pass", "not the name of an interface" },
	{ "tcp dst 10.0.0.0/8 iface \\001 pass", "not the name of an interface" },
	{ "tcp dst 10.0.0.0/8 iface .. pass", "not the name of an interface" },
	{ "tcp dst 10.0.0.0/8 iface a/b pass", "not the name of an interface" },
	{ "tcp dst 10.0.0.0/8 origin remote pass", "the only origin is 'local'" },
	{ "tcp dst 10.0.0.0/8 iface lo origin local pass", "a rule has either" },
	{ "tcp dst 10.0.0.0/8 pass service a/b", "a service is named by letters" },
	{ "tcp dst 10.0.0.0/8 pass service ''", "a service is named by letters" },
	{ "tcp dst 10.0.0.0/8 pass service 12345678901234567890123456789012", "at most 31" },
};

static void wrong_words_are_named(void **unused)
{
	struct shunt_rule r, before;
	size_t i;

	(void)unused;
	memset(&before, 0xaa, sizeof(before));
	for (i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		int error;

		r = before;
		messages_begin();
		error = parse(refused[i].words, &r);
		assert_has(messages_end(), refused[i].message);
		assert_int_equal(error, -EINVAL);
		/* the result has not changed */
		assert_memory_equal(&r, &before, sizeof(r));
	}
}

static void a_match_needs_no_action(void **unused)
{
	struct shunt_rule r;
	struct words w;

	(void)unused;
	words_split("tcp dst 10.0.0.0/8 dport 80", &w);
	assert_int_equal(rule_parse_match(w.argc, w.argv, &r), 0);
	assert_int_equal(r.dport_low, 80);
	assert_int_equal(r.dport_high, 80);
	assert_int_equal(r.family, AF_INET);
	assert_int_equal(r.proto, IPPROTO_TCP);
	words_free(&w);
}

static void interfaces_get_their_index(void **unused)
{
	struct shunt_rule r = rule("tcp dst 10.0.0.0/8 iface no_such_iface pass");

	(void)unused;
	assert_int_equal(r.ifindex, SHUNT_NO_IFINDEX);
	r = rule("tcp dst 10.0.0.0/8 iface lo pass");
	assert_int_equal(r.ifindex, 1);
	assert_false(rule_is_local(&r));
	r = rule("tcp dst 10.0.0.0/8 origin local pass");
	assert_true(rule_is_local(&r));
}

/* --- precedence ------------------------------------------------------------------ */

/* Of each two rules the first one is tried first. */
static const struct {
	const char *winner;
	const char *loser;
	const char *lost;
} pairs[] = {
	{ "tcp dst 10.0.0.0/9 pass", "tcp dst 10.0.0.0/8 dport 80 src 10.2.3.4 pass",
	  "shorter destination prefix" },
	{ "tcp dst 10.0.0.0/8 src 10.0.0.0/8 pass", "tcp dst 10.0.0.0/8 dport 80 pass",
	  "shorter source prefix" },
	{ "tcp dst 10.0.0.0/8 dport 80-81 pass", "tcp dst 10.0.0.0/8 dport 1-3 sport 7 pass",
	  "wider dport range" },
	{ "tcp dst 10.0.0.0/8 sport 80-81 pass", "tcp dst 10.0.0.0/8 sport 1-3 iface lo pass",
	  "wider sport range" },
	{ "tcp dst 10.0.0.0/8 iface lo pass", "tcp dst 10.0.0.0/8 pass",
	  "not bound to the interface" },
	{ "tcp dst 10.0.0.0/8 dport 1-2 pass", "tcp dst 10.0.0.0/8 dport 2-3 pass",
	  "dport range begins higher" },
	{ "tcp dst 10.0.0.0/8 sport 1-2 pass", "tcp dst 10.0.0.0/8 sport 2-3 pass",
	  "sport range begins higher" },
	{ "tcp dst 10.0.0.0/8 src 1.0.0.0/8 pass", "tcp dst 10.0.0.0/8 src 2.0.0.0/8 pass",
	  "higher source prefix" },
	{ "tcp dst 10.0.0.0/8 iface a pass", "tcp dst 10.0.0.0/8 iface b pass",
	  "later interface name" },
	{ "tcp dst 10.0.0.0/8 pass", "tcp dst 10.0.0.0/8 to 127.0.0.1:9", "the same match" },
};

static void the_more_special_rule_wins(void **unused)
{
	struct shunt_rule a, b;
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		bool same = !strcmp(pairs[i].lost, "the same match");

		a = rule(pairs[i].winner);
		b = rule(pairs[i].loser);
		assert_string_equal(rule_lost(&a, &b), pairs[i].lost);
		assert_int_equal(rule_compare(&a, &b) < 0, !same);
		assert_int_equal(rule_compare(&b, &a) > 0, !same);
		assert_int_equal(rule_order(&a, &b) < 0, !same);
		assert_int_equal(rule_same_match(&a, &b), same);
		assert_non_null(rule_won(&a, &b));
	}
}

static void rules_stand_by_family_and_protocol(void **unused)
{
	struct shunt_rule tcp4 = rule("tcp dst 10.0.0.0/8 pass"),
			  udp4 = rule("udp dst 10.0.0.0/8 pass"), tcp6 = rule("tcp dst ::/8 pass"),
			  next = rule("tcp dst 11.0.0.0/8 pass");

	(void)unused;
	assert_true(rule_order(&tcp4, &udp4) < 0);
	assert_true(rule_order(&udp4, &tcp6) < 0);
	assert_true(rule_order(&tcp6, &tcp4) > 0);
	assert_true(rule_order(&tcp4, &next) < 0);
	assert_false(rule_same_match(&tcp4, &udp4));
	assert_false(rule_same_match(&tcp4, &tcp6));
	assert_false(rule_same_match(&tcp4, &next));
}

static void effects_differ(void **unused)
{
	const char *others[] = {
		"tcp dst 10.0.0.0/8 pass",
		"tcp dst 10.0.0.0/8 to 127.0.0.1:10",
		"tcp dst 10.0.0.0/8 to 127.0.0.2:9",
		"tcp dst 10.0.0.0/8 to 127.0.0.1:9 own take",
		"tcp dst 10.0.0.0/8 to 127.0.0.1:9 unknown reset",
		"tcp dst 10.0.0.0/8 to 127.0.0.1:9 service x",
	};
	struct shunt_rule a = rule("tcp dst 10.0.0.0/8 to 127.0.0.1:9"), b = a;
	size_t i;

	(void)unused;
	assert_true(rule_same_effect(&a, &b));
	b.compat = 1;
	assert_false(rule_same_effect(&a, &b));
	b = a;
	b.ifindex = 7;
	assert_false(rule_same_effect(&a, &b));
	for (i = 0; i < sizeof(others) / sizeof(*others); i++) {
		b = rule(others[i]);
		assert_true(rule_same_match(&a, &b));
		assert_false(rule_same_effect(&a, &b));
	}
}

/* --- addresses ---------------------------------------------------------------------- */

static void addresses_are_masked_bit_by_bit(void **unused)
{
	unsigned int len, bit;

	(void)unused;
	for (len = 0; len <= 128; len++) {
		__u8 addr[16];

		memset(addr, 0xff, sizeof(addr));
		assert_int_equal(mask_address(addr, len), len < 128);
		for (bit = 0; bit < 128; bit++)
			assert_int_equal(addr[bit / 8] >> (7 - bit % 8) & 1, bit < len);
		assert_false(mask_address(addr, len));
	}
}

static void prefixes_hold_their_addresses(void **unused)
{
	const __u8 prefix[16] = { 10, 1 }, in[16] = { 10, 1, 2, 3 }, out[16] = { 10, 2 };
	const __u8 group4[16] = { 224, 0, 0, 1 }, group6[16] = { 0xff, 2 };

	(void)unused;
	assert_true(in_prefix(in, prefix, 16));
	assert_false(in_prefix(out, prefix, 16));
	assert_true(is_multicast(AF_INET, group4));
	assert_false(is_multicast(AF_INET, in));
	assert_true(is_multicast(AF_INET6, group6));
	assert_false(is_multicast(AF_INET6, group4));
}

static void endpoints_are_read(void **unused)
{
	struct endpoint e;

	(void)unused;
	assert_int_equal(parse_endpoint("1.2.3.4:80", &e), 0);
	assert_int_equal(e.family, AF_INET);
	assert_int_equal(e.port, 80);
	assert_int_equal(parse_endpoint("1.2.3.4", &e), 0);
	assert_int_equal(e.port, 0);
	assert_int_equal(parse_endpoint("::1", &e), 0);
	assert_int_equal(e.family, AF_INET6);
	assert_int_equal(e.port, 0);
	assert_int_equal(parse_endpoint("[::1]", &e), 0);
	assert_int_equal(e.port, 0);
	assert_int_equal(parse_endpoint("[::1]:65535", &e), 0);
	assert_int_equal(e.port, 65535);
}

static void numbers_have_no_leading_zeros(void **unused)
{
	unsigned int n = 7;
	__u16 port = 7;

	(void)unused;
	assert_true(parse_number("0", 9, &n));
	assert_int_equal(n, 0);
	assert_true(parse_number("99999", 99999, &n));
	assert_int_equal(n, 99999);
	assert_false(parse_number("", 9, &n));
	assert_false(parse_number("00", 9, &n));
	assert_false(parse_number("+1", 9, &n));
	assert_false(parse_number("10", 9, &n));
	assert_false(parse_number("100000", 999999, &n));
	assert_int_equal(n, 99999);
	assert_int_equal(parse_port("65535", &port), 0);
	assert_int_equal(port, 65535);
	messages_begin();
	assert_int_equal(parse_port("0", &port), -EINVAL);
	assert_has(messages_end(), "'0': not a port");
	assert_int_equal(port, 65535);
}

/* --- JSON ----------------------------------------------------------------------------- */

#define NEW_NAMES "\"left_to_own_services\":5,\"loops_ended\":6,\"segments_to_reset\":7,"
#define OLD_NAMES "\"own_services\":5,\"loops\":6,\"resets\":7"

static void rules_are_written_as_json(void **unused)
{
	const struct rule_counts c = {
		.packets = 1,
		.bytes = 2,
		.flows = 3,
		.misses = 4,
		.own_services = 5,
		.loops = 6,
		.resets = 7,
	};
	const struct {
		const char *words, *json;
	} rules[] = {
		{ "tcp dst 10.0.0.0/8 pass",
		  "{\"proto\":\"tcp\",\"dst\":\"10.0.0.0/8\",\"dport\":\"1-65535\","
		  "\"action\":\"pass\",\"packets\":1,\"bytes\":2,\"flows\":3,\"misses\":4," NEW_NAMES
			  OLD_NAMES "}\n" },
		{ "udp dst ::1 dport 53 src ::/1 sport 5-6 iface lo to [::1]:9 service dns",
		  "{\"proto\":\"udp\",\"dst\":\"::1/128\",\"dport\":\"53\",\"src\":\"::/1\","
		  "\"sport\":\"5-6\",\"iface\":\"lo\",\"action\":\"steer\",\"to\":\"[::1]:9\","
		  "\"own\":\"take\",\"service\":\"dns\",\"packets\":1,\"bytes\":2,\"flows\":3,"
		  "\"misses\":4," NEW_NAMES OLD_NAMES "}\n" },
		{ "tcp dst 10.0.0.1 dport 1 to 127.0.0.1:9 unknown pass",
		  "{\"proto\":\"tcp\",\"dst\":\"10.0.0.1/32\",\"dport\":\"1\",\"action\":\"steer\","
		  "\"to\":\"127.0.0.1:9\",\"own\":\"take\",\"unknown\":\"pass\",\"packets\":1,"
		  "\"bytes\":2,\"flows\":3,\"misses\":4," NEW_NAMES OLD_NAMES "}\n" },
		{ "tcp dst 10.0.0.0/8 origin local pass",
		  "{\"proto\":\"tcp\",\"dst\":\"10.0.0.0/8\",\"dport\":\"1-65535\","
		  "\"origin\":\"local\",\"action\":\"pass\",\"packets\":1,\"bytes\":2,\"flows\":3,"
		  "\"misses\":4," NEW_NAMES OLD_NAMES "}\n" },
	};
	struct shunt_rule r;
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		r = rule(rules[i].words);
		rule_json(&(struct json_writer){ .out = output_begin() }, &r, &c);
		assert_string_equal(output_end(), rules[i].json);
		assert_true(json_valid(rules[i].json));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_read_and_written),
		cmocka_unit_test(wrong_words_are_named),
		cmocka_unit_test(a_match_needs_no_action),
		cmocka_unit_test(interfaces_get_their_index),
		cmocka_unit_test(the_more_special_rule_wins),
		cmocka_unit_test(rules_stand_by_family_and_protocol),
		cmocka_unit_test(effects_differ),
		cmocka_unit_test(addresses_are_masked_bit_by_bit),
		cmocka_unit_test(prefixes_hold_their_addresses),
		cmocka_unit_test(endpoints_are_read),
		cmocka_unit_test(numbers_have_no_leading_zeros),
		cmocka_unit_test(rules_are_written_as_json),
	};

	return cmocka_run_group_tests_name("rule", tests, NULL, NULL);
}
