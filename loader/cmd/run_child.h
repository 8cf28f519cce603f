/* SPDX-License-Identifier: GPL-2.0-only */
/* A process that 'shunt run' starts to serve others. It ends with 'shunt run', and goes on when that begins
 * anew as the same process. */
#ifndef SHUNT_RUN_CHILD_H
#define SHUNT_RUN_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

/* Starts a process of this name that calls serve(data), and then ends. Of the open files of this process
 * it has standard input, output and errors, and fds, which become 3 and up. No signal is blocked there.
 * Returns its pid, or -errno without a message. */
pid_t run_child_start(const char *name, const int *fds, int count, void (*serve)(void *data),
		      void *data);

/* Before 'shunt run' begins anew: notes the pid in this variable of the environment. Afterwards: returns
 * that pid; 0 if there is none, or the process has ended. */
void run_child_hand_on(const char *variable, pid_t pid);
pid_t run_child_inherit(const char *variable);

/* Whether the process has ended; it is gone then. */
bool run_child_has_ended(pid_t pid);

/* Ends the process at once. */
void run_child_end(pid_t pid);

#endif
