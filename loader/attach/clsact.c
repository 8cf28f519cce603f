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
 * Handle of a clsact filter: the low bits say whether shunt made the qdisc:
 * whoever attaches later owns it too, and the last to go removes it. The others
 * are the process of a filter that is for one command only, 0 for the rest.
 */
#define FILTER_HANDLE 1
#define OWNER_HANDLE 2
#define HANDLE_PID 8 /* first bit of the process */
#define PRIORITIES 64

/* The map must hold the value before the system call that follows. */
#define write_ahead(field, value) __atomic_store_n(&(field), (value), __ATOMIC_SEQ_CST)

/* For the callbacks of a dump: takes what program_program_is_named() returned. */
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
		if (mnl_attr_get_type(attr) == TCA_BPF_ID && !mnl_attr_validate(attr, MNL_TYPE_U32))
			return mnl_attr_get_u32(attr);
	return 0;
}

struct filters {
	__u32 priority; /* that we look for, with this handle */
	__u32 handle;
	__u32 program; /* of the filter that is there, 0 if none */
	bool owner;    /* some filter says that shunt made the qdisc */
	__u32 first;   /* of PRIORITIES */
	__u64 taken;   /* a bit for each */
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
	ours = program_is_named(filter_program(nlh), OUR_NAMES);
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
	bool found; /* clsact or ingress: they share one place */
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

static __u32 handle_of(const struct shunt_attachment *a)
{
	return (a->qdisc ? OWNER_HANDLE : FILTER_HANDLE) | a->owner << HANDLE_PID;
}

int clsact_find(const struct shunt_attachment *a, int prog_fd)
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

	found = clsact_find(a, prog_fd);
	if (found < 0)
		return fail(found, "can't read the filters of '%s'", a->name);
	if (!found)
		return 0;
	error = bpf_tc_detach(&hook, &opts);
	if (error && clsact_find(a, prog_fd))
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

int clsact_detach(const struct shunt_attachment *a, int prog_fd)
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
		error = read_filters(ifindex_of(a), PARENT_INGRESS, &filters)
				?: read_filters(ifindex_of(a), PARENT_EGRESS, &filters);
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

int clsact_attach(struct shunt_attachment *a, int prog_fd)
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
	if (clsact_detach(a, prog_fd))
		return error; /* the entry says what is left */
	write_ahead(a->qdisc, 0);
	write_ahead(a->priority, 0);
	write_ahead(a->clsact, 0);
	return error;
}

static int count_foreign(const struct nlmsghdr *nlh, void *data)
{
	const struct tcmsg *tcm = mnl_nlmsg_get_payload(nlh);
	int *count = data, ours = program_is_named(filter_program(nlh), OUR_NAMES);

	if (ours < 0)
		return end_dump(ours);
	/* Handle 0 is the heading of a priority. */
	*count += tcm->tcm_handle && !ours;
	return MNL_CB_OK;
}

int clsact_count_foreign(int ifindex, int *ret_count)
{
	*ret_count = 0;
	return dump(ifindex, RTM_GETTFILTER, PARENT_INGRESS, count_foreign, ret_count);
}

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
	ours = program_is_named(filter_program(nlh), hook_of(&orphan->attachment)->program);
	if (ours <= 0)
		return ours ? end_dump(ours) : MNL_CB_OK;
	orphan->found = true;
	orphan->attachment.owner = owner;
	orphan->attachment.priority = TC_H_MAJ(tcm->tcm_info) >> 16;
	orphan->attachment.qdisc = (tcm->tcm_handle & ((1 << HANDLE_PID) - 1)) == OWNER_HANDLE;
	return MNL_CB_OK;
}

int clsact_sweep(int ifindex, const char *name, enum attachment_kind kind)
{
	int error = 0;

	for (;;) {
		struct orphan orphan = {
			.attachment = { .kind = kind, .clsact = 1, .ifindex = ifindex },
		};

		snprintf(orphan.attachment.name, sizeof(orphan.attachment.name), "%s", name);
		error = dump(ifindex, RTM_GETTFILTER, hook_of(&orphan.attachment)->parent,
			     see_orphan, &orphan);
		if (error || !orphan.found)
			return error;
		error = clsact_detach(&orphan.attachment, -1);
		if (error)
			return error;
		say("removed a filter from '%s' that a killed command had left", name);
	}
}
