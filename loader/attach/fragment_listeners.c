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

#define WHOLE "shunt_reassembled"

static bool is_linked(const char *name)
{
	char path[PIN_PATH];

	return !access(pin_path(path, "links", name), F_OK);
}

/* Attaches the program of that name, if it is not; 0 or -errno, unsaid. */
static int attach_to(int target, const char *name, enum bpf_attach_type type)
{
	_cleanup_fd_ int prog = -1, link = -1;
	char path[PIN_PATH];

	if (is_linked(name))
		return 0;
	prog = pin_open("progs", name);
	if (prog < 0)
		return prog;
	link = bpf_link_create(prog, target, type, NULL);
	if (link < 0 || bpf_obj_pin(link, pin_path(path, "links", name)))
		return -errno;
	return 0;
}

/* Only if there are rules for UDP: it costs each look-up for an unconnected socket
 * some ns. */
static int attach_lookup(void)
{
	_cleanup_fd_ int netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int error = netns < 0 ? -errno : attach_to(netns, WHOLE, BPF_SK_LOOKUP);

	return error ? fail(error, "can't look up sockets for fragmented datagrams") : 0;
}

/* Sees the listeners that come later. Without it, a fragmented datagram that misses its
 * listener tells of it. */
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
	iter = iter_link("shunt_collect_listeners", NULL);
	if (iter < 0)
		return fail(iter, "can't look for the listeners of fragmented datagrams");
	return iter_run(iter, &none, &n);
}

void listeners_find(void)
{
	if (is_linked(WHOLE))
		listeners_collect();
}

/* Whether the entry is new. */
static bool want(int wanted, __u16 family, const __u8 addr[16], __u16 port)
{
	struct shunt_listener l = { .family = family, .port = port };
	__u32 tick = 0;

	memcpy(l.addr, addr, sizeof(l.addr));
	return !bpf_map_update_elem(wanted, &l, &tick, BPF_NOEXIST);
}

/* The sockets that may take what is sent to the rule's listener: bound to that address,
 * or to all, also of IPv6 if those take IPv4. */
static bool want_target(int wanted, const struct shunt_rule *r)
{
	__u8 all[16] = {}, mapped[16] = { [10] = 0xff, [11] = 0xff };
	bool new = want(wanted, r->family, r->to, r->to_port);

	new |= want(wanted, AF_INET6, all, r->to_port);
	if (r->family == AF_INET6)
		return new;
	memcpy(mapped + 12, r->to, 4);
	new |= want(wanted, AF_INET, all, r->to_port);
	new |= want(wanted, AF_INET6, mapped, r->to_port);
	return new;
}

static bool same_target(const struct shunt_rule *a, const struct shunt_rule *b)
{
	return a && a->family == b->family && a->to_port == b->to_port &&
	       !memcmp(a->to, b->to, sizeof(a->to));
}

/* As many targets as all have room for. */
#define TARGETS (SHUNT_LISTENERS / 4)

void listeners_want(const struct shunt_rule *const *rules, __u32 count)
{
	const struct shunt_rule *lately[TARGETS] = {}; /* by port: many rules share few targets */
	_cleanup_fd_ int wanted = -1;
	__u32 i, targets = 0;
	bool new = false;

	for (i = 0; i < count && targets < TARGETS; i++) {
		const struct shunt_rule *r = rules[i], **same = &lately[r->to_port % TARGETS];

		if (r->proto != IPPROTO_UDP || r->action != SHUNT_STEER || same_target(*same, r))
			continue;
		if (wanted < 0)
			wanted = pin_open("maps", "shunt_wanted");
		if (wanted < 0)
			return;
		*same = r;
		targets++;
		new |= want_target(wanted, r);
	}
	if (new || (targets && !supervisor_is_running()))
		listeners_collect();
}
