// SPDX-License-Identifier: GPL-2.0-only
#include "attach/leftovers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "attach/mark_rules.h"
#include "attach/policy_route.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/netns.h"

#define LEFT_MAX 16 /* shunts at a time */

/* --- settings ------------------------------------------------------------------------ */

/* A namespace's cookie is never used twice, and like /run it is gone after a reboot. */
static void note_path(char path[64], enum loopback_setting which)
{
	snprintf(path, 64, "/run/shunt.lo-%d-%llu", which, (unsigned long long)own_netns_cookie());
}

void leftovers_note(enum loopback_setting which, __u32 made)
{
	char path[64], text[16];
	int len = snprintf(text, sizeof(text), "%u\n", made);
	_cleanup_fd_ int fd = -1;

	note_path(path, which);
	if (!made) {
		unlink(path);
		return;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, (size_t)len) != len)
		debug("can't write '%s': %m", path);
}

/* What the note says, 0 if there is none. */
static __u32 noted(enum loopback_setting which)
{
	char path[64], text[16] = "";
	_cleanup_fd_ int fd = -1;

	note_path(path, which);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return 0;
	return text[0] >= '1' && text[0] <= '2' && text[1] == '\n' ? (__u32)(text[0] - '0') : 0;
}

static int restore(enum loopback_setting which, bool needed)
{
	struct shunt_conf was = { .netns = own_netns_cookie() };
	__u32 made = needed ? 0 : noted(which);

	if (!made)
		return 0;
	if (which == LOOPBACK_ACCEPT_LOCAL)
		was.run.accept_local = made;
	else
		was.run.forwarding = made;
	say("switched off a setting of lo that an earlier shunt had left");
	return loopback_release(&was, which);
}

/* --- shunts that are there ----------------------------------------------------------- */

struct live {
	struct shunt_conf conf[LEFT_MAX];
	unsigned int n;
	bool unknown; /* there is one of another version: its marks can't be told */
};

/* Is this the cookie of the namespace somewhere in the settings of another version? */
static bool names_netns(const void *value, __u32 size)
{
	const __u64 own = own_netns_cookie(), *word = value;
	__u32 i;

	for (i = 0; i < size / sizeof(*word); i++)
		if (word[i] == own)
			return true;
	return false;
}

/* Settings that have no version yet are of a load that has made no rules yet. */
static void see_conf(const void *value, __u32 size, struct live *live)
{
	const struct shunt_conf *conf = value;

	if (size != sizeof(*conf) || (conf->abi && conf->abi != SHUNT_ABI) || live->n == LEFT_MAX)
		live->unknown |= names_netns(value, size);
	else if (conf->abi && conf->netns == own_netns_cookie())
		live->conf[live->n++] = *conf;
}

static int read_conf(__u32 id, struct live *live)
{
	_cleanup_fd_ int fd = bpf_map_get_fd_by_id(id);
	_cleanup_free_ void *value = NULL;
	struct bpf_map_info info = {};
	__u32 len = sizeof(info), zero = 0;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	if (strcmp(info.name, "shunt_conf"))
		return 0;
	value = calloc(1, info.value_size + sizeof(__u64));
	if (!value)
		return -ENOMEM;
	if (bpf_map_lookup_elem(fd, &zero, value))
		return -errno;
	see_conf(value, info.value_size, live);
	return 0;
}

static int read_live(struct live *live)
{
	__u32 id = 0;
	int error = 0;

	while (!error && !bpf_map_get_next_id(id, &id))
		error = read_conf(id, live);
	return error;
}

static bool is_live(const struct live *live, __u32 table)
{
	unsigned int i;

	for (i = 0; i < live->n; i++)
		if (live->conf[i].table == table)
			return true;
	return false;
}

static bool is_needed(const struct live *live, enum loopback_setting which)
{
	unsigned int i;

	for (i = 0; i < live->n; i++)
		if (which == LOOPBACK_ACCEPT_LOCAL ? live->conf[i].run.local
						   : live->conf[i].run.nat)
			return true;
	return false;
}

/* --- both ----------------------------------------------------------------------------- */

/* The tables are read first: whatever a load makes meanwhile is not among them. */
int leftovers_remove(void)
{
	struct shunt_conf left[LEFT_MAX];
	struct live live = {};
	int i, error, first = 0, n = mark_rules_left(left, LEFT_MAX);

	if (n < 0)
		return fail(n, "can't look for routing rules that an earlier shunt left");
	if (!n && !noted(LOOPBACK_ACCEPT_LOCAL) && !noted(LOOPBACK_FORWARDING))
		return 0;
	error = read_live(&live);
	if (error)
		return fail(error, "can't look for other shunts");
	if (live.unknown)
		return 0;
	for (i = 0; i < n; i++) {
		if (is_live(&live, left[i].table))
			continue;
		error = route_del(&left[i]);
		first = first ? first : error;
		if (!error)
			say("removed the routing rules of mark 0x%x that an earlier shunt had left",
			    left[i].mark);
	}
	for (i = LOOPBACK_ACCEPT_LOCAL; i <= LOOPBACK_FORWARDING; i++) {
		error = restore(i, is_needed(&live, i));
		first = first ? first : error;
	}
	return first;
}
