// SPDX-License-Identifier: GPL-2.0-only
#include "flows/filter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "rules/rule.h"
#include "util/address.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/parse.h"

#define CONDITIONS 64
#define WORDS (4 * CONDITIONS)
#define DEPTH 32

enum kind {
	AND, /* of the last two results */
	OR,
	NOT,
	COND_FAMILY,
	COND_PROTO,
	COND_DIRECTION,
	COND_LABEL,
	COND_IFACE,
	COND_PREFIX,
	COND_PORT,
};

#define SRC 1
#define DST 2

struct condition {
	enum kind kind;
	unsigned int sides;  /* SRC, DST: one of them must match */
	unsigned int number; /* family, protocol, direction, label */
	__u8 family;         /* prefix */
	__u8 len;
	__u8 addr[16];
	__u16 low; /* port */
	__u16 high;
	char iface[SHUNT_IFNAME];
};

/* In the order of evaluation: an operator follows its operands. */
struct filter {
	unsigned int n;
	struct condition conditions[2 * CONDITIONS];
};

/* Conditions of one word. */
static const struct name {
	const char *word;
	enum kind kind;
	unsigned int number;
} names[] = {
	{ "tcp", COND_PROTO, IPPROTO_TCP },       { "udp", COND_PROTO, IPPROTO_UDP },
	{ "icmp", COND_PROTO, IPPROTO_ICMP },     { "icmp6", COND_PROTO, IPPROTO_ICMPV6 },
	{ "ip", COND_FAMILY, AF_INET },           { "ip6", COND_FAMILY, AF_INET6 },
	{ "in", COND_DIRECTION, SHUNT_IN },       { "out", COND_DIRECTION, SHUNT_OUT },
	{ "steered", COND_LABEL, LABEL_STEERED }, { "bypassed", COND_LABEL, LABEL_BYPASSED },
	{ "nat", COND_LABEL, LABEL_NAT },         { NULL, 0, 0 },
};

struct parser {
	char *text;
	char *words[WORDS + 1]; /* NULL ends them */
	unsigned int at;
	unsigned int depth;
	struct filter *filter;
};

static const char *peek(const struct parser *p)
{
	return p->words[p->at];
}

static bool next_is(struct parser *p, const char *word)
{
	if (!peek(p) || strcmp(peek(p), word))
		return false;
	p->at++;
	return true;
}

static int emit(struct parser *p, const struct condition *condition)
{
	if (p->filter->n == 2 * CONDITIONS)
		return refuse("filter: more than %d conditions", CONDITIONS);
	p->filter->conditions[p->filter->n++] = *condition;
	return 0;
}

static int emit_kind(struct parser *p, enum kind kind)
{
	const struct condition condition = { .kind = kind };

	return emit(p, &condition);
}

static int take_value(struct parser *p, const char *after, const char **ret)
{
	*ret = peek(p);
	if (!*ret || !strcmp(*ret, ")"))
		return refuse("filter: '%s': a value is missing", after);
	p->at++;
	return 0;
}

static int parse_prefix_of(const char *what, const char *word, struct condition *c)
{
	bool slash = strchr(word, '/');

	c->kind = COND_PREFIX;
	if (!strcmp(what, "host") && slash)
		return refuse("filter: host '%s': not a single address; say 'net'", word);
	if (!strcmp(what, "net") && !slash)
		return refuse("filter: net '%s': a prefix length is missing", word);
	return parse_prefix(word, &c->family, c->addr, &c->len);
}

/* Parses the value of host, net or port. */
static int parse_host_net_port(struct parser *p, const char *what, unsigned int sides)
{
	struct condition c = { .sides = sides };
	const char *word;
	int error;

	error = take_value(p, what, &word);
	if (error)
		return error;
	if (!strcmp(what, "port")) {
		c.kind = COND_PORT;
		error = parse_range(word, &c.low, &c.high);
	} else {
		error = parse_prefix_of(what, word, &c);
	}
	return error ? error : emit(p, &c);
}

static bool is_host_net_port(const char *word)
{
	return word && (!strcmp(word, "host") || !strcmp(word, "net") || !strcmp(word, "port"));
}

static int parse_side(struct parser *p, const char *side)
{
	const char *what = peek(p);

	if (!is_host_net_port(what))
		return refuse("filter: '%s': 'host', 'net' or 'port' must follow, not '%s'", side,
			      what ? what : "");
	p->at++;
	return parse_host_net_port(p, what, !strcmp(side, "src") ? SRC : DST);
}

static int parse_proto(struct parser *p)
{
	struct condition c = { .kind = COND_PROTO };
	const char *word;
	int error = take_value(p, "proto", &word);

	if (error)
		return error;
	if (!parse_number(word, 255, &c.number))
		return refuse("filter: proto '%s': not a number from 0 to 255", word);
	return emit(p, &c);
}

static int parse_iface(struct parser *p)
{
	struct condition c = { .kind = COND_IFACE };
	const char *word;
	int error = take_value(p, "iface", &word);

	if (error)
		return error;
	if (strlen(word) >= sizeof(c.iface))
		return refuse("filter: iface '%s': too long a name", word);
	if (!if_nametoindex(word))
		warn("filter: no interface '%s' now", word);
	strcpy(c.iface, word);
	return emit(p, &c);
}

static int parse_condition(struct parser *p)
{
	const char *word = peek(p);
	const struct name *name;

	if (!word)
		return refuse("filter: it ends where a condition must follow");
	p->at++;
	for (name = names; name->word; name++) {
		const struct condition c = { .kind = name->kind, .number = name->number };

		if (!strcmp(word, name->word))
			return emit(p, &c);
	}
	if (is_host_net_port(word))
		return parse_host_net_port(p, word, SRC | DST);
	if (!strcmp(word, "src") || !strcmp(word, "dst"))
		return parse_side(p, word);
	if (!strcmp(word, "proto"))
		return parse_proto(p);
	if (!strcmp(word, "iface"))
		return parse_iface(p);
	return refuse("filter: unknown word '%s'; see 'shunt monitor help'", word);
}

