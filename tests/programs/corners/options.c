// SPDX-License-Identifier: GPL-2.0-only
/* Socket options: time stamps, TCP_INQ, zero copy, TCP_CORK, SIGIO, TLS, TCP_INFO, keepalive. */
#include "corners.h"

#include <fcntl.h>
#include <signal.h>

/* Receives up to len bytes. Returns the first control message, NULL if there is none. */
static const struct cmsghdr *receive_control(size_t len)
{
	static _Alignas(struct cmsghdr) char control[256];
	struct iovec iov = { buf, len };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };

	say_ret("recvmsg", recvmsg(client, &m, 0));
	return CMSG_FIRSTHDR(&m);
}

static void timestamps(void)
{
	const struct cmsghdr *c;
	int one = 1;

	setsockopt(client, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one));
	pause_ms(300); /* the kernel turns them on later */
	send_all(server, "hello", 5);
	pause_ms(50);
	c = receive_control(100);
	say("time stamps", "%d", c ? c->cmsg_type : 0);
}

static void inq(void)
{
	const struct cmsghdr *c;
	int one = 1;

	setsockopt(client, IPPROTO_TCP, TCP_INQ, &one, sizeof(one));
	send_all(server, "hello", 5);
	pause_ms(50);
	c = receive_control(2);
	say("TCP_INQ", "%d", c ? *(const int *)CMSG_DATA(c) : -1);
}

static void zerocopy_send(void)
{
	char control[256];
	struct msghdr m = { .msg_control = control, .msg_controllen = sizeof(control) };
	int one = 1;

	say_ret("SO_ZEROCOPY", setsockopt(server, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)));
	fill(buf, 65536, 6);
	say_ret("send", send(server, buf, 65536, MSG_ZEROCOPY));
	say("bytes", "%zu", recv_all(client, other, 65536));
	say("right", "%d", !memcmp(buf, other, 65536));
	say("completion", "%x", ready(server, 0, 1000));
	say_ret("error queue", recvmsg(server, &m, MSG_ERRQUEUE));
}

static void zerocopy_receive(void)
{
	struct tcp_zerocopy_receive z = { .copybuf_address = (uint64_t)(uintptr_t)other,
					  .copybuf_len = 65536 };
	socklen_t len = sizeof(z);

	fill(buf, 5000, 7);
	send_all(server, buf, 5000);
	pause_ms(50);
	say_ret("TCP_ZEROCOPY_RECEIVE",
		getsockopt(client, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &z, &len));
	say("copied", "%d", z.copybuf_len);
	say("hint", "%d", z.recv_skip_hint);
}

static void cork(void)
{
	int on = 1, off = 0;

	setsockopt(server, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
	send_all(server, "hello", 5);
	pause_ms(50);
	say_ret("corked", recv(client, buf, 100, 0));
	setsockopt(server, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
	pause_ms(50);
	say_ret("uncorked", recv(client, buf, 100, 0));
	send(server, "hello", 5, MSG_MORE);
	pause_ms(50);
	send_all(server, "world", 5);
	pause_ms(50);
	say_ret("MSG_MORE", recv(client, buf, 100, 0));
}

static volatile sig_atomic_t io;
static void on_io(int sig)
{
	(void)sig;
	io++;
}

static void sigio(void)
{
	signal(SIGIO, on_io);
	fcntl(client, F_SETOWN, getpid());
	fcntl(client, F_SETFL, fcntl(client, F_GETFL) | O_ASYNC);
	send_all(server, "hello", 5);
	pause_ms(50);
	pause_ms(50);
	say("SIGIO", "%s", io ? "came" : "did not come");
	say_ret("recv", recv(client, buf, 100, 0));
}

static void tls_ulp(void)
{
	say_ret("TCP_ULP", setsockopt(client, IPPROTO_TCP, TCP_ULP, "tls", 4));
	send_all(server, "hello", 5);
	say("bytes", "%zu", recv_all(client, buf, 5));
}

static void info(void)
{
	struct tcp_info a, b;
	socklen_t len = sizeof(a);

	getsockopt(client, IPPROTO_TCP, TCP_INFO, &a, &len);
	send_all(server, buf, 1000);
	recv_all(client, other, 1000);
	getsockopt(client, IPPROTO_TCP, TCP_INFO, &b, &len);
	say("state", "%d", b.tcpi_state);
	say("bytes received", "%d", (int)(b.tcpi_bytes_received - a.tcpi_bytes_received));
}

static void keepalive(void)
{
	int one = 1, two = 2, timeout = 2000;

	setsockopt(client, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(client, IPPROTO_TCP, TCP_KEEPIDLE, &one, sizeof(one));
	setsockopt(client, IPPROTO_TCP, TCP_KEEPINTVL, &one, sizeof(one));
	setsockopt(client, IPPROTO_TCP, TCP_KEEPCNT, &two, sizeof(two));
	setsockopt(client, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
	pause_ms(4000);
	send_all(server, "hello", 5);
	say("bytes", "%zu", recv_all(client, buf, 5));
}

const struct corner option_cases[] = {
	{ "timestamps", timestamps },
	{ "inq", inq },
	{ "zerocopy-send", zerocopy_send },
	{ "zerocopy-receive", zerocopy_receive },
	{ "cork", cork },
	{ "sigio", sigio },
	{ "tls", tls_ulp },
	{ "info", info },
	{ "keepalive", keepalive },
	{},
};
