// SPDX-License-Identifier: GPL-2.0-only
#include "config/option_values.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach/attachments.h"
#include "attach/cgroup.h"
#include "config/defaults.h"
#include "config/excludes.h"
#include "config/nat_options.h"
#include "util/iface.h"
#include "util/log.h"
#include "util/parse.h"

/* Whether the text is decimal, or hexadecimal after 0x. A leading zero is refused: to some programs it
 * means octal, to others nothing. */
static bool is_number(const char *text)
{
	if (*text < '0' || *text > '9')
		return false;
	return *text != '0' || !text[1] || ((text[1] == 'x' || text[1] == 'X') && text[2]);
}

int parse_u64(const char *option, const char *text, __u64 low, __u64 high, __u64 *ret)
{
	char *end;
	__u64 n;

	errno = 0;
	n = strtoull(text, &end, 0);
	if (!is_number(text) || *end || errno || n < low || n > high)
		return refuse("%s '%s': not a number from %llu to %llu, without leading zeros",
			      option, text, (unsigned long long)low, (unsigned long long)high);
	*ret = n;
	return 0;
}

/* Adds an attachment to those of load, unless it is already among them. */
static int add_state(struct load_config *config, const char *option,
		     const struct shunt_attachment *state)
{
	if (attachment_find(config->attachments, state->kind, state->name))
		return 0;
	if (config->n == SHUNT_ATTACHMENTS)
		return refuse("%s '%s': more than %d attachments", option, state->name,
			      SHUNT_ATTACHMENTS);
	config->attachments[config->n++] = *state;
	return 0;
}

/* Takes over the entry that is loaded for an interface or cgroup which is gone at the moment. Only a
 * file with the whole configuration does so: without the entry it would take away what waits. */
static bool keep_waiting(struct load_config *config, enum attachment_kind kind, const char *name,
			 struct shunt_attachment *ret)
{
	const struct shunt_attachment *a = config->whole
						   ? attachment_find(config->loaded->attachments,
								     kind, name)
						   : NULL;

	if (!a)
		return false;
	*ret = *a;
	ret->ifindex = 0;
	ret->clsact = ret->qdisc = 0;
	ret->priority = 0;
	ret->by_pattern = ret->auto_attached = 0;
	return true;
}

static int find_cgroup(struct load_config *config, const char *name, struct shunt_attachment *s)
{
	char path[2 * ATTACHMENT_NAME_SIZE];
	const __u8 admit = s->admit;

	cgroup_path(name, path, sizeof(path));
	if (!cgroup_id(path) && keep_waiting(config, ATTACH_CGROUP, path, s)) {
		s->admit = admit;
		return 0;
	}
	return cgroup_resolve(name, s->name, sizeof(s->name));
}

static const char *admission(__u8 admit)
{
	return admit == SHUNT_EAGER ? "eager" : "proven";
}

/* Refuses a cgroup that an earlier word names with another admission. */
static int check_admission(const struct load_config *config, const struct shunt_attachment *s)
{
	const struct shunt_attachment *a = attachment_find(config->attachments, s->kind, s->name);

	if (!a || a->admit == s->admit)
		return 0;
	return refuse("--cgroup '%s': is given as '%s' and as '%s'", s->name, admission(a->admit),
		      admission(s->admit));
}

int add_cgroup(struct load_config *config, const char *option, char *value)
{
	struct shunt_attachment s = { .kind = ATTACH_CGROUP, .admit = SHUNT_PROVEN };
	char *mode = strrchr(value, '=');
	int error;

	if (mode && strcmp(mode, "=proven") && strcmp(mode, "=eager"))
		return refuse("--cgroup '%s': unknown admission '%s'; 'proven' or 'eager'", value,
			      mode + 1);
	if (mode) {
		s.admit = !strcmp(mode, "=eager") ? SHUNT_EAGER : SHUNT_PROVEN;
		*mode = '\0';
	}
	error = find_cgroup(config, value, &s);
	if (error)
		return error;
	error = check_admission(config, &s);
	if (error)
		return error;
	config->bypass = true;
	config->eager |= s.admit == SHUNT_EAGER;
	config->proven |= s.admit == SHUNT_PROVEN;
	return add_state(config, option, &s);
}

