/* SPDX-License-Identifier: GPL-2.0-only */
/* What the cases share: a connection within this process, and what an application sees of it. */
#ifndef SHUNT_TESTS_CORNERS_H
#define SHUNT_TESTS_CORNERS_H

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 5000
#define BIG (12 << 20)

/* A list of cases ends with one without a name. */
struct corner {
	const char *name;
	void (*run)(void);
};

extern const struct corner blocking_cases[], reading_cases[], closing_cases[], slow_cases[],
	option_cases[], splice_cases[], sharing_cases[], uring_cases[];

extern const char *case_name;
extern char buf[BIG], other[BIG];
extern int server, client; /* the two ends of the connection */

/* Ends the program with a message about errno. */
void die(const char *what);

/* Milliseconds of the monotonic clock. */
uint64_t now_ms(void);

void pause_ms(int ms);

/* Prints "CASE: what = value". */
__attribute__((format(printf, 2, 3))) void say(const char *what, const char *format, ...);

/* Prints what a call returned, or the name of its errno. */
void say_ret(const char *what, ssize_t n);

/* Fills memory with a pattern that `salt` changes. */
void fill(char *p, size_t size, int salt);

void nonblocking(int fd, bool on);

/* Waits until one of the events. Returns those that are there, 0 after ms. */
short ready(int fd, short events, int ms);

/* Sends all bytes, also by a non-blocking socket. Ends the program if it can't. */
void send_all(int fd, const char *p, size_t size);

/* Receives up to size bytes: fewer at the end, or when nothing comes for PATIENCE_MS. */
size_t recv_all(int fd, char *p, size_t size);

/* Connects client to server, both non-blocking. */
void connect_pair(void);

/* The hot phase: the client sends requests for HOT_MS, and a thread answers them. */
void heat_up(void);

/* Forks a child that calls a function after ms. The child has the server's end only. */
pid_t later(void (*what)(void), int ms);

/* For later(): sends "hello", and 300 ms later "world". */
void say_hello(void);

#endif
