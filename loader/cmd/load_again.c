// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/load_again.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "attach/attach.h"
#include "attach/attachments.h"
#include "attach/ifaces.h"
#include "attach/loopback.h"
#include "attach/policy_route.h"
#include "bpf/pins.h"
#include "rules/rule_store.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/netns.h"

/* Makes the routes and the settings of lo again if somebody removed or changed them. Adds to
 * *n how many. */
static int restore_delivery(struct shunt_conf *conf, unsigned int *n)
{
	int error = route_restore(conf, n);

	if (error || !loopback_lost_setting(conf))
		return error;
	++*n;
	return loopback_reassert(conf);
}

/* Attaches an entry again whose cgroup or interface was removed and made again, or whose
 * program somebody took off. Adds 1 to *n then. */
static int attach_entry_again(struct shunt_attachment *attachments,
			      const struct shunt_attachment *wanted, unsigned int *n)
{
	struct shunt_attachment *s = attachment_find(attachments, wanted->kind, wanted->name);
	bool iface;
	int there, error;

	if (!s || s->kind == ATTACH_PATTERN)
		return 0;
	there = is_attached(attachments, s - attachments);
	if (there < 0)
		return fail(there, "can't look at what is attached to '%s'", s->name);
	if (there && s->ifindex == wanted->ifindex)
		return 0;
	iface = attachment_is_iface(s);
	error = iface ? detach_keep_entry(attachments, s - attachments) : 0;
	if (error)
		return error;
	*s = *wanted;
	++*n;
	error = iface ? attach(attachments, s - attachments)
		      : cgroup_reattach(attachments, s - attachments);
	if (error)
		return error;
	say("attached again to '%s'", s->name);
	return 0;
}

/* Binds the rules to the interfaces as they are now. */
static int rebind_rules(void)
{
	int error = rules_open();

	if (error)
		return error;
	error = rules_rebind();
	rules_close();
	return error;
}

static int attach_again(const struct load_config *config, struct shunt_conf *conf,
			struct shunt_attachment *attachments)
{
	unsigned int i, n = 0;
	int error = restore_delivery(conf, &n);

	if (error)
		return error;
	for (i = 0; i < config->n; i++) {
		error = attach_entry_again(attachments, &config->attachments[i], &n);
		if (error)
			return error;
	}
	if (!n)
		say("already loaded");
	return n && config->steer ? rebind_rules() : 0;
}

/* The name of an option that differs from what is loaded; NULL if none does. */
static const char *difference(const struct load_config *config,
			      const struct shunt_attachment *attachments,
			      const struct shunt_conf *conf)
{
	_cleanup_free_ struct load_config *loaded = calloc(1, sizeof(*loaded));
	const struct shunt_exclude *excludes = pin_mmap("shunt_exclude", NULL);
	const struct shunt_nat *nat = pin_mmap("shunt_nat", NULL);

	if (!loaded || !excludes || !nat)
		return "pinned maps";
	memcpy(loaded->attachments, attachments, sizeof(loaded->attachments));
	memcpy(loaded->excludes, excludes, sizeof(loaded->excludes));
	loaded->conf = *conf;
	loaded->nat_conf = *nat;
	return load_config_difference(config, loaded);
}

int load_again(const struct load_config *config, struct shunt_conf *conf,
	       struct shunt_attachment *attachments)
{
	const char *other;
	int error;

	if (conf->netns != own_netns_cookie())
		return netns_require_loaded()
			       ?: deny(-EEXIST, "already loaded in another network namespace; "
						"unload first, or choose another --pin-dir");
	other = difference(config, attachments, conf);
	if (other)
		return deny(-EEXIST,
			    "already loaded with other options: %s differs ('shunt "
			    "status' shows what is loaded); unload first",
			    other);
	if (config->file.count + config->file.nats)
		say("rules are left as they are: 'shunt apply' changes them");
	error = attach_again(config, conf, attachments);
	if (error)
		return error;
	error = attachments_have_ifaces(attachments) ? ifaces_sync(conf, attachments) : 0;
	if (error)
		return error;
	ifaces_warn_topology();
	return 0;
}
