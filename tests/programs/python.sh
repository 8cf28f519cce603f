# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# expect: promotion
#
# Python: blocking, with time-outs, threaded, asyncio, http.server, socketserver.

# shellcheck source=tests/programs/lib.inc
. "$HERE/lib.inc"
need python3
for style in blocking timeout asyncio asyncio-streams socketserver http xmlrpc selectors; do
	timeout -k 5 60 python3 "$HERE/python.py" $style 2>>python.err
	result "$style: exit" "$?"
done
cat python.err >&2
