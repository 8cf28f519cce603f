// SPDX-License-Identifier: GPL-2.0-only
/*
 * fill [PIN_DIR]: puts sockets of its own into shunt_socks until the map is full. Prints
 * "full", waits for a line, and closes the sockets. A process may not have that many
 * files: children hold them.
 */
#include "peer.h"

#include <linux/bpf.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define KEYS (1ULL << 63) /* no cookie is that high */

static int bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int open_socks(const char *pin_dir)
{
	char path[4096];
	union bpf_attr attr = { .pathname = (uintptr_t)path };
	int fd;

	snprintf(path, sizeof(path), "%s/maps/shunt_socks", pin_dir);
	fd = bpf(BPF_OBJ_GET, &attr);
	if (fd < 0)
		die(path);
	return fd;
}

static bool enter(int map, uint64_t key, uint64_t fd)
{
	union bpf_attr attr = {
		.map_fd = map,
		.key = (uintptr_t)&key,
		.value = (uintptr_t)&fd,
	};

	if (!bpf(BPF_MAP_UPDATE_ELEM, &attr))
		return true;
	if (errno != E2BIG)
		die("can't update the map");
	return false;
}

/* A socket can be in the map once. Any kind will do; these are cheap. */
static bool fill_some(int map)
{
	struct rlimit files;
	uint64_t n;
	int i, fds[2];

	if (getrlimit(RLIMIT_NOFILE, &files))
		die("getrlimit");
	for (n = 32; n + 2 < files.rlim_max; n += 2) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
			die("socketpair");
		for (i = 0; i < 2; i++)
			if (!enter(map, KEYS | (uint64_t)getpid() << 32 | fds[i], fds[i]))
				return true;
	}
	return false;
}

/* Returns whether the map is full. The child keeps its sockets until the parent closes its
 * end of the pipe `hold`. */
static bool fill_by_child(int map, int hold[2])
{
	int report[2];
	bool full = false;
	pid_t child;

	if (pipe(report))
		die("pipe");
	child = fork();
	if (child < 0)
		die("fork");
	if (!child) {
		close(hold[1]);
		full = fill_some(map);
		if (write(report[1], &full, sizeof(full)) == sizeof(full))
			exit(read(hold[0], &full, 1));
		exit(FAIL);
	}
	close(report[1]);
	if (read(report[0], &full, sizeof(full)) != sizeof(full))
		leave(FAIL, "a child failed");
	close(report[0]);
	return full;
}

int main(int argc, char **argv)
{
	struct rlimit files;
	int map, hold[2];

	if (getrlimit(RLIMIT_NOFILE, &files))
		die("getrlimit");
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	map = open_socks(argc > 1 ? argv[1] : "/sys/fs/bpf/shunt/bypass");
	if (pipe(hold))
		die("pipe");
	while (!fill_by_child(map, hold))
		;
	say("full");
	await_line();
	close(hold[1]);
	while (wait(NULL) > 0)
		;
	return PASS;
}
