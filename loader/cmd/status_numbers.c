// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/status_numbers.h"

#include <string.h>

#define NUMBER(half, type, name, member, help) \
	{ \
		HALF_##half, NUMBER_##type, name, NULL, offsetof(struct status_numbers, member), \
			help \
	}
#define RENAMED(half, type, name, old_name, member, help) \
	{ \
		HALF_##half, NUMBER_##type, name, old_name, \
			offsetof(struct status_numbers, member), help \
	}

const struct status_number status_numbers[] = {
	NUMBER(BYPASS, GAUGE, "pairs", pairs, "Pairs of sockets, both on this host."),
	NUMBER(BYPASS, GAUGE, "active_pairs", active_pairs, "Pairs on the fast path."),
	NUMBER(BYPASS, FLAG, "supervised", supervised, "Whether the supervisor runs."),
	NUMBER(BYPASS, COUNTER, "redirected_bytes", count.redirected_bytes,
	       "Bytes sent by the fast path."),
	NUMBER(BYPASS, COUNTER, "redirected_messages", count.redirected_msgs,
	       "Messages sent by the fast path."),
	NUMBER(BYPASS, COUNTER, "passed_bytes", count.passed_bytes,
	       "Bytes that sockets on the fast path sent by TCP."),
	NUMBER(BYPASS, COUNTER, "passed_messages", count.passed_msgs,
	       "Messages that sockets on the fast path sent by TCP."),
	NUMBER(BYPASS, COUNTER, "promoted", count.promoted,
	       "Pairs that were moved to the fast path."),
	NUMBER(BYPASS, COUNTER, "demoted", count.demoted, "Pairs that were moved back to TCP."),
	NUMBER(BYPASS, COUNTER, "map_full", count.map_full,
	       "Pairs that stayed on TCP because a map was full."),
	RENAMED(BYPASS, GAUGE, "pair_entries", "entries", pair_entries,
		"Entries in use of the table of watched pairs."),
	RENAMED(BYPASS, GAUGE, "max_pair_entries", "max_entries", max_pair_entries,
		"Entries that the table of watched pairs has."),
	RENAMED(BYPASS, COUNTER, "reclaimed_entries", "reclaimed", reclaimed_entries,
		"Entries taken from idle pairs for other pairs."),
	RENAMED(BYPASS, COUNTER, "refused_entries", "no_entry", refused_entries,
		"Times that a busy pair found no free entry."),
	NUMBER(BYPASS, GAUGE, "queued_bytes", queued_bytes,
	       "Bytes sent by the fast path that were not read yet."),
	NUMBER(BYPASS, GAUGE, "max_bytes", max_bytes,
	       "Bound of the bytes queued in one direction of a pair."),
	NUMBER(BYPASS, GAUGE, "max_messages", max_messages,
	       "Bound of the messages queued in one direction of a pair."),
	NUMBER(BYPASS, GAUGE, "host_bytes", host_bytes,
	       "TCP memory in use on this host above which nothing is redirected."),

	NUMBER(STEER, GAUGE, "rules", rules, "Steering rules in force."),
	NUMBER(STEER, GAUGE, "max_rules", max_rules, "Steering rules that there is room for."),
	NUMBER(STEER, GAUGE, "max_flows", max_flows, "UDP flows that steering can remember."),
	NUMBER(STEER, COUNTER, "steered_packets", count.steered_packets,
	       "Packets given to the sockets of routers."),
	NUMBER(STEER, COUNTER, "steered_flows", count.steered_flows, "Flows given to a listener."),
	NUMBER(STEER, COUNTER, "no_listener", count.no_listener,
	       "Packets left alone because their rule has no listener."),
	RENAMED(STEER, COUNTER, "listener_not_transparent", "not_transparent",
		count.not_transparent,
		"Packets among no_listener whose listener lacks IP_TRANSPARENT."),
	RENAMED(STEER, COUNTER, "listener_with_reuseport", "reuseport", count.reuseport,
		"Packets among no_listener whose listener has SO_REUSEPORT, before Linux 6.6."),
	NUMBER(STEER, COUNTER, "fragments", count.fragments, "Fragments seen, steered or not."),
	RENAMED(STEER, COUNTER, "steered_icmp_errors", "steered_errors", count.steered_errors,
		"ICMP errors about a router's packets, given to the router's socket."),
	NUMBER(STEER, COUNTER, "malformed", count.malformed, "Malformed packets, left alone."),
	RENAMED(STEER, FLAG, "origin_local", "local", origin_local,
		"Whether packets that this host sends are steered, too."),
	RENAMED(STEER, COUNTER, "router_own_packets", "routers_own", count.routers_own,
		"First packets that the router itself sent, left alone."),
	RENAMED(STEER, COUNTER, "loops_ended", "loops", count.loops,
		"Connections of a router left alone because others had come back to the router."),
	RENAMED(STEER, COUNTER, "source_translated", "translated", count.translated,
		"Packets of this host left alone because their source was translated before."),
	RENAMED(STEER, COUNTER, "left_to_own_services", "own_services", count.own_services,
		"Connections and UDP flows left to this host's own services."),
	RENAMED(STEER, COUNTER, "segments_to_reset", "resets", count.resets,
		"TCP segments of forgotten connections, given to the router to be reset."),

	NUMBER(NAT, GAUGE, "rules", nat_rules, "NAT rules in force."),
	NUMBER(NAT, GAUGE, "flows", nat_flows, "Flows that have not ended."),
	NUMBER(NAT, GAUGE, "max_flows", nat_max_flows, "Flows that there is room for."),
	RENAMED(NAT, COUNTER, "new_flows", "made", count.nat_made, "Flows that began."),
	RENAMED(NAT, COUNTER, "unanswered_flows", "unanswered", count.nat_unanswered,
		"Flows that ended without an answer."),
	RENAMED(NAT, COUNTER, "evicted_flows", "evicted", count.nat_evicted,
		"Flows ended early to make room for new ones."),
	RENAMED(NAT, COUNTER, "sent_directly_to_target", "straight", count.nat_untranslated,
		"New flows that were sent directly to a rule's target, so only tracked."),
	RENAMED(NAT, COUNTER, "rewritten_packets", "packets", count.nat_packets,
		"Packets rewritten, in both directions."),
	RENAMED(NAT, COUNTER, "dropped_no_room", "refused", count.nat_refused,
		"Packets of new flows dropped because there was no room for the flow."),
	RENAMED(NAT, COUNTER, "source_ports_changed", "other_ports", count.nat_other_ports,
		"New flows that got another source port, because theirs was in use."),
	RENAMED(NAT, COUNTER, "rewritten_icmp_errors", "errors", count.nat_errors,
		"ICMP errors rewritten."),
	RENAMED(NAT, COUNTER, "out_of_order_fragments", "fragments", count.nat_fragments,
		"Fragments of flows left alone because they came before the first one."),
	RENAMED(NAT, COUNTER, "dropped_no_route", "unroutable", count.nat_unroutable,
		"Packets dropped because there was no route to the target."),
	{}
};

const char *status_half_name(enum half half)
{
	static const char *const names[] = {
		[HALF_BYPASS] = "bypass",
		[HALF_STEER] = "steer",
		[HALF_NAT] = "nat",
	};

	return names[half];
}

__u64 status_number_value(const struct status_numbers *numbers, const struct status_number *n)
{
	__u64 value;

	memcpy(&value, (const char *)numbers + n->at, sizeof(value));
	return value;
}
