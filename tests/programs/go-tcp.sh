# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# expect: promotion
#
# Go with plain TCP listeners.

# shellcheck source=tests/programs/lib.inc
. "$HERE/lib.inc"
need go
GOCACHE=$BUILD/go GO111MODULE=off GOFLAGS='' go build -o relay "$HERE/relay.go" || exit
for style in echo http relay late-relay; do
	GODEBUG=multipathtcp=0 timeout -k 5 60 ./relay "$style" 2>>go.err
	result "$style: exit" $?
done
cat go.err >&2
