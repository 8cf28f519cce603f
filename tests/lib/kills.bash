# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# kill -9 of a command at each system call that changes something.

CALLS=bpf,unlink,unlinkat,mkdir,mkdirat,rmdir,rename,renameat2,mount,umount2,sendto,sendmsg,write,pwrite64,exit_group
CHANGES='^(unlink|mkdir|rmdir|rename|u?mount|send|exit_group)|^p?write[0-9]*[(]([3-9]|[12][0-9])|BPF_(OBJ_PIN|LINK_CREATE|LINK_UPDATE|LINK_DETACH|PROG_ATTACH|PROG_DETACH|MAP_UPDATE_ELEM|MAP_DELETE_ELEM)'

# changes COMMAND...: runs it and prints NAME NUMBER for each system call that
# changes something, and for its exit. Of many of a kind, such as pins, each
# eighth does, or all with EVERY_POINT=1.
changes()
{
	strace -qq -o "$BATS_TEST_TMPDIR/calls" -e trace="$CALLS" "$@" 3>&- 2>/dev/null
	awk -v changes="$CHANGES" -v every="${EVERY_POINT:-0}" '{
		name = kind = $0
		sub(/[(].*/, "", name)
		sub(/[,)].*/, "", kind)
		if (name != "bpf")
			kind = name
		number[name]++
	}
	$0 ~ changes && (++seen[kind] <= 3 || seen[kind] % 8 == 0 || every) {
		print name, number[name]
	}' "$BATS_TEST_TMPDIR/calls"
}

# killed_at NAME NUMBER COMMAND...: kills it as it enters that system call
killed_at()
{
	local result=0

	strace -qq -o /dev/null -e trace="$1" -e inject="$1:signal=KILL:when=$2" \
		"${@:3}" 3>&- 2>/dev/null || result=$?
	[ $result = 137 ] || echo "$1 $2 was not reached" >&2
	[ $result = 137 ]
}
