#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Metrics by HTTP: 'shunt run --metrics'. What the metrics say is in metrics_values.bats.

bats_require_minimum_version 1.5.0
load ../lib/metrics

setup()
{
	need curl
	ip link add v0 type veth peer name v1
	ip link set v0 up
	ip link set v1 up
	shunt load --iface v0
}

teardown()
{
	clean_up
	ip link del v0
	[ ! -e /run/shunt ]
}

@test "metrics: Prometheus' text format, and OpenMetrics for those who ask for it" {
	serve_metrics
	[ "$(head_of HTTP/1.1)" = '200 OK' ]
	[ "$(head_of Content-Type)" = 'text/plain; version=0.0.4; charset=utf-8' ]
	get | grep -qx '# TYPE shunt_steer_fragments_total counter'
	run ! grep -q '^# EOF' <(get)
	for accept in 'application/openmetrics-text' 'text/html, Application/OpenMetrics-Text; version=1.0.0' \
		'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1'; do
		[ "$(head_of Content-Type -H "Accept: $accept")" = \
			'application/openmetrics-text; version=1.0.0; charset=utf-8' ]
	done
	get -H 'Accept: application/openmetrics-text' "$URL" >"$BATS_TEST_TMPDIR/open"
	grep -qx '# TYPE shunt_steer_fragments counter' "$BATS_TEST_TMPDIR/open"
	grep -qx 'shunt_steer_fragments_total 0' "$BATS_TEST_TMPDIR/open"
	[ "$(tail -n 1 "$BATS_TEST_TMPDIR/open")" = '# EOF' ]
	for accept in '*/*' 'text/plain;version=0.0.4;q=0.6,application/openmetrics-text;q=0.5' \
		'application/openmetrics-text;q=0,*/*' 'application/openmetrics-textual' ''; do
		[ "$(head_of Content-Type -H "Accept: $accept")" = 'text/plain; version=0.0.4; charset=utf-8' ]
	done
}

