# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# expect: promotion
#
# PostgreSQL over TCP: pgbench, large values both ways, COPY, cancelling.

# shellcheck source=tests/programs/lib.inc
. "$HERE/lib.inc"
# shellcheck source=tests/programs/postgres.inc
. "$HERE/postgres.inc"

query()
{
	value "$1" psql -XAtc "$2"
}

bench()
{
	timeout -k 5 60 pgbench -n "$@" >bench.log 2>bench.err
	result "pgbench $*" "exit $?, $(grep -o 'failed transactions: [0-9]*' bench.log)"
	figure "pgbench $* a second" "$(awk '/^tps/ { print $3 }' bench.log)"
}

check 'initialise' pgbench -i -q -s 3
bench -S -c 1 -T 2
bench -S -c 4 -j 2 -T 3
bench -S -M prepared -c 4 -j 2 -T 3
bench -c 4 -j 2 -T 3
psql -Xqc 'update pgbench_accounts set abalance = 0'
bench --random-seed=7 -c 1 -t 2000
query 'balances' "select md5(string_agg(aid || ':' || abalance, ',' order by aid)) from pgbench_accounts where abalance <> 0"
sum 'COPY out' psql -XAtc "copy (select i, md5(i::text) from generate_series(1, 500000) i) to stdout"
psql -XAtc "copy (select i, repeat(md5(i::text), 20) from generate_series(1, 100000) i) to stdout" >rows
check 'COPY in' bash -c "psql -Xqc 'create table rows (i int, t text)' && psql -Xqc 'copy rows from stdin' <rows"
query 'copied' "select count(*), md5(string_agg(t, '' order by i)) from rows"
sum 'large value' psql -XAtc "select repeat('0123456789abcdef', 3000000)"
printf "select md5('%s');\n" "$(head -c 20000000 /dev/zero | tr '\0' y)" >large.sql
value 'large query' psql -XAtf large.sql
query 'many rows' "select count(*) from (select * from generate_series(1, 1000000)) x"
check 'cancel' timeout --preserve-status -s INT 1 psql -XAtc 'select pg_sleep(20)'
check 'statement time-out' psql -XAtc "set statement_timeout = 300" -c 'select pg_sleep(20)'
psql -XAtc 'select pg_sleep(20)' >ended 2>&1 &
sleep 1
query 'terminated' "select count(pg_terminate_backend(pid)) from pg_stat_activity where query like '%sleep(20)%' and pid <> pg_backend_pid()"
wait $!
result 'its client' "exit $?, $(head -n 1 ended)"
result 'notify' "$(psql -XAtc 'listen ch' -c "notify ch, 'payload'" | sed 's/PID.*//' | tr '\n' ' ')"
as_nobody pg_ctl stop -D data -m fast -s
