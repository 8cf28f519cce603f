// SPDX-License-Identifier: GPL-2.0-only
#include "rules/shadowed.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "bpf/pins.h"
#include "rules/rule.h"
#include "util/array.h"
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

static int put(const struct shunt_match *m, const struct shunt_shadows *s)
{
	int fd = map_fd();

	if (fd < 0)
		return fd == -ENOENT && !s->count ? 0 : fail(fd, "can't keep a shadowed rule");
	if (!s->count)
		return bpf_map_delete_elem(fd, m) && errno != ENOENT
			       ? fail(-errno, "can't delete shadowed rules")
			       : 0;
	if (!bpf_map_update_elem(fd, m, s, BPF_ANY))
		return 0;
	if (errno != E2BIG)
		return fail(-errno, "can't keep a shadowed rule");
	return deny(-ENOSPC, "no room for shadowed rules for more than %d different packets",
		    SHUNT_MATCHES);
}

int shadows_put(const struct shunt_rule *match, const struct shunt_shadows *s)
{
	const struct shunt_match m = match_of(match);

	return put(&m, s);
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

/* --- all of them ------------------------------------------------------------------------ */

void shadow_table_free(struct shadow_table *t)
{
	free(t->entry);
}

static int make_room(struct shadow_table *t, __u32 count)
{
	t->entry = calloc(count + 1, sizeof(*t->entry));
	return t->entry ? 0 : fail(-ENOMEM, "shadowed rules");
}

static int by_match(const void *a, const void *b)
{
	const struct shadow_entry *x = a, *y = b;

	return memcmp(&x->match, &y->match, sizeof(x->match));
}

int shadow_table_read(struct shadow_table *ret)
{
	struct shadow_entry *e = NULL;
	int error, fd = map_fd();

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	error = shadows_none() ? 0 : make_room(ret, SHUNT_MATCHES);
	if (error || !ret->entry)
		return error;
	while (ret->count < SHUNT_MATCHES &&
	       !bpf_map_get_next_key(fd, e ? &e->match : NULL, &ret->entry[ret->count].match)) {
		e = &ret->entry[ret->count++];
		if (bpf_map_lookup_elem(fd, &e->match, &e->shadows))
			return fail(-errno, "shadowed rules");
	}
	sort_array(ret->entry, ret->count, sizeof(*ret->entry), by_match);
	return 0;
}

/* Sorts rules of one array by their matches, then by their places. */
static int by_match_and_place(const void *a, const void *b)
{
	const struct shunt_rule *x = *(const struct shunt_rule *const *)a;
	const struct shunt_rule *y = *(const struct shunt_rule *const *)b;
	struct shunt_match x_match = match_of(x), y_match = match_of(y);

	return memcmp(&x_match, &y_match, sizeof(x_match)) ?: (x < y ? -1 : x > y);
}

static int add_rule(struct shadow_table *t, const struct shunt_rule *r)
{
	struct shadow_entry *e = t->count ? &t->entry[t->count - 1] : NULL;
	struct shunt_match m = match_of(r);

	if (!e || memcmp(&e->match, &m, sizeof(m))) {
		e = &t->entry[t->count++];
		e->match = m;
	}
	if (e->shadows.count == SHUNT_SHADOWS)
		return deny(-ENOSPC, "no room for more than %d shadowed rules for the same packets",
			    SHUNT_SHADOWS);
	e->shadows.shadow[e->shadows.count++] = shadow_of(r);
	return 0;
}

int shadow_table_make(const struct shunt_rule **rules, __u32 count, struct shadow_table *ret)
{
	__u32 i, matches = 0;
	int error;

	sort_array(rules, count, sizeof(*rules), by_match_and_place);
	for (i = 0; i < count; i++)
		matches += !i || !rule_same_match(rules[i - 1], rules[i]);
	error = make_room(ret, matches);
	for (i = 0; i < count && !error; i++)
		error = add_rule(ret, rules[i]);
	return error;
}

/* Returns the entry for the same match, or NULL. */
static const struct shadow_entry *find_entry(const struct shadow_table *t,
					     const struct shadow_entry *e)
{
	return search_array(e, t->entry, t->count, sizeof(*t->entry), by_match);
}

static bool has_shadow(const struct shunt_shadows *s, const struct shunt_shadow *one)
{
	__u32 i;

	for (i = 0; i < s->count; i++)
		if (!memcmp(&s->shadow[i], one, sizeof(*one)))
			return true;
	return false;
}

/* Puts what 'new' lacks of the rules that routers have made in front of it, as long as there is room: a rule
 * that is about to come in force is the newest. */
static struct shunt_shadows with_lacking(const struct shunt_shadows *was,
					 const struct shunt_shadows *new)
{
	struct shunt_shadows s = {};
	__u32 i;

	for (i = 0; i < was->count && s.count + new->count < SHUNT_SHADOWS; i++)
		if (was->shadow[i].router && !has_shadow(new, &was->shadow[i]))
			s.shadow[s.count++] = was->shadow[i];
	memcpy(&s.shadow[s.count], new->shadow, new->count * sizeof(s.shadow[0]));
	s.count += new->count;
	return s;
}

int shadow_table_join(const struct shadow_table *was, const struct shadow_table *new,
		      struct shadow_table *ret)
{
	int error = make_room(ret, was->count + new->count);
	const struct shadow_entry *e, *old;

	if (error)
		return error;
	for (e = was->entry; e < was->entry + was->count; e++)
		if (!find_entry(new, e))
			ret->entry[ret->count++] = *e;
	for (e = new->entry; e < new->entry + new->count; e++) {
		old = find_entry(was, e);
		ret->entry[ret->count] = *e;
		if (old)
			ret->entry[ret->count].shadows = with_lacking(&old->shadows, &e->shadows);
		ret->count++;
	}
	sort_array(ret->entry, ret->count, sizeof(*ret->entry), by_match);
	return 0;
}

static bool same_shadows(const struct shunt_shadows *a, const struct shunt_shadows *b)
{
	return a->count == b->count &&
	       !memcmp(a->shadow, b->shadow, a->count * sizeof(a->shadow[0]));
}

int shadow_table_change(const struct shadow_table *from, const struct shadow_table *to)
{
	static const struct shunt_shadows none;
	const struct shadow_entry *e, *old;
	int error = 0;

	for (e = to->entry; e < to->entry + to->count && !error; e++) {
		old = find_entry(from, e);
		if (!old || !same_shadows(&old->shadows, &e->shadows))
			error = put(&e->match, &e->shadows);
	}
	for (e = from->entry; e < from->entry + from->count && !error; e++)
		if (!find_entry(to, e))
			error = put(&e->match, &none);
	return error;
}
