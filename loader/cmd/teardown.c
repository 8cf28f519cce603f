// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/teardown.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "attach/attach.h"
#include "attach/loopback.h"
#include "attach/policy_route.h"
#include "bpf/pins.h"
#include "bypass/drain.h"
#include "bypass/pairs.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/options.h"

#define SUPERVISOR_WAITS 500 /* of 10 ms */

static void list_left(const struct shunt_row *rows, size_t n)
{
	char a[ENDPOINT_TEXT], b[ENDPOINT_TEXT];
	size_t i;

	for (i = 0; i < n; i++)
		fprintf(stderr, "  %s <- %s holds %llu bytes\n",
			endpoint_text(a, rows[i].family, rows[i].local, rows[i].local_port),
			endpoint_text(b, rows[i].family, rows[i].remote, rows[i].remote_port),
			(unsigned long long)rows[i].queued);
}

static int drain(unsigned int timeout_ms)
{
	_cleanup_free_ struct shunt_row *left = NULL;
	size_t n = 0;
	int error = bypass_drain(timeout_ms, &left, &n);

	if (error != -EBUSY)
		return error;
	if (!n)
		return deny(error,
			    "sockets that no process has open are still on the fast path; what they "
			    "need stays pinned in '%s'; unload again later",
			    opt.pin_dir);
	deny(error,
	     "%zu socket%s still on the fast path; readers would lose bytes, so what they need "
	     "stays pinned in '%s'; unload again later",
	     n, n == 1 ? " is" : "s are", opt.pin_dir);
	list_left(left, n);
	return error;
}

/* The supervisor ends by itself once loaded is 0. */
static void wait_supervisor(void)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	int i;

	for (i = 0; i < SUPERVISOR_WAITS && supervisor_is_running(); i++)
		nanosleep(&pause, NULL);
}

/* Maps the settings and the attachments, which say what there is to undo; NULL if they are
 * gone already. */
static int map_settings(struct shunt_conf **ret_conf, struct shunt_attachment **ret_attachments)
{
	*ret_conf = pin_mmap("shunt_conf", NULL);
	if (!*ret_conf && errno != ENOENT)
		return fail(-errno, "can't map the settings");
	*ret_attachments = pin_mmap("shunt_attachment", NULL);
	if (!*ret_attachments && errno != ENOENT)
		return fail(-errno, "can't map the settings");
	return 0;
}

/* Undoes what is outside of the pin directory. Goes on after an error, and returns the first. */
static int undo_on_host(struct shunt_conf *conf, struct shunt_attachment *attachments)
{
	int error, first = attachments ? detach_ifaces(attachments) : 0;

	if (!conf)
		return first;
	error = loopback_release(conf, LOOPBACK_ACCEPT_LOCAL);
	first = first ? first : error;
	error = loopback_release(conf, LOOPBACK_FORWARDING);
	first = first ? first : error;
	error = conf->mark ? route_del(conf) : 0;
	return first ? first : error;
}

/* Without links no pair is made any more; without queued bytes nobody needs the rest. */
static int remove_pins(struct shunt_attachment *attachments, unsigned int timeout_ms)
{
	int error = detach_cgroups(attachments);

	if (error)
		return error;
	error = unpin_all("links");
	if (error)
		return error;
	error = drain(timeout_ms);
	if (error)
		return error;
	error = unpin_all("progs");
	return error ? error : unpin_all("maps");
}

int teardown(unsigned int timeout_ms)
{
	struct shunt_conf *conf;
	struct shunt_attachment *attachments;
	int error = map_settings(&conf, &attachments);
	bool gone;

	if (error)
		return error;
	/* If the namespace is gone, so is what was attached there. */
	error = netns_enter_loaded();
	gone = error == -ENOENT;
	if (error && !gone)
		return fail(error, "can't look for the network namespace that shunt was loaded in");
	if (conf)
		conf->run.loaded = 0;
	error = gone ? 0 : undo_on_host(conf, attachments);
	if (error)
		return error;
	wait_supervisor();
	return remove_pins(attachments, timeout_ms);
}