/* Fills an entry for an interface. */
static int find_iface(struct load_config *config, const char *name, struct shunt_attachment *s)
{
	int error = iface_index(name, &s->ifindex);

	if (error)
		return fail(error, "can't look at interface '%s'", name);
	if (!s->ifindex && keep_waiting(config, s->kind, name, s))
		return 0;
	if (!s->ifindex || strlen(name) >= IF_NAMESIZE)
		return deny(-ENODEV, "no interface '%s'", name);
	strcpy(s->name, name);
	return 0;
}

int add_iface(struct load_config *config, const char *option, char *value)
{
	bool pattern = is_pattern(value);
	struct shunt_attachment s = { .kind = pattern ? ATTACH_PATTERN : ATTACH_IFACE };
	int error;

	if (pattern && strlen(value) >= IF_NAMESIZE)
		return deny(-ENODEV, "no interface '%s'", value);
	if (pattern)
		strcpy(s.name, value);
	error = pattern ? 0 : find_iface(config, value, &s);
	if (error)
		return error;
	config->steer = true;
	return add_state(config, option, &s);
}

int add_monitor(struct load_config *config, const char *option, char *value)
{
	struct shunt_attachment s = { .kind = ATTACH_MONITOR_IN };
	int error = find_iface(config, value, &s);

	if (error)
		return error;
	config->monitor = true;
	error = add_state(config, option, &s);
	if (error)
		return error;
	s.kind = ATTACH_MONITOR_OUT;
	return add_state(config, option, &s);
}

int add_nat(struct load_config *config, const char *option, char *value)
{
	struct shunt_attachment both[2];
	__u32 ifindex = 0;
	int error;

	if (!iface_index(value, &ifindex) && !ifindex &&
	    ((keep_waiting(config, ATTACH_NAT_IN, value, &both[0]) &&
	      keep_waiting(config, ATTACH_NAT_OUT, value, &both[1])) ||
	     (keep_waiting(config, ATTACH_NAT_RAW_IN, value, &both[0]) &&
	      keep_waiting(config, ATTACH_NAT_RAW_OUT, value, &both[1]))))
		error = 0;
	else
		error = nat_attachments(value, both);
	if (error)
		return error;
	config->nat = true;
	error = add_state(config, option, &both[0]);
	return error ? error : add_state(config, option, &both[1]);
}

int add_exclude(struct load_config *config, const char *option, char *value)
{
	struct shunt_exclude x = {};
	int error;

	if (config->conf.excludes == SHUNT_EXCLUDES)
		return refuse("%s '%s': more than %d", option, value, SHUNT_EXCLUDES);
	error = exclude_parse(option, value, &x);
	if (error)
		return error;
	if (exclude_is_among(&x, config->excludes, config->conf.excludes))
		return 0;
	config->excludes[config->conf.excludes++] = x;
	return 0;
}

int set_router(struct load_config *config, const char *option, char *value)
{
	int error = cgroup_resolve(value, config->router, sizeof(config->router));
	struct stat st;

	(void)option;
	if (error)
		return error;
	if (stat(config->router, &st))
		return fail(-errno, "cgroup '%s'", config->router);
	config->conf.router_cgroup = st.st_ino;
	return 0;
}

int set_host_bytes(struct load_config *config, const char *option, char *value)
{
	__u64 bytes;
	int error = parse_u64(option, value, 1, 1ULL << 40, &bytes);

	if (error)
		return error;
	config->conf.max_pages = bytes / getpagesize();
	return 0;
}

int set_mark(struct load_config *config, const char *option, char *value)
{
	__u64 mark;
	int error = parse_u64(option, value, 1, 0xffffffff, &mark);

	if (error)
		return error;
	if (mark & (mark - 1))
		return refuse("%s '%s': more than one bit", option, value);
	config->conf.mark = mark;
	return 0;
}

int set_table(struct load_config *config, const char *option, char *value)
{
	__u64 table;
	int error = parse_u64(option, value, 1, 0xffffffff, &table);

	if (error)
		return error;
	if (table >= 253 && table <= 255)
		return refuse("%s '%s': the system's own", option, value);
	config->conf.table = table;
	return 0;
}

int set_flows(struct load_config *config, const char *option, char *value)
{
	__u64 flows;
	int error = parse_u64(option, value, 1, 1U << 24, &flows);

	if (error)
		return error;
	conf_set_flows(&config->conf, flows);
	return 0;
}

