// SPDX-License-Identifier: GPL-2.0-only
/* shunt load: opens the embedded programs, pins them, attaches them. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "attach.h"
#include "cgroup.h"
#include "ifaces.h"
#include "lo.h"
#include "load.h"
#include "local.h"
#include "nat.h"
#include "nat_store.h"
#include "netns.h"
#include "pins.h"
#include "route.h"
#include "rulefile.h"
#include "rules.h"
#include "seen.h"
#include "selftest.h"
#include "shunt.h"
#include "shunt.skel.h"
#include "store.h"
#include "tally.h"
#include "tc.h"

#define DRAIN_MS 2000
#define DEFAULT_BYTES (8ULL << 20)
#define DEFAULT_MSGS 2048
#define DEFAULT_MARK 0x1000000
#define DEFAULT_TABLE 20560
#define DEFAULT_RULES (1U << 20)
/* A queued message pins about 1 KiB of slab besides its bytes. */
#define MSG_COST 1024

struct request {
	struct shunt_state states[SHUNT_STATES];
	unsigned int n;
	struct shunt_exclude excludes[SHUNT_EXCLUDES];
	struct shunt_conf conf;
	struct rule_file config;
	char router[SHUNT_NAME]; /* path of its cgroup, "" if it was not told */
	struct shunt_nat nat_conf;
	bool bypass;
	bool steer;
	bool monitor;
	bool alone; /* nothing but a monitor's programs and maps */
	bool nat;
	bool eager; /* some cgroup is */
	bool proven;
	bool force; /* whatever the kernel does */
	bool all;   /* programs that program_open() loads when they are needed, too */
};

static int usage(void)
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
	       "                       ('veth*'), on all of that name, and with 'shunt run' also on\n"
	       "                       those that come later\n"
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

/* The entry for the same thing, if it is in the list twice. */
static struct shunt_state *find_state(struct shunt_state *states, const struct shunt_state *s)
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
	if (find_state(req->states, s))
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
	if (find_state(req->states, s))
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
		if (find_state(req->states, s))
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
		if (find_state(req->states, s))
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

/* A quarter of what TCP may use in all, in pages: net.ipv4.tcp_mem, which only
 * the first network namespace shows; else as tcp_init_mem() sets it. */
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

static void defaults(struct shunt_conf *conf)
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

static int parse(int argc, char **argv, struct request *req)
{
	const char *process;
	int i, error = 0;

	defaults(&req->conf);
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

/* The option that says something else than what is loaded, NULL if none does. */
static const char *other_option(struct request *req, struct shunt_state *states,
				const struct shunt_conf *conf)
{
	const struct shunt_nat *nat = pin_mmap("shunt_nat", NULL);
	const struct shunt_state *s;
	unsigned int i;

	for (i = 0; i < req->n; i++) {
		s = find_state(states, &req->states[i]);
		if (!s || s->admit != req->states[i].admit)
			return option_of(&req->states[i]);
	}
	for (i = 0; i < SHUNT_STATES; i++)
		if (was_asked_for(&states[i]) && !find_state(req->states, &states[i]))
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

static bool kernel_has(const char *name, __u32 kind)
{
	static struct btf *btf; /* megabytes: read once */

	if (!btf)
		btf = btf__load_vmlinux_btf();
	return btf && btf__find_by_name_kind(btf, name, kind) > 0;
}

bool kernel_casts(void)
{
	return kernel_has("bpf_rdonly_cast", BTF_KIND_FUNC);
}

/* 6.3 and later report the flags of receive calls. */
static bool sees_flags(void)
{
	return kernel_has("btf_trace_sock_recv_length", BTF_KIND_TYPEDEF);
}

static void choose_maps(struct shunt_bpf *skel, const struct request *req)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, skel->obj) {
		bool monitor = map == skel->maps.shunt_monitor || map == skel->maps.shunt_seen ||
			       map == skel->maps.shunt_buckets;

		if (!bpf_map__is_internal(map))
			bpf_map__set_autocreate(map, monitor ? req->monitor : !req->alone);
	}
	bpf_map__set_max_entries(skel->maps.shunt_buckets, seen_buckets());
	bpf_map__set_max_entries(skel->maps.shunt_seen, seen_buckets() * SHUNT_WAYS);
}

