// SPDX-License-Identifier: GPL-2.0-only
#include "attach/fragment_listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "attach/cgroup.h"
#include "bpf/pins.h"
#include "bypass/iterators.h"
#include "util/cleanup.h"
#include "util/log.h"

#define REASSEMBLED "shunt_reassembled"

static bool is_linked(const char *name)
{
	char path[PIN_PATH];

	return !access(pin_path(path, HALF_STEER, "links", name), F_OK);
}

/* Attaches the program of that name unless its link is pinned already. Returns 0, or -errno without
 * a message. */
static int attach_to(int target, const char *name, enum bpf_attach_type type)
{
	_cleanup_fd_ int prog = -1, link = -1;
	char path[PIN_PATH];

	if (is_linked(name))
		return 0;
	prog = pin_open(HALF_STEER, "progs", name);
	if (prog < 0)
		return prog;
	link = bpf_link_create(prog, target, type, NULL);
	if (link < 0 || bpf_obj_pin(link, pin_path(path, HALF_STEER, "links", name)))
		return -errno;
	return 0;
}

/* Attached only when there are rules for UDP, because the program costs each look-up for an
 * unconnected socket some ns. */
static int attach_lookup(void)
{
	_cleanup_fd_ int netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int error = netns < 0 ? -errno : attach_to(netns, REASSEMBLED, BPF_SK_LOOKUP);

	return error ? fail(error, "can't look up sockets for fragmented datagrams") : 0;
}

/* Attaches the programs that run at each bind() and wake the supervisor for a wanted listener. A
 * failure does no harm: the first fragmented datagram without its listener wakes it, too. */
static void attach_bind(void)
{
	_cleanup_fd_ int root = -1;
	char path[PATH_MAX];

	if (cgroup_root(path, sizeof(path)))
		return;
	root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return;
	attach_to(root, "shunt_bound4", BPF_CGROUP_INET4_POST_BIND);
	attach_to(root, "shunt_bound6", BPF_CGROUP_INET6_POST_BIND);
}

int listeners_collect(void)
{
	_cleanup_free_ struct shunt_row *none = NULL;
	_cleanup_fd_ int iter = -1;
	size_t n = 0;
	int error = attach_lookup();

	if (error)
		return error;
	attach_bind();
	iter = iter_link(HALF_STEER, "shunt_collect_listeners", NULL);
	if (iter < 0)
		return fail(iter, "can't look for the listeners of fragmented datagrams");
	return iter_run(iter, &none, &n);
}

void listeners_collect_again(void)
{
	if (is_linked(REASSEMBLED))
		listeners_collect();
}

/* Adds an address to the map of wanted listeners. Returns whether it is new there. */
static bool add_address(int wanted, __u16 family, const __u8 addr[16], __u16 port)
{
	struct shunt_listener l = { .family = family, .port = port };
	__u32 tick = 0;

	memcpy(l.addr, addr, sizeof(l.addr));
	return !bpf_map_update_elem(wanted, &l, &tick, BPF_NOEXIST);
}

/* Adds each address that the rule's listener may be bound to: that of the rule, or the wildcard;
 * an IPv6 socket may receive IPv4, too. Returns whether any is new. */
static bool add_target(int wanted, const struct shunt_rule *r)
{
	__u8 any[16] = {}, mapped[16] = { [10] = 0xff, [11] = 0xff };
	bool new = add_address(wanted, r->family, r->to, r->to_port);

	new |= add_address(wanted, AF_INET6, any, r->to_port);
	if (r->family == AF_INET6)
		return new;
	memcpy(mapped + 12, r->to, 4);
	new |= add_address(wanted, AF_INET, any, r->to_port);
	new |= add_address(wanted, AF_INET6, mapped, r->to_port);
	return new;
}

static bool same_target(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return a && a->family == b->family && a->to_port == b->to_port &&
	       !memcmp(a->to, b->to, sizeof(a->to));
}

/* The targets that the map has room for: add_target() adds up to four addresses. */
#define TARGETS (SHUNT_LISTENERS / 4)

void listeners_add_wanted(const struct shunt_rule *const *rules, __u32 count)
{
	/* the last rule with each port, so that rules with the same target add it once */
	const struct shunt_rule *recent[TARGETS] = {};
	_cleanup_fd_ int wanted = -1;
	__u32 i, targets = 0;
	bool new = false;

	for (i = 0; i < count && targets < TARGETS; i++) {
		const struct shunt_rule *r = rules[i], **same = &recent[r->to_port % TARGETS];

		if (r->proto != IPPROTO_UDP || r->action != SHUNT_STEER || same_target(*same, r))
			continue;
		if (wanted < 0)
			wanted = pin_open(HALF_STEER, "maps", "shunt_wanted");
		if (wanted < 0)
			return;
		*same = r;
		targets++;
		new |= add_target(wanted, r);
	}
	if (new || (targets && !supervisor_is_running(HALF_STEER)))
		listeners_collect();
}