int set_nat_idle(struct load_config *config, const char *option, char *value)
{
	(void)option;
	return nat_set_idle(&config->nat_conf, value);
}

/* --- printing ----------------------------------------------------------------------------- */

/* Whether the entry is one that 'shunt load' named. */
static bool is_named(const struct shunt_attachment *a)
{
	return !a->by_pattern && !a->auto_attached;
}

/* Whether *base has the entry, as one that 'shunt load' named. */
static bool has(const struct load_config *base, const struct shunt_attachment *a)
{
	const struct shunt_attachment *found = attachment_find(base->attachments, a->kind, a->name);

	return found && is_named(found) && found->admit == a->admit;
}

/* The next entry of one of two kinds that *base lacks; NULL if there is none. */
static const struct shunt_attachment *next_entry(const struct load_config *config,
						 const struct load_config *base, unsigned int *i,
						 enum attachment_kind kind,
						 enum attachment_kind or_kind)
{
	const struct shunt_attachment *a;

	while (*i < SHUNT_ATTACHMENTS) {
		a = &config->attachments[(*i)++];
		if ((a->kind == kind || a->kind == or_kind) && is_named(a) && !has(base, a))
			return a;
	}
	return NULL;
}

static bool entry_name(const struct shunt_attachment *a, char ret[OPTION_TEXT])
{
	if (a)
		snprintf(ret, OPTION_TEXT, "%s", a->name);
	return a;
}

bool next_cgroup(const struct load_config *config, const struct load_config *base, unsigned int *i,
		 char ret[OPTION_TEXT])
{
	const struct shunt_attachment *a = next_entry(config, base, i, ATTACH_CGROUP,
						      ATTACH_CGROUP);

	if (!a)
		return false;
	/* in a path with '=', what follows the last one would be taken for the admission */
	snprintf(ret, OPTION_TEXT, "%s%s", a->name,
		 a->admit == SHUNT_EAGER ? "=eager"
		 : strchr(a->name, '=')  ? "=proven"
					 : "");
	return true;
}

bool next_iface(const struct load_config *config, const struct load_config *base, unsigned int *i,
		char ret[OPTION_TEXT])
{
	return entry_name(next_entry(config, base, i, ATTACH_IFACE, ATTACH_PATTERN), ret);
}

bool next_monitor(const struct load_config *config, const struct load_config *base, unsigned int *i,
		  char ret[OPTION_TEXT])
{
	return entry_name(next_entry(config, base, i, ATTACH_MONITOR_IN, ATTACH_MONITOR_IN), ret);
}

bool next_nat(const struct load_config *config, const struct load_config *base, unsigned int *i,
	      char ret[OPTION_TEXT])
{
	return entry_name(next_entry(config, base, i, ATTACH_NAT_IN, ATTACH_NAT_RAW_IN), ret);
}

bool next_exclude(const struct load_config *config, const struct load_config *base, unsigned int *i,
		  char ret[OPTION_TEXT])
{
	const struct shunt_exclude *x;

	while (*i < config->conf.excludes) {
		x = &config->excludes[(*i)++];
		if (exclude_is_among(x, base->excludes, base->conf.excludes))
			continue;
		exclude_text(x, ret, OPTION_TEXT);
		return true;
	}
	return false;
}

bool next_router(const struct load_config *config, const struct load_config *base, unsigned int *i,
		 char ret[OPTION_TEXT])
{
	if ((*i)++ || !*config->router || config->conf.router_cgroup == base->conf.router_cgroup)
		return false;
	snprintf(ret, OPTION_TEXT, "%s", config->router);
	return true;
}

bool next_host_bytes(const struct load_config *config, const struct load_config *base,
		     unsigned int *i, char ret[OPTION_TEXT])
{
	if ((*i)++ || config->conf.max_pages == base->conf.max_pages)
		return false;
	snprintf(ret, OPTION_TEXT, "%llu",
		 (unsigned long long)config->conf.max_pages * getpagesize());
	return true;
}

bool next_nat_idle(const struct load_config *config, const struct load_config *base,
		   unsigned int *i, char ret[OPTION_TEXT])
{
	while (*i < NAT_IDLES) {
		unsigned int kind = (*i)++;

		if (config->nat_conf.idle_ns[kind] == base->nat_conf.idle_ns[kind])
			continue;
		nat_idle_text(&config->nat_conf, kind, ret, OPTION_TEXT);
		return true;
	}
	return false;
}
