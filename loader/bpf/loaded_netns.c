// SPDX-License-Identifier: GPL-2.0-only
/* The network namespace of what is loaded. */
#include <errno.h>

#include "bpf/pins.h"
#include "util/log.h"
#include "util/netns.h"

/* Settings that name the network namespace of the load: those of any half, because all halves are
 * loaded in the same one. NULL, with errno set, if there are none. */
static const struct shunt_conf *conf_with_netns(void)
{
	const struct shunt_conf *conf;
	int half;

	for (half = 0; half < HALVES; half++) {
		conf = pin_mmap(half, "shunt_conf", NULL);
		if (!conf && errno != ENOENT)
			return NULL;
		if (conf && conf->netns)
			return conf;
	}
	errno = ENOENT;
	return NULL;
}

int netns_enter_of(const struct shunt_conf *conf)
{
	__u64 own;

	if (!conf->netns)
		return 0;
	own = own_netns_cookie();
	if (!own)
		return -errno;
	return own == conf->netns ? 0 : enter_netns(conf->netns_inode, conf->netns);
}

int netns_enter_loaded(void)
{
	const struct shunt_conf *conf = conf_with_netns();

	if (!conf)
		return errno == ENOENT ? 0 : -errno;
	return netns_enter_of(conf);
}

bool netns_is_loaded(void)
{
	const struct shunt_conf *conf = conf_with_netns();

	return conf && conf->netns == own_netns_cookie();
}

int netns_report_gone(void)
{
	return deny(-ENOENT,
		    "the network namespace that shunt was loaded in is gone, or can't be seen "
		    "from here; 'shunt unload' removes what is left");
}

int netns_require_loaded(void)
{
	int error = netns_enter_loaded();

	if (error && error != -ENOENT)
		return fail(error, "can't look for the network namespace that shunt was loaded in");
	return error ? netns_report_gone() : 0;
}