static int parse_or(struct parser *p);

static int parse_factor(struct parser *p);

static int parse_negated(struct parser *p)
{
	int error = parse_factor(p);

	return error ? error : emit_kind(p, NOT);
}

static int parse_in_brackets(struct parser *p)
{
	int error = parse_or(p);

	if (error)
		return error;
	if (next_is(p, ")"))
		return 0;
	return refuse("filter: a ')' is missing%s%s%s", peek(p) ? " before '" : "",
		      peek(p) ? peek(p) : "", peek(p) ? "'" : "");
}

static int parse_factor(struct parser *p)
{
	int error;

	if (p->depth == DEPTH)
		return refuse("filter: nested deeper than %d", DEPTH);
	p->depth++;
	if (next_is(p, "not"))
		error = parse_negated(p);
	else if (next_is(p, "("))
		error = parse_in_brackets(p);
	else
		error = parse_condition(p);
	p->depth--;
	return error;
}

/* Parses another factor of a term. */
static int parse_next_factor(struct parser *p)
{
	int error;

	next_is(p, "and"); /* may be left out */
	error = parse_factor(p);
	return error ? error : emit_kind(p, AND);
}

static int parse_and(struct parser *p)
{
	int error = parse_factor(p);

	while (!error && peek(p) && strcmp(peek(p), "or") && strcmp(peek(p), ")"))
		error = parse_next_factor(p);
	return error;
}

/* Parses another term of a filter. */
static int parse_next_term(struct parser *p)
{
	int error = parse_and(p);

	return error ? error : emit_kind(p, OR);
}

static int parse_or(struct parser *p)
{
	int error = parse_and(p);

	while (!error && next_is(p, "or"))
		error = parse_next_term(p);
	return error;
}

/* Splits the text at blanks. Brackets and '!' are words of their own. */
static int split(struct parser *p, const char *text)
{
	static char brackets[][2] = { "(", ")" };
	static char not [] = "not";
	unsigned int n = 0;
	char *s;

	p->text = strdup(text);
	if (!p->text)
		return fail(-ENOMEM, "filter");
	for (s = p->text; *s;) {
		char c = *s;

		if (strchr(" \t\n", c)) {
			*s++ = '\0';
			continue;
		}
		if (n == WORDS)
			return refuse("filter: more than %d words", WORDS);
		if (strchr("()!", c)) {
			p->words[n++] = c == '!' ? not : brackets[c == ')'];
			*s++ = '\0';
			continue;
		}
		p->words[n++] = s;
		s += strcspn(s, " \t\n()!");
	}
	return 0;
}

static int parse_all(struct parser *p, const char *text)
{
	int error = split(p, text);

	if (error || !peek(p))
		return error;
	error = parse_or(p);
	if (error || !peek(p))
		return error;
	return refuse("filter: '%s' has no '(' before it", peek(p));
}

int filter_parse(const char *text, struct filter **ret)
{
	_cleanup_free_ struct parser *p = calloc(1, sizeof(*p));
	_cleanup_free_ struct filter *filter = calloc(1, sizeof(*filter));
	int error;

	if (!p || !filter)
		return fail(-ENOMEM, "filter");
	p->filter = filter;
	error = parse_all(p, text);
	free(p->text);
	if (error)
		return error;
	*ret = filter;
	filter = NULL;
	return 0;
}

static bool inside(const struct condition *c, const struct shunt_flow_counter *counter,
		   const __u8 addr[16])
{
	__u8 masked[16];

	if (c->family != counter->family)
		return false;
	memcpy(masked, addr, sizeof(masked));
	mask_address(masked, c->len);
	return !memcmp(masked, c->addr, sizeof(masked));
}

static bool has_ports(const struct shunt_flow_counter *counter)
{
	return counter->family && counter->sport;
}

static bool between(const struct condition *c, __u16 port)
{
	return port >= c->low && port <= c->high;
}

static bool passes(const struct condition *c, const struct flow *f)
{
	const struct shunt_flow_counter *counter = &f->counter;

	switch (c->kind) {
	case COND_FAMILY:
		return counter->family == c->number;
	case COND_PROTO:
		return counter->family && counter->proto == c->number;
	case COND_DIRECTION:
		return counter->direction == c->number;
	case COND_LABEL:
		return f->labels & c->number;
	case COND_IFACE:
		return !strcmp(f->iface, c->iface);
	case COND_PREFIX:
		return (c->sides & SRC && inside(c, counter, counter->src)) ||
		       (c->sides & DST && inside(c, counter, counter->dst));
	case COND_PORT:
		return has_ports(counter) && ((c->sides & SRC && between(c, counter->sport)) ||
					      (c->sides & DST && between(c, counter->dport)));
	default:
		return false;
	}
}

bool filter_matches(const struct filter *filter, const struct flow *flow)
{
	bool stack[2 * CONDITIONS + 1] = { true };
	const struct condition *c;
	unsigned int top = 0;

	for (c = filter->conditions; c < filter->conditions + filter->n; c++) {
		if (c->kind == NOT) {
			stack[top] = !stack[top];
		} else if (top && (c->kind == AND || c->kind == OR)) {
			top--;
			stack[top] = c->kind == AND ? stack[top] && stack[top + 1]
						    : stack[top] || stack[top + 1];
		} else {
			stack[++top] = passes(c, flow);
		}
	}
	return stack[top];
}
