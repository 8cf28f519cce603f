// SPDX-License-Identifier: GPL-2.0-only
#include "rules/rule.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "util/json.h"
#include "util/iface.h"
#include "util/log.h"
#include "util/text.h"

#define ADDRESS_TEXT INET6_ADDRSTRLEN
#define PREFIX_TEXT (ADDRESS_TEXT + 4)
#define RANGE_TEXT 16

/* Where the words of a rule are, while it is read. */
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

struct draft {
	struct shunt_rule rule;
	const char *given[WORD_COUNT]; /* value of the keyword, NULL if absent */
	__u8 family[WORD_COUNT];       /* of the addresses */
};

static unsigned int address_bits(__u8 family)
{
	return family == AF_INET ? 32 : 128;
}

static bool number(const char *s, size_t len, unsigned int max, unsigned int *ret)
{
	unsigned int n = 0;
	size_t i;

	/* With a leading zero some read it as octal, as inet_aton() does. */
	if (!len || len > 5 || (len > 1 && *s == '0'))
		return false;
	for (i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		n = n * 10 + s[i] - '0';
	}
	if (n > max)
		return false;
	*ret = n;
	return true;
}

bool parse_number(const char *word, unsigned int max, unsigned int *ret)
{
	return number(word, strlen(word), max, ret);
}

int parse_port(const char *word, __u16 *ret)
{
	unsigned int port;

	if (!parse_number(word, 65535, &port) || !port)
		return refuse("'%s': not a port (1 to 65535, without leading zeros)", word);
	*ret = port;
	return 0;
}

int parse_range(const char *word, __u16 *ret_low, __u16 *ret_high)
{
	const char *dash = strchr(word, '-');
	size_t len = dash ? (size_t)(dash - word) : strlen(word);
	unsigned int low, high;

	if (!number(word, len, 65535, &low) || !low ||
	    !parse_number(dash ? dash + 1 : word, 65535, &high) || !high)
		return refuse("'%s': not a port or a range of ports (1 to 65535, without leading "
			      "zeros)", word);
	if (low > high)
		return refuse("'%s': the range is reversed; did you mean %u-%u?", word, high, low);
	*ret_low = low;
	*ret_high = high;
	return 0;
}

/* Reads the address in the len characters at s: its family, 0 if it is none. */
static __u8 read_address(const char *s, size_t len, __u8 ret[16])
{
	char text[ADDRESS_TEXT];
	__u8 addr[16] = {};
	__u8 family;

	if (len >= sizeof(text))
		return 0;
	memcpy(text, s, len);
	text[len] = '\0';
	family = strchr(text, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(family, text, addr) != 1)
		return 0;
	memcpy(ret, addr, sizeof(addr));
	return family;
}

int parse_endpoint(const char *word, struct endpoint *ret)
{
	bool brackets = *word == '[';
	const char *host = word + brackets;
	const char *end = strchr(host, brackets ? ']' : ':');
	struct endpoint e = {};
	unsigned int port;

	/* more than one colon: IPv6 without brackets, so without a port */
	if (!end || (!brackets && strchr(end + 1, ':')))
		end = host + strlen(host);
	e.family = read_address(host, end - host, e.addr);
	if (!e.family || (brackets && e.family != AF_INET6))
		return refuse("'%s': not an IPv4 or IPv6 address", word);
	if (brackets) {
		if (*end != ']' || (end[1] && end[1] != ':'))
			return refuse("'%s': not an address and port", word);
		end++;
	}
	if (*end) {
		if (!parse_number(end + 1, 65535, &port) || !port)
			return refuse("'%s': the port is not a number from 1 to 65535, without leading "
				      "zeros", word);
		e.port = port;
	}
	*ret = e;
	return 0;
}

bool mask_address(__u8 addr[16], unsigned int len)
{
	bool any = false;
	unsigned int i;
	__u8 keep;

	for (i = 0; i < 16; i++) {
		keep = len >= 8 * (i + 1) ? 0xff :
		       len <= 8 * i ? 0 : 0xff << (8 - len % 8);
		any |= addr[i] & ~keep;
		addr[i] &= keep;
	}
	return any;
}

bool in_prefix(const __u8 addr[16], const __u8 prefix[16], __u8 len)
{
	__u8 masked[16];

	memcpy(masked, addr, sizeof(masked));
	mask_address(masked, len);
	return !memcmp(masked, prefix, sizeof(masked));
}

bool is_multicast(__u8 family, const __u8 addr[16])
{
	return family == AF_INET ? (addr[0] & 0xf0) == 0xe0 : addr[0] == 0xff;
}

