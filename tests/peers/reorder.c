// SPDX-License-Identifier: GPL-2.0-only
/*
 * reorder SCENARIO [PIN_DIR]: bytes A go by TCP and stay unread; then come bytes B, which
 * a naive program would redirect, so that they overtake A. When A and B are read, bytes C
 * may take the fast path. There are six ways to get there.
 *
 * Some scenarios happen with plain calls. In the others (HAND below) this program puts the
 * sockets into the map itself, for the verdict must not depend on how they came there. It
 * prints "ready" when shunt may be loaded, and waits for a line.
 */
#include "peer.h"

#include <linux/bpf.h>
#include <pthread.h>
#include <sys/syscall.h>

#include <shunt/abi.h>

#define SIZE 4096

struct pair {
	int sender;
	int reader;
};

static const char *pin_dir = "/sys/fs/bpf/shunt/bypass";
static union address address;
static char letters[3][SIZE];

/* --- the map, by hand -------------------------------------------------- */

static int bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int open_map(const char *name)
{
	union bpf_attr attr = {};
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/maps/%s", pin_dir, name);
	attr.pathname = (uintptr_t)path;
	fd = bpf(BPF_OBJ_GET, &attr);
	if (fd < 0)
		die(path);
	return fd;
}

static void update(int map, const void *key, const void *value)
{
	union bpf_attr attr = {
		.map_fd = map,
		.key = (uintptr_t)key,
		.value = (uintptr_t)value,
	};

	if (bpf(BPF_MAP_UPDATE_ELEM, &attr))
		die("can't update the map");
}

static bool delete (int map, const void *key)
{
	union bpf_attr attr = { .map_fd = map, .key = (uintptr_t)key };

	return !bpf(BPF_MAP_DELETE_ELEM, &attr);
}

static __u64 cookie_of(int fd)
{
	__u64 cookie;
	socklen_t len = sizeof(cookie);

	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len))
		die("SO_COOKIE");
	return cookie;
}

static void enter(int fd)
{
	__u64 key = cookie_of(fd), value = fd;

	update(open_map("shunt_socks"), &key, &value);
}

static void enter_both(struct pair p)
{
	int fds[] = { p.sender, p.reader }, i, storage = open_map("shunt_sk");

	for (i = 0; i < 2; i++) {
		struct shunt_sk sk = {
			.cookie = cookie_of(fds[i]),
			.peer_cookie = cookie_of(fds[!i]),
			.eager = 1,
		};

		update(storage, &fds[i], &sk);
		enter(fds[i]);
	}
}

/* --- the scenarios: each leaves bytes A unread in TCP's queue ------------ */

static void send_letters(int fd, int which)
{
	send_all(fd, letters[which], SIZE);
}

static int client_socket(void)
{
	return open_socket(&address, 0);
}

static void connect_client(int fd)
{
	if (connect(fd, &address.sa, address_len(&address)))
		die("connect");
}

static bool nobody_at(int listener)
{
	struct pollfd waiting = { .fd = listener, .events = POLLIN };

	return poll(&waiting, 1, 0) == 0;
}

/* Without quick acks, bytes A carry the last ACK of the handshake: the accepted socket, and
 * its entry in the map, are made when A arrives. */
static struct pair late(void)
{
	int listener = listen_at(&address, 1);
	struct pair p = { .sender = client_socket() };

	set_option(p.sender, IPPROTO_TCP, TCP_QUICKACK, 0);
	connect_client(p.sender);
	if (!nobody_at(listener))
		leave(SKIP, "the handshake's last ack was not held back");
	send_letters(p.sender, 0);
	p.reader = accept_from(listener);
	return p;
}

static struct pair defer_accept(void)
{
	int listener = listen_at(&address, 1);
	struct pair p = { .sender = client_socket() };

	set_option(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
	connect_client(p.sender);
	if (!nobody_at(listener))
		leave(SKIP, "the accept was not deferred");
	send_letters(p.sender, 0);
	p.reader = accept_from(listener);
	return p;
}

static struct pair older(void)
{
	int listener = listen_at(&address, 1);
	struct pair p = { .sender = client_socket() };

	connect_client(p.sender);
	p.reader = accept_from(listener);
	send_letters(p.sender, 0);
	say("ready");
	await_line();
	enter_both(p);
	return p;
}

static volatile int sending_tid;

static void *send_first(void *fd)
{
	sending_tid = syscall(SYS_gettid);
	send_letters(*(int *)fd, 0);
	return NULL;
}

static bool sleeps(int tid)
{
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	file = fopen(path, "r");
	if (!file)
		die(path);
	if (fscanf(file, "%*d %*s %c", &state) != 1)
		die(path);
	fclose(file);
	return state == 'S';
}

/* A full accept queue drops the SYN. Its retransmission, a second later, finds room; a send
 * has been waiting since then. */
static struct pair syn_sent(void)
{
	int listener = listen_at(&address, 0);
	int filler = client_socket();
	struct pair p = { .sender = client_socket() };
	pthread_t thread;

