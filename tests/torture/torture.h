/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the torture share: manners, scripts, slots, ends. main.c says what it does. */
#ifndef SHUNT_TESTS_TORTURE_H
#define SHUNT_TESTS_TORTURE_H

#include "../peers/peer.h"

#include <pthread.h>
#include <semaphore.h>

/* How an end waits. */
enum { LT, ET, ET_SHORT, POLL, SELECT, BLOCK, TIMEOUT, LATE_BLOCK, WAITS };

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

/* Kinds of hosts, which are processes. A process that splices or asks FIONREAD is kept off
 * the fast path; these have processes of their own. */
enum { FREE, POLITE, BLOCKER, SPLICER, ASKER };
#define HOSTS 7
extern const int host_kinds[HOSTS];

/* A slot has one connection after the other, between the same two hosts. */
#define MAX_SLOTS 256

/* How one end of a connection sends and receives. */
struct manner {
	int wait, read;
	bool lenient; /* EAGAIN from a blocking receive is no fault */
	bool hasty;   /* closes once it has sent and got everything */
	bool nodelay;
	bool toggles;       /* SO_ZEROCOPY, with which messages go by TCP */
	uint32_t most;      /* bytes in one write */
	uint32_t buffer;    /* bytes in one read */
	int sndbuf, rcvbuf; /* 0: as they are */
	uint32_t pause;     /* one read of that many is followed by a pause */
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
	uint64_t cut_at;   /* when that end has sent and got this many bytes */
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

/* Memory that all processes share. */
struct shared {
	uint64_t connections, bytes, reads;
	uint64_t cuts, wrong, eagains, aborted;
	uint64_t kinds[3], waits[WAITS], styles[READS];
	struct slot slot[MAX_SLOTS];
};

extern struct shared *shared;
extern uint64_t want_bytes, want_connections, seed;
extern unsigned int n_slots;
extern bool late; /* LATE is set */

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

static inline uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static inline uint64_t draw(uint64_t *rng, uint64_t below)
{
	return mix(*rng += 0x9e3779b97f4a7c15) % (below ? below : 1);
}

/* Whether the end's socket is a blocking one. */
static inline bool blocks(const struct manner *m)
{
	return m->wait >= BLOCK;
}

/* Whether errno of a failed call means "not now". */
static inline bool not_now(int error)
{
	return error == EAGAIN || error == EINTR;
}

/* --- script.c --- */

/* Which host is the client (0) or the server (1) of a slot's connections. */
unsigned int slot_host(unsigned int slot, int who);

/* Draws what a connection does. The same slot, number and seed give the same script. */
void draw_script(unsigned int slot, uint64_t number, struct script *s);

/* Bytes of one turn of that end, from 1. */
uint32_t turn_size(const struct script *s, int who, uint32_t turn);

/* --- stream.c: the bytes that the ends send --- */

/* Makes the table of bytes, before there are threads. */
void stream_init(void);

/* The file of the table, and the offset of bytes that stream_bytes() returned in it. */
int stream_file(const char *bytes, off_t *ret_offset);

/* The bytes that the end `who` sends from an offset on: at least CHUNK. */
const char *stream_bytes(const struct end *e, int who, uint64_t offset);

/* --- fault.c --- */

extern const char *const wait_names[WAITS], *const read_names[READS];

/* Prints what both ends of a slot are doing. */
void print_slot(const struct slot *slot, const char *what);

/* Counts and prints a fault of that end, and ends the connection. errno may be 0. */
void fault(struct end *e, const char *what, int error);

/* A call failed. That is a fault, unless the other end has cut the connection off. */
void broken(struct end *e, const char *call, int error);

/* Whether one of the ends has cut this connection off, or has found a fault. */
bool was_cut(const struct end *e);

/* --- send.c --- */

/* How many bytes the end may send at the start, and after more bytes came. */
void begin_sending(struct end *e);
void allow_more(struct end *e);

/* One write. Returns false if none is possible now. */
bool send_some(struct end *e);

/* Shuts the sending side down, once the end has sent all. */
void shut(struct end *e);

/* --- receive.c --- */

/* Bytes that are sure to come without anything sent from here; 1 if none are. */
uint64_t bytes_to_come(const struct end *e);

/* One read. Returns false if there is nothing now. */
bool receive_some(struct end *e);

/* --- wait.c --- */

/* Waits until the end can go on. */
void wait_ready(struct end *e);

/* --- end.c --- */

/* Runs one end of a connection, from a connected socket until it is closed. */
void run_end(struct end *e, int fd);

/* --- host.c --- */

/* Runs a process: its ends of all slots. Does not return. */
void run_host(unsigned int self);

#endif
