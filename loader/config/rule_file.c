// SPDX-License-Identifier: GPL-2.0-only
#include "config/rule_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/file_words.h"
#include "config/options.h"
#include "nat/nat_rule.h"
#include "rules/rule.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/log.h"

#define BLANK " \t\r\n\v\f"

int rule_file_split(char *line, char *word[RULE_FILE_WORDS])
{
	char *rest = line, *w;
	int count = 0;

	while ((w = strtok_r(rest, BLANK, &rest)) && *w != '#') {
		if (count == RULE_FILE_WORDS)
			return refuse("'%s': more than %d words", w, RULE_FILE_WORDS);
		word[count++] = w;
	}
	return count;
}

/* Makes room in an array of count members for one more of size bytes. The room doubles each time. */
static int make_room(void *array, __u32 count, size_t size)
{
	void **at = array, *larger;

	if (count & (count - 1))
		return 0;
	larger = realloc(*at, (count ? 2 * count : 1) * size);
	if (!larger)
		return fail(-ENOMEM, "a rule file");
	*at = larger;
	return 0;
}

/* gcc -fanalyzer does not see that rule_file_free() frees the copy. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"

static int add_option(struct rule_file *f, const char *text)
{
	int error = make_room(&f->option, f->options, sizeof(*f->option));
	char *copy;

	if (error)
		return error;
	copy = strdup(text);
	if (!copy)
		return fail(-ENOMEM, "a rule file");
	f->option[f->options++] = copy;
	return 0;
}

#pragma GCC diagnostic pop

static int read_option(struct rule_file *f, unsigned int number, int count, char **word)
{
	char option[32];
	int error;

	if (count == 1)
		return refuse("'%s': a value is missing", word[0]);
	if (count > 2)
		return refuse("'%s' is one word too many", word[2]);
	error = make_room(&f->option_line, f->options / 2, sizeof(*f->option_line));
	if (error)
		return error;
	f->option_line[f->options / 2] = number;
	snprintf(option, sizeof(option), "--%s", word[0]);
	error = add_option(f, option);
	if (error)
		return error;
	file_word_decode(word[1]);
	return add_option(f, word[1]);
}

static int add_line(struct rule_line **lines, __u32 *count, const struct rule_line *l)
{
	int error = make_room(lines, *count, sizeof(**lines));

	if (error)
		return error;
	(*lines)[(*count)++] = *l;
	return 0;
}

static int read_rule(struct rule_file *f, unsigned int number, int count, char **word)
{
	struct rule_line l = { .number = number };
	int error = rule_parse(count, word, &l.rule);

	if (error)
		return error;
	return l.rule.shadowed ? add_line(&f->shadow, &f->shadows, &l)
			       : add_line(&f->line, &f->count, &l);
}

static int read_nat(struct rule_file *f, unsigned int number, int count, char **word)
{
	struct shunt_nat_rule r;
	int error = nat_rule_parse(count, word, false, &r);

	if (error)
		return error;
	error = make_room(&f->nat, f->nats, sizeof(*f->nat));
	if (error)
		return error;
	error = make_room(&f->nat_line, f->nats, sizeof(*f->nat_line));
	if (error)
		return error;
	f->nat[f->nats] = r;
	f->nat_line[f->nats++] = number;
	return 0;
}

static int read_line(struct rule_file *f, unsigned int number, char *line, size_t len)
{
	const struct load_option *known;
	char *word[RULE_FILE_WORDS], option[32];
	int count;

	if (strlen(line) != len)
		return refuse("'%s': a zero byte follows", line);
	count = rule_file_split(line, word);
	if (count <= 0)
		return count;
	if (!strcmp(word[0], "nat") && count > 2) /* with two words it is the option --nat */
		return read_nat(f, number, count - 1, word + 1);
	snprintf(option, sizeof(option), "--%s", word[0]);
	known = load_option_find(option);
	if (known && load_option_in_file(known))
		return read_option(f, number, count, word);
	if (strcmp(word[0], "tcp") && strcmp(word[0], "udp"))
		return refuse("'%s': neither an option of 'shunt load' nor a rule, which begins with "
			      "tcp or udp",
			      word[0]);
	return read_rule(f, number, count, word);
}

