// SPDX-License-Identifier: GPL-2.0-only
#include "rules/shadowed.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "bpf/pins.h"
#include "rules/rule.h"
#include "util/log.h"

/* Opens the map of shadowed rules once. The fd stays open, because a command ends soon. Returns
 * -ENOENT without a message if there is no map because steering is not loaded; reports other
 * errors and returns -errno. */
static int map_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = pin_open(HALF_STEER, "maps", "shunt_shadowed");
	return fd < 0 && fd != -ENOENT ? fail(fd, "can't open the shadowed rules") : fd;
}

static struct shunt_match match_of(const struct shunt_rule *r)
{
	struct shunt_match m = {
		.dport_low = r->dport_low,
		.dport_high = r->dport_high,
		.sport_low = r->sport_low,
		.sport_high = r->sport_high,
		.family = r->family,
		.proto = r->proto,
		.dst_len = r->dst_len,
		.src_len = r->src_len,
	};

	memcpy(m.dst, r->dst, sizeof(m.dst));
	memcpy(m.src, r->src, sizeof(m.src));
	memcpy(m.ifname, r->ifname, sizeof(m.ifname));
	return m;
}

int shadows_get(const struct shunt_rule *match, struct shunt_shadows *ret)
{
	struct shunt_match m = match_of(match);
	int fd = map_fd();

	ret->count = 0;
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (!bpf_map_lookup_elem(fd, &m, ret))
		return 0;
	if (errno != ENOENT)
		return fail(-errno, "shadowed rules");
	ret->count = 0;
	return 0;
}

int shadows_put(const struct shunt_rule *match, const struct shunt_shadows *s)
{
	struct shunt_match m = match_of(match);
	int fd = map_fd();

	if (fd < 0)
		return fd == -ENOENT && !s->count ? 0 : fail(fd, "can't keep a shadowed rule");
	if (!s->count)
		return bpf_map_delete_elem(fd, &m) && errno != ENOENT
			       ? fail(-errno, "can't delete shadowed rules")
			       : 0;
	return bpf_map_update_elem(fd, &m, s, BPF_ANY) ? fail(-errno, "can't keep a shadowed rule")
						       : 0;
}

struct shunt_shadow shadow_of(const struct shunt_rule *r)
{
	struct shunt_shadow s = {
		.to_port = r->to_port,
		.action = r->action,
		.compat = r->compat,
		.own = r->own,
		.router = r->router,
	};

	memcpy(s.to, r->to, sizeof(s.to));
	memcpy(s.service, r->service, sizeof(s.service));
	return s;
}

struct shunt_rule shadow_rule(const struct shunt_rule *match, const struct shunt_shadow *s)
{
	struct shunt_rule r = *match;

	r.to_port = s->to_port;
	r.action = s->action;
	r.compat = s->compat;
	r.own = s->own;
	r.router = s->router;
	memcpy(r.to, s->to, sizeof(r.to));
	memcpy(r.service, s->service, sizeof(r.service));
	return r;
}

int shadows_append(const struct shunt_rule *r)
{
	struct shunt_shadows s;
	int error = shadows_get(r, &s);

	if (error)
		return error;
	if (s.count == SHUNT_SHADOWS)
		return deny(-ENOSPC, "no room for more than %d shadowed rules for the same packets",
			    SHUNT_SHADOWS);
	s.shadow[s.count++] = shadow_of(r);
	return shadows_put(r, &s);
}

bool shadows_none(void)
{
	struct shunt_match m;
	int fd = map_fd();

	return fd < 0 || bpf_map_get_next_key(fd, NULL, &m);
}

int shadows_clear(void)
{
	struct shunt_match m;
	int fd = map_fd();

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	while (!bpf_map_get_next_key(fd, NULL, &m))
		if (bpf_map_delete_elem(fd, &m))
			return fail(-errno, "can't delete shadowed rules");
	return 0;
}
