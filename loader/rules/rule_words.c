// SPDX-License-Identifier: GPL-2.0-only
/* Reads the words of a rule. */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "rules/rule.h"
#include "util/address.h"
#include "util/file_words.h"
#include "util/log.h"
#include "util/parse.h"

/* The keywords of a rule: index of keywords[]. */
enum word {
	WORD_DST,
	WORD_DPORT,
	WORD_SRC,
	WORD_SPORT,
	WORD_IFACE,
	WORD_ORIGIN,
	WORD_TO,
	WORD_OWN,
	WORD_UNKNOWN,
	WORD_PASS,
	WORD_SERVICE,
	WORD_SHADOWED,
	WORD_COUNT,
};

/* A rule that is being read. */
struct draft {
	struct shunt_rule rule;
	const char *given[WORD_COUNT]; /* value of each keyword, NULL if the keyword is absent */
	__u8 family[WORD_COUNT];       /* of each keyword's address */
};

static int set_dst(struct draft *d, const char *word)
{
	return parse_prefix(word, &d->family[WORD_DST], d->rule.dst, &d->rule.dst_len);
}

static int set_src(struct draft *d, const char *word)
{
	return parse_prefix(word, &d->family[WORD_SRC], d->rule.src, &d->rule.src_len);
}

static int set_dport(struct draft *d, const char *word)
{
	return parse_range(word, &d->rule.dport_low, &d->rule.dport_high);
}

static int set_sport(struct draft *d, const char *word)
{
	return parse_range(word, &d->rule.sport_low, &d->rule.sport_high);
}

static int set_iface(struct draft *d, const char *word)
{
	char name[FILE_WORD(SHUNT_IFNAME)];
	int error;

	snprintf(name, sizeof(name), "%s", word);
	file_word_decode(name);
	error = parse_ifname(name, d->rule.ifname);
	return error ? error : rule_find_iface(&d->rule);
}

static int set_origin(struct draft *d, const char *word)
{
	if (strcmp(word, "local"))
		return refuse("'origin %s': the only origin is 'local', this host itself", word);
	strcpy(d->rule.ifname, SHUNT_LOCAL_IFNAME);
	d->rule.ifindex = SHUNT_LOCAL_IFINDEX;
	return 0;
}

/* The reason why no program can listen at the address; NULL if one can. */
static const char *no_listener_at(__u8 family, const __u8 addr[16])
{
	static const __u8 none[16], mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (is_multicast(family, addr))
		return "a multicast address";
	if (family == AF_INET)
		return !addr[0]                               ? "no host has this address"
		       : !memcmp(addr, "\xff\xff\xff\xff", 4) ? "the broadcast address"
							      : NULL;
	if (!memcmp(addr, none, sizeof(none)))
		return "no host has this address";
	return memcmp(addr, mapped, sizeof(mapped))
		       ? NULL
		       : "an IPv4 address, which no IPv6 packet is sent to";
}

static int set_to(struct draft *d, const char *word)
{
	const char *why;
	struct endpoint e;
	int error = parse_endpoint(word, &e);

	if (error)
		return error;
	why = no_listener_at(e.family, e.addr);
	if (why)
		return refuse("'to %s': %s; name the listener's address", word, why);
	if (!e.port)
		return refuse("'%s': a port is missing; write %s", word,
			      e.family == AF_INET6 ? "[ADDR]:PORT" : "ADDR:PORT");
	d->family[WORD_TO] = e.family;
	d->rule.action = SHUNT_STEER;
	d->rule.to_port = e.port;
	memcpy(d->rule.to, e.addr, sizeof(d->rule.to));
	return 0;
}

static int set_own(struct draft *d, const char *word)
{
	if (strcmp(word, "take") && strcmp(word, "keep"))
		return refuse("'own %s': neither take nor keep", word);
	d->rule.own = *word == 'k' ? SHUNT_OWN_KEEP : SHUNT_OWN_TAKE;
	return 0;
}

static int set_unknown(struct draft *d, const char *word)
{
	unsigned int i;

	for (i = SHUNT_UNKNOWN_AUTO; i <= SHUNT_UNKNOWN_PASS; i++) {
		if (strcmp(rule_unknown_names[i], word))
			continue;
		d->rule.unknown = i;
		return 0;
	}
	return refuse("'unknown %s': none of auto, reset and pass", word);
}

static int set_pass(struct draft *d, const char *word)
{
	(void)word;
	d->rule.action = SHUNT_PASS;
	return 0;
}

static int set_service(struct draft *d, const char *word)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._:-";

	if (!*word || word[strspn(word, allowed)])
		return refuse("'%s': a service is named by letters, digits and . _ : -", word);
	if (strlen(word) >= sizeof(d->rule.service))
		return refuse("'%s': the name of a service has at most %zu characters", word,
			      sizeof(d->rule.service) - 1);
	strcpy(d->rule.service, word);
	return 0;
}

static int set_shadowed(struct draft *d, const char *word)
{
	(void)word;
	d->rule.shadowed = 1;
	return 0;
}

