/* SPDX-License-Identifier: GPL-2.0-only */
/* What is known of datagrams that come in fragments, and their listeners. */
#ifndef SHUNT_REASSEMBLED_H
#define SHUNT_REASSEMBLED_H

#include <shunt/bpf/maps.bpf.h>

/* the listener for a datagram once it is whole, by its flow (ifindex 0) */
struct shunt_datagrams_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SHUNT_FRAGMENTS);
	__type(key, struct shunt_flow);
	__type(value, struct shunt_reassembled);
};
MAP(shunt_datagrams);

/* listeners by the address that they are bound to */
struct shunt_listeners_map {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, SHUNT_LISTENERS);
	__type(key, struct shunt_listener);
	__type(value, __u64);
};
MAP(shunt_listeners);

/* and those to be put there: of rules, and of datagrams that came */
struct shunt_wanted_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SHUNT_LISTENERS);
	__type(key, struct shunt_listener);
	__type(value, __u32);
};
MAP(shunt_wanted);

#endif
