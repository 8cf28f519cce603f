// SPDX-License-Identifier: GPL-2.0-only
/* Rule files: lines, comments, options, and where a mistake is. */
#include "unit.h"

#include <errno.h>
#include <unistd.h>

#include "config/rule_file.h"

/* Reads a text as a file on stdin. */
static int read_bytes(const char *text, size_t size, struct rule_file *ret)
{
	FILE *true_stdin = stdin;
	int error;

	/* fmemopen() makes no empty file */
	stdin = size ? fmemopen((void *)text, size, "r") : fopen("/dev/null", "r");
	assert_non_null(stdin);
	error = rule_file_read("-", ret);
	fclose(stdin);
	stdin = true_stdin;
	return error;
}

static int read_text(const char *text, struct rule_file *ret)
{
	return read_bytes(text, strlen(text), ret);
}

static void files_have_rules_and_options(void **unused)
{
	struct rule_file f;
	char text[RULE_TEXT];

	(void)unused;
	assert_int_equal(read_text("# a comment\n"
				   "\n"
				   "iface eth0\n"
				   "  tcp dst 10.0.0.0/8 pass  # and one behind words\n"
				   "\t\n"
				   "nat tcp dst 10.0.0.1 to 10.0.0.2\n"
				   "nat eth1\r\n"
				   "udp dst ::/0 dport 53 to [::1]:5353",
				   &f),
			 0);
	assert_string_equal(f.name, "stdin");
	assert_int_equal(f.count, 2);
	assert_int_equal(f.line[0].number, 4);
	assert_int_equal(f.line[1].number, 8);
	assert_ptr_equal(f.rule[1], &f.line[1].rule);
	rule_format(f.rule[1], text, sizeof(text));
	assert_string_equal(text, "udp dst ::/0 dport 53 to [::1]:5353");
	assert_int_equal(f.nats, 1);
	assert_int_equal(f.nat_line[0], 6);
	assert_int_equal(f.options, 4);
	assert_string_equal(f.option[0], "--iface");
	assert_string_equal(f.option[1], "eth0");
	assert_int_equal(f.option_line[0], 3);
	assert_string_equal(f.option[2], "--nat");
	assert_string_equal(f.option[3], "eth1");
	assert_int_equal(f.option_line[1], 7);
	assert_false(rule_file_is_local(&f));
	rule_file_free(&f);
}

static void files_may_be_empty(void **unused)
{
	struct rule_file f;

	(void)unused;
	assert_int_equal(read_text("", &f), 0);
	assert_int_equal(f.count + f.nats + f.options, 0);
	rule_file_free(&f);
	assert_int_equal(read_text("# nothing\n", &f), 0);
	assert_int_equal(f.count + f.nats + f.options, 0);
	rule_file_free(&f);
}

static void local_rules_are_noticed(void **unused)
{
	struct rule_file f;

	(void)unused;
	assert_int_equal(read_text("tcp dst 10.0.0.0/8 pass\n"
				   "tcp dst 10.0.0.0/8 origin local pass\n",
				   &f),
			 0);
	assert_true(rule_file_is_local(&f));
	rule_file_free(&f);
}

/* The array of lines grows, and the rules keep their order. */
static void files_may_be_long(void **unused)
{
	struct rule_file f;
	FILE *out = output_begin();
	int i;

	(void)unused;
	for (i = 0; i < 1000; i++)
		fprintf(out,
			"tcp dst 10.0.%d.%d pass\nnat udp dst 10.0.%d.%d to 10.9.9.9\niface e%d\n",
			i / 256, i % 256, i / 256, i % 256, i);
	assert_int_equal(read_text(output_end(), &f), 0);
	assert_int_equal(f.count, 1000);
	assert_int_equal(f.nats, 1000);
	assert_int_equal(f.options, 2000);
	for (i = 0; i < 1000; i++) {
		assert_int_equal(f.rule[i]->dst[3], i % 256);
		assert_int_equal(f.line[i].number, 3 * i + 1);
		assert_int_equal(f.nat[i].dst[3], i % 256);
		assert_int_equal(f.nat_line[i], 3 * i + 2);
		assert_int_equal(atoi(f.option[2 * i + 1] + 1), i);
		assert_int_equal(f.option_line[i], 3 * i + 3);
	}
	rule_file_free(&f);
}

