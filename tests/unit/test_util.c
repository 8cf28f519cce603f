// SPDX-License-Identifier: GPL-2.0-only
/* JSON and messages. */
#include "unit.h"

#include <errno.h>

#include "util/array.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/log.h"
#include "util/options.h"

/* The checker of these tests, first. */
static void the_checker_knows_json(void **unused)
{
	static const char *const valid[] = {
		"{}",
		"[]",
		" [ 1 , -2.5 ] \n",
		"\"\"",
		"{\"a\":{\"b\":[true,false,null]}}",
		"\"\\\"\\\\\\u001f\"",
		"{\"a\":1,\"b\":2}",
	};
	static const char *const wrong[] = {
		"",       "{",       "}",         "{}{}",  "[1,]",       "[,1]",
		"[1 2]",  "{\"a\"}", "{\"a\":}",  "{a:1}", "{\"a\":1,}", "\"",
		"\"\n\"", "\"\\x\"", "\"\\u12\"", "yes",   "[}",         "{\"a\":1 \"b\":2}",
	};
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(valid) / sizeof(*valid); i++)
		if (!json_valid(valid[i]))
			fail_msg("'%s' is refused", valid[i]);
	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		if (json_valid(wrong[i]))
			fail_msg("'%s' is accepted", wrong[i]);
}

static void json_nests(void **unused)
{
	struct json_writer w = { .out = output_begin() };

	(void)unused;
	json_open(&w, '{');
	json_string(&w, "a", "b");
	json_open_in(&w, "list", '[');
	json_number(&w, NULL, 0);
	json_number(&w, NULL, UINT64_MAX);
	json_open(&w, '{');
	json_close(&w, '}');
	json_open(&w, '[');
	json_bool(&w, NULL, true);
	json_close(&w, ']');
	json_close(&w, ']');
	json_bool(&w, "no", false);
	json_close(&w, '}');
	assert_string_equal(output_end(),
			    "{\"a\":\"b\",\"list\":[0,18446744073709551615,{},[true]],"
			    "\"no\":false}\n");
}

/* An error object in the middle of a document would not be JSON. */
static void an_error_inside_of_a_document_goes_to_stderr(void **unused)
{
	struct json_writer was = json_stdout;

	(void)unused;
	opt.json = true;
	json_stdout = (struct json_writer){ .out = output_begin() };
	messages_begin();
	json_open(&json_stdout, '{');
	deny(-EIO, "broken");
	json_close(&json_stdout, '}');
	assert_has(messages_end(), "shunt: broken");
	assert_string_equal(output_end(), "{}\n");
	json_stdout = was;
	opt.json = false;
}

/* Each byte may stand in a string; those of UTF-8 stay. */
static void json_escapes(void **unused)
{
	char all[256];
	struct json_writer w = { .out = output_begin() };
	const char *text;
	int i;

	(void)unused;
	for (i = 1; i < 256; i++)
		all[i - 1] = i;
	all[255] = '\0';
	json_open(&w, '{');
	json_string(&w, all, all);
	json_close(&w, '}');
	text = output_end();
	assert_true(json_valid(text));
	assert_has(text, "\\u0001\\u0002");
	assert_has(text, "\\u001f !\\\"#");
	assert_has(text, "[\\\\]");
	assert_has(text, "~\\u007f\\ufffd");
}

/* Calls in any order that close what they opened make one valid text. */
static void json_of_random_nesting_is_valid(void **unused)
{
	char open[16];
	int run, steps, depth;
	struct json_writer w;

	(void)unused;
	for (run = 0; run < 500; run++) {
		random_seed(run);
		w = (struct json_writer){ .out = output_begin() };
		open[0] = random_below(2) ? '{' : '[';
		json_open(&w, open[0]);
		depth = 1;
		for (steps = random_below(40); steps; steps--) {
			const char *name = open[depth - 1] == '{' ? "n\"" : NULL;

			switch (random_below(5)) {
			case 0:
				json_number(&w, name, steps);
				break;
			case 1:
				json_string(&w, name, "\t");
				break;
			case 2:
				json_bool(&w, name, true);
				break;
			case 3:
				if (depth == sizeof(open))
					break;
				open[depth] = random_below(2) ? '{' : '[';
				json_open_in(&w, name, open[depth++]);
				break;
			default:
				if (depth == 1)
					break;
				depth--;
				json_close(&w, open[depth] == '{' ? '}' : ']');
			}
		}
		while (depth--)
			json_close(&w, open[depth] == '{' ? '}' : ']');
		if (!json_valid(output_end()))
			fail_msg("run %d", run);
	}
}

