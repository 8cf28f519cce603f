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
	/* Offsets in struct shunt_conf of two fields: */
	size_t wanted; /* not 0: this shunt needs the setting */
	/* 0: this shunt did not switch the setting on; else 1 plus the value of the setting "all"
	 * when it did */
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

/* Whether a setting is on for lo. The kernel takes accept_local as set for lo if it is set for
 * "all". When forwarding is set for "all", the kernel copies the value to each interface. */
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

	/* unload could not restore values that were not read */
	if (own < 0 || all < 0)
		return fail((int)(own < 0 ? own : all), "can't read net.ipv4.conf.%s.%s",
			    own < 0 ? lo : "all", setting);
	if (is_on(which, own, all))
		return 0;
	__atomic_store_n(made, 1 + (all == 1), __ATOMIC_SEQ_CST);
	leftovers_write_note(which, *made);
	error = sysctl_set(lo, setting, 1);
	if (error) {
		*made = 0;
		leftovers_write_note(which, 0);
		return fail(error, "can't set net.ipv4.conf.%s.%s", lo, setting);
	}
	return 0;
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
	int error = conf->run.local ? loopback_acquire(conf, LOOPBACK_ACCEPT_LOCAL) : 0;

	if (error)
		return error;
	return conf->run.nat ? loopback_acquire(conf, LOOPBACK_FORWARDING) : 0;
}

/* Maps the settings in the BPF map with this id, if they are those of a loaded shunt in the same
 * namespace that needs the setting. Else returns NULL, and sets errno to 0 or to the error. */
static struct shunt_conf *map_other_conf(__u32 id, const struct shunt_conf *own,
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

/* Hands the task of switching the setting off to another shunt that needs the setting. `own` is not
 * among those: it is no longer loaded, or no longer needs the setting. Returns 1, 0 if there is no
 * such shunt, or -errno without a message. */
static int hand_over(struct shunt_conf *own, enum loopback_setting which)
{
	struct shunt_conf *conf = NULL;
	__u32 id = 0;

	while (!conf && !bpf_map_get_next_id(id, &id)) {
		conf = map_other_conf(id, own, which);
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

/* Whether somebody has switched forwarding on for all interfaces since shunt did so for lo. */
static bool is_on_for_all(enum loopback_setting which, __u32 made)
{
	return which == LOOPBACK_FORWARDING && made == 1 &&
	       sysctl_get("all", settings[which].name) == 1;
}

/* Switches the setting off; but on again if another shunt that needs it was loaded just now, or if
 * that is not known. Returns as hand_over(). */
static int switch_off(struct shunt_conf *conf, enum loopback_setting which, const char *lo)
{
	int other, error = sysctl_set(lo, settings[which].name, 0);

	if (error)
		return error;
	other = hand_over(conf, which);
	if (!other)
		return 0;
	error = sysctl_set(lo, settings[which].name, 1);
	return other > 0 && error ? error : other;
}

int loopback_release(struct shunt_conf *conf, enum loopback_setting which)
{
	__u32 *made = field(conf, settings[which].previous_plus_1);
	char name[IF_NAMESIZE];
	const char *lo = loopback_name(name);
	int other;

	if (!*made)
		return 0;
	other = hand_over(conf, which);
	if (!other && !is_on_for_all(which, *made))
		other = switch_off(conf, which, lo);
	if (other < 0)
		return fail(other, "can't restore net.ipv4.conf.%s.%s", lo, settings[which].name);
	*made = 0;
	if (!other)
		leftovers_write_note(which, 0);
	return 0;
}
