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

#define SHUNTS_MAX 64 /* halves of all shunts in one network namespace */

/* --- settings of lo ------------------------------------------------------------------ */

/* Writes the path of the note. It contains the cookie of the namespace: no other namespace gets
 * that cookie before a reboot, and a reboot empties /run. */
static void note_path(char path[64], enum loopback_setting which)
{
	snprintf(path, 64, "/run/shunt.lo-%d-%llu", which, (unsigned long long)own_netns_cookie());
}

void leftovers_write_note(enum loopback_setting which, __u32 made)
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

/* The value in the note, 0 if there is no note. */
static __u32 read_note(enum loopback_setting which)
{
	char path[64], text[16] = "";
	_cleanup_fd_ int fd = -1;

	note_path(path, which);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return 0;
	return text[0] >= '1' && text[0] <= '2' && text[1] == '\n' ? (__u32)(text[0] - '0') : 0;
}

/* Restores a setting as the shunt that switched it on would have done. */
static int restore_setting(enum loopback_setting which)
{
	struct shunt_conf lost = { .netns = own_netns_cookie() };
	__u32 made = read_note(which);

	if (!made)
		return 0;
	if (which == LOOPBACK_ACCEPT_LOCAL)
		lost.run.accept_local = made;
	else
		lost.run.forwarding = made;
	say("switched off a setting of lo that an earlier shunt had left");
	return loopback_release(&lost, which);
}

/* --- shunts that are loaded ---------------------------------------------------------- */

struct loaded {
	struct shunt_conf conf[SHUNTS_MAX];
	unsigned int n;
	bool unknown; /* a shunt of another version is loaded: its marks can't be read */
};

/* Whether the settings of another version contain the cookie of this namespace anywhere. */
static bool contains_own_netns(const void *value, __u32 size)
{
	const __u64 own = own_netns_cookie(), *word = value;
	__u32 i;

	for (i = 0; i < size / sizeof(*word); i++)
		if (word[i] == own)
			return true;
	return false;
}

/* If abi is 0, that load has not made its rules yet. */
static void add_conf(const void *value, __u32 size, struct loaded *loaded)
{
	const struct shunt_conf *conf = value;

	if (size != sizeof(*conf) || (conf->abi && conf->abi != SHUNT_ABI) ||
	    loaded->n == SHUNTS_MAX)
		loaded->unknown |= contains_own_netns(value, size);
	else if (conf->abi && conf->netns == own_netns_cookie())
		loaded->conf[loaded->n++] = *conf;
}

static int read_conf(__u32 id, struct loaded *loaded)
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
	add_conf(value, info.value_size, loaded);
	return 0;
}

/* Looks through all maps of the host: the pin directories of other shunts are not known. */
static int read_loaded(struct loaded *loaded)
{
	__u32 id = 0;
	int error = 0;

	while (!error && !bpf_map_get_next_id(id, &id))
		error = read_conf(id, loaded);
	return error;
}

static bool has_table(const struct loaded *loaded, __u32 table)
{
	unsigned int i;

	for (i = 0; i < loaded->n; i++)
		if (loaded->conf[i].table == table)
			return true;
	return false;
}

static bool needs_setting(const struct loaded *loaded, enum loopback_setting which)
{
	unsigned int i;

	for (i = 0; i < loaded->n; i++)
		if (which == LOOPBACK_ACCEPT_LOCAL ? loaded->conf[i].run.local
						   : loaded->conf[i].run.nat)
			return true;
	return false;
}

/* --- both ----------------------------------------------------------------------------- */

static int remove_rules(const struct shunt_conf *lost)
{
	int error = route_del(lost);

	if (error)
		return error;
	say("removed the routing rules of mark 0x%x that an earlier shunt had left", lost->mark);
	return 0;
}

/* Reads the rules before it reads which shunts are loaded, so that the rules of a load that runs
 * meanwhile are not among them. */
int leftovers_remove(void)
{
	struct shunt_conf made[SHUNTS_MAX];
	struct loaded loaded = {};
	int i, error, first = 0, n = mark_rules_list(made, SHUNTS_MAX);

	if (n < 0)
		return fail(n, "can't look for routing rules that an earlier shunt left");
	if (!n && !read_note(LOOPBACK_ACCEPT_LOCAL) && !read_note(LOOPBACK_FORWARDING))
		return 0;
	error = read_loaded(&loaded);
	if (error)
		return fail(error, "can't look for other shunts");
	if (loaded.unknown)
		return 0;
	for (i = 0; i < n; i++) {
		error = has_table(&loaded, made[i].table) ? 0 : remove_rules(&made[i]);
		first = first ? first : error;
	}
	for (i = LOOPBACK_ACCEPT_LOCAL; i <= LOOPBACK_FORWARDING; i++) {
		error = needs_setting(&loaded, i) ? 0 : restore_setting(i);
		first = first ? first : error;
	}
	return first;
}
