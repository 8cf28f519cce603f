// SPDX-License-Identifier: GPL-2.0-only
/* The words of 'shunt load', and how they differ from what is loaded. */
#include "config/load_config.h"

#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "attach/attach.h"
#include "attach/cgroup.h"
#include "attach/ifaces.h"
#include "bpf/pins.h"
#include "nat/nat_attach.h"
#include "util/log.h"
#include "util/netns.h"

#define DEFAULT_BYTES (8ULL << 20)
#define DEFAULT_MSGS 2048
#define DEFAULT_MARK 0x1000000
#define DEFAULT_TABLE 20560
#define DEFAULT_RULES (1U << 20)
/* A queued message pins about 1 KiB of slab besides its bytes. */
#define MSG_COST 1024

int load_usage(void)
{
	printf("usage: shunt load [--config FILE] [--cgroup PATH[=proven|eager]]... [--iface NAME]...\n"
	       "                  [--nat NAME]... [--monitor NAME]... [OPTION VALUE]...\n\n"
	       "  --cgroup PATH        bypass for sockets made in this cgroup (a path, or a name\n"
	       "                       below the cgroup2 mount) and the ones below it, for pairs that\n"
	       "                       have earned it ('shunt run' sees to that)\n"
	       "  --cgroup PATH=eager  you vouch for its programs: every pair at once\n"
	       "  --exclude WHAT       keep off the fast path: port:LOW[-HIGH], ADDR/LEN, or\n"
	       "                       process:NAME (of the reader; 'proven' only)\n"
	       "  --config FILE        options, a line for each ('iface eth0'), and rules as for\n"
	       "                       'shunt apply', which are in force from the first packet\n"
	       "  --iface NAME         steering of what arrives on this interface; with a pattern\n"
	       "                       ('veth*'), on all of that name but ports of bridges, bonds and\n"
	       "                       teams, and with 'shunt run' also on those that come later\n"
	       "  --monitor NAME       counts the flows of this interface from now on, for\n"
	       "                       'shunt monitor', which else counts while it runs\n"
	       "  --max-bytes N        bound of the bytes queued in one direction (8388608)\n"
	       "  --max-messages N     the same for messages (2048)\n"
	       "  --host-bytes N       TCP memory in use on the host above which nothing is\n"
	       "                       redirected (a quarter of net.ipv4.tcp_mem)\n"
	       "  --mark BIT           bit set in the mark of steered packets (0x1000000)\n"
	       "  --force              'eager' even where this kernel would lose data\n"
	       "  --table N            routing table that delivers them (20560)\n"
	       "  --router-cgroup PATH what runs in this cgroup and below is the router: rules with\n"
	       "                       'origin local' let pass what it sends\n"
	       "  --router-mark N      the router sets these bits in the mark of what it sends\n"
	       "                       (with neither: it is what runs in the listener's cgroup)\n"
	       "  --max-rules N        more are refused (1048576); memory is taken as they come,\n"
	       "                       about 300 bytes for each, and 64 for each CPU up to 4\n"
	       "  --max-flows N        flows given to listeners that are kept in mind (65536),\n"
	       "                       rounded up to a power of two, 128 bytes for each\n");
	nat_usage();
	return 0;
}

static struct shunt_state *new_state(struct request *req, enum shunt_kind kind)
{
	if (req->n == SHUNT_STATES)
		return NULL;
	req->states[req->n].kind = kind;
	return &req->states[req->n++];
}

struct shunt_state *state_same(struct shunt_state *states, const struct shunt_state *s)
{
	int i;

	for (i = 0; i < SHUNT_STATES; i++)
		if (states[i].kind == s->kind && &states[i] != s &&
		    !strcmp(states[i].name, s->name))
			return &states[i];
	return NULL;
}

