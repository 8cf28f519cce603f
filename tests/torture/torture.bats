#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# A small torture; 'make test-torture' runs 10 GB and 100,000 connections.

load ../lib/common

torture()
{
	BYTES=${BYTES:-150000000} CONNECTIONS=${CONNECTIONS:-1500} PAUSE=${PAUSE:-300} \
		"$PROJECT/tests/torture/run" 3>&-
}

@test "torture: no byte is lost while shunt is loaded, unloaded and killed" {
	run torture
	echo "$output"
	[ "$status" = 0 ]
	[[ $output =~ 'bypass: '[1-9][0-9]*' pairs promoted' ]]
	[[ $output =~ ' '[1-9][0-9]*' bytes in '[1-9][0-9]*' messages redirected' ]]
	[[ ${lines[-1]} == *' 0 wrong, 0 hung, '*' 0 faults; seed '* ]]
}

@test "torture: bytes out of order are noticed" {
	LOAD_OPTIONS=--force PAUSE=0 SHUNT=$PEERS/shunt-unordered run torture
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *'wrong: wrong bytes'* ]]
	[[ ${lines[-1]} == *FAILED* ]]
}