static void format_address(__u8 family, const __u8 *addr, char text[ADDRESS_TEXT])
{
	if (!inet_ntop(family, addr, text, ADDRESS_TEXT))
		strcpy(text, "?");
}

int parse_prefix(const char *word, __u8 *ret_family, __u8 ret_addr[16], __u8 *ret_len)
{
	const char *slash = strchr(word, '/');
	char text[ADDRESS_TEXT];
	unsigned int bits, len;
	__u8 addr[16], family;

	family = read_address(word, slash ? (size_t)(slash - word) : strlen(word), addr);
	if (!family)
		return refuse("'%s': not an IPv4 or IPv6 address or prefix", word);
	bits = len = address_bits(family);
	if (slash && !parse_number(slash + 1, bits, &len))
		return refuse("'%s': the prefix length is not a number from 0 to %u, without leading "
			      "zeros", word, bits);
	if (mask_address(addr, len)) {
		format_address(family, addr, text);
		return refuse("'%s': bits are set beyond the prefix length; did you mean %s/%u?",
			      word, text, len);
	}
	*ret_family = family;
	memcpy(ret_addr, addr, sizeof(addr));
	*ret_len = len;
	return 0;
}

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

int rule_find_iface(struct shunt_rule *r)
{
	__u32 ifindex;
	int error = iface_index(r->ifname, &ifindex);

	if (error)
		return fail(error, "can't look at interface '%s'", r->ifname);
	r->ifindex = ifindex ? ifindex : SHUNT_NO_IFINDEX;
	return 0;
}

int parse_ifname(const char *word, char ret[SHUNT_IFNAME])
{
	if (strpbrk(word, "*?["))
		return refuse("'%s': a pattern; a rule names one interface, or none and is for all", word);
	if (!*word || strlen(word) >= SHUNT_IFNAME || strpbrk(word, "/: \t\r\n\v\f") ||
	    !strcmp(word, ".") || !strcmp(word, "..") || strcmp(plain(word), word))
		return refuse("'%s': not the name of an interface", word);
	strcpy(ret, word);
	return 0;
}

