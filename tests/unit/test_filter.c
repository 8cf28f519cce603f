// SPDX-License-Identifier: GPL-2.0-only
/* Which flows a filter of the monitor shows. */
#include "unit.h"

#include <errno.h>
#include <netinet/in.h>

#include "flows/filter.h"

static const struct flow tcp4 = {
	.counter = { .family = AF_INET,
		     .proto = IPPROTO_TCP,
		     .direction = SHUNT_IN,
		     .src = { 10, 0, 0, 1 },
		     .dst = { 10, 1, 0, 2 },
		     .sport = 1000,
		     .dport = 80 },
	.iface = "eth0",
	.labels = LABEL_STEERED,
};
static const struct flow udp6 = {
	.counter = { .family = AF_INET6,
		     .proto = IPPROTO_UDP,
		     .direction = SHUNT_OUT,
		     .src = { 0x20, 1, [15] = 1 },
		     .dst = { 0x20, 2, [15] = 2 },
		     .sport = 53,
		     .dport = 5353 },
	.iface = "eth1",
	.labels = LABEL_NAT,
};
/* without ports; the second one also without addresses */
static const struct flow icmp4 = {
	.counter = { .family = AF_INET,
		     .proto = IPPROTO_ICMP,
		     .direction = SHUNT_IN,
		     .src = { 10, 0, 0, 1 },
		     .dst = { 10, 1, 0, 2 } },
	.iface = "eth0",
};
static const struct flow other = { .iface = "eth0" };

#define TCP4 1
#define UDP6 2
#define ICMP4 4
#define OTHER 8
#define ALL 15

static const struct {
	const char *text;
	unsigned int matches;
} filters[] = {
	{ "", ALL },
	{ "  ", ALL },
	{ "tcp", TCP4 },
	{ "udp", UDP6 },
	{ "icmp", ICMP4 },
	{ "icmp6", 0 },
	{ "ip", TCP4 | ICMP4 },
	{ "ip6", UDP6 },
	{ "in", TCP4 | ICMP4 | (SHUNT_IN ? 0 : OTHER) },
	{ "out", UDP6 | (SHUNT_OUT ? 0 : OTHER) },
	{ "steered", TCP4 },
	{ "nat", UDP6 },
	{ "bypassed", 0 },
	{ "proto 6", TCP4 },
	{ "proto 17", UDP6 },
	{ "proto 0", 0 },
	{ "iface eth0", TCP4 | ICMP4 | OTHER },
	{ "iface eth1", UDP6 },
	{ "host 10.0.0.1", TCP4 | ICMP4 },
	{ "host 10.1.0.2", TCP4 | ICMP4 },
	{ "src host 10.0.0.1", TCP4 | ICMP4 },
	{ "dst host 10.0.0.1", 0 },
	{ "dst host 10.1.0.2", TCP4 | ICMP4 },
	{ "src host 10.1.0.2", 0 },
	{ "host 2001::1", UDP6 },
	{ "host 2001::2", 0 },
	{ "net 10.0.0.0/16", TCP4 | ICMP4 },
	{ "net 10.0.0.0/8", TCP4 | ICMP4 },
	{ "src net 10.1.0.0/16", 0 },
	{ "dst net 10.1.0.0/16", TCP4 | ICMP4 },
	{ "net 2002::/16", UDP6 },
	{ "net 0.0.0.0/0", TCP4 | ICMP4 },
	{ "net ::/0", UDP6 },
	{ "port 80", TCP4 },
	{ "port 1000", TCP4 },
	{ "src port 80", 0 },
	{ "dst port 80", TCP4 },
	{ "src port 1000", TCP4 },
	{ "port 53", UDP6 },
	{ "port 1-65535", TCP4 | UDP6 },
	{ "port 79-81", TCP4 },
	{ "port 81-90", 0 },
	{ "port 70-79", 0 },
	{ "not tcp", ALL & ~TCP4 },
	{ "!tcp", ALL & ~TCP4 },
	{ "! tcp", ALL & ~TCP4 },
	{ "not not tcp", TCP4 },
	{ "!!tcp", TCP4 },
	{ "tcp or udp", TCP4 | UDP6 },
	{ "tcp and udp", 0 },
	{ "tcp udp", 0 },
	{ "tcp port 80", TCP4 },
	{ "tcp and port 53", 0 },
	{ "icmp or tcp and port 53", ICMP4 },
	{ "(icmp or tcp) and port 80", TCP4 },
	{ "(icmp or tcp)port 80", TCP4 },
	{ "tcp and port 80 or icmp", TCP4 | ICMP4 },
	{ "not (tcp or icmp)", UDP6 | OTHER },
	{ "not tcp icmp", ICMP4 },
	{ "not tcp or tcp", ALL },
	{ "((tcp))", TCP4 },
	{ "tcp\tor\nudp", TCP4 | UDP6 },
	{ "tcp or udp or icmp", TCP4 | UDP6 | ICMP4 },
	{ "ip tcp in steered port 80", TCP4 },
};

