// SPDX-License-Identifier: GPL-2.0-only
/*
 * foreign prog PIN        a tc program that is not shunt's, for tc to attach
 * foreign tcx IFACE PIN   the same, attached by a tcx link
 * foreign sock_ops PIN    a sock_ops program, which does nothing
 *
 * The tc program sets bit 2 (4) in the mark of every packet, and lets the next program run.
 */
#include "peer.h"

#include <linux/bpf.h>
#include <net/if.h>
#include <stddef.h>

#include <bpf/bpf.h>

#define TCX_INGRESS 46 /* BPF_TCX_INGRESS; not in 6.1's headers */
#define MARK 4

static int load_sock_ops(void)
{
	static const struct bpf_insn program[] = {
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1 },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SOCK_OPS, "foreign_ops", "GPL", program,
			       sizeof(program) / sizeof(program[0]), NULL);

	if (fd < 0)
		die("load");
	return fd;
}

static int load(void)
{
	static const struct bpf_insn program[] = {
		{ BPF_LDX | BPF_MEM | BPF_W, 2, 1, offsetof(struct __sk_buff, mark), 0 },
		{ BPF_ALU | BPF_OR | BPF_K, 2, 0, 0, MARK },
		{ BPF_STX | BPF_MEM | BPF_W, 1, 2, offsetof(struct __sk_buff, mark), 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, -1 }, /* TC_ACT_UNSPEC */
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "foreign", "GPL", program,
			       sizeof(program) / sizeof(program[0]), NULL);

	if (fd < 0)
		die("load");
	return fd;
}

int main(int argc, char **argv)
{
	int fd = -1;

	if (argc == 3 && !strcmp(argv[1], "prog")) {
		fd = load();
	} else if (argc == 3 && !strcmp(argv[1], "sock_ops")) {
		fd = load_sock_ops();
	} else if (argc == 4 && !strcmp(argv[1], "tcx")) {
		fd = bpf_link_create(load(), if_nametoindex(argv[2]), TCX_INGRESS, NULL);
		if (fd < 0 && errno == EINVAL)
			leave(SKIP, "this kernel has no tcx");
	} else {
		leave(2, "usage: foreign prog|sock_ops PIN | foreign tcx IFACE PIN");
	}
	if (fd < 0 || bpf_obj_pin(fd, argv[argc - 1]))
		die(argv[1]);
	return PASS;
}
