// SPDX-License-Identifier: GPL-2.0-only
/* Words of NAT rules, and which of two rules comes first. */
#include "unit.h"

#include <errno.h>
#include <netinet/in.h>

#include "nat/nat_rule.h"

static int parse(const char *text, bool match_only, struct shunt_nat_rule *ret)
{
	struct words w;
	int error;

	words_split(text, &w);
	error = nat_rule_parse(w.argc, w.argv, match_only, ret);
	words_free(&w);
	return error;
}

static struct shunt_nat_rule rule(const char *text)
{
	struct shunt_nat_rule r;

	if (parse(text, false, &r))
		fail_msg("'%s' is refused", text);
	return r;
}

static const struct {
	const char *words;
	const char *written; /* NULL: as it was read */
} accepted[] = {
	{ "tcp dst 10.0.0.10 dport 80 to 10.0.0.138:23456", NULL },
	{ "tcp to 10.0.0.138:23456 dport 80 dst 10.0.0.10",
	  "tcp dst 10.0.0.10 dport 80 to 10.0.0.138:23456" },
	{ "udp dst 10.0.0.0/24 to 10.0.1.0/24", NULL },
	{ "udp dst 10.0.0.0/24 to 10.0.1.1", NULL },
	{ "udp dst 10.0.0.0/24 to 10.0.1.1/32", "udp dst 10.0.0.0/24 to 10.0.1.1" },
	{ "tcp dst 10.0.0.10 dport 80-89 to 10.0.0.138:8080-8089", NULL },
	{ "tcp dst 10.0.0.10 dport 80-89 to 10.0.0.138:8080", NULL },
	{ "tcp dst 10.0.0.10 dport 1-65535 to 10.0.0.138", "tcp dst 10.0.0.10 to 10.0.0.138" },
	{ "tcp dst 10.0.0.10 dport 80 to 10.0.0.10:81", NULL },
	{ "tcp dst 0.0.0.0/0 dport 80 to 10.0.0.10", NULL },
	{ "tcp dst 10.0.0.0/24 dport 80 to 10.0.1.0/24:81", NULL },
	{ "tcp dst 2001:db8::1 dport 80 to [2001:db8::2]:81", NULL },
	{ "tcp dst 2001:db8::1 dport 80 to 2001:db8::2", NULL },
	{ "tcp dst 2001:db8::1 dport 80 to [2001:db8::2]",
	  "tcp dst 2001:db8::1 dport 80 to 2001:db8::2" },
	{ "tcp dst 2001:db8::/64 to 2001:db9::/64", NULL },
	{ "tcp dst 2001:db8::/64 dport 1-2 to [2001:db9::/64]:3-4", NULL },
};

static void words_are_read_and_written(void **unused)
{
	struct shunt_nat_rule r, again;
	char text[NAT_TEXT];
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(accepted) / sizeof(*accepted); i++) {
		r = rule(accepted[i].words);
		nat_rule_format(&r, text);
		assert_string_equal(text,
				    accepted[i].written ? accepted[i].written : accepted[i].words);
		again = rule(text);
		assert_memory_equal(&again, &r, sizeof(r));
		nat_rule_json(&(struct json_writer){ .out = output_begin() }, &r);
		assert_true(json_valid(output_end()));
	}
}

static const struct {
	const char *words;
	const char *message;
} refused[] = {
	{ "", "a NAT rule is missing" },
	{ "sctp dst 10.0.0.1 to 10.0.0.2", "'sctp': a NAT rule begins with tcp or udp" },
	{ "tcp", "a NAT rule needs 'dst ADDR[/LEN]'" },
	{ "tcp dst 10.0.0.1", "a NAT rule needs 'to ADDR[/LEN][:PORT]'" },
	{ "tcp dst 10.0.0.1 to", "'to': a value is missing" },
	{ "tcp dst 10.0.0.1 src 10.0.0.1", "'src': no word of a NAT rule" },
	{ "tcp dst 10.0.0.1 dst 10.0.0.1", "'dst' is given twice" },
	{ "tcp dst 10.0.0.1/33 to 10.0.0.2", "not a number from 0 to 32" },
	{ "tcp dst 10.0.0.1 dport 0 to 10.0.0.2", "'0': not a port" },
	{ "tcp dst 10.0.0.1 dport 9-8 to 10.0.0.2", "did you mean 8-9?" },
	{ "tcp dst 10.0.0.1 to host", "'host': not an IPv4 or IPv6 address" },
	{ "tcp dst 10.0.0.1 to 10.0.0.2:", "'': not a port" },
	{ "tcp dst 10.0.0.1 to 10.0.0.2:x", "'x': not a port" },
	{ "tcp dst 10.0.0.1 to ::1", "one is IPv4, the other IPv6" },
	{ "tcp dst 10.0.0.0/24 to 10.0.0.0/25", "a prefix of /24, or a single address" },
	{ "tcp dst 10.0.0.1 dport 80-89 to 10.0.0.2:80-88", "as many as dport has (10)" },
	{ "tcp dst 10.0.0.1 dport 80 to 10.0.0.2:80-88", "as many as dport has (1)" },
	{ "tcp dst 0.0.0.0 to 10.0.0.2", "'dst 0.0.0.0': no host has this address" },
	{ "tcp dst 10.0.0.1 to 0.0.0.0", "'to 0.0.0.0': no host has this address" },
	{ "tcp dst 224.0.0.1 to 10.0.0.2", "multicast can't be translated" },
	{ "tcp dst ff00::/8 to ::1", "multicast can't be translated" },
	{ "tcp dst 255.255.255.255 to 10.0.0.2", "broadcast can't be translated" },
	{ "tcp dst 10.0.0.1 to 10.0.0.1", "nothing would change" },
	{ "tcp dst 10.0.0.1 dport 80 to 10.0.0.1:80", "nothing would change" },
	{ "tcp dst 10.0.0.1 to 1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111",
	  "not an address" },
};

