// SPDX-License-Identifier: GPL-2.0-only
#include "flows/flow_labels.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "bpf/pins.h"
#include "bypass/pairs.h"
#include "util/array.h"
#include "util/cleanup.h"

/* A flow at any interface, with its labels. */
struct tuple {
	__u8 src[16];
	__u8 dst[16];
	__u16 sport;
	__u16 dport;
	__u8 family;
	__u8 proto;
	__u16 labels;
};

#define TUPLE_KEY offsetof(struct tuple, labels)

/* The redirected messages and bytes of one end at the last reading. */
struct sent {
	__u64 cookie;
	__u64 packets;
	__u64 bytes;
};

struct flow_labels {
	struct tuple *tuples;
	size_t n;
	size_t room;
	struct sent *sent;
	size_t n_sent;
};

struct flow_labels *flow_labels_new(void)
{
	return calloc(1, sizeof(struct flow_labels));
}

void flow_labels_free(struct flow_labels *l)
{
	if (!l)
		return;
	free(l->tuples);
	free(l->sent);
	free(l);
}

/* Adds the flow's tuple; with back, the tuple of the other direction. */
static int add_tuple(struct flow_labels *l, const struct shunt_flow_counter *counter, bool back,
		     unsigned int labels)
{
	size_t room = l->room ? l->room * 2 : 256;
	struct tuple *t;

	if (l->n == l->room) {
		t = realloc(l->tuples, room * sizeof(*t));
		if (!t)
			return -ENOMEM;
		l->tuples = t;
		l->room = room;
	}
	t = &l->tuples[l->n++];
	memcpy(t->src, back ? counter->dst : counter->src, sizeof(t->src));
	memcpy(t->dst, back ? counter->src : counter->dst, sizeof(t->dst));
	t->sport = back ? counter->dport : counter->sport;
	t->dport = back ? counter->sport : counter->dport;
	t->family = counter->family;
	t->proto = counter->proto;
	t->labels = labels;
	return 0;
}

/* Only incoming packets carry steering's fwmark. The flows of their answers get the label by
 * these tuples. */
static int add_steered(struct flow_labels *l, const struct flows *flows)
{
	size_t i;

	for (i = 0; i < flows->n; i++)
		if (flows->list[i].labels & LABEL_STEERED &&
		    add_tuple(l, &flows->list[i].counter, true, LABEL_STEERED))
			return -ENOMEM;
	return 0;
}

static int compare_sent(const void *va, const void *vb)
{
	const struct sent *a = va, *b = vb;

	return a->cookie < b->cookie ? -1 : a->cookie > b->cookie;
}

static int add_sender(struct flow_labels *l, struct flows *flows, const struct shunt_row *r,
		      double seconds)
{
	const struct sent key = { .cookie = r->sk.cookie }, *old = NULL;
	struct flow *f = flows_add(flows);

	if (!f)
		return -ENOMEM;
	memcpy(f->counter.src, r->local, sizeof(f->counter.src));
	memcpy(f->counter.dst, r->remote, sizeof(f->counter.dst));
	f->counter.sport = r->local_port;
	f->counter.dport = r->remote_port;
	f->counter.family = r->family;
	f->counter.proto = IPPROTO_TCP;
	f->counter.packets = r->sk.redirected_msgs;
	f->counter.bytes = r->sk.redirected_bytes;
	f->labels = LABEL_BYPASSED;
	if (l->n_sent)
		old = search_array(&key, l->sent, l->n_sent, sizeof(key), compare_sent);
	if (seconds > 0) {
		f->packet_rate = (f->counter.packets - (old ? old->packets : 0)) / seconds;
		f->byte_rate = (f->counter.bytes - (old ? old->bytes : 0)) / seconds;
	}
	if (add_tuple(l, &f->counter, false, LABEL_BYPASSED))
		return -ENOMEM;
	return add_tuple(l, &f->counter, true, LABEL_BYPASSED);
}

