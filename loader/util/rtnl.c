// SPDX-License-Identifier: GPL-2.0-only
#include "util/rtnl.h"

#include <errno.h>
#include <stdbool.h>

#include <linux/rtnetlink.h>

#include "util/cleanup.h"

#define DUMP_SIZE 32768 /* the kernel fills no larger buffer: netlink_recvmsg() */
#define DUMP_TRIES 8

static void close_socket(struct mnl_socket **nl)
{
	if (*nl)
		mnl_socket_close(*nl);
}

/*
 * NLMSG_ERROR and NLMSG_DONE both begin with an error code. libmnl reads that of NLMSG_ERROR
 * only, and would take a dump that failed half-way for a complete one.
 */
static int read_final_code(const struct nlmsghdr *nlh, void *data)
{
	const int *error = mnl_nlmsg_get_payload(nlh);

	(void)data;
	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*error) || !*error)
		return MNL_CB_STOP;
	errno = -*error;
	return MNL_CB_ERROR;
}

static mnl_cb_t control[] = {
	[NLMSG_ERROR] = read_final_code,
	[NLMSG_DONE] = read_final_code,
};

static int receive(struct mnl_socket *nl, mnl_cb_t cb, void *data)
{
	unsigned int port = mnl_socket_get_portid(nl);
	char buf[DUMP_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t len;
	int ret;

	do {
		len = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (len < 0)
			return -errno;
		ret = mnl_cb_run2(buf, (size_t)len, 0, port, cb, data, control,
				  MNL_ARRAY_SIZE(control));
	} while (ret > MNL_CB_STOP);
	return ret < 0 ? -errno : 0;
}

static int request_once(int bus, struct nlmsghdr *nlh, mnl_cb_t cb, void *data)
{
	_cleanup_(close_socket) struct mnl_socket *nl = NULL;
	int on = 1;

	nl = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID))
		return -errno;
	/* Asks the kernel to filter a dump. Some kernels can't, so callbacks filter again. */
	mnl_socket_setsockopt(nl, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	return receive(nl, cb, data);
}

static int request(int bus, struct nlmsghdr *nlh, mnl_cb_t cb, void *data)
{
	int tries = DUMP_TRIES, error;

	nlh->nlmsg_flags |= NLM_F_REQUEST;
	if ((nlh->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		nlh->nlmsg_flags |= NLM_F_ACK;
	do
		error = request_once(bus, nlh, cb, data);
	while (error == -EINTR && --tries); /* NLM_F_DUMP_INTR, or a signal */
	return error;
}

int rtnl_request(struct nlmsghdr *nlh, mnl_cb_t cb, void *data)
{
	return request(NETLINK_ROUTE, nlh, cb, data);
}

int netfilter_request(struct nlmsghdr *nlh, mnl_cb_t cb, void *data)
{
	return request(NETLINK_NETFILTER, nlh, cb, data);
}

const struct nlattr *rtnl_attr(const struct nlmsghdr *nlh, size_t header, int type)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, header)
		if (mnl_attr_get_type(attr) == type)
			return attr;
	return NULL;
}

__u32 rtnl_u32(const struct nlmsghdr *nlh, size_t header, int type)
{
	const struct nlattr *attr = rtnl_attr(nlh, header, type);

	return attr && !mnl_attr_validate(attr, MNL_TYPE_U32) ? mnl_attr_get_u32(attr) : 0;
}

__u8 rtnl_u8(const struct nlmsghdr *nlh, size_t header, int type)
{
	const struct nlattr *attr = rtnl_attr(nlh, header, type);

	return attr && !mnl_attr_validate(attr, MNL_TYPE_U8) ? mnl_attr_get_u8(attr) : 0;
}