static int set_iface(struct draft *d, const char *word)
{
	int error = parse_ifname(word, d->rule.ifname);

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

/* Why nobody can listen at the address; NULL if somebody can. */
static const char *no_listener_at(__u8 family, const __u8 addr[16])
{
	static const __u8 none[16], mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (is_multicast(family, addr))
		return "a multicast address";
	if (family == AF_INET)
		return !addr[0] ? "no host has this address" :
		       !memcmp(addr, "\xff\xff\xff\xff", 4) ? "the broadcast address" : NULL;
	if (!memcmp(addr, none, sizeof(none)))
		return "no host has this address";
	return memcmp(addr, mapped, sizeof(mapped)) ? NULL :
	       "an IPv4 address, which no IPv6 packet is sent to";
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

static const char *const unknown_names[] = {
	[SHUNT_UNKNOWN_AUTO] = "auto",
	[SHUNT_UNKNOWN_RESET] = "reset",
	[SHUNT_UNKNOWN_PASS] = "pass",
};

static int set_unknown(struct draft *d, const char *word)
{
	unsigned int i;

	for (i = SHUNT_UNKNOWN_AUTO; i <= SHUNT_UNKNOWN_PASS; i++) {
		if (strcmp(unknown_names[i], word))
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
	bool alone; /* no value follows */
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

/* Reads one keyword and its value; *i moves to the last word read. */
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
	if (!keywords[w].alone && ++*i == argc)
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

/* What can only be told when all words are read. */
static int check_draft(const struct draft *d, bool match_only)
{
	int error;

	if (!d->given[WORD_DST])
		return refuse("a rule needs 'dst ADDR/LEN'");
	error = check_family(d, WORD_SRC);
	if (!error)
		error = check_family(d, WORD_TO);
	if (error)
		return error;
	if (d->given[WORD_IFACE] && d->given[WORD_ORIGIN])
		return refuse("'iface %s' and 'origin local': a rule has either; what this host "
			      "sends is steered on all interfaces", d->given[WORD_IFACE]);
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

static int parse(int argc, char **argv, bool match_only, struct shunt_rule *ret)
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
	return parse(argc, argv, false, ret);
}

int rule_parse_match(int argc, char **argv, struct shunt_rule *ret)
{
	return parse(argc, argv, true, ret);
}

enum shunt_own rule_own_default(const struct shunt_rule *r)
{
	return r->dst_len == address_bits(r->family) ? SHUNT_OWN_TAKE : SHUNT_OWN_KEEP;
}

static const char *own_name(const struct shunt_rule *r)
{
	return r->own == SHUNT_OWN_KEEP ? "keep" : "take";
}

bool rule_is_local(const struct shunt_rule *r)
{
	return r->ifindex == SHUNT_LOCAL_IFINDEX;
}

static const char *proto_name(const struct shunt_rule *r)
{
	return r->proto == IPPROTO_TCP ? "tcp" : "udp";
}

static void format_range(__u16 low, __u16 high, char text[RANGE_TEXT])
{
	if (low == high)
		snprintf(text, RANGE_TEXT, "%u", low);
	else
		snprintf(text, RANGE_TEXT, "%u-%u", low, high);
}

static void format_prefix(__u8 family, const __u8 *addr, __u8 len, char text[PREFIX_TEXT])
{
	char address[ADDRESS_TEXT];

	format_address(family, addr, address);
	snprintf(text, PREFIX_TEXT, "%s/%u", address, len);
}

static void format_to(const struct shunt_rule *r, char text[ADDRESS_TEXT + 8])
{
	char address[ADDRESS_TEXT];

	format_address(r->family, r->to, address);
	snprintf(text, ADDRESS_TEXT + 8, r->family == AF_INET6 ? "[%s]:%u" : "%s:%u", address,
		 r->to_port);
}

static bool any_sport(const struct shunt_rule *r)
{
	return !r->sport_low && r->sport_high == 65535;
}

static bool any_dport(const struct shunt_rule *r)
{
	return r->dport_low <= 1 && r->dport_high == 65535;
}

static void __attribute__((format(printf, 3, 4))) append(char *text, size_t size,
							 const char *fmt, ...)
{
	size_t len = strlen(text);
	va_list args;

	va_start(args, fmt);
	vsnprintf(text + len, size - len, fmt, args);
	va_end(args);
}

static void append_prefix(char *text, size_t size, const char *name, __u8 family,
			  const __u8 *addr, __u8 len)
{
	char prefix[PREFIX_TEXT];

	format_prefix(family, addr, len, prefix);
	if (len == address_bits(family))
		prefix[strcspn(prefix, "/")] = '\0';
	append(text, size, " %s %s", name, prefix);
}

static void append_range(char *text, size_t size, const char *name, __u16 low, __u16 high)
{
	char range[RANGE_TEXT];

	format_range(low, high, range);
	append(text, size, " %s %s", name, range);
}

void rule_format(const struct shunt_rule *r, char *text, size_t size)
{
	char to[ADDRESS_TEXT + 8];

	snprintf(text, size, "%s", proto_name(r));
	append_prefix(text, size, "dst", r->family, r->dst, r->dst_len);
	if (!any_dport(r))
		append_range(text, size, "dport", r->dport_low, r->dport_high);
	if (r->src_len)
		append_prefix(text, size, "src", r->family, r->src, r->src_len);
	if (!any_sport(r))
		append_range(text, size, "sport", r->sport_low, r->sport_high);
	if (rule_is_local(r))
		append(text, size, " origin local");
	else if (*r->ifname)
		append(text, size, " iface %s", r->ifname);
	if (r->action == SHUNT_STEER) {
		format_to(r, to);
		append(text, size, " to %s", to);
		if (r->own != rule_own_default(r))
			append(text, size, " own %s", own_name(r));
		if (r->unknown)
			append(text, size, " unknown %s", unknown_names[r->unknown]);
	} else {
		append(text, size, " pass");
	}
	if (*r->service)
		append(text, size, " service %s", r->service);
	if (r->shadowed)
		append(text, size, " shadowed");
}

static int by_dst_len(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return b->dst_len - a->dst_len;
}

static int by_src_len(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return b->src_len - a->src_len;
}

static int by_dport_width(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return (a->dport_high - a->dport_low) - (b->dport_high - b->dport_low);
}

static int by_sport_width(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return (a->sport_high - a->sport_low) - (b->sport_high - b->sport_low);
}

static int by_bound(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return !*a->ifname - !*b->ifname;
}

static int by_dport(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return a->dport_low - b->dport_low;
}

static int by_sport(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return a->sport_low - b->sport_low;
}

static int by_src(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return memcmp(a->src, b->src, sizeof(a->src));
}

static int by_ifname(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return strcmp(a->ifname, b->ifname);
}

static const struct criterion {
	int (*compare)(const struct shunt_rule *a, const struct shunt_rule *b);
	const char *lost;
	const char *won;
} criteria[] = {
	{ by_dst_len, "shorter destination prefix", "longest destination prefix" },
	{ by_src_len, "shorter source prefix", "longest source prefix" },
	{ by_dport_width, "wider dport range", "narrowest dport range" },
	{ by_sport_width, "wider sport range", "narrowest sport range" },
	{ by_bound, "not bound to the interface", "bound to the interface" },
	/* The rest makes the order total; any choice would do. */
	{ by_dport, "dport range begins higher", "dport range begins lowest" },
	{ by_sport, "sport range begins higher", "sport range begins lowest" },
	{ by_src, "higher source prefix", "lowest source prefix" },
	{ by_ifname, "later interface name", "first interface name" },
	{ NULL, "the same match", "the same match" },
};

/* The criterion that decides between two rules; the last if none does. */
static const struct criterion *decide(const struct shunt_rule *a, const struct shunt_rule *b)
{
	const struct criterion *c = criteria;

	while (c->compare && !c->compare(a, b))
		c++;
	return c;
}

int rule_compare(const struct shunt_rule *a, const struct shunt_rule *b)
{
	const struct criterion *c = decide(a, b);

	return c->compare ? c->compare(a, b) : 0;
}

int rule_order(const struct shunt_rule *a, const struct shunt_rule *b)
{
	/* AF_INET and IPPROTO_TCP are the lower numbers. */
	if (a->family != b->family)
		return a->family - b->family;
	if (a->proto != b->proto)
		return a->proto - b->proto;
	return by_dst_len(a, b) ?: memcmp(a->dst, b->dst, sizeof(a->dst)) ?: rule_compare(a, b);
}

const char *rule_lost(const struct shunt_rule *winner, const struct shunt_rule *loser)
{
	return decide(winner, loser)->lost;
}

const char *rule_won(const struct shunt_rule *winner, const struct shunt_rule *loser)
{
	return decide(winner, loser)->won;
}

bool rule_same_match(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return a->family == b->family && a->proto == b->proto &&
	       !memcmp(a->dst, b->dst, sizeof(a->dst)) && !rule_compare(a, b);
}

bool rule_same_effect(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return a->action == b->action && a->to_port == b->to_port &&
	       !memcmp(a->to, b->to, sizeof(a->to)) && a->ifindex == b->ifindex &&
	       a->old == b->old && a->own == b->own && a->router == b->router &&
	       a->unknown == b->unknown && !strcmp(a->service, b->service);
}

bool rule_keep_router(const struct shunt_rule *was, struct shunt_rule *r)
{
	r->router = was->router;
	if (rule_same_effect(was, r))
		return true;
	r->router = 0;
	return false;
}

void rule_json_fields(struct json_writer *w, const struct shunt_rule *r, const struct rule_counts *c)
{
	char prefix[PREFIX_TEXT], range[RANGE_TEXT], to[ADDRESS_TEXT + 8];

	json_string(w, "proto", proto_name(r));
	format_prefix(r->family, r->dst, r->dst_len, prefix);
	json_string(w, "dst", prefix);
	format_range(r->dport_low, r->dport_high, range);
	json_string(w, "dport", range);
	if (r->src_len) {
		format_prefix(r->family, r->src, r->src_len, prefix);
		json_string(w, "src", prefix);
	}
	if (!any_sport(r)) {
		format_range(r->sport_low, r->sport_high, range);
		json_string(w, "sport", range);
	}
	if (rule_is_local(r))
		json_string(w, "origin", "local");
	else if (*r->ifname)
		json_string(w, "iface", r->ifname);
	json_string(w, "action", r->action == SHUNT_STEER ? "steer" : "pass");
	if (r->action == SHUNT_STEER) {
		format_to(r, to);
		json_string(w, "to", to);
		json_string(w, "own", own_name(r));
		if (r->proto == IPPROTO_TCP)
			json_string(w, "unknown", unknown_names[r->unknown]);
	}
	if (*r->service)
		json_string(w, "service", r->service);
	if (r->shadowed)
		json_bool(w, "shadowed", true);
	json_number(w, "packets", c->packets);
	json_number(w, "bytes", c->bytes);
	json_number(w, "flows", c->flows);
	json_number(w, "misses", c->misses);
	json_number(w, "own_services", c->own);
	json_number(w, "loops", c->loops);
	json_number(w, "resets", c->resets);
}

void rule_json(struct json_writer *w, const struct shunt_rule *r, const struct rule_counts *c)
{
	json_open(w, '{');
	rule_json_fields(w, r, c);
	json_close(w, '}');
}
