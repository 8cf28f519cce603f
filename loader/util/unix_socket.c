// SPDX-License-Identifier: GPL-2.0-only
#include "util/unix_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/log.h"
#include "util/run_dir.h"

/* Whether a process listens at the address, with whatever type of socket. */
static bool is_served(const struct sockaddr_un *a, int type)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd >= 0 && (!connect(fd, (const struct sockaddr *)a, sizeof(*a)) ||
			   errno == EPROTOTYPE || errno == EAGAIN);
}

/* Removes a socket that is left from a process that has ended. */
static int make_room(const struct sockaddr_un *a, int type)
{
	struct stat s;

	if (lstat(a->sun_path, &s))
		return errno == ENOENT ? 0 : fail(-errno, "'%s'", a->sun_path);
	if (!S_ISSOCK(s.st_mode))
		return deny(-EEXIST, "'%s' is there, and is no socket", a->sun_path);
	if (is_served(a, type))
		return deny(-EADDRINUSE, "another process listens at '%s'", a->sun_path);
	return unlink(a->sun_path) ? fail(-errno, "can't remove '%s'", a->sun_path) : 0;
}

/* The umask must not keep the group from the socket. */
static int make_run_dir(const struct sockaddr_un *a)
{
	if (strncmp(a->sun_path, RUN_DIR "/", sizeof(RUN_DIR)))
		return 0;
	if (mkdir(RUN_DIR, 0755) ? errno != EEXIST : chmod(RUN_DIR, 0755))
		return fail(-errno, "can't make '" RUN_DIR "'");
	return 0;
}

/* No process can connect before the mode is set, because the socket does not listen yet. */
int unix_socket_listen(const struct sockaddr_un *a, int type, gid_t group)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	mode_t mask;
	int error;

	if (fd < 0)
		return fail(-errno, "a socket");
	error = make_run_dir(a);
	if (error)
		return error;
	error = make_room(a, type);
	if (error)
		return error;
	mask = umask(0177);
	error = bind(fd, (const struct sockaddr *)a, sizeof(*a)) ? -errno : 0;
	umask(mask);
	if (error)
		return fail(error, "can't make '%s'", a->sun_path);
	if (chown(a->sun_path, 0, group) || chmod(a->sun_path, 0660) || listen(fd, 64)) {
		error = -errno;
		unlink(a->sun_path);
		return fail(error, "'%s'", a->sun_path);
	}
	return take_fd(&fd);
}
