# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# expect: promotion
#
# Node: echo, pipes, a proxy of streams, half-open sockets, resets, HTTP.

# shellcheck source=tests/programs/lib.inc
. "$HERE/lib.inc"
need node
for style in ${STYLES:-echo proxy halfopen reset pause http http-proxy}; do
	timeout -k 5 60 node "$HERE/node.js" "$style" 2>>node.err
	result "$style: exit" "$?"
done
cat node.err >&2
