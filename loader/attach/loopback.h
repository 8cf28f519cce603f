/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Settings of lo that several shunts in one network namespace may need. The first one switches a
 * setting on. When that shunt is unloaded, it switches the setting off again; or if another shunt
 * needs the setting, hands the task over to that one (I11).
 */
#ifndef SHUNT_LOOPBACK_H
#define SHUNT_LOOPBACK_H

#include <net/if.h>

#include <shunt/abi.h>

enum loopback_setting {
	LOOPBACK_ACCEPT_LOCAL, /* for conf->run.local */
	LOOPBACK_FORWARDING,   /* for conf->run.nat */
};

/* The name of the interface with index 1, which may have been renamed. */
const char *loopback_name(char name[IF_NAMESIZE]);

/* Switches the setting on if it is off, and records in conf that this shunt did. Returns 0, or
 * -errno after reporting it. */
int loopback_acquire(struct shunt_conf *conf, enum loopback_setting which);

/* Switches on again the settings that conf needs: another shunt may have switched one off just
 * before conf showed that this shunt is loaded and needs it. Returns 0, or -errno after reporting
 * it. */
int loopback_reassert(struct shunt_conf *conf);

/* The name of a setting that conf needs and that somebody has switched off; NULL if there is
 * none. */
const char *loopback_lost_setting(struct shunt_conf *conf);

/* Switches the setting off if this shunt switched it on and no other shunt needs it. Before, the
 * caller has cleared `loaded`, or the need for the setting, in conf. Returns 0, or -errno after
 * reporting it. */
int loopback_release(struct shunt_conf *conf, enum loopback_setting which);

#endif
