// SPDX-License-Identifier: GPL-2.0-only
#include "attach/clsact.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "attach/tc_hooks.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/rtnl.h"

/*
 * The handle of a filter. Its low byte says whether shunt made the qdisc. If so, later filters of
 * shunt say the same, and the one that is removed last removes the qdisc. The other bits are the
 * process id of the command that the filter is for; 0: the filter stays after the command.
 */
#define FILTER_HANDLE 1 /* the qdisc is not shunt's */
#define OWNER_HANDLE 2  /* shunt made the qdisc */
#define HANDLE_PID 8    /* first bit of the process id */
#define PRIORITIES 64   /* that shunt tries, from hook->priority on */

/* Writes to the map of attachments before the system call that follows, so that a command that
 * comes after a kill knows what to undo (I10). */
#define write_ahead(field, value) __atomic_store_n(&(field), (value), __ATOMIC_SEQ_CST)

/* Ends a dump from its callback, with a negative errno. */
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

/* The id of a filter's BPF program; 0 if the filter has none. */
static __u32 filter_program(const struct nlmsghdr *nlh)
{
	const struct nlattr *attr, *options;

	options = rtnl_attr(nlh, sizeof(struct tcmsg), TCA_OPTIONS);
	if (!options || !has_kind(nlh, "bpf"))
		return 0;
	mnl_attr_for_each_nested(attr, options)
		if (mnl_attr_get_type(attr) == TCA_BPF_ID && !mnl_attr_validate(attr, MNL_TYPE_U32))
			return mnl_attr_get_u32(attr);
	return 0;
}

struct filters {
	/* what to look for */
	__u32 priority;
	__u32 handle;
	__u32 first; /* of PRIORITIES */
	/* what was found */
	__u32 program;   /* of the filter with that priority and handle; 0: there is none */
	bool made_qdisc; /* a filter says that shunt made the qdisc */
	__u64 taken;     /* a bit for each of PRIORITIES */
	bool any;        /* there is a filter */
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
	ours = program_is_named(filter_program(nlh), OUR_NAMES);
	if (ours < 0)
		return end_dump(ours);
	filters->made_qdisc |= ours;
	return MNL_CB_OK;
}

static int read_filters(int ifindex, __u32 parent, struct filters *filters)
{
	return dump(ifindex, RTM_GETTFILTER, parent, see_filter, filters);
}

static int read_both_hooks(int ifindex, struct filters *filters)
{
	int error = read_filters(ifindex, PARENT_INGRESS, filters);

	return error ? error : read_filters(ifindex, PARENT_EGRESS, filters);
}

struct qdisc {
	int ifindex;
	bool found;  /* a clsact or an ingress qdisc: an interface has one of them at most */
	bool clsact; /* it is clsact */
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

static __u32 handle_of(const struct shunt_attachment *a)
{
	return (a->qdisc ? OWNER_HANDLE : FILTER_HANDLE) | a->owner << HANDLE_PID;
}

int clsact_has_filter(const struct shunt_attachment *a, int prog_fd)
{
	struct filters filters = { .priority = a->priority, .handle = handle_of(a) };
	int error;

	if (!a->priority)
		return 0;
	error = read_filters(ifindex_of(a), hook_of(a)->parent, &filters);
	if (error)
		return error;
	return filters.program ? program_is_own(a, filters.program, prog_fd) : 0;
}

static int remove_filter(const struct shunt_attachment *a, int prog_fd)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex_of(a),
			    .attach_point = hook_of(a)->point);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle_of(a), .priority = a->priority);
	int found, error;

	found = clsact_has_filter(a, prog_fd);
	if (found < 0)
		return fail(found, "can't read the filters of '%s'", a->name);
	if (!found)
		return 0;
	error = bpf_tc_detach(&hook, &opts);
	if (error && clsact_has_filter(a, prog_fd))
		return fail(error, "can't detach from '%s'", a->name);
	return 0;
}

/* Whether there is a clsact qdisc without filters. Returns 1, 0, or -errno without a message. */
static int qdisc_is_idle(const struct shunt_attachment *a)
{
	struct filters filters = { .priority = 0 };
	struct qdisc qdisc;
	int error;

	error = read_qdisc(ifindex_of(a), &qdisc);
	if (error)
		return error;
	error = read_both_hooks(ifindex_of(a), &filters);
	if (error)
		return error;
	return qdisc.clsact && !filters.any;
}

