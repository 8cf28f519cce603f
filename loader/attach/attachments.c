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

struct shunt_attachment *attachment_find(const struct shunt_attachment *attachments,
					 enum attachment_kind kind, const char *name)
{
	int i;

	for (i = 0; i < SHUNT_ATTACHMENTS; i++)
		if (attachments[i].kind == kind && !strcmp(attachments[i].name, name))
			return (struct shunt_attachment *)&attachments[i];
	return NULL;
}

struct shunt_attachment *attachment_unused(struct shunt_attachment *attachments)
{
	int i;

	for (i = 0; i < SHUNT_ATTACHMENTS; i++)
		if (attachments[i].kind == ATTACH_NONE)
			return &attachments[i];
	return NULL;
}

void attachments_set_by_pattern(struct shunt_attachment *attachments, const char *name,
				bool by_pattern)
{
	struct shunt_attachment *in = attachment_find(attachments, ATTACH_IFACE, name);
	struct shunt_attachment *out = attachment_find(attachments, ATTACH_LOCAL_OUT, name);

	if (in)
		in->by_pattern = by_pattern;
	if (out)
		out->by_pattern = by_pattern;
}

bool attachment_is_iface(const struct shunt_attachment *a)
{
	return a->kind != ATTACH_NONE && a->kind != ATTACH_CGROUP && a->kind != ATTACH_PATTERN;
}

bool attachment_is_monitor(const struct shunt_attachment *a)
{
	return a->kind == ATTACH_MONITOR_IN || a->kind == ATTACH_MONITOR_OUT;
}

bool attachment_is_nat(const struct shunt_attachment *a)
{
	return a->kind >= ATTACH_NAT_IN && a->kind <= ATTACH_NAT_RAW_OUT;
}

/* Whether packets of the interface have a link layer header. Returns 1, 0, or -errno after
 * reporting it. */
static int has_link_header(const char *name)
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
	/* the list of the kernel's dev_is_mac_header_xmit() */
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

int nat_attachments(const char *name, struct shunt_attachment ret[2])
{
	__u32 ifindex;
	int header, i, error = iface_index(name, &ifindex);

	if (error)
		return fail(error, "can't look at interface '%s'", name);
	if (!ifindex || strlen(name) >= IF_NAMESIZE)
		return deny(-ENODEV, "no interface '%s'", name);
	header = has_link_header(name);
	if (header < 0)
		return header;
	for (i = 0; i < 2; i++) {
		ret[i] = (struct shunt_attachment){ .ifindex = ifindex };
		strcpy(ret[i].name, name);
	}
	ret[0].kind = header ? ATTACH_NAT_IN : ATTACH_NAT_RAW_IN;
	ret[1].kind = header ? ATTACH_NAT_OUT : ATTACH_NAT_RAW_OUT;
	return 0;
}
