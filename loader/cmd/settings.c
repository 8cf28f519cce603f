// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/settings.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "attach/cgroup.h"
#include "attach/iface_names.h"
#include "bpf/pins.h"
#include "cmd/load_half.h"
#include "config/options.h"
#include "util/cleanup.h"
#include "util/log.h"

/* Maps the settings of a half that is loaded. */
static int map_settings(enum half half, struct pinned_settings *ret)
{
	struct half_pins pins;
	int error = half_map(half, &pins);

	if (error)
		return error;
	*ret = (struct pinned_settings){ .conf = pins.conf };
	if (half == HALF_BYPASS)
		ret->excludes = pin_mmap(half, "shunt_exclude", NULL);
	if (half == HALF_NAT)
		ret->nat = pin_mmap(half, "shunt_nat", NULL);
	if (!ret->conf || (half == HALF_BYPASS && !ret->excludes) ||
	    (half == HALF_NAT && !ret->nat))
		return fail(-errno, "can't map the settings of %s", half_name(half));
	return 0;
}

static int read_half(struct load_config *config, enum half half)
{
	struct pinned_settings pinned;
	int error = map_settings(half, &pinned);

	if (error)
		return error;
	load_options_read(half, &pinned, config);
	if (half == HALF_STEER && pinned.conf->router_cgroup &&
	    cgroup_find(pinned.conf->router_cgroup, config->router, sizeof(config->router)))
		*config->router = '\0'; /* that cgroup is gone */
	return 0;
}

int settings_read_attachments(struct load_config *config)
{
	_cleanup_free_ struct shunt_attachment *attachments = NULL;
	int i, error = attachments_read(&attachments);

	if (error || !attachments)
		return error;
	memcpy(config->attachments, attachments, sizeof(config->attachments));
	for (i = 0; i < SHUNT_ATTACHMENTS; i++)
		config->proven |= attachments[i].kind == ATTACH_CGROUP &&
				  attachments[i].admit == SHUNT_PROVEN;
	return 0;
}

int settings_read(struct load_config *config, bool ret_loaded[HALVES])
{
	int half, error, n = halves_loaded(ret_loaded);

	if (n <= 0)
		return n;
	for (half = 0; half < HALVES; half++) {
		error = ret_loaded[half] ? read_half(config, half) : 0;
		if (error)
			return error;
	}
	error = settings_read_attachments(config);
	return error ? error : n;
}

int settings_write(enum half half, const struct load_config *config)
{
	const bool new_router = half == HALF_STEER &&
				config->conf.router_cgroup != config->loaded->conf.router_cgroup;
	struct pinned_settings pinned;
	int error;

	if (!load_options_changed(half, config))
		return 0;
	error = map_settings(half, &pinned);
	if (error)
		return error;
	error = new_router && *config->router ? router_set(config->router) : 0;
	if (error)
		return error;
	load_options_write(half, config, &pinned);
	return 0;
}
