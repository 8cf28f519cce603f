// SPDX-License-Identifier: GPL-2.0-only
/* shunt load: pins the programs and attaches them. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "attach/attach.h"
#include "attach/ifaces.h"
#include "attach/leftovers.h"
#include "attach/local_origin.h"
#include "attach/own_addresses.h"
#include "attach/loopback.h"
#include "attach/policy_route.h"
#include "bpf/kernel_features.h"
#include "bpf/pins.h"
#include "bpf/programs.h"
#include "bpf/selftest.h"
#include "cmd/apply.h"
#include "cmd/command.h"
#include "cmd/load_again.h"
#include "cmd/teardown.h"
#include "config/load_config.h"
#include "config/options.h"
#include "flows/flow_counters.h"
#include "nat/nat_attach.h"
#include "nat/nat_store.h"
#include "rules/counters.h"
#include "rules/rule_store.h"
#include "rules/units.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "shunt.skel.h"

#define DRAIN_MS 2000

/* Makes NAT's timer. Tries often, because the kernel may lack memory at the moment. */
static int start_nat(const struct shunt_bpf *skel)
{
	char packet[64] = "";
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet, .data_size_in = sizeof(packet));
	int fd = bpf_program__fd(skel->progs.shunt_nat_init), tries;

	if (fd < 0)
		return 0;
	for (tries = 0; tries < 100; tries++) {
		if (bpf_prog_test_run_opts(fd, &o))
			return fail(-errno, "can't set up NAT");
		if (!o.retval)
			return 0;
	}
	return fail((int)o.retval, "can't make a timer for NAT");
}

static int prepare_monitor(__u32 mark)
{
	_cleanup_fd_ int fd = pin_open("maps", "shunt_monitor");

	return fd < 0 ? fail(fd, "can't set up the monitor") : monitor_prepare(fd, mark);
}

/* Writes the settings into the pinned maps. Returns shunt_conf, or NULL after reporting. */
static struct shunt_conf *write_settings(const struct load_config *config)
{
	struct shunt_conf *conf = pin_mmap("shunt_conf", NULL);
	struct shunt_exclude *excludes = pin_mmap("shunt_exclude", NULL);
	struct shunt_nat *nat = pin_mmap("shunt_nat", NULL);

	if (!conf || !excludes || !nat) {
		fail(-errno, "can't map the settings");
		return NULL;
	}
	memcpy(excludes, config->excludes, sizeof(config->excludes));
	*conf = config->conf;
	*nat = config->nat_conf;
	conf->recv_flags_reported = kernel_reports_recv_flags();
	/* The answers to SYN cookies that an earlier load steered may still arrive. */
	conf->run.syncookie_tick = ticks_now();
	return conf;
}

static int add_routes(const struct load_config *config, struct shunt_conf *conf)
{
	int error = config->monitor ? prepare_monitor(conf->mark) : 0;

	if (error)
		return error;
	return config->steer ? route_add(conf) : 0;
}

/* With conf->mark set, teardown() removes the routes. After a failure there are none of ours. */
static int make_routes(const struct load_config *config, struct shunt_conf *conf)
{
	int error = add_routes(config, conf);

	if (error) {
		conf->mark = 0;
		return error;
	}
	return config->nat ? nat_allow_route_lookups(conf) : 0;
}

static int attach_entries(const struct load_config *config, struct shunt_conf *conf)
{
	struct shunt_attachment *attachments = pin_mmap("shunt_attachment", NULL);
	unsigned int i;
	int error;

	if (!attachments)
		return fail(-errno, "can't map the settings");
	for (i = 0; i < config->n; i++) {
		attachments[i] = config->attachments[i];
		error = attach(attachments, i);
		if (error)
			return error;
	}
	return config->steer ? ifaces_sync(conf, attachments) : 0;
}

static int apply_nat_rules(const struct rule_file *file, struct rule_changes *ret)
{
	int error;

	if (!file->nats)
		return 0;
	error = nat_store_open();
	return error ? error : nat_replace(file->nat, file->nats, ret);
}

static int attach_all(const struct load_config *config, struct rule_changes *ret_nat)
{
	struct shunt_conf *conf = write_settings(config);
	int error;

	if (!conf)
		return -EIO;
	error = make_routes(config, conf);
	if (error)
		return error;
	error = attach_entries(config, conf);
	if (error)
		return error;
	error = rule_file_is_local(&config->file) ? local_origin_begin() : 0;
	if (error)
		return error;
	error = apply_nat_rules(&config->file, ret_nat);
	if (error)
		return error;
	__atomic_store_n(&conf->run.loaded, 1, __ATOMIC_SEQ_CST);
	return loopback_reassert(conf);
}

static int name_router(const struct load_config *config, const struct shunt_bpf *skel)
{
	_cleanup_fd_ int cgroup = -1;
	__u32 zero = 0;

	if (!*config->router)
		return 0;
	cgroup = open(config->router, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup < 0)
		return fail(-errno, "cgroup '%s'", config->router);
	if (bpf_map_update_elem(bpf_map__fd(skel->maps.shunt_router), &zero, &cgroup, BPF_ANY))
		return fail(-errno, "can't enter cgroup '%s'", config->router);
	return 0;
}

