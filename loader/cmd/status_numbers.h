/* SPDX-License-Identifier: GPL-2.0-only */
/* The numbers that 'shunt status' and 'shunt metrics' print, and the table of their names. */
#ifndef SHUNT_STATUS_NUMBERS_H
#define SHUNT_STATUS_NUMBERS_H

#include <stddef.h>

#include <shunt/abi.h>

#include "bpf/halves.h"

/* Every member is a __u64, also the flags: the table has only its offset. */
struct status_numbers {
	struct shunt_count count; /* the sums of all CPUs */
	__u64 pairs;
	__u64 active_pairs;
	__u64 supervised;
	__u64 pair_entries;
	__u64 max_pair_entries;
	__u64 reclaimed_entries;
	__u64 refused_entries;
	__u64 queued_bytes;
	__u64 max_bytes;
	__u64 max_messages;
	__u64 host_bytes;
	__u64 rules;
	__u64 max_rules;
	__u64 max_flows;
	__u64 origin_local;
	__u64 nat_rules;
	__u64 nat_flows;
	__u64 nat_max_flows;
};

enum number_type { NUMBER_COUNTER, NUMBER_GAUGE, NUMBER_FLAG };

struct status_number {
	enum half half; /* an object in the JSON of 'shunt status' */
	enum number_type type;
	/* The name in JSON. The metric's name is shunt_HALF_NAME, and ends in _total for a counter. */
	const char *name;
	/* The name up to release 0.1, which is printed as well; NULL if the name has not changed. */
	const char *old_name;
	size_t at; /* where the value is in struct status_numbers */
	const char *help;
};

/* All numbers, in the order in which they are printed. An entry without a name ends the table. */
extern const struct status_number status_numbers[];

/* The name of a half as JSON and metrics have it. */
const char *status_half_name(enum half half);

__u64 status_number_value(const struct status_numbers *numbers, const struct status_number *n);

#endif
