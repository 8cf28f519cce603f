// SPDX-License-Identifier: GPL-2.0-only
#include "config/options.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "config/defaults.h"
#include "config/excludes.h"
#include "config/nat_options.h"
#include "config/option_values.h"

#define TEXT(macro) TEXT_OF(macro)
#define MAX_RULES_TEXT TEXT(DEFAULT_MAX_RULES)
#define MAX_FLOWS_TEXT TEXT(DEFAULT_MAX_FLOWS)
#define TEXT_OF(text) #text

struct load_option {
	const char *name;
	const char *value; /* what the help calls the value; NULL if there is none */
	enum half half;    /* HALVES: the option belongs to no half */
	const char *help;  /* each line but the first begins after a '\n' */
	void (*more_help)(void);
	bool words_only; /* not in files */
	bool live;       /* can change while the half is loaded */
	/* Reads the value; NULL: a number from low to high is stored as it is. */
	int (*set)(struct load_config *config, const char *option, char *value);
	__u64 low;
	__u64 high;
	/* Writes the values that *config has and *base lacks (config/option_values.h); NULL: the
	 * number is written. */
	bool (*next)(const struct load_config *config, const struct load_config *base,
		     unsigned int *i, char ret[OPTION_TEXT]);
	bool hex; /* the number is written in hexadecimal */
	/* Where in struct load_config the setting is, as 32-bit or 64-bit numbers; size 0: nowhere,
	 * the option names an attachment. */
	size_t at;
	size_t size;
};

#define AT(member) \
	.at = offsetof(struct load_config, member), \
	.size = sizeof(((struct load_config *)0)->member)

static const struct load_option options[] = {
	{ "--cgroup", "PATH", HALF_BYPASS, .set = add_cgroup, .next = next_cgroup,
	  .help = "bypass for sockets made in this cgroup (a path, or a name\n"
		  "below the cgroup2 mount) and the ones below it. A pair moves\n"
		  "to the fast path once it is busy and its readers do not block\n"
		  "('shunt run' decides). PATH=eager: you declare that the\n"
		  "programs in PATH are fit for the fast path, and every pair takes\n"
		  "it at once" },
	{ "--exclude", "WHAT", HALF_BYPASS, .live = true, AT(conf.excludes), .set = add_exclude,
	  .next = next_exclude,
	  .help = "keep off the fast path: port:LOW[-HIGH], ADDR/LEN, or\n"
		  "process:NAME (of the reader; not with 'eager')" },
	{ "--config", "FILE", HALVES, .words_only = true,
	  .help = "options, a line for each ('iface eth0'), and rules as for\n"
		  "'shunt apply', which are in force from the first packet" },
	{ "--iface", "NAME", HALF_STEER, .set = add_iface, .next = next_iface,
	  .help = "steering of what arrives on this interface; with a pattern\n"
		  "('veth*'), on all of that name but ports of bridges, bonds and\n"
		  "teams, and with 'shunt run' also on those that come later" },
	{ "--monitor", "NAME", HALF_MONITOR, .set = add_monitor, .next = next_monitor,
	  .help = "counts the flows of this interface from now on; otherwise\n"
		  "'shunt monitor' counts only while it runs" },
	{ "--max-bytes", "N", HALF_BYPASS, .live = true, AT(conf.max_bytes), .low = 1,
	  .high = 1ULL << 30,
	  .help = "bound of the bytes queued in one direction (" TEXT(DEFAULT_MAX_BYTES) ")" },
	{ "--max-messages", "N", HALF_BYPASS, .live = true, AT(conf.max_msgs), .low = 1,
	  .high = 1U << 20, .help = "the same for messages (" TEXT(DEFAULT_MAX_MESSAGES) ")" },
	{ "--host-bytes", "N", HALF_BYPASS, .live = true, AT(conf.max_pages), .set = set_host_bytes,
	  .next = next_host_bytes,
	  .help = "TCP memory in use on the host above which nothing is\n"
		  "redirected (a quarter of net.ipv4.tcp_mem)" },
	{ "--mark", "BIT", HALF_STEER, AT(conf.mark), .set = set_mark, .hex = true,
	  .help = "bit set in the mark of steered packets (" TEXT(DEFAULT_MARK) ")" },
	{ "--force", NULL, HALVES, .words_only = true,
	  .help = "'eager' even where this kernel would lose data" },
	{ "--check", NULL, HALVES, .words_only = true,
	  .help = "changes nothing: reports all errors in the words and in each line\n"
		  "of FILE, and as root says what would change" },
	{ "--table", "N", HALF_STEER, AT(conf.table), .set = set_table,
	  .help = "routing table that delivers them (" TEXT(DEFAULT_TABLE) ")" },
	{ "--router-cgroup", "PATH", HALF_STEER, .live = true, AT(conf.router_cgroup),
	  .set = set_router, .next = next_router,
	  .help = "programs in this cgroup and below are the router: rules with\n"
		  "'origin local' let pass what they send" },
	{ "--router-mark", "N", HALF_STEER, .live = true, AT(conf.router_mark), .low = 1,
	  .hex = true, .high = 0xffffffff,
	  .help = "the router sets these bits in the mark of what it sends\n"
		  "(with neither option: programs in the listener's cgroup are\n"
		  "the router)" },
	{ "--max-rules", "N", HALF_STEER, .live = true, AT(conf.max_rules), .low = 1,
	  .high = 1U << 24,
	  .help = "more rules are refused (" MAX_RULES_TEXT "); a rule takes about\n"
		  "300 bytes, and 64 for each CPU up to 4" },
	{ "--max-flows", "N", HALF_STEER, AT(conf.flow_buckets), .set = set_flows,
	  .help = "UDP flows that are remembered with their listener (" MAX_FLOWS_TEXT "),\n"
		  "rounded up to a power of two, 128 bytes for each" },
	{ "--nat", "NAME", HALF_NAT, .set = add_nat, .next = next_nat,
	  .help = "NAT of what leaves by this interface ('shunt nat' adds others)" },
	{ "--nat-flows", "N", HALF_NAT, AT(nat_conf.flows), .low = 1, .high = 1U << 22,
	  .help = "flows at a time (" TEXT(DEFAULT_NAT_FLOWS) ")" },
	{ "--nat-idle", "KIND=SEC", HALF_NAT, .live = true, AT(nat_conf.idle_ns),
	  .set = set_nat_idle, .next = next_nat_idle, .more_help = nat_idle_help,
	  .help = "seconds without packets after which a flow ends:" },
	{}
};