static int open_programs(const struct request *req, struct shunt_bpf **ret)
{
	__u32 buckets = req->conf.flow_buckets ? req->conf.flow_buckets : 1;
	bool casts = kernel_casts();
	struct shunt_bpf *skel;
	int error;

	if (access("/sys/kernel/btf/vmlinux", R_OK))
		return deny(-ENOENT, "this kernel has no type information (/sys/kernel/btf/vmlinux); "
			    "shunt needs CONFIG_DEBUG_INFO_BTF");
	skel = shunt_bpf__open();
	if (!skel)
		return fail(-errno, "can't open the programs");
	bpf_program__set_autoload(skel->progs.shunt_eager, req->bypass);
	bpf_program__set_autoload(skel->progs.shunt_proven, req->bypass);
	bpf_program__set_autoload(skel->progs.shunt_scan, req->bypass);
	bpf_program__set_autoload(skel->progs.shunt_adopt, req->bypass);
	bpf_program__set_autoload(skel->progs.shunt_kick, req->bypass);
	bpf_program__set_autoload(skel->progs.shunt_reset,
				  req->bypass && kernel_has("bpf_sock_destroy", BTF_KIND_FUNC));
	bpf_program__set_autoload(skel->progs.shunt_read, req->bypass);
	bpf_program__set_autoload(skel->progs.shunt_ioctl, req->bypass);
	bpf_program__set_autoload(skel->progs.shunt_recv, req->bypass && sees_flags());
	bpf_program__set_autoload(skel->progs.shunt_send, req->bypass && sees_flags());
	bpf_program__set_autoload(skel->progs.shunt_list, req->bypass);
	bpf_program__set_autoload(skel->progs.shunt_drain, req->bypass);
	bpf_program__set_autoload(skel->progs.shunt_verdict, req->bypass && casts);
	bpf_program__set_autoload(skel->progs.shunt_verdict61, req->bypass && !casts);
	bpf_program__set_autoload(skel->progs.shunt_steer, req->steer);
	bpf_program__set_autoload(skel->progs.shunt_test, req->all);
	bpf_program__set_autoload(skel->progs.shunt_local, req->all);
	bpf_program__set_autoload(skel->progs.shunt_arrive, req->all);
	bpf_program__set_autoload(skel->progs.shunt_whole, req->steer);
	bpf_program__set_autoload(skel->progs.shunt_gather, req->steer);
	/* without steering they are of no use, but belong to the object */
	bpf_map__set_max_entries(skel->maps.shunt_flows, req->steer ? buckets : 1);
	bpf_program__set_autoload(skel->progs.shunt_see_in, req->monitor);
	bpf_program__set_autoload(skel->progs.shunt_see_out, req->monitor);
	bpf_program__set_autoload(skel->progs.shunt_nat_in, req->all);
	bpf_program__set_autoload(skel->progs.shunt_nat_out, req->all);
	bpf_program__set_autoload(skel->progs.shunt_nat_raw_in, req->all);
	bpf_program__set_autoload(skel->progs.shunt_nat_raw_out, req->all);
	bpf_program__set_autoload(skel->progs.shunt_nat_init, req->steer || req->nat);
	bpf_map__set_max_entries(skel->maps.shunt_nat_flows, 2 * req->nat_conf.flows);
	bpf_map__set_max_entries(skel->maps.shunt_nat_queue,
				 req->steer || req->nat ? req->nat_conf.flows : 1);
	choose_maps(skel, req);
	error = shunt_bpf__load(skel);
	if (error) {
		shunt_bpf__destroy(skel);
		return fail(error, "the kernel refuses the programs ('shunt check' and -v tell more)");
	}
	*ret = skel;
	return 0;
}

/* A cgroup or an interface that was removed and made again lost its program, and
 * somebody may have removed the rule that delivers steered packets. */
static int attach_again(const struct request *req, struct shunt_conf *conf,
			struct shunt_state *states)
{
	const struct shunt_state *wanted;
	struct shunt_state *s;
	char name[32];
	unsigned int i, n = 0;
	int error = route_restore(conf, &n);

