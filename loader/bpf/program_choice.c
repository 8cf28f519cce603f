// SPDX-License-Identifier: GPL-2.0-only
#include "bpf/program_choice.h"

#include <string.h>

#include <bpf/libbpf.h>

#include "bpf/kernel_features.h"
#include "shunt.skel.h"

/* Whether the name of a map is in the list, which ends with NULL. */
static bool is_listed(const char *const *list, const char *name)
{
	for (; *list; list++)
		if (!strcmp(*list, name))
			return true;
	return false;
}

/* The half that a map belongs to; HALVES for a map of which each half has its own. */
static enum half map_half(const char *name)
{
	static const char *const common[] = { "shunt_attachment", "shunt_conf", "shunt_count",
					      "shunt_events", NULL };
	static const char *const bypass[] = { "shunt_adopted",
					      "shunt_exclude",
					      "shunt_fionread",
					      "shunt_handshake",
					      "shunt_pairs",
					      "shunt_pending",
					      "shunt_sk",
					      "shunt_slot",
					      "shunt_socks",
					      "shunt_splicers",
					      NULL };
	static const char *const monitor[] = { "shunt_buckets", "shunt_monitor", "shunt_ways",
					       NULL };

	if (is_listed(common, name))
		return HALVES;
	if (is_listed(bypass, name))
		return HALF_BYPASS;
	if (is_listed(monitor, name))
		return HALF_MONITOR;
	return strncmp(name, "shunt_nat", 9) ? HALF_STEER : HALF_NAT;
}

static bool is_wanted(const struct program_set *set, enum half half)
{
	const bool wanted[HALVES + 1] = {
		[HALF_BYPASS] = set->bypass,   [HALF_STEER] = set->steer, [HALF_NAT] = set->nat,
		[HALF_MONITOR] = set->monitor, [HALVES] = true,
	};

	return wanted[half];
}

void choose_maps(struct shunt_bpf *skel, const struct program_set *set)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, skel->obj)
		if (!bpf_map__is_internal(map))
			bpf_map__set_autocreate(map, is_wanted(set, map_half(bpf_map__name(map))));
	/* never pinned: each 'steer test --deliver' creates its own */
	bpf_map__set_autocreate(skel->maps.shunt_dropped, set->on_demand_too);
}

unsigned int monitor_buckets(void)
{
	return SHUNT_BUCKETS * libbpf_num_possible_cpus();
}

void size_maps(struct shunt_bpf *skel, const struct program_set *set)
{
	bpf_map__set_max_entries(skel->maps.shunt_udp_flows,
				 set->flow_buckets ? set->flow_buckets : 1);
	bpf_map__set_max_entries(skel->maps.shunt_shadowed, SHUNT_MATCHES);
	bpf_map__set_max_entries(skel->maps.shunt_steered, SHUNT_STEERED_BUCKETS);
	bpf_map__set_max_entries(skel->maps.shunt_nat_flows,
				 set->nat_flows ? 2 * set->nat_flows : 1);
	bpf_map__set_max_entries(skel->maps.shunt_nat_queue, set->nat_flows ? set->nat_flows : 1);
	bpf_map__set_max_entries(skel->maps.shunt_buckets, monitor_buckets());
	bpf_map__set_max_entries(skel->maps.shunt_ways, monitor_buckets() * SHUNT_WAYS);
}

void choose_programs(struct shunt_bpf *skel, const struct program_set *set, bool map_iterators)
{
	bool bypass = set->bypass, casts = kernel_has_rdonly_cast();
	bool flags = bypass && kernel_reports_recv_flags();
	bool maps = bypass && map_iterators, files = bypass && !map_iterators;
	bool steer_later = set->steer && set->on_demand_too;
	bool nat_later = set->nat && set->on_demand_too;
	const struct {
		struct bpf_program *program;
		bool wanted;
	} choices[] = {
		{ skel->progs.shunt_eager, bypass },
		{ skel->progs.shunt_proven, bypass },
		{ skel->progs.shunt_repair, bypass },
		{ skel->progs.shunt_adopt, bypass },
		{ skel->progs.shunt_wakeup, bypass },
		{ skel->progs.shunt_read, bypass },
		{ skel->progs.shunt_ioctl, bypass },
		{ skel->progs.shunt_list_pending, bypass },
		{ skel->progs.shunt_reset, bypass && kernel_has_sock_destroy() },
		{ skel->progs.shunt_recv, flags },
		{ skel->progs.shunt_send, flags },
		{ skel->progs.shunt_scan, maps },
		{ skel->progs.shunt_list, maps },
		{ skel->progs.shunt_drain, maps },
		{ skel->progs.shunt_scan_files, files },
		{ skel->progs.shunt_list_files, files },
		{ skel->progs.shunt_drain_files, files },
		{ skel->progs.shunt_verdict, bypass && casts },
		{ skel->progs.shunt_verdict61, bypass && !casts },
		{ skel->progs.shunt_steer, set->steer },
		{ skel->progs.shunt_reassembled, set->steer },
		{ skel->progs.shunt_collect_listeners, set->steer },
		{ skel->progs.shunt_bound4, set->steer },
		{ skel->progs.shunt_bound6, set->steer },
		{ skel->progs.shunt_count_in, set->monitor },
		{ skel->progs.shunt_count_out, set->monitor },
		{ skel->progs.shunt_nat_init, set->nat },
		{ skel->progs.shunt_test, steer_later },
		{ skel->progs.shunt_inject, steer_later },
		{ skel->progs.shunt_drop, steer_later },
		{ skel->progs.shunt_local, steer_later },
		{ skel->progs.shunt_arrive, steer_later },
		{ skel->progs.shunt_nat_in, nat_later },
		{ skel->progs.shunt_nat_out, nat_later },
		{ skel->progs.shunt_nat_raw_in, nat_later },
		{ skel->progs.shunt_nat_raw_out, nat_later },
	};
	size_t i;

	for (i = 0; i < sizeof(choices) / sizeof(*choices); i++)
		bpf_program__set_autoload(choices[i].program, choices[i].wanted);
}