static int add_cgroup(struct request *req, char *arg)
{
	struct shunt_state *s = new_state(req, SHUNT_CGROUP);
	char *mode = strrchr(arg, '=');
	int error;

	if (!s)
		return refuse("--cgroup '%s': more than %d attachments", arg, SHUNT_STATES);
	if (mode && strcmp(mode, "=proven") && strcmp(mode, "=eager"))
		return refuse("--cgroup '%s': unknown admission '%s'; 'proven' or 'eager'", arg, mode + 1);
	s->admit = mode && !strcmp(mode, "=eager") ? SHUNT_EAGER : SHUNT_PROVEN;
	if (mode)
		*mode = '\0';
	error = cgroup_resolve(arg, s->name, sizeof(s->name));
	if (error)
		return error;
	req->bypass = true;
	req->eager |= s->admit == SHUNT_EAGER;
	req->proven |= s->admit == SHUNT_PROVEN;
	if (state_same(req->states, s))
		memset(&req->states[--req->n], 0, sizeof(*s));
	return 0;
}

static int add_iface(struct request *req, const char *name)
{
	bool pattern = is_pattern(name);
	struct shunt_state *s = new_state(req, pattern ? SHUNT_PATTERN : SHUNT_IFACE);

	if (!s)
		return refuse("--iface '%s': more than %d attachments", name, SHUNT_STATES);
	s->ifindex = pattern ? 0 : if_nametoindex(name);
	if (strlen(name) >= IF_NAMESIZE || (!pattern && !s->ifindex))
		return deny(-ENODEV, "no interface '%s'", name);
	strcpy(s->name, name);
	if (state_same(req->states, s))
		memset(&req->states[--req->n], 0, sizeof(*s));
	req->steer = true;
	return 0;
}

static int add_monitor(struct request *req, const char *name)
{
	static const enum shunt_kind kinds[] = { SHUNT_MONITOR_IN, SHUNT_MONITOR_OUT };
	struct shunt_state *s;
	int i;

	for (i = 0; i < 2; i++) {
		s = new_state(req, kinds[i]);
		if (!s)
			return refuse("--monitor '%s': more than %d attachments", name, SHUNT_STATES);
		s->ifindex = if_nametoindex(name);
		if (!s->ifindex || strlen(name) >= IF_NAMESIZE)
			return deny(-ENODEV, "no interface '%s'", name);
		strcpy(s->name, name);
		if (state_same(req->states, s))
			memset(&req->states[--req->n], 0, sizeof(*s));
	}
	req->monitor = true;
	return 0;
}

static bool is_monitor(const struct shunt_state *s)
{
	return s->kind == SHUNT_MONITOR_IN || s->kind == SHUNT_MONITOR_OUT;
}

/* The monitor is attached last: see tc.c. */
static void monitors_last(struct request *req)
{
	unsigned int i, kept = 0;
	struct shunt_state s;

	for (i = 0; i < req->n; i++) {
		if (is_monitor(&req->states[i]))
			continue;
		s = req->states[i];
		memmove(&req->states[kept + 1], &req->states[kept], (i - kept) * sizeof(s));
		req->states[kept++] = s;
	}
}

static int add_nat(struct request *req, const char *name)
{
	struct shunt_state both[2], *s;
	int i, error = nat_states(name, both);

	for (i = 0; i < 2 && !error; i++) {
		s = new_state(req, both[i].kind);
		if (!s)
			return refuse("--nat '%s': more than %d attachments", name, SHUNT_STATES);
		*s = both[i];
		if (state_same(req->states, s))
			memset(&req->states[--req->n], 0, sizeof(*s));
	}
	req->nat = true;
	return error;
}

