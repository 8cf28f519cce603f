// SPDX-License-Identifier: GPL-2.0-only
/* 'shunt run' begins anew, as the same process, when other halves are loaded than before. So nothing in
 * its memory belongs to a half that is gone. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "attach/ifaces.h"
#include "bpf/pins.h"
#include "cmd/run.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"

/* Time between two checks whether another half was loaded. */
#define HALVES_MS 250

/* In the environment of a process that begins anew: for each half, the file descriptor that holds
 * the lock of that half; -1: there is none. */
#define AGAIN "SHUNT_RUN_AGAIN"

bool run_serves(const struct run *r, enum half half)
{
	return r->half[half].conf && r->half[half].conf->run.loaded;
}

struct shunt_attachment *run_attachments(const struct run *r)
{
	int half;

	for (half = 0; half < HALVES; half++)
		if (r->half[half].conf)
			return r->half[half].attachments;
	return NULL;
}

/* Whether one of the halves that this process serves is not loaded any more. */
static bool half_was_unloaded(const struct run *r)
{
	int half;

	for (half = 0; half < HALVES; half++)
		if (r->half[half].conf && !run_serves(r, half))
			return true;
	return false;
}

/* The program that this process runs, as its path was when the process began. */
static char started_at[PATH_MAX];

static void note_program(void)
{
	static const char deleted[] = " (deleted)";
	ssize_t len = readlink("/proc/self/exe", started_at, sizeof(started_at) - 1);

	started_at[len < 0 ? 0 : len] = '\0';
	if (len < (ssize_t)sizeof(deleted))
		return;
	len -= strlen(deleted);
	if (!strcmp(started_at + len, deleted))
		started_at[len] = '\0';
}

bool run_program_is_replaced(void)
{
	struct stat own, now;

	return !stat("/proc/self/exe", &own) && !stat(started_at, &now) &&
	       (own.st_ino != now.st_ino || own.st_dev != now.st_dev) && !access(started_at, X_OK);
}

/* Whether an upgrade has replaced a half that this process serves. */
static bool half_was_upgraded(const struct run *r)
{
	int half;

	for (half = 0; half < HALVES; half++)
		if (r->lock[half] >= 0 && !supervisor_lock_is_current(half, r->lock[half]))
			return true;
	return false;
}

/* Whether there is more to serve than when this process began: another half, or the first
 * interface. False while a command holds the lock of the pin directory: after execve() the
 * supervisor has to wait for that lock, and gives no heartbeat meanwhile. */
static bool is_more_to_serve(struct run *r)
{
	_cleanup_lock_ int lock = -1;
	bool more = false;
	int half;

	if (monotonic_ns() - r->halves_checked_ns < HALVES_MS * NS_PER_MS)
		return false;
	r->halves_checked_ns = monotonic_ns();
	for (half = 0; half < HALVES; half++)
		more |= !r->half[half].conf && half_is_loaded(half) > 0;
	more |= r->rtnl_fd < 0 && attachments_have_ifaces(run_attachments(r));
	more |= half_was_upgraded(r);
	if (!more)
		return false;
	lock = pins_trylock();
	return lock >= 0;
}

bool run_was_upgraded(const struct run *r)
{
	return half_was_upgraded(r) || run_program_is_replaced();
}

bool run_must_begin_anew(struct run *r)
{
	r->begin_anew |= half_was_unloaded(r) || (!r->stopping && is_more_to_serve(r));
	return r->begin_anew;
}

void run_hand_on_locks(struct run *r)
{
	char text[64];
	int half, at = 0;

	for (half = 0; half < HALVES; half++) {
		if (r->lock[half] >= 0 &&
		    (!run_serves(r, half) || !supervisor_lock_is_current(half, r->lock[half])))
			close(take_fd(&r->lock[half]));
		at += snprintf(text + at, sizeof(text) - at, "%d ", r->lock[half]);
		if (r->lock[half] >= 0)
			fcntl(take_fd(&r->lock[half]), F_SETFD, 0);
	}
	setenv(AGAIN, text, 1);
}

int run_inherited_lock(enum half half)
{
	const char *text = getenv(AGAIN);
	int half_at, fd = -1, read = 0, at = 0;

	for (half_at = 0; text && half_at <= (int)half; half_at++, at += read)
		if (sscanf(text + at, "%d%n", &fd, &read) != 1)
			return -1;
	if (!text || fd < 0)
		return -1;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (supervisor_lock_is_current(half, fd))
		return fd;
	close(fd); /* of a half that was loaded anew, or upgraded, meanwhile */
	return -1;
}

bool run_began_anew(void)
{
	return getenv(AGAIN) != NULL;
}

int run_nothing_loaded(void)
{
	return run_began_anew() ? 1 : report_not_loaded();
}

int run_begin_anew(bool upgraded)
{
	char words[65536], *argv[256];
	FILE *f = fopen("/proc/self/cmdline", "re");
	size_t got = f ? fread(words, 1, sizeof(words) - 1, f) : 0, at = 0;
	const struct timespec pause = { .tv_nsec = 50000000 };
	int argc = 0, tries = 40;

	if (f)
		fclose(f);
	words[got] = '\0';
	for (; at < got && argc < 255; at += strlen(words + at) + 1)
		argv[argc++] = words + at;
	argv[argc] = NULL;
	/* ETXTBSY: the program is being installed */
	do
		execv(upgraded && run_program_is_replaced() ? started_at : "/proc/self/exe", argv);
	while (errno == ETXTBSY && tries-- && !nanosleep(&pause, NULL));
	return fail(-errno, "can't begin anew");
}

void run_begin(void)
{
	note_program();
	if (run_began_anew())
		prctl(PR_SET_NAME, "shunt"); /* execve() of /proc/self/exe has named it "exe" */
}
