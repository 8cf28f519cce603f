# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# expect: none
#
# Go as it is since 1.24: listeners are MPTCP.

# shellcheck source=tests/programs/lib.inc
. "$HERE/lib.inc"
need go
[ "$(cat /proc/sys/net/mptcp/enabled 2>/dev/null)" = 1 ] || give_up "no MPTCP on this kernel"
GOCACHE=$BUILD/go GO111MODULE=off GOFLAGS='' go build -o relay "$HERE/relay.go" || exit
for style in echo http relay late-relay; do
	GODEBUG=multipathtcp=2 timeout -k 5 60 ./relay "$style" 2>>go.err
	result "$style: exit" $?
done
cat go.err >&2
