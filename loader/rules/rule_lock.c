// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>

#include "bpf/pins.h"
#include "rules/rule_store.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/options.h"

int rules_lock(void)
{
	_cleanup_lock_ int lock = pins_lock(false);
	_cleanup_fd_ int prog = -1;
	int error;

	if (lock < 0)
		return lock == -ENOENT ? report_not_loaded() : lock;
	prog = pin_open(HALF_STEER, "progs", "shunt_steer");
	if (prog == -ENOENT)
		return deny(prog, "steering is not loaded; 'shunt load --iface' loads it");
	if (prog < 0)
		return fail(prog, "can't open the steering program in '%s'", opt.pin_dir);
	error = rules_open();
	if (error)
		return error;
	return take_fd(&lock);
}
