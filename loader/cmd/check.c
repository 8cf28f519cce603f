// SPDX-License-Identifier: GPL-2.0-only
/* shunt check: reports what this kernel and host lack, and what to do about that. */
#include <errno.h>
#include <linux/magic.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "attach/cgroup.h"
#include "attach/links.h"
#include "attach/nft_marks.h"
#include "attach/tc.h"
#include "bpf/kernel_features.h"
#include "bpf/pins.h"
#include "bpf/programs.h"
#include "bpf/selftest.h"
#include "cmd/check.h"
#include "cmd/command.h"
#include "cmd/steer.h"
#include "cmd/trace.h"
#include "config/defaults.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "util/netns.h"
#include "util/options.h"
#include "util/text.h"
#include "util/sysctl.h"

static int worst;

void check_found(enum check_result result, const char *name, const char *advice, const char *fmt,
		 ...)
{
	static const char *const word[] = { "ok", "note", "warn", "FAIL" };
	static const char *const json_word[] = { "ok", "note", "warn", "fail" };
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if ((int)result > worst)
		worst = result;
	if (opt.json) {
		json_open(&json_stdout, '{');
		json_string(&json_stdout, "name", name);
		json_string(&json_stdout, "result", json_word[result]);
		json_string(&json_stdout, "detail", text);
		if (advice)
			json_string(&json_stdout, "advice", advice);
		json_close(&json_stdout, '}');
		return;
	}
	printf("%-4s  %-16s %s\n", word[result], name, printable(text));
	if (advice)
		printf("      %-16s -> %s\n", "", printable(advice));
}

static void check_kernel(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname u;

	uname(&u);
	if (sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
	    (major > 6 || (major == 6 && minor >= 1)))
		check_found(OK, "kernel", NULL, "Linux %s", u.release);
	else
		check_found(FAIL, "kernel", "use Linux 6.1 or later",
			    "Linux %s: sockets closed with bytes on the fast path lose them",
			    u.release);
}

static void check_btf(void)
{
	if (!access("/sys/kernel/btf/vmlinux", R_OK))
		check_found(OK, "type info", NULL, "/sys/kernel/btf/vmlinux");
	else
		check_found(FAIL, "type info", "use a kernel built with CONFIG_DEBUG_INFO_BTF",
			    "no /sys/kernel/btf/vmlinux: the programs can't be fitted to this kernel");
}

static void check_bpffs(void)
{
	struct statfs fs;

	if (!statfs("/sys/fs/bpf", &fs) && (unsigned int)fs.f_type == BPF_FS_MAGIC)
		check_found(OK, "bpf file system", NULL, "mounted at /sys/fs/bpf");
	else
		check_found(NOTE, "bpf file system", NULL,
			    "not mounted at /sys/fs/bpf; load mounts it");
}

static void check_cgroup2(void)
{
	char root[4096];

	if (!cgroup_root(root, sizeof(root)))
		check_found(OK, "cgroup2", NULL, "mounted at %s", root);
	else
		check_found(FAIL, "cgroup2",
			    "mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified (or at /sys/fs/cgroup if that is empty)",
			    "not mounted: the bypass has no cgroup to attach to");
}

static void check_behaviour(void)
{
	const struct selftest *t;

	if (selftest_open())
		return;
	for (t = selftests; t->name; t++) {
		if (selftest_passes(t))
			check_found(OK, t->name, NULL, "%s", t->pass_text);
		else
			check_found(t->required ? FAIL : NOTE, t->name, t->advice, "%s",
				    t->fail_text);
	}
	selftest_close();
}

static void check_programs(void)
{
	if (opt.json)
		libbpf_set_print(NULL);
	if (!programs_try(true, false)) {
		check_found(OK, "bypass", NULL, "the kernel takes the programs (%s)",
			    kernel_has_rdonly_cast() ? "plain loads"
						     : "probed loads: kernel before 6.2");
		check_behaviour();
	} else {
		check_found(FAIL, "bypass", "run with -v for the kernel's messages",
			    "the kernel refuses the sock_ops, sk_msg or iterator programs");
	}
	if (!programs_try(false, true))
		check_found(OK, "steering", NULL, "the kernel takes the programs");
	else
		check_found(FAIL, "steering", "run with -v for the kernel's messages",
			    "the kernel refuses the tc programs");
}

