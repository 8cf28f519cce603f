# SPDX-License-Identifier: GPL-2.0-only
# All medians, quartiles and ratios of the bench.

# The value below which a share p of the numbers lies, to the outside.
def quantile(p):
	sort | .[(length - 1) * p | if p < 0.5 then floor else ceil end];

def spread:
	map(select(. != null)) |
	if length == 0 then null
	else {median: (sort | .[(length - 1) / 2 | floor]), low: quantile(0.25), high: quantile(0.75)}
	end;

# Of the samples of one contender to those of another, round by round. 'unsure':
# fewer than three rounds, or quartiles more than a fifth of the ratio apart.
def ratio(other):
	[., other] | transpose | map(select(.[0] != null and .[1] != null and .[1] != 0) |
		.[0] / .[1] * 10000 | round / 10000) | length as $n |
	spread | if . then .unsure = ($n < 3 or .high - .low > .median / 5) else null end;
