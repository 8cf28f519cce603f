// SPDX-License-Identifier: GPL-2.0-only
#include "flows/flow_counters.h"

#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/programs.h"
#include "util/clock.h"
#include "util/log.h"

static double seconds_now(void)
{
	return (double)monotonic_ns() / NS_PER_SEC;
}

struct flow *flows_add(struct flows *flows)
{
	size_t room = flows->room ? flows->room * 2 : 1024;
	struct flow *list, *f;

	if (flows->n == flows->room) {
		list = realloc(flows->list, room * sizeof(*list));
		if (!list)
			return NULL;
		flows->list = list;
		flows->room = room;
	}
	f = &flows->list[flows->n++];
	memset(f, 0, sizeof(*f));
	return f;
}

int monitor_prepare(int monitor_fd, __u32 mark)
{
	struct shunt_monitor m = { .mark = mark };
	__u32 zero = 0;

	if (getrandom(m.keys, sizeof(m.keys), 0) != sizeof(m.keys))
		return fail(-errno, "no random numbers");
	if (bpf_map_update_elem(monitor_fd, &zero, &m, BPF_ANY))
		return fail(-errno, "can't set up the monitor");
	return 0;
}

int monitor_set_mark(int monitor_fd, __u32 mark)
{
	struct shunt_monitor m;
	__u32 zero = 0;

	if (bpf_map_lookup_elem(monitor_fd, &zero, &m))
		return fail(-errno, "can't read the monitor's settings");
	m.mark = mark;
	if (bpf_map_update_elem(monitor_fd, &zero, &m, BPF_ANY))
		return fail(-errno, "can't set up the monitor");
	return 0;
}

static int make_reading(const struct flow_reader *reader, struct reading *r)
{
	r->buckets = calloc(reader->n, sizeof(*r->buckets));
	r->ways = calloc((size_t)reader->n * SHUNT_WAYS, sizeof(*r->ways));
	r->at = seconds_now();
	return r->buckets && r->ways ? 0 : fail(-ENOMEM, "monitor");
}

/* Copies a bucket while programs count. A way is used only if its tag is the same before and
 * after: then all of the copy is of one flow. */
static void copy_bucket(const struct flow_reader *reader, struct reading *r, unsigned int i)
{
	const volatile struct shunt_bucket *live = &reader->buckets[i];
	struct shunt_bucket *b = &r->buckets[i];
	unsigned int way, at = i * SHUNT_WAYS;

	*b = reader->buckets[i];
	r->sum.packets += b->missed_packets;
	r->sum.bytes += b->missed_bytes;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (way = 0; way < SHUNT_WAYS; way++)
		if (b->tag[way])
			r->ways[at + way] = reader->ways[at + way];
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (way = 0; way < SHUNT_WAYS; way++) {
		if (live->tag[way] != b->tag[way])
			b->tag[way] = 0;
		if (!b->tag[way])
			continue;
		r->sum.packets += r->ways[at + way].packets;
		r->sum.bytes += r->ways[at + way].bytes;
	}
}

static void read_all(struct flow_reader *reader)
{
	struct reading old = reader->before;
	unsigned int i;

	reader->before = reader->now;
	reader->now = old;
	reader->now.sum = (struct shunt_flow_counter){ .packets = 0 };
	for (i = 0; i < reader->n; i++)
		copy_bucket(reader, &reader->now, i);
	reader->now.at = seconds_now();
}

static const void *map_counters(int fd, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

int flow_reader_open(struct flow_reader *reader, const struct flow_maps *maps, bool in_use)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);
	int error;

	if (bpf_obj_get_info_by_fd(maps->buckets, &info, &len))
		return fail(-errno, "can't read the monitor's maps");
	reader->n = info.max_entries;
	reader->buckets = map_counters(maps->buckets, reader->n * sizeof(*reader->buckets));
	reader->ways = map_counters(maps->ways, reader->n * SHUNT_WAYS * sizeof(*reader->ways));
	if (!reader->buckets || !reader->ways)
		return fail(-errno, "can't map the monitor's counters");
	error = make_reading(reader, &reader->now);
	if (error)
		return error;
	error = make_reading(reader, &reader->before);
	if (error)
		return error;
	if (in_use)
		read_all(reader);
	return 0;
}

void flow_reader_close(struct flow_reader *reader)
{
	if (reader->buckets)
		munmap((void *)reader->buckets, reader->n * sizeof(*reader->buckets));
	if (reader->ways)
		munmap((void *)reader->ways, reader->n * SHUNT_WAYS * sizeof(*reader->ways));
	free(reader->now.buckets);
	free(reader->now.ways);
	free(reader->before.buckets);
	free(reader->before.ways);
}

static bool same_flow(const struct shunt_flow_counter *a, const struct shunt_flow_counter *b)
{
	return !memcmp(a, b, SHUNT_FLOW_KEY_WORDS * 4);
}