	connect_client(filler);
	until(!nobody_at(listener));
	set_nonblocking(p.sender, true);
	if (!connect(p.sender, &address.sa, address_len(&address)) || errno != EINPROGRESS)
		leave(SKIP, "the connection was not held up");
	set_nonblocking(p.sender, false);
	pthread_create(&thread, NULL, send_first, &p.sender);
	until(sending_tid && sleeps(sending_tid));
	if (info_of(p.sender).tcpi_state != 2 /* TCP_SYN_SENT */)
		leave(SKIP, "the connection was not held up");
	close(accept_from(listener));
	p.reader = accept_from(listener);
	pthread_join(thread, NULL);
	return p;
}

static struct pair fast_open(void)
{
	int listener = listen_at(&address, 5);
	struct pair p = { .sender = client_socket() };
	ssize_t n;

	set_option(listener, IPPROTO_TCP, TCP_FASTOPEN, 5);
	n = sendto(p.sender, letters[0], SIZE, MSG_FASTOPEN, &address.sa, address_len(&address));
	if (n < 0)
		leave(SKIP, "no TCP Fast Open: %s", strerror(errno));
	send_all(p.sender, letters[0] + n, SIZE - n);
	p.reader = accept_from(listener);
	return p;
}

/* The first connection asks for a cookie, without data in its SYN. It is paired while the
 * call that sends A waits for it. */
static struct pair fast_open_cookie(void)
{
	struct pair p = fast_open();

	if (info_of(p.sender).tcpi_options & TCPI_OPT_SYN_DATA)
		leave(SKIP, "the SYN carried data");
	return p;
}

static struct pair fast_open_data(void)
{
	struct pair p = fast_open();

	if (!(info_of(p.sender).tcpi_options & TCPI_OPT_SYN_DATA))
		leave(SKIP, "the SYN carried no data");
	say("ready");
	await_line();
	enter_both(p);
	return p;
}

static struct pair readded(void)
{
	int socks = open_map("shunt_socks");
	int listener = listen_at(&address, 1);
	struct pair p = { .sender = client_socket() };
	__u64 key;

	connect_client(p.sender);
	p.reader = accept_from(listener);
	key = cookie_of(p.reader);
	if (!delete (socks, &key))
		leave(FAIL, "the reader was not in the map");
	send_letters(p.sender, 0);
	enter(p.reader);
	return p;
}

static const struct scenario {
	const char *name;
	struct pair (*arrange)(void);
} scenarios[] = {
	{ "late", late },
	{ "older", older }, /* HAND */
	{ "syn-sent", syn_sent },
	{ "fast-open", fast_open_data }, /* HAND */
	{ "fast-open-cookie", fast_open_cookie },
	{ "defer-accept", defer_accept },
	{ "readded", readded }, /* HAND */
	{ NULL, NULL },
};

static void expect_letters(int fd, int which)
{
	char got[SIZE];
	size_t i;

	if (recv_all(fd, got, SIZE) != SIZE)
		leave(FAIL, "the stream ended early");
	for (i = 0; i < SIZE; i++)
		if (got[i] != letters[which][0])
			leave(FAIL, "reordered: '%c' came where '%c' was due", got[i],
			      letters[which][0]);
}

int main(int argc, char **argv)
{
	const struct scenario *s = scenarios;
	struct pair p;
	int i;

	if (argc < 2 || argc > 3)
		leave(2, "usage: reorder SCENARIO [PIN_DIR]");
	if (argc == 3)
		pin_dir = argv[2];
	while (s->name && strcmp(s->name, argv[1]))
		s++;
	if (!s->name)
		leave(2, "unknown scenario '%s'", argv[1]);
	for (i = 0; i < 3; i++)
		memset(letters[i], 'A' + i, SIZE);
	address = address_of("127.0.0.1", 0);

	p = s->arrange();
	until(info_of(p.reader).tcpi_bytes_received >= SIZE);
	send_letters(p.sender, 1);
	for (i = 0; i < 2; i++)
		expect_letters(p.reader, i);
	send_letters(p.sender, 2);
	expect_letters(p.reader, 2);
	say("in order");
	return PASS;
}