/* port LOW[-HIGH], ADDR/LEN or the name of a process */
static int add_exclude(struct request *req, char *arg)
{
	struct shunt_exclude x = {};
	int error;

	if (req->conf.excludes == SHUNT_EXCLUDES)
		return refuse("--exclude '%s': more than %d", arg, SHUNT_EXCLUDES);
	if (!strncmp(arg, "port:", 5)) {
		x.kind = EXCLUDE_PORT;
		error = parse_range(arg + 5, &x.low, &x.high);
		if (error)
			return error;
	} else if (!strncmp(arg, "process:", 8)) {
		x.kind = EXCLUDE_PROCESS;
		if (!arg[8] || strlen(arg + 8) >= sizeof(x.comm))
			return refuse("--exclude '%s': a process name has 1 to %zu letters", arg,
				      sizeof(x.comm) - 1);
		strcpy(x.comm, arg + 8);
	} else if (strchr(arg, '/')) {
		x.kind = EXCLUDE_PREFIX;
		error = parse_prefix(arg, &x.family, x.addr, &x.len);
		if (error)
			return error;
	} else {
		return refuse("--exclude '%s': neither port:N[-N], ADDR/LEN nor process:NAME", arg);
	}
	req->excludes[req->conf.excludes++] = x;
	return 0;
}

static int set_router(struct request *req, const char *name)
{
	int error = cgroup_resolve(name, req->router, sizeof(req->router));
	struct stat st;

	if (error)
		return error;
	if (stat(req->router, &st))
		return fail(-errno, "cgroup '%s'", req->router);
	req->conf.router_cgroup = st.st_ino;
	return 0;
}

static int number(const char *option, const char *text, __u64 low, __u64 high, __u64 *ret)
{
	char *end;
	__u64 n;

	errno = 0;
	n = strtoull(text, &end, 0);
	if (!*text || *text == '-' || *end || errno || n < low || n > high)
		return refuse("%s '%s': not a number from %llu to %llu", option, text,
			      (unsigned long long)low, (unsigned long long)high);
	*ret = n;
	return 0;
}

/* net.ipv4.tcp_mem, which only the first network namespace shows; else as
 * tcp_init_mem() sets it. */
__u64 default_pages(void)
{
	FILE *f = fopen("/proc/sys/net/ipv4/tcp_mem", "r");
	unsigned long long high = sysconf(_SC_PHYS_PAGES) / 16 * 3 / 2;

	if (f) {
		if (fscanf(f, "%*u %*u %llu", &high) != 1)
			debug("can't read net.ipv4.tcp_mem");
		fclose(f);
	}
	return high / 4;
}

/* With as many shards as CPUs each has its own, and adds without a lock. */
static void set_shards(struct shunt_conf *c)
{
	__u32 cpus = libbpf_num_possible_cpus();

	c->shards = 1;
	while (c->shards < cpus && c->shards < SHUNT_SHARDS)
		c->shards *= 2;
	c->shared = cpus > c->shards;
}

static void set_flows(struct shunt_conf *c, __u32 flows)
{
	c->flow_buckets = 1;
	while (c->flow_buckets < flows)
		c->flow_buckets *= 2;
}

void request_defaults(struct shunt_conf *conf)
{
	*conf = (struct shunt_conf){
		.abi = SHUNT_ABI,
		.max_bytes = DEFAULT_BYTES,
		.max_msgs = DEFAULT_MSGS,
		.max_pages = default_pages(),
		.mark = DEFAULT_MARK,
		.table = DEFAULT_TABLE,
		.max_rules = DEFAULT_RULES,
	};
	conf->netns = own_netns();
	conf->netns_inode = own_netns_inode();
	conf->host_msgs = conf->max_pages * getpagesize() / MSG_COST;
	set_shards(conf);
	set_flows(conf, SHUNT_FLOWS);
}

