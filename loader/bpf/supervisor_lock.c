// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "bpf/pins.h"
#include "util/cleanup.h"

int supervisor_lock(enum half half)
{
	char path[PIN_PATH];
	_cleanup_fd_ int fd = open(pin_path(path, half, "links", ""),
				   O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB))
		return -errno;
	return take_fd(&fd);
}

bool supervisor_lock_is_current(enum half half, int fd)
{
	char path[PIN_PATH];
	struct stat locked, now;

	return !fstat(fd, &locked) && !stat(pin_path(path, half, "links", ""), &now) &&
	       locked.st_ino == now.st_ino && locked.st_dev == now.st_dev;
}

bool supervisor_is_running(enum half half)
{
	_cleanup_fd_ int fd = supervisor_lock(half);

	return fd < 0 && fd != -ENOENT;
}

bool supervisor_has_heartbeat(const struct shunt_conf *conf)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (__s64)(t.tv_sec * 1000000000ULL + t.tv_nsec - conf->run.beat_ns) <=
	       SHUNT_BEAT_LIMIT_NS;
}
