// SPDX-License-Identifier: GPL-2.0-only
/* The words of 'shunt load'. */
#include "unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#include "attach/cgroup.h"
#include "config/load_config.h"
#include "config/options.h"
#include "load_words.h"

static void interfaces_are_loaded_once(void **unused)
{
	struct load_config *config = load_words_accepted("--iface lo --iface lo");

	(void)unused;
	assert_int_equal(config->n, 1);
	assert_int_equal(config->attachments[0].kind, ATTACH_IFACE);
	assert_int_equal(config->attachments[0].ifindex, 1);
	assert_string_equal(config->attachments[0].name, "lo");
	assert_true(config->steer);
	assert_false(config->bypass || config->nat || config->monitor || config->force);
	assert_int_equal(config->conf.mark, 0x1000000);
	assert_int_equal(config->conf.table, 20560);
	assert_int_equal(config->conf.max_bytes, 8 << 20);
	assert_int_equal(config->conf.max_msgs, 2048);
	assert_int_equal(config->conf.max_rules, 1 << 20);
	assert_int_equal(config->conf.flow_buckets, 65536);
	load_words_free(config);
}

static void patterns_name_interfaces(void **unused)
{
	struct load_config *config = load_words_accepted("--iface veth* --force");

	(void)unused;
	assert_int_equal(config->attachments[0].kind, ATTACH_PATTERN);
	assert_int_equal(config->attachments[0].ifindex, 0);
	assert_true(config->force);
	load_words_free(config);
}

/* The monitor counts what the other programs did, so it is attached last. */
static void the_monitor_is_attached_last(void **unused)
{
	struct load_config *config = load_words_accepted("--monitor lo --iface lo --nat lo");
	unsigned int i;

	(void)unused;
	assert_int_equal(config->n, 5);
	assert_int_equal(config->attachments[0].kind, ATTACH_IFACE);
	for (i = 0; i < 5; i++)
		assert_string_equal(config->attachments[i].name, "lo");
	assert_int_equal(config->attachments[1].kind, ATTACH_NAT_IN);
	assert_int_equal(config->attachments[2].kind, ATTACH_NAT_OUT);
	assert_int_equal(config->attachments[3].kind, ATTACH_MONITOR_IN);
	assert_int_equal(config->attachments[4].kind, ATTACH_MONITOR_OUT);
	assert_true(config->nat && config->monitor && config->steer);
	load_words_free(config);
	config = load_words_accepted("--monitor lo --monitor lo");
	assert_int_equal(config->n, 2);
	load_words_free(config);
}

static void limits_are_read(void **unused)
{
	struct load_config *config = load_words_accepted(
		"--iface lo --max-bytes 1024 --max-messages 7 --host-bytes 0x100000 "
		"--mark 0x80 --router-mark 6 --table 77 --max-rules 5 "
		"--max-flows 1000 --nat-flows 9 --nat-idle tcp=60 --nat-idle udp=1");
	const long page = getpagesize();

	(void)unused;
	assert_int_equal(config->conf.max_bytes, 1024);
	assert_int_equal(config->conf.max_msgs, 7);
	assert_int_equal(config->conf.max_pages, 0x100000 / page);
	assert_int_equal(config->conf.host_msgs, 0x100000 / 1024);
	assert_int_equal(config->conf.mark, 0x80);
	assert_int_equal(config->conf.router_mark, 6);
	assert_int_equal(config->conf.table, 77);
	assert_int_equal(config->conf.max_rules, 5);
	assert_int_equal(config->conf.flow_buckets, 1024);
	assert_int_equal(config->nat_conf.flows, 9);
	assert_int_equal(config->nat_conf.idle_ns[NAT_TCP], 60000000000);
	assert_int_equal(config->nat_conf.idle_ns[NAT_UDP], 1000000000);
	load_words_free(config);
}