const struct load_option *load_option_find(const char *name)
{
	const struct load_option *o;

	for (o = options; o->name; o++)
		if (!strcmp(o->name, name))
			return o;
	return NULL;
}

bool load_option_in_file(const struct load_option *option)
{
	return !option->words_only;
}

static void put_number(void *at, size_t size, __u64 n)
{
	if (size == sizeof(__u32))
		__atomic_store_n((__u32 *)at, n, __ATOMIC_SEQ_CST);
	else
		__atomic_store_n((__u64 *)at, n, __ATOMIC_SEQ_CST);
}

static __u64 get_number(const void *at, size_t size)
{
	return size == sizeof(__u32) ? *(const __u32 *)at : *(const __u64 *)at;
}

int load_option_set(const struct load_option *option, struct load_config *config, char *value)
{
	__u64 n;
	int error;

	if (option->set)
		return option->set(config, option->name, value);
	error = parse_u64(option->name, value, option->low, option->high, &n);
	if (error)
		return error;
	put_number((char *)config + option->at, option->size, n);
	return 0;
}

/* --- what differs --------------------------------------------------------------------------- */

/* Excludes are the same in any order. */
static bool excludes_differ(const struct load_config *config, const struct load_config *base)
{
	__u32 i;

	if (config->conf.excludes != base->conf.excludes)
		return true;
	for (i = 0; i < config->conf.excludes; i++)
		if (!exclude_is_among(&config->excludes[i], base->excludes, base->conf.excludes))
			return true;
	return false;
}

static bool differs(const struct load_option *o, const struct load_config *config,
		    const struct load_config *base)
{
	if (o->next == next_exclude)
		return excludes_differ(config, base);
	return o->size && memcmp((const char *)config + o->at, (const char *)base + o->at, o->size);
}

const char *load_options_fixed(enum half half, const struct load_config *config)
{
	const struct load_option *o;

	for (o = options; o->name; o++)
		if (o->half == half && !o->live && differs(o, config, config->loaded))
			return o->name;
	return NULL;
}

const char *load_options_changed(enum half half, const struct load_config *config)
{
	const struct load_option *o;

	for (o = options; o->name; o++)
		if (o->half == half && differs(o, config, config->loaded))
			return o->name;
	return NULL;
}

