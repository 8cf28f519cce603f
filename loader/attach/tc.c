// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attaching to an interface's ingress or egress. A tcx link is the program's
 * alone and leaves with its pin. Before Linux 6.6 there is only the clsact
 * qdisc, which anybody may use: what we made there is told by its place and its
 * program.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "attach/tc.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/rtnl.h"

/* Not in 6.1's headers: BPF_TCX_INGRESS, BPF_TCX_EGRESS, BPF_F_BEFORE */
#define TCX_INGRESS ((enum bpf_attach_type)46)
#define TCX_EGRESS ((enum bpf_attach_type)47)
#define TCX_FIRST 8
#define TCX_PROGRAMS 64 /* BPF_MPROG_MAX */

/*
 * Handle of a clsact filter: the low bits say whether shunt made the qdisc:
 * whoever attaches later owns it too, and the last to go removes it. The others
 * are the process of a filter that is for one command only, 0 for the rest.
 */
#define FILTER_HANDLE 1
#define OWNER_HANDLE 2
#define HANDLE_PID 8 /* first bit of the process */
#define PRIORITIES 64
#define OUR_NAMES "shunt_" /* begin so */

#define PARENT_INGRESS TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)
#define PARENT_EGRESS TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)

/*
 * Where a kind of attachment goes. Programs run in order of attachment, or of
 * clsact priority (0x53 is "S"; tc itself counts down from 0xc000). NAT is
 * before steering at ingress, which then sees the addresses that it restored,
 * and after it at egress, which leaves what steering takes. The monitor is last
 * at ingress, where it sees the mark of steering, and first at egress, before
 * anybody redirects.
 */
static const struct hook {
	const char *program;
	enum bpf_attach_type tcx;
	enum bpf_tc_attach_point point;
	__u32 parent;
	__u32 flags;    /* tcx */
	__u16 priority; /* clsact: the first that may be ours */
} hooks[] = {
	[ATTACH_IFACE] = { "shunt_steer", TCX_INGRESS, BPF_TC_INGRESS, PARENT_INGRESS, 0, 0x5300 },
	[ATTACH_LOCAL_OUT] = { "shunt_local", TCX_EGRESS, BPF_TC_EGRESS, PARENT_EGRESS, TCX_FIRST,
			       0x5300 },
	[ATTACH_LOCAL_IN] = { "shunt_arrive", TCX_INGRESS, BPF_TC_INGRESS, PARENT_INGRESS, 0, 0x5300 },
	[ATTACH_MONITOR_IN] = { "shunt_count_in", TCX_INGRESS, BPF_TC_INGRESS, PARENT_INGRESS, 0,
				0x5380 },
	[ATTACH_MONITOR_OUT] = { "shunt_count_out", TCX_EGRESS, BPF_TC_EGRESS, PARENT_EGRESS,
				 TCX_FIRST, 0x5200 },
	[ATTACH_NAT_IN] = { "shunt_nat_in", TCX_INGRESS, BPF_TC_INGRESS, PARENT_INGRESS, TCX_FIRST,
			    0x5280 },
	[ATTACH_NAT_OUT] = { "shunt_nat_out", TCX_EGRESS, BPF_TC_EGRESS, PARENT_EGRESS, 0, 0x5380 },
	[ATTACH_NAT_RAW_IN] = { "shunt_nat_raw_in", TCX_INGRESS, BPF_TC_INGRESS, PARENT_INGRESS,
				TCX_FIRST, 0x5280 },
	[ATTACH_NAT_RAW_OUT] = { "shunt_nat_raw_out", TCX_EGRESS, BPF_TC_EGRESS, PARENT_EGRESS, 0,
				 0x5380 },
};

static const struct hook *hook_of(const struct shunt_attachment *a)
{
	return &hooks[a->kind];
}

const char *tc_program(const struct shunt_attachment *a)
{
	return a->kind < sizeof(hooks) / sizeof(hooks[0]) ? hook_of(a)->program : NULL;
}

/* The map must hold the value before the system call that follows. */
#define write_ahead(field, value) __atomic_store_n(&(field), (value), __ATOMIC_SEQ_CST)

/* Whose program is it? */

static int program_info(int fd, struct bpf_prog_info *info)
{
	__u32 len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return bpf_obj_get_info_by_fd(fd, info, &len) ? -errno : 0;
}

/* Whether the program's name begins with this one, of which the kernel keeps 15 letters:
 * 1, 0 (also if the program is gone), or -errno. */
