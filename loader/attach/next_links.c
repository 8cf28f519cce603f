// SPDX-License-Identifier: GPL-2.0-only
#include "attach/next_links.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "attach/attachments.h"
#include "attach/clsact.h"
#include "attach/tc.h"
#include "bpf/next.h"
#include "bpf/pins.h"
#include "util/cleanup.h"
#include "util/log.h"

static const char *program_of_entry(const struct shunt_attachment *a)
{
	if (a->kind == ATTACH_CGROUP)
		return a->admit == SHUNT_EAGER ? "shunt_eager" : "shunt_proven";
	return tc_program_name(a);
}

/* The name of the program that a pinned link runs; NULL if the link is not of this build. See link_name()
 * in attach/attach.c. */
static const char *program_of_link(const struct shunt_attachment *attachments, const char *link)
{
	unsigned int i;

	if (sscanf(link, "attached_%u", &i) == 1)
		return i < SHUNT_ATTACHMENTS ? program_of_entry(&attachments[i]) : NULL;
	return sscanf(link, "repair_%u", &i) == 1 ? "shunt_repair" : link;
}

/* The kernel can't let a tracepoint's link run another program: it gets a link of its own. */
static bool is_tracepoint(int link)
{
	struct bpf_link_info info = { .type = 0 };
	__u32 len = sizeof(info);

	return !bpf_obj_get_info_by_fd(link, &info, &len) &&
	       info.type == BPF_LINK_TYPE_RAW_TRACEPOINT;
}

static int open_program(enum half programs, const char *name)
{
	int fd = name ? pin_open(programs, "progs", name) : -ENOENT;

	return fd < 0 ? fail(fd, "can't open the program '%s' of %s", name ? name : "?",
			     half_name(programs))
		      : fd;
}

static int switch_link(enum half half, enum half programs, const char *link_name,
		       const char *program)
{
	_cleanup_fd_ int link = pin_open(half, "links", link_name), prog = -1;

	if (link < 0)
		return fail(link, "can't open the link '%s' of %s", link_name, half_name(half));
	if (is_tracepoint(link))
		return 0;
	prog = open_program(programs, program);
	if (prog < 0)
		return prog;
	/* ENOLINK: the interface or the cgroup is gone */
	if (bpf_link_update(link, prog, NULL) && errno != ENOLINK)
		return fail(-errno, "can't replace the program '%s' of the link '%s'", program,
			    link_name);
	return 0;
}

static int pin_link_next(enum half half, enum half next, const char *link_name, const char *program)
{
	_cleanup_fd_ int link = pin_open(half, "links", link_name), own = -1, prog = -1;
	char path[PIN_PATH];

	if (link < 0)
		return fail(link, "can't open the link '%s' of %s", link_name, half_name(half));
	if (is_tracepoint(link)) {
		prog = open_program(next, program);
		if (prog < 0)
			return prog;
		own = bpf_raw_tracepoint_open(NULL, prog);
		if (own < 0)
			return fail(-errno, "can't attach '%s'", program);
	}
	if (bpf_obj_pin(own >= 0 ? own : link, pin_path(path, next, "links", link_name)))
		return fail(-errno, "can't pin '%s'", path);
	return 0;
}

/* Calls step for each link that is pinned for the half. */
static int for_each_link(enum half half, enum half other,
			 int (*step)(enum half half, enum half other, const char *link_name,
				     const char *program))
{
	const struct shunt_attachment *attachments = attachments_next_map();
	char path[PIN_PATH];
	struct dirent *e;
	int error = 0;
	DIR *dir;

	if (!attachments)
		return fail(-errno, "can't map the table of attachments");
	dir = opendir(pin_path(path, half, "links", ""));
	if (!dir)
		return fail(-errno, "can't read '%s'", path);
	while (!error && (errno = 0, e = readdir(dir)))
		if (*e->d_name != '.')
			error = step(half, other, e->d_name,
				     program_of_link(attachments, e->d_name));
	if (!error && errno)
		error = fail(-errno, "can't read '%s'", path);
	closedir(dir);
	return error;
}

static int switch_filters(enum half half, enum half programs)
{
	const struct shunt_attachment *attachments = attachments_next_map();
	int i, error = 0;

	for (i = 0; attachments && i < SHUNT_ATTACHMENTS && !error; i++) {
		_cleanup_fd_ int prog = -1;

		if (attachments[i].kind == ATTACH_NONE || !attachments[i].clsact ||
		    attachment_half(&attachments[i]) != half)
			continue;
		prog = open_program(programs, tc_program_name(&attachments[i]));
		error = prog < 0 ? prog : clsact_replace(&attachments[i], prog);
	}
	return error;
}

int links_switch(enum half half, enum half programs)
{
	int error = for_each_link(half, programs, switch_link);

	return error ? error : switch_filters(half, programs);
}

int links_pin_next(enum half half)
{
	return for_each_link(half, half_next(half), pin_link_next);
}
