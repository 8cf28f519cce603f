// SPDX-License-Identifier: GPL-2.0-only
#include "bpf/next.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bpf/pins.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/options.h"

int next_exchange(enum half half)
{
	char now[PIN_PATH], next[PIN_PATH];

	pin_path(now, half, "", "");
	pin_path(next, half_next(half), "", "");
	if (renameat2(AT_FDCWD, next, AT_FDCWD, now, RENAME_EXCHANGE))
		return fail(-errno, "can't exchange '%s' and '%s'", now, next);
	return 0;
}

static struct bpf_map_info map_info(int fd)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		memset(&info, 0, sizeof(info));
	return info;
}

__u32 pin_map_id(enum half half, const char *name)
{
	_cleanup_fd_ int fd = pin_open(half, "maps", name);

	return map_info(fd).id;
}

__u32 pin_map_entries(enum half half, const char *name)
{
	_cleanup_fd_ int fd = pin_open(half, "maps", name);

	return map_info(fd).max_entries;
}

static const char *path_of(char path[PIN_PATH], const char *name)
{
	snprintf(path, PIN_PATH, "%s/%s", opt.pin_dir, name);
	return path;
}

int attachments_next_open(void)
{
	char path[PIN_PATH];
	int fd = bpf_obj_get(path_of(path, "attachments_next"));

	if (fd < 0 && errno != ENOENT)
		return -errno;
	if (map_info(fd).value_size == sizeof(struct shunt_attachment))
		return fd;
	if (fd >= 0)
		close(fd); /* of another version, whose upgrade was killed */
	return attachments_open();
}

struct shunt_attachment *attachments_next_map(void)
{
	_cleanup_fd_ int fd = attachments_next_open();
	void *p;

	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	if (map_info(fd).value_size != sizeof(struct shunt_attachment)) {
		errno = EPROTO; /* upgrade to the version that has put it there */
		return NULL;
	}
	p = mmap(NULL, SHUNT_ATTACHMENTS * sizeof(struct shunt_attachment), PROT_READ | PROT_WRITE,
		 MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

int attachments_next_pin(int fd)
{
	_cleanup_fd_ int pinned = attachments_next_open();
	char path[PIN_PATH];

	if (map_info(pinned).id == map_info(fd).id)
		return 0;
	if (bpf_obj_pin(fd, path_of(path, "attachments_next")))
		return fail(-errno, "can't pin '%s'", path);
	return 0;
}

int attachments_next_install(void)
{
	char next[PIN_PATH], now[PIN_PATH];

	path_of(next, "attachments_next");
	if (rename(next, path_of(now, "attachments")) && errno != ENOENT)
		return fail(-errno, "can't rename '%s'", next);
	return 0;
}

void attachments_next_remove(void)
{
	char path[PIN_PATH];

	unlink(path_of(path, "attachments_next"));
}
