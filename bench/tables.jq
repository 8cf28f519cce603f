# SPDX-License-Identifier: GPL-2.0-only
# A part's results as lines for bench/report to align: P, the part, its baseline and
# its circumstances; H, a title and the names of the contenders; R, a workload and a cell for each of them: value, ratio, half the
# distance of its quartiles, mark.

def title:
	{
		"p50 us": "a round trip or connection, median, us",
		"p99 us": "the slowest of a hundred, us",
		"turn us": "time for each round trip or connection, all together, us",
		"cpu us": "CPU time for each, both ends, us",
		"rate Gbit/s": "Gbit/s",
		"cpu s/GB": "CPU time, both ends, s for 10^9 bytes",
		"rate 1/s": "requests or transactions a second",
		"written MiB": "what the sender got rid of, MiB",
		"memory MiB": "kernel memory, MiB",
		"run ns": "a run of the program, ns, its clock included",
		"packet ns": "a packet, ns, the clock included",
		"apply s": "to apply so many rules, s"
	}["\(.figure) \(.unit)"] // "\(.figure), \(.unit)";

def place:
	if .cpus == "0" then "one CPU" else "CPUs " + .cpus end;

def columns($baseline):
	(map(.contenders | keys_unsorted[]) | reduce .[] as $name ([]; if index([$name]) then . else . + [$name] end)) as $names |
	($names | map(select(. == $baseline))) + ($names | map(select(. != $baseline)));

def cell:
	if . == null then "-|||"
	else "\(.median)|\(.ratio.median // "")|\(if .ratio then (.ratio.high - .ratio.low) / 2 else "" end)|\(if .ratio.unsure then "~" else "" end)" end;

.baseline as $baseline |
"P\t\(.part)\t\($baseline)\t\(.mode), \(.rounds) rounds in \(.seconds) s; Linux \(.kernel), \(.cpus) x \(.cpu), load \(.load)",
(.rows | to_entries | group_by(.value | [.cpus, .figure, .unit]) | sort_by(.[0].key)[] | map(.value) |
	columns($baseline) as $names |
	(["H", (.[0] | "\(place): \(title)")] + $names | join("\t")),
	(.[] | . as $row | ["R", .workload] + ($names | map($row.contenders[.] | cell)) | join("\t")))
