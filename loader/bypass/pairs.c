// SPDX-License-Identifier: GPL-2.0-only
#include "bypass/pairs.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>

#include <shunt/pair_ends.h>

#include "bpf/pins.h"
#include "bypass/iterators.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/log.h"

static __u64 pair_id(const struct shunt_row *r)
{
	return r->sk.cookie < r->sk.peer_cookie ? r->sk.cookie : r->sk.peer_cookie;
}

bool bypass_same_pair(const struct shunt_row *a, const struct shunt_row *b)
{
	return a->sk.cookie == b->sk.peer_cookie && b->sk.cookie == a->sk.peer_cookie;
}

const struct shunt_pair *bypass_pair(const struct shunt_row *r)
{
	static const struct shunt_pair *pairs;

	if (!r->sk.slot || r->sk.slot >= SHUNT_PAIRS)
		return NULL;
	if (!pairs)
		pairs = pin_mmap(HALF_BYPASS, "shunt_pairs", NULL);
	if (!pairs || own_end(&pairs[r->sk.slot], &r->sk)->cookie != r->sk.cookie)
		return NULL;
	return &pairs[r->sk.slot];
}

/* The reason of an ACTIVE pair under 'proven'. */
static enum shunt_why active_reason(void)
{
	static const struct shunt_conf *conf;

	if (!conf)
		conf = pin_mmap(HALF_BYPASS, "shunt_conf", NULL);
	return conf && !supervisor_has_heartbeat(conf) ? WHY_UNSUPERVISED : WHY_REDIRECTED;
}

/* The reason of a pair that has no entry. */
static enum shunt_why plain_reason(const struct shunt_row *a, const struct shunt_row *b)
{
	if (a->sk.why == WHY_NO_ENTRY || (b && b->sk.why == WHY_NO_ENTRY))
		return WHY_NO_ENTRY;
	return a->sk.why == WHY_TOO_FEW_EXCHANGES ? WHY_TOO_FEW_EXCHANGES : WHY_NOT_BUSY;
}

/* The state and the reason of an open pair under 'proven'. */
static enum pair_state proven_state(const struct shunt_row *a, const struct shunt_row *b,
				    unsigned int *ret_why)
{
	const struct shunt_pair *p = bypass_pair(a);

	*ret_why = plain_reason(a, b);
	switch (p ? p->stage : STAGE_FREE) {
	case STAGE_WATCHED:
		*ret_why = WHY_WATCHED;
		return PAIR_WATCHED;
	case STAGE_JOINING:
		*ret_why = WHY_JOINING;
		return PAIR_JOINING;
	case STAGE_ACTIVE:
		*ret_why = active_reason();
		return PAIR_ACTIVE;
	case STAGE_LEAVING:
	case STAGE_EMPTYING:
		*ret_why = p->why;
		return PAIR_LEAVING;
	case STAGE_WAITING:
		*ret_why = p->why;
		return PAIR_PLAIN;
	}
	return PAIR_PLAIN;
}

enum pair_state bypass_state(const struct shunt_row *a, const struct shunt_row *b,
			     unsigned int *ret_why)
{
	if (a->state != TCP_ESTABLISHED || (a->sk.eager && !b)) {
		*ret_why = WHY_PEER_ABSENT;
		return PAIR_CLOSING;
	}
	if (a->sk.eager) {
		*ret_why = WHY_REDIRECTED;
		return a->member && b->member ? PAIR_ACTIVE : PAIR_PLAIN;
	}
	return proven_state(a, b, ret_why);
}

const char *pair_state_name(enum pair_state state)
{
	static const char *const names[] = {
		[PAIR_PLAIN] = "plain",   [PAIR_WATCHED] = "watched", [PAIR_JOINING] = "joining",
		[PAIR_ACTIVE] = "active", [PAIR_LEAVING] = "leaving", [PAIR_CLOSING] = "closing",
	};

	return names[state];
}

static int compare_rows(const void *va, const void *vb)
{
	const struct shunt_row *a = va, *b = vb;

	if (pair_id(a) != pair_id(b))
		return pair_id(a) < pair_id(b) ? -1 : 1;
	if (a->sk.is_client != b->sk.is_client)
		return b->sk.is_client - a->sk.is_client;
	return a->sk.cookie < b->sk.cookie ? -1 : a->sk.cookie > b->sk.cookie;
}

/*
 * Sorts the rows and removes two kinds of them. Closed sockets: the kernel may free a socket's
 * memory much later. Second rows of a socket: with several descriptors it can have several.
 * Returns how many rows are left.
 */
static size_t sort_rows(struct shunt_row *rows, size_t n)
{
	size_t i, open = 0, kept = 0;

	for (i = 0; i < n; i++)
		if (rows[i].state != TCP_CLOSE)
			rows[open++] = rows[i];
	if (open)
		sort_array(rows, open, sizeof(*rows), compare_rows);
	for (i = 0; i < open; i++)
		if (!kept || rows[kept - 1].sk.cookie != rows[i].sk.cookie)
			rows[kept++] = rows[i];
	return kept;
}

bool bypass_is_loaded(void)
{
	_cleanup_fd_ int fd = pin_open(HALF_BYPASS, "progs", "shunt_wakeup");

	return fd >= 0;
}

int bypass_read(struct shunt_row **ret, size_t *ret_n)
{
	int error = iter_run_once(HALF_BYPASS, "shunt_list", "shunt_sk", ret, ret_n);

	if (error)
		return error;
	*ret_n = sort_rows(*ret, *ret_n);
	return 0;
}

int bypass_list(struct shunt_row **ret, size_t *ret_n)
{
	int error = bypass_read(ret, ret_n);

	return error ? fail(error, "can't list the paired sockets") : 0;
}

int bypass_list_all(struct shunt_row **ret, size_t *ret_n)
{
	_cleanup_free_ struct shunt_row *rows = NULL;
	size_t n = 0;
	int error;

	error = iter_run_once(HALF_BYPASS, "shunt_list", "shunt_sk", &rows, &n);
	if (error)
		return fail(error, "can't list the paired sockets");
	error = iter_all_netns(HALF_BYPASS, "shunt_list_pending", &rows, &n);
	if (error)
		return fail(error, "can't list the paired sockets");
	*ret_n = sort_rows(rows, n);
	*ret = rows;
	rows = NULL;
	return 0;
}

const char *endpoint_text(char text[ENDPOINT_TEXT], unsigned int family, const __u8 *addr,
			  unsigned int port)
{
	char a[INET6_ADDRSTRLEN];

	if (!inet_ntop(family, addr, a, sizeof(a)))
		snprintf(a, sizeof(a), "?");
	snprintf(text, ENDPOINT_TEXT, family == AF_INET6 ? "[%s]:%u" : "%s:%u", a, port);
	return text;
}
