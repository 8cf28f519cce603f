// SPDX-License-Identifier: GPL-2.0-only
/* shunt unload: takes everything off the host, or halves, or single attachments. */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attach/attach.h"
#include "attach/attachments.h"
#include "attach/cgroup.h"
#include "attach/iface_names.h"
#include "attach/ifaces.h"
#include "attach/leftovers.h"
#include "bpf/pins.h"
#include "bypass/lingering.h"
#include "cmd/command.h"
#include "cmd/kept_rules.h"
#include "cmd/unload.h"
#include "nat/nat_attach.h"
#include "nat/nat_store.h"
#include "rules/rule.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/options.h"
#include "util/parse.h"

#define DEFAULT_SEC 10
#define MAX_SEC 86400

/* What the words ask for. */
struct unload {
	struct teardown how;
	bool half[HALVES];
	bool any_half;
	struct shunt_attachment part[SHUNT_ATTACHMENTS]; /* only kind and name are set */
	unsigned int parts;
};

static int parse_timeout(const char *word, unsigned int *ret_ms)
{
	unsigned int sec;

	if (!parse_number(word, MAX_SEC, &sec))
		return refuse("--timeout '%s': not a number of seconds from 0 to %d", word,
			      MAX_SEC);
	*ret_ms = sec * 1000;
	return 0;
}

static int add_part(struct unload *u, enum attachment_kind kind, const char *option,
		    const char *name)
{
	struct shunt_attachment *part = &u->part[u->parts];

	if (u->parts == SHUNT_ATTACHMENTS)
		return refuse("unload: more than %d attachments", SHUNT_ATTACHMENTS);
	if (strlen(name) >= sizeof(part->name))
		return refuse("%s '%s': no such name", option, name);
	part->kind = kind;
	strcpy(part->name, name);
	u->parts++;
	return 0;
}

/* Adds a cgroup to what unload takes away. If the cgroup is gone, realpath() can't resolve its
 * path, and the path is taken as it is. */
static int add_cgroup_part(struct unload *u, const char *name)
{
	char path[PATH_MAX], full[PATH_MAX];

	cgroup_path(name, path, sizeof(path));
	while (*path && path[strlen(path) - 1] == '/')
		path[strlen(path) - 1] = '\0';
	return add_part(u, ATTACH_CGROUP, "--cgroup", realpath(path, full) ? full : path);
}

static int parse_option(struct unload *u, const char *option, const char *value)
{
	if (!strcmp(option, "--timeout"))
		return parse_timeout(value, &u->how.timeout_ms);
	if (!strcmp(option, "--cgroup"))
		return add_cgroup_part(u, value);
	if (!strcmp(option, "--iface"))
		return add_part(u, is_pattern(value) ? ATTACH_PATTERN : ATTACH_IFACE, option,
				value);
	if (!strcmp(option, "--monitor"))
		return add_part(u, ATTACH_MONITOR_IN, option, value);
	return add_part(u, ATTACH_NAT_IN, option, value);
}

static bool is_option(const char *word)
{
	static const char *const options[] = { "--timeout", "--cgroup", "--iface", "--monitor",
					       "--nat" };
	size_t i;

	for (i = 0; i < sizeof(options) / sizeof(*options); i++)
		if (!strcmp(options[i], word))
			return true;
	return false;
}

/* The half of this name; HALVES if there is none. */
static int half_of_name(const char *word)
{
	int half;

	for (half = 0; half < HALVES; half++)
		if (!strcmp(half_name(half), word))
			break;
	return half;
}

static int parse(int argc, char **argv, struct unload *u)
{
	int i, half, error = 0;

	u->how.timeout_ms = DEFAULT_SEC * 1000;
	for (i = 1; i < argc && !error; i++) {
		half = half_of_name(argv[i]);
		if (half < HALVES) {
			u->half[half] = u->any_half = true;
			continue;
		}
		if (!strcmp(argv[i], "--force")) {
			u->how.reset = true;
			continue;
		}
		if (!strcmp(argv[i], "--forget")) {
			u->how.forget = true;
			continue;
		}
		if (!is_option(argv[i]))
			return refuse("unload: unknown word '%s'; see 'shunt unload help'",
				      argv[i]);
		if (i + 1 == argc)
			return refuse("unload: %s: a value is missing", argv[i]);
		error = parse_option(u, argv[i], argv[i + 1]);
		i++;
	}
	return error;
}

/* --- single attachments ----------------------------------------------------------------- */

static const char *option_of(const struct shunt_attachment *part)
{
	switch (part->kind) {
	case ATTACH_CGROUP:
		return "--cgroup";
	case ATTACH_MONITOR_IN:
		return "--monitor";
	case ATTACH_NAT_IN:
		return "--nat";
	default:
		return "--iface";
	}
}

