// SPDX-License-Identifier: GPL-2.0-only
/* Faults that the torture finds, and the lines that tell of them. */
#include "torture.h"

const char *const wait_names[WAITS] = {
	"epoll", "edge", "edge-short", "poll", "select", "block", "timeout", "late-block",
};

const char *const read_names[READS] = {
	"recv",     "read",     "peek",    "small", "shrink", "recvmsg",     "readv",
	"recvmmsg", "dontwait", "waitall", "lowat", "splice", "late-splice", "fionread",
};

static void print_side(const struct slot *slot, int who)
{
	const struct side *d = &slot->side[who];

	printf(" %s %s/%s port %u sent %lu of %lu got %lu%s%s, %s;", who ? "server" : "client",
	       wait_names[d->manner.wait], read_names[d->manner.read], d->port, d->sent, d->may,
	       d->got, d->shut ? " shut" : "", d->eof ? " eof" : "", d->doing ? d->doing : "-");
}

void print_slot(const struct slot *slot, const char *what)
{
	flockfile(stdout);
	printf("%s: slot %ld connection %lu kind %d %s:", what, (long)(slot - shared->slot),
	       slot->side[0].number, slot->script.kind, slot->script.family);
	print_side(slot, 0);
	print_side(slot, 1);
	printf(" seed %lu\n", seed);
	fflush(stdout);
	funlockfile(stdout);
}

void fault(struct end *e, const char *what, int error)
{
	char text[160];

	snprintf(text, sizeof(text), "wrong: %s at the %s%s%s", what, e->who ? "server" : "client",
		 error ? ": " : "", error ? strerror(error) : "");
	print_slot(e->slot, text);
	ADD(wrong, 1);
	e->over = true;
	__atomic_store_n(&e->slot->cut, e->s.number, __ATOMIC_SEQ_CST);
}

bool was_cut(const struct end *e)
{
	return __atomic_load_n(&e->slot->cut, __ATOMIC_SEQ_CST) == e->s.number;
}

void broken(struct end *e, const char *call, int error)
{
	if (error == ECONNABORTED && late)
		ADD(aborted, 1);
	else if (!was_cut(e) || (error != ECONNRESET && error != EPIPE))
		fault(e, call, error);
	e->over = true;
	__atomic_store_n(&e->slot->cut, e->s.number, __ATOMIC_SEQ_CST);
}
