/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers of the system calls that the programs distinguish, for each architecture. */
#ifndef SHUNT_SYSCALLS_BPF_H
#define SHUNT_SYSCALLS_BPF_H

/* arch/x86/entry/syscalls/syscall_64.tbl */
enum x86_64_syscall {
	X86_64_READ = 0,
	X86_64_IOCTL = 16,
	X86_64_READV = 19,
	X86_64_SENDFILE = 40,
	X86_64_SENDTO = 44,
	X86_64_RECVFROM = 45,
	X86_64_SENDMSG = 46,
	X86_64_RECVMSG = 47,
	X86_64_SPLICE = 275,
	X86_64_RECVMMSG = 299,
	X86_64_SENDMMSG = 307,
};

/* include/uapi/asm-generic/unistd.h */
enum arm64_syscall {
	ARM64_IOCTL = 29,
	ARM64_READ = 63,
	ARM64_READV = 65,
	ARM64_SENDFILE = 71,
	ARM64_SPLICE = 76,
	ARM64_RECVFROM = 207,
	ARM64_RECVMSG = 212,
	ARM64_RECVMMSG = 243,
};

#endif