static void wrong_words_are_named(void **unused)
{
	struct shunt_nat_rule r, before;
	size_t i;

	(void)unused;
	memset(&before, 0xaa, sizeof(before));
	for (i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		int error;

		r = before;
		messages_begin();
		error = parse(refused[i].words, false, &r);
		assert_has(messages_end(), refused[i].message);
		assert_int_equal(error, -EINVAL);
		assert_memory_equal(&r, &before, sizeof(r));
	}
}

static void a_match_needs_no_target(void **unused)
{
	struct shunt_nat_rule r, full = rule("tcp dst 10.0.0.1 dport 80 to 10.0.0.2");

	(void)unused;
	assert_int_equal(parse("tcp dst 10.0.0.1 dport 80", true, &r), 0);
	assert_true(nat_rule_same_match(&r, &full));
	assert_int_equal(nat_rule_compare(&r, &full), 0);
	assert_false(nat_rule_same_effect(&r, &full));
}

/* Each rule is tried before the next one. */
static void the_more_special_rule_wins(void **unused)
{
	static const char *const order[] = {
		"tcp dst 10.0.0.1 to 10.9.9.9",
		"tcp dst 10.0.0.0/24 dport 80 to 10.9.9.9",
		"tcp dst 10.0.0.0/24 dport 81 to 10.9.9.9",
		"tcp dst 10.0.0.0/24 dport 1-2 to 10.9.9.9",
		"tcp dst 10.0.0.0/24 to 10.9.9.9",
		"tcp dst 10.0.1.0/24 dport 80 to 10.9.9.9",
		"tcp dst 10.0.0.0/8 dport 80 to 10.9.9.9",
		"udp dst 10.0.0.1 to 10.9.9.9",
		"tcp dst 2001:db8::1 to 2001:db8::2",
	};
	const size_t n = sizeof(order) / sizeof(*order);
	size_t i, j;

	(void)unused;
	for (i = 0; i < n; i++)
		for (j = 0; j < n; j++) {
			struct shunt_nat_rule a = rule(order[i]), b = rule(order[j]);
			int c = nat_rule_compare(&a, &b);

			assert_int_equal(c < 0, i < j);
			assert_int_equal(!c, i == j);
			assert_int_equal(nat_rule_same_match(&a, &b), i == j);
		}
}

static void effects_differ(void **unused)
{
	struct shunt_nat_rule a = rule("tcp dst 10.0.0.0/24 dport 80 to 10.0.0.2:81"), b;

	(void)unused;
	b = rule("tcp dst 10.0.0.0/24 dport 80 to 10.0.0.2:81");
	assert_true(nat_rule_same_effect(&a, &b));
	b = rule("tcp dst 10.0.0.0/24 dport 80 to 10.0.0.3:81");
	assert_false(nat_rule_same_effect(&a, &b));
	b = rule("tcp dst 10.0.0.0/24 dport 80 to 10.0.0.2:82");
	assert_false(nat_rule_same_effect(&a, &b));
	b = rule("tcp dst 10.0.0.0/24 dport 80 to 10.0.0.2");
	assert_false(nat_rule_same_effect(&a, &b));
	assert_true(nat_rule_same_prefix(&a, &b));
	b = rule("udp dst 10.0.0.0/24 dport 80 to 10.0.0.2");
	assert_false(nat_rule_same_prefix(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_read_and_written),
		cmocka_unit_test(wrong_words_are_named),
		cmocka_unit_test(a_match_needs_no_target),
		cmocka_unit_test(the_more_special_rule_wins),
		cmocka_unit_test(effects_differ),
	};

	return cmocka_run_group_tests_name("nat_rule", tests, NULL, NULL);
}