static const struct {
	const char *name;
	bool no_value; /* no word follows that belongs to the keyword */
	int (*set)(struct draft *d, const char *word);
} keywords[WORD_COUNT] = {
	[WORD_DST] = { "dst", false, set_dst },
	[WORD_DPORT] = { "dport", false, set_dport },
	[WORD_SRC] = { "src", false, set_src },
	[WORD_SPORT] = { "sport", false, set_sport },
	[WORD_IFACE] = { "iface", false, set_iface },
	[WORD_ORIGIN] = { "origin", false, set_origin },
	[WORD_TO] = { "to", false, set_to },
	[WORD_OWN] = { "own", false, set_own },
	[WORD_UNKNOWN] = { "unknown", false, set_unknown },
	[WORD_PASS] = { "pass", true, set_pass },
	[WORD_SERVICE] = { "service", false, set_service },
	[WORD_SHADOWED] = { "shadowed", true, set_shadowed },
};

/* Reads the keyword at argv[*i] and its value. Moves *i to the last word that was read. */
static int parse_keyword(struct draft *d, int argc, char **argv, int *i)
{
	const char *name = argv[*i];
	enum word w = WORD_DST;

	while (w < WORD_COUNT && strcmp(keywords[w].name, name))
		w++;
	if (w == WORD_COUNT)
		return refuse("'%s': no word of a rule; see 'shunt steer help'", name);
	if (d->given[w])
		return refuse("'%s' is given twice", name);
	if (!keywords[w].no_value && ++*i == argc)
		return refuse("'%s': a value is missing", name);
	d->given[w] = argv[*i];
	return keywords[w].set(d, argv[*i]);
}

static int check_family(const struct draft *d, enum word w)
{
	if (!d->given[w] || d->family[w] == d->family[WORD_DST])
		return 0;
	return refuse("'%s %s' and 'dst %s': one is IPv4, the other IPv6", keywords[w].name,
		      d->given[w], d->given[WORD_DST]);
}

/* Checks how the words go together, once all of them are read. */
static int check_draft(const struct draft *d, bool match_only)
{
	int error;

	if (!d->given[WORD_DST])
		return refuse("a rule needs 'dst ADDR/LEN'");
	error = check_family(d, WORD_SRC);
	if (error)
		return error;
	error = check_family(d, WORD_TO);
	if (error)
		return error;
	if (d->given[WORD_IFACE] && d->given[WORD_ORIGIN])
		return refuse("'iface %s' and 'origin local': a rule has either; what this host "
			      "sends is steered on all interfaces",
			      d->given[WORD_IFACE]);
	if (d->given[WORD_TO] && d->given[WORD_PASS])
		return refuse("a rule has either 'to %s' or 'pass'", d->given[WORD_TO]);
	if (d->given[WORD_OWN] && d->given[WORD_PASS])
		return refuse("'own %s' and 'pass': what passes goes to this host's services anyway",
			      d->given[WORD_OWN]);
	if (d->given[WORD_UNKNOWN] && d->given[WORD_PASS])
		return refuse("'unknown %s' and 'pass': what passes is never reset",
			      d->given[WORD_UNKNOWN]);
	if (d->given[WORD_UNKNOWN] && d->rule.proto == IPPROTO_UDP)
		return refuse("'unknown %s' and udp: only TCP has connections to be reset",
			      d->given[WORD_UNKNOWN]);
	if (match_only)
		return 0;
	if (!d->given[WORD_TO] && !d->given[WORD_PASS])
		return refuse("a rule needs 'to ADDR:PORT' or 'pass'");
	return 0;
}

static int parse_words(int argc, char **argv, bool match_only, struct shunt_rule *ret)
{
	struct draft d = {
		.rule = { .dport_low = 1, .dport_high = 65535, .sport_high = 65535 },
	};
	int i, error;

	if (argc < 1)
		return refuse("a rule is missing; see 'shunt steer help'");
	if (!strcmp(argv[0], "tcp"))
		d.rule.proto = IPPROTO_TCP;
	else if (!strcmp(argv[0], "udp"))
		d.rule.proto = IPPROTO_UDP;
	else
		return refuse("'%s': a rule begins with tcp or udp", argv[0]);
	for (i = 1; i < argc; i++) {
		error = parse_keyword(&d, argc, argv, &i);
		if (error)
			return error;
	}
	error = check_draft(&d, match_only);
	if (error)
		return error;
	d.rule.family = d.family[WORD_DST];
	if (d.rule.action == SHUNT_STEER && !d.given[WORD_OWN])
		d.rule.own = rule_own_default(&d.rule);
	*ret = d.rule;
	return 0;
}

int rule_parse(int argc, char **argv, struct shunt_rule *ret)
{
	return parse_words(argc, argv, false, ret);
}

int rule_parse_match(int argc, char **argv, struct shunt_rule *ret)
{
	return parse_words(argc, argv, true, ret);
}
