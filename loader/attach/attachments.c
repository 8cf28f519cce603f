// SPDX-License-Identifier: GPL-2.0-only
#include "attach/attachments.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/if_arp.h>

#include "util/cleanup.h"
#include "util/iface.h"
#include "util/log.h"

bool is_pattern(const char *name)
{
	return strpbrk(name, "*?[");
}

struct shunt_state *state_find(const struct shunt_state *states, enum shunt_kind kind,
			       const char *name)
{
	int i;

	for (i = 0; i < SHUNT_STATES; i++)
		if (states[i].kind == kind && !strcmp(states[i].name, name))
			return (struct shunt_state *)&states[i];
	return NULL;
}

struct shunt_state *state_free(struct shunt_state *states)
{
	int i;

	for (i = 0; i < SHUNT_STATES; i++)
		if (states[i].kind == SHUNT_NONE)
			return &states[i];
	return NULL;
}

bool state_is_monitor(const struct shunt_state *s)
{
	return s->kind == SHUNT_MONITOR_IN || s->kind == SHUNT_MONITOR_OUT;
}

bool state_is_nat(const struct shunt_state *s)
{
	return s->kind >= SHUNT_NAT_IN && s->kind <= SHUNT_NAT_RAW_OUT;
}

/* 1 if the interface has a link layer header, else 0. Reports errors and returns -errno. */
static int has_header(const char *name)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = {};

	strncpy(r.ifr_name, name, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &r))
		return fail(-errno, "can't ask what kind of interface '%s' is", name);
	switch (r.ifr_hwaddr.sa_family) {
	case ARPHRD_ETHER:
	case ARPHRD_LOOPBACK:
		return 1;
	/* those that the kernel's dev_is_mac_header_xmit() names */
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
	case ARPHRD_NONE:
	case ARPHRD_RAWIP:
	case ARPHRD_PPP:
		return 0;
	}
	return deny(-EOPNOTSUPP, "'%s': NAT does not know this kind of interface (%u)", name,
		    r.ifr_hwaddr.sa_family);
}

int nat_states(const char *name, struct shunt_state ret[2])
{
	__u32 ifindex;
	int header, i, error = iface_index(name, &ifindex);

	if (error)
		return fail(error, "can't look at interface '%s'", name);
	if (!ifindex || strlen(name) >= IF_NAMESIZE)
		return deny(-ENODEV, "no interface '%s'", name);
	header = has_header(name);
	if (header < 0)
		return header;
	for (i = 0; i < 2; i++) {
		ret[i] = (struct shunt_state){ .ifindex = ifindex };
		strcpy(ret[i].name, name);
	}
	ret[0].kind = header ? SHUNT_NAT_IN : SHUNT_NAT_RAW_IN;
	ret[1].kind = header ? SHUNT_NAT_OUT : SHUNT_NAT_RAW_OUT;
	return 0;
}
