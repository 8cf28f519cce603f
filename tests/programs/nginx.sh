# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# nginx, serving and proxying: with and without sendfile, buffering and kept
# upstream connections.

# shellcheck source=tests/programs/lib.inc
. "$HERE/lib.inc"
need nginx curl wrk python3 openssl
PORTS='8081 8082 8083 8084 8085'

# shellcheck source=tests/programs/www.inc
. "$HERE/www.inc"
cat >nginx.conf <<'END'
error_log stderr warn;
pid nginx.pid;
daemon off;
worker_processes 2;
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
	upstream kept { server 127.0.0.1:8081; keepalive 16; keepalive_requests 1000000; }
	server { listen 127.0.0.1:8081; sendfile on; tcp_nopush on; dav_methods PUT DELETE; }
	server { listen 127.0.0.1:8082; sendfile off; dav_methods PUT DELETE; }
	server {
		listen 127.0.0.1:8083;
		location / {
			proxy_pass http://kept;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
		}
	}
	server {
		listen 127.0.0.1:8084;
		location / {
			proxy_pass http://kept;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_buffering off;
			proxy_request_buffering off;
		}
	}
	server { listen 127.0.0.1:8085; location / { proxy_pass http://127.0.0.1:8082; } }
}
END
run_nginx()
{
	start nginx -e stderr -p "$PWD" -c "$PWD/nginx.conf"
	# shellcheck disable=SC2086 # a list
	await $PORTS
}

# Processes that had FIONREAD answered are not promoted again, so new ones.
for port in $PORTS; do
	run_nginx
	test_kept "$port"
	end_all
done
run_nginx
# shellcheck disable=SC2086
test_www $PORTS
# shellcheck disable=SC2086
test_wrk $PORTS