static int is_named(__u32 id, const char *name)
{
	_cleanup_fd_ int fd = bpf_prog_get_fd_by_id(id);
	struct bpf_prog_info info;
	int error;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	error = program_info(fd, &info);
	if (error)
		return error;
	return !strncmp(info.name, name, strnlen(name, BPF_OBJ_NAME_LEN - 1));
}

/* The same about the program of an attachment. */
static int is_ours(const struct shunt_attachment *a, __u32 id, int prog_fd)
{
	struct bpf_prog_info info;
	int error;

	if (prog_fd < 0)
		return is_named(id, hook_of(a)->program);
	error = program_info(prog_fd, &info);
	return error ? error : info.id == id;
}

/* For the callbacks of a dump: takes what is_named() returned. */
static int end_dump(int error)
{
	errno = -error;
	return MNL_CB_ERROR;
}

/* Filters and qdiscs over rtnetlink */

static int dump(int ifindex, __u16 type, __u32 parent, mnl_cb_t cb, void *data)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct tcmsg *tcm = mnl_nlmsg_put_extra_header(nlh, sizeof(*tcm));

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_DUMP;
	tcm->tcm_ifindex = ifindex;
	tcm->tcm_parent = parent;
	return rtnl_request(nlh, cb, data);
}

static bool has_kind(const struct nlmsghdr *nlh, const char *kind)
{
	const struct nlattr *attr = rtnl_attr(nlh, sizeof(struct tcmsg), TCA_KIND);

	return attr && !mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) &&
	       !strcmp(mnl_attr_get_str(attr), kind);
}

/* The program of a filter, 0 if it has none. */
static __u32 filter_program(const struct nlmsghdr *nlh)
{
	const struct nlattr *attr, *options;

	options = rtnl_attr(nlh, sizeof(struct tcmsg), TCA_OPTIONS);
	if (!options || !has_kind(nlh, "bpf"))
		return 0;
	mnl_attr_for_each_nested(attr, options)
		if (mnl_attr_get_type(attr) == TCA_BPF_ID &&
		    !mnl_attr_validate(attr, MNL_TYPE_U32))
			return mnl_attr_get_u32(attr);
	return 0;
}

struct filters {
	__u32 priority; /* that we look for, with this handle */
	__u32 handle;
	__u32 program;  /* of the filter that is there, 0 if none */
	bool owner;     /* some filter says that shunt made the qdisc */
	__u32 first;    /* of PRIORITIES */
	__u64 taken;    /* a bit for each */
	bool any;
};

static int see_filter(const struct nlmsghdr *nlh, void *data)
{
	const struct tcmsg *tcm = mnl_nlmsg_get_payload(nlh);
	__u32 priority = TC_H_MAJ(tcm->tcm_info) >> 16;
	struct filters *filters = data;
	int ours;

	filters->any = true;
	if (priority >= filters->first && priority < filters->first + PRIORITIES)
		filters->taken |= 1ULL << (priority - filters->first);
	if (priority == filters->priority && tcm->tcm_handle == filters->handle)
		filters->program = filter_program(nlh);
	if ((tcm->tcm_handle & ((1 << HANDLE_PID) - 1)) != OWNER_HANDLE)
		return MNL_CB_OK;
	ours = is_named(filter_program(nlh), OUR_NAMES);
	if (ours < 0)
		return end_dump(ours);
	filters->owner |= ours;
	return MNL_CB_OK;
}

static int read_filters(int ifindex, __u32 parent, struct filters *filters)
{
	return dump(ifindex, RTM_GETTFILTER, parent, see_filter, filters);
}

struct qdisc {
	int ifindex;
	bool found;  /* clsact or ingress: they share one place */
	bool clsact;
};

static int see_qdisc(const struct nlmsghdr *nlh, void *data)
{
	const struct tcmsg *tcm = mnl_nlmsg_get_payload(nlh);
	struct qdisc *qdisc = data;

	if (tcm->tcm_ifindex == qdisc->ifindex && tcm->tcm_parent == TC_H_CLSACT) {
		qdisc->found = true;
		qdisc->clsact = has_kind(nlh, "clsact");
	}
	return MNL_CB_OK;
}

static int read_qdisc(int ifindex, struct qdisc *qdisc)
{
	*qdisc = (struct qdisc){ .ifindex = ifindex };
	return dump(ifindex, RTM_GETQDISC, 0, see_qdisc, qdisc);
}

