# SPDX-License-Identifier: GPL-2.0-only
# Samples (see lib.bash) to a part's results: rows in the order in which they were
# measured first, with each contender's median, quartiles and ratio to $baseline.
import "stats" as stats;

def rounds:
	reduce .[] as $s ([]; .[$s.round] = $s.value);

[inputs | split("\t") |
	{cpus: .[0], workload: .[1], figure: .[2], unit: .[3], contender: .[4],
	 round: (.[5] | tonumber), value: (.[6] | tonumber)}] |
to_entries | map(.value + {at: .key}) |
{
	part: $part, baseline: $baseline, mode: $mode, kernel: $kernel, cpu: $cpu, cpus: $cpus,
	load: $load, seconds: $seconds, rounds: (.[0].workload as $first | map(select(.workload == $first).round) | max + 1),
	rows: (group_by([.cpus, .workload, .figure, .unit]) | sort_by(map(.at) | min) | map(
		(map(select(.contender == $baseline)) | rounds) as $base |
		(.[0] | {cpus, workload, figure, unit}) + {
			contenders: (group_by(.contender) | sort_by(map(.at) | min) | map(
				.[0].contender as $name | rounds as $samples |
				{key: $name, value: (($samples | stats::spread) + {samples: $samples} +
					if $name == $baseline or ($base | length) == 0 then {}
					else {ratio: ($samples | stats::ratio($base))} end)}) | from_entries)
		}))
}
