// SPDX-License-Identifier: GPL-2.0-only
#include "config/options.h"

#include <errno.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach/attachments.h"
#include "attach/cgroup.h"
#include "config/defaults.h"
#include "config/nat_options.h"
#include "util/iface.h"
#include "util/log.h"
#include "util/parse.h"

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
	/* Where in struct load_config the setting is; size 0: no setting that can be compared. */
	size_t at;
	size_t size;
};

/* Whether the text is decimal, or hexadecimal after 0x. A leading zero is refused: to some programs it
 * means octal, to others nothing. */
static bool is_number(const char *text)
{
	if (*text < '0' || *text > '9')
		return false;
	return *text != '0' || !text[1] || ((text[1] == 'x' || text[1] == 'X') && text[2]);
}

static int parse_u64(const char *option, const char *text, __u64 low, __u64 high, __u64 *ret)
{
	char *end;
	__u64 n;

	errno = 0;
	n = strtoull(text, &end, 0);
	if (!is_number(text) || *end || errno || n < low || n > high)
		return refuse("%s '%s': not a number from %llu to %llu, without leading zeros",
			      option, text, (unsigned long long)low, (unsigned long long)high);
	*ret = n;
	return 0;
}

/* Adds an attachment to those of load, unless it is already among them. */
static int add_state(struct load_config *config, const char *option,
		     const struct shunt_attachment *state)
{
	if (attachment_find(config->attachments, state->kind, state->name))
		return 0;
	if (config->n == SHUNT_ATTACHMENTS)
		return refuse("%s '%s': more than %d attachments", option, state->name,
			      SHUNT_ATTACHMENTS);
	config->attachments[config->n++] = *state;
	return 0;
}

static int add_cgroup(struct load_config *config, const char *option, char *value)
{
	struct shunt_attachment s = { .kind = ATTACH_CGROUP, .admit = SHUNT_PROVEN };
	char *mode = strrchr(value, '=');
	int error;

	if (mode && strcmp(mode, "=proven") && strcmp(mode, "=eager"))
		return refuse("--cgroup '%s': unknown admission '%s'; 'proven' or 'eager'", value,
			      mode + 1);
	if (mode) {
		s.admit = !strcmp(mode, "=eager") ? SHUNT_EAGER : SHUNT_PROVEN;
		*mode = '\0';
	}
	error = cgroup_resolve(value, s.name, sizeof(s.name));
	if (error)
		return error;
	config->bypass = true;
	config->eager |= s.admit == SHUNT_EAGER;
	config->proven |= s.admit == SHUNT_PROVEN;
	return add_state(config, option, &s);
}

static int add_iface(struct load_config *config, const char *option, char *value)
{
	bool pattern = is_pattern(value);
	struct shunt_attachment s = { .kind = pattern ? ATTACH_PATTERN : ATTACH_IFACE };
	int error;

	error = pattern ? 0 : iface_index(value, &s.ifindex);
	if (error)
		return fail(error, "can't look at interface '%s'", value);
	if (strlen(value) >= IF_NAMESIZE || (!pattern && !s.ifindex))
		return deny(-ENODEV, "no interface '%s'", value);
	strcpy(s.name, value);
	config->steer = true;
	return add_state(config, option, &s);
}

static int add_monitor(struct load_config *config, const char *option, char *value)
{
	struct shunt_attachment s = { .kind = ATTACH_MONITOR_IN };
	int error = iface_index(value, &s.ifindex);

	if (error)
		return fail(error, "can't look at interface '%s'", value);
	if (!s.ifindex || strlen(value) >= IF_NAMESIZE)
		return deny(-ENODEV, "no interface '%s'", value);
	strcpy(s.name, value);
	config->monitor = true;
	error = add_state(config, option, &s);
	if (error)
		return error;
	s.kind = ATTACH_MONITOR_OUT;
	return add_state(config, option, &s);
}

static int add_nat(struct load_config *config, const char *option, char *value)
{
	struct shunt_attachment both[2];
	int error = nat_attachments(value, both);

	if (error)
		return error;
	config->nat = true;
	error = add_state(config, option, &both[0]);
	return error ? error : add_state(config, option, &both[1]);
}