/* clsact */

static int ifindex_of(const struct shunt_attachment *a)
{
	return (int)a->ifindex;
}

static __u32 handle_of(const struct shunt_attachment *a)
{
	return (a->qdisc ? OWNER_HANDLE : FILTER_HANDLE) | a->owner << HANDLE_PID;
}

/* 1 if our filter is there, 0 if not, or -errno. */
static int find_filter(const struct shunt_attachment *a, int prog_fd)
{
	struct filters filters = { .priority = a->priority, .handle = handle_of(a) };
	int error;

	if (!a->priority)
		return 0;
	error = read_filters(ifindex_of(a), hook_of(a)->parent, &filters);
	if (error)
		return error;
	return filters.program ? is_ours(a, filters.program, prog_fd) : 0;
}

static int remove_filter(const struct shunt_attachment *a, int prog_fd)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex_of(a),
			    .attach_point = hook_of(a)->point);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle_of(a), .priority = a->priority);
	int found, error;

	found = find_filter(a, prog_fd);
	if (found < 0)
		return fail(found, "can't read the filters of '%s'", a->name);
	if (!found)
		return 0;
	error = bpf_tc_detach(&hook, &opts);
	if (error && find_filter(a, prog_fd))
		return fail(error, "can't detach from '%s'", a->name);
	return 0;
}

/* 1 if the qdisc is there and nobody uses it, 0 if not, or -errno. */
static int qdisc_is_idle(const struct shunt_attachment *a)
{
	struct filters filters = { .priority = 0 };
	struct qdisc qdisc;
	int error;

	error = read_qdisc(ifindex_of(a), &qdisc);
	if (!error)
		error = read_filters(ifindex_of(a), PARENT_INGRESS, &filters);
	if (!error)
		error = read_filters(ifindex_of(a), PARENT_EGRESS, &filters);
	if (error)
		return error;
	return qdisc.clsact && !filters.any;
}

static int remove_qdisc(const struct shunt_attachment *a)
{
	/* With both directions libbpf removes the qdisc, not just filters. */
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex_of(a),
			    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	int idle, error;

	if (!a->qdisc)
		return 0;
	idle = qdisc_is_idle(a);
	if (idle < 0)
		return fail(idle, "can't read the filters of '%s'", a->name);
	if (!idle)
		return 0;
	error = bpf_tc_hook_destroy(&hook);
	if (error && qdisc_is_idle(a))
		return fail(error, "can't remove the clsact qdisc of '%s'", a->name);
	return 0;
}

static int detach_clsact(const struct shunt_attachment *a, int prog_fd)
{
	int filter = remove_filter(a, prog_fd), qdisc = remove_qdisc(a);

	return filter ? filter : qdisc;
}

static int make_qdisc(struct shunt_attachment *a)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex_of(a),
			    .attach_point = BPF_TC_INGRESS);
	struct filters filters = { .priority = 0 };
	struct qdisc qdisc;
	int error;

	/* Else, killed below, we would take another's idle qdisc for ours. */
	error = read_qdisc(ifindex_of(a), &qdisc);
	if (!error && qdisc.found)
		error = read_filters(ifindex_of(a), PARENT_INGRESS, &filters) ?:
				read_filters(ifindex_of(a), PARENT_EGRESS, &filters);
	if (error)
		return fail(error, "can't read the qdiscs of '%s'", a->name);
	if (qdisc.found) {
		write_ahead(a->qdisc, filters.owner);
		return 0;
	}
	write_ahead(a->qdisc, 1);
	error = bpf_tc_hook_create(&hook);
	if (error)
		write_ahead(a->qdisc, 0);
	if (error && error != -EEXIST)
		return fail(error, "can't make a clsact qdisc on '%s'", a->name);
	return 0;
}

static int try_filter(const struct shunt_attachment *a, int prog_fd)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex_of(a),
			    .attach_point = hook_of(a)->point);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle_of(a), .priority = a->priority,
			    .prog_fd = prog_fd);

	return bpf_tc_attach(&hook, &opts);
}