	for (i = 0; i < req->n && !error; i++) {
		wanted = &req->states[i];
		s = find_state(states, wanted);
		if (!s || s->kind == SHUNT_PATTERN || (attached(states, s - states) && s->ifindex == wanted->ifindex))
			continue;
		error = tc_program(s) ? let_go(states, s - states) :
					unpin("links", link_name(name, s - states));
		if (error)
			break;
		*s = *wanted;
		error = attach(states, s - states);
		if (!error)
			say("attached again to '%s'", s->name);
		n++;
	}
	if (!n)
		say("already loaded");
	if (!n || error || !req->steer)
		return error;
	error = rules_open();
	return error ? error : rules_rebind();
}

/* The kernel may have no memory for the timer at the moment. */
static int start_nat(const struct shunt_bpf *skel)
{
	char packet[64] = "";
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet, .data_size_in = sizeof(packet));
	int fd = bpf_program__fd(skel->progs.shunt_nat_init), tries;

	if (fd < 0)
		return 0;
	for (tries = 0; tries < 100; tries++) {
		if (bpf_prog_test_run_opts(fd, &o))
			return fail(-errno, "can't set up NAT");
		if (!o.retval)
			return 0;
	}
	return fail((int)o.retval, "can't make a timer for NAT");
}

static int make_dirs(void)
{
	const char *const kinds[] = { "maps", "progs", "links" };
	char path[PIN_PATH];
	size_t i;

	for (i = 0; i < 3; i++)
		if (mkdir(pin_path(path, kinds[i], ""), 0700) && errno != EEXIST)
			return fail(-errno, "can't make '%s'", path);
	return 0;
}

static int pin(int fd, const char *kind, const char *name)
{
	char path[PIN_PATH];

	if (bpf_obj_pin(fd, pin_path(path, kind, name)))
		return fail(-errno, "can't pin '%s'", path);
	return 0;
}

static int pin_all(struct shunt_bpf *skel)
{
	struct bpf_program *prog;
	struct bpf_map *map;
	int error;

	/* First of all what teardown needs to know. */
	error = pin(bpf_map__fd(skel->maps.shunt_conf), "maps", "shunt_conf");
	if (!error)
		error = pin(bpf_map__fd(skel->maps.shunt_state), "maps", "shunt_state");
	bpf_object__for_each_map(map, skel->obj) {
		if (error)
			return error;
		if (bpf_map__is_internal(map) || map == skel->maps.shunt_conf ||
		    map == skel->maps.shunt_state || bpf_map__fd(map) < 0)
			continue;
		error = pin(bpf_map__fd(map), "maps", bpf_map__name(map));
	}
	bpf_object__for_each_program(prog, skel->obj) {
		if (error)
			return error;
		if (bpf_program__fd(prog) >= 0)
			error = pin(bpf_program__fd(prog), "progs", bpf_program__name(prog));
	}
	return error;
}

/* Takes the pinned maps in the place of new ones. */
static void reuse_maps(struct shunt_bpf *skel)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, skel->obj) {
		_cleanup_fd_ int fd = -1;

		if (bpf_map__is_internal(map))
			continue;
		fd = pin_open("maps", bpf_map__name(map));
		if (fd < 0 || bpf_map__reuse_fd(map, fd))
			bpf_map__set_autocreate(map, false);
	}
}

/* Loads one more program and pins it. */
static int add_program(const char *name)
{
	struct shunt_bpf *skel = shunt_bpf__open();
	struct bpf_program *prog;
	int error;

	if (!skel)
		return fail(-errno, "can't open the programs");
	bpf_object__for_each_program(prog, skel->obj)
		bpf_program__set_autoload(prog, !strcmp(bpf_program__name(prog), name));
	reuse_maps(skel);
	error = shunt_bpf__load(skel);
	if (error)
		error = fail(error, "the kernel refuses the program '%s' ('shunt check' and -v tell more)",
			     name);
	prog = bpf_object__find_program_by_name(skel->obj, name);
	if (!error)
		error = pin(bpf_program__fd(prog), "progs", name);
	shunt_bpf__destroy(skel);
	return error;
}

int program_open(const char *name)
{
	int error, fd = pin_open("progs", name);

	if (fd == -ENOENT) {
		error = add_program(name);
		if (error)
			return error;
		fd = pin_open("progs", name);
	}
	return fd < 0 ? fail(fd, "program '%s'", name) : fd;
}

