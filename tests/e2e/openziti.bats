#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# ziti-router: peers/ziti.c has the same sockets and makes the same calls.

# shellcheck disable=SC2016 # words for an inner shell
bats_require_minimum_version 1.5.0
load ../lib/ziti

teardown()
{
	end_all
	ip addr del 10.1.2.3/32 dev lo
	ip -6 addr del fd00::a01:203/128 dev lo 2>/dev/null || true
	clean_up
}

# by_hand -I|-D PORT [WORD]...: what a router's call does, for TCP to this port of 10.1.2.3
by_hand()
{
	"${SHUNT%/*}/shunt-diverter" "$1" -c 10.1.2.3 -m 32 -p tcp -l "$2" -h "$2" "${@:3}"
}

# --- two services for the same packets ------------------------------------------

both_ways()
{
	local proto=$1 ask=$2

	does a add older "$proto" 10.1.2.3/32 80 80
	[ "$($ask)" = older ]
	does a add newer "$proto" 10.1.2.3/32 80 80
	[ "$($ask)" = newer ]
	does a del newer
	echo "shunt, $proto: 'newer' is deleted, then $($ask) answers"
	[ "$($ask)" = older ]
	does a add third "$proto" 10.1.2.3/32 80 80
	does a del older
	[ "$($ask)" = third ]
	does a del third
	[ -z "$(rules)" ]
}

@test "ziti-router: two services with the same address and port: deleting one leaves the other, as iptables does" {
	router a
	both_ways tcp via
	both_ways udp via_udp
}

nft_rule()
{
	nft insert rule ip divert prerouting ip daddr 10.1.2.3 tcp dport 80 tproxy to "127.0.0.1:$1" \
		meta mark set 1 accept
}

@test "ziti-router: control: of two TPROXY rules for the same packets the older serves again when the newer is deleted" {
	need nft
	spawn older "$PEERS/tproxy" --name older tcp 127.0.0.1 33001
	spawn newer "$PEERS/tproxy" --name newer tcp 127.0.0.1 33002
	wait_for listens 33001
	wait_for listens 33002
	ip rule add fwmark 1 lookup 100
	ip route add local 0.0.0.0/0 dev lo table 100
	nft 'table ip divert { chain prerouting { type filter hook prerouting priority mangle; }; }'
	nft_rule 33001 || skip "no nft tproxy in this kernel"
	nft_rule 33002
	[ "$(via)" = newer ]
	kill "$(cat "$BATS_TEST_TMPDIR/newer.pid")"
	reap newer || true
	nft delete rule ip divert prerouting handle \
		"$(nft -a list table ip divert | sed -n 's/.*:33002.*handle //p')"
	echo "TPROXY, tcp: 'newer' is deleted, then $(via) answers"
	[ "$(via)" = older ]
	nft delete table ip divert
	ip rule del fwmark 1 lookup 100
	ip route flush table 100
}

@test "ziti-router: two services for the same packets: list, save and apply have both" {
	router a
	does a add older tcp 10.1.2.3/32 80 80
	does a add newer tcp 10.1.2.3/32 80 80
	does a add alone tcp 10.1.2.3/32 81 81
	[ "$(services)" = "newer,older shadowed,alone" ]
	[ "$(status steer.rules)" = 2 ]
	shunt steer list | grep 'service older shadowed .*comes back when the rule above is deleted'
	[ "$(shunt -j steer list | jq -c '[.[] | select(.shadowed).service]')" = '["older"]' ]
	shunt steer test tcp src 1.1.1.1 dst 10.1.2.3:80 | grep -A1 'not .* service older' |
		grep 'older than the rule'
	shunt save >"$BATS_TEST_TMPDIR/saved"
	shunt apply "$BATS_TEST_TMPDIR/saved" 2>&1 | grep '0 added, 0 changed, 0 deleted'
	diff "$BATS_TEST_TMPDIR/saved" <(shunt save)
	shunt steer flush
	[ -z "$(rules)" ]
	shunt apply "$BATS_TEST_TMPDIR/saved"
	diff "$BATS_TEST_TMPDIR/saved" <(shunt save)
	does a del newer
	[ "$(via)" = older ]
	# a file without them: they are gone
	shunt apply "$BATS_TEST_TMPDIR/saved"
	grep -v shadowed "$BATS_TEST_TMPDIR/saved" | shunt apply -
	[ "$(services)" = newer,alone ]
	grep -v newer "$BATS_TEST_TMPDIR/saved" >"$BATS_TEST_TMPDIR/torn"
	run -2 shunt apply "$BATS_TEST_TMPDIR/torn"
	[[ $output == *"torn:"*"service older shadowed"*"no line has the rule"* ]]
	[ "$(services)" = newer,alone ]
	run -2 shunt steer add tcp dst 10.1.2.3 dport 80 to 127.0.0.1:1 shadowed
}