static const struct {
	const char *words;
	int error;
	const char *message;
} refused[] = {
	{ "", -EINVAL, "nothing to do: give --cgroup, --iface, --nat or --monitor" },
	{ "--via x", -EINVAL, "unknown word '--via'" },
	{ "--iface", -EINVAL, "--iface: a value is missing" },
	{ "--config", -EINVAL, "--config: a value is missing" },
	{ "--iface no_such_iface", -ENODEV, "no interface 'no_such_iface'" },
	{ "--iface a_pattern_that_is_long*", -ENODEV, "no interface 'a_pattern_that_is_long*'" },
	{ "--monitor no_such_iface", -ENODEV, "no interface 'no_such_iface'" },
	{ "--nat no_such_iface", -ENODEV, "no interface 'no_such_iface'" },
	{ "--cgroup /=sometimes", -EINVAL, "unknown admission 'sometimes'" },
	{ "--cgroup no/such/cgroup", -ENOENT, "cgroup" },
	{ "--cgroup /etc", -1, "'/etc'" },
	{ "--router-cgroup no/such/cgroup", -ENOENT, "cgroup" },
	{ "--iface lo --exclude port:80", -EINVAL, "there is no --cgroup" },
	{ "--exclude x", -EINVAL, "neither port:N[-N], ADDR/LEN nor process:NAME" },
	{ "--exclude port:0", -EINVAL, "'0': not a port" },
	{ "--exclude 10.0.0.1/8", -EINVAL, "did you mean 10.0.0.0/8?" },
	{ "--exclude process:", -EINVAL, "a process name has 1 to 15 letters" },
	{ "--exclude process:1234567890123456", -EINVAL, "a process name has 1 to 15 letters" },
	{ "--max-bytes 0", -EINVAL, "--max-bytes '0': not a number from 1 to 1073741824" },
	{ "--max-bytes -1", -EINVAL, "--max-bytes '-1': not a number" },
	{ "--max-bytes 1k", -EINVAL, "--max-bytes '1k': not a number" },
	{ "--max-bytes ''", -EINVAL, "--max-bytes '': not a number" },
	{ "--max-bytes 99999999999999999999", -EINVAL, "not a number" },
	{ "--max-messages 1048577", -EINVAL, "not a number from 1 to 1048576" },
	{ "--host-bytes 0", -EINVAL, "--host-bytes '0'" },
	{ "--mark 3", -EINVAL, "--mark '3': more than one bit" },
	{ "--mark 0x100000000", -EINVAL, "not a number from 1 to 4294967295" },
	{ "--router-mark 0", -EINVAL, "--router-mark '0'" },
	{ "--table 254", -EINVAL, "--table '254': the system's own" },
	{ "--table 0", -EINVAL, "--table '0': not a number" },
	{ "--max-rules 0", -EINVAL, "--max-rules '0'" },
	{ "--max-rules 010", -EINVAL, "--max-rules '010'" },
	{ "--table 020560", -EINVAL, "--table '020560'" },
	{ "--mark 0x", -EINVAL, "--mark '0x'" },
	{ "--mark +8", -EINVAL, "--mark '+8'" },
	{ "--max-flows 16777217", -EINVAL, "--max-flows '16777217'" },
	{ "--nat-flows 0", -EINVAL, "--nat-flows '0'" },
	{ "--nat-idle tcp", -EINVAL, "not KIND=SECONDS" },
	{ "--nat-idle icmp=3", -EINVAL, "no such kind of flow" },
	{ "--nat-idle tcp=0", -EINVAL, "not a number of seconds from 1 to 99999" },
};

static void wrong_words_are_named(void **unused)
{
	size_t i;
	int error;

	(void)unused;
	for (i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		messages_begin();
		load_words_free(load_words(refused[i].words, NULL, &error));
		assert_has(messages_end(), refused[i].message);
		if (refused[i].error == -1)
			assert_true(error < 0);
		else
			assert_int_equal(error, refused[i].error);
	}
}

