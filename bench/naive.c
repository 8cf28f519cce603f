// SPDX-License-Identifier: GPL-2.0-only
/*
 * naive OBJECT CGROUP [PROGRAM]
 *
 * Attaches the sockmap of OBJECT (bench/naive.bpf.c) to CGROUP, with PROGRAM
 * (naive_redirect) as its verdict, and prints the id of that. Nothing is pinned:
 * all is gone when this process ends, with its parent at the latest.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "naive: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct bpf_program *program(struct bpf_object *object, const char *name)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(object, name);

	if (!prog)
		die(name);
	return prog;
}

static unsigned int id_of(int prog_fd)
{
	struct bpf_prog_info info = {};
	unsigned int len = sizeof(info);

	if (bpf_obj_get_info_by_fd(prog_fd, &info, &len))
		die("program");
	return info.id;
}

int main(int argc, char **argv)
{
	struct bpf_object *object;
	int cgroup, map, verdict;

	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: naive OBJECT CGROUP [PROGRAM]\n");
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	object = bpf_object__open_file(argv[1], NULL);
	if (!object || bpf_object__load(object))
		die(argv[1]);
	cgroup = open(argv[2], O_RDONLY | O_DIRECTORY);
	if (cgroup < 0)
		die(argv[2]);
	map = bpf_object__find_map_fd_by_name(object, "naive_socks");
	verdict = bpf_program__fd(program(object, argc > 3 ? argv[3] : "naive_redirect"));
	if (bpf_prog_attach(verdict, map, BPF_SK_MSG_VERDICT, 0))
		die("verdict");
	if (!bpf_program__attach_cgroup(program(object, "naive_insert"), cgroup))
		die(argv[2]);
	printf("%u\n", id_of(verdict));
	fflush(stdout);
	pause();
	return 0;
}
