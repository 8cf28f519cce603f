# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# PostgreSQL's own regression tests, over TCP.

# shellcheck source=tests/programs/lib.inc
. "$HERE/lib.inc"
need gcc make
PACKAGE=$(find "$BUILD/source" -maxdepth 1 -name 'postgresql-*' -printf '%f\n' 2>/dev/null | tail -n 1)
source_of "${PACKAGE:-postgresql}" || give_up "no source of PostgreSQL; tests/programs/sources fetches it"
# shellcheck source=tests/programs/postgres.inc
. "$HERE/postgres.inc"
REGRESS=${BIN%/bin}/lib/pgxs/src/test/regress/pg_regress
[ -x "$REGRESS" ] || give_up "no pg_regress on this machine"
cd source/src/test/regress || exit
gcc -shared -fPIC -O1 -w -I"$("$BIN/pg_config" --includedir-server)" -o regress.so regress.c || exit
chmod -R a+rwX .
# PATHs of the build must not show in the results
timeout -k 5 "${LIMIT:-280}" setpriv --reuid=65534 --regid=65534 --clear-groups -- "$REGRESS" \
	--host 127.0.0.1 --port "$PGPORT" --user tester --bindir "$BIN" --inputdir=. \
	--outputdir=. --dlpath=. --max-connections=10 --schedule=parallel_schedule >log 2>&1
result 'exit of pg_regress' "$?"
grep -E '\.\.\. +(ok|FAILED|ignored)|^(ok|not ok) ' log |
	sed -E 's/^(test|parallel) +|^ +//; s/ +\.\.\. +/ = /; s/ +[0-9]+ ms.*//; s/ \(ignored\)//' | sort
as_nobody pg_ctl stop -D "$OLDPWD/data" -m fast -s