static void what_is_attached_has_a_bound(void **unused)
{
	struct load_config *config = calloc(1, sizeof(*config));
	char *words[] = { "load", "--iface", "x*" };
	char *monitor[] = { "load", "--monitor", "lo" }, *nat[] = { "load", "--nat", "lo" };
	char *cgroup[] = { "load", "--cgroup", "/" };

	(void)unused;
	assert_non_null(config);
	messages_begin();
	config->loaded = config;
	config->n = SHUNT_ATTACHMENTS;
	assert_int_equal(load_config_parse(3, words, config), -EINVAL);
	assert_int_equal(load_config_parse(3, monitor, config), -EINVAL);
	assert_int_equal(load_config_parse(3, nat, config), -EINVAL);
	assert_int_equal(load_config_parse(3, cgroup, config), -EINVAL);
	assert_has(messages_end(), "--iface 'x*': more than 1024 attachments");
	load_words_free(config);
}

/* --- files ------------------------------------------------------------------------ */

static char file_name[] = "/tmp/shunt-unit-XXXXXX";

static int parse_file(const char *text, const char *words, struct load_config **ret)
{
	char line[256];
	int fd, error;

	strcpy(file_name + strlen(file_name) - 6, "XXXXXX");
	fd = mkstemp(file_name);
	assert_true(fd >= 0);
	dprintf(fd, "%s", text);
	close(fd);
	snprintf(line, sizeof(line), "--config %s %s", file_name, words);
	*ret = load_words(line, NULL, &error);
	unlink(file_name);
	return error;
}

static void files_add_to_the_words(void **unused)
{
	struct load_config *config;

	(void)unused;
	assert_int_equal(parse_file("iface lo\nmax-rules 9\ntcp dst 10.0.0.0/8 pass\n",
				    "--table 77", &config),
			 0);
	assert_true(config->steer);
	assert_int_equal(config->conf.max_rules, 9);
	assert_int_equal(config->conf.table, 77);
	assert_int_equal(config->file.count, 1);
	load_words_free(config);
}

static void files_need_what_their_rules_need(void **unused)
{
	static const struct {
		const char *text, *words, *message;
	} files[] = {
		{ "tcp dst 10.0.0.0/8 pass\n", "--monitor lo",
		  "has rules, but there is no --iface" },
		{ "nat tcp dst 10.0.0.1 to 10.0.0.2\n", "--monitor lo",
		  "has NAT rules, but there is no --nat and no --iface" },
		{ "iface lo\nmax-rules x\n", "", ":2: --max-rules 'x': not a number" },
		{ "iface lo\n", "--config /dev/null", "--config is given twice" },
		{ "tcp\n", "", ":1: a rule needs" },
	};
	struct load_config *config;
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(files) / sizeof(*files); i++) {
		messages_begin();
		assert_int_equal(parse_file(files[i].text, files[i].words, &config), -EINVAL);
		assert_has(messages_end(), files[i].message);
		load_words_free(config);
	}
}

static void files_have_no_more_rules_than_allowed(void **unused)
{
	static const struct {
		const char *text, *words, *message;
	} files[] = {
		{ "iface lo\nmax-rules 1\ntcp dst 10.0.0.1 pass\ntcp dst 10.0.0.2 pass\n", "",
		  ":4: no room for more than 1 rules" },
		{ "iface lo\ntcp dst 10.0.0.1 pass\ntcp dst 10.0.0.2 pass\n", "--max-rules 1",
		  ":3: no room for more than 1 rules" },
	};
	struct load_config *config;
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(files) / sizeof(*files); i++) {
		messages_begin();
		assert_int_equal(parse_file(files[i].text, files[i].words, &config), -ENOSPC);
		assert_has(messages_end(), files[i].message);
		load_words_free(config);
	}
}

/* … whether something is loaded or not. */
static void a_file_without_options_and_rules_is_nothing_to_do(void **unused)
{
	struct load_config *loaded = load_words_accepted("--iface lo"), *config;
	int error;

	(void)unused;
	messages_begin();
	load_words_free(load_words("--config /dev/null", NULL, &error));
	assert_has(messages_end(), "nothing to do");
	assert_int_equal(error, -EINVAL);
	messages_begin();
	config = load_words("--config /dev/null", loaded, &error);
	assert_has(messages_end(), "nothing to do");
	assert_int_equal(error, -EINVAL);
	load_words_free(config);
	load_words_free(loaded);
}

