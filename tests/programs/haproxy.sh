# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# expect: promotion
#
# HAProxy before a service: HTTP and TCP mode, with and without splicing, kept
# and closed connections to the server.

# shellcheck source=tests/programs/lib.inc
. "$HERE/lib.inc"
need haproxy nginx curl wrk python3 openssl
PORTS='8091 8092 8093 8094 8095'

# shellcheck source=tests/programs/www.inc
. "$HERE/www.inc"
cat >nginx.conf <<'END'
error_log stderr warn;
pid nginx.pid;
daemon off;
events { worker_connections 1000; }
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	client_max_body_size 100m;
	keepalive_requests 1000000;
	root www;
	server { listen 127.0.0.1:8081; dav_methods PUT DELETE; }
}
END
cat >haproxy.cfg <<'END'
global
	nbthread 2
	maxconn 1000
defaults
	timeout connect 10s
	timeout client 60s
	timeout server 60s
listen http
	mode http
	bind 127.0.0.1:8091
	http-reuse always
	server s 127.0.0.1:8081
listen http_close
	mode http
	bind 127.0.0.1:8092
	option http-server-close
	server s 127.0.0.1:8081
listen http_splice
	mode http
	bind 127.0.0.1:8093
	http-reuse always
	option splice-auto
	option splice-request
	option splice-response
	server s 127.0.0.1:8081
listen tcp
	mode tcp
	bind 127.0.0.1:8094
	server s 127.0.0.1:8081
listen tcp_splice
	mode tcp
	bind 127.0.0.1:8095
	option splice-auto
	option splice-request
	option splice-response
	server s 127.0.0.1:8081
END
run_both()
{
	start nginx -e stderr -p "$PWD" -c "$PWD/nginx.conf"
	start haproxy -db -f haproxy.cfg
	# shellcheck disable=SC2086 # a list
	await 8081 $PORTS
}

for port in $PORTS; do
	run_both
	test_kept "$port"
	end_all
done
run_both
# shellcheck disable=SC2086
test_www $PORTS
# shellcheck disable=SC2086
test_wrk $PORTS