static int set_limit(struct request *req, const char *option, const char *text)
{
	struct shunt_conf *c = &req->conf;
	__u64 n;
	int error;

	if (!strcmp(option, "--max-bytes")) {
		error = number(option, text, 1, 1ULL << 30, &c->max_bytes);
	} else if (!strcmp(option, "--max-messages")) {
		error = number(option, text, 1, 1U << 20, &n);
		if (!error)
			c->max_msgs = n;
	} else if (!strcmp(option, "--host-bytes")) {
		error = number(option, text, 1, 1ULL << 40, &n);
		if (!error)
			c->max_pages = n / getpagesize();
	} else if (!strcmp(option, "--mark")) {
		error = number(option, text, 1, 0xffffffff, &n);
		if (!error && (n & (n - 1)))
			error = refuse("--mark '%s': more than one bit", text);
		if (!error)
			c->mark = n;
	} else if (!strcmp(option, "--router-mark")) {
		error = number(option, text, 1, 0xffffffff, &n);
		if (!error)
			c->router_mark = n;
	} else if (!strcmp(option, "--max-rules")) {
		error = number(option, text, 1, 1U << 24, &n);
		if (!error)
			c->max_rules = n;
	} else if (!strcmp(option, "--max-flows")) {
		error = number(option, text, 1, 1U << 24, &n);
		if (!error)
			set_flows(c, n);
	} else if (!strcmp(option, "--nat-idle")) {
		error = nat_set_idle(&req->nat_conf, text);
	} else if (!strcmp(option, "--nat-flows")) {
		error = number(option, text, 1, 1U << 22, &n);
		if (!error)
			req->nat_conf.flows = n;
	} else {
		error = number(option, text, 1, 0xffffffff, &n);
		if (!error && n >= 253 && n <= 255)
			error = refuse("--table '%s': the system's own", text);
		if (!error)
			c->table = n;
	}
	return error;
}

bool is_load_option(const char *word)
{
	static const char *const options[] = {
		"--cgroup", "--iface", "--monitor", "--exclude", "--max-bytes", "--max-messages",
		"--host-bytes", "--mark", "--table", "--max-rules", "--max-flows",
		"--router-cgroup", "--router-mark",
		"--nat", "--nat-flows", "--nat-idle", NULL,
	};
	const char *const *o = options;

	while (*o && strcmp(*o, word))
		o++;
	return *o;
}

static int set_option(struct request *req, const char *option, char *value)
{
	if (!strcmp(option, "--cgroup"))
		return add_cgroup(req, value);
	if (!strcmp(option, "--iface"))
		return add_iface(req, value);
	if (!strcmp(option, "--monitor"))
		return add_monitor(req, value);
	if (!strcmp(option, "--nat"))
		return add_nat(req, value);
	if (!strcmp(option, "--exclude"))
		return add_exclude(req, value);
	if (!strcmp(option, "--router-cgroup"))
		return set_router(req, value);
	return set_limit(req, option, value);
}

static int read_config(struct request *req, const char *name)
{
	struct rule_file *f = &req->config;
	int i, error;

	if (f->name)
		return refuse("load: --config is given twice");
	error = rule_file_read(name, f);
	for (i = 0; i < f->options && !error; i += 2) {
		message_place(f->name, f->option_line[i / 2]);
		error = set_option(req, f->option[i], f->option[i + 1]);
	}
	message_place(NULL, 0);
	return error;
}

static const char *excluded_process(const struct request *req)
{
	__u32 i;

	for (i = 0; i < req->conf.excludes; i++)
		if (req->excludes[i].kind == EXCLUDE_PROCESS)
			return req->excludes[i].comm;
	return NULL;
}