/* --- cgroups ------------------------------------------------------------------------ */

static void cgroups_are_admitted_as_told(void **unused)
{
	char root[240], words[1024];
	struct load_config *config;

	(void)unused;
	if (cgroup_root(root, sizeof(root)))
		skip();
	snprintf(words, sizeof(words),
		 "--cgroup %s --exclude port:80-90 --exclude 10.0.0.0/8 "
		 "--exclude process:curl",
		 root);
	config = load_words_accepted(words);
	assert_true(config->bypass && config->proven && !config->eager);
	assert_int_equal(config->attachments[0].admit, SHUNT_PROVEN);
	assert_int_equal(config->conf.excludes, 3);
	assert_int_equal(config->excludes[0].kind, EXCLUDE_PORT);
	assert_int_equal(config->excludes[0].low, 80);
	assert_int_equal(config->excludes[0].high, 90);
	assert_int_equal(config->excludes[1].kind, EXCLUDE_PREFIX);
	assert_int_equal(config->excludes[1].len, 8);
	assert_string_equal(config->excludes[2].comm, "curl");
	load_words_free(config);
	snprintf(words, sizeof(words), "--cgroup %s=eager --cgroup %s=eager --router-cgroup %s",
		 root, root, root);
	config = load_words_accepted(words);
	assert_int_equal(config->n, 1);
	assert_true(config->eager && !config->proven);
	assert_int_equal(config->attachments[0].admit, SHUNT_EAGER);
	assert_string_equal(config->router, root);
	assert_int_equal(config->conf.router_cgroup, cgroup_id(root));
	load_words_free(config);
	snprintf(words, sizeof(words), "--cgroup %s=eager --exclude process:curl", root);
	messages_begin();
	int error;
	load_words_free(load_words(words, NULL, &error));
	assert_has(messages_end(), "'process:curl': is for 'proven'");
	assert_int_equal(error, -EINVAL);
	snprintf(words, sizeof(words), "--cgroup %s=eager --cgroup %s", root, root);
	messages_begin();
	load_words_free(load_words(words, NULL, &error));
	assert_has(messages_end(), "is given as 'eager' and as 'proven'");
	assert_int_equal(error, -EINVAL);
}

static void there_are_at_most_64_excludes(void **unused)
{
	struct load_config *config;
	FILE *out = output_begin();
	int i;

	(void)unused;
	for (i = 0; i <= SHUNT_EXCLUDES; i++)
		fprintf(out, "exclude port:%d\n", i + 1);
	messages_begin();
	assert_int_equal(parse_file(output_end(), "", &config), -EINVAL);
	assert_has(messages_end(), ":65: --exclude 'port:65': more than 64");
	load_words_free(config);
}

static bool in_file(const char *name)
{
	const struct load_option *option = load_option_find(name);

	return option && load_option_in_file(option);
}

static void options_are_known(void **unused)
{
	(void)unused;
	assert_true(in_file("--iface"));
	assert_true(in_file("--nat-idle"));
	assert_false(in_file("--config"));
	assert_false(in_file("--force"));
	assert_false(in_file("iface"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interfaces_are_loaded_once),
		cmocka_unit_test(patterns_name_interfaces),
		cmocka_unit_test(the_monitor_is_attached_last),
		cmocka_unit_test(limits_are_read),
		cmocka_unit_test(wrong_words_are_named),
		cmocka_unit_test(what_is_attached_has_a_bound),
		cmocka_unit_test(files_add_to_the_words),
		cmocka_unit_test(files_need_what_their_rules_need),
		cmocka_unit_test(files_have_no_more_rules_than_allowed),
		cmocka_unit_test(a_file_without_options_and_rules_is_nothing_to_do),
		cmocka_unit_test(cgroups_are_admitted_as_told),
		cmocka_unit_test(there_are_at_most_64_excludes),
		cmocka_unit_test(options_are_known),
	};

	return cmocka_run_group_tests_name("load_config", tests, NULL, NULL);
}
