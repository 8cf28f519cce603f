/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the program tcp share; main.c says what it measures. */
#ifndef SHUNT_BENCH_TCP_H
#define SHUNT_BENCH_TCP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#define MAX_SIZE (1 << 20)

/* The words of the command line. */
struct options {
	size_t size; /* bytes of a message */
	double seconds, warm;
	bool blocking, spinning, unix_socket, pipes;
	int connections, idle, cpu[2], listen_port, dial_port;
	unsigned long max_mib;
	const char *netns, *address, *cgroup;
	bool given; /* the address */
};

extern struct options opt;
extern int to_server[2], to_client[2]; /* pipes, with -p */
extern pid_t server;
extern char buf[MAX_SIZE];

/* Where the server listens. */
extern union listen_address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_un un;
} addr;
extern socklen_t addr_len;

/* --- main.c --- */

void __attribute__((noreturn)) die(const char *what);

/* Seconds of the monotonic clock. */
double now(void);

/* Seconds of CPU time that client and server have used. */
double cpu_seconds(void);

/* Pins this process to a CPU. */
void pin(int n);

/* --- end.c: one end of a connection --- */

struct end {
	int in, out; /* the same, but for pipes */
	int ep;
	size_t done; /* bytes of the message that is coming */
	double since;
};

/* Makes an end from connected descriptors: TCP_NODELAY, and non-blocking unless -b. */
struct end prepare(int in, int out);

/* Makes an end that is waited for by itself. */
struct end single(int in, int out);

/* Adds an end to an epoll descriptor that several share. */
void watch(int ep, struct end *e);

void finish(const struct end *e);

/* One read. Returns 0 at the end of the stream, -1 if there is nothing now. */
ssize_t take(const struct end *e, size_t room);

/* Waits and reads. Returns 0 at the end of the stream. */
size_t get(const struct end *e, size_t room);

/* A whole message. Returns false at the end of the stream. */
bool get_all(const struct end *e);
bool put_all(const struct end *e);

/* Waits until the end can be written to. Returns false after that time; -1 waits forever. */
bool writable(const struct end *e, int milliseconds);

int make_socket(void);

/* A socket that is connected to the server, and an end with such a socket or pipes. */
int connected(void);
struct end dial(void);

int accepted(int listener);

/* --- server.c --- */

void __attribute__((noreturn)) serve(int listener, const char *mode);

/* --- client.c --- */

/* Measures a mode, from the warm-up to the figures that it prints. */
void measure_trips(bool crr);
void measure_stream(void);
void measure_stall(void);

#endif
