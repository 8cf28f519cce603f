// SPDX-License-Identifier: GPL-2.0-only
/*
 * wire [OPTION]... NAME HERE THERE
 *
 * Makes a device of that name in each of two network namespaces (files), and carries
 * packets from one to the other until it is killed. Options change the packets that arrive
 * HERE:
 *
 *   --tun         devices without an Ethernet header
 *   --tags N      N VLAN tags in the frame, with identifier 0, which needs no VLAN device
 *   --header N    only N bytes of a large frame are in the packet's linear part
 */
#include "peer.h"

#include <getopt.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <sched.h>
#include <sys/ioctl.h>

#define FRAME 65536
#define TAG 4

static struct wishes {
	int tun;
	int tags;
	int header;
} opt;

static int open_device(const char *name, const char *netns, int flags)
{
	struct ifreq request = { .ifr_flags = flags | IFF_NO_PI | (opt.tun ? IFF_TUN : IFF_TAP) };
	int ns = open(netns, O_RDONLY | O_CLOEXEC), fd;

	if (ns < 0 || setns(ns, CLONE_NEWNET))
		die(netns);
	close(ns);
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		leave(SKIP, "no tun devices in this kernel");
	if (ioctl(fd, TUNSETIFF, &request))
		die("TUNSETIFF");
	return fd;
}

/* Inserts the tags. Returns the new length. */
static size_t tag(unsigned char *frame, size_t len)
{
	unsigned char *at = frame + 2 * ETH_ALEN;
	int i;

	for (i = 0; i < opt.tags; i++, len += TAG) {
		memmove(at + TAG, at, frame + len - at);
		memcpy(at, "\x81\0\0\0", TAG);
	}
	return len;
}

static void carry_here(int from, int to)
{
	static struct {
		struct virtio_net_hdr header;
		unsigned char frame[FRAME + 2 * TAG];
	} __attribute__((packed)) packet;
	ssize_t len = read(from, packet.frame, FRAME);

	if (len < 0)
		die("read");
	len = tag(packet.frame, len);
	packet.header.hdr_len = opt.header;
	if (opt.header)
		len = write(to, &packet, sizeof(packet.header) + len);
	else
		len = write(to, packet.frame, len);
	if (len < 0 && errno != EIO && errno != EINVAL) /* the device is down */
		die("write");
}

static void carry_there(int from, int to)
{
	static unsigned char frame[FRAME];
	size_t header = opt.header ? sizeof(struct virtio_net_hdr) : 0;
	ssize_t len = read(from, frame, sizeof(frame));

	if (len < 0)
		die("read");
	if (write(to, frame + header, len - header) < 0 && errno != EIO && errno != EINVAL)
		die("write");
}

static void read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "tun", no_argument, &opt.tun, 1 },
		{ "tags", required_argument, NULL, 't' },
		{ "header", required_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (c == 't')
			opt.tags = atoi(optarg);
		else if (c == 'h')
			opt.header = atoi(optarg);
		else if (c)
			exit(2);
	}
	if (argc - optind != 3 || opt.tags < 0 || opt.tags > 2)
		leave(2, "usage: wire [--tun] [--tags N] [--header N] NAME HERE THERE");
}

int main(int argc, char **argv)
{
	int here, there;

	read_options(argc, argv);
	here = open_device(argv[optind], argv[optind + 1], opt.header ? IFF_VNET_HDR : 0);
	there = open_device(argv[optind], argv[optind + 2], 0);
	say("ready");
	for (;;) {
		struct pollfd ready[] = {
			{ .fd = here, .events = POLLIN },
			{ .fd = there, .events = POLLIN },
		};

		if (poll(ready, 2, -1) < 0)
			die("poll");
		if (ready[0].revents)
			carry_there(here, there);
		if (ready[1].revents)
			carry_here(there, here);
	}
}