static const struct shunt_flow_counter *find_way(const struct reading *r, unsigned int bucket,
						 const struct shunt_flow_counter *flow)
{
	unsigned int i, at = bucket * SHUNT_WAYS;

	for (i = 0; i < SHUNT_WAYS; i++)
		if (r->buckets[bucket].tag[i] && same_flow(&r->ways[at + i], flow))
			return &r->ways[at + i];
	return NULL;
}

/* Cache of the interfaces' names, for one reading. */
static struct {
	unsigned int index;
	char name[IF_NAMESIZE];
} ifaces[64];

static void name_iface(struct flow *f)
{
	unsigned int index = f->counter.ifindex, at = index % 64;

	if (ifaces[at].index != index && !if_indextoname(index, ifaces[at].name))
		strcpy(ifaces[at].name, "?");
	ifaces[at].index = index;
	strcpy(f->iface, ifaces[at].name);
}

/* The flow of a way, which is added if it is new. The flows from first on are those of this
 * bucket, so they contain the flow if another CPU has counted it. */
static struct flow *find_or_add(struct flows *flows, size_t first,
				const struct shunt_flow_counter *way)
{
	struct flow *f;

	for (; first < flows->n; first++)
		if (same_flow(&flows->list[first].counter, way))
			return &flows->list[first];
	f = flows_add(flows);
	if (!f)
		return NULL;
	memcpy(&f->counter, way, SHUNT_FLOW_KEY_WORDS * 4);
	name_iface(f);
	return f;
}

/* Adds one CPU's counts to a flow. old is the way in the previous reading, or NULL. */
static void add_way(struct flow *f, const struct shunt_flow_counter *way,
		    const struct shunt_flow_counter *old, double seconds)
{
	__u64 packets = way->packets, bytes = way->bytes;

	f->counter.packets += packets;
	f->counter.bytes += bytes;
	if (way->last > f->counter.last)
		f->counter.last = way->last;
	/* Smaller counts than before mean that the flow lost its way and got another since. */
	if (old && old->packets <= packets && old->bytes <= bytes) {
		packets -= old->packets;
		bytes -= old->bytes;
	}
	f->packet_rate += packets / seconds;
	f->byte_rate += bytes / seconds;
}

/* Adds the flows of one bucket of one CPU. */
static int merge_bucket(struct flow_reader *reader, struct flows *flows, size_t first,
			unsigned int bucket)
{
	const struct shunt_bucket *b = &reader->now.buckets[bucket];
	double seconds = reader->now.at - reader->before.at;
	const struct shunt_flow_counter *way;
	struct flow *f;
	unsigned int i;

	for (i = 0; i < SHUNT_WAYS; i++) {
		if (!b->tag[i])
			continue;
		way = &reader->now.ways[bucket * SHUNT_WAYS + i];
		f = find_or_add(flows, first, way);
		if (!f)
			return -ENOMEM;
		add_way(f, way, find_way(&reader->before, bucket, way), seconds);
		if (b->steered & 1 << i)
			f->labels |= LABEL_STEERED;
	}
	return 0;
}

/* Adds the flows of bucket number at of all CPUs: a flow has the same number on each CPU. */
static int merge(struct flow_reader *reader, struct flows *flows, unsigned int at)
{
	__u64 packets = 0, bytes = 0;
	size_t i, first = flows->n;
	unsigned int bucket;

	for (bucket = at; bucket < reader->n; bucket += SHUNT_BUCKETS) {
		packets += reader->now.buckets[bucket].missed_packets;
		bytes += reader->now.buckets[bucket].missed_bytes;
		if (merge_bucket(reader, flows, first, bucket))
			return -ENOMEM;
	}
	for (i = first; i < flows->n; i++) {
		flows->list[i].missed_packets = packets;
		flows->list[i].missed_bytes = bytes;
	}
	return 0;
}

int flow_reader_read(struct flow_reader *reader, struct flows *flows)
{
	unsigned int i;
	int error = 0;

	read_all(reader);
	memset(ifaces, 0, sizeof(ifaces));
	flows->n = 0;
	for (i = 0; i < SHUNT_BUCKETS && !error; i++)
		error = merge(reader, flows, i);
	return error;
}

/* A way that was given to another flow meanwhile is missing in the sum, which may then be
 * smaller than before. */
static double rate(__u64 new, __u64 old, const struct flow_reader *reader)
{
	double seconds = reader->now.at - reader->before.at;

	return new > old &&seconds > 0 ? (new - old) / seconds : 0;
}

double flow_reader_byte_rate(const struct flow_reader *reader)
{
	return rate(reader->now.sum.bytes, reader->before.sum.bytes, reader);
}

double flow_reader_packet_rate(const struct flow_reader *reader)
{
	return rate(reader->now.sum.packets, reader->before.sum.packets, reader);
}
