/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Settings of lo that several shunts in one network namespace may need. One of
 * them switches a setting on, and off again when it goes, unless another one
 * needs it: then that has the task.
 */
#ifndef SHUNT_LOOPBACK_H
#define SHUNT_LOOPBACK_H

#include <net/if.h>

#include <shunt/abi.h>

enum loopback_setting {
	LOOPBACK_ACCEPT_LOCAL, /* for conf->run.local */
	LOOPBACK_FORWARDING,   /* for conf->run.nat */
};

const char *loopback_name(char name[IF_NAMESIZE]);

/* Switches it on unless it is; 0 or -errno, said. */
int loopback_acquire(struct shunt_conf *conf, enum loopback_setting which);

/* Switches on again what conf needs: another shunt may have switched it off just
 * before this one said that it is loaded and needs it. 0 or -errno, said. */
int loopback_reassert(struct shunt_conf *conf);

/* The name of a setting that conf needs and that somebody has switched off; NULL if there is
 * none. */
const char *loopback_lost_setting(struct shunt_conf *conf);

/* Switches it off if this shunt switched it on and nobody needs it any more; the
 * conf no longer says that it is loaded, or that it needs it. 0 or -errno,
 * said. */
int loopback_release(struct shunt_conf *conf, enum loopback_setting which);

#endif
