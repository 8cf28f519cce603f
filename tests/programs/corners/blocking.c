// SPDX-License-Identifier: GPL-2.0-only
/* Blocking receives after a time without blocking, and SO_RCVLOWAT. */
#include "corners.h"

#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

static void shut(void)
{
	shutdown(server, SHUT_WR);
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void blocking_after(void)
{
	pid_t pid = later(say_hello, 200);

	nonblocking(client, false);
	say_ret("first", recv(client, buf, 100, 0));
	say_ret("second", recv(client, buf, 100, 0));
	waitpid(pid, NULL, 0);
}

static void blocking_eof(void)
{
	pid_t pid = later(shut, 300);

	nonblocking(client, false);
	say_ret("recv", recv(client, buf, 100, 0));
	waitpid(pid, NULL, 0);
}

static void blocking_signal(void)
{
	struct sigaction restart = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct itimerval soon = { .it_value.tv_usec = 100000 };
	pid_t pid = later(say_hello, 400);

	sigaction(SIGALRM, &restart, NULL);
	nonblocking(client, false);
	setitimer(ITIMER_REAL, &soon, NULL);
	say_ret("SA_RESTART", recv(client, buf, 100, 0));
	waitpid(pid, NULL, 0);
}

static void waitall(void)
{
	pid_t pid = later(say_hello, 200);

	nonblocking(client, false);
	say_ret("recv of 10", recv(client, buf, 10, MSG_WAITALL));
	waitpid(pid, NULL, 0);
}

static void waitall_nonblocking(void)
{
	send_all(server, "hello", 5);
	pause_ms(50);
	say_ret("recv of 10", recv(client, buf, 10, MSG_WAITALL));
	say_ret("again", recv(client, buf, 10, MSG_WAITALL));
}

static void timeout_after(void)
{
	struct timeval t = { .tv_usec = 200000 };

	nonblocking(client, false);
	setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	say_ret("recv", recv(client, buf, 10, 0));
	send_all(server, "hello", 5);
	say_ret("then", recv(client, buf, 10, 0));
}

static void lowat(void)
{
	int ten = 10;

	setsockopt(client, SOL_SOCKET, SO_RCVLOWAT, &ten, sizeof(ten));
	send_all(server, "hello", 5);
	say("readable with 5 bytes", "%x", ready(client, POLLIN, 200));
	send_all(server, "world", 5);
	say("readable with 10", "%x", ready(client, POLLIN, 1000));
	say_ret("recv", recv(client, buf, 100, 0));
}

static void lowat_queued(void)
{
	int ten = 10;

	send_all(server, "hello", 5);
	setsockopt(client, SOL_SOCKET, SO_RCVLOWAT, &ten, sizeof(ten));
	say("readable with 5 bytes", "%x", ready(client, POLLIN, 200));
	send_all(server, "world", 5);
	say("readable with 10", "%x", ready(client, POLLIN, 1000));
	say_ret("recv", recv(client, buf, 100, 0));
}

const struct corner blocking_cases[] = {
	{ "blocking", blocking_after },
	{ "blocking-eof", blocking_eof },
	{ "blocking-signal", blocking_signal },
	{ "waitall", waitall },
	{ "waitall-nonblocking", waitall_nonblocking },
	{ "timeout", timeout_after },
	{ "lowat", lowat },
	{ "lowat-queued", lowat_queued },
	{},
};