/* Reports the features of Linux 6.6. */
static void check_features(void)
{
	struct btf *btf = btf__load_vmlinux_btf();

	if (btf && btf__find_by_name_kind(btf, "tcx_link", BTF_KIND_STRUCT) > 0)
		check_found(OK, "tcx", NULL, "there: programs attach by links");
	else
		check_found(OK, "tcx", NULL,
			    "not in this kernel (6.6 and later): clsact filters are used");
	if (btf && btf__find_by_name_kind(btf, "inet_lookup_reuseport", BTF_KIND_FUNC) > 0)
		check_found(OK, "reuseport", NULL, "listeners with SO_REUSEPORT share their flows");
	else
		check_found(NOTE, "reuseport", "use Linux 6.6 or later, or one listener without it",
			    "flows can't be steered to listeners with SO_REUSEPORT");
	btf__free(btf);
}

static void check_walks(void)
{
	int walks = kernel_has_map_iterators();

	if (walks < 0)
		check_found(WARN, "map iterators", "run 'shunt check' again",
			    "can't find out whether the kernel has them: %s", strerror(-walks));
	else if (walks)
		check_found(OK, "map iterators", NULL, "programs walk over the paired sockets");
	else
		check_found(NOTE, "map iterators",
			    "run 'shunt run' in the PID namespace of the host",
			    "this kernel refuses them: programs walk over the open files of all processes, "
			    "which takes longer");
}

/* The routing rules leave source validation as it is without shunt: see attach/mark_rules.h. */
static void check_rp_filter(const char *iface)
{
	long rp = sysctl_get(iface, "rp_filter"), all = sysctl_get("all", "rp_filter");
	bool marked = sysctl_get(iface, "src_valid_mark") > 0 ||
		      sysctl_get("all", "src_valid_mark") > 0;

	check_found(OK, "rp_filter", NULL,
		    "%s: rp_filter=%ld src_valid_mark=%d: sources are validated as "
		    "without shunt",
		    iface, rp > all ? rp : all, marked);
}

static void check_ifaces(void)
{
	struct if_nameindex *list = if_nameindex(), *i;
	int n;

	if (!list) {
		check_found(WARN, "interfaces", "run 'shunt check' again", "can't list them: %s",
			    strerror(errno));
		return;
	}
	for (i = list; i->if_index; i++) {
		if (!strcmp(i->if_name, "lo"))
			continue;
		check_rp_filter(i->if_name);
		n = tc_count_foreign(i->if_index);
		if (n > 0)
			check_found(NOTE, "tc", NULL,
				    "%s: %d program%s or filter%s of others at ingress; they go on "
				    "seeing every packet",
				    i->if_name, n, n == 1 ? "" : "s", n == 1 ? "" : "s");
	}
	if_freenameindex(list);
	check_found(OK, "accept_local", NULL,
		    "lo: accept_local=%ld (only steering of local traffic needs 1)",
		    sysctl_get("lo", "accept_local"));
}

/* Warns of nftables chains that may overwrite the mark of steered packets. */
static void check_delivery(void)
{
	const struct shunt_conf *conf = pin_mmap(HALF_STEER, "shunt_conf", NULL);
	_cleanup_(nft_markers_free) struct nft_markers m = { .all = NULL };
	char text[NFT_MARKER_TEXT];
	size_t i;

	if (!conf || !conf->mark || conf->netns != own_netns_cookie() ||
	    nft_markers_find(0, conf->mark, &m))
		return;
	for (i = 0; i < m.count; i++)
		check_found(WARN, "delivery",
			    "'shunt steer test --deliver' tries whether packets arrive",
			    "%s sets the mark: steered packets may lose theirs",
			    nft_marker_text(text, &m.all[i]));
	if (!m.count)
		check_found(OK, "delivery", NULL,
			    "no chain of nftables takes the mark 0x%x from steered packets",
			    conf->mark);
}

static bool ours(const char *name)
{
	return !strncmp(name, "shunt_", 6);
}

