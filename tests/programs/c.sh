# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# expect: promotion
#
# A C program's corners of the socket interface, each on a connection that was
# hot first.

# shellcheck source=tests/programs/lib.inc
. "$HERE/lib.inc"
need gcc
flags=()
libs=()
if echo '#include <liburing.h>' | gcc -E - >gcc.log 2>&1; then
	flags=(-DHAVE_URING)
	libs=(-luring)
fi
gcc -O2 -Wall -D_GNU_SOURCE "${flags[@]}" -o corners "$HERE"/corners/*.c -pthread "${libs[@]}" || exit
for name in ${CASES:-$(./corners)}; do
	timeout -k 5 40 ./corners "$name" 2>>corners.err || result "$name: exit" $?
done
cat corners.err >&2
