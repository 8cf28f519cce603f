// SPDX-License-Identifier: GPL-2.0-only
/* shunt sockets: prints each pair, its state, the reason for it, and what it has sent. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "bpf/pins.h"
#include "bypass/pairs.h"
#include "cmd/command.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "util/options.h"
#include "util/text.h"

#define ULL(x) ((unsigned long long)(x))

/* One connection. An end is NULL if it is closed or has no storage. */
struct pair {
	const struct shunt_row *client;
	const struct shunt_row *server;
};

/* An end that is known. Either end has both addresses. */
static const struct shunt_row *known_end(const struct pair *p)
{
	return p->client ? p->client : p->server;
}

static void endpoint_names(const struct pair *p, char client[ENDPOINT_TEXT],
			   char server[ENDPOINT_TEXT])
{
	const struct shunt_row *r = known_end(p);
	char *local = p->client ? client : server, *remote = p->client ? server : client;

	endpoint_text(local, r->family, r->local, r->local_port);
	endpoint_text(remote, r->family, r->remote, r->remote_port);
}

static enum pair_state state_of(const struct pair *p, unsigned int *ret_why)
{
	return bypass_state(known_end(p), p->client ? p->server : NULL, ret_why);
}

static bool has_sent(const struct shunt_row *r)
{
	return r->sk.redirected_msgs || r->sk.passed_msgs;
}

static const char *last_reason(const struct shunt_row *r)
{
	return has_sent(r) ? why_text(r->sk.why) : "nothing sent on the fast path";
}

/* Prints what one end has sent to the other. `from` or `to` may be NULL: a pair that stays on TCP
 * may have only the server's end. */
static void json_direction(const char *name, const struct shunt_row *from,
			   const struct shunt_row *to, bool closing)
{
	static const struct shunt_row none;
	const struct shunt_row *r = from ? from : &none;

	json_open_in(&json_stdout, name, '{');
	json_number(&json_stdout, "redirected_bytes", r->sk.redirected_bytes);
	json_number(&json_stdout, "redirected_messages", r->sk.redirected_msgs);
	json_number(&json_stdout, "passed_bytes", r->sk.passed_bytes);
	json_number(&json_stdout, "passed_messages", r->sk.passed_msgs);
	json_string(&json_stdout, "why", !from && closing ? "closed" : last_reason(r));
	json_number(&json_stdout, "queued_bytes", to ? to->queued : 0);
	json_close(&json_stdout, '}');
}

static const char *const end_names[2] = { "client", "server" };

/* The processes that receive, and the end that the reason comes from. */
static void json_readers(const struct pair *p, unsigned int reason)
{
	const struct shunt_pair *entry = bypass_pair(known_end(p));
	int i;

	for (i = 0; entry && i < 2; i++) {
		if (!entry->end[i].tgid)
			continue;
		json_open_in(&json_stdout, i ? "server_process" : "client_process", '{');
		json_number(&json_stdout, "pid", entry->end[i].tgid);
		json_string(&json_stdout, "name", entry->end[i].comm);
		json_close(&json_stdout, '}');
	}
	for (i = 0; entry && i < 2; i++)
		if (reason && entry->end[i].fault == reason) {
			json_string(&json_stdout, "end", end_names[i]);
			break;
		}
}

/* Prints the name of a process, which may contain any bytes. */
static void print_name(const char *comm)
{
	char name[SHUNT_COMM + 1] = "";

	memcpy(name, comm, SHUNT_COMM);
	fputs(printable(name), stdout);
}

/* The end that the reason comes from, if one end is known for it: " (client: wrk, pid 17)". */
static void print_reader(const struct pair *p, unsigned int reason)
{
	const struct shunt_pair *entry = bypass_pair(known_end(p));
	int i;

	for (i = 0; entry && i < 2; i++) {
		const struct shunt_end *e = &entry->end[i];

		if (!reason || e->fault != reason)
			continue;
		printf(" (%s", end_names[i]);
		if (e->tgid) {
			printf(": ");
			print_name(e->comm);
			printf(", pid %u", e->tgid);
		}
		printf(")");
		return;
	}
}

