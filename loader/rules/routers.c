// SPDX-License-Identifier: GPL-2.0-only
#include "rules/routers.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/pins.h"
#include "util/cleanup.h"

#define PROC_PATH 64

struct process {
	char state;
	pid_t parent;
	__u64 started;
};

/* All entries; NULL if nothing is loaded. */
static struct shunt_router *routers(void)
{
	static struct shunt_router *all;

	if (!all)
		all = pin_mmap(HALF_STEER, "shunt_routers", NULL);
	return all;
}

/* Reads /proc/PID/stat. The name of the program, in brackets, may have any character, even a bracket:
 * the fields begin behind the last bracket. */
static bool read_process(pid_t pid, struct process *ret)
{
	char path[PROC_PATH], text[1024], *p = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	p = strrchr(text, ')');
	return p && sscanf(p,
			   ") %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
			   "%*d %*d %llu",
			   &ret->state, &ret->parent, &ret->started) == 3;
}

static __u32 own_namespace(const char *kind)
{
	char path[PROC_PATH];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", kind);
	return stat(path, &st) ? 0 : st.st_ino;
}

/* Sets what distinguishes the process from all others. False if it does not run. */
static bool describe(pid_t pid, struct shunt_router *ret)
{
	struct process p;

	if (pid <= 0 || !read_process(pid, &p) || p.state == 'Z' || p.state == 'X')
		return false;
	*ret = (struct shunt_router){
		.started = p.started,
		.pid = pid,
		.pid_ns = own_namespace("pid"),
		.time_ns = own_namespace("time"),
	};
	return true;
}

pid_t parent_of(pid_t pid)
{
	struct process p;

	return pid > 0 && read_process(pid, &p) ? p.parent : 0;
}

static __u8 entry_of(const struct shunt_router *r)
{
	struct shunt_router *all = routers();
	int i;

	for (i = 0; all && i < SHUNT_ROUTERS; i++)
		if (!memcmp(&all[i], r, sizeof(*r)))
			return i + 1;
	return 0;
}

/* Returns 0 if there is no room. */
static __u8 make_entry(const struct shunt_router *r)
{
	struct shunt_router *all = routers();
	int i;

	for (i = 0; all && i < SHUNT_ROUTERS; i++) {
		if (all[i].pid)
			continue;
		all[i] = *r;
		return i + 1;
	}
	return 0;
}

__u8 router_find(pid_t pid)
{
	struct shunt_router r;

	return describe(pid, &r) ? entry_of(&r) : 0;
}

/* The inode number of the socket at 127.0.0.1:port in this network namespace; 0 if
 * there is none. */
static unsigned long listener_inode(__u8 proto, __u16 port)
{
	_cleanup_free_ char *line = NULL;
	unsigned int addr, at, state, want = proto == IPPROTO_TCP ? 0x0a : 0x07;
	unsigned long inode, found = 0;
	size_t size = 0;
	FILE *f = fopen(proto == IPPROTO_TCP ? "/proc/self/net/tcp" : "/proc/self/net/udp", "re");

	if (!f)
		return 0;
	while (!found && getline(&line, &size, f) >= 0)
		if (sscanf(line, " %*d: %x:%x %*x:%*x %x %*x:%*x %*x:%*x %*x %*u %*u %lu", &addr,
			   &at, &state, &inode) == 4 &&
		    addr == htonl(INADDR_LOOPBACK) && at == port && state == want)
			found = inode;
	fclose(f);
	return found;
}

static bool has_socket(pid_t pid, unsigned long inode)
{
	char path[PROC_PATH], want[PROC_PATH], is[PROC_PATH];
	const struct dirent *e;
	bool found = false;
	ssize_t len;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	snprintf(want, sizeof(want), "socket:[%lu]", inode);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (e = readdir(dir))) {
		len = readlinkat(dirfd(dir), e->d_name, is, sizeof(is) - 1);
		if (len < 0)
			continue;
		is[len] = '\0';
		found = !strcmp(is, want);
	}
	closedir(dir);
	return found;
}

__u8 router_enter(pid_t pid, const struct shunt_rule *r)
{
	struct shunt_router *all = routers(), me;
	unsigned long inode;
	__u8 known;

	if (!all || !describe(pid, &me))
		return 0;
	known = entry_of(&me);
	if (known)
		return known;
	inode = listener_inode(r->proto, r->to_port);
	if (!inode || !has_socket(pid, inode))
		return 0;
	return make_entry(&me);
}

static bool has_ended(const struct shunt_router *r)
{
	struct shunt_router now;

	if (!r->pid || r->pid_ns != own_namespace("pid") || r->time_ns != own_namespace("time"))
		return false;
	/* without /proc nothing can be found out */
	if (!read_process(getpid(), &(struct process){}))
		return false;
	return !describe(r->pid, &now) || now.started != r->started;
}

struct shunt_router router_at(__u8 router)
{
	const struct shunt_router *all = routers();

	return all && router ? all[router - 1] : (struct shunt_router){};
}

__u8 router_restore(const struct shunt_router *r)
{
	__u8 known = entry_of(r);

	if (known)
		return known;
	return has_ended(r) ? 0 : make_entry(r);
}

bool routers_none(void)
{
	const struct shunt_router *all = routers();
	int i;

	for (i = 0; all && i < SHUNT_ROUTERS; i++)
		if (all[i].pid)
			return false;
	return true;
}

/* Remembers the answer, because a command asks the same for each of many rules. */
bool router_gone(__u8 router)
{
	static enum { UNKNOWN, RUNS, GONE } known[1 + SHUNT_ROUTERS];
	const struct shunt_router *all = routers();

	if (!all || !router)
		return false;
	if (known[router] == UNKNOWN)
		known[router] = has_ended(&all[router - 1]) ? GONE : RUNS;
	return known[router] == GONE;
}

bool routers_gone(void)
{
	int i;

	for (i = 1; i <= SHUNT_ROUTERS; i++)
		if (router_gone(i))
			return true;
	return false;
}

void routers_forget(void)
{
	struct shunt_router *all = routers();
	int i;

	for (i = 0; all && i < SHUNT_ROUTERS; i++)
		if (router_gone(i + 1))
			all[i] = (struct shunt_router){};
}
