# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# 'shunt run --metrics', and what a client of HTTP gets from it.

load ../lib/common

PORT=9640
URL=http://127.0.0.1:$PORT/metrics

# get [WORD...]: the metrics by HTTP
get()
{
	curl -sS --max-time 20 "${@:-$URL}" 3>&-
}

scraped()
{
	get >/dev/null 2>&1
}

# serve_metrics [WORD...]: starts 'shunt run --metrics', and waits until it serves and gives heartbeats
serve_metrics()
{
	rm -f "$BATS_TEST_TMPDIR"/supervisor.*
	spawn supervisor "$SHUNT" run --metrics ":$PORT" "$@"
	wait_for scraped
	wait_for metric 'shunt_supervisor_running 1'
}

# metric LINE: there is that sample
metric()
{
	get | grep -qFx -- "$1"
}

# value NAME: of the metric, which may have labels
value()
{
	get | sed -n "s/^$1 //p" | grep .
}

# head_of FIELD [WORD...]: a field of the answer's head; 'HTTP/1.1' is that of the status
head_of()
{
	get -o /dev/null -D - "${@:2}" "$URL" | tr -d '\r' | sed -n "s|^$1:* ||p"
}

# code [WORD...]: the status alone
code()
{
	get -o /dev/null -w '%{http_code}\n' "$@"
}

# server: the process that serves HTTP
server()
{
	pgrep -x shunt-metrics -P "$(cat "$BATS_TEST_TMPDIR/supervisor.pid")"
}

# connections: how many the server has
connections()
{
	ss -Htn "sport = :$PORT" | wc -l
}
