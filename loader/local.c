// SPDX-License-Identifier: GPL-2.0-only
#include "local.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

#include "attach.h"
#include "pins.h"
#include "shunt.h"
#include "sysctl.h"

#define LOOPBACK 1 /* LOOPBACK_IFINDEX, whatever its name: include/net/flow.h */
#define SETTING "accept_local"

static const char *loopback(char name[IF_NAMESIZE])
{
	return if_indextoname(LOOPBACK, name) ? name : "lo";
}

/* Without it, routing drops what comes in by lo from an address of this host
 * (net/ipv4/fib_frontend.c, fib_validate_source); IPv6 does not mind. */
static int accept_on(struct shunt_conf *conf)
{
	char name[IF_NAMESIZE];
	const char *lo = loopback(name);
	int error;

	if (sysctl_get("all", SETTING) == 1 || sysctl_get(lo, SETTING) == 1)
		return 0;
	__atomic_store_n(&conf->accept_local, 1, __ATOMIC_SEQ_CST);
	error = sysctl_set(lo, SETTING, 1);
	if (!error)
		return 0;
	conf->accept_local = 0;
	return fail(error, "can't set net.ipv4.conf.%s.%s", lo, SETTING);
}

/* The settings of another shunt's that needs it too; NULL if map id is not. */
static struct shunt_conf *other_conf(__u32 id, const struct shunt_conf *own)
{
	_cleanup_fd_ int fd = bpf_map_get_fd_by_id(id);
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);
	struct shunt_conf *conf;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) ||
	    strcmp(info.name, "shunt_conf") || info.value_size != sizeof(*conf))
		return NULL;
	conf = mmap(NULL, sizeof(*conf), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (conf == MAP_FAILED)
		return NULL;
	if (conf->abi == SHUNT_ABI && conf->loaded && conf->local && conf->netns == own->netns)
		return conf;
	munmap(conf, sizeof(*conf));
	return NULL;
}

/* Our own conf has loaded unset by now. */
static bool hand_over(const struct shunt_conf *own)
{
	struct shunt_conf *conf = NULL;
	__u32 id = 0;

	while (!conf && !bpf_map_get_next_id(id, &id))
		conf = other_conf(id, own);
	if (!conf)
		return false;
	conf->accept_local = 1;
	munmap(conf, sizeof(*conf));
	return true;
}

int local_end(struct shunt_conf *conf)
{
	char name[IF_NAMESIZE];
	const char *lo = loopback(name);
	int error = 0;

	if (!conf->accept_local)
		return 0;
	if (!hand_over(conf))
		error = sysctl_set(lo, SETTING, 0);
	if (error)
		return fail(error, "can't restore net.ipv4.conf.%s.%s", lo, SETTING);
	conf->accept_local = 0;
	return 0;
}

int local_attach(struct shunt_state *states)
{
	struct shunt_state wanted = { .kind = SHUNT_LOCAL_IN, .ifindex = LOOPBACK };
	char name[IF_NAMESIZE];
	int i, error;

	strcpy(wanted.name, loopback(name));
	error = attach_new(states, &wanted);
	for (i = 0; i < SHUNT_STATES && !error; i++) {
		if (states[i].kind != SHUNT_IFACE || !if_indextoname(states[i].ifindex, name))
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
	local_end(conf);
}

int local_begin(void)
{
	struct shunt_conf *conf = pin_mmap("shunt_conf", NULL);
	struct shunt_state *states = pin_mmap("shunt_state", NULL);
	int error;

	if (!conf || !states)
		return fail(-errno, "can't map the settings");
	if (conf->local)
		return 0;
	error = at_home();
	if (!error)
		error = accept_on(conf);
	if (!error)
		error = local_attach(states);
	if (error)
		take_back(conf, states);
	else
		__atomic_store_n(&conf->local, 1, __ATOMIC_SEQ_CST);
	return error;
}
