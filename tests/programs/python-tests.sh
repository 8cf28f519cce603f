# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Python's own tests of what uses the network.

# shellcheck source=tests/programs/lib.inc
. "$HERE/lib.inc"
need python3
python3 -c 'import test.test_socket' 2>/dev/null || give_up "this Python has no tests"
for name in test_socket test_socketserver test_asyncio test_selectors test_select test_httplib \
	test_httpservers test_urllib2_localnet test_xmlrpc test_ftplib test_poplib test_imaplib \
	test_smtplib test_ssl test_telnetlib test_epoll test_poll test_asyncore test_asynchat; do
	timeout -k 5 280 python3 -m test -v --timeout 120 $name >log 2>&1
	result "$name" "exit $?"
	tail -n 5 log >&2
	grep -E ' \.\.\. ' log | sed -E 's/ = / is /g; s/ \.\.\. ([A-Za-z]+).*/ = \1/' |
		grep -E '^[a-zA-Z_0-9]+ \(.* = (ok|FAIL|ERROR|skipped|expected)$' |
		sed "s/^/$name: /" | sort
done