static int make_filter(struct shunt_attachment *a, int prog_fd)
{
	const struct hook *hook = hook_of(a);
	struct filters filters = { .first = hook->priority };
	int i, error;

	error = read_filters(ifindex_of(a), hook->parent, &filters);
	if (error)
		return fail(error, "can't read the filters of '%s'", a->name);
	error = -EEXIST;
	for (i = 0; i < PRIORITIES && error == -EEXIST; i++) {
		if (filters.taken & 1ULL << i)
			continue;
		write_ahead(a->priority, (__u16)(hook->priority + i));
		error = try_filter(a, prog_fd);
	}
	if (error)
		return fail(error, "can't attach to '%s'", a->name);
	debug("attached to '%s' by a clsact filter of priority %u", a->name, a->priority);
	return 0;
}

static int attach_clsact(struct shunt_attachment *a, int prog_fd)
{
	int error;

	write_ahead(a->qdisc, 0);
	write_ahead(a->priority, 0);
	write_ahead(a->clsact, 1);
	error = make_qdisc(a);
	if (!error)
		error = make_filter(a, prog_fd);
	if (!error)
		return 0;
	if (detach_clsact(a, prog_fd))
		return error; /* the entry says what is left */
	write_ahead(a->qdisc, 0);
	write_ahead(a->priority, 0);
	write_ahead(a->clsact, 0);
	return error;
}

/* tcx */

static int detach_tcx(const struct shunt_attachment *a, const char *link_pin)
{
	_cleanup_fd_ int link = bpf_obj_get(link_pin);

	if (link < 0 && link != -ENOENT)
		return fail(link, "can't detach from '%s': %s", a->name, link_pin);
	/* Unlinking alone detaches some time later, from a work queue. */
	if (link >= 0)
		bpf_link_detach(link);
	if (unlink(link_pin) && errno != ENOENT)
		return fail(-errno, "can't detach from '%s': %s", a->name, link_pin);
	return 0;
}

/* The interface that a link holds, by its index in whatever namespace it is; 0
 * if there is none. Returns 0 or -errno. */
static int linked_to(const char *link_pin, __u32 *ret)
{
	_cleanup_fd_ int link = bpf_obj_get(link_pin);
	struct bpf_link_info info = { .type = 0 };
	__u32 len = sizeof(info);

	*ret = 0;
	if (link < 0)
		return link == -ENOENT ? 0 : link;
	if (bpf_obj_get_info_by_fd(link, &info, &len))
		return -errno;
	/* tcx.ifindex, which 6.1's headers lack, lies where xdp.ifindex does;
	 * it is 0 once the link is dead. */
	*ret = info.xdp.ifindex;
	return 0;
}

/* Asked of the interface, too: a link goes with one that moves to another
 * namespace. */
static int is_linked(const struct shunt_attachment *a, int prog_fd, const char *link_pin)
{
	__u32 ids[TCX_PROGRAMS], n = TCX_PROGRAMS, ifindex;
	int there = linked_to(link_pin, &ifindex);

	if (there || ifindex != a->ifindex)
		return there;
	if (bpf_prog_query(ifindex_of(a), hook_of(a)->tcx, 0, NULL, ids, &n))
		return is_shortage(-errno) ? -errno : 0;
	while (n-- && !there)
		there = is_ours(a, ids[n], prog_fd);
	return there;
}

/* Both */

int tc_attach_link(struct shunt_attachment *a, int prog_fd, int *ret_link)
{
	const struct hook *hook = hook_of(a);
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = hook->flags);
	int link;

	link = bpf_link_create(prog_fd, ifindex_of(a), hook->tcx, &opts);
	if (link < 0 && errno == EINVAL)
		return attach_clsact(a, prog_fd);
	if (link < 0)
		return fail(-errno, "can't attach to '%s'", a->name);
	debug("attached to '%s' by a tcx link", a->name);
	*ret_link = link;
	return 0;
}

int tc_attach(struct shunt_attachment *a, int prog_fd, const char *link_pin)
{
	_cleanup_fd_ int link = -1;
	int error = tc_attach_link(a, prog_fd, &link);

	if (!error && link >= 0 && bpf_obj_pin(link, link_pin))
		return fail(-errno, "can't pin the link of '%s' at %s", a->name, link_pin);
	return error;
}

int tc_detach_link(const struct shunt_attachment *a, int prog_fd, int *link)
{
	/* Closing alone detaches some time later, from a work queue. */
	if (*link >= 0) {
		bpf_link_detach(*link);
		close(take_fd(link));
	}
	return a->clsact ? detach_clsact(a, prog_fd) : 0;
}

