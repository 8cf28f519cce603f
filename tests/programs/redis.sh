# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# expect: promotion
#
# Redis: its benchmark, the data afterwards, replication, publishing.

# shellcheck source=tests/programs/lib.inc
. "$HERE/lib.inc"
need redis-server redis-cli redis-benchmark

cli()
{
	timeout -k 5 60 redis-cli -p 6390 "$@"
}

bench()
{
	timeout -k 5 60 redis-benchmark -p 6390 "$@" >bench.log 2>bench.err
	result "benchmark $*" "exit $?, errors $(grep -ci error bench.log bench.err | paste -sd ' ')"
	figure "benchmark $* a second" "$(tr '\r' '\n' <bench.log |
		awk '/requests per second/ && !/rps=/ { print $(NF - 5), $(NF - 4), $(NF - 3); exit } /throughput summary/ { print $3; exit }')"
}

for port in 6390 6391; do
	mkdir "$port"
	start redis-server --port $port --bind 127.0.0.1 --dir "$port" --save '' \
		--enable-debug-command yes --repl-diskless-sync-delay 0 --protected-mode no
done
await 6390 6391

bench -t get,set -n 100000 -c 1
bench -t get,set -n 200000 -c 20
bench -t get,set,lpush,lpop -n 200000 -c 20 -P 16
bench -t get,set -n 20000 -c 4 -d 16384
bench -t get,set -n 2000 -c 4 -d 1000000
cli flushall >/dev/null
seq 1 100000 | awk '{ print "SET key:" $1 " value:" $1 * 7919 % 1000003 }' | cli --pipe >pipe.log
result 'mass insertion' "$(tail -n 1 pipe.log)"
seq 1 2000 | awk '{ print "HSET h:" $1 % 50 " f" $1 " " $1; print "LPUSH l:" $1 % 7 " " $1;
	print "ZADD z " $1 " m" $1; print "APPEND a " $1 }' | cli >cmds.log
result 'commands' "$(sha256sum <cmds.log | cut -c 1-16)"
head -c 30000000 /dev/zero | tr '\0' x | cli -x set big >/dev/null
result 'big value' "$(cli get big | sha256sum | cut -c 1-16)"
result 'digest' "$(cli debug digest)"
result 'scan' "$(cli --scan | sort | sha256sum | cut -c 1-16)"

redis-cli -p 6391 replicaof 127.0.0.1 6390 >/dev/null
for ((i = 0; i < 200; i++)); do
	cli info replication | grep -q 'state=online' && break
	sleep 0.1
done
bench -t set,incr -n 100000 -c 8 -r 1000
result 'replicas' "$(cli wait 1 10000)"
if [ "$(cli debug digest)" = "$(redis-cli -p 6391 debug digest)" ]; then
	result 'replica' same
else
	result 'replica' differs
fi

timeout 20 redis-cli -p 6390 subscribe ch >sub.log &
sub=$!
started+=("$sub")
sleep 0.5
seq 1 20000 | sed 's/^/PUBLISH ch m/' | cli >/dev/null
sleep 0.5
kill $sub
result 'published' "$(grep -c '^m' sub.log)"
result 'blocking pop' "$( (sleep 1; cli rpush q v) >/dev/null & cli blpop q 10 | tr '\n' ' ')"
result 'time-out of a pop' "$(cli blpop none 1)"
result 'client killed' "$( (sleep 1; cli client kill type normal) >/dev/null & cli blpop none 10 2>&1 | tr '\n' ' ')"
result 'errors' "$(cli info errorstats | tr -d '\r' | grep -v '^#' | tr '\n' ' ')"
