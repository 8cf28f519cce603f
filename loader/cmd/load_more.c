// SPDX-License-Identifier: GPL-2.0-only
/* Adds to a half that is loaded. */
#include "cmd/load_more.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "attach/attach.h"
#include "attach/attachments.h"
#include "attach/cgroup.h"
#include "attach/ifaces.h"
#include "attach/loopback.h"
#include "attach/policy_route.h"
#include "bpf/pins.h"
#include "bpf/selftest.h"
#include "cmd/settings.h"
#include "config/options.h"
#include "nat/nat_attach.h"
#include "nat/nat_store.h"
#include "rules/rule_store.h"
#include "util/cleanup.h"
#include "util/log.h"

static const char *admission(__u8 admit)
{
	return admit == SHUNT_EAGER ? "eager" : "proven";
}

/* Refuses another admission for a cgroup that is attached: its pairs were admitted under the present
 * one. */
static int check_admission(const struct load_config *config, const struct half_pins *pins,
			   const struct shunt_attachment *wanted)
{
	const unsigned int line = load_config_line_of_cgroup(config, wanted->name);
	const struct shunt_attachment *a = attachment_find(pins->attachments, wanted->kind,
							   wanted->name);

	if (!a || a->admit == wanted->admit)
		return 0;
	if (line)
		log_set_file_position(config->file.name, line);
	deny(-EEXIST,
	     "--cgroup '%s': is loaded as '%s', not '%s'; 'shunt unload --cgroup %s' first",
	     wanted->name, admission(a->admit), admission(wanted->admit), wanted->name);
	log_set_file_position(NULL, 0);
	return -EEXIST;
}

/* Refuses to change an option that is fixed while its half is loaded. */
static int refuse_fixed(enum half half, const struct load_config *config, const char *option)
{
	const unsigned int line = rule_file_line_of(&config->file, option);
	struct option_value v = {};
	int error;

	if (!config->whole || line) {
		if (line)
			log_set_file_position(config->file.name, line);
		error = deny(-EEXIST, "%s can't change while %s is loaded; 'shunt unload %s' first",
			     option, half_name(half), half_name(half));
		log_set_file_position(NULL, 0);
		return error;
	}
	while (load_options_next(config->loaded, config, &v))
		if (!strcmp(load_option_name(v.option), option))
			break;
	return deny(-EEXIST,
		    "'%s' lacks the line '%s %s', and %s can't change while %s is loaded; 'shunt "
		    "unload %s' first",
		    config->file.name, option + 2, v.text, option, half_name(half),
		    half_name(half));
}

int load_more_check(enum half half, const struct load_config *config)
{
	struct half_pins pins;
	const char *fixed;
	unsigned int i;
	int error = half_map(half, &pins);

	if (error)
		return error;
	fixed = load_options_fixed(half, config);
	if (fixed)
		return refuse_fixed(half, config, fixed);
	for (i = 0; i < config->n && half == HALF_BYPASS; i++) {
		if (attachment_half(&config->attachments[i]) != half)
			continue;
		error = check_admission(config, &pins, &config->attachments[i]);
		if (error)
			return error;
	}
	return 0;
}

/* --- attachments ------------------------------------------------------------------------ */

/* Makes an entry and attaches it. */
static int add_entry(struct more *m, struct shunt_attachment *attachments,
		     const struct shunt_attachment *wanted)
{
	struct shunt_attachment *a = attachment_unused(attachments);
	int error;

	if (!a)
		return deny(-ENOSPC, "can't attach to '%s': more than %d attachments", wanted->name,
			    SHUNT_ATTACHMENTS);
	*a = *wanted;
	error = attach(attachments, a - attachments);
	if (error) {
		if (!a->clsact) /* an entry with clsact set tells unload what is left */
			a->kind = ATTACH_NONE;
		return error;
	}
	m->changed = true;
	say("attached to '%s'", wanted->name);
	return 0;
}

/* Whether the interface or cgroup is there. */
static bool exists(const struct shunt_attachment *wanted)
{
	return attachment_is_iface(wanted) ? wanted->ifindex : cgroup_id(wanted->name) != 0;
}

/* Attaches the entry of an interface, which is attached nowhere. After an error it waits. */
static int attach_iface_again(struct shunt_attachment *attachments, unsigned int i,
			      const struct shunt_attachment *wanted)
{
	int error = attach_waiting(attachments, i, wanted->ifindex);

	if (!error)
		attachments[i].by_pattern = attachments[i].auto_attached = 0;
	return error;
}

static int attach_cgroup_again(struct shunt_attachment *attachments, unsigned int i,
			       const struct shunt_attachment *wanted)
{
	attachments[i] = *wanted;
	return cgroup_reattach(attachments, i);
}

/* Attaches again if the interface or cgroup was removed and made again under the same name, or if
 * somebody detached the program. */
static int attach_again(struct more *m, struct shunt_attachment *attachments,
			struct shunt_attachment *a, const struct shunt_attachment *wanted)
{
	const unsigned int i = a - attachments;
	int error, there = is_attached(attachments, i);