int request_parse(int argc, char **argv, struct request *req)
{
	const char *process;
	int i, error = 0;

	request_defaults(&req->conf);
	nat_defaults(&req->nat_conf);
	if (getrandom(req->conf.flow_keys, sizeof(req->conf.flow_keys), 0) < 0)
		return fail(-errno, "no random numbers");
	for (i = 1; i < argc && !error; i += 2) {
		bool config = !strcmp(argv[i], "--config");

		if (!strcmp(argv[i], "--force")) {
			req->force = true;
			i--;
			continue;
		}
		if (!config && !is_load_option(argv[i]))
			return refuse("load: unknown word '%s'; see 'shunt load help'", argv[i]);
		if (i + 1 == argc)
			return refuse("load: %s: a value is missing", argv[i]);
		error = config ? read_config(req, argv[i + 1]) :
				 set_option(req, argv[i], argv[i + 1]);
	}
	if (!error && req->config.count && !req->steer)
		return refuse("load: '%s' has rules, but there is no --iface", req->config.name);
	if (!error && req->config.nats && !req->steer && !req->nat)
		return refuse("load: '%s' has NAT rules, but there is no --nat and no --iface",
			      req->config.name);
	if (!error && req->conf.excludes && !req->bypass)
		return refuse("load: --exclude keeps pairs off the fast path, but there is no --cgroup");
	if (!error && !req->proven && (process = excluded_process(req)))
		return refuse("--exclude 'process:%s': is for 'proven', and 'eager' vouches for all "
			      "programs in a cgroup", process);
	if (!error && !req->n)
		return refuse("load: nothing to do: give --cgroup, --iface, --nat or --monitor");
	monitors_last(req);
	req->conf.host_msgs = req->conf.max_pages * getpagesize() / MSG_COST;
	if (!req->steer)
		req->conf.mark = 0;
	return error;
}

/* Did load's words ask for it? Else shunt found the interface by itself. */
static bool was_asked_for(const struct shunt_state *s)
{
	return s->kind == SHUNT_CGROUP || s->kind == SHUNT_PATTERN || is_monitor(s) ||
	       (s->kind == SHUNT_IFACE && !s->found) || (nat_is(s) && !s->admit);
}

static const char *option_of(const struct shunt_state *s)
{
	if (s->kind == SHUNT_CGROUP)
		return "--cgroup";
	if (is_monitor(s))
		return "--monitor";
	return nat_is(s) ? "--nat" : "--iface";
}

static bool same_excludes(const struct request *req)
{
	const struct shunt_exclude *excludes = pin_mmap("shunt_exclude", NULL);

	return excludes && !memcmp(excludes, req->excludes,
				   req->conf.excludes * sizeof(*excludes));
}

#define SETTING(field, option) \
	{ offsetof(struct shunt_conf, field), sizeof(((struct shunt_conf *)0)->field), option }

static const struct {
	size_t at;
	size_t size;
	const char *option;
} settings[] = {
	SETTING(max_bytes, "--max-bytes"), SETTING(max_msgs, "--max-messages"),
	SETTING(max_pages, "--host-bytes"), SETTING(mark, "--mark"),
	SETTING(table, "--table"), SETTING(max_rules, "--max-rules"),
	SETTING(flow_buckets, "--max-flows"), SETTING(router_mark, "--router-mark"),
	SETTING(router_cgroup, "--router-cgroup"),
};

const char *request_other(struct request *req, struct shunt_state *states,
			  const struct shunt_conf *conf)
{
	const struct shunt_nat *nat = pin_mmap("shunt_nat", NULL);
	const struct shunt_state *s;
	unsigned int i;

	for (i = 0; i < req->n; i++) {
		s = state_same(states, &req->states[i]);
		if (!s || s->admit != req->states[i].admit)
			return option_of(&req->states[i]);
	}
	for (i = 0; i < SHUNT_STATES; i++)
		if (was_asked_for(&states[i]) && !state_same(req->states, &states[i]))
			return option_of(&states[i]);
	if (!nat || nat->flows != req->nat_conf.flows)
		return "--nat-flows";
	if (memcmp(nat->idle_ns, req->nat_conf.idle_ns, sizeof(nat->idle_ns)))
		return "--nat-idle";
	if (conf->excludes != req->conf.excludes || !same_excludes(req))
		return "--exclude";
	for (i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		if (memcmp((const char *)conf + settings[i].at,
			   (const char *)&req->conf + settings[i].at, settings[i].size))
			return settings[i].option;
	return NULL;
}
