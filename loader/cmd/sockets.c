// SPDX-License-Identifier: GPL-2.0-only
/* shunt sockets: every pair, what it did, and why it does what it does. */
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

/* One connection; an end that is closed already is NULL. */
struct pair {
	const struct shunt_row *client;
	const struct shunt_row *server;
};

static void names(const struct pair *p, char client[ENDPOINT_TEXT], char server[ENDPOINT_TEXT])
{
	const struct shunt_row *r = p->client ? p->client : p->server;
	char *local = p->client ? client : server, *remote = p->client ? server : client;

	endpoint_text(local, r->family, r->local, r->local_port);
	endpoint_text(remote, r->family, r->remote, r->remote_port);
}

static const char *state(const struct pair *p, unsigned int *ret_why)
{
	const struct shunt_row *one = p->client ? p->client : p->server;

	return bypass_state(one, p->client ? p->server : NULL, ret_why);
}

static bool has_sent(const struct shunt_row *r)
{
	return r->sk.redirected_msgs || r->sk.passed_msgs;
}

static const char *why(const struct shunt_row *r)
{
	return has_sent(r) ? why_text(r->sk.why) : "nothing sent on the fast path";
}

/* Of a plain pair only the server's end may be known. */
static void json_direction(const char *name, const struct shunt_row *from,
			   const struct shunt_row *to, bool closing)
{
	static const struct shunt_row none;
	const struct shunt_row *r = from ? from : &none;

	json_open_in(stdout, name, '{');
	json_number(stdout, "redirected_bytes", r->sk.redirected_bytes);
	json_number(stdout, "redirected_messages", r->sk.redirected_msgs);
	json_number(stdout, "passed_bytes", r->sk.passed_bytes);
	json_number(stdout, "passed_messages", r->sk.passed_msgs);
	json_string(stdout, "why", !from && closing ? "closed" : why(r));
	json_number(stdout, "queued_bytes", to ? to->queued : 0);
	json_close(stdout, '}');
}

static const char *const end_names[2] = { "client", "server" };

/* The processes that were seen to receive, and whose fault the reason is. */
static void json_readers(const struct shunt_row *any, unsigned int reason)
{
	const struct shunt_pair *entry = bypass_pair(any);
	int i;

	for (i = 0; entry && i < 2; i++) {
		if (!entry->end[i].tgid)
			continue;
		json_open_in(stdout, i ? "server_process" : "client_process", '{');
		json_number(stdout, "pid", entry->end[i].tgid);
		json_string(stdout, "name", entry->end[i].comm);
		json_close(stdout, '}');
	}
	for (i = 0; entry && i < 2; i++)
		if (reason && entry->end[i].fault == reason) {
			json_string(stdout, "end", end_names[i]);
			break;
		}
}

/* A process may call itself anything. */
static void print_name(const char *comm)
{
	char name[SHUNT_COMM + 1] = "";

	memcpy(name, comm, SHUNT_COMM);
	fputs(plain(name), stdout);
}

/* " (client: wrk, pid 17)" */
static void print_reader(const struct shunt_row *any, unsigned int reason)
{
	const struct shunt_pair *entry = bypass_pair(any);
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
	const struct shunt_row *any = p->client ? p->client : p->server;
	unsigned int reason;
	const char *stage = state(p, &reason);
	bool closing = !strcmp(stage, "closing");

	names(p, client, server);
	json_open(stdout, '{');
	json_string(stdout, "client", client);
	json_string(stdout, "server", server);
	json_string(stdout, "state", stage);
	json_string(stdout, "why", why_text(reason));
	json_string(stdout, "admit", any->sk.eager ? "eager" : "proven");
	json_readers(any, reason);
	json_direction("to_server", p->client, p->server, closing);
	json_direction("to_client", p->server, p->client, closing);
	json_close(stdout, '}');
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
	       why(from));
}

static void print_text(const struct pair *p)
{
	const struct shunt_row *any = p->client ? p->client : p->server;
	char client[ENDPOINT_TEXT], server[ENDPOINT_TEXT];
	unsigned int reason;
	const char *stage = state(p, &reason);

	names(p, client, server);
	printf("%s <-> %s %s (%s): %s", client, server, stage, any->sk.eager ? "eager" : "proven",
	       why_text(reason));
	print_reader(any, reason);
	printf("\n");
	print_direction("->", p->client, p->server);
	print_direction("<-", p->server, p->client);
}

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

int cmd_sockets(int argc, char **argv)
{
	_cleanup_free_ struct shunt_row *rows = NULL;
	_cleanup_lock_ int lock = -1;
	size_t n = 0;
	int error;

	if (argc == 2 && !strcmp(argv[1], "help")) {
		printf("usage: shunt sockets\n\n"
		       "One connection each, the connecting end first: where it is on its way to the fast\n"
		       "path, and why. Of those that have been there, in both directions: bytes and\n"
		       "messages bypassed and, while there, passed to TCP, bytes queued, and why the last\n"
		       "message went the way it did. Excluded connections and those to other hosts are\n"
		       "not listed.\n");
		return 0;
	}
	if (argc > 1)
		return refuse("sockets: unknown word '%s'", argv[1]);
	lock = pins_look();
	if (lock == -ENOENT)
		return not_loaded();
	if (lock < 0)
		return lock;
	if (!bypass_is_loaded())
		return deny(-ENOENT, "the bypass is not loaded; unload, and give 'shunt load' --cgroup, too");
	error = bypass_list_all(&rows, &n);
	if (error)
		return error;
	if (opt.json)
		json_open(stdout, '[');
	print_pairs(rows, n);
	if (opt.json)
		json_close(stdout, ']');
	return 0;
}