/* --- copying -------------------------------------------------------------------------------- */

static void copy(const struct load_option *o, const struct load_config *from,
		 struct load_config *to)
{
	memcpy((char *)to + o->at, (const char *)from + o->at, o->size);
	if (o->next == next_exclude)
		memcpy(to->excludes, from->excludes, sizeof(to->excludes));
	if (o->next == next_router)
		memcpy(to->router, from->router, sizeof(to->router));
}

void load_options_rebase(struct load_config *config, const struct load_config *now)
{
	const struct load_option *o;

	for (o = options; o->name; o++)
		if (o->size && !differs(o, config, config->loaded))
			copy(o, now, config);
	config->loaded = now;
}

/* Where the pinned maps have what is at that offset in struct load_config. */
static void *pinned_at(const struct pinned_settings *pinned, size_t at)
{
	if (at >= offsetof(struct load_config, nat_conf) &&
	    at < offsetof(struct load_config, nat_conf) + sizeof(*pinned->nat))
		return (char *)pinned->nat + (at - offsetof(struct load_config, nat_conf));
	return (char *)pinned->conf + (at - offsetof(struct load_config, conf));
}

void load_options_read(enum half half, const struct pinned_settings *from,
		       struct load_config *config)
{
	const struct load_option *o;

	for (o = options; o->name; o++)
		if (o->half == half && o->size)
			memcpy((char *)config + o->at, pinned_at(from, o->at), o->size);
	if (half == HALF_BYPASS)
		memcpy(config->excludes, from->excludes, sizeof(config->excludes));
}

/* Writes each number in one go, for programs read them meanwhile. */
static void write_pinned(const struct load_option *o, const struct load_config *config,
			 const struct pinned_settings *to)
{
	const size_t step = o->size % sizeof(__u64) ? sizeof(__u32) : sizeof(__u64);
	size_t i;

	for (i = 0; i < o->size; i += step)
		put_number(pinned_at(to, o->at + i), step,
			   get_number((const char *)config + o->at + i, step));
}

void load_options_write(enum half half, const struct load_config *config,
			const struct pinned_settings *to)
{
	const struct load_option *o;

	/* What is behind them stays: a program that searches with the old number finds there what
	 * has moved to the front. */
	if (half == HALF_BYPASS)
		memcpy(to->excludes, config->excludes,
		       config->conf.excludes * sizeof(*config->excludes));
	for (o = options; o->name; o++)
		if (o->half == half && o->live)
			write_pinned(o, config, to);
	if (half == HALF_BYPASS)
		conf_set_host_messages(to->conf);
}

/* --- printing -------------------------------------------------------------------------------- */

static bool next_number(const struct load_option *o, const struct load_config *config,
			const struct load_config *base, unsigned int *i, char ret[OPTION_TEXT])
{
	if ((*i)++ || !differs(o, config, base))
		return false;
	snprintf(ret, OPTION_TEXT, o->hex ? "0x%llx" : "%llu",
		 (unsigned long long)get_number((const char *)config + o->at, o->size));
	return true;
}

static bool next_value(const struct load_option *o, const struct load_config *config,
		       const struct load_config *base, unsigned int *i, char ret[OPTION_TEXT])
{
	return o->next ? o->next(config, base, i, ret) : next_number(o, config, base, i, ret);
}

bool load_options_next(const struct load_config *config, const struct load_config *base,
		       struct option_value *at)
{
	if (!at->option)
		at->option = options;
	for (; at->option->name; at->option++, at->i = 0)
		if ((at->option->next || at->option->size) &&
		    next_value(at->option, config, base, &at->i, at->text))
			return true;
	return false;
}

const char *load_option_name(const struct load_option *option)
{
	return option->name;
}

bool load_option_attaches(const struct load_option *option)
{
	return option->next && !option->size;
}

bool load_option_is_list(const struct load_option *option)
{
	return option->next == next_exclude;
}

enum half load_option_half(const struct load_option *option)
{
	return option->half;
}

void load_options_help(void)
{
	const struct load_option *o;
	const char *c;
	int column;

	for (o = options; o->name; o++) {
		column = printf("  %s %s", o->name, o->value ? o->value : "");
		printf("%*s", column < 23 ? 23 - column : 1, "");
		for (c = o->help; *c; c++)
			*c == '\n' ? printf("\n%23s", "") : putchar(*c);
		putchar('\n');
		if (o->more_help)
			o->more_help();
	}
}
