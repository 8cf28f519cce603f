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

/* A flow, whichever interface it crosses. */
struct tuple {
	__u8 src[16];
	__u8 dst[16];
	__u16 sport;
	__u16 dport;
	__u8 family;
	__u8 proto;
	__u16 mark;
};

#define TUPLE_KEY offsetof(struct tuple, mark)

/* What one end had sent at the last reading. */
struct sent {
	__u64 cookie;
	__u64 packets;
	__u64 bytes;
};

struct marks {
	struct tuple *tuples;
	size_t n;
	size_t room;
	struct sent *sent;
	size_t n_sent;
};

struct marks *marks_new(void)
{
	return calloc(1, sizeof(struct marks));
}

void marks_free(struct marks *m)
{
	if (!m)
		return;
	free(m->tuples);
	free(m->sent);
	free(m);
}

/* From src to dst, or the way back. */
static int add_tuple(struct marks *m, const struct shunt_seen *s, bool back, enum mark mark)
{
	struct tuple *t;

	if (m->n == m->room) {
		m->room = m->room ? m->room * 2 : 256;
		t = realloc(m->tuples, m->room * sizeof(*t));
		if (!t)
			return -ENOMEM;
		m->tuples = t;
	}
	t = &m->tuples[m->n++];
	memcpy(t->src, back ? s->dst : s->src, sizeof(t->src));
	memcpy(t->dst, back ? s->src : s->dst, sizeof(t->dst));
	t->sport = back ? s->dport : s->sport;
	t->dport = back ? s->sport : s->dport;
	t->family = s->family;
	t->proto = s->proto;
	t->mark = mark;
	return 0;
}

/* Only what arrives carries steering's mark; the answers are told by it. */
static int add_steered(struct marks *m, const struct flows *flows)
{
	size_t i;

	for (i = 0; i < flows->n; i++)
		if (flows->list[i].marks & MARK_STEERED &&
		    add_tuple(m, &flows->list[i].seen, true, MARK_STEERED))
			return -ENOMEM;
	return 0;
}

static int compare_sent(const void *va, const void *vb)
{
	const struct sent *a = va, *b = vb;

	return a->cookie < b->cookie ? -1 : a->cookie > b->cookie;
}

static int add_sender(struct marks *m, struct flows *flows, const struct shunt_row *r,
		      double seconds)
{
	const struct sent key = { .cookie = r->sk.cookie }, *old = NULL;
	struct flow *f = flows_add(flows);

	if (!f)
		return -ENOMEM;
	memcpy(f->seen.src, r->local, sizeof(f->seen.src));
	memcpy(f->seen.dst, r->remote, sizeof(f->seen.dst));
	f->seen.sport = r->local_port;
	f->seen.dport = r->remote_port;
	f->seen.family = r->family;
	f->seen.proto = IPPROTO_TCP;
	f->seen.packets = r->sk.redirected_msgs;
	f->seen.bytes = r->sk.redirected_bytes;
	f->marks = MARK_BYPASSED;
	if (m->n_sent)
		old = search_array(&key, m->sent, m->n_sent, sizeof(key), compare_sent);
	if (seconds > 0) {
		f->packet_rate = (f->seen.packets - (old ? old->packets : 0)) / seconds;
		f->byte_rate = (f->seen.bytes - (old ? old->bytes : 0)) / seconds;
	}
	if (add_tuple(m, &f->seen, false, MARK_BYPASSED))
		return -ENOMEM;
	return add_tuple(m, &f->seen, true, MARK_BYPASSED);
}

static int keep_sent(struct marks *m, const struct shunt_row *rows, size_t n)
{
	struct sent *sent = calloc(n ? n : 1, sizeof(*sent));
	size_t i;

	if (!sent)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		sent[i] = (struct sent){ rows[i].sk.cookie, rows[i].sk.redirected_msgs,
					 rows[i].sk.redirected_bytes };
	sort_array(sent, n, sizeof(*sent), compare_sent);
	free(m->sent);
	m->sent = sent;
	m->n_sent = n;
	return 0;
}

static int add_bypassed(struct marks *m, struct flows *flows, double seconds)
{
	_cleanup_free_ struct shunt_row *rows = NULL;
	size_t i, n = 0;
	int error = 0;

	if (bypass_read(&rows, &n))
		n = 0; /* not loaded */
	for (i = 0; i < n && !error; i++)
		if (rows[i].sk.redirected_msgs)
			error = add_sender(m, flows, &rows[i], seconds);
	return error ? error : keep_sent(m, rows, n);
}

static int compare_tuples(const void *a, const void *b)
{
	return memcmp(a, b, TUPLE_KEY);
}

/* The marks of all tuples that are the same come together in the first one. */
static void sort_tuples(struct marks *m)
{
	size_t i, kept = 0;

	sort_array(m->tuples, m->n, sizeof(*m->tuples), compare_tuples);
	for (i = 0; i < m->n; i++)
		if (kept && !compare_tuples(&m->tuples[kept - 1], &m->tuples[i]))
			m->tuples[kept - 1].mark |= m->tuples[i].mark;
		else
			m->tuples[kept++] = m->tuples[i];
	m->n = kept;
}

static unsigned int marks_of(const struct marks *m, const struct shunt_seen *s)
{
	struct tuple key = {
		.sport = s->sport, .dport = s->dport, .family = s->family, .proto = s->proto,
	};
	const struct tuple *t;

	memcpy(key.src, s->src, sizeof(key.src));
	memcpy(key.dst, s->dst, sizeof(key.dst));
	t = search_array(&key, m->tuples, m->n, sizeof(key), compare_tuples);
	return t ? t->mark : 0;
}

/* The monitor sees the addresses that this host knows: those of a packet out
 * before NAT, and of an answer after it. */
static bool is_translated(int nat, const struct shunt_seen *s)
{
	bool in = s->direction == SHUNT_IN;
	struct shunt_nat_key key = {
		.sport = in ? s->dport : s->sport, .dport = in ? s->sport : s->dport,
		.family = s->family, .proto = s->proto, .direction = NAT_OUT,
	};
	struct shunt_nat_flow flow;

	memcpy(key.src, in ? s->dst : s->src, sizeof(key.src));
	memcpy(key.dst, in ? s->src : s->dst, sizeof(key.dst));
	return !bpf_map_lookup_elem(nat, &key, &flow) && flow.how != NAT_STRAIGHT;
}

static void mark_translated(struct flows *flows)
{
	_cleanup_fd_ int nat = pin_open("maps", "shunt_nat_flows");
	size_t i;

	for (i = 0; nat >= 0 && i < flows->n; i++)
		if (flows->list[i].seen.sport && is_translated(nat, &flows->list[i].seen))
			flows->list[i].marks |= MARK_NAT;
}

int marks_add(struct marks *m, struct flows *flows, double seconds)
{
	int error;
	size_t i;

	m->n = 0;
	error = add_steered(m, flows);
	if (!error)
		error = add_bypassed(m, flows, seconds);
	if (error)
		return error;
	mark_translated(flows);
	if (!m->n)
		return 0;
	sort_tuples(m);
	for (i = 0; i < flows->n; i++)
		flows->list[i].marks |= marks_of(m, &flows->list[i].seen);
	return 0;
}
