// SPDX-License-Identifier: GPL-2.0-only
/* Whether what is pinned was loaded by a version of shunt with the same contract. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bpf/pins.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/options.h"

/* Reads which version has loaded a half. *ret_other: every command of this build would misread the
 * maps of that version. Returns 0, or -errno after reporting it. */
static int read_version(enum half half, __u32 *ret_abi, bool *ret_other)
{
	_cleanup_fd_ int fd = pin_open(half, "maps", "shunt_conf");
	_cleanup_free_ struct shunt_conf *conf = NULL;
	struct bpf_map_info info = {};
	__u32 zero = 0, len = sizeof(info);

	*ret_other = false;
	if (fd == -ENOENT)
		return 0; /* nothing is loaded, or load was killed early */
	if (fd < 0)
		return fail(fd, "can't open the settings in '%s'", opt.pin_dir);
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return fail(-errno, "can't read the settings in '%s'", opt.pin_dir);
	conf = calloc(1, info.value_size + sizeof(*conf));
	if (!conf || bpf_map_lookup_elem(fd, &zero, conf))
		return fail(conf ? -errno : -ENOMEM, "can't read the settings in '%s'",
			    opt.pin_dir);
	*ret_abi = conf->abi;
	/* abi 0: load was killed before it wrote the number */
	*ret_other = info.value_size != sizeof(*conf) || (conf->abi && conf->abi != SHUNT_ABI);
	return 0;
}

static int check_version_of(enum half half)
{
	bool other;
	__u32 abi;
	int error = read_version(half, &abi, &other);

	if (error || !other)
		return error;
	return deny(-EPROTO,
		    "'%s' was loaded by another version of shunt (its maps have version %u, those of "
		    "this shunt %u); 'shunt upgrade' replaces that version by this one, or unload with "
		    "that version",
		    opt.pin_dir, abi, SHUNT_ABI);
}

/* An upgrade was killed between the table of attachments and the halves. */
static int check_attachments(void)
{
	_cleanup_fd_ int fd = attachments_open();
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);

	if (fd < 0)
		return 0;
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return fail(-errno, "can't read the table of attachments");
	if (info.value_size == sizeof(struct shunt_attachment))
		return 0;
	return deny(-EPROTO,
		    "'%s': the table of attachments is of another version of shunt; 'shunt upgrade' "
		    "replaces it",
		    opt.pin_dir);
}

bool pins_are_of_other_version(void)
{
	bool other = false;
	__u32 abi;
	int half;

	for (half = 0; half < HALVES && !other; half++)
		if (read_version(half, &abi, &other))
			return false;
	return other;
}

int pins_check_version(void)
{
	char path[PIN_PATH];
	int half, error = 0;

	/* up to version 0.2 all halves had their pins in one place */
	snprintf(path, sizeof(path), "%s/maps", opt.pin_dir);
	if (!access(path, F_OK))
		return deny(-EPROTO,
			    "'%s' was loaded by another version of shunt; unload with that one",
			    opt.pin_dir);
	for (half = 0; half < HALVES && !error; half++)
		error = check_version_of(half);
	return error ? error : check_attachments();
}