/* Reads port:LOW[-HIGH], process:NAME or ADDR/LEN. */
static int parse_exclude(const char *option, const char *text, struct shunt_exclude *ret)
{
	if (!strncmp(text, "port:", 5)) {
		ret->kind = EXCLUDE_PORT;
		return parse_range(text + 5, &ret->low, &ret->high);
	}
	if (!strncmp(text, "process:", 8)) {
		ret->kind = EXCLUDE_PROCESS;
		if (!text[8] || strlen(text + 8) >= sizeof(ret->comm))
			return refuse("%s '%s': a process name has 1 to %zu letters", option, text,
				      sizeof(ret->comm) - 1);
		strcpy(ret->comm, text + 8);
		return 0;
	}
	if (!strchr(text, '/'))
		return refuse("%s '%s': neither port:N[-N], ADDR/LEN nor process:NAME", option,
			      text);
	ret->kind = EXCLUDE_PREFIX;
	return parse_prefix(text, &ret->family, ret->addr, &ret->len);
}

static int add_exclude(struct load_config *config, const char *option, char *value)
{
	struct shunt_exclude x = {};
	__u32 i;
	int error;

	if (config->conf.excludes == SHUNT_EXCLUDES)
		return refuse("%s '%s': more than %d", option, value, SHUNT_EXCLUDES);
	error = parse_exclude(option, value, &x);
	if (error)
		return error;
	for (i = 0; i < config->conf.excludes; i++)
		if (!memcmp(&config->excludes[i], &x, sizeof(x)))
			return 0;
	config->excludes[config->conf.excludes++] = x;
	return 0;
}

static int set_router(struct load_config *config, const char *option, char *value)
{
	int error = cgroup_resolve(value, config->router, sizeof(config->router));
	struct stat st;

	(void)option;
	if (error)
		return error;
	if (stat(config->router, &st))
		return fail(-errno, "cgroup '%s'", config->router);
	config->conf.router_cgroup = st.st_ino;
	return 0;
}

static int set_host_bytes(struct load_config *config, const char *option, char *value)
{
	__u64 bytes;
	int error = parse_u64(option, value, 1, 1ULL << 40, &bytes);

	if (error)
		return error;
	config->conf.max_pages = bytes / getpagesize();
	return 0;
}

static int set_mark(struct load_config *config, const char *option, char *value)
{
	__u64 mark;
	int error = parse_u64(option, value, 1, 0xffffffff, &mark);

	if (error)
		return error;
	if (mark & (mark - 1))
		return refuse("%s '%s': more than one bit", option, value);
	config->conf.mark = mark;
	return 0;
}

static int set_table(struct load_config *config, const char *option, char *value)
{
	__u64 table;
	int error = parse_u64(option, value, 1, 0xffffffff, &table);

	if (error)
		return error;
	if (table >= 253 && table <= 255)
		return refuse("%s '%s': the system's own", option, value);
	config->conf.table = table;
	return 0;
}

static int set_flows(struct load_config *config, const char *option, char *value)
{
	__u64 flows;
	int error = parse_u64(option, value, 1, 1U << 24, &flows);

	if (error)
		return error;
	conf_set_flows(&config->conf, flows);
	return 0;
}

static int set_nat_idle(struct load_config *config, const char *option, char *value)
{
	(void)option;
	return nat_set_idle(&config->nat_conf, value);
}

#define AT(member) \
	.at = offsetof(struct load_config, member), \
	.size = sizeof(((struct load_config *)0)->member)

