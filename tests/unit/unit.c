// SPDX-License-Identifier: GPL-2.0-only
#include "unit.h"

#include "util/options.h"

struct options opt = { .pin_dir = "/nonexistent" };

void words_split(const char *text, struct words *ret)
{
	char *rest, *word;

	*ret = (struct words){ .text = strdup(text) };
	assert_non_null(ret->text);
	rest = ret->text;
	while ((word = strtok_r(rest, " ", &rest))) {
		assert_true(ret->argc < MAX_WORDS);
		ret->argv[ret->argc++] = strcmp(word, "''") ? word : word + 2;
	}
}

void words_free(struct words *w)
{
	free(w->text);
	*w = (struct words){};
}

struct capture {
	FILE *file;
	char *text;
	size_t size;
};

static struct capture messages, output;
static FILE *true_stderr;

static FILE *capture_begin(struct capture *c)
{
	free(c->text);
	c->text = NULL;
	c->file = open_memstream(&c->text, &c->size);
	assert_non_null(c->file);
	return c->file;
}

static const char *capture_end(struct capture *c)
{
	assert_non_null(c->file);
	fclose(c->file);
	c->file = NULL;
	return c->text;
}

static void free_captures(void)
{
	free(messages.text);
	free(output.text);
}

void messages_begin(void)
{
	if (!true_stderr)
		atexit(free_captures);
	true_stderr = stderr;
	stderr = capture_begin(&messages);
}

const char *messages_end(void)
{
	stderr = true_stderr;
	return capture_end(&messages);
}

FILE *output_begin(void)
{
	return capture_begin(&output);
}

const char *output_end(void)
{
	return capture_end(&output);
}

void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' is not in '%s'", part, text);
}

/* --- JSON --------------------------------------------------------------------- */

static const char *skip_blanks(const char *s)
{
	return s + strspn(s, " \t\r\n");
}

/* Each of these returns where the value ends, NULL if it is not valid. */
static const char *json_value(const char *s);

static const char *json_quoted(const char *s)
{
	if (*s++ != '"')
		return NULL;
	for (; *s != '"'; s++) {
		if ((unsigned char)*s < 0x20)
			return NULL;
		if (*s != '\\')
			continue;
		s++;
		if (*s == 'u' && strspn(s + 1, "0123456789abcdefABCDEF") >= 4)
			s += 4;
		else if (!*s || !strchr("\"\\/bfnrt", *s))
			return NULL;
	}
	return s + 1;
}

static const char *json_members(const char *s, bool named, char end)
{
	s = skip_blanks(s + 1);
	if (*s == end)
		return s + 1;
	while (true) {
		if (named) {
			s = json_quoted(skip_blanks(s));
			s = s ? skip_blanks(s) : NULL;
			if (!s || *s++ != ':')
				return NULL;
		}
		s = json_value(s);
		if (!s)
			return NULL;
		s = skip_blanks(s);
		if (*s == end)
			return s + 1;
		if (*s++ != ',')
			return NULL;
	}
}

static const char *json_value(const char *s)
{
	static const char *const literals[] = { "true", "false", "null", NULL };
	const char *const *l;
	char *end;

	s = skip_blanks(s);
	if (*s == '{')
		return json_members(s, true, '}');
	if (*s == '[')
		return json_members(s, false, ']');
	if (*s == '"')
		return json_quoted(s);
	for (l = literals; *l; l++)
		if (!strncmp(s, *l, strlen(*l)))
			return s + strlen(*l);
	if (!strchr("-0123456789", *s))
		return NULL;
	strtod(s, &end);
	return end == s ? NULL : end;
}

bool json_valid(const char *text)
{
	const char *end = json_value(text);

	return end && !*skip_blanks(end);
}

/* --- random numbers ------------------------------------------------------------ */

static uint64_t state;

void random_seed(uint64_t seed)
{
	state = seed;
}

unsigned int random_below(unsigned int n)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (state >> 33) % n;
}

unsigned int shrink(unsigned int *member, unsigned int count,
		    bool (*fails)(const unsigned int *member, unsigned int count, void *data),
		    void *data)
{
	unsigned int *fewer = malloc((count + 1) * sizeof(*fewer));
	unsigned int at, len;

	assert_non_null(fewer);
	for (len = count ? (count + 1) / 2 : 0; len;) {
		bool less = false;

		for (at = 0; at + len <= count;) {
			memcpy(fewer, member, at * sizeof(*fewer));
			memcpy(fewer + at, member + at + len, (count - at - len) * sizeof(*fewer));
			if (fails(fewer, count - len, data)) {
				count -= len;
				memcpy(member, fewer, count * sizeof(*fewer));
				less = true;
			} else {
				at++;
			}
		}
		if (!less || len > count)
			len /= 2;
	}
	free(fewer);
	return count;
}
