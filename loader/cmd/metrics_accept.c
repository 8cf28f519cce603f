// SPDX-License-Identifier: GPL-2.0-only
/* The header Accept of HTTP: "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3". */
#include "cmd/metrics_http.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Reads a weight, "0" to "1" with at most three decimals, in thousandths. */
static unsigned int read_weight(const char *text)
{
	unsigned int weight = *text == '1' ? 1000 : 0, place = 100;

	if (*text != '0' || text[1] != '.')
		return weight;
	for (text += 2; isdigit((unsigned char)*text) && place; text++, place /= 10)
		weight += (*text - '0') * place;
	return weight;
}

/* The weight of one range, which ends before end: 1,000 unless there is a parameter q. */
static unsigned int weight_of(const char *range, const char *end)
{
	const char *p = range;

	while ((p = memchr(p, ';', end - p))) {
		for (p++; p < end && (*p == ' ' || *p == '\t'); p++)
			;
		if (end - p > 2 && tolower((unsigned char)*p) == 'q' && p[1] == '=')
			return read_weight(p + 2);
	}
	return 1000;
}

/* The highest weight of a type; 0 if the header does not name it. */
static unsigned int weight_of_type(const char *accept, const char *type)
{
	const size_t len = strlen(type);
	unsigned int weight, best = 0;
	const char *end;

	for (; *accept; accept = *end ? end + 1 : end) {
		end = strchrnul(accept, ',');
		while (*accept == ' ' || *accept == '\t')
			accept++;
		if (strncasecmp(accept, type, len) || !strchr(" \t;,", accept[len]))
			continue;
		weight = weight_of(accept, end);
		best = weight > best ? weight : best;
	}
	return best;
}

bool accepts_openmetrics(const char *accept)
{
	unsigned int weight = accept ? weight_of_type(accept, "application/openmetrics-text") : 0;

	return weight && weight >= weight_of_type(accept, "text/plain");
}
