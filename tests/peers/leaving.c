// SPDX-License-Identifier: GPL-2.0-only
/*
 * leaving PINNED_CONF: bytes that are sent while a pair leaves the fast path. Behind
 * redirected bytes they are redirected too, so that one read gets both; with an empty
 * queue they go by TCP. Urgent bytes always go by TCP.
 */
#include "peer.h"

#include <linux/bpf.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <shunt/abi.h>

static struct shunt_conf *map_conf(const char *path)
{
	union bpf_attr attr = { .pathname = (uintptr_t)path };
	int fd = syscall(SYS_bpf, BPF_OBJ_GET, &attr, sizeof(attr));
	void *conf = mmap(NULL, sizeof(struct shunt_conf), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			  0);

	if (conf == MAP_FAILED)
		die(path);
	return conf;
}

static void put(int fd, const char *text)
{
	if (send(fd, text, strlen(text), 0) != (ssize_t)strlen(text))
		die("send");
}

static void expect(int fd, const char *text)
{
	char got[16] = "";
	ssize_t n;

	until((n = recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT)) > 0);
	if (strcmp(got, text))
		leave(FAIL, "'%s' came where '%s' was due", got, text);
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int listener = socket(AF_INET, SOCK_STREAM, 0), a = socket(AF_INET, SOCK_STREAM, 0), b;
	struct shunt_conf *conf = map_conf(argc > 1 ? argv[1] : "");
	struct pollfd urgent = { .events = POLLPRI };
	socklen_t len = sizeof(addr);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (void *)&addr, len) || listen(listener, 1) ||
	    getsockname(listener, (void *)&addr, &len) || connect(a, (void *)&addr, len))
		die("connect");
	b = accept(listener, NULL, NULL);
	urgent.fd = b;
	put(a, "one ");
	conf->run.drain_mode = DRAIN_KEEP_QUEUED;
	put(a, "two");
	expect(b, "one two");
	put(a, "three");
	expect(b, "three");
	put(a, "four");
	expect(b, "four");
	conf->run.drain_mode = DRAIN_OFF;
	put(a, "five");
	conf->run.drain_mode = DRAIN_KEEP_QUEUED;
	if (send(a, "!", 1, MSG_OOB) != 1)
		die("MSG_OOB");
	until(poll(&urgent, 1, 0) == 1 && urgent.revents & POLLPRI);
	expect(b, "five");
	return PASS;
}