static const struct {
	const char *text;
	const char *message;
} refused[] = {
	{ "tcp dst 10.0.0.0/8\n", "stdin:1: a rule needs 'to ADDR:PORT' or 'pass'" },
	{ "\n\ntcp dst x pass\n", "stdin:3: 'x': not an IPv4" },
	{ "\nipx dst 10.0.0.0/8 pass\n", "stdin:2: 'ipx': neither an option" },
	{ "# ok\nnat tcp dst 10.0.0.1\n", "stdin:2: a NAT rule needs 'to" },
	{ "iface\n", "stdin:1: 'iface': a value is missing" },
	{ "iface eth0 eth1\n", "stdin:1: 'eth1' is one word too many" },
	{ "tcp dst 10.0.0.0/8 pass\n\ntcp dst 10.0.0.0/8 to 127.0.0.1:9\n",
	  "stdin:3: 'tcp dst 10.0.0.0/8 to 127.0.0.1:9': line 1 has a rule for the same packets" },
	{ "nat tcp dst 10.0.0.1 to 10.0.0.3\nnat tcp dst 10.0.0.1 to 10.0.0.2\n",
	  "stdin:2: 'tcp dst 10.0.0.1 to 10.0.0.2': line 1 has a rule for the same packets" },
};

static void mistakes_are_named_with_their_line(void **unused)
{
	struct rule_file f;
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		messages_begin();
		assert_int_equal(read_text(refused[i].text, &f), -EINVAL);
		assert_has(messages_end(), refused[i].message);
	}
}

static void zero_bytes_are_refused(void **unused)
{
	static const char text[] = "tcp dst 10.0.0.0/8 pass\ntcp\0 dst 10.0.0.0/8 pass\n";
	struct rule_file f;

	(void)unused;
	messages_begin();
	assert_int_equal(read_bytes(text, sizeof(text) - 1, &f), -EINVAL);
	assert_has(messages_end(), "stdin:2: 'tcp': a zero byte follows");
}

static void lines_have_at_most_64_words(void **unused)
{
	struct rule_file f;
	FILE *out = output_begin();
	int i;

	(void)unused;
	for (i = 0; i < 65; i++)
		fprintf(out, "w%d ", i);
	messages_begin();
	assert_int_equal(read_text(output_end(), &f), -EINVAL);
	assert_has(messages_end(), "stdin:1: 'w64': more than 64 words");
}

static void missing_files_are_named(void **unused)
{
	struct rule_file f;

	(void)unused;
	messages_begin();
	assert_int_equal(rule_file_read("/nonexistent/file", &f), -ENOENT);
	assert_string_equal(messages_end(),
			    "shunt: '/nonexistent/file': No such file or directory\n");
	messages_begin();
	assert_int_equal(rule_file_read("/", &f), -EISDIR);
	assert_string_equal(messages_end(), "shunt: '/': Is a directory\n");
}

static void named_files_are_read(void **unused)
{
	char name[] = "/tmp/shunt-unit-XXXXXX";
	int fd = mkstemp(name);
	struct rule_file f;

	(void)unused;
	assert_true(fd >= 0);
	dprintf(fd, "tcp dst 10.0.0.0/8 pass\n");
	close(fd);
	assert_int_equal(rule_file_read(name, &f), 0);
	unlink(name);
	assert_int_equal(f.count, 1);
	assert_string_equal(f.name, name);
	rule_file_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_have_rules_and_options),
		cmocka_unit_test(files_may_be_empty),
		cmocka_unit_test(local_rules_are_noticed),
		cmocka_unit_test(files_may_be_long),
		cmocka_unit_test(mistakes_are_named_with_their_line),
		cmocka_unit_test(zero_bytes_are_refused),
		cmocka_unit_test(lines_have_at_most_64_words),
		cmocka_unit_test(missing_files_are_named),
		cmocka_unit_test(named_files_are_read),
	};

	return cmocka_run_group_tests_name("rule_file", tests, NULL, NULL);
}
