// SPDX-License-Identifier: GPL-2.0-only
/* What each connection of the torture does: drawn from the seed, the slot, and a number. */
#include "torture.h"

#define BIT(n) (1U << (n))
#define PLAIN_READS \
	(BIT(RECV) | BIT(READ) | BIT(PEEK) | BIT(SMALL) | BIT(SHRINK) | BIT(RECVMSG) | \
	 BIT(READV) | BIT(RECVMMSG) | BIT(DONTWAIT))
static const struct {
	uint32_t waits, reads;
} kinds[] = {
	[FREE] = { BIT(LT) | BIT(ET) | BIT(POLL) | BIT(SELECT) | BIT(BLOCK), PLAIN_READS },
	[POLITE] = { BIT(LT) | BIT(ET) | BIT(ET_SHORT) | BIT(POLL) | BIT(SELECT), PLAIN_READS },
	[BLOCKER] = { BIT(BLOCK) | BIT(TIMEOUT) | BIT(LATE_BLOCK) | BIT(POLL),
		      BIT(RECV) | BIT(READ) | BIT(SMALL) | BIT(RECVMSG) | BIT(WAITALL) |
			      BIT(LOWAT) },
	[SPLICER] = { BIT(LT) | BIT(POLL) | BIT(BLOCK), BIT(SPLICE) },
	[ASKER] = { BIT(ET) | BIT(LT) | BIT(POLL), BIT(FIONREAD_FIRST) },
};

const int host_kinds[HOSTS] = { FREE, FREE, POLITE, POLITE, BLOCKER, SPLICER, ASKER };

/* Which hosts talk to each other: the client's, the server's. */
static const uint8_t couples[][2] = {
	{ 0, 1 }, { 2, 3 }, { 1, 0 }, { 3, 2 }, { 2, 2 }, { 0, 2 }, { 3, 4 }, { 4, 2 },
	{ 4, 4 }, { 3, 5 }, { 5, 2 }, { 3, 6 }, { 6, 2 }, { 2, 3 }, { 3, 3 }, { 0, 0 },
	{ 2, 3 }, { 3, 2 }, { 1, 1 }, { 3, 1 }, { 0, 1 }, { 1, 0 }, { 0, 0 }, { 1, 1 },
};
#define COUPLES (sizeof(couples) / sizeof(*couples))

unsigned int slot_host(unsigned int slot, int who)
{
	return couples[slot % COUPLES][who];
}

uint32_t turn_size(const struct script *s, int who, uint32_t turn)
{
	return 1 + mix(s->key + 2 * (uint64_t)turn + who) % (2 * s->mean - 1);
}

/* Draws the bytes of a connection. Most connections are short, some long, few very long. The
 * mean comes from the arguments: 1.4 times it where the fast path may be taken, 0.2 times it
 * elsewhere. */
static uint64_t draw_total(uint64_t *rng, bool fast)
{
	uint64_t mean = want_bytes / want_connections * (fast ? 14 : 2) / 10 + 1;
	uint64_t u = draw(rng, 1000);

	if (u < 700)
		return draw(rng, mean / 5);
	if (u < 950)
		return draw(rng, mean * 6 / 5);
	if (u < 995)
		return draw(rng, mean * 20);
	return draw(rng, mean * 160);
}

static int draw_bit(uint64_t *rng, uint32_t set)
{
	unsigned int skip = draw(rng, __builtin_popcount(set));

	for (; skip; skip--)
		set &= set - 1;
	return __builtin_ctz(set);
}

static void draw_manner(uint64_t *rng, int kind, struct manner *m)
{
	static const uint32_t sizes[] = { 200, 2000, 16384, 65536, CHUNK };

	m->wait = draw_bit(rng, kinds[kind].waits);
	m->read = draw_bit(rng, kinds[kind].reads);
	if (late && kind == SPLICER && draw(rng, 2))
		m->read = LATE_SPLICE;
	if (m->read == WAITALL)
		m->wait = BLOCK;
	if (m->read == LOWAT)
		m->wait = POLL;
	m->lenient = kind == FREE || m->wait == LATE_BLOCK || m->wait == TIMEOUT;
	m->hasty = draw(rng, 4) == 0;
	m->most = sizes[draw(rng, 5)];
	m->buffer = m->read == SMALL ? 1 + draw(rng, 64) : sizes[1 + draw(rng, 4)];
	m->toggles = draw(rng, kind == FREE ? 3 : 16) == 0;
	m->pause = draw(rng, 3) ? 0 : 10 + draw(rng, 1000);
}

#define MAX_TURNS 8000

static void draw_turns(uint64_t *rng, struct script *s, uint64_t total)
{
	uint32_t i;

	s->mean = 1 << draw(rng, 17);
	if (total / s->mean / 2 > MAX_TURNS)
		s->mean = total / MAX_TURNS / 2;
	s->turns = 1 + total / s->mean / 2;
	s->depth = draw(rng, 4) ? 1 : 1 + draw(rng, 16);
	if (draw(rng, 2))
		s->manner[0].most = s->manner[1].most = CHUNK;
	for (i = 0; i < s->turns; i++) {
		s->total[0] += turn_size(s, 0, i);
		s->total[1] += turn_size(s, 1, i);
	}
}

/* Small buffers and Nagle's algorithm cost TCP 40 ms and more for each turn. Only short
 * connections have them. */
static void draw_options(uint64_t *rng, bool brief, struct manner *m)
{
	m->nodelay = !brief || draw(rng, 2);
	m->sndbuf = draw(rng, 8) ? 0 : (brief ? 4096 : 131072) << draw(rng, 4);
	m->rcvbuf = draw(rng, 8) ? 0 : (brief ? 4096 : 131072) << draw(rng, 4);
}

void draw_script(unsigned int slot, uint64_t number, struct script *s)
{
	static const char *const families[] = { "127.0.0.1", "::1", "::ffff:127.0.0.1" };
	uint64_t rng = mix(mix(seed) + (number << 16) + slot), total;
	const int kind[2] = { host_kinds[slot_host(slot, 0)], host_kinds[slot_host(slot, 1)] };
	int i;

	memset(s, 0, sizeof(*s));
	s->number = number;
	s->key = rng;
	s->family = families[draw(&rng, 3)];
	for (i = 0; i < 2; i++)
		draw_manner(&rng, kind[i], &s->manner[i]);
	total = draw_total(&rng, kind[0] <= POLITE && kind[1] <= POLITE);
	switch (draw(&rng, 8)) {
	case 0:
	case 1:
		s->kind = STREAM;
		s->total[0] = draw(&rng, 3) ? draw(&rng, total) : 0;
		s->total[1] = total - s->total[0];
		break;
	case 2:
		s->kind = AFTER_EOF;
		s->total[0] = draw(&rng, total);
		s->total[1] = total - s->total[0];
		s->manner[0].hasty = false;
		break;
	default:
		s->kind = TURNS;
		draw_turns(&rng, s, total);
	}
	for (i = 0; i < 2; i++)
		draw_options(&rng, total < 32768 && s->turns < 8, &s->manner[i]);
	s->cutter = draw(&rng, 12) ? -1 : (int)draw(&rng, 2);
	s->cut_at = draw(&rng, s->total[0] + s->total[1]);
	s->cut_by_close = draw(&rng, 2);
	/* A thread that is in the middle of a write can't be cut off. */
	if (s->cutter >= 0 && blocks(&s->manner[s->cutter]))
		s->cutter = -1;
}
