// SPDX-License-Identifier: GPL-2.0-only
/* How the words of 'shunt load' differ from what is loaded. */
#include "unit.h"

#include "attach/cgroup.h"
#include "config/load_config.h"
#include "config/options.h"
#include "fake_maps.h"
#include "load_words.h"

/* What the words make of settings that are loaded. */
static struct load_config *more(const char *loaded, const char *words)
{
	int error;
	struct load_config *config = load_words(words, load_words_accepted(loaded), &error);

	assert_int_equal(error, 0);
	return config;
}

static void more_free(struct load_config *config)
{
	load_words_free((struct load_config *)config->loaded);
	load_words_free(config);
	fake_reset();
}

static void what_is_not_named_stays_as_loaded(void **unused)
{
	struct load_config *config = more("--iface lo --table 7 --nat-idle tcp=9", "--max-bytes 9");
	int half;

	(void)unused;
	assert_int_equal(config->conf.table, 7);
	assert_int_equal(config->nat_conf.idle_ns[NAT_TCP], 9000000000ULL);
	assert_string_equal(load_options_changed(HALF_BYPASS, config), "--max-bytes");
	for (half = 0; half < HALVES; half++) {
		assert_null(load_options_fixed(half, config));
		assert_true(load_config_wants(config, half) == (half == HALF_BYPASS));
	}
	more_free(config);
}

/* An option that can't change while its half is loaded is "fixed". */
static void options_that_change_are_named(void **unused)
{
	static const struct {
		const char *words, *option;
		enum half half;
		bool fixed;
	} changes[] = {
		{ "--max-bytes 9", "--max-bytes", HALF_BYPASS, false },
		{ "--max-messages 9", "--max-messages", HALF_BYPASS, false },
		{ "--host-bytes 999999", "--host-bytes", HALF_BYPASS, false },
		{ "--exclude port:80", "--exclude", HALF_BYPASS, false },
		{ "--mark 1", "--mark", HALF_STEER, true },
		{ "--table 8", "--table", HALF_STEER, true },
		{ "--max-flows 9", "--max-flows", HALF_STEER, true },
		{ "--router-mark 1", "--router-mark", HALF_STEER, false },
		{ "--max-rules 9", "--max-rules", HALF_STEER, false },
		{ "--nat-flows 9", "--nat-flows", HALF_NAT, true },
		{ "--nat-idle tcp=9", "--nat-idle", HALF_NAT, false },
	};
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		struct load_config *config = more("--iface lo", changes[i].words);
		const char *fixed = load_options_fixed(changes[i].half, config);

		assert_string_equal(load_options_changed(changes[i].half, config),
				    changes[i].option);
		if (changes[i].fixed)
			assert_string_equal(fixed, changes[i].option);
		else
			assert_null(fixed);
		more_free(config);
	}
}

/* Between the reading of the words and the lock, another command changes two settings. */
static void present_settings_are_taken_over(void **unused)
{
	struct load_config *config = more("--iface lo", "--max-bytes 9");
	struct load_config *now = load_words_accepted(
		"--iface lo --max-bytes 7 --max-messages 8 --max-rules 6");
	struct load_config *was = (struct load_config *)config->loaded;

	(void)unused;
	load_options_rebase(config, now);
	load_words_free(was);
	assert_ptr_equal(config->loaded, now);
	assert_int_equal(config->conf.max_bytes, 9);
	assert_int_equal(config->conf.max_msgs, 8);
	assert_int_equal(config->conf.max_rules, 6);
	assert_string_equal(load_options_changed(HALF_BYPASS, config), "--max-bytes");
	assert_null(load_options_changed(HALF_STEER, config));
	more_free(config);
}

static void halves_are_named_by_attachments(void **unused)
{
	struct load_config *config = load_words_accepted("--monitor lo --nat lo");

	(void)unused;
	assert_false(load_config_names(config, HALF_BYPASS));
	assert_false(load_config_names(config, HALF_STEER));
	assert_true(load_config_names(config, HALF_NAT));
	assert_true(load_config_names(config, HALF_MONITOR));
	load_words_free(config);
	config = load_words_accepted("--iface lo");
	/* 'shunt nat add' has to find NAT */
	assert_true(load_config_names(config, HALF_NAT));
	load_words_free(config);
}

static void excludes_are_added(void **unused)
{
	struct load_config *config;
	char root[240], loaded[512];

	(void)unused;
	if (cgroup_root(root, sizeof(root)))
		skip();
	snprintf(loaded, sizeof(loaded), "--cgroup %s --exclude port:80", root);
	config = more(loaded, "--exclude port:80");
	assert_int_equal(config->conf.excludes, 1);
	assert_null(load_options_changed(HALF_BYPASS, config));
	more_free(config);
	config = more(loaded, "--exclude port:81");
	assert_int_equal(config->conf.excludes, 2);
	more_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_named_stays_as_loaded),
		cmocka_unit_test(options_that_change_are_named),
		cmocka_unit_test(present_settings_are_taken_over),
		cmocka_unit_test(halves_are_named_by_attachments),
		cmocka_unit_test(excludes_are_added),
	};

	return cmocka_run_group_tests_name("load_more", tests, NULL, NULL);
}