/* Reads a line and returns its length, -ENODATA at the end of the file, or -errno. If the rest of a
 * line can't be read, that is an error, although getline() returns the first bytes. */
static ssize_t next_line(char **line, size_t *size, FILE *in)
{
	ssize_t len;

	errno = 0;
	len = getline(line, size, in);
	if (ferror(in) || (len < 0 && !feof(in)))
		return errno ? -errno : -EIO;
	return len < 0 ? -ENODATA : len;
}

static int read_lines(FILE *in, struct rule_file *f)
{
	_cleanup_free_ char *line = NULL;
	unsigned int number = 0;
	size_t size = 0;
	ssize_t len;
	int error, first = 0;

	while ((len = next_line(&line, &size, in)) >= 0) {
		log_set_file_position(f->name, ++number);
		error = read_line(f, number, line, len);
		log_set_file_position(NULL, 0);
		first = first ? first : error;
		if (error && !f->all_errors)
			return error;
	}
	return len == -ENODATA ? first : fail((int)len, "'%s'", f->name);
}

/* Sorts lines by what their rules match, then by number. */
static int by_match(const void *a, const void *b)
{
	const struct rule_line *const *x = a, *const *y = b;

	return rule_order(&(*x)->rule, &(*y)->rule)
		       ?: ((*x)->number < (*y)->number ? -1 : (*x)->number > (*y)->number);
}

static int refuse_double(const struct rule_file *f, const char *text, unsigned int first,
			 unsigned int second)
{
	log_set_file_position(f->name, second);
	refuse("'%s': line %u has a rule for the same packets", text, first);
	log_set_file_position(NULL, 0);
	return -EINVAL;
}

/* Returns the index of the rule in force for the same packets, or f->count. order[] has all rules in
 * force, sorted by by_match(). */