@test "ziti-router: two services for the same packets: an admin's steer del and flush leave none" {
	router a
	does a add older tcp 10.1.2.3/32 80 80
	does a add newer tcp 10.1.2.3/32 80 80
	shunt steer del tcp dst 10.1.2.3 dport 80
	[ -z "$(rules)" ]
	shunt steer add tcp dst 10.1.2.3 dport 80 pass
	[ "$(rules)" = "tcp dst 10.1.2.3 dport 80 pass" ]
}

@test "ziti-router: two services for the same packets: -D by hand deletes the newest when both or none listen" {
	by_hand -I 80 -t 33001 -s a
	by_hand -I 80 -t 33002 -s b
	by_hand -I 80 -t 33003 -s c
	[ "$(services)" = "c,b shadowed,a shadowed" ]
	spawn listener "$PEERS/tproxy" tcp 127.0.0.1 33003
	wait_for listens 33003
	by_hand -D 80
	[ "$(services)" = "c,a shadowed" ]
	end_all
	by_hand -D 80
	[ "$(services)" = a ]
	by_hand -D 80
	[ -z "$(rules)" ]
}

@test "ziti-router: 40 services for the same packets: the newest 32 are kept, with a message" {
	local i

	for ((i = 1; i <= 40; i++)); do
		by_hand -I 80 -t $((33000 + i)) -s "s$i"
	done 2>"$BATS_TEST_TMPDIR/said"
	grep "service 's8': no room for more than 32 rules" "$BATS_TEST_TMPDIR/said"
	[ "$(rules | wc -l)" = 32 ]
	for ((i = 1; i <= 32; i++)); do
		by_hand -D 80
	done
	[ -z "$(rules)" ]
}

@test "ziti-router: two routers with the same service: each deletes its own" {
	router a
	router b
	does a add web tcp 10.1.2.3/32 80 80
	does b add web tcp 10.1.2.3/32 80 80
	does a add web2 tcp 10.1.2.3/32 81 81
	[ "$(rules | grep -c 'dport 80')" = 2 ]
	does a del web
	[ "$(via)" = web ]
	does a del web2
	does b del web
	[ -z "$(rules)" ]
}

@test "ziti-router: two routers: a service whose rule an admin has deleted takes no rule of the other one" {
	router a
	router b
	does a add ours tcp 10.1.2.3/32 80 80
	shunt steer del tcp dst 10.1.2.3 dport 80
	does b add theirs tcp 10.1.2.3/32 80 80
	does a del ours
	[ "$(services)" = theirs ]
	[ "$(via)" = theirs ]
	does b del theirs
	[ -z "$(rules)" ]
}

# --- rules of a router that has ended ---------------------------------------------

# make_others: rules that are not a router's: an admin's rule, and calls by hand, one of them
# for a listener that exists
make_others()
{
	shunt steer add tcp dst 10.1.2.3 dport 90 to 127.0.0.1:33090 service admin
	"${SHUNT%/*}/shunt-diverter" -V
	by_hand -I 91 -t 33091 -s hand
	spawn listener "$PEERS/tproxy" --name hand2 tcp 127.0.0.1 33092
	wait_for listens 33092
	bash -c '"$0" -V && "$0" -I -c 10.1.2.3 -m 32 -p tcp -l 92 -h 92 -t 33092 -s hand2; true' \
		"${SHUNT%/*}/shunt-diverter"
}