@test "metrics: HEAD has the head alone; other paths and methods are refused" {
	serve_metrics
	[ "$(code -I "$URL")" = 200 ]
	[ "$(get -I "$URL" | tr -d '\r' | sed -n 's/^Content-Length: //p')" -gt 1000 ]
	[ "$(code "$URL/")" = 404 ]
	[ "$(code "http://127.0.0.1:$PORT/")" = 404 ]
	[ "$(code "http://127.0.0.1:$PORT/../metrics" --path-as-is)" = 404 ]
	[ "$(code "$URL?rules=1")" = 200 ]
	for method in POST PUT DELETE OPTIONS; do
		[ "$(code -X $method -d text "$URL")" = 405 ]
	done
	[ "$(head_of Allow -X POST)" = 'GET, HEAD' ]
	metric 'shunt_loaded 1'
}

at_path()
{
	get --unix-socket "$1" http://shunt/metrics
}

@test "metrics: at a Unix socket, for root and the group only" {
	local path=$BATS_TEST_TMPDIR/m.sock

	spawn supervisor "$SHUNT" run --metrics unix:/run/shunt/m.sock --group daemon
	wait_for at_path /run/shunt/m.sock
	[ "$(stat -c '%F %a %U %G' /run/shunt/m.sock)" = 'socket 660 root daemon' ]
	at_path /run/shunt/m.sock | grep -qx 'shunt_loaded 1'
	kill "$(cat "$BATS_TEST_TMPDIR/supervisor.pid")"
	reap supervisor
	[ ! -e /run/shunt ]
	rm "$BATS_TEST_TMPDIR"/supervisor.*
	# a file is never replaced, a socket without a process is
	echo mine >"$path"
	run -1 "$SHUNT" run --metrics "$path" 3>&-
	[[ $output == *"'$path' is there, and is no socket"* ]]
	[ "$(cat "$path")" = mine ]
	rm "$path"
	spawn other socat -u "UNIX-LISTEN:$path,fork,unlink-close=0" /dev/null
	wait_for test -S "$path"
	run -1 "$SHUNT" run --metrics "$path" 3>&-
	[[ $output == *"another process listens at '$path'"* ]]
	end_all
	[ -S "$path" ]
	spawn supervisor "$SHUNT" run --metrics "$path"
	wait_for at_path "$path"
	[ "$(stat -c '%a %U %G' "$path")" = '660 root root' ]
}

@test "metrics: at an IPv6 address" {
	spawn supervisor "$SHUNT" run --metrics "[::1]:$PORT"
	wait_for get "http://[::1]:$PORT/metrics"
	[ "$(ss -Hltn "sport = :$PORT" | awk '{ print $4 }')" = "[::1]:$PORT" ]
}

@test "metrics: without an address only this host can ask" {
	serve_metrics
	[ "$(ss -Hltn "sport = :$PORT" | awk '{ print $4 }')" = "127.0.0.1:$PORT" ]
}

@test "metrics: a port that is taken is an error, and nothing is started" {
	spawn taken socat -u "TCP-LISTEN:$PORT,bind=127.0.0.1,reuseaddr" /dev/null
	wait_for listens "$PORT"
	run -1 timeout 10 "$SHUNT" run --metrics ":$PORT" 3>&-
	[ "$output" = "shunt: can't listen at ':$PORT': Address already in use" ]
	metrics_of_shunt=$(shunt metrics)
	grep -qx 'shunt_supervisor_running 0' <<<"$metrics_of_shunt"
	run -1 timeout 10 "$SHUNT" run --metrics "192.0.2.1:$PORT" 3>&-
	[[ $output == *"can't listen at '192.0.2.1:$PORT'"* ]]
}

# wrong TEXT WORD...: exit code 2, with one line that has the text
wrong()
{
	run -2 timeout 10 "$SHUNT" run "${@:2}" 3>&-
	echo "$output"
	[ "${#lines[@]}" = 1 ] && [[ $output == "shunt: "*"$1"* ]]
}

@test "metrics: words that are wrong are named, and nothing is started" {
	local word

	for word in x 127.0.0.1 9640 localhost:9640 127.0.0.1.1:9640 ::1:9640 '[::1:9640' '[]:9640' \
		'[127.0.0.1]:9640' 'unix' ''; do
		wrong "--metrics '$word': not ADDRESS:PORT" --metrics "$word"
	done
	for word in : :0 :65536 :-1 :x :09640 127.0.0.1:9640x '[::1]'; do
		wrong "--metrics '$word': the port is not" --metrics "$word"
	done
	wrong "'unix:run': the path does not begin with '/'" --metrics unix:run
	word=/$(printf '%0200d' 0)
	wrong "--metrics '$word': the path has more than 107 bytes" --metrics "$word"
	wrong '--metrics: a value is missing' --metrics
	wrong "--metrics-rules: without '--metrics'" --metrics-rules
	wrong "unknown word 'x'" --metrics ":$PORT" x
	run ! listens "$PORT"
}

heartbeats_go_on()
{
	local age i

	for i in {1..20}; do
		age=$(shunt metrics | sed -n 's/^shunt_supervisor_heartbeat_age_seconds \([0-9]*\)[.].*/\1/p')
		[ "$age" = 0 ] || return
		pause
	done
}

@test "metrics: slow clients hold up neither the supervisor nor others for long" {
	local i

	serve_metrics
	# more than the server takes at a time: half of them say nothing, half a byte now and then
	for i in {1..12}; do
		spawn "silent$i" socat -u "TCP:127.0.0.1:$PORT" -
		# shellcheck disable=SC2016 # for the inner shell
		spawn "slow$i" bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0"
			printf "GET /metrics HTTP/1.1\r\nX: " >&3
			while sleep 0.3 && printf x >&3; do :; done' "$PORT" 2>/dev/null
	done
	many_are_there()
	{
		[ "$(connections)" -ge 16 ]
	}
	wait_for many_are_there
	heartbeats_go_on
	PATIENCE=40 wait_for scraped
	PATIENCE=40 wait_for ended slow1
	PATIENCE=40 wait_for ended silent1
	metric 'shunt_supervisor_running 1'
}

@test "metrics: a client that does not read its answer is cut off" {
	serve_metrics --metrics-rules
	seq 1 3000 | sed 's|.*|tcp dst 10.&.0.0/16 dport & pass|' | awk '{ $3 = "10.0." int(NR / 250) "." NR % 250 } 1' |
		shunt apply -
	# shellcheck disable=SC2016
	spawn deaf bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0"
		printf "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" >&3; exec sleep 60' "$PORT"
	is_there()
	{
		[ "$(connections)" -ge 1 ]
	}
	is_gone()
	{
		[ "$(ss -Htn state established "sport = :$PORT" | wc -l)" = 0 ]
	}
	wait_for is_there
	scraped
	heartbeats_go_on
	PATIENCE=30 wait_for is_gone
}

@test "metrics: each scrape is whole while rules change" {
	local i

	serve_metrics --metrics-rules
	# shellcheck disable=SC2016
	spawn changes bash -c 'while :; do
		"$0" steer add tcp dst 10.1.0.0/16 to 127.0.0.1:9999 && "$0" steer add udp dst 10.2.0.0/16 pass &&
			"$0" steer flush || exit 1; done' "$SHUNT"
	for i in {1..60}; do
		get -f -H 'Accept: application/openmetrics-text' "$URL" >"$BATS_TEST_TMPDIR/scrape"
		[ "$(tail -n 1 "$BATS_TEST_TMPDIR/scrape")" = '# EOF' ]
		[ "$(sed -n 's/^shunt_steer_rules //p' "$BATS_TEST_TMPDIR/scrape")" = \
			"$(grep -c '^shunt_steer_rule_packets_total{' "$BATS_TEST_TMPDIR/scrape")" ]
	done
	is_running changes
}

@test "metrics: many at a time are all answered" {
	local i
	local -a clients=()

	serve_metrics
	for i in {1..40}; do
		get >"$BATS_TEST_TMPDIR/scrape$i" &
		clients+=($!)
	done
	wait "${clients[@]}"
	for i in {1..40}; do
		grep -qx 'shunt_loaded 1' "$BATS_TEST_TMPDIR/scrape$i"
	done
}

@test "metrics: 'shunt run' that begins anew keeps serving, and serves what is loaded now" {
	local before

	serve_metrics
	before=$(server)
	metric 'shunt_half_loaded{half="bypass"} 0'
	load_eager
	wait_for metric 'shunt_bypass_supervised 1'
	metric 'shunt_half_loaded{half="bypass"} 1'
	[ "$(server)" = "$before" ]
	shunt unload steering
	wait_for metric 'shunt_half_loaded{half="steering"} 0'
	wait_for metric 'shunt_supervisor_running 1'
	[ "$(server)" = "$before" ]
	shunt unload
	reap supervisor
	run ! listens "$PORT"
}

@test "metrics: a server that was killed is started again; it ends with 'shunt run'" {
	local before

	serve_metrics
	before=$(server)
	kill -9 "$before"
	wait_for scraped
	[ "$(server)" != "$before" ]
	metric 'shunt_supervisor_running 1'
	kill -9 "$(cat "$BATS_TEST_TMPDIR/supervisor.pid")"
	not_served()
	{
		! scraped && ! listens "$PORT"
	}
	wait_for not_served
	serve_metrics
}

@test "metrics: a supervisor that is stopped is told, with the age of its heartbeat" {
	local pid

	serve_metrics
	pid=$(cat "$BATS_TEST_TMPDIR/supervisor.pid")
	kill -STOP "$pid"
	wait_for metric 'shunt_supervisor_running 0'
	grew_old()
	{
		[ "$(value shunt_supervisor_heartbeat_age_seconds | cut -d. -f1)" -ge 2 ]
	}
	wait_for grew_old
	kill -CONT "$pid"
	wait_for metric 'shunt_supervisor_running 1'
}

# hold_up WORD: makes each process that prints metrics meet this fault
hold_up()
{
	spawn strace strace -qq -f -o /dev/null -p "$(server)" -e trace=execve -e inject="execve:$1"
	is_traced()
	{
		grep -q '^TracerPid:.*[1-9]' "/proc/$(server)/status"
	}
	wait_for is_traced
}

@test "metrics: a process that takes too long is ended, one that fails is told; the next scrape works" {
	need strace
	serve_metrics
	hold_up delay_enter=30s
	[ "$(code "$URL")" = 503 ]
	heartbeats_go_on
	kill "$(cat "$BATS_TEST_TMPDIR/strace.pid")"
	wait_for ended strace
	rm "$BATS_TEST_TMPDIR"/strace.*
	wait_for metric 'shunt_loaded 1'
	hold_up error=ENOMEM
	[ "$(code "$URL")" = 500 ]
	kill "$(cat "$BATS_TEST_TMPDIR/strace.pid")"
	wait_for ended strace
	wait_for metric 'shunt_loaded 1'
	[ "$(pgrep -c -P "$(server)")" = 0 ]
	metric 'shunt_supervisor_running 1'
}

@test "metrics: the program is not linked with the library of HTTP, and says if that is missing" {
	run ! grep -q microhttpd <(ldd "$SHUNT")
	mkdir "$BATS_TEST_TMPDIR/lib"
	: >"$BATS_TEST_TMPDIR/lib/libmicrohttpd.so.12"
	LD_LIBRARY_PATH=$BATS_TEST_TMPDIR/lib run -1 timeout 10 "$SHUNT" run --metrics ":$PORT" 3>&-
	[[ ${lines[0]} == "shunt: can't load the library 'libmicrohttpd.so.12'"* ]]
	[ "${lines[1]}" = "shunt: metrics are not served at ':$PORT'" ]
	run ! listens "$PORT"
}