/* Whether the entry goes when the part is taken away. */
static bool belongs(const struct shunt_attachment *a, const struct shunt_attachment *part)
{
	if (a->kind == ATTACH_NONE || strcmp(a->name, part->name))
		return false;
	switch (part->kind) {
	case ATTACH_IFACE:
		return a->kind == ATTACH_IFACE || a->kind == ATTACH_LOCAL_OUT;
	case ATTACH_MONITOR_IN:
		return attachment_is_monitor(a);
	case ATTACH_NAT_IN:
		return attachment_is_nat(a);
	default:
		return a->kind == part->kind;
	}
}

static bool is_there(const struct shunt_attachment *attachments,
		     const struct shunt_attachment *part)
{
	int i;

	for (i = 0; i < SHUNT_ATTACHMENTS; i++)
		if (belongs(&attachments[i], part))
			return true;
	return false;
}

/* Detaches from interfaces that a pattern named, if no pattern that is left matches them. */
static int remove_unmatched(struct shunt_attachment *attachments)
{
	struct link link = {};
	int i, error, first = 0;

	for (i = SHUNT_ATTACHMENTS - 1; i >= 0; i--) {
		if (!attachments[i].by_pattern || (attachments[i].kind != ATTACH_IFACE &&
						   attachments[i].kind != ATTACH_LOCAL_OUT))
			continue;
		snprintf(link.name, sizeof(link.name), "%.*s", (int)sizeof(link.name) - 1,
			 attachments[i].name);
		link.ifindex = attachments[i].ifindex;
		if (iface_matches_pattern(attachments, &link))
			continue;
		error = attachment_remove(attachments, i);
		first = first_error(first, error);
	}
	return first;
}

/* Whether NAT has to stay attached to the interface, because there are rules of NAT. */
static bool rules_need_nat(const struct shunt_attachment *part)
{
	return part->kind == ATTACH_NAT_IN && !nat_store_open() && !nat_store_empty();
}

int unload_part(struct shunt_attachment *attachments, const struct shunt_attachment *part)
{
	const bool keep = rules_need_nat(part);
	struct link link = { .ifindex = 0 };
	int i, error, first = 0;

	snprintf(link.name, sizeof(link.name), "%.*s", (int)sizeof(link.name) - 1, part->name);

	for (i = SHUNT_ATTACHMENTS - 1; i >= 0; i--) {
		if (!belongs(&attachments[i], part))
			continue;
		if (keep) {
			attachments[i].auto_attached = 1;
			continue;
		}
		error = attachment_remove(attachments, i);
		first = first_error(first, error);
	}
	if (part->kind == ATTACH_IFACE && iface_matches_pattern(attachments, &link))
		warn("'%s': a pattern that is loaded names it, too, and brings it back",
		     part->name);
	if (keep)
		say("'%s': NAT stays attached as long as there are rules of NAT", part->name);
	if (part->kind == ATTACH_PATTERN) {
		error = remove_unmatched(attachments);
		first = first_error(first, error);
	}
	return first;
}

/* Refuses a half that is not loaded. */
static int check_halves(const struct unload *u)
{
	char path[PIN_PATH];
	int half;

	for (half = 0; half < HALVES; half++)
		if (u->half[half] && access(pin_path(path, half, "", ""), F_OK) &&
		    !(half == HALF_BYPASS && lingering_is_any()))
			return deny(-ENOENT, "%s is not loaded", half_name(half));
	return 0;
}

/* Interfaces are in the network namespace of load, which may be gone; cgroups are not. */
static bool names_iface(const struct unload *u)
{
	unsigned int i;

	for (i = 0; i < u->parts; i++)
		if (u->part[i].kind != ATTACH_CGROUP)
			return true;
	return false;
}

static int remove_parts(const struct unload *u)
{
	struct shunt_attachment *attachments = attachments_map();
	unsigned int i;
	int error, first = 0;

	if (!u->parts)
		return 0;
	if (!attachments)
		return errno == ENOENT ? report_not_loaded()
				       : fail(-errno, "can't map the table of attachments");
	error = names_iface(u) ? attachments_update_names() : 0;
	if (error < 0)
		return error;
	for (i = 0; i < u->parts; i++)
		if (!is_there(attachments, &u->part[i]))
			return deny(-ENOENT, "%s '%s': not attached; 'shunt status' lists what is",
				    option_of(&u->part[i]), u->part[i].name);
	error = names_iface(u) ? netns_require_loaded() : 0;
	if (error)
		return error;
	for (i = 0; i < u->parts; i++) {
		error = unload_part(attachments, &u->part[i]);
		first = first_error(first, error);
	}
	return first;
}

/* --- halves ------------------------------------------------------------------------------- */