static int keep_sent(struct flow_labels *l, const struct shunt_row *rows, size_t n)
{
	struct sent *sent = calloc(n ? n : 1, sizeof(*sent));
	size_t i;

	if (!sent)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		sent[i] = (struct sent){ rows[i].sk.cookie, rows[i].sk.redirected_msgs,
					 rows[i].sk.redirected_bytes };
	sort_array(sent, n, sizeof(*sent), compare_sent);
	free(l->sent);
	l->sent = sent;
	l->n_sent = n;
	return 0;
}

static int add_bypassed(struct flow_labels *l, struct flows *flows, double seconds)
{
	_cleanup_free_ struct shunt_row *rows = NULL;
	size_t i, n = 0;
	int error = 0;

	if (bypass_read(&rows, &n))
		n = 0; /* not loaded */
	for (i = 0; i < n && !error; i++)
		if (rows[i].sk.redirected_msgs)
			error = add_sender(l, flows, &rows[i], seconds);
	return error ? error : keep_sent(l, rows, n);
}

static int compare_tuples(const void *a, const void *b)
{
	return memcmp(a, b, TUPLE_KEY);
}

/* Merges the labels of equal tuples into the first one. */
static void sort_tuples(struct flow_labels *l)
{
	size_t i, kept = 0;

	sort_array(l->tuples, l->n, sizeof(*l->tuples), compare_tuples);
	for (i = 0; i < l->n; i++)
		if (kept && !compare_tuples(&l->tuples[kept - 1], &l->tuples[i]))
			l->tuples[kept - 1].labels |= l->tuples[i].labels;
		else
			l->tuples[kept++] = l->tuples[i];
	l->n = kept;
}

static unsigned int labels_of(const struct flow_labels *l, const struct shunt_flow_counter *counter)
{
	struct tuple key = {
		.sport = counter->sport,
		.dport = counter->dport,
		.family = counter->family,
		.proto = counter->proto,
	};
	const struct tuple *t;

	memcpy(key.src, counter->src, sizeof(key.src));
	memcpy(key.dst, counter->dst, sizeof(key.dst));
	t = search_array(&key, l->tuples, l->n, sizeof(key), compare_tuples);
	return t ? t->labels : 0;
}

/* Whether NAT translates the flow. The monitor sees packets that leave before their translation,
 * and replies after theirs. */
static bool has_nat_flow(int nat, const struct shunt_flow_counter *counter)
{
	bool in = counter->direction == SHUNT_IN;
	struct shunt_nat_key key = {
		.sport = in ? counter->dport : counter->sport,
		.dport = in ? counter->sport : counter->dport,
		.family = counter->family,
		.proto = counter->proto,
		.direction = NAT_DIR_ORIGINAL,
	};
	struct shunt_nat_flow flow;

	memcpy(key.src, in ? counter->dst : counter->src, sizeof(key.src));
	memcpy(key.dst, in ? counter->src : counter->dst, sizeof(key.dst));
	return !bpf_map_lookup_elem(nat, &key, &flow) && flow.forward_action != NAT_UNTRANSLATED;
}

static void label_translated(struct flows *flows)
{
	_cleanup_fd_ int nat = pin_open(HALF_NAT, "maps", "shunt_nat_flows");
	size_t i;

	for (i = 0; nat >= 0 && i < flows->n; i++)
		if (flows->list[i].counter.sport && has_nat_flow(nat, &flows->list[i].counter))
			flows->list[i].labels |= LABEL_NAT;
}

int flow_labels_add(struct flow_labels *l, struct flows *flows, double seconds)
{
	int error;
	size_t i;

	l->n = 0;
	error = add_steered(l, flows);
	if (error)
		return error;
	error = add_bypassed(l, flows, seconds);
	if (error)
		return error;
	label_translated(flows);
	if (!l->n)
		return 0;
	sort_tuples(l);
	for (i = 0; i < flows->n; i++)
		flows->list[i].labels |= labels_of(l, &flows->list[i].counter);
	return 0;
}
