// SPDX-License-Identifier: GPL-2.0-only
/*
 * torture BYTES CONNECTIONS SEED [PARALLEL]: processes that talk to each other
 * over connections of every manner until both numbers are reached. What each
 * connection does follows from SEED; when it does it does not. Each byte is
 * compared with what belongs at its place.
 *
 * Prints "host PID any" for a process whose readers do well under any
 * admission and "host PID proven" for one whose readers would not under
 * 'eager' (docs/limits.md); a line for each fault, "wrong" or "hung", after
 * which it waits for a line; and at the end the sums. Environment: HANG, seconds without progress that are a hang
 * (20); LATE, also receive first and splice then (docs/limits.md).
 */
#include "../peers/peer.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

/* How an end waits. */
enum { LT, ET, ET_SHORT, POLL, SELECT, BLOCK, TIMEOUT, LATE_BLOCK, WAITS };
static const char *const wait_names[] = {
	"epoll", "edge", "edge-short", "poll", "select", "block", "timeout", "late-block",
};

/* How it reads. */
enum {
	RECV,
	READ,
	PEEK,
	SMALL,
	SHRINK,
	RECVMSG,
	READV,
	RECVMMSG,
	DONTWAIT,
	WAITALL,
	LOWAT,
	SPLICE,
	LATE_SPLICE,
	FIONREAD_FIRST,
	READS
};
static const char *const read_names[] = {
	"recv",     "read",     "peek",    "small", "shrink", "recvmsg",     "readv",
	"recvmmsg", "dontwait", "waitall", "lowat", "splice", "late-splice", "fionread",
};

/* Who talks. A process that splices or asks FIONREAD is kept off the fast
 * path, so those have processes of their own. */
enum { FREE, POLITE, BLOCKER, SPLICER, ASKER };
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
static const int hosts[] = { FREE, FREE, POLITE, POLITE, BLOCKER, SPLICER, ASKER };
#define HOSTS (sizeof(hosts) / sizeof(*hosts))

/* Which hosts talk to each other: the client's, the server's. */
static const uint8_t couples[][2] = {
	{ 0, 1 }, { 2, 3 }, { 1, 0 }, { 3, 2 }, { 2, 2 }, { 0, 2 }, { 3, 4 }, { 4, 2 },
	{ 4, 4 }, { 3, 5 }, { 5, 2 }, { 3, 6 }, { 6, 2 }, { 2, 3 }, { 3, 3 }, { 0, 0 },
	{ 2, 3 }, { 3, 2 }, { 1, 1 }, { 3, 1 }, { 0, 1 }, { 1, 0 }, { 0, 0 }, { 1, 1 },
};
#define COUPLES (sizeof(couples) / sizeof(*couples))
#define MAX_SLOTS 256

struct manner {
	int wait, read;
	bool lenient; /* EAGAIN from a blocking receive is no fault */
	bool hasty;   /* closes once it has sent and got everything */
	bool nodelay;
	bool toggles;       /* SO_ZEROCOPY, with which messages go by TCP */
	uint32_t most;      /* bytes in one write */
	uint32_t buffer;    /* bytes in one read */
	int sndbuf, rcvbuf; /* 0: as they are */
	uint32_t pause;     /* one read in so many is followed by a pause */
};

/* What one connection does. */
enum { TURNS, STREAM, AFTER_EOF };
struct script {
	uint64_t number; /* of this connection, in its slot, from 1 */
	uint64_t key;
	int kind;
	const char *family;
	uint32_t turns, mean, depth;
	uint64_t total[2]; /* bytes that the client and the server send */
	int cutter;        /* end that cuts the connection off, -1 if none */
	uint64_t cut_at;   /* once it has sent and got so many bytes */
	bool cut_by_close; /* not by a reset */
	struct manner manner[2];
};

/* What the watchdog sees of an end. */
struct side {
	uint64_t number, ticks;
	uint64_t sent, may, got;
	uint16_t port;
	bool shut, eof, done;
	const char *doing;
	struct manner manner;
};

struct slot {
	sem_t listening; /* the server waits for the next connection */
	uint16_t port;
	bool over;
	uint64_t cut;         /* the last connection that was cut off */
	struct script script; /* of the server's connection */
	struct side side[2];
};

