// SPDX-License-Identifier: GPL-2.0-only
#include "attach/loopback.h"
#include "attach/leftovers.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

#include "util/cleanup.h"
#include "util/log.h"
#include "util/sysctl.h"

static const struct {
	const char *name;
	/* Offsets in struct shunt_conf. */
	size_t wanted; /* not 0: this shunt needs the setting */
	/* 0: this shunt did not switch it on; else the value for all interfaces then, plus 1 */
	size_t previous_plus_1;
} settings[] = {
	[LOOPBACK_ACCEPT_LOCAL] = { "accept_local", offsetof(struct shunt_conf, run.local),
				    offsetof(struct shunt_conf, run.accept_local) },
	[LOOPBACK_FORWARDING] = { "forwarding", offsetof(struct shunt_conf, run.nat),
				  offsetof(struct shunt_conf, run.forwarding) },
};

static __u32 *field(struct shunt_conf *conf, size_t offset)
{
	return (__u32 *)((char *)conf + offset);
}

const char *loopback_name(char name[IF_NAMESIZE])
{
	return if_indextoname(LOOPBACK_IFINDEX, name) ? name : "lo";
}

/* Whether a setting is on for lo. accept_local holds for lo if it is set for all;
 * forwarding is handed on to each when it is set for all. */
static bool is_on(enum loopback_setting which, long own, long all)
{
	return own == 1 || (which == LOOPBACK_ACCEPT_LOCAL && all == 1);
}

int loopback_acquire(struct shunt_conf *conf, enum loopback_setting which)
{
	const char *setting = settings[which].name;
	__u32 *made = field(conf, settings[which].previous_plus_1);
	char name[IF_NAMESIZE];
	const char *lo = loopback_name(name);
	long own = sysctl_get(lo, setting), all = sysctl_get("all", setting);
	int error;

	/* unload could not restore what was not read */
	if (own < 0 || all < 0)
		return fail((int)(own < 0 ? own : all), "can't read net.ipv4.conf.%s.%s",
			    own < 0 ? lo : "all", setting);
	if (is_on(which, own, all))
		return 0;
	__atomic_store_n(made, 1 + (all == 1), __ATOMIC_SEQ_CST);
	leftovers_note(which, *made);
	error = sysctl_set(lo, setting, 1);
	if (!error)
		return 0;
	*made = 0;
	leftovers_note(which, 0);
	return fail(error, "can't set net.ipv4.conf.%s.%s", lo, setting);
}

const char *loopback_lost_setting(struct shunt_conf *conf)
{
	char name[IF_NAMESIZE];
	const char *lo = loopback_name(name), *setting;
	long own, all;
	int i;

	for (i = LOOPBACK_ACCEPT_LOCAL; i <= LOOPBACK_FORWARDING; i++) {
		setting = settings[i].name;
		own = sysctl_get(lo, setting);
		all = sysctl_get("all", setting);
		if (*field(conf, settings[i].wanted) && own >= 0 && all >= 0 && !is_on(i, own, all))
			return setting;
	}
	return NULL;
}

int loopback_reassert(struct shunt_conf *conf)
{
	int error = 0;

	if (conf->run.local)
		error = loopback_acquire(conf, LOOPBACK_ACCEPT_LOCAL);
	if (!error && conf->run.nat)
		error = loopback_acquire(conf, LOOPBACK_FORWARDING);
	return error;
}

/* The settings of another shunt that needs it too; NULL and 0 in errno if map id has
 * none. */
static struct shunt_conf *other_conf(__u32 id, const struct shunt_conf *own,
				     enum loopback_setting which)
{
	_cleanup_fd_ int fd = bpf_map_get_fd_by_id(id);
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);
	struct shunt_conf *conf;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len)) {
		errno = errno == ENOENT ? 0 : errno; /* the map is gone by now */
		return NULL;
	}
	errno = 0;
	if (strcmp(info.name, "shunt_conf") || info.value_size != sizeof(*conf))
		return NULL;
	conf = mmap(NULL, sizeof(*conf), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (conf == MAP_FAILED)
		return NULL;
	if (conf->abi == SHUNT_ABI && conf->run.loaded && *field(conf, settings[which].wanted) &&
	    conf->netns == own->netns)
		return conf;
	munmap(conf, sizeof(*conf));
	errno = 0;
	return NULL;
}

/* Our own conf has loaded unset by now, or does not need it. 1 if another one has the
 * task now, 0 if none needs it, or -errno. */
static int hand_over(struct shunt_conf *own, enum loopback_setting which)
{
	struct shunt_conf *conf = NULL;
	__u32 id = 0;

	while (!conf && !bpf_map_get_next_id(id, &id)) {
		conf = other_conf(id, own, which);
		if (!conf && errno)
			return -errno;
	}
	if (!conf)
		return 0;
	*field(conf, settings[which].previous_plus_1) = *field(own,
							       settings[which].previous_plus_1);
	munmap(conf, sizeof(*conf));
	return 1;
}

/* Has somebody meanwhile switched it on for all interfaces? */
static bool all_have(enum loopback_setting which, __u32 made)
{
	return which == LOOPBACK_FORWARDING && made == 1 &&
	       sysctl_get("all", settings[which].name) == 1;
}

int loopback_release(struct shunt_conf *conf, enum loopback_setting which)
{
	const char *setting = settings[which].name;
	__u32 *made = field(conf, settings[which].previous_plus_1);
	char name[IF_NAMESIZE];
	const char *lo = loopback_name(name);
	int other, error = 0;

	if (!*made)
		return 0;
	other = hand_over(conf, which);
	if (!other && !all_have(which, *made)) {
		error = sysctl_set(lo, setting, 0);
		other = error ? 0 : hand_over(conf, which);
		if (other) /* came just now, or not known */
			error = sysctl_set(lo, setting, 1);
	}
	error = other < 0 ? other : error;
	if (error)
		return fail(error, "can't restore net.ipv4.conf.%s.%s", lo, setting);
	*made = 0;
	if (!other)
		leftovers_note(which, 0);
	return 0;
}
