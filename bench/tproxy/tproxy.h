/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the program tproxy share; main.c says what it measures. */
#ifndef SHUNT_BENCH_TPROXY_H
#define SHUNT_BENCH_TPROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#define PORT 443      /* the clients' destination port */
#define LISTENER 9999 /* the router's port */
#define MANY 10000    /* prefixes, rules, flows */

extern const char *shunt;            /* the program */
extern double seconds;               /* of one measurement */
extern unsigned long long *received; /* datagrams, in memory that all processes share */

/* --- main.c --- */

void __attribute__((noreturn)) die(const char *what);

/* Runs a shell command. Ends the program if it fails. */
__attribute__((format(printf, 1, 2))) void run(const char *fmt, ...);

/* Seconds of the monotonic clock. */
double now(void);

/* Pins this process to a CPU. */
void pin(int cpu);

/* --- traffic.c --- */

enum kind { CONNECTIONS, DATAGRAMS, NEW_FLOWS, KINDS };

/* The client's process. Reads kinds from orders and writes rates per second to answers. */
void client(int orders, int answers);

/* Starts the router's listeners, and those on local addresses, a process each. */
void start_listeners(void);

/* --- contenders.c --- */

struct contender {
	const char *workload;
	const char *name;
	int count; /* of rules or prefixes */
	void (*write_rules)(FILE *f, int count);
	const struct way *way;
};

#define CONTENDERS 9
extern const struct contender contenders[CONTENDERS];

/* Whether this host has what the contender needs. */
bool works(const struct contender *c);

/* Makes the contender's rules, and removes them. */
void set_up(const struct contender *c);
void take_down(const struct contender *c);

#endif
