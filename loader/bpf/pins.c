// SPDX-License-Identifier: GPL-2.0-only
#include "bpf/pins.h"
#include "bpf/next.h"
#include "util/netns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <mntent.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "util/cleanup.h"
#include "util/log.h"
#include "util/options.h"
#include "util/output.h"

#define BPFFS "/sys/fs/bpf"

const char *pin_path(char path[PIN_PATH], enum half half, const char *kind, const char *name)
{
	snprintf(path, PIN_PATH, "%s/%s%s%s%s%s", opt.pin_dir, half_name(half), *kind ? "/" : "",
		 kind, *name ? "/" : "", name);
	return path;
}

static bool is_on_bpffs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && (unsigned int)fs.f_type == BPF_FS_MAGIC;
}

/* The folder that holds the pin directory. */
static void parent_of(const char *dir, char parent[PIN_PATH])
{
	char *slash;

	snprintf(parent, PIN_PATH, "%s", dir);
	slash = strrchr(parent, '/');
	if (slash && slash != parent)
		*slash = '\0';
	else
		strcpy(parent, slash ? "/" : ".");
}

/* Whether 'ip netns exec' started this process. It mounts a /sys of its own, with the name of the
 * namespace as the source. A bpffs that is mounted below it would be gone with the command, and
 * the pins with it. */
static bool is_below_ip_netns_exec(void)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	char path[PIN_PATH] = "";
	struct mntent *m;

	while (mounts && (m = getmntent(mounts)))
		if (!strcmp(m->mnt_dir, "/sys"))
			snprintf(path, sizeof(path), "/run/netns/%s", m->mnt_fsname);
	if (mounts)
		endmntent(mounts);
	return *path && !access(path, F_OK);
}

int pins_check_reachable(void)
{
	char parent[PIN_PATH];

	parent_of(opt.pin_dir, parent);
	if (is_on_bpffs(parent) || !is_below_ip_netns_exec())
		return 0;
	return deny(-ENOENT, "'ip netns exec' hides the bpf file system; use 'nsenter "
			     "--net=/run/netns/NAME'");
}

static int ensure_bpffs(void)
{
	char parent[PIN_PATH];
	int error;

	parent_of(opt.pin_dir, parent);
	if (is_on_bpffs(parent))
		return 0;
	if (strcmp(parent, BPFFS))
		return deny(-EINVAL,
			    "'%s' is not on a bpf file system; mount one or choose another --pin-dir",
			    opt.pin_dir);
	error = pins_check_reachable();
	if (error)
		return error;
	if (mount("bpf", BPFFS, "bpf", 0, "mode=0700"))
		return fail(-errno, "can't mount the bpf file system at '%s'", BPFFS);
	say("mounted the bpf file system at %s", BPFFS);
	return 0;
}

static int make_pin_dir(void)
{
	int error = ensure_bpffs();

	if (error)
		return error;
	if (mkdir(opt.pin_dir, 0700) && errno != EEXIST)
		return fail(-errno, "can't make '%s'", opt.pin_dir);
	return 0;
}

/* Whether fd is the pin directory that exists now: the process that had the lock before may have
 * removed the directory. */
static bool is_current_pin_dir(int fd)
{
	struct stat locked, now;

	return !fstat(fd, &locked) && !stat(opt.pin_dir, &now) && locked.st_ino == now.st_ino &&
	       locked.st_dev == now.st_dev;
}

void pins_unlock(int *lock)
{
	if (*lock < 0)
		return;
	close(take_fd(lock));
	output_release();
}

/* Locks the directory that exists now. Returns its fd, -ENOENT without a message, or another -errno
 * after reporting it. */
static int lock_pin_dir(void)
{
	_cleanup_fd_ int fd = open(opt.pin_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? -ENOENT : fail(-errno, "can't open '%s'", opt.pin_dir);
	if (flock(fd, LOCK_EX))
		return fail(-errno, "can't lock '%s'", opt.pin_dir);
	output_hold();
	return take_fd(&fd);
}

int pins_lock_any_version(bool create)
{
	int error;

	if (geteuid())
		return deny(-EPERM, "this needs root");
	for (;;) {
		_cleanup_lock_ int fd = -1;

		if (create) {
			error = make_pin_dir();
			if (error)
				return error;
		}
		fd = lock_pin_dir();
		if (fd == -ENOENT && create)
			continue;
		if (fd < 0)
			return fd;
		if (!is_current_pin_dir(fd))
			continue;
		if (!is_on_bpffs(opt.pin_dir))
			return deny(-EINVAL, "'%s' is not on a bpf file system", opt.pin_dir);
		return take_fd(&fd);
	}
}

int pins_lock(bool create)
{
	_cleanup_lock_ int fd = pins_lock_any_version(create);
	int error;

	if (fd < 0)
		return fd;
	error = pins_check_version();
	if (error)
		return error;
	error = create ? 0 : netns_enter_loaded();
	if (error && error != -ENOENT)
		return fail(error, "can't look for the network namespace that shunt was loaded in");
	return take_fd(&fd);
}

int pins_trylock(void)
{
	_cleanup_fd_ int fd = open(opt.pin_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB))
		return -errno;
	if (!is_current_pin_dir(fd))
		return -ENOENT;
	output_hold();
	return take_fd(&fd);
}

