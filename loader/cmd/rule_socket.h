/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a process that is not root changes rules: it sends its words to the socket of 'shunt run',
 * which runs them as root. The mode of the socket admits root and one group. That group can't
 * write any map.
 *
 * A request is one packet: struct rule_request, the pin directory and the words, each with its
 * zero byte. An answer is a number of packets: a byte for the kind, then the output. The last
 * packet has the exit status.
 */
#ifndef SHUNT_RULE_SOCKET_H
#define SHUNT_RULE_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#include <linux/types.h>

/* The group that may change rules if the host has one of this name. */
#define RULE_GROUP "shunt"

#define RULE_REQUEST_VERSION 1
#define RULE_REQUEST_MAX 8192
#define RULE_REQUEST_WORDS 64

struct rule_request {
	__u32 version; /* RULE_REQUEST_VERSION */
	__u32 json;    /* -j was given */
	__u64 netns;   /* cookie of the caller's network namespace */
	char words[];
};

#define ANSWER_OUTPUT 'o'
#define ANSWER_ERRORS 'e'
#define ANSWER_STATUS 's'
#define ANSWER_MAX 16384

/* The address of the socket, which depends on the pin directory. Returns 0, or -errno after
 * reporting it. */
int rule_socket_address(struct sockaddr_un *ret);

/* client */

/* Whether this process can't change rules itself and has to ask 'shunt run'. */
bool must_ask(void);

/* Sends the words to 'shunt run', prints the answer and ends the process with the exit status of
 * the command. Returns only without an answer: -errno after reporting it. */
int ask_rule_server(const char *command, int argc, char **argv);

/* server */

/* Whether the group may use this verb of 'steer'. */
bool steer_for_group(const char *verb);

/* Whether this process serves a call. */
bool serves_call(void);

/* The cookie of the caller's network namespace. */
__u64 caller_netns(void);

/* The parent of the caller, such as the router that started the diverter; 0 if that can't be found
 * out. */
pid_t caller_parent(void);

struct rule_server {
	pid_t pid; /* 0: none */
	gid_t group;
	bool restarted; /* by rule_server_keep(): the file descriptors that it was started with may be older
			 * than what is loaded */
};

/* Looks up a group by name or number. NULL means RULE_GROUP; then *ret is 0 if the host has no such
 * group. Returns 0, or -errno after reporting it. */
int rule_group(const char *name, gid_t *ret);

/* Makes the socket for the group, and a process that serves it; for group 0, neither. Returns 0, or
 * -errno after reporting it. */
int rule_server_start(struct rule_server *s, gid_t group);

/* Starts the process again if it has ended. */
void rule_server_keep(struct rule_server *s);

/* Before the supervisor begins anew as the same process: leaves the process that serves running, and
 * notes it in the environment. Afterwards: takes it over; false if there is none. */
void rule_server_hand_on(struct rule_server *s);
bool rule_server_inherit(struct rule_server *s, gid_t group);

void rule_server_stop(struct rule_server *s);

#endif