static int attach_verdict(struct shunt_bpf *skel)
{
	int fd = bpf_program__fd(skel->progs.shunt_verdict);

	if (fd < 0)
		fd = bpf_program__fd(skel->progs.shunt_verdict61);
	if (bpf_prog_attach(fd, bpf_map__fd(skel->maps.shunt_socks), BPF_SK_MSG_VERDICT, 0))
		return fail(-errno, "can't attach the verdict to the map of sockets");
	return 0;
}

static int prepare_monitor(__u32 mark)
{
	_cleanup_fd_ int fd = pin_open("maps", "shunt_monitor");

	return fd < 0 ? fail(fd, "can't set up the monitor") : seen_prepare(fd, mark);
}

static int attach_all(const struct request *req, struct rule_changes *ret_nat)
{
	struct shunt_conf *conf = pin_mmap("shunt_conf", NULL);
	struct shunt_state *states = pin_mmap("shunt_state", NULL);
	struct shunt_exclude *excludes = pin_mmap("shunt_exclude", NULL);
	struct shunt_nat *nat = pin_mmap("shunt_nat", NULL);
	unsigned int i;
	int error = 0;

	if (!conf || !states || !excludes || !nat)
		return fail(-errno, "can't map the settings");
	memcpy(excludes, req->excludes, sizeof(req->excludes));
	*conf = req->conf;
	*nat = req->nat_conf;
	conf->sees_flags = sees_flags();
	/* those that an earlier load steered may be on their way */
	conf->cookies = ticks_now();
	if (req->monitor)
		error = prepare_monitor(conf->mark);
	if (!error && req->steer)
		error = route_add(conf);
	if (error)
		conf->mark = 0; /* whatever is there is not ours to remove */
	if (!error && req->nat)
		error = nat_forwarding(conf);
	for (i = 0; i < req->n && !error; i++) {
		states[i] = req->states[i];
		error = attach(states, i);
	}
	if (!error && req->steer)
		error = ifaces_sync(conf, states);
	if (!error && rule_file_is_local(&req->config))
		error = local_begin();
	if (!error && req->config.nats)
		error = nat_store_open();
	if (!error && req->config.nats)
		error = nat_replace(req->config.nat, req->config.nats, ret_nat);
	if (!error)
		__atomic_store_n(&conf->loaded, 1, __ATOMIC_SEQ_CST);
	return error ? error : lo_keep(conf);
}

static int name_router(const struct request *req, const struct shunt_bpf *skel)
{
	_cleanup_fd_ int cgroup = -1;
	__u32 zero = 0;

	if (!*req->router)
		return 0;
	cgroup = open(req->router, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup < 0)
		return fail(-errno, "cgroup '%s'", req->router);
	if (bpf_map_update_elem(bpf_map__fd(skel->maps.shunt_router), &zero, &cgroup, BPF_ANY))
		return fail(-errno, "can't enter cgroup '%s'", req->router);
	return 0;
}

/* Rules are there before the first packet. */
static int make_rules(const struct request *req, const struct shunt_bpf *skel,
		      struct rule_changes *ret)
{
	struct shunt_conf *conf = pin_mmap("shunt_conf", NULL);
	int error;

	if (!conf)
		return fail(-errno, "can't map the settings");
	conf->shards = req->conf.shards;
	conf->max_rules = req->conf.max_rules;
	error = tallies_make(bpf_map__fd(skel->maps.shunt_tallies), conf->shards);
	if (!error)
		error = store_make(bpf_map__fd(skel->maps.shunt_rules));
	if (error || !req->config.count)
		return error;
	error = rules_open();
	return error ? error : rule_file_apply(&req->config, ret);
}

static int load_fresh(const struct request *req)
{
	struct rule_changes steer = {}, nat = {};
	struct shunt_bpf *skel = NULL;
	int error = open_programs(req, &skel);

	if (!error)
		error = make_dirs();
	if (!error)
		error = pin_all(skel);
	if (!error)
		error = name_router(req, skel);
	if (!error)
		error = start_nat(skel);
	if (!error && req->steer)
		error = make_rules(req, skel, &steer);
	if (!error && req->bypass)
		error = attach_verdict(skel);
	if (!error)
		error = attach_all(req, &nat);
	if (!error && req->config.count + req->config.nats) {
		rule_file_report(&steer, &nat);
		ifaces_warn(req->config.rule, req->config.count);
	}
	shunt_bpf__destroy(skel);
	return error;
}

