// SPDX-License-Identifier: GPL-2.0-only
/* The values of options, as 'shunt save' prints them and a file has them. */
#include "unit.h"

#include <netinet/in.h>

#include "attach/attachments.h"
#include "attach/cgroup.h"
#include "config/excludes.h"
#include "util/file_words.h"
#include "config/load_config.h"
#include "config/options.h"
#include "load_words.h"

/* All values that config has and base lacks, as words of 'shunt load'. */
static const char *print(const struct load_config *config, const struct load_config *base)
{
	static char text[4096];
	struct option_value v = {};
	char *at = text;

	*text = '\0';
	while (load_options_next(config, base, &v))
		at += sprintf(at, "%s%s %s", at == text ? "" : " ", load_option_name(v.option),
			      v.text);
	return text;
}

/* What is printed for settings that these words made. */
static const char *printed(const char *words)
{
	struct load_config *config = load_words_accepted(words);
	const char *text = print(config, config->loaded);

	load_words_free(config);
	return text;
}

static void values_are_printed_as_they_are_read(void **unused)
{
	static const char *const words[] = {
		"--iface lo",
		"--iface veth*",
		"--monitor lo",
		"--nat lo",
		"--iface lo --max-bytes 9",
		"--iface lo --max-messages 9",
		"--iface lo --host-bytes 8192",
		"--iface lo --mark 0x40",
		"--iface lo --table 7",
		"--iface lo --router-mark 0x6",
		"--iface lo --max-rules 5",
		"--iface lo --max-flows 1024",
		"--iface lo --nat-flows 9",
		"--iface lo --nat-idle tcp=60 --nat-idle udp=1",
	};
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(words) / sizeof(*words); i++)
		assert_string_equal(printed(words[i]), words[i]);
}

static void defaults_are_not_printed(void **unused)
{
	(void)unused;
	assert_string_equal(printed("--iface lo --max-bytes 8388608 --mark 0x1000000 --table 20560 "
				    "--nat-idle udp=120"),
			    "--iface lo");
}

static void cgroups_and_excludes_are_printed(void **unused)
{
	char root[240], words[1024];

	(void)unused;
	if (cgroup_root(root, sizeof(root)))
		skip();
	snprintf(words, sizeof(words),
		 "--cgroup %s --exclude port:80 --exclude port:81-90 --exclude 10.0.0.0/8 "
		 "--exclude fd00::/8 --exclude process:curl",
		 root);
	assert_string_equal(printed(words), words);
	snprintf(words, sizeof(words), "--cgroup %s=eager --iface lo --router-cgroup %s", root,
		 root);
	assert_string_equal(printed(words), words);
}

static void the_admission_is_printed_for_a_path_with_an_equals_sign(void **unused)
{
	struct load_config *config = load_words_accepted("--iface lo");
	struct option_value v = {};

	(void)unused;
	config->attachments[0] = (struct shunt_attachment){ .kind = ATTACH_CGROUP,
							    .admit = SHUNT_PROVEN,
							    .name = "/a=b" };
	assert_true(load_options_next(config, config->loaded, &v));
	assert_string_equal(v.text, "/a=b=proven");
	load_words_free(config);
}

static void what_a_pattern_or_a_rule_brought_is_not_printed(void **unused)
{
	struct load_config *config = load_words_accepted("--iface lo* --iface lo --nat lo");

	(void)unused;
	attachment_find(config->attachments, ATTACH_IFACE, "lo")->by_pattern = 1;
	attachment_find(config->attachments, ATTACH_NAT_IN, "lo")->auto_attached = 1;
	assert_string_equal(print(config, config->loaded), "--iface lo*");
	load_words_free(config);
}

/* What apply adds, and the other way round what apply takes away. */
static void values_are_compared_with_those_in_force(void **unused)
{
	struct load_config *a = load_words_accepted("--iface lo --max-bytes 9 --mark 0x2");
	struct load_config *b = load_words_accepted("--monitor lo --max-bytes 8 --mark 0x2");

	(void)unused;
	assert_string_equal(print(a, b), "--iface lo --max-bytes 9");
	assert_string_equal(print(b, a), "--monitor lo --max-bytes 8");
	load_words_free(a);
	load_words_free(b);
}

/* --- excludes that change while programs search them ------------------------------------------ */

static void set(struct shunt_exclude *x, const char *ports)
{
	memset(x, 0, SHUNT_EXCLUDES * sizeof(*x));
	for (; *ports; ports++, x++)
		*x = (struct shunt_exclude){ .kind = EXCLUDE_PORT, .low = *ports, .high = *ports };
}

static void excludes_that_stay_do_not_move(void **unused)
{
	static const struct {
		const char *now, *wanted, *sorted;
	} cases[] = {
		{ "abc", "abc", "abc" },  { "abc", "cba", "abc" },   { "abc", "c", "c" },
		{ "abcd", "dcb", "dbc" }, { "abc", "xcya", "axcy" }, { "", "ab", "ab" },
		{ "ab", "", "" },
	};
	struct shunt_exclude now[SHUNT_EXCLUDES], wanted[SHUNT_EXCLUDES], sorted[SHUNT_EXCLUDES];
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		set(now, cases[i].now);
		set(wanted, cases[i].wanted);
		set(sorted, cases[i].sorted);
		excludes_keep_places(wanted, strlen(cases[i].wanted), now, strlen(cases[i].now));
		assert_memory_equal(wanted, sorted, sizeof(sorted));
	}
}

/* --- words of files ------------------------------------------------------------------------------ */

static void words_of_files_hold_any_name(void **unused)
{
	static const char *const texts[] = {
		"/sys/fs/cgroup/plain",
		"with blank",
		"tab\there",
		"#begins",
		"in#side",
		"\\x2d",
		"\\040",
		"new\nline",
		"\\000",
		"ends\\",
		"\x7f",
	};
	char word[FILE_WORD(64)];
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		file_word_encode(texts[i], word);
		assert_null(strpbrk(word, " \t\n"));
		assert_true(*word != '#');
		file_word_decode(word);
		assert_string_equal(word, texts[i]);
	}
	file_word_encode("/system-a\\x2db.slice", word); /* a name that systemd makes */
	assert_string_equal(word, "/system-a\\x2db.slice");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_printed_as_they_are_read),
		cmocka_unit_test(defaults_are_not_printed),
		cmocka_unit_test(cgroups_and_excludes_are_printed),
		cmocka_unit_test(the_admission_is_printed_for_a_path_with_an_equals_sign),
		cmocka_unit_test(what_a_pattern_or_a_rule_brought_is_not_printed),
		cmocka_unit_test(values_are_compared_with_those_in_force),
		cmocka_unit_test(excludes_that_stay_do_not_move),
		cmocka_unit_test(words_of_files_hold_any_name),
	};

	return cmocka_run_group_tests_name("option_values", tests, NULL, NULL);
}
