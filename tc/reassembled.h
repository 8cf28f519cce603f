/* SPDX-License-Identifier: GPL-2.0-only */
/* Maps for datagrams that come in fragments, and for their listeners. */
#ifndef SHUNT_REASSEMBLED_H
#define SHUNT_REASSEMBLED_H

#include <shunt/bpf/maps.bpf.h>

/* The listener of a fragmented datagram, by its flow (ifindex is 0). */
struct shunt_datagrams_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SHUNT_FRAGMENTS);
	__type(key, struct shunt_flow);
	__type(value, struct shunt_reassembled);
};
MAP(shunt_datagrams);

/* Listeners by the address that they are bound to. */
struct shunt_listeners_map {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, SHUNT_LISTENERS);
	__type(key, struct shunt_listener);
	__type(value, __u64);
};
MAP(shunt_listeners);

/* The addresses whose listeners shunt_listeners is to have: those of rules and of
 * fragmented datagrams. */
struct shunt_wanted_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SHUNT_LISTENERS);
	__type(key, struct shunt_listener);
	__type(value, __u32);
};
MAP(shunt_wanted);

#endif