static int load(struct request *req)
{
	_cleanup_fd_ int lock = pins_lock(true);
	_cleanup_fd_ int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	bool fionread = true;
	struct shunt_conf *conf;
	struct shunt_state *states;
	const char *other;
	int error;

	if (lock < 0)
		return lock;
	conf = pin_mmap("shunt_conf", NULL);
	states = pin_mmap("shunt_state", NULL);
	if (conf && states && conf->loaded) {
		if (conf->netns != own_netns())
			return home_netns() ? home_gone() : deny(-EEXIST, "already loaded in another network namespace; unload first, or "
				    "choose another --pin-dir");
		other = other_option(req, states, conf);
		if (other)
			return deny(-EEXIST, "already loaded with other options: another %s ('shunt "
				    "status' shows what is loaded); unload first", other);
		if (req->config.count + req->config.nats)
			say("rules are left as they are: 'shunt apply' changes them");
		error = attach_again(req, conf, states);
		if (!error && ifaces_wanted(states))
			error = ifaces_sync(conf, states);
		return error;
	}
	/* what an interrupted load or unload left, maybe in another namespace */
	error = teardown(DRAIN_MS);
	if (!error && own >= 0 && setns(own, CLONE_NEWNET))
		error = fail(-errno, "can't go back to this network namespace");
	if (error)
		return error;
	if (req->proven || (req->eager && !req->force))
		error = selftest_load(req->eager && !req->force, &fionread);
	req->conf.fionread_faulty = !fionread;
	if (!error)
		error = load_fresh(req);
	if (error && !teardown(DRAIN_MS))
		pins_remove();
	return error;
}

int programs_try(bool bypass, bool steer)
{
	const struct request req = {
		.bypass = bypass, .steer = steer, .all = steer, .nat_conf.flows = 1,
	};
	struct shunt_bpf *skel;
	int error = open_programs(&req, &skel);

	if (!error)
		shunt_bpf__destroy(skel);
	return error;
}

int private_bypass_open(struct private_bypass *ret)
{
	struct request req = { .bypass = true };
	struct shunt_conf *conf;
	struct shunt_bpf *skel;
	int error;

	defaults(&req.conf);
	nat_defaults(&req.nat_conf);
	error = open_programs(&req, &skel);
	if (!error)
		error = attach_verdict(skel);
	if (error)
		return error;
	conf = mmap(NULL, sizeof(*conf), PROT_READ | PROT_WRITE, MAP_SHARED,
		    bpf_map__fd(skel->maps.shunt_conf), 0);
	if (conf == MAP_FAILED) {
		shunt_bpf__destroy(skel);
		return fail(-errno, "can't map the settings");
	}
	*conf = req.conf;
	*ret = (struct private_bypass){
		.skel = skel,
		.conf = conf,
		.socks = bpf_map__fd(skel->maps.shunt_socks),
		.storage = bpf_map__fd(skel->maps.shunt_sk),
	};
	return 0;
}

void private_bypass_close(struct private_bypass *b)
{
	munmap(b->conf, sizeof(*b->conf));
	shunt_bpf__destroy(b->skel);
}

int private_monitor_open(struct private_monitor *ret)
{
	struct request req = { .monitor = true, .alone = true };
	struct shunt_bpf *skel;
	int error = open_programs(&req, &skel);

	if (error)
		return error;
	*ret = (struct private_monitor){
		.skel = skel,
		.in = bpf_program__fd(skel->progs.shunt_see_in),
		.out = bpf_program__fd(skel->progs.shunt_see_out),
		.maps = {
			.monitor = bpf_map__fd(skel->maps.shunt_monitor),
			.buckets = bpf_map__fd(skel->maps.shunt_buckets),
			.seen = bpf_map__fd(skel->maps.shunt_seen),
		},
	};
	return 0;
}

void private_monitor_close(struct private_monitor *m)
{
	shunt_bpf__destroy(m->skel);
	m->skel = NULL;
}

int cmd_load(int argc, char **argv)
{
	_cleanup_free_ struct request *req = NULL;
	int error;

	if (argc == 2 && !strcmp(argv[1], "help"))
		return usage();
	req = calloc(1, sizeof(*req));
	if (!req)
		return -ENOMEM;
	error = parse(argc, argv, req);
	if (!error)
		error = load(req);
	rule_file_free(&req->config);
	return error;
}