/* How often pins_lock_or_continue() tries, 50 ms apart. */
#define LOCK_TRIES 40

int pins_lock_or_continue(void)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	int i, fd = pins_trylock();

	for (i = 0; i < LOCK_TRIES && fd == -EWOULDBLOCK; i++) {
		nanosleep(&pause, NULL);
		fd = pins_trylock();
	}
	if (fd != -EWOULDBLOCK) {
		pins_unlock(&fd);
		return pins_lock(false);
	}
	netns_enter_loaded();
	fd = open(opt.pin_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		output_hold();
	return fd;
}

int report_not_loaded(void)
{
	int error = pins_check_reachable();

	return error ? error
		     : deny(-ENOENT,
			    "not loaded (nothing is pinned in '%s'); 'shunt load' "
			    "loads",
			    opt.pin_dir);
}

int pin_open(enum half half, const char *kind, const char *name)
{
	char path[PIN_PATH];
	int fd = bpf_obj_get(pin_path(path, half, kind, name));

	return fd < 0 ? -errno : fd;
}

/* Maps all of an array, which may be -errno; as pin_mmap(). */
static void *map_array(int fd, size_t *ret_size)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);
	size_t size;
	void *p;

	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return NULL;
	size = (size_t)((info.value_size + 7) & ~7U) * info.max_entries;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (ret_size)
		*ret_size = size;
	return p;
}

void *pin_mmap(enum half half, const char *name, size_t *ret_size)
{
	_cleanup_fd_ int fd = pin_open(half, "maps", name);

	return map_array(fd, ret_size);
}

static const char *attachments_path(char path[PIN_PATH])
{
	snprintf(path, PIN_PATH, "%s/attachments", opt.pin_dir);
	return path;
}

int attachments_open(void)
{
	char path[PIN_PATH];
	int fd = bpf_obj_get(attachments_path(path));

	return fd < 0 ? -errno : fd;
}

int attachments_pin(int fd)
{
	char path[PIN_PATH];

	return bpf_obj_pin(fd, attachments_path(path)) ? -errno : 0;
}

struct shunt_attachment *attachments_map(void)
{
	_cleanup_fd_ int fd = attachments_open();

	return map_array(fd, NULL);
}

int pins_read_counters(enum half half, struct shunt_count *ret)
{
	int i, cpus = libbpf_num_possible_cpus();
	_cleanup_fd_ int fd = pin_open(half, "maps", "shunt_count");
	_cleanup_free_ struct shunt_count *copies = NULL;
	struct shunt_count sum = {};
	__u64 *to = (__u64 *)&sum;
	__u32 zero = 0;
	size_t f;

	if (fd < 0)
		return fd;
	if (cpus < 0)
		return cpus;
	copies = calloc(cpus, sizeof(*copies));
	if (!copies)
		return -ENOMEM;
	if (bpf_map_lookup_elem(fd, &zero, copies))
		return -errno;
	for (i = 0; i < cpus; i++)
		for (f = 0; f < sizeof(sum) / sizeof(*to); f++)
			to[f] += ((__u64 *)&copies[i])[f];
	*ret = sum;
	return 0;
}

int unpin(enum half half, const char *kind, const char *name)
{
	char path[PIN_PATH];

	if (unlink(pin_path(path, half, kind, name)) && errno != ENOENT)
		return fail(-errno, "can't remove '%s'", path);
	return 0;
}

int unpin_all(enum half half, const char *kind)
{
	char path[PIN_PATH];
	struct dirent *e;
	int error = 0, first = 0;
	DIR *dir = opendir(pin_path(path, half, kind, ""));

	if (!dir)
		return errno == ENOENT ? 0 : fail(-errno, "can't read '%s'", path);
	while ((errno = 0, e = readdir(dir))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		error = unpin(half, kind, e->d_name);
		first = first ? first : error;
	}
	if (errno && !first)
		first = fail(-errno, "can't read '%s'", path);
	closedir(dir);
	if (!first && rmdir(pin_path(path, half, kind, "")))
		return fail(-errno, "can't remove '%s'", path);
	return first;
}

int pins_remove_half(enum half half)
{
	char path[PIN_PATH];

	if (rmdir(pin_path(path, half, "", "")) && errno != ENOENT)
		return fail(-errno, "can't remove '%s'", path);
	return 0;
}

/* Whether a half has a folder. */
static bool any_half_is_there(void)
{
	char path[PIN_PATH];
	int half;

	for (half = 0; half < HALF_NEXT_END; half++)
		if (half != HALVES && !access(pin_path(path, half, "", ""), F_OK))
			return true;
	return false;
}

int pins_remove(void)
{
	char path[PIN_PATH];

	if (any_half_is_there())
		return 0;
	attachments_next_remove();
	if (unlink(attachments_path(path)) && errno != ENOENT)
		return fail(-errno, "can't remove '%s'", path);
	if (rmdir(opt.pin_dir) && errno != ENOENT)
		return fail(-errno, "can't remove '%s'", opt.pin_dir);
	return 0;
}
