# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# socat: echo, relays, half-close.

# shellcheck source=tests/programs/lib.inc
. "$HERE/lib.inc"
need socat openssl
random_file data 50000000
random_file small 100
start socat TCP-LISTEN:8101,bind=127.0.0.1,reuseaddr,fork EXEC:cat
start socat TCP-LISTEN:8102,bind=127.0.0.1,reuseaddr,fork TCP:127.0.0.1:8101
start socat TCP-LISTEN:8103,bind=127.0.0.1,reuseaddr,fork,nonblock TCP:127.0.0.1:8101,nonblock
start socat -u OPEN:data TCP-LISTEN:8104,bind=127.0.0.1,reuseaddr
start socat -u TCP-LISTEN:8105,bind=127.0.0.1,reuseaddr CREATE:taken
start socat TCP-LISTEN:8106,bind=127.0.0.1,reuseaddr,fork SYSTEM:'sha256sum'
await 8101 8102 8103 8104 8105 8106
for port in 8101 8102 8103; do
	# shellcheck disable=SC2016
	sum "port $port: echo" bash -c 'socat -t 20 - TCP:127.0.0.1:$0 <data' $port
	# shellcheck disable=SC2016
	sum "port $port: echo, non-blocking" bash -c 'socat -t 20 - TCP:127.0.0.1:$0,nonblock <data' $port
	# shellcheck disable=SC2016
	sum "port $port: small pieces" bash -c 'socat -b 100 -t 20 - TCP:127.0.0.1:$0 < <(head -c 2000000 data)' $port
done
sum 'one way out' socat -u TCP:127.0.0.1:8104 -
check 'one way in' socat -u OPEN:data TCP:127.0.0.1:8105
sleep 0.5
sum 'taken' cat taken
# shellcheck disable=SC2016
value 'half-close' bash -c 'socat -t 20 - TCP:127.0.0.1:8106 <data'
