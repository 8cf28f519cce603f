// SPDX-License-Identifier: GPL-2.0-only
/* Rules of each shape, and what it takes to apply them. */
#include "steer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

static void make_rule(struct rule *r, int i, enum shape shape)
{
	*r = (struct rule){ .dst = 10U << 24 | i, .dst_len = 32, .low = 443, .high = 443 };
	if (shape == NESTED) {
		r->dst_len = 8 + pick(25);
		r->dst = (10U << 24 | pick(1 << 24)) & ~0ULL << (32 - r->dst_len);
		r->low = 1 + pick(60000);
		r->high = r->low + pick(pick(2) ? 10 : 5000);
	} else if (shape == ONE) {
		r->dst = 10U << 24;
		r->dst_len = 8;
		r->src = 172U << 24 | (i / 100 + 1);
		r->low = 1 + i % 100 * 300;
		r->high = r->low + 1000 + i % 100;
	}
}

static const char *address(unsigned int a, char text[INET_ADDRSTRLEN])
{
	a = htonl(a);
	return inet_ntop(AF_INET, &a, text, INET_ADDRSTRLEN);
}

static void print_rules(const char *path, enum shape shape, const char *proto)
{
	char dst[INET_ADDRSTRLEN], src[INET_ADDRSTRLEN];
	FILE *f = fopen(path, "w");
	int i;

	if (!f)
		die("%s", path);
	for (i = 0; i < count; i++) {
		struct rule *r = &rules[i];

		make_rule(r, i, shape);
		fprintf(f, "%s dst %s/%u dport %u-%u", proto, address(r->dst, dst), r->dst_len,
			r->low, r->high);
		if (r->src)
			fprintf(f, " src %s", address(r->src, src));
		fprintf(f, " to 127.0.0.1:%d\n", PORT);
	}
	fclose(f);
}

/* Of random rules two may be the same. The file must have each only once. */
void apply(enum shape shape, const char *proto, double *ret_seconds, long *ret_kbytes)
{
	char path[] = "/tmp/bench-steer.XXXXXX";
	int fd = mkstemp(path), status;
	struct rusage usage;
	double begin;
	pid_t child;

	if (fd < 0)
		die("%s", path);
	close(fd);
	print_rules(path, shape, proto);
	if (shape == NESTED)
		run("sort -u -k3,3 -k5,5 -o %s %s", path, path);
	begin = seconds();
	child = fork();
	if (!child) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(127);
		execl(shunt, shunt, "apply", path, NULL);
		_exit(127);
	}
	if (wait4(child, &status, 0, &usage) < 0 || status)
		die("apply");
	*ret_seconds = seconds() - begin;
	*ret_kbytes = usage.ru_maxrss;
	unlink(path);
}

long map_bytes(const char *name)
{
	char path[128], line[128];
	unsigned int zero = 0, id;
	long bytes = 0;
	int outer, fd;
	FILE *f;

	snprintf(path, sizeof(path), PIN_DIR "/maps/%s", name);
	outer = bpf_obj_get(path);
	if (outer < 0 || bpf_map_lookup_elem(outer, &zero, &id))
		die("%s", path);
	fd = bpf_map_get_fd_by_id(id);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "memlock: %ld", &bytes);
	if (f)
		fclose(f);
	close(fd);
	close(outer);
	return bytes;
}
