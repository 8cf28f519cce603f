// SPDX-License-Identifier: GPL-2.0-only
/* shunt save: prints options and rules as a file. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/pins.h"
#include "cmd/command.h"
#include "cmd/settings.h"
#include "util/file_words.h"
#include "config/load_config.h"
#include "config/options.h"
#include "nat/nat_rule.h"
#include "nat/nat_store.h"
#include "rules/rule_copy.h"
#include "rules/rule_store.h"
#include "util/cleanup.h"
#include "util/log.h"

static int save_help(void)
{
	puts("usage: shunt save [rules]\n\n"
	     "Prints what is loaded as 'shunt apply' and 'shunt load --config' read it: the options\n"
	     "that differ from the defaults, and the rules; or the rules alone.");
	return 0;
}

/* What is printed. */
struct saved {
	struct load_config *now, *defaults;
	struct rule_copy *rules;
	__u32 count;
	const struct shunt_nat_rule **nat;
	unsigned int nats;
};

static void saved_free(struct saved *s)
{
	free(s->now);
	free(s->defaults);
	free(s->rules);
	free(s->nat);
}

static int copy_rules(struct saved *s)
{
	_cleanup_free_ const struct shunt_rule **all = NULL;
	__u32 count = 0;
	int error = rules_sorted(&all, &count);

	return error ? error : rules_copy(all, count, &s->rules, &s->count);
}

static int read_rules(struct saved *s)
{
	int error = rules_open();

	return error ? error : copy_rules(s);
}

static int read_nat_rules(struct saved *s)
{
	int error = nat_store_open();

	return error ? error : nat_store_list(&s->nat, &s->nats);
}

static int read_options(struct saved *s, bool loaded[HALVES])
{
	int error;

	s->now = calloc(1, sizeof(*s->now));
	s->defaults = calloc(1, sizeof(*s->defaults));
	if (!s->now || !s->defaults)
		return fail(-ENOMEM, "save");
	error = load_config_defaults(s->defaults);
	if (error)
		return error;
	*s->now = *s->defaults;
	error = settings_read(s->now, loaded);
	if (error < 0)
		return error;
	return error ? 0 : report_not_loaded();
}

static void print_options(const struct saved *s)
{
	char word[FILE_WORD(OPTION_TEXT)];
	struct option_value v = {};

	while (load_options_next(s->now, s->defaults, &v)) {
		file_word_encode(v.text, word);
		printf("%s %s\n", load_option_name(v.option) + 2, word);
	}
	if (s->now->conf.router_cgroup && !*s->now->router)
		puts("# the cgroup of --router-cgroup is gone");
}

static void print_rules(const struct saved *s)
{
	char text[RULE_TEXT], nat_text[NAT_TEXT];
	__u32 i;

	for (i = 0; i < s->count; i++) {
		rule_format(&s->rules[i].rule, text, sizeof(text));
		puts(text);
	}
	for (i = 0; i < s->nats; i++) {
		nat_rule_format(s->nat[i], nat_text);
		printf("nat %s\n", nat_text);
	}
}

static int save(struct saved *s, bool options)
{
	bool loaded[HALVES] = {};
	int error = read_options(s, loaded);

	if (error)
		return error;
	error = loaded[HALF_STEER] ? read_rules(s) : 0;
	if (error)
		return error;
	error = loaded[HALF_NAT] ? read_nat_rules(s) : 0;
	if (error)
		return error;
	printf("# shunt %s: %u rules\n", SHUNT_VERSION, s->count + s->nats);
	if (options)
		print_options(s);
	print_rules(s);
	return 0;
}

int cmd_save(int argc, char **argv)
{
	_cleanup_(saved_free) struct saved s = {};
	_cleanup_lock_ int lock = -1;

	if (argc > 1 && !strcmp(argv[1], "help"))
		return save_help();
	if (argc > 1 && strcmp(argv[1], "rules"))
		return refuse("save: unknown word '%s'; see 'shunt save help'", argv[1]);
	if (argc > 2)
		return refuse("save: '%s' is one word too many", argv[2]);
	lock = pins_lock(false);
	if (lock < 0)
		return lock == -ENOENT ? report_not_loaded() : lock;
	return save(&s, argc == 1);
}
