# SPDX-License-Identifier: GPL-2.0-only
# The goals and what was measured, as the table of docs/benchmarks.md. Of several rows the
# range of the medians is shown, and the worst one decides.
import "stats" as stats;

def fixed:
	(. * 100 | round) as $n | "\($n / 100 | floor).\($n % 100 | if . < 10 then "0\(.)" else tostring end)";

def number:
	if . >= 10 then round | tostring else fixed end;

# How many times as fast, or as much: more is better.
def times($contender; $other):
	.contenders[$contender].samples as $a | .contenders[$other].samples as $b |
	if $a == null or $b == null then empty
	elif .unit | IN("us", "s/GB", "MiB", "ns") then $b | stats::ratio($a)
	else $a | stats::ratio($b) end;

# How much time it takes of the other's: less is better.
def share($contender; $other):
	.contenders[$contender].samples as $a | .contenders[$other].samples as $b |
	if $a == null or $b == null then empty else $a | stats::ratio($b) end;

def rows($parts; $part; $workload; $figure; $cpus):
	$parts[$part].rows // [] | .[] | select(.cpus == $cpus and .figure == $figure and (.workload | test($workload)));

def rows($parts; $part; $workload; $figure):
	rows($parts; $part; $workload; $figure; "0");

def value($contender):
	.contenders[$contender] | select(. != null) | {median, unsure: false};

def line($what; $against; $sign; $goal; $unit; found):
	[found] as $f |
	"| \($what) | \($against) | \($sign) \($goal)\($unit) | " +
	if ($f | length) == 0 then "not measured | |"
	else
		($f | map(.median) | min) as $low | ($f | map(.median) | max) as $high |
		(if ($low | number) == ($high | number) then $low | number else "\($low | number)–\($high | number)" end) +
		"\($unit)\(if $f | any(.unsure) then " ~" else "" end) | " +
		(if $sign == "≤" then $high <= $goal else $low >= $goal end | if . then "yes" else "no" end) + " |"
	end;

reduce inputs as $p ({}; .[$p.part] = $p) | . as $all |
"^round trip, (1 B|64 B|1 KiB)$" as $small |
"^round trip, (1 B|64 B|1 KiB|16 KiB)$" as $middle |
"^stream, (64 KiB|1 MiB)$" as $large |
"^stream, (64 B|1 KiB)$" as $tiny |

"| workload | against | goal | measured | met |",
"| --- | --- | --- | --- | --- |",
line("request/response up to 1 KiB, `eager`: time"; "plain TCP"; "≤"; 0.62; "×";
	rows($all; "bypass"; $small; "p50") | share("eager"; "plain")),
line("the same"; "Unix stream socket"; "≤"; 0.95; "×";
	rows($all; "bypass"; $small; "p50") | share("eager"; "unix")),
line("request/response up to 16 KiB, `proven`: time"; "plain TCP"; "≤"; 0.75; "×";
	rows($all; "bypass"; $middle; "p50") | share("proven"; "plain")),
line("stream, writes of 64 KiB and more, `eager`: throughput"; "plain TCP"; "≥"; 2; "×";
	rows($all; "bypass"; $large; "rate") | times("eager"; "plain")),
line("the same: CPU for each byte"; "plain TCP"; "≤"; 0.6; "×";
	rows($all; "bypass"; $large; "cpu") | share("eager"; "plain")),
line("stream, writes below 16 KiB, `proven`"; "plain TCP"; "≥"; 1; "×";
	rows($all; "bypass"; $tiny; "rate") | times("proven"; "plain")),
line("connect, request, close, `proven`: connections a second"; "plain TCP"; "≥"; 0.98; "×";
	rows($all; "bypass"; "^connect"; "turn") | times("proven"; "plain")),
line("flow to a remote peer"; "without shunt"; "≥"; 0.99; "×";
	(rows($all; "bystanders"; "^remote, \\d+ B"; "p50"), rows($all; "bystanders"; "^remote"; "turn", "rate")) | times("shunt"; "without")),
line("a pair that is never promoted"; "without shunt"; "≥"; 0.99; "×";
	rows($all; "bystanders"; "^blocking"; "p50", "rate") | times("shunt"; "without")),
line("redis-benchmark, 1 client, no pipeline, `proven`"; "plain TCP"; "≥"; 1.3; "×";
	rows($all; "programs"; "^redis"; "rate") | times("proven"; "plain")),
line("client, HAProxy, service, `proven`"; "plain TCP"; "≥"; 1.3; "×";
	rows($all; "programs"; "^HAProxy"; "p50") | times("proven"; "plain")),
line("pgbench -S, `proven`"; "plain TCP"; "≥"; 1.15; "×";
	rows($all; "programs"; "^pgbench"; "rate") | times("proven"; "plain")),
line("wrk on nginx, keep-alive, `proven`"; "plain TCP"; "≥"; 1.15; "×";
	rows($all; "programs"; "^wrk"; "rate") | times("proven"; "plain")),
line("request/response, `eager`"; "naive sockmap"; "≥"; 1; "×";
	rows($all; "bypass"; "^round trip"; "p50") | times("eager"; "naive")),
line("streams and connections, `proven`"; "naive sockmap"; "≥"; 1; "×";
	(rows($all; "bypass"; "^stream"; "rate"), rows($all; "bypass"; "^connect"; "turn")) | times("proven"; "naive")),
line("the programs above, `proven`"; "naive sockmap"; "≥"; 1; "×";
	rows($all; "programs"; "."; "rate", "p50") | times("proven"; "naive")),
line("slow reader: kernel memory, `proven` and `eager`"; "naive sockmap"; "≤"; 0.01; "×";
	rows($all; "bypass"; "^slow reader"; "memory") | share("proven", "eager"; "naive")),
line("steering, established packet, 100,000 rules"; "–"; "≤"; 150; " ns";
	rows($all; "packets"; "^100000"; "packet") | value("est.")),
line("steering, first packet, 100,000 rules for addresses"; "–"; "≤"; 500; " ns";
	rows($all; "packets"; "^100000 rules, hosts"; "packet") | value("SYN")),
line("steering, 1 rule, two CPUs: connections"; "nftables TPROXY"; "≥"; 1; "×";
	rows($all; "tproxy"; "^1 rule"; "connections"; "0,1") | times("shunt"; "nftables")),
line("the same: datagrams"; "nftables TPROXY"; "≥"; 1; "×";
	rows($all; "tproxy"; "^1 rule"; "datagrams", "new flows"; "0,1") | times("shunt"; "nftables")),
line("steering, 10,000 rules: connections, datagrams"; "the same in a set"; "≥"; 1; "×";
	rows($all; "tproxy"; "^10000"; "connections", "datagrams", "new flows"; "0,1") | times("shunt"; "nft. set")),
line("the same"; "10,000 nftables rules"; "≥"; 5; "×";
	rows($all; "tproxy"; "^10000"; "connections", "datagrams", "new flows"; "0,1") | times("shunt"; "nftables")),
line("NAT: connections, datagrams"; "nftables DNAT"; "≥"; 1; "×";
	rows($all; "nat"; "."; "connections", "datagrams", "answered"; "0,1") | times("shunt"; "nftables")),
line("sk_msg verdict, less an empty program"; "–"; "≤"; 80; " ns";
	rows($all; "cost"; "^sk_msg, round trip"; "run") |
	.contenders | .empty.median as $empty | (.proven, .eager | select(. != null)) |
	{median: (.median - $empty), unsure: false})