@test "ziti-router: a service deleted while the router was dead: its rule goes when the router starts again" {
	router a
	router b
	does a add kept tcp 10.1.2.3/32 80 80
	does a add gone tcp 10.1.2.3/32 81 81
	does a add gone_udp udp 10.1.2.3/32 81 81
	does b add others tcp 10.1.2.3/32 82 82
	make_others
	"${SHUNT%/*}/shunt-diverter" -V
	[ "$(rules | wc -l)" = 7 ]
	crash a
	[ "$(rules | wc -l)" = 7 ]
	router a
	grep '3 rules of a router that has ended are deleted' "$BATS_TEST_TMPDIR/a.err"
	does a add kept tcp 10.1.2.3/32 80 80
	rules
	[ "$(services | tr , '\n' | sort | paste -sd,)" = admin,hand,hand2,kept,others ]
	[ "$(via)" = kept ]
	[ "$(via 10.1.2.3 82)" = others ]
	does b del others
}

@test "ziti-router: a dead router's service for the same packets as another router's: the other one's stays" {
	router a
	router b
	does a add a80 tcp 10.1.2.3/32 80 80
	does b add b80 tcp 10.1.2.3/32 80 80
	does b add b81 tcp 10.1.2.3/32 81 81
	does a add a81 tcp 10.1.2.3/32 81 81
	shunt save >"$BATS_TEST_TMPDIR/saved"
	shunt apply "$BATS_TEST_TMPDIR/saved"
	crash a
	[ -z "$(via 10.1.2.3 81)" ]
	router a
	[ "$(services)" = b80,b81 ]
	[ "$(via)$(via 10.1.2.3 81)" = b80b81 ]
	does b del b80
	does b del b81
	[ -z "$(rules)" ]
}

@test "ziti-router: a dead router's rule that a rule made by hand shadows goes, too" {
	router a
	does a add dead tcp 10.1.2.3/32 80 80
	by_hand -I 80 -t 33001 -s hand
	[ "$(services)" = "hand,dead shadowed" ]
	crash a
	router a
	[ "$(services)" = hand ]
}

@test "ziti-router: shunt run is restarted while a router runs: the router's rules stay" {
	router a
	does a add web tcp 10.1.2.3/32 80 80
	supervise
	crash supervisor
	supervise
	shunt load --iface lo
	"${SHUNT%/*}/shunt-diverter" -V
	[ "$(via)" = web ]
	does a del web
	[ -z "$(rules)" ]
}

# --- what ziti-router can't do ----------------------------------------------------

@test "ziti-router: an IPv6 service, for which ziti-router has no listener: -I, steer list and check say so" {
	ip -6 addr add fd00::a01:203/128 dev lo nodad
	router a
	does a add six tcp fd00::a01:203/128 80 80
	grep "nobody listens at \[::1\]:[0-9]*, only at 127.0.0.1, .*can't take IPv6" "$BATS_TEST_TMPDIR/a.err"
	does a add four tcp 10.1.2.3/32 80 80
	[ "$(via)" = four ]
	[ -z "$(via '[fd00::a01:203]')" ]
	shunt steer list | grep "service six .*can't take IPv6"
	! shunt steer list | grep "service four .*can't take IPv6" || false
	[ "$(shunt -j steer list | jq -r '.[] | select(.only_ipv4_listens).service')" = six ]
	shunt -j check | jq -e '.[] | select(.name == "IPv6 services" and .result == "warn")'
	# a router that has IPv6 too
	spawn other "$PEERS/tproxy" tcp ::1 "$(shunt save | sed -n 's/.*\]:\([0-9]*\) service six/\1/p')"
	answers()
	{
		[ -n "$(via '[fd00::a01:203]')" ]
	}
	wait_for answers
	! shunt steer list | grep "can't take IPv6" || false
	does a del six
	[ "$(services)" = four ]
}

@test "ziti-router: an IPv6 source without a length, which ziti-router gives as /32, is one host" {
	router a
	does a add host tcp fd00::a01:203/128 80 80 fd00:1:2:3::7
	does a add net tcp fd00::a01:203/128 81 81 fd00:1::/32
	does a add v4 tcp 10.1.2.3/32 80 80 10.0.0.7
	rules | sed 's/ to .* service/ service/' | sort >"$BATS_TEST_TMPDIR/rules"
	diff "$BATS_TEST_TMPDIR/rules" - <<-END
		tcp dst 10.1.2.3 dport 80 src 10.0.0.7 service v4
		tcp dst fd00::a01:203 dport 80 src fd00:1:2:3::7 service host
		tcp dst fd00::a01:203 dport 81 src fd00:1::/32 service net
	END
	does a del host
	[ "$(services)" = v4,net ]
}