static __u32 find_in_force(const struct rule_file *f, const struct rule_line **order,
			   const struct shunt_rule *r)
{
	__u32 low = 0, high = f->count, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (rule_order(&order[mid]->rule, r) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < f->count && rule_same_match(&order[low]->rule, r) ? low : f->count;
}

/* Checks one shadowed rule and counts it in shadows[]. */
static int check_shadow(const struct rule_file *f, const struct rule_line *line, __u32 in_force,
			__u32 *shadows)
{
	char text[RULE_TEXT];
	int error = 0;

	rule_format(&line->rule, text, sizeof(text));
	log_set_file_position(f->name, line->number);
	if (in_force == f->count)
		error = refuse("'%s': no line has the rule for the same packets that shadows this one",
			       text);
	else if (++shadows[in_force] > SHUNT_SHADOWS)
		error = refuse("'%s': no room for more than %d shadowed rules for the same packets",
			       text, SHUNT_SHADOWS);
	log_set_file_position(NULL, 0);
	return error;
}

/* Checks that each shadowed rule has a rule that shadows it, and that these are not too many. order[] has
 * all other rules, sorted by by_match(). */
static int check_shadows(const struct rule_file *f, const struct rule_line **order)
{
	_cleanup_free_ __u32 *shadows = calloc(f->count + 1, sizeof(*shadows));
	int error, first = 0;
	__u32 i;

	if (!shadows)
		return fail(-ENOMEM, "a rule file");
	for (i = 0; i < f->shadows && (!first || f->all_errors); i++) {
		error = check_shadow(f, &f->shadow[i], find_in_force(f, order, &f->shadow[i].rule),
				     shadows);
		first = first ? first : error;
	}
	return first;
}

static int check_doubles(const struct rule_file *f)
{
	_cleanup_free_ const struct rule_line **order = calloc(f->count + 1, sizeof(*order));
	char text[RULE_TEXT];
	__u32 i;
	int error, first = 0;

	if (!order)
		return fail(-ENOMEM, "a rule file");
	for (i = 0; i < f->count; i++)
		order[i] = &f->line[i];
	sort_array(order, f->count, sizeof(*order), by_match);
	for (i = 1; i < f->count && (!first || f->all_errors); i++) {
		if (!rule_same_match(&order[i - 1]->rule, &order[i]->rule))
			continue;
		rule_format(&order[i]->rule, text, sizeof(text));
		first = refuse_double(f, text, order[i - 1]->number, order[i]->number);
	}
	if (first && !f->all_errors)
		return first;
	error = check_shadows(f, order);
	return first ? first : error;
}

/* Sorts NAT rules by what they match, then by line, which is their order in the array. */
static int by_nat_match(const void *a, const void *b)
{
	const struct shunt_nat_rule *x = *(const struct shunt_nat_rule *const *)a,
				    *y = *(const struct shunt_nat_rule *const *)b;

	return nat_rule_compare(x, y) ?: (x < y ? -1 : x > y);
}

static int check_nat_doubles(const struct rule_file *f)
{
	_cleanup_free_ const struct shunt_nat_rule **order = calloc(f->nats + 1, sizeof(*order));
	char text[NAT_TEXT];
	__u32 i;
	int first = 0;

	if (!order)
		return fail(-ENOMEM, "a rule file");
	for (i = 0; i < f->nats; i++)
		order[i] = &f->nat[i];
	sort_array(order, f->nats, sizeof(*order), by_nat_match);
	for (i = 1; i < f->nats && (!first || f->all_errors); i++) {
		if (!nat_rule_same_match(order[i - 1], order[i]))
			continue;
		nat_rule_format(order[i], text);
		first = refuse_double(f, text, f->nat_line[order[i - 1] - f->nat],
				      f->nat_line[order[i] - f->nat]);
	}
	return first;
}

/* Sets f->rule, when f->line does not move any more. */
static int list_rules(struct rule_file *f)
{
	__u32 i;

	free(f->rule);
	f->rule = calloc(f->count + 1, sizeof(*f->rule));
	if (!f->rule)
		return fail(-ENOMEM, "a rule file");
	for (i = 0; i < f->count; i++)
		f->rule[i] = &f->line[i].rule;
	return 0;
}

int rule_file_add(struct rule_file *f, const struct shunt_rule *r)
{
	const struct rule_line l = { .rule = *r };
	int error = r->shadowed ? add_line(&f->shadow, &f->shadows, &l)
				: add_line(&f->line, &f->count, &l);

	return error || r->shadowed ? error : list_rules(f);
}

static int open_and_read(const char *name, struct rule_file *f)
{
	FILE *in;
	int error;

	if (!strcmp(name, "-")) {
		f->name = "stdin";
		return read_lines(stdin, f);
	}
	f->name = name;
	in = fopen(name, "re");
	if (!in)
		return fail(-errno, "'%s'", name);
	error = read_lines(in, f);
	fclose(in);
	return error;
}

/* Reads the file into *f, which holds what was read after an error, too. */
static int read_and_check(const char *name, struct rule_file *f)
{
	int error, first = open_and_read(name, f);

	if (first && !f->all_errors)
		return first;
	error = check_doubles(f);
	first = first ? first : error;
	if (first && !f->all_errors)
		return first;
	error = check_nat_doubles(f);
	first = first ? first : error;
	if (first && !f->all_errors)
		return first;
	error = list_rules(f);
	return first ? first : error;
}

int rule_file_read(const char *name, struct rule_file *ret)
{
	struct rule_file f = {};
	int error = read_and_check(name, &f);

	if (error) {
		rule_file_free(&f);
		return error;
	}
	*ret = f;
	return 0;
}

int rule_file_check(const char *name, struct rule_file *ret)
{
	*ret = (struct rule_file){ .all_errors = true };
	return read_and_check(name, ret);
}

bool rule_file_attaches(const struct rule_file *f)
{
	int i;

	for (i = 0; i < f->options; i += 2)
		if (load_option_attaches(load_option_find(f->option[i])))
			return true;
	return false;
}

unsigned int rule_file_line_of(const struct rule_file *f, const char *option)
{
	int i;

	for (i = f->options - 2; i >= 0; i -= 2)
		if (!strcmp(f->option[i], option))
			return f->option_line[i / 2];
	return 0;
}

bool rule_file_is_local(const struct rule_file *f)
{
	__u32 i;

	for (i = 0; i < f->count; i++)
		if (rule_is_local(&f->line[i].rule))
			return true;
	return false;
}

void rule_file_free(struct rule_file *f)
{
	while (f->options)
		free(f->option[--f->options]);
	free(f->option);
	free(f->option_line);
	free(f->line);
	free(f->shadow);
	free(f->rule);
	free(f->nat);
	free(f->nat_line);
	*f = (struct rule_file){};
}