static struct shared {
	uint64_t connections, bytes, reads;
	uint64_t cuts, wrong, eagains, aborted;
	uint64_t kinds[3], waits[WAITS], styles[READS];
	struct slot slot[MAX_SLOTS];
} * shared;

static uint64_t want_bytes, want_connections, seed;
static unsigned int n_slots = 40;
static bool late;
static int stream_file;

#define ADD(counter, n) __atomic_fetch_add(&shared->counter, n, __ATOMIC_RELAXED)

/* One end of a connection. */
struct end {
	struct slot *slot;
	struct side *me;
	struct script s;
	struct manner *m;
	int who; /* 0: it connected */
	int fd, ep, pipe[2];
	uint64_t rng, need;
	uint32_t turn, pauses;
	bool readable, writable, hung_up, zerocopy;
	bool over; /* cut off, or at fault */
	bool two;  /* another thread writes */
	pthread_mutex_t lock;
	pthread_cond_t more; /* more may be sent, or the connection is over */
	char *buf;
};

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static uint64_t draw(uint64_t *rng, uint64_t below)
{
	return mix(*rng += 0x9e3779b97f4a7c15) % (below ? below : 1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* --- scripts --- */

static uint32_t turn_size(const struct script *s, int who, uint32_t turn)
{
	return 1 + mix(s->key + 2 * (uint64_t)turn + who) % (2 * s->mean - 1);
}

/* Most are short, some long, few very long; the mean is what is asked for,
 * and more where the fast path may be taken, less elsewhere. */
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

static bool blocks(const struct manner *m)
{
	return m->wait >= BLOCK;
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

/* Small buffers and Nagle's algorithm cost TCP 40 ms and more a turn, so they
 * are for short connections. */
static void draw_options(uint64_t *rng, bool brief, struct manner *m)
{
	m->nodelay = !brief || draw(rng, 2);
	m->sndbuf = draw(rng, 8) ? 0 : (brief ? 4096 : 131072) << draw(rng, 4);
	m->rcvbuf = draw(rng, 8) ? 0 : (brief ? 4096 : 131072) << draw(rng, 4);
}

static void draw_script(unsigned int slot, uint64_t number, struct script *s)
{
	static const char *const families[] = { "127.0.0.1", "::1", "::ffff:127.0.0.1" };
	uint64_t rng = mix(mix(seed) + (number << 16) + slot), total;
	const uint8_t *couple = couples[slot % COUPLES];
	int i;

	memset(s, 0, sizeof(*s));
	s->number = number;
	s->key = rng;
	s->family = families[draw(&rng, 3)];
	for (i = 0; i < 2; i++)
		draw_manner(&rng, hosts[couple[i]], &s->manner[i]);
	total = draw_total(&rng, hosts[couple[0]] <= POLITE && hosts[couple[1]] <= POLITE);
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

/* --- faults --- */

static void print_side(const struct slot *slot, int who)
{
	const struct side *d = &slot->side[who];

	printf(" %s %s/%s port %u sent %lu of %lu got %lu%s%s, %s;", who ? "server" : "client",
	       wait_names[d->manner.wait], read_names[d->manner.read], d->port, d->sent, d->may,
	       d->got, d->shut ? " shut" : "", d->eof ? " eof" : "", d->doing ? d->doing : "-");
}

static void print_slot(const struct slot *slot, const char *what)
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

static void fault(struct end *e, const char *what, int error)
{
	char text[160];

	snprintf(text, sizeof(text), "wrong: %s at the %s%s%s", what, e->who ? "server" : "client",
		 error ? ": " : "", error ? strerror(error) : "");
	print_slot(e->slot, text);
	ADD(wrong, 1);
	e->over = true;
	__atomic_store_n(&e->slot->cut, e->s.number, __ATOMIC_SEQ_CST);
}

static bool was_cut(const struct end *e)
{
	return __atomic_load_n(&e->slot->cut, __ATOMIC_SEQ_CST) == e->s.number;
}

/* A call failed: because the other end cut the connection off, or by a fault. */
static void broken(struct end *e, const char *call, int error)
{
	if (error == ECONNABORTED && late)
		ADD(aborted, 1);
	else if (!was_cut(e) || (error != ECONNRESET && error != EPIPE))
		fault(e, call, error);
	e->over = true;
	__atomic_store_n(&e->slot->cut, e->s.number, __ATOMIC_SEQ_CST);
}

static bool not_now(int error)
{
	return error == EAGAIN || error == EINTR;
}

static uint32_t key(const struct end *e, int from)
{
	return e->s.key + from;
}

/* --- sending --- */

/* How much may be sent by now, after the bytes that came. */
static void advance(struct end *e)
{
	uint32_t ahead = e->who ? 0 : e->s.depth;

	if (e->s.kind == AFTER_EOF && e->who && e->me->eof)
		e->me->may = e->s.total[1];
	while (e->s.kind == TURNS && e->turn < e->s.turns && e->me->got >= e->need) {
		e->me->may += turn_size(&e->s, e->who, e->turn++);
		if (e->turn >= ahead && e->turn - ahead < e->s.turns)
			e->need += turn_size(&e->s, !e->who, e->turn - ahead);
	}
}

static void begin(struct end *e)
{
	if (e->s.kind == STREAM || (e->s.kind == AFTER_EOF && !e->who))
		e->me->may = e->s.total[e->who];
	if (e->s.kind == TURNS && e->who)
		e->need = turn_size(&e->s, 0, 0);
	advance(e);
}

static ssize_t send_pipe(int fd, const char *bytes, size_t n)
{
	int ends[2];
	ssize_t w;

	if (pipe2(ends, O_NONBLOCK | O_CLOEXEC))
		die("pipe");
	w = write(ends[1], bytes, n);
	if (w > 0)
		w = splice(ends[0], NULL, fd, NULL, w, 0);
	close(ends[0]);
	close(ends[1]);
	return w;
}

static ssize_t send_somehow(struct end *e, const char *bytes, size_t n, bool last)
{
	struct iovec v[3] = {
		{ (char *)bytes, n / 3 },
		{ (char *)bytes + n / 3, n / 3 },
		{ (char *)bytes + n / 3 * 2, n - n / 3 * 2 },
	};
	struct msghdr msg = { .msg_iov = v, .msg_iovlen = 3 };
	off_t at = bytes - stream_at(0, 0);

	switch (draw(&e->rng, 16)) {
	case 0:
		return writev(e->fd, v, 3);
	case 1:
		return sendmsg(e->fd, &msg, 0);
	case 2:
		return sendfile(e->fd, stream_file, &at, n);
	case 3:
		return send_pipe(e->fd, bytes, n < 65536 ? n : 65536);
	case 4:
		return send(e->fd, bytes, n, last ? 0 : MSG_MORE);
	case 5:
		return send(e->fd, bytes, n, MSG_DONTWAIT);
	case 6:
		return write(e->fd, bytes, n);
	default:
		return send(e->fd, bytes, n, MSG_NOSIGNAL);
	}
}

static void shut(struct end *e)
{
	if (e->me->shut || e->me->sent < e->s.total[e->who])
		return;
	if (e->m->hasty && (e->me->got < e->s.total[!e->who]))
		return;
	e->me->shut = true;
	if (!e->m->hasty && shutdown(e->fd, SHUT_WR) && !was_cut(e))
		fault(e, "shutdown", errno);
}

static void toggle(struct end *e)
{
	if (!e->m->toggles || draw(&e->rng, 8))
		return;
	e->zerocopy = !e->zerocopy;
	set_option(e->fd, SOL_SOCKET, SO_ZEROCOPY, e->zerocopy);
}

/* One write; false if none is possible now. */
static bool send_some(struct end *e)
{
	uint64_t left = e->me->may - e->me->sent;
	size_t n = e->m->most == CHUNK ? CHUNK : 1 + draw(&e->rng, e->m->most);
	ssize_t done;

	if (n > left)
		n = left;
	toggle(e);
	e->me->doing = "sends";
	done = send_somehow(e, stream_at(key(e, e->who), e->me->sent), n, n == left);
	e->me->doing = NULL;
	if (done > 0) {
		e->me->sent += done;
		e->me->ticks++;
		return true;
	}
	if (done < 0 && not_now(errno))
		e->writable = errno == EINTR;
	else
		broken(e, "send", errno);
	return false;
}

/* --- receiving --- */

static bool right(struct end *e, const char *bytes, size_t n)
{
	if (e->me->got + n <= e->s.total[!e->who] &&
	    stream_matches(key(e, !e->who), e->me->got, bytes, n))
		return true;
	fault(e, e->me->got + n > e->s.total[!e->who] ? "too many bytes" : "wrong bytes", 0);
	return false;
}

static ssize_t recv_peek(struct end *e, size_t n)
{
	ssize_t seen = recv(e->fd, e->buf, n, MSG_PEEK);

	if (seen <= 0)
		return seen;
	return right(e, e->buf, seen) ? recv(e->fd, e->buf, seen, 0) : -1;
}

static ssize_t recv_vector(struct end *e, size_t n)
{
	struct iovec v[3] = {
		{ e->buf, n / 4 },
		{ e->buf + n / 4, n / 4 },
		{ e->buf + n / 4 * 2, n - n / 4 * 2 },
	};
	struct mmsghdr many = { .msg_hdr = { .msg_iov = v, .msg_iovlen = 3 } };
	int got;

	if (e->m->read == READV)
		return readv(e->fd, v, 3);
	if (e->m->read == RECVMSG)
		return recvmsg(e->fd, &many.msg_hdr, 0);
	got = recvmmsg(e->fd, &many, 1, 0, NULL);
	return got == 1 ? (ssize_t)many.msg_len : got;
}

static ssize_t recv_splice(struct end *e, size_t n)
{
	ssize_t moved;

	moved = splice(e->fd, NULL, e->pipe[1], NULL, n, blocks(e->m) ? 0 : SPLICE_F_NONBLOCK);
	return moved > 0 ? read(e->pipe[0], e->buf, moved) : moved;
}

/* Reads what FIONREAD tells of; nothing told is nothing there, unless the other
 * end has hung up. */
static ssize_t recv_told(struct end *e, size_t n)
{
	struct pollfd hup = { .fd = e->fd, .events = POLLRDHUP };
	int told = 0;

	if (ioctl(e->fd, FIONREAD, &told))
		return -1;
	if (!told && poll(&hup, 1, 0) != 1) {
		errno = EAGAIN;
		return -1;
	}
	return recv(e->fd, e->buf, told && (size_t)told < n ? (size_t)told : n, 0);
}

/* What is sure to come without anything sent from here. */
static uint64_t coming(const struct end *e)
{
	uint64_t until = e->s.kind == TURNS && e->turn < e->s.turns ? e->need : e->s.total[!e->who];

	return until > e->me->got ? until - e->me->got : 1;
}

static size_t read_size(struct end *e)
{
	size_t n = e->m->buffer, sure = coming(e);

	if (e->m->read == SHRINK && (e->m->buffer /= 2) == 0)
		e->m->buffer = CHUNK;
	if (e->m->read == WAITALL && n > sure)
		n = sure;
	return n;
}

static ssize_t recv_somehow(struct end *e, size_t n)
{
	switch (e->m->read) {
	case READ:
		return read(e->fd, e->buf, n);
	case PEEK:
		return recv_peek(e, n);
	case RECVMSG:
	case READV:
	case RECVMMSG:
		return recv_vector(e, n);
	case DONTWAIT:
		return recv(e->fd, e->buf, n, blocks(e->m) ? 0 : MSG_DONTWAIT);
	case WAITALL:
		return recv(e->fd, e->buf, n, MSG_WAITALL);
	case SPLICE:
		return recv_splice(e, n);
	case LATE_SPLICE:
		return e->me->got < e->s.total[!e->who] / 2 ? recv(e->fd, e->buf, n, 0)
							    : recv_splice(e, n);
	case FIONREAD_FIRST:
		return recv_told(e, n);
	}
	return recv(e->fd, e->buf, n, 0);
}

static void begin_to_block(struct end *e)
{
	if (e->m->wait == LATE_BLOCK && e->me->got > e->s.total[!e->who] / 3)
		set_nonblocking(e->fd, false);
}

static void got_bytes(struct end *e, size_t asked, size_t n)
{
	uint64_t total = e->s.total[!e->who];

	if (!right(e, e->buf, n))
		return;
	if (e->m->read == WAITALL && n < asked && !was_cut(e))
		fault(e, "short read with MSG_WAITALL", 0);
	if (e->m->wait == ET_SHORT && n < asked && !e->hung_up)
		e->readable = false;
	e->me->got += n;
	e->me->ticks++;
	ADD(bytes, n);
	ADD(reads, 1);
	begin_to_block(e);
	if (e->m->rcvbuf && e->me->got > total / 2 && e->me->got - n <= total / 2)
		set_option(e->fd, SOL_SOCKET, SO_RCVBUF, e->m->rcvbuf);
	if (e->m->pause && e->pauses < 10 && draw(&e->rng, e->m->pause) == 0) {
		e->pauses++;
		usleep(draw(&e->rng, 30000));
	}
}

static void got_end(struct end *e)
{
	e->me->eof = true;
	e->me->ticks++;
	if (was_cut(e))
		e->over = true;
	else if (e->me->got < e->s.total[!e->who])
		fault(e, "the stream ended early", 0);
}

/* One read; false if there is nothing now. */
static bool receive_some(struct end *e)
{
	size_t n = read_size(e);
	ssize_t got;

	e->me->doing = "reads";
	got = recv_somehow(e, n);
	e->me->doing = NULL;
	if (e->over)
		return false;
	if (got > 0)
		got_bytes(e, n, got);
	else if (got == 0)
		got_end(e);
	else if (!not_now(errno))
		broken(e, "receive", errno);
	else if (blocks(e->m) && !e->m->lenient)
		fault(e, "EAGAIN from a blocking receive", 0);
	else
		e->readable = false;
	if (got < 0 && !e->over && e->m->wait == BLOCK)
		ADD(eagains, 1);
	return got >= 0;
}

/* --- one end of a connection --- */

static bool wants_to_send(const struct end *e)
{
	return e->me->sent < e->me->may;
}

static bool finished(struct end *e)
{
	shut(e);
	if (e->over)
		return true;
	return e->me->shut && (e->me->eof || (e->m->hasty && e->me->got == e->s.total[!e->who]));
}

/* The end whose part it is cuts the connection off. */
static bool cut(struct end *e)
{
	struct linger now_ = { .l_onoff = 1 };

	if (e->s.cutter != e->who || e->me->sent + e->me->got < e->s.cut_at)
		return false;
	__atomic_store_n(&e->slot->cut, e->s.number, __ATOMIC_SEQ_CST);
	if (!e->s.cut_by_close && setsockopt(e->fd, SOL_SOCKET, SO_LINGER, &now_, sizeof(now_)))
		die("SO_LINGER");
	ADD(cuts, 1);
	e->over = true;
	return true;
}

static void wait_select(struct end *e, bool in, bool out)
{
	fd_set r, w;

	FD_ZERO(&r);
	FD_ZERO(&w);
	if (in)
		FD_SET(e->fd, &r);
	if (out)
		FD_SET(e->fd, &w);
	if (select(e->fd + 1, &r, &w, NULL, NULL) < 0)
		return;
	e->readable = FD_ISSET(e->fd, &r);
	e->writable = FD_ISSET(e->fd, &w);
}

static void wait_poll(struct end *e, bool in, bool out)
{
	struct pollfd p = { .fd = e->fd, .events = (in ? POLLIN : 0) | (out ? POLLOUT : 0) };

	if (poll(&p, 1, -1) < 0)
		return;
	e->readable = p.revents & (POLLIN | POLLHUP | POLLERR);
	e->writable = p.revents & (POLLOUT | POLLHUP | POLLERR);
}

static void wait_epoll(struct end *e, bool in, bool out)
{
	struct epoll_event ev = { .events = (in ? EPOLLIN : 0) | (out ? EPOLLOUT : 0) };
	bool edge = e->m->wait != LT;

	if (!edge)
		epoll_ctl(e->ep, EPOLL_CTL_MOD, e->fd, &ev);
	if (epoll_wait(e->ep, &ev, 1, -1) != 1)
		return;
	if (ev.events & (EPOLLHUP | EPOLLERR))
		ev.events |= EPOLLIN | EPOLLOUT;
	e->hung_up |= ev.events & EPOLLRDHUP;
	e->readable = (edge && e->readable) || ev.events & EPOLLIN;
	e->writable = (edge && e->writable) || ev.events & EPOLLOUT;
}

/* A reader that sets SO_RCVLOWAT must not wait for more than will come. */
static void set_lowat(struct end *e)
{
	uint64_t sure = coming(e);

	if (e->m->read == LOWAT)
		set_option(e->fd, SOL_SOCKET, SO_RCVLOWAT, sure < 1000 ? sure : 1000);
}

static void wait_ready(struct end *e)
{
	bool in = !e->me->eof, out = wants_to_send(e);

	e->me->doing = out ? "waits to send or read" : "waits to read";
	set_lowat(e);
	if (e->m->wait == SELECT)
		wait_select(e, in, out);
	else if (e->ep >= 0)
		wait_epoll(e, in, out);
	else
		wait_poll(e, in, out);
	e->me->doing = NULL;
}

/* One thread that does whatever is possible, and waits else. */
static void run_polling(struct end *e)
{
	bool edge = e->m->wait == ET || e->m->wait == ET_SHORT;

	while (!finished(e) && !cut(e)) {
		bool moved = false;

		if (wants_to_send(e) && e->writable)
			moved |= send_some(e);
		if (!e->over && !e->me->eof && e->readable)
			moved |= receive_some(e);
		if (!edge)
			e->readable = false;
		advance(e);
		if (!moved && !finished(e))
			wait_ready(e);
	}
}

/* One thread that sends all it may, then reads. */
static void run_blocking(struct end *e)
{
	while (!finished(e) && !cut(e)) {
		if (wants_to_send(e))
			send_some(e);
		else if (!e->me->eof)
			receive_some(e);
		advance(e);
	}
}

static void *write_thread(void *arg)
{
	struct end *e = arg;

	pthread_mutex_lock(&e->lock);
	while (!e->over && e->me->sent < e->s.total[e->who]) {
		if (!wants_to_send(e)) {
			pthread_cond_wait(&e->more, &e->lock);
			continue;
		}
		pthread_mutex_unlock(&e->lock);
		send_some(e);
		pthread_mutex_lock(&e->lock);
	}
	pthread_mutex_unlock(&e->lock);
	if (!e->over && !e->m->hasty)
		shut(e);
	return NULL;
}

/* One thread that reads, one that writes. */
static void run_threads(struct end *e)
{
	pthread_t writer;

	if (pthread_create(&writer, NULL, write_thread, e))
		die("pthread_create");
	while (!e->over && !e->me->eof && !(e->m->hasty && e->me->got == e->s.total[!e->who])) {
		receive_some(e);
		pthread_mutex_lock(&e->lock);
		advance(e);
		pthread_cond_signal(&e->more);
		pthread_mutex_unlock(&e->lock);
	}
	if (e->over)
		shutdown(e->fd, SHUT_RDWR);
	pthread_mutex_lock(&e->lock);
	pthread_cond_signal(&e->more);
	pthread_mutex_unlock(&e->lock);
	pthread_join(writer, NULL);
}

static void prepare(struct end *e)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
	struct timeval soon = { .tv_usec = 20000 };

	e->ep = e->pipe[0] = e->pipe[1] = -1;
	if (e->m->nodelay)
		set_option(e->fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (e->m->sndbuf)
		set_option(e->fd, SOL_SOCKET, SO_SNDBUF, e->m->sndbuf);
	if (e->m->wait == TIMEOUT &&
	    setsockopt(e->fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)))
		die("SO_RCVTIMEO");
	set_nonblocking(e->fd, !blocks(e->m) || e->m->wait == LATE_BLOCK);
	if (e->m->wait <= ET_SHORT) {
		e->ep = epoll_create1(EPOLL_CLOEXEC);
		if (e->ep < 0 || epoll_ctl(e->ep, EPOLL_CTL_ADD, e->fd, &ev))
			die("epoll");
	}
	if ((e->m->read == SPLICE || e->m->read == LATE_SPLICE) && pipe2(e->pipe, O_CLOEXEC))
		die("pipe");
	e->readable = e->writable = true;
}

static void run_end(struct end *e)
{
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->more, NULL);
	prepare(e);
	begin(e);
	if (!blocks(e->m))
		run_polling(e);
	else if (e->s.kind == STREAM || (e->s.kind == TURNS && (e->s.depth > 1)))
		run_threads(e);
	else
		run_blocking(e);
	e->me->doing = "closes";
	close(e->fd);
	if (e->ep >= 0)
		close(e->ep);
	if (e->pipe[0] >= 0) {
		close(e->pipe[0]);
		close(e->pipe[1]);
	}
	e->me->ticks++;
}

static void start(struct end *e, int fd)
{
	union address own;
	socklen_t len = sizeof(own);

	e->fd = fd;
	e->m = &e->s.manner[e->who];
	e->me->number = 0; /* the watchdog reads it */
	e->rng = mix(e->s.key + 7 + e->who);
	e->me->sent = e->me->may = e->me->got = 0;
	e->me->shut = e->me->eof = false;
	e->me->manner = *e->m;
	if (!getsockname(fd, &own.sa, &len))
		e->me->port = port_of(&own);
	e->me->number = e->s.number;
	ADD(waits[e->m->wait], 1);
	ADD(styles[e->m->read], 1);
}

/* --- the two ends of a slot, connection after connection --- */

struct job {
	unsigned int slot;
	int who;
};

static bool enough(void)
{
	return shared->connections >= want_connections && shared->bytes >= want_bytes;
}

/* A socket belongs to the cgroup its maker, or its listener's, was in then. */
static void listen_anew(struct slot *slot, int *listener)
{
	union address any = address_of("::", 0);

	if (*listener >= 0)
		close(*listener);
	*listener = listen_at(&any, 8);
	slot->port = port_of(&any);
}

static void *serve(void *arg)
{
	const struct job *job = arg;
	struct slot *slot = &shared->slot[job->slot];
	struct side *me = &slot->side[1];
	char *buf = malloc(CHUNK);
	int listener = -1, fd;
	uint64_t number;

	for (number = 1; !enough(); number++) {
		struct end e = { .slot = slot, .me = me, .who = 1, .buf = buf };

		draw_script(job->slot, number, &e.s);
		slot->script = e.s;
		ADD(connections, 1);
		ADD(kinds[e.s.kind], 1);
		if (number % 4 == 1)
			listen_anew(slot, &listener);
		sem_post(&slot->listening);
		me->doing = "accepts";
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			die("accept");
		start(&e, fd);
		run_end(&e);
	}
	me->done = true;
	slot->over = true;
	sem_post(&slot->listening);
	return NULL;
}

static void *call(void *arg)
{
	const struct job *job = arg;
	struct slot *slot = &shared->slot[job->slot];
	struct side *me = &slot->side[0];
	char *buf = malloc(CHUNK);
	union address to;
	uint64_t number;

	for (number = 1;; number++) {
		struct end e = { .slot = slot, .me = me, .buf = buf };

		me->doing = "waits for a listener";
		while (sem_wait(&slot->listening))
			;
		if (slot->over)
			break;
		draw_script(job->slot, number, &e.s);
		to = address_of(e.s.family, slot->port);
		me->doing = "connects";
		start(&e, connect_to(&to));
		run_end(&e);
	}
	me->done = true;
	return NULL;
}

/* One process: its ends of all slots. */
static void host(unsigned int self)
{
	static struct job jobs[2 * MAX_SLOTS];
	static pthread_t threads[2 * MAX_SLOTS];
	unsigned int i, n = 0;
	int who;

	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; i < n_slots; i++)
		for (who = 0; who < 2; who++)
			if (couples[i % COUPLES][who] == self) {
				jobs[n] = (struct job){ i, who };
				if (pthread_create(&threads[n], NULL, who ? serve : call, &jobs[n]))
					die("pthread_create");
				n++;
			}
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	exit(0);
}

/* --- the watchdog --- */

static pid_t pids[HOSTS];

static void end_hosts(void)
{
	unsigned int i;

	for (i = 0; i < HOSTS; i++)
		if (pids[i])
			kill(pids[i], SIGKILL);
}

/* Has a host ended? 1 if all have and well, -1 if one did not. */
static int reap(void)
{
	unsigned int i;
	int status, left = 0;

	for (i = 0; i < HOSTS; i++) {
		if (pids[i] && waitpid(pids[i], &status, WNOHANG) == pids[i]) {
			pids[i] = 0;
			if (status)
				return -1;
		}
		left += pids[i] != 0;
	}
	return !left;
}

/* Worth a line, the first time. */
#define SLOW 3

static int watch(double limit, double *longest)
{
	static uint64_t ticks[MAX_SLOTS];
	static double since[MAX_SLOTS];
	unsigned int i;
	int state;

	while (!(state = reap()) && !shared->wrong) {
		double t = now();

		for (i = 0; i < n_slots; i++) {
			struct slot *slot = &shared->slot[i];
			uint64_t sum = slot->side[0].ticks + slot->side[1].ticks;

			if (sum != ticks[i] || !since[i] ||
			    (slot->side[0].done && slot->side[1].done)) {
				ticks[i] = sum;
				since[i] = t;
			}
			if (t - since[i] > limit) {
				print_slot(slot, "hung");
				return -1;
			}
			if (t - since[i] > *longest) {
				if (*longest <= SLOW && t - since[i] > SLOW)
					print_slot(slot, "slow");
				*longest = t - since[i];
			}
		}
		usleep(20000);
	}
	return shared->wrong ? -1 : state;
}

/* The table of stream_at() as a file, to send from. */
static int make_stream_file(void)
{
	int fd = memfd_create("stream", MFD_CLOEXEC);

	if (fd < 0 || write(fd, stream_at(0, 0), PERIOD + CHUNK) != PERIOD + CHUNK)
		die("memfd");
	return fd;
}

static void print_counts(const char *what, const char *const *names, const uint64_t *counts, int n)
{
	int i;

	printf("%s:", what);
	for (i = 0; i < n; i++)
		printf(" %s %lu", names[i], counts[i]);
	printf("\n");
}

int main(int argc, char **argv)
{
	static const char *const kind_names[] = { "turns", "stream", "after-eof" };
	const char *hang = getenv("HANG");
	double longest = 0;
	unsigned int i;
	int result;

	if (argc < 4)
		leave(2, "usage: torture BYTES CONNECTIONS SEED [PARALLEL]");
	want_bytes = strtoull(argv[1], NULL, 0);
	want_connections = strtoull(argv[2], NULL, 0);
	seed = strtoull(argv[3], NULL, 0);
	n_slots = argc > 4 ? atoi(argv[4]) : 40;
	if (!want_connections || !n_slots || n_slots > MAX_SLOTS)
		leave(2, "torture: bad number");
	late = getenv("LATE") && *getenv("LATE");
	stream_file = make_stream_file();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		die("mmap");
	for (i = 0; i < n_slots; i++)
		sem_init(&shared->slot[i].listening, 1, 0);
	for (i = 0; i < HOSTS; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			die("fork");
		if (!pids[i])
			host(i);
		say("host %d %s", pids[i], hosts[i] == FREE ? "any" : "proven");
	}
	result = watch(hang ? atoi(hang) : 20, &longest);
	if (result < 0)
		await_line();
	end_hosts();
	print_counts("kinds", kind_names, shared->kinds, 3);
	print_counts("waits", wait_names, shared->waits, WAITS);
	print_counts("reads", read_names, shared->styles, READS);
	say("sums: bytes %lu connections %lu cut %lu wrong %lu hung %d longest %.1f eagain %lu aborted %lu",
	    shared->bytes, shared->connections, shared->cuts, shared->wrong,
	    result < 0 && !shared->wrong, longest, shared->eagains, shared->aborted);
	return result == 1 ? PASS : FAIL;
}
