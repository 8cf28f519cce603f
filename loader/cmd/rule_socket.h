/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a process that is not root changes rules: it sends its words to the socket
 * of 'shunt run', which runs them as root. The mode of the socket says who may:
 * root and one group. No map can be written by that group.
 *
 * A request is one packet: struct rule_request, the pin directory and the words,
 * each with its zero byte. An answer is a number of packets: a kind and some
 * bytes. The last one has the exit status.
 */
#ifndef SHUNT_RULE_SOCKET_H
#define SHUNT_RULE_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#include <linux/types.h>

#define RULE_SOCKET_DIR "/run/shunt"

/* The group that may change rules if the host has one of this name. */
#define RULE_GROUP "shunt"

#define RULE_REQUEST_VERSION 1
#define RULE_REQUEST_MAX 8192
#define RULE_REQUEST_WORDS 64

struct rule_request {
	__u32 version;    /* RULE_REQUEST_VERSION */
	__u32 json;       /* -j was given */
	__u64 netns;      /* cookie of the caller's network namespace */
	char words[];
};

#define ANSWER_OUTPUT 'o'
#define ANSWER_ERRORS 'e'
#define ANSWER_STATUS 's'
#define ANSWER_MAX 16384

/* The socket's address for the pin directory; 0 or -errno, said. */
int rule_socket_address(struct sockaddr_un *ret);

/* client */

/* Is this a process that can't change rules itself? */
bool must_ask(void);

/* Has 'shunt run' do what the words say, prints its answer and ends the process
 * with its exit status. Returns -errno, said, if there is no answer. */
int ask_rule_server(const char *command, int argc, char **argv);

/* server */

/* Is this a verb of 'steer' that the group may use? */
bool steer_for_group(const char *verb);

/* Is this the process of a call? */
bool serves_call(void);

/* Cookie of the network namespace of the process that wants the change. */
__u64 caller_netns(void);

/* The process that started the one that wants the change, such as a router its diverter;
 * 0 if it can't be told. */
pid_t caller_parent(void);

struct rule_server {
	pid_t pid;        /* 0: none */
	gid_t group;
};

/* Looks up a group's name or number; NULL stands for RULE_GROUP, and then *ret is
 * 0 if there is none. 0 or -errno, said. */
int rule_group(const char *name, gid_t *ret);

/* Makes the socket for the group, and a process that serves it; none for group 0.
 * 0 or -errno, said. */
int rule_server_start(struct rule_server *s, gid_t group);

/* Makes it again if it has ended. */
void rule_server_keep(struct rule_server *s);

void rule_server_stop(struct rule_server *s);

#endif
