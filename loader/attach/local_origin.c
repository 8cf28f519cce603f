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

int local_attach(struct shunt_state *states)
{
	struct shunt_state wanted = { .kind = SHUNT_LOCAL_IN, .ifindex = LOOPBACK };
	char name[IF_NAMESIZE];
	int i, error, there;

	strcpy(wanted.name, lo_name(name));
	error = attach_new(states, &wanted);
	for (i = 0; i < SHUNT_STATES && !error; i++) {
		if (states[i].kind != SHUNT_IFACE)
			continue;
		there = iface_name(states[i].ifindex, name);
		if (there < 0)
			error = fail(there, "can't look at interface '%s'", states[i].name);
		if (there <= 0)
			continue;
		wanted = states[i];
		wanted.kind = SHUNT_LOCAL_OUT;
		wanted.clsact = wanted.qdisc = wanted.priority = 0;
		error = attach_new(states, &wanted);
	}
	return error;
}

static void take_back(struct shunt_conf *conf, struct shunt_state *states)
{
	int i;

	for (i = SHUNT_STATES - 1; i >= 0; i--)
		if (states[i].kind == SHUNT_LOCAL_IN || states[i].kind == SHUNT_LOCAL_OUT)
			detach(states, i);
	route_del_local(conf);
	lo_off(conf, LO_ACCEPT_LOCAL);
}

int local_begin(void)
{
	struct shunt_conf *conf = pin_mmap("shunt_conf", NULL);
	struct shunt_state *states = pin_mmap("shunt_state", NULL);
	int error;

	if (!conf || !states)
		return fail(-errno, "can't map the settings");
	if (conf->run.local)
		return 0;
	error = at_home();
	/* Without it, routing drops what comes in by lo from an address of this host
	 * (net/ipv4/fib_frontend.c, fib_validate_source); IPv6 does not mind. */
	if (!error)
		error = lo_on(conf, LO_ACCEPT_LOCAL);
	if (!error)
		error = route_add_local(conf);
	if (!error)
		error = local_attach(states);
	if (error)
		take_back(conf, states);
	else
		__atomic_store_n(&conf->run.local, 1, __ATOMIC_SEQ_CST);
	return error ? error : lo_keep(conf);
}
