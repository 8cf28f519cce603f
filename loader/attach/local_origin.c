// SPDX-License-Identifier: GPL-2.0-only
#include "attach/local_origin.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "attach/attach.h"
#include "attach/loopback.h"
#include "attach/policy_route.h"
#include "bpf/pins.h"
#include "util/iface.h"
#include "util/log.h"

int local_origin_attach(struct shunt_attachment *attachments)
{
	struct shunt_attachment wanted = { .kind = ATTACH_LOCAL_IN, .ifindex = LOOPBACK_IFINDEX };
	char name[IF_NAMESIZE];
	int i, error, there;

	strcpy(wanted.name, loopback_name(name));
	error = attach_new(attachments, &wanted);
	for (i = 0; i < SHUNT_ATTACHMENTS && !error; i++) {
		if (attachments[i].kind != ATTACH_IFACE)
			continue;
		there = iface_name(attachments[i].ifindex, name);
		if (there < 0)
			error = fail(there, "can't look at interface '%s'", attachments[i].name);
		if (there <= 0)
			continue;
		wanted = attachments[i];
		wanted.kind = ATTACH_LOCAL_OUT;
		wanted.clsact = wanted.qdisc = wanted.priority = 0;
		error = attach_new(attachments, &wanted);
	}
	return error;
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
	struct shunt_conf *conf = pin_mmap("shunt_conf", NULL);
	struct shunt_attachment *attachments = pin_mmap("shunt_attachment", NULL);
	int error;

	if (!conf || !attachments)
		return fail(-errno, "can't map the settings");
	if (conf->run.local)
		return 0;
	error = netns_require_loaded();
	/* Without it, routing drops what comes in by lo from an address of this host
	 * (net/ipv4/fib_frontend.c, fib_validate_source); IPv6 does not mind. */
	if (!error)
		error = loopback_acquire(conf, LOOPBACK_ACCEPT_LOCAL);
	if (!error)
		error = route_add_local(conf);
	if (!error)
		error = local_origin_attach(attachments);
	if (error)
		local_origin_undo(conf, attachments);
	else
		__atomic_store_n(&conf->run.local, 1, __ATOMIC_SEQ_CST);
	return error ? error : loopback_reassert(conf);
}