static const struct load_option options[] = {
	{ "--cgroup", "PATH", HALF_BYPASS, .set = add_cgroup,
	  .help = "bypass for sockets made in this cgroup (a path, or a name\n"
		  "below the cgroup2 mount) and the ones below it. A pair moves\n"
		  "to the fast path once it is busy and its readers do not block\n"
		  "('shunt run' decides). PATH=eager: you declare that the\n"
		  "programs in PATH are fit for the fast path, and every pair takes\n"
		  "it at once" },
	{ "--exclude", "WHAT", HALF_BYPASS, .live = true, AT(conf.excludes), .set = add_exclude,
	  .help = "keep off the fast path: port:LOW[-HIGH], ADDR/LEN, or\n"
		  "process:NAME (of the reader; not with 'eager')" },
	{ "--config", "FILE", HALVES, .words_only = true,
	  .help = "options, a line for each ('iface eth0'), and rules as for\n"
		  "'shunt apply', which are in force from the first packet" },
	{ "--iface", "NAME", HALF_STEER, .set = add_iface,
	  .help = "steering of what arrives on this interface; with a pattern\n"
		  "('veth*'), on all of that name but ports of bridges, bonds and\n"
		  "teams, and with 'shunt run' also on those that come later" },
	{ "--monitor", "NAME", HALF_MONITOR, .set = add_monitor,
	  .help = "counts the flows of this interface from now on; otherwise\n"
		  "'shunt monitor' counts only while it runs" },
	{ "--max-bytes", "N", HALF_BYPASS, .live = true, AT(conf.max_bytes), .low = 1,
	  .high = 1ULL << 30,
	  .help = "bound of the bytes queued in one direction (" TEXT(DEFAULT_MAX_BYTES) ")" },
	{ "--max-messages", "N", HALF_BYPASS, .live = true, AT(conf.max_msgs), .low = 1,
	  .high = 1U << 20, .help = "the same for messages (" TEXT(DEFAULT_MAX_MESSAGES) ")" },
	{ "--host-bytes", "N", HALF_BYPASS, .live = true, AT(conf.max_pages), .set = set_host_bytes,
	  .help = "TCP memory in use on the host above which nothing is\n"
		  "redirected (a quarter of net.ipv4.tcp_mem)" },
	{ "--mark", "BIT", HALF_STEER, AT(conf.mark), .set = set_mark,
	  .help = "bit set in the mark of steered packets (" TEXT(DEFAULT_MARK) ")" },
	{ "--force", NULL, HALVES, .words_only = true,
	  .help = "'eager' even where this kernel would lose data" },
	{ "--table", "N", HALF_STEER, AT(conf.table), .set = set_table,
	  .help = "routing table that delivers them (" TEXT(DEFAULT_TABLE) ")" },
	{ "--router-cgroup", "PATH", HALF_STEER, .live = true, AT(conf.router_cgroup),
	  .set = set_router,
	  .help = "programs in this cgroup and below are the router: rules with\n"
		  "'origin local' let pass what they send" },
	{ "--router-mark", "N", HALF_STEER, .live = true, AT(conf.router_mark), .low = 1,
	  .high = 0xffffffff,
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
	{ "--nat", "NAME", HALF_NAT, .set = add_nat,
	  .help = "NAT of what leaves by this interface ('shunt nat' adds others)" },
	{ "--nat-flows", "N", HALF_NAT, AT(nat_conf.flows), .low = 1, .high = 1U << 22,
	  .help = "flows at a time (" TEXT(DEFAULT_NAT_FLOWS) ")" },
	{ "--nat-idle", "KIND=SEC", HALF_NAT, .live = true, AT(nat_conf.idle_ns),
	  .set = set_nat_idle, .more_help = nat_idle_help,
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

static void store(struct load_config *config, const struct load_option *option, __u64 n)
{
	char *at = (char *)config + option->at;
	__u32 n32 = n;

	if (option->size == sizeof(n32))
		memcpy(at, &n32, sizeof(n32));
	else
		memcpy(at, &n, sizeof(n));
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
	store(config, option, n);
	return 0;
}

static bool differs(const struct load_option *o, const struct load_config *config)
{
	return o->size &&
	       memcmp((const char *)config + o->at, (const char *)config->loaded + o->at, o->size);
}

const char *load_options_fixed(enum half half, const struct load_config *config)
{
	const struct load_option *o;

	for (o = options; o->name; o++)
		if (o->half == half && !o->live && differs(o, config))
			return o->name;
	return NULL;
}

const char *load_options_changed(enum half half, const struct load_config *config)
{
	const struct load_option *o;

	for (o = options; o->name; o++)
		if (o->half == half && differs(o, config))
			return o->name;
	return NULL;
}

void load_options_rebase(struct load_config *config, const struct load_config *now)
{
	const struct load_option *o;

	for (o = options; o->name; o++)
		if (o->size && !differs(o, config))
			memcpy((char *)config + o->at, (const char *)now + o->at, o->size);
	if (config->conf.excludes == now->conf.excludes)
		memcpy(config->excludes, now->excludes, sizeof(config->excludes));
	config->loaded = now;
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