static void messages_name_reason_and_place(void **unused)
{
	(void)unused;
	messages_begin();
	assert_int_equal(fail(-ENOENT, "can't open '%s'", "x"), -ENOENT);
	assert_string_equal(messages_end(), "shunt: can't open 'x': No such file or directory\n");
	messages_begin();
	assert_int_equal(deny(-EBUSY, "busy"), -EBUSY);
	assert_string_equal(messages_end(), "shunt: busy\n");
	assert_int_equal(exit_code(0), 0);
	assert_int_equal(exit_code(-EBUSY), 1);
	messages_begin();
	log_set_file_position("file", 7);
	assert_int_equal(refuse("'%s': no", "word"), -EINVAL);
	log_set_file_position(NULL, 0);
	assert_string_equal(messages_end(), "shunt: file:7: 'word': no\n");
	assert_int_equal(exit_code(-EINVAL), 2);
}

static void long_messages_are_cut(void **unused)
{
	char text[3000];
	const char *written;

	(void)unused;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	messages_begin();
	fail(-ENOENT, "%s", text);
	written = messages_end();
	assert_true(strlen(written) < 1100);
	assert_int_equal(written[strlen(written) - 1], '\n');
}

static void notes_are_for_people(void **unused)
{
	char *words[] = { "tcp", "dst" };

	(void)unused;
	messages_begin();
	say("%d rules", 3);
	debug("hidden");
	warn("careful");
	say_missing("rule", 2, words);
	assert_string_equal(messages_end(), "shunt: 3 rules\nshunt: warning: careful\n"
					    "shunt: no such rule: tcp dst; nothing to delete\n");
	opt.json = opt.verbose = true;
	messages_begin();
	say("hidden");
	debug("seen");
	warn("careful");
	opt.json = opt.verbose = false;
	assert_string_equal(messages_end(), "shunt: seen\nshunt: warning: careful\n");
}

static int by_value(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void arrays_are_sorted_and_searched(void **unused)
{
	int list[] = { 3, 1, 2 }, two = 2, four = 4;

	(void)unused;
	sort_array(list, 3, sizeof(*list), by_value);
	assert_int_equal(list[0], 1);
	assert_int_equal(list[2], 3);
	assert_ptr_equal(search_array(&two, list, 3, sizeof(*list), by_value), &list[1]);
	assert_null(search_array(&four, list, 3, sizeof(*list), by_value));
	sort_array(NULL, 0, sizeof(*list), by_value);
	assert_null(search_array(&two, NULL, 0, sizeof(*list), by_value));
}

static void the_clock_goes_on(void **unused)
{
	__u64 before = monotonic_ns();

	(void)unused;
	assert_true(before > 0);
	assert_true(monotonic_ns() >= before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_checker_knows_json),
		cmocka_unit_test(json_nests),
		cmocka_unit_test(an_error_inside_of_a_document_goes_to_stderr),
		cmocka_unit_test(json_escapes),
		cmocka_unit_test(json_of_random_nesting_is_valid),
		cmocka_unit_test(messages_name_reason_and_place),
		cmocka_unit_test(long_messages_are_cut),
		cmocka_unit_test(notes_are_for_people),
		cmocka_unit_test(arrays_are_sorted_and_searched),
		cmocka_unit_test(the_clock_goes_on),
	};

	return cmocka_run_group_tests_name("util", tests, NULL, NULL);
}
