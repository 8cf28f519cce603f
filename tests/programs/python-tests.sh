# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Python's own tests of what uses the network.

# shellcheck source=tests/programs/lib.inc
. "$HERE/lib.inc"
need python3
python3 -c 'import test.test_socket' 2>/dev/null || give_up "this Python has no tests"

# What a test prints may stand within the lines that tell its result, so not these.
said_in_xml()
{
	python3 - "$1" <<-'END'
		import sys, xml.etree.ElementTree as tree
		for case in tree.parse(sys.argv[1]).iter("testcase"):
		    said = [e.tag for e in case if e.tag in ("failure", "error", "skipped")]
		    print(case.get("name"), "=", said[0] if said else "ok")
	END
}

for name in test_socket test_socketserver test_asyncio test_selectors test_select test_httplib \
	test_httpservers test_urllib2_localnet test_xmlrpc test_ftplib test_poplib test_imaplib \
	test_smtplib test_ssl test_telnetlib test_epoll test_poll test_asyncore test_asynchat; do
	timeout -k 5 280 python3 -m test --junit-xml "$PWD/log.xml" --timeout 120 $name >log 2>&1
	result "$name" "exit $?"
	tail -n 5 log >&2
	[ ! -e log.xml ] || said_in_xml log.xml | sed "s/^/$name: /" | sort
	rm -f log.xml
done
