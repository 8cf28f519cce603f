// SPDX-License-Identifier: GPL-2.0-only
/* Loads one half: pins its programs and maps, and attaches them. */
#include "cmd/load_half.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "attach/attach.h"
#include "attach/attachments.h"
#include "attach/ifaces.h"
#include "attach/local_origin.h"
#include "attach/loopback.h"
#include "attach/policy_route.h"
#include "bpf/kernel_features.h"
#include "bpf/pins.h"
#include "bpf/programs.h"
#include "bpf/skeleton.h"
#include "cmd/apply.h"
#include "cmd/kept_rules.h"
#include "flows/flow_counters.h"
#include "nat/nat_attach.h"
#include "nat/nat_store.h"
#include "rules/counters.h"
#include "rules/rule_store.h"
#include "rules/units.h"
#include "util/cleanup.h"
#include "util/log.h"

int nat_start_timer(int fd)
{
	char packet[64] = "";
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet, .data_size_in = sizeof(packet));
	const struct timespec pause = { .tv_nsec = 10000000 };
	int tries;

	/* often, because the kernel may lack memory at the moment */
	for (tries = 0; tries < 100; tries++) {
		if (bpf_prog_test_run_opts(fd, &o))
			return fail(-errno, "can't set up NAT");
		/* EBUSY: a build without 'shunt upgrade' keeps the timer that is there */
		if (!o.retval || (int)o.retval == -EBUSY)
			return 0;
		nanosleep(&pause, NULL);
	}
	return fail((int)o.retval, "can't make a timer for NAT");
}

/* Gives the monitor the mark of steering: the monitor shows which flows have that mark. */
static int prepare_monitor(void)
{
	_cleanup_fd_ int fd = pin_open(HALF_MONITOR, "maps", "shunt_monitor");
	struct half_pins steer;
	int error = half_map(HALF_STEER, &steer);

	if (error)
		return error;
	return fd < 0 ? fail(fd, "can't set up the monitor")
		      : monitor_prepare(fd, steer.conf ? steer.conf->mark : 0);
}

static int tell_monitor(__u32 mark)
{
	_cleanup_fd_ int fd = pin_open(HALF_MONITOR, "maps", "shunt_monitor");

	return fd >= 0 && half_is_loaded(HALF_MONITOR) > 0 ? monitor_set_mark(fd, mark) : 0;
}

static int write_excludes(const struct load_config *config)
{
	struct shunt_exclude *excludes = pin_mmap(HALF_BYPASS, "shunt_exclude", NULL);

	if (!excludes)
		return fail(-errno, "can't map the settings of bypass");
	memcpy(excludes, config->excludes, sizeof(config->excludes));
	return 0;
}

static int write_nat_settings(const struct load_config *config)
{
	struct shunt_nat *nat = pin_mmap(HALF_NAT, "shunt_nat", NULL);

	if (!nat)
		return fail(-errno, "can't map the settings of nat");
	*nat = config->nat_conf;
	return 0;
}

/* Writes the settings before the half changes anything on the host: teardown() undoes what they
 * say. */
static int write_settings(enum half half, const struct load_config *config,
			  const struct half_pins *pins)
{
	*pins->conf = config->conf;
	pins->conf->mark =
		0; /* there are no routing rules to undo, for steering up to route_add() */
	if (half != HALF_STEER)
		pins->conf->table = 0;
	pins->conf->recv_flags_reported = kernel_reports_recv_flags();
	/* The answers to SYN cookies that an earlier load steered may still arrive. */
	pins->conf->run.syncookie_tick = ticks_now();
	if (half == HALF_BYPASS)
		return write_excludes(config);
	return half == HALF_NAT ? write_nat_settings(config) : 0;
}

static int attach_entries(enum half half, const struct load_config *config,
			  const struct half_pins *pins)
{
	struct shunt_attachment *a;
	unsigned int i;
	int error;

	for (i = 0; i < config->n; i++) {
		if (attachment_half(&config->attachments[i]) != half)
			continue;
		a = attachment_unused(pins->attachments);
		if (!a)
			return deny(-ENOSPC, "more than %d attachments", SHUNT_ATTACHMENTS);
		*a = config->attachments[i];
		error = attach(pins->attachments, a - pins->attachments);
		if (error)
			return error;
	}
	return 0;
}

static int apply_nat_rules(const struct rule_file *file, struct rule_changes *ret)
{
	int error;

	if (!file->nats)
		return 0;
	error = nat_store_open();
	return error ? error : nat_replace(file->nat, file->nats, ret);
}

