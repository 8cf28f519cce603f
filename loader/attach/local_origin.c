// SPDX-License-Identifier: GPL-2.0-only
#include "attach/local_origin.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "attach/attach.h"
#include "attach/iface_names.h"
#include "attach/loopback.h"
#include "attach/policy_route.h"
#include "bpf/pins.h"
#include "util/iface.h"
#include "util/log.h"

static int attach_loopback(struct shunt_attachment *attachments)
{
	struct shunt_attachment wanted = { .kind = ATTACH_LOCAL_IN, .ifindex = LOOPBACK_IFINDEX };
	char name[IF_NAMESIZE];

	strcpy(wanted.name, loopback_name(name));
	return attach_new(attachments, &wanted);
}

/* Attaches to the egress of the interface that has this entry of steering. */
static int attach_egress(struct shunt_attachment *attachments,
			 const struct shunt_attachment *steering)
{
	struct shunt_attachment wanted = *steering;
	char name[IF_NAMESIZE];
	int found = iface_name(steering->ifindex, name);

	if (found < 0)
		return fail(found, "can't look at interface '%s'", steering->name);
	if (!found)
		return 0;
	wanted.kind = ATTACH_LOCAL_OUT;
	wanted.clsact = wanted.qdisc = wanted.priority = 0;
	return attach_new(attachments, &wanted);
}

int local_origin_attach(struct shunt_attachment *attachments)
{
	int i, error = attach_loopback(attachments);

	if (error)
		return error;
	for (i = 0; i < SHUNT_ATTACHMENTS; i++) {
		if (attachments[i].kind != ATTACH_IFACE)
			continue;
		error = attach_egress(attachments, &attachments[i]);
		if (error)
			return error;
	}
	return 0;
}

static int local_origin_make(struct shunt_conf *conf, struct shunt_attachment *attachments)
{
	int error;

	/* Without the setting, routing drops packets that come in by lo from an address of this
	 * host (net/ipv4/fib_frontend.c, fib_validate_source). IPv6 has no such check. */
	error = loopback_acquire(conf, LOOPBACK_ACCEPT_LOCAL);
	if (error)
		return error;
	error = route_add_local(conf);
	if (error)
		return error;
	return local_origin_attach(attachments);
}

static void local_origin_undo(struct shunt_conf *conf, struct shunt_attachment *attachments)
{
	int i;

	for (i = SHUNT_ATTACHMENTS - 1; i >= 0; i--)
		if (attachments[i].kind == ATTACH_LOCAL_IN ||
		    attachments[i].kind == ATTACH_LOCAL_OUT)
			detach(attachments, i);
	route_del_local(conf);
	loopback_release(conf, LOOPBACK_ACCEPT_LOCAL);
}

int local_origin_begin(void)
{
	struct shunt_conf *conf = pin_mmap(HALF_STEER, "shunt_conf", NULL);
	struct shunt_attachment *attachments = attachments_map();
	int error;

	if (!conf || !attachments)
		return fail(-errno, "can't map the settings");
	error = netns_require_loaded();
	if (error)
		return error;
	error = attachments_update_names();
	if (error < 0)
		return error;
	if (conf->run.local) /* a command that failed may have detached what it had attached */
		return local_origin_attach(attachments);
	error = local_origin_make(conf, attachments);
	if (error) {
		local_origin_undo(conf, attachments);
		return error;
	}
	__atomic_store_n(&conf->run.local, 1, __ATOMIC_SEQ_CST);
	return loopback_reassert(conf);
}