static void check_foreign_prog(__u32 id, int *n)
{
	_cleanup_fd_ int fd = bpf_prog_get_fd_by_id(id);
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	const char *kind;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) || ours(info.name))
		return;
	kind = info.type == BPF_PROG_TYPE_SOCK_OPS ? "sock_ops"
	       : info.type == BPF_PROG_TYPE_SK_MSG ? "sk_msg"
	       : info.type == BPF_PROG_TYPE_SK_SKB ? "sk_skb"
						   : NULL;
	if (!kind)
		return;
	check_found(WARN, "other users", "keep the two to different cgroups, or unload one",
		    "%s program '%s' (id %u): two sockmap users on one socket stall each other%s",
		    kind, info.name, id,
		    info.type != BPF_PROG_TYPE_SOCK_OPS
			    ? ""
			    : "; one that sets the callback flags without keeping others' leaves pairs on TCP");
	(*n)++;
}

static void check_foreign(void)
{
	__u32 id = 0;
	int n = 0;

	while (!bpf_prog_get_next_id(id, &id))
		check_foreign_prog(id, &n);
	if (!n)
		check_found(OK, "other users", NULL,
			    "no sock_ops, sk_msg or sk_skb programs but shunt's");
}

static void check_memory(void)
{
	check_found(OK, "tcp_mem", NULL,
		    "nothing is redirected while TCP uses over %llu MiB on this host",
		    (unsigned long long)(default_pages() * getpagesize() >> 20));
}

static void check_tracing(void)
{
	char path[4200], advice[4300];

	if (!tracing_is_off(path, sizeof(path))) {
		check_found(OK, "tracing", NULL, "not switched off");
		return;
	}
	snprintf(advice, sizeof(advice), "echo 1 >%s", path);
	check_found(WARN, "tracing", advice,
		    "switched off in the kernel: 'shunt trace' shows nothing");
}

static int look_at_rules(__u32 *ret_count, char ret_fault[STORE_FAULT])
{
	_cleanup_lock_ int lock = rules_lock();
	int error;

	if (lock < 0)
		return lock;
	error = rules_validate(ret_fault);
	*ret_count = rules_count();
	rules_close();
	return error;
}

static void check_rule_store(void)
{
	_cleanup_fd_ int steer = pin_open(HALF_STEER, "progs", "shunt_steer");
	char fault[STORE_FAULT];
	__u32 count;

	if (steer < 0 || netns_enter_loaded())
		return;
	switch (look_at_rules(&count, fault)) {
	case 0:
		check_found(OK, "rule store", NULL, "%u rule%s, all in order", count,
			    count == 1 ? "" : "s");
		break;
	case -EIO:
		check_found(FAIL, "rule store",
			    "unload, and load again with the rules of a file: 'shunt save' may miss some",
			    "not in order: %s", fault);
		break;
	}
}

/* ziti-router opens its listeners on 127.0.0.1 only, whatever its services are. */
static void check_ipv6_services(void)
{
	_cleanup_free_ const struct shunt_rule **all = NULL;
	_cleanup_fd_ int steer = pin_open(HALF_STEER, "progs", "shunt_steer");
	_cleanup_lock_ int lock = -1;
	__u32 i, count = 0, dead = 0;

	if (steer < 0 || netns_enter_loaded())
		return;
	lock = rules_lock();
	if (lock < 0 || rules_sorted(&all, &count))
		return;
	for (i = 0; i < count; i++)
		dead += *all[i]->service && only_ipv4_listens(all[i]);
	if (dead)
		check_found(WARN, "IPv6 services", "give them IPv4 addresses or host names",
			    "%u rule%s to [::1] of a router that listens on 127.0.0.1 only, as ziti-router "
			    "does: it can't take IPv6, and the packets pass",
			    dead, dead == 1 ? "" : "s");
}

int cmd_check(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "help")) {
		printf("usage: shunt check\n\n"
		       "Examines the kernel and the host, changes nothing, and reports what is missing, the\n"
		       "consequences, and what to do. The exit status is 1 if shunt can't do without it.\n");
		return 0;
	}
	if (argc > 1)
		return refuse("check: unknown word '%s'", argv[1]);
	if (geteuid())
		return deny(-EPERM, "this needs root");
	if (opt.json)
		json_open(&json_stdout, '[');
	check_kernel();
	check_btf();
	check_bpffs();
	check_cgroup2();
	check_programs();
	check_features();
	check_walks();
	check_ifaces();
	check_ports();
	check_delivery();
	check_foreign();
	check_memory();
	check_tracing();
	/* The last two may move this process to another network namespace. */
	check_rule_store();
	check_ipv6_services();
	if (opt.json)
		json_close(&json_stdout, ']');
	return worst == FAIL ? -ENOTSUP : 0;
}