int unload_halves(const bool half[HALVES], const struct teardown *how)
{
	int i, error, first = 0;

	for (i = HALVES - 1; i > HALF_BYPASS; i--) {
		error = half[i] ? teardown(i, how) : 0;
		first = first_error(first, error);
	}
	error = half[HALF_BYPASS] ? teardown_bypasses(how) : 0;
	return first_error(first, error);
}

/* Unloads NAT along with steering if nobody uses it: it has neither a rule nor an interface. Load of
 * steering loads NAT, too, for 'shunt nat add'. */
static int remove_unused_nat(const struct unload *u)
{
	const struct shunt_attachment *attachments = attachments_map();
	int i;

	if (!attachments || !u->half[HALF_STEER] || half_is_loaded(HALF_NAT) <= 0 ||
	    nat_store_open() || !nat_store_empty())
		return 0;
	for (i = 0; i < SHUNT_ATTACHMENTS; i++)
		if (attachment_is_nat(&attachments[i]))
			return 0;
	return teardown(HALF_NAT, &u->how);
}

int unload_wait(const struct teardown *how)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	const __u64 start = monotonic_ns();
	const struct teardown look = { .quiet = true };
	struct teardown last = *how;
	int error = -READERS_LEFT;

	while (error == -READERS_LEFT && monotonic_ns() - start < how->timeout_ms * NS_PER_MS) {
		_cleanup_lock_ int lock = pins_lock(false);

		if (lock < 0)
			return lock == -ENOENT ? 0 : lock;
		error = teardown_lingering(&look);
		error = error ? error : pins_remove();
		pins_unlock(&lock);
		lock = -1;
		if (error == -READERS_LEFT)
			nanosleep(&pause, NULL);
	}
	if (error == -READERS_LEFT) {
		_cleanup_lock_ int lock = pins_lock(false);

		last.timeout_ms = 0;
		if (lock < 0)
			return lock == -ENOENT ? 0 : lock;
		error = teardown_lingering(&last);
		error = error ? error : pins_remove();
	}
	return error;
}

/* A command that was killed may have left a monitor that another half's attachment was moving. */
static int mend_others(void)
{
	struct shunt_attachment *attachments = attachments_map();

	return attachments && attachments_have_ifaces(attachments) && !netns_enter_loaded()
		       ? ifaces_sync(half_conf(HALF_STEER), attachments)
		       : 0;
}

static int unload(const struct unload *u)
{
	const bool all = !u->any_half && !u->parts;
	const struct teardown how = { .quiet = true, .forget = u->how.forget };
	int error, first;

	error = check_halves(u);
	if (error)
		return error;
	first = all ? teardown_all(&how) : remove_parts(u);
	if (first && u->parts)
		return first;
	error = unload_halves(u->half, &how);
	first = first_error(first, error);
	error = remove_unused_nat(u);
	first = first_error(first, error);
	error = all ? 0 : mend_others();
	first = first_error(first, error);
	error = pins_remove();
	return first_error(first, error);
}

static int unload_help(void)
{
	printf("usage: shunt unload [HALF]... [--iface NAME]... [--cgroup PATH]... [--nat NAME]...\n"
	       "                    [--monitor NAME]... [--timeout SEC] [--force]\n"
	       "                    [--forget]\n\n"
	       "Takes everything off the host; with a HALF (bypass, steering, nat, monitor) or an\n"
	       "attachment of 'shunt load' only that. Bytes that wait on the fast path are read first.\n"
	       "If sockets still hold such bytes after SEC seconds (%d), they are listed and stay\n"
	       "usable, and the exit status is 1. What they need goes when the bytes are read, with the\n"
	       "next load or unload, or by 'shunt run'. --force resets these connections instead.\n\n"
	       "The rules of routers that run (shunt-diverter) are kept in /run/shunt, and the next\n"
	       "load of steering adds those again whose router still runs. --forget keeps none. Other\n"
	       "rules go: 'shunt save' prints them.\n",
	       DEFAULT_SEC);
	return 0;
}

int cmd_unload(int argc, char **argv)
{
	_cleanup_free_ struct unload *u = NULL;
	_cleanup_lock_ int lock = -1;
	int error;

	if (argc == 2 && !strcmp(argv[1], "help"))
		return unload_help();
	u = calloc(1, sizeof(*u));
	if (!u)
		return fail(-ENOMEM, "unload");
	error = parse(argc, argv, u);
	if (error)
		return error;
	lock = pins_lock(false);
	if (u->how.forget && (lock >= 0 || lock == -ENOENT))
		kept_rules_forget();
	if (lock == -ENOENT) {
		error = pins_check_reachable();
		if (error)
			return error;
		say("nothing is loaded in '%s'", opt.pin_dir);
		return leftovers_remove();
	}
	if (lock < 0)
		return lock;
	error = unload(u);
	pins_unlock(&lock);
	lock = -1;
	return error == -READERS_LEFT ? unload_wait(&u->how) : error;
}