/* Removes the qdisc if shunt made it and no filter is left. */
static int remove_qdisc(const struct shunt_attachment *a)
{
	/* If both directions are named, libbpf removes the qdisc; else only filters. */
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

int clsact_detach(const struct shunt_attachment *a, int prog_fd)
{
	int filter = remove_filter(a, prog_fd), qdisc = remove_qdisc(a);

	return filter ? filter : qdisc;
}

/* Records whether the qdisc that is there is shunt's. */
static int use_qdisc(struct shunt_attachment *a)
{
	struct filters filters = { .priority = 0 };
	int error = read_both_hooks(ifindex_of(a), &filters);

	if (error)
		return fail(error, "can't read the qdiscs of '%s'", a->name);
	write_ahead(a->qdisc, filters.made_qdisc);
	return 0;
}

static int make_qdisc(struct shunt_attachment *a)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex_of(a),
			    .attach_point = BPF_TC_INGRESS);
	struct qdisc qdisc;
	int error;

	/* Look first whether there is a qdisc. If this process recorded qdisc = 1 and was killed
	 * before it created one, the next command would take an unused qdisc of another program
	 * for shunt's, and remove it. */
	error = read_qdisc(ifindex_of(a), &qdisc);
	if (error)
		return fail(error, "can't read the qdiscs of '%s'", a->name);
	if (qdisc.found)
		return use_qdisc(a);
	write_ahead(a->qdisc, 1);
	error = bpf_tc_hook_create(&hook);
	if (!error)
		return 0;
	write_ahead(a->qdisc, 0);
	/* EEXIST: another program made it meanwhile */
	return error == -EEXIST ? 0 : fail(error, "can't make a clsact qdisc on '%s'", a->name);
}

static int put_filter(const struct shunt_attachment *a, int prog_fd, __u32 flags)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex_of(a),
			    .attach_point = hook_of(a)->point);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle_of(a), .priority = a->priority,
			    .prog_fd = prog_fd, .flags = flags);

	return bpf_tc_attach(&hook, &opts);
}

int clsact_replace(const struct shunt_attachment *a, int prog_fd)
{
	int error = put_filter(a, prog_fd, BPF_TC_F_REPLACE);

	if (error == -ENODEV) /* the interface is gone, and its filters with it */
		return 0;
	return error ? fail(error, "can't replace the filter of '%s'", a->name) : 0;
}

/* Adds the filter at the first free priority. */
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
		error = put_filter(a, prog_fd, 0);
	}
	if (error)
		return fail(error, "can't attach to '%s'", a->name);
	debug("attached to '%s' by a clsact filter of priority %u", a->name, a->priority);
	return 0;
}

static int make_qdisc_and_filter(struct shunt_attachment *a, int prog_fd)
{
	int error = make_qdisc(a);

	return error ? error : make_filter(a, prog_fd);
}

/* Undoes an attachment that failed half-way. If this fails, too, the entry still says what is
 * left. */
static void undo_attach(struct shunt_attachment *a, int prog_fd)
{
	if (clsact_detach(a, prog_fd))
		return;
	write_ahead(a->qdisc, 0);
	write_ahead(a->priority, 0);
	write_ahead(a->clsact, 0);
}

int clsact_attach(struct shunt_attachment *a, int prog_fd)
{
	int error;

	write_ahead(a->qdisc, 0);
	write_ahead(a->priority, 0);
	write_ahead(a->clsact, 1);
	error = make_qdisc_and_filter(a, prog_fd);
	if (error)
		undo_attach(a, prog_fd);
	return error;
}

static int count_foreign(const struct nlmsghdr *nlh, void *data)
{
	const struct tcmsg *tcm = mnl_nlmsg_get_payload(nlh);
	int *count = data, ours = program_is_named(filter_program(nlh), OUR_NAMES);

	if (ours < 0)
		return end_dump(ours);
	/* A message with handle 0 is about the priority itself, not about a filter. */
	*count += tcm->tcm_handle && !ours;
	return MNL_CB_OK;
}

int clsact_count_foreign(int ifindex, int *ret_count)
{
	*ret_count = 0;
	return dump(ifindex, RTM_GETTFILTER, PARENT_INGRESS, count_foreign, ret_count);
}

/* Whether this process may be a command of shunt: true also if that can't be found out. */
static bool is_running_command(__u32 pid)
{
	char path[32], name[16] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	f = fopen(path, "re");
	if (!f)
		return errno != ENOENT;
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

	if (!owner || is_running_command(owner))
		return MNL_CB_OK;
	ours = program_is_named(filter_program(nlh), hook_of(&orphan->attachment)->program);
	if (ours <= 0)
		return ours ? end_dump(ours) : MNL_CB_OK;
	orphan->found = true;
	orphan->attachment.owner = owner;
	orphan->attachment.priority = TC_H_MAJ(tcm->tcm_info) >> 16;
	orphan->attachment.qdisc = (tcm->tcm_handle & ((1 << HANDLE_PID) - 1)) == OWNER_HANDLE;
	return MNL_CB_OK;
}

int clsact_remove_orphans(int ifindex, const char *name, enum attachment_kind kind)
{
	int error;

	for (;;) {
		struct orphan orphan = {
			.attachment = { .kind = kind, .clsact = 1, .ifindex = ifindex },
		};

		snprintf(orphan.attachment.name, sizeof(orphan.attachment.name), "%s", name);
		error = dump(ifindex, RTM_GETTFILTER, hook_of(&orphan.attachment)->parent,
			     see_orphan, &orphan);
		if (error)
			return fail(error, "can't read the filters of '%s'", name);
		if (!orphan.found)
			return 0;
		error = clsact_detach(&orphan.attachment, -1);
		if (error)
			return error;
		say("removed a filter from '%s' that a killed command had left", name);
	}
}
