/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the program steer share; main.c says what it measures. */
#ifndef SHUNT_BENCH_STEER_H
#define SHUNT_BENCH_STEER_H

#define PIN_DIR "/sys/fs/bpf/shunt/steering"
#define PORT 9999 /* of the rules' listener */

/* Rules of different kinds. */
enum shape {
	HOSTS,  /* an address and port each */
	NESTED, /* prefixes of all lengths, overlapping, with ranges of ports */
	ONE,    /* one prefix: sources, each with overlapping ranges */
};

struct rule {
	unsigned int dst, dst_len, src, low, high;
};

extern const char *shunt;  /* the program */
extern struct rule *rules; /* of the present measurement */
extern int count;          /* of these rules */

/* Ends the program with a message about errno. */
void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...);

/* Runs a shell command. Ends the program if it fails. */
__attribute__((format(printf, 1, 2))) void run(const char *fmt, ...);

/* A random number below n. */
unsigned int pick(unsigned int n);

/* Seconds of the monotonic clock. */
double seconds(void);

/* --- rules.c --- */

/* Makes the rules and applies them. Returns the seconds and the peak memory of 'shunt apply'. */
void apply(enum shape shape, const char *proto, double *ret_seconds, long *ret_kbytes);

/* The memory of the map that a pinned map of maps has, in bytes. */
long map_bytes(const char *name);

#endif