/* Makes the empty store and puts the rules of the file into it, before any packet is seen. */
static int make_rules(const struct load_config *config, const struct shunt_bpf *skel,
		      struct rule_changes *ret)
{
	struct shunt_conf *conf = pin_mmap("shunt_conf", NULL);
	int error;

	if (!conf)
		return fail(-errno, "can't map the settings");
	conf->shards = config->conf.shards;
	conf->max_rules = config->conf.max_rules;
	error = counters_make(bpf_map__fd(skel->maps.shunt_rule_counters), conf->shards);
	if (error)
		return error;
	error = store_make(bpf_map__fd(skel->maps.shunt_rules));
	if (error || !config->file.count)
		return error;
	error = rules_open();
	if (error)
		return error;
	error = apply_steering_rules(&config->file, ret);
	rules_close();
	return error;
}

static void destroy_skeleton(struct shunt_bpf **skel)
{
	shunt_bpf__destroy(*skel);
}

/* Loads and pins the programs and maps, and sets up what does not depend on attachments. */
static int load_programs(const struct load_config *config, struct shunt_bpf **ret)
{
	const struct program_set set = {
		.bypass = config->bypass,
		.steer = config->steer,
		.monitor = config->monitor,
		.nat = config->nat,
		.flow_buckets = config->conf.flow_buckets,
		.nat_flows = config->nat_conf.flows,
	};
	int error = programs_open(&set, ret);

	if (error)
		return error;
	error = programs_pin(*ret);
	if (error)
		return error;
	error = name_router(config, *ret);
	return error ? error : start_nat(*ret);
}

static void report_rules(const struct load_config *config, const struct rule_changes *steer,
			 const struct rule_changes *nat)
{
	if (!config->file.count && !config->file.nats)
		return;
	report_rule_changes(steer, nat);
	ifaces_warn_idle_rules(config->file.rule, config->file.count);
	own_addresses_warn(config->file.rule, config->file.count);
}

static int load_fresh(const struct load_config *config)
{
	_cleanup_(destroy_skeleton) struct shunt_bpf *skel = NULL;
	struct rule_changes steer = {}, nat = {};
	int error = load_programs(config, &skel);

	if (error)
		return error;
	error = config->steer ? make_rules(config, skel, &steer) : 0;
	if (error)
		return error;
	error = config->bypass ? attach_verdict(skel) : 0;
	if (error)
		return error;
	error = attach_all(config, &nat);
	if (error)
		return error;
	report_rules(config, &steer, &nat);
	return 0;
}

/* Removes what an interrupted load or unload left, maybe in another network namespace. */
static int remove_remains(void)
{
	_cleanup_fd_ int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int error = teardown(DRAIN_MS);

	if (error)
		return error;
	if (own >= 0 && setns(own, CLONE_NEWNET))
		return fail(-errno, "can't go back to this network namespace");
	return leftovers_remove();
}

/* Tests how the kernel behaves, then loads. */
static int test_and_load(struct load_config *config)
{
	bool fionread = true, eager = config->eager && !config->force;
	int error = config->proven || eager ? selftest_run_for_load(eager, &fionread) : 0;

	if (error)
		return error;
	config->conf.fionread_faulty = !fionread;
	return load_fresh(config);
}

static int load_first(struct load_config *config)
{
	int error = remove_remains();

	if (error)
		return error;
	error = test_and_load(config);
	if (error) {
		if (!teardown(DRAIN_MS))
			pins_remove();
		return error;
	}
	if (config->steer)
		ifaces_warn_topology();
	return 0;
}

static int load(struct load_config *config)
{
	_cleanup_lock_ int lock = pins_lock(true);
	struct shunt_conf *conf;
	struct shunt_attachment *attachments;

	if (lock < 0)
		return lock;
	conf = pin_mmap("shunt_conf", NULL);
	attachments = pin_mmap("shunt_attachment", NULL);
	if (conf && attachments && conf->run.loaded)
		return load_again(config, conf, attachments);
	return load_first(config);
}

static int load_help(void)
{
	puts("usage: shunt load [--config FILE] [--cgroup PATH[=proven|eager]]... [--iface NAME]...\n"
	     "                  [--nat NAME]... [--monitor NAME]... [OPTION VALUE]...\n");
	load_options_help();
	return 0;
}

static void free_config(struct load_config **config)
{
	if (*config)
		rule_file_free(&(*config)->file);
	free(*config);
}

int cmd_load(int argc, char **argv)
{
	_cleanup_(free_config) struct load_config *config = NULL;
	int error;

	if (argc == 2 && !strcmp(argv[1], "help"))
		return load_help();
	config = calloc(1, sizeof(*config));
	if (!config)
		return -ENOMEM;
	error = load_config_parse(argc, argv, config);
	return error ? error : load(config);
}