int tc_detach(const struct shunt_attachment *a, int prog_fd, const char *link_pin)
{
	int link = detach_tcx(a, link_pin);
	int clsact = a->clsact ? detach_clsact(a, prog_fd) : 0;

	return link ? link : clsact;
}

int tc_attached(const struct shunt_attachment *a, int prog_fd, const char *link_pin)
{
	int found = a->clsact ? find_filter(a, prog_fd) : 0;

	if (a->clsact)
		return found < 0 && !is_shortage(found) ? 0 : found;
	return is_linked(a, prog_fd, link_pin);
}

bool tc_away(const struct shunt_attachment *a, const char *link_pin)
{
	__u32 ifindex;

	return !a->clsact && !linked_to(link_pin, &ifindex) && ifindex;
}

static int count_foreign(const struct nlmsghdr *nlh, void *data)
{
	const struct tcmsg *tcm = mnl_nlmsg_get_payload(nlh);
	int *count = data, ours = is_named(filter_program(nlh), OUR_NAMES);

	if (ours < 0)
		return end_dump(ours);
	/* Handle 0 is the heading of a priority. */
	*count += tcm->tcm_handle && !ours;
	return MNL_CB_OK;
}

bool tc_links(int ifindex)
{
	__u32 ids[TCX_PROGRAMS], n = TCX_PROGRAMS;

	return !bpf_prog_query(ifindex, TCX_INGRESS, 0, NULL, ids, &n) || errno != EINVAL;
}

int tc_foreign(int ifindex)
{
	__u32 ids[TCX_PROGRAMS], n = TCX_PROGRAMS;
	int count = 0, error;

	error = dump(ifindex, RTM_GETTFILTER, PARENT_INGRESS, count_foreign, &count);
	if (error)
		return error;
	if (bpf_prog_query(ifindex, TCX_INGRESS, 0, NULL, ids, &n))
		return errno == EINVAL ? count : -errno; /* EINVAL: no tcx */
	while (n--)
		count += is_named(ids[n], OUR_NAMES) == 0;
	return count;
}

/* Filters of commands that were killed */

static bool command_runs(__u32 pid)
{
	char path[32], name[16] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	f = fopen(path, "re");
	if (!f)
		return errno != ENOENT; /* not known: may run */
	if (!fgets(name, sizeof(name), f))
		snprintf(name, sizeof(name), "%s", feof(f) ? "" : "shunt");
	fclose(f);
	return !strncmp(name, "shunt", 5);
}

struct orphan {
	struct shunt_attachment attachment;
	bool found;
};

static int see_orphan(const struct nlmsghdr *nlh, void *data)
{
	const struct tcmsg *tcm = mnl_nlmsg_get_payload(nlh);
	__u32 owner = tcm->tcm_handle >> HANDLE_PID;
	struct orphan *orphan = data;
	int ours;

	if (!owner || command_runs(owner))
		return MNL_CB_OK;
	ours = is_named(filter_program(nlh), hook_of(&orphan->attachment)->program);
	if (ours <= 0)
		return ours ? end_dump(ours) : MNL_CB_OK;
	orphan->found = true;
	orphan->attachment.owner = owner;
	orphan->attachment.priority = TC_H_MAJ(tcm->tcm_info) >> 16;
	orphan->attachment.qdisc = (tcm->tcm_handle & ((1 << HANDLE_PID) - 1)) == OWNER_HANDLE;
	return MNL_CB_OK;
}

/* Ends with the first that can't be removed: 0 or -errno, said. */
static int sweep(int ifindex, const char *name, enum attachment_kind kind)
{
	int error = 0;

	for (;;) {
		struct orphan orphan = {
			.attachment = { .kind = kind, .clsact = 1, .ifindex = ifindex },
		};

		snprintf(orphan.attachment.name, sizeof(orphan.attachment.name), "%s", name);
		error = dump(ifindex, RTM_GETTFILTER, hook_of(&orphan.attachment)->parent, see_orphan,
			     &orphan);
		if (error || !orphan.found)
			return error;
		error = detach_clsact(&orphan.attachment, -1);
		if (error)
			return error;
		say("removed a filter from '%s' that a killed command had left", name);
	}
}

int tc_sweep(int ifindex, const char *name)
{
	int error;

	if (tc_links(ifindex))
		return 0; /* they die with their process */
	error = sweep(ifindex, name, ATTACH_MONITOR_OUT);
	return error ? error : sweep(ifindex, name, ATTACH_MONITOR_IN);
}