static void print_json(const struct pair *p)
{
	char client[ENDPOINT_TEXT], server[ENDPOINT_TEXT];
	unsigned int reason;
	enum pair_state state = state_of(p, &reason);
	bool closing = state == PAIR_CLOSING;

	endpoint_names(p, client, server);
	json_open(&json_stdout, '{');
	json_string(&json_stdout, "client", client);
	json_string(&json_stdout, "server", server);
	json_string(&json_stdout, "state", pair_state_name(state));
	json_string(&json_stdout, "why", why_text(reason));
	json_string(&json_stdout, "admit", known_end(p)->sk.eager ? "eager" : "proven");
	json_readers(p, reason);
	json_direction("to_server", p->client, p->server, closing);
	json_direction("to_client", p->server, p->client, closing);
	json_close(&json_stdout, '}');
}

static void print_direction(const char *arrow, const struct shunt_row *from,
			    const struct shunt_row *to)
{
	if (!from || !has_sent(from)) {
		if (!from && to && to->queued)
			printf("  %s closed; %llu bytes wait to be read\n", arrow, ULL(to->queued));
		return;
	}
	printf("  %s bypassed %llu in %llu, passed %llu in %llu, queued %llu; last: %s\n", arrow,
	       ULL(from->sk.redirected_bytes), ULL(from->sk.redirected_msgs),
	       ULL(from->sk.passed_bytes), ULL(from->sk.passed_msgs), ULL(to ? to->queued : 0),
	       last_reason(from));
}

static void print_text(const struct pair *p)
{
	char client[ENDPOINT_TEXT], server[ENDPOINT_TEXT];
	unsigned int reason;
	enum pair_state state = state_of(p, &reason);

	endpoint_names(p, client, server);
	printf("%s <-> %s %s (%s): %s", client, server, pair_state_name(state),
	       known_end(p)->sk.eager ? "eager" : "proven", why_text(reason));
	print_reader(p, reason);
	printf("\n");
	print_direction("->", p->client, p->server);
	print_direction("<-", p->server, p->client);
}

/* The rows are sorted so that the ends of a pair are neighbours, the client first. */
static void print_pairs(const struct shunt_row *rows, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		struct pair p = {};

		if (rows[i].sk.is_client)
			p.client = &rows[i];
		else
			p.server = &rows[i];
		if (p.client && i + 1 < n && bypass_same_pair(&rows[i], &rows[i + 1]))
			p.server = &rows[++i];
		if (opt.json)
			print_json(&p);
		else
			print_text(&p);
	}
}

static void print_usage(void)
{
	printf("usage: shunt sockets\n\n"
	       "Prints each pair of sockets, the connecting end first, with its state and the reason\n"
	       "for it. For pairs that have been on the fast path it prints, in each direction, the\n"
	       "bytes and messages that were bypassed, those that went by TCP meanwhile, the bytes\n"
	       "queued, and why the last message went by the fast path or by TCP. Excluded\n"
	       "connections and those to other hosts are not listed.\n");
}

int cmd_sockets(int argc, char **argv)
{
	_cleanup_free_ struct shunt_row *rows = NULL;
	_cleanup_lock_ int lock = -1;
	size_t n = 0;
	int error;

	if (argc == 2 && !strcmp(argv[1], "help")) {
		print_usage();
		return 0;
	}
	if (argc > 1)
		return refuse("sockets: unknown word '%s'", argv[1]);
	lock = pins_lock_or_continue();
	if (lock == -ENOENT)
		return report_not_loaded();
	if (lock < 0)
		return lock;
	if (!bypass_is_loaded())
		return deny(-ENOENT,
			    "the bypass is not loaded; unload, and give 'shunt load' --cgroup, too");
	error = bypass_list_all(&rows, &n);
	if (error)
		return error;
	if (opt.json)
		json_open(&json_stdout, '[');
	print_pairs(rows, n);
	if (opt.json)
		json_close(&json_stdout, ']');
	return 0;
}
