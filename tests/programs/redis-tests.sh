# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Redis's own tests, a part of them.

# shellcheck source=tests/programs/lib.inc
. "$HERE/lib.inc"
need redis-server tclsh
source_of redis || give_up "no source of redis; tests/programs/sources fetches it"
cd source || exit
for name in server cli benchmark check-aof check-rdb sentinel; do
	ln -s "$(command -v redis-$name)" src/
done
UNITS=${UNITS:-'unit/type/string unit/type/list unit/type/hash unit/type/zset unit/type/stream
	unit/expire unit/keyspace unit/scan unit/multi unit/pubsub unit/scripting unit/querybuf
	unit/obuf-limits unit/limits unit/protocol unit/introspection unit/other unit/client-eviction
	unit/networking integration/replication integration/replication-psync integration/block-repl
	integration/redis-benchmark integration/redis-cli integration/replication-buffer'}
for unit in $UNITS; do
	[ -e "tests/$unit.tcl" ] || continue
	timeout -k 5 500 ./runtest --clients 1 --skip-till "" --single "$unit" >log 2>&1
	result "$unit" "exit $?"
	sed 's/\x1b\[[0-9;]*m//g' log | grep -E '^\[(ok|err|exception|skip|ignore)\]' |
		sed -E 's/ \([0-9]+ ms\)//' | awk -v u="$unit" '
		{ s = $1; $1 = ""; sub(/^ /, ""); gsub(/ = /, " "); sub(/ in tests.*/, "")
		  gsub(/[0-9.]+ ?(seconds|ms|MB)/, ""); print u ":" $0 " (" ++n[$0] ") = " s }'
done
