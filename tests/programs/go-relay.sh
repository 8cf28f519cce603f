# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# expect: none
#
# A relay that does nothing but io.Copy: never promoted, MPTCP or not.

# shellcheck source=tests/programs/lib.inc
. "$HERE/lib.inc"
need go
GOCACHE=$BUILD/go GO111MODULE=off GOFLAGS='' go build -o relay "$HERE/relay.go" || exit
for mptcp in 0 2; do
	GODEBUG=multipathtcp=$mptcp timeout -k 5 60 ./relay relay 2>>go.err | sed "s/ =/, multipathtcp=$mptcp =/"
	result "multipathtcp=$mptcp: exit" "${PIPESTATUS[0]}"
done
cat go.err >&2