static unsigned int matches(const char *text)
{
	struct filter *f = NULL;
	unsigned int found;

	messages_begin(); /* there may be no such interface now */
	if (filter_parse(text, &f))
		fail_msg("'%s' is refused", text);
	messages_end();
	found = filter_matches(f, &tcp4) * TCP4 | filter_matches(f, &udp6) * UDP6 |
		filter_matches(f, &icmp4) * ICMP4 | filter_matches(f, &other) * OTHER;
	free(f);
	return found;
}

static void filters_match(void **unused)
{
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(filters) / sizeof(*filters); i++)
		if (matches(filters[i].text) != filters[i].matches)
			fail_msg("'%s' matches %x, not %x", filters[i].text,
				 matches(filters[i].text), filters[i].matches);
}

static const struct {
	const char *text;
	const char *message;
} refused[] = {
	{ "sctp", "unknown word 'sctp'" },
	{ "tcp or", "it ends where a condition must follow" },
	{ "not", "it ends where a condition must follow" },
	{ "(", "it ends where a condition must follow" },
	{ "(tcp", "a ')' is missing" },
	{ "tcp)", "')' has no '(' before it" },
	{ "()", "unknown word ')'" },
	{ "host", "'host': a value is missing" },
	{ "(host)", "'host': a value is missing" },
	{ "host 10.0.0.0/8", "not a single address; say 'net'" },
	{ "net 10.0.0.0", "a prefix length is missing" },
	{ "net 10.0.0.1/8", "did you mean 10.0.0.0/8?" },
	{ "host x", "'x': not an IPv4 or IPv6 address" },
	{ "port x", "'x': not a port" },
	{ "port 9-8", "did you mean 8-9?" },
	{ "src tcp", "'host', 'net' or 'port' must follow, not 'tcp'" },
	{ "dst", "'host', 'net' or 'port' must follow, not ''" },
	{ "proto 256", "not a number from 0 to 255" },
	{ "proto tcp", "not a number from 0 to 255" },
	{ "proto", "'proto': a value is missing" },
	{ "iface", "'iface': a value is missing" },
	{ "iface sixteen_letters_", "too long a name" },
	{ "tcp and or udp", "unknown word 'or'" },
};

static int parse_refused(const char *text, const char *message)
{
	struct filter *f = NULL;
	int error;

	messages_begin();
	error = filter_parse(text, &f);
	assert_has(messages_end(), message);
	assert_null(f);
	return error;
}

static void wrong_words_are_named(void **unused)
{
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		assert_int_equal(parse_refused(refused[i].text, refused[i].message), -EINVAL);
}

/* Returns a text of n times the word. */
static char *many(const char *word, unsigned int n)
{
	char *text = calloc(n, strlen(word) + 1);

	assert_non_null(text);
	while (n--)
		strcat(text, word);
	return text;
}

static void filters_have_bounds(void **unused)
{
	char *text = many("(", 40);

	(void)unused;
	parse_refused(text, "nested deeper than 32");
	free(text);
	text = many("not ", 40);
	parse_refused(text, "nested deeper than 32");
	free(text);
	text = many("tcp ", 65);
	parse_refused(text, "more than 64 conditions");
	free(text);
	text = many("tcp ", 64);
	assert_int_equal(matches(text), TCP4);
	free(text);
	text = many("tcp ", 257);
	parse_refused(text, "more than 256 words");
	free(text);
}

static void a_missing_interface_is_told(void **unused)
{
	struct filter *f;

	(void)unused;
	messages_begin();
	assert_int_equal(filter_parse("iface no_such_iface", &f), 0);
	assert_has(messages_end(), "no interface 'no_such_iface' now");
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(filters_match),
		cmocka_unit_test(wrong_words_are_named),
		cmocka_unit_test(filters_have_bounds),
		cmocka_unit_test(a_missing_interface_is_told),
	};

	return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