int router_set(const char *path)
{
	_cleanup_fd_ int map = pin_open(HALF_STEER, "maps", "shunt_router");
	_cleanup_fd_ int cgroup = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	__u32 zero = 0;

	if (cgroup < 0)
		return fail(-errno, "cgroup '%s'", path);
	if (map < 0)
		return fail(map, "can't open the router's cgroup");
	if (bpf_map_update_elem(map, &zero, &cgroup, BPF_ANY))
		return fail(-errno, "can't enter cgroup '%s'", path);
	return 0;
}

/* Makes the empty store and puts the rules of the file into it, and those of routers that still run,
 * before any packet is seen. */
static int make_rules(const struct load_config *config, const struct shunt_bpf *skel,
		      struct rule_changes *ret)
{
	int error = counters_make(bpf_map__fd(skel->maps.shunt_rule_counters), config->conf.shards);

	if (error)
		return error;
	error = store_make(bpf_map__fd(skel->maps.shunt_rules));
	if (error)
		return error;
	error = rules_open();
	if (error)
		return error;
	error = config->file.count ? apply_steering_rules(&config->file, ret) : 0;
	if (!error)
		kept_rules_restore();
	rules_close();
	return error;
}

static int begin_steering(const struct load_config *config, const struct shunt_bpf *skel,
			  const struct half_pins *pins, struct load_changes *ret)
{
	int error = *config->router ? router_set(config->router) : 0;

	if (error)
		return error;
	error = make_rules(config, skel, &ret->steer);
	if (error)
		return error;
	error = route_add(pins->conf, config->conf.mark);
	if (error)
		return error;
	error = attach_entries(HALF_STEER, config, pins);
	if (error)
		return error;
	error = ifaces_sync(pins->conf, pins->attachments);
	if (error)
		return error;
	error = rule_file_is_local(&config->file) ? local_origin_begin() : 0;
	return error ? error : tell_monitor(pins->conf->mark);
}

static int begin_nat(const struct load_config *config, const struct shunt_bpf *skel,
		     const struct half_pins *pins, struct load_changes *ret)
{
	int error = nat_start_timer(bpf_program__fd(skel->progs.shunt_nat_init));

	if (error)
		return error;
	error = config->nat ? nat_allow_route_lookups(pins->conf) : 0;
	if (error)
		return error;
	error = attach_entries(HALF_NAT, config, pins);
	return error ? error : apply_nat_rules(&config->file, &ret->nat);
}

static int begin_bypass(const struct load_config *config, struct shunt_bpf *skel,
			const struct half_pins *pins)
{
	int error = attach_verdict(skel);

	return error ? error : attach_entries(HALF_BYPASS, config, pins);
}

static int begin_monitor(const struct load_config *config, const struct half_pins *pins)
{
	int error = prepare_monitor();

	return error ? error : attach_entries(HALF_MONITOR, config, pins);
}

static int begin_one(enum half half, const struct load_config *config, struct shunt_bpf *skel,
		     const struct half_pins *pins, struct load_changes *ret)
{
	switch (half) {
	case HALF_STEER:
		return begin_steering(config, skel, pins, ret);
	case HALF_NAT:
		return begin_nat(config, skel, pins, ret);
	case HALF_BYPASS:
		return begin_bypass(config, skel, pins);
	default:
		return begin_monitor(config, pins);
	}
}

static int begin(enum half half, const struct load_config *config, struct shunt_bpf *skel,
		 struct load_changes *ret)
{
	struct half_pins pins;
	int error = half_map(half, &pins);

	if (error)
		return error;
	if (!pins.conf || !pins.attachments)
		return fail(-ENOENT, "can't map the settings of %s", half_name(half));
	error = write_settings(half, config, &pins);
	if (error)
		return error;
	error = begin_one(half, config, skel, &pins, ret);
	if (error)
		return error;
	__atomic_store_n(&pins.conf->run.loaded, 1, __ATOMIC_SEQ_CST);
	return loopback_reassert(pins.conf);
}

int load_half(enum half half, const struct load_config *config, struct load_changes *ret)
{
	const struct program_set set = {
		.bypass = half == HALF_BYPASS,
		.steer = half == HALF_STEER,
		.monitor = half == HALF_MONITOR,
		.nat = half == HALF_NAT,
		.shared_attachments = true,
		.flow_buckets = config->conf.flow_buckets,
		.nat_flows = config->nat_conf.flows,
	};
	_cleanup_skel_ struct shunt_bpf *skel = NULL;
	int error = programs_open(&set, &skel);

	if (error)
		return error;
	error = programs_pin(half, skel);
	return error ? error : begin(half, config, skel, ret);
}