	if (there < 0)
		return fail(there, "can't look at what is attached to '%s'", a->name);
	if (there && a->kind == ATTACH_CGROUP)
		cgroup_complete(attachments, i);
	if (there)
		return 0;
	error = (attachment_is_iface(a) ? attach_iface_again : attach_cgroup_again)(attachments, i,
										    wanted);
	if (error)
		return error;
	m->changed = true;
	say("attached again to '%s'", a->name);
	return 0;
}

static int bring_entry(struct more *m, struct shunt_attachment *attachments,
		       const struct shunt_attachment *wanted)
{
	struct shunt_attachment *a = attachment_find(attachments, wanted->kind, wanted->name);

	if (!a)
		return add_entry(m, attachments, wanted);
	if (a->kind != ATTACH_PATTERN && !exists(wanted))
		return 0; /* the entry waits */
	return a->kind == ATTACH_PATTERN ? 0 : attach_again(m, attachments, a, wanted);
}

static int bring_entries(struct more *m, struct shunt_attachment *attachments, enum half half,
			 const struct load_config *config)
{
	unsigned int i;
	int error = 0;

	for (i = 0; i < config->n && !error; i++) {
		if (attachment_half(&config->attachments[i]) != half)
			continue;
		error = bring_entry(m, attachments, &config->attachments[i]);
	}
	return error;
}

int load_more_begin(struct more *m)
{
	int i;

	m->attachments = attachments_map();
	if (!m->attachments && errno != ENOENT)
		return fail(-errno, "can't map the table of attachments");
	for (i = 0; m->attachments && i < SHUNT_ATTACHMENTS; i++) {
		m->was_there[i] = m->attachments[i].kind != ATTACH_NONE;
		m->was_by_pattern[i] = m->attachments[i].by_pattern;
		m->was_auto_attached[i] = m->attachments[i].auto_attached;
	}
	return 0;
}

void load_more_undo(struct more *m)
{
	int i;

	for (i = SHUNT_ATTACHMENTS - 1; i >= 0 && m->attachments; i--) {
		if (!m->was_there[i] && m->attachments[i].kind != ATTACH_NONE)
			attachment_remove(m->attachments, i);
		if (!m->was_there[i])
			continue;
		m->attachments[i].by_pattern = m->was_by_pattern[i];
		m->attachments[i].auto_attached = m->was_auto_attached[i];
	}
}

/* Marks entries as wanted by name. A pattern or a rule may have made them; from now on they stay
 * when that pattern or rule goes. */
static void claim_entries(struct shunt_attachment *attachments, enum half half,
			  const struct load_config *config)
{
	struct shunt_attachment *a;
	unsigned int i;

	for (i = 0; i < config->n; i++) {
		if (attachment_half(&config->attachments[i]) != half)
			continue;
		a = attachment_find(attachments, config->attachments[i].kind,
				    config->attachments[i].name);
		if (!a)
			continue;
		a->auto_attached = 0;
		if (a->kind == ATTACH_IFACE)
			attachments_set_by_pattern(attachments, a->name, false);
	}
}

/* --- the rest of each half -------------------------------------------------------------- */

/* Attaches NAT to the interfaces that steering was just attached to, if there are rules of NAT:
 * these rules hold at all interfaces of steering. */
static int attach_nat_too(const struct more *m, struct shunt_attachment *attachments)
{
	int i, error = 0;

	if (half_is_loaded(HALF_NAT) <= 0 || nat_store_open() || nat_store_empty())
		return 0;
	for (i = 0; i < SHUNT_ATTACHMENTS && !error; i++)
		if (!m->was_there[i] && attachments[i].kind == ATTACH_IFACE)
			error = nat_attach(attachments, attachments[i].ifindex);
	return error;
}

static int bring_steering(struct more *m, const struct half_pins *pins)
{
	unsigned int n = 0;
	int error = route_restore(pins->conf, &n);

	m->changed |= n;
	if (!error)
		error = attach_nat_too(m, pins->attachments);
	return error ? error : ifaces_sync(pins->conf, pins->attachments);
}

static int bring_loopback(struct more *m, struct shunt_conf *conf)
{
	int error;

	if (!loopback_lost_setting(conf))
		return 0;
	error = loopback_reassert(conf);
	m->changed |= !error;
	return error;
}

/* --- settings ----------------------------------------------------------------------------- */

int load_more_settings(enum half half, const struct load_config *config, struct more *m)
{
	struct half_pins pins;
	int error = half_map(half, &pins);

	if (error || !pins.conf)
		return error;
	claim_entries(pins.attachments, half, config);
	m->changed |= load_options_changed(half, config) != NULL;
	return settings_write(half, config);
}

int load_more(enum half half, const struct load_config *config, struct more *m)
{
	struct half_pins pins;
	int error = half_map(half, &pins);

	if (error)
		return error;
	error = bring_loopback(m, pins.conf);
	if (error)
		return error;
	if (half == HALF_BYPASS && config->proven && config->kernel_tested)
		pins.conf->fionread_faulty = config->conf.fionread_faulty;
	error = bring_entries(m, pins.attachments, half, config);
	if (error)
		return error;
	if (half == HALF_STEER)
		return bring_steering(m, &pins);
	return half == HALF_NAT && config->nat ? nat_allow_route_lookups(pins.conf) : 0;
}
