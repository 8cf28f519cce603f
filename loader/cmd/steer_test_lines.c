// SPDX-License-Identifier: GPL-2.0-only
/* shunt steer test -: many tests on standard input, one a line. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/pins.h"
#include "cmd/probe_ask.h"
#include "cmd/probe_words.h"
#include "cmd/steer.h"
#include "rules/rule_store.h"
#include "util/cleanup.h"
#include "util/log.h"

#define TEST_WORDS 16

/* Writes the rule that the packet of this line meets, or "-" if no rule matches. */
static int answer_line(char *line, char text[RULE_TEXT])
{
	char *words[TEST_WORDS], *rest = line, *w;
	const struct shunt_rule *hit;
	struct probe f = {};
	__u32 index = 0;
	int count, error;

	for (count = 0; count < TEST_WORDS; count++) {
		w = strtok_r(rest, " \t\r\n", &rest);
		if (!w)
			break;
		words[count] = w;
	}
	error = probe_parse(count, words, TEST_SPORT, &f);
	if (error)
		return error;
	error = probe_ask(&f, ASK_RULE, &index);
	if (error)
		return error;
	hit = rules_at(index);
	if (hit)
		rule_format(hit, text, RULE_TEXT);
	else
		strcpy(text, "-");
	return 0;
}

/* What was read from standard input and not answered yet. The lines that are complete are answered
 * at once: a program that waits for an answer before it sends the next line gets that answer. The
 * lock is not held while reading. */
struct input {
	char *text;
	size_t len;
	size_t size;
	bool ended;
};

static void free_input(struct input *in)
{
	free(in->text);
}

#define INPUT_STEP 65536

static int read_more(struct input *in)
{
	char *larger;
	ssize_t n;

	if (in->size - in->len < INPUT_STEP) {
		larger = realloc(in->text, in->len + INPUT_STEP + 1);
		if (!larger)
			return fail(-ENOMEM, "stdin");
		in->text = larger;
		in->size = in->len + INPUT_STEP;
	}
	n = read(STDIN_FILENO, in->text + in->len, in->size - in->len);
	if (n < 0)
		return errno == EINTR ? 0 : fail(-errno, "stdin");
	in->ended = !n;
	in->len += n;
	in->text[in->len] = '\0';
	return 0;
}

/* Answers the complete lines and writes the answers to out. */
static int answer_lines(struct input *in, unsigned int *number, FILE *out)
{
	_cleanup_lock_ int lock = rules_lock();
	char *line = in->text, *end, text[RULE_TEXT];
	int error = 0;

	if (lock < 0)
		return lock;
	while (*line && ((end = strchr(line, '\n')) || in->ended)) {
		if (end)
			*end++ = '\0';
		else
			end = line + strlen(line);
		log_set_file_position("stdin", ++*number);
		error = answer_line(line, text);
		if (error)
			break;
		fprintf(out, "%s\n", text);
		line = end;
	}
	log_set_file_position(NULL, 0);
	in->len -= line - in->text;
	memmove(in->text, line, in->len + 1);
	rules_close();
	return error;
}

static bool has_line(const struct input *in)
{
	return in->len && (in->ended || strchr(in->text, '\n'));
}

int steer_test_lines(void)
{
	_cleanup_(free_input) struct input in = {};
	unsigned int number = 0;
	int error = 0;

	while (!error && !in.ended) {
		_cleanup_free_ char *answers = NULL;
		size_t size = 0;
		FILE *out;

		error = read_more(&in);
		if (error || !has_line(&in))
			continue;
		out = open_memstream(&answers, &size);
		if (!out)
			return fail(-errno, "the answers");
		error = answer_lines(&in, &number, out);
		if (fclose(out) && !error)
			error = fail(-errno, "the answers");
		if (size)
			fwrite(answers, 1, size, stdout);
		fflush(stdout);
	}
	return error;
}
