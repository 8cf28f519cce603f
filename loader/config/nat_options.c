// SPDX-License-Identifier: GPL-2.0-only
#include "config/nat_options.h"

#include <stdio.h>
#include <string.h>

#include "rules/rule.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/parse.h"

static const struct {
	const char *name;
	unsigned int seconds;
	const char *help;
} idles[NAT_IDLES] = {
	[NAT_OPENING] = { "opening", 30, "nothing has come back yet" },
	[NAT_TCP] = { "tcp", 7440, "an open connection" },
	[NAT_CLOSING] = { "closing", 120, "one end has closed" },
	[NAT_CLOSED] = { "closed", 10, "both have, or one has reset" },
	[NAT_UDP] = { "udp", 120, "UDP that was answered" },
};

void nat_defaults(struct shunt_nat *ret)
{
	int i;

	*ret = (struct shunt_nat){ .current = { 0, 2, 4, 6 }, .flows = DEFAULT_NAT_FLOWS };
	for (i = 0; i < NAT_IDLES; i++)
		ret->idle_ns[i] = idles[i].seconds * NS_PER_SEC;
}

int nat_set_idle(struct shunt_nat *nat, const char *word)
{
	const char *value = strchr(word, '=');
	unsigned int seconds;
	int i;

	if (!value)
		return refuse("--nat-idle '%s': not KIND=SECONDS", word);
	for (i = 0; i < NAT_IDLES; i++)
		if (!strncmp(idles[i].name, word, value - word) && !idles[i].name[value - word])
			break;
	if (i == NAT_IDLES)
		return refuse("--nat-idle '%s': no such kind of flow; see 'shunt load help'", word);
	if (!parse_number(value + 1, 99999, &seconds) || !seconds)
		return refuse("--nat-idle '%s': not a number of seconds from 1 to 99999", word);
	nat->idle_ns[i] = seconds * NS_PER_SEC;
	return 0;
}

void nat_idle_text(const struct shunt_nat *nat, unsigned int kind, char *ret, size_t size)
{
	snprintf(ret, size, "%s=%llu", idles[kind].name, nat->idle_ns[kind] / NS_PER_SEC);
}

void nat_idle_help(void)
{
	int i;

	for (i = 0; i < NAT_IDLES; i++)
		printf("                         %-8s %s (%u)\n", idles[i].name, idles[i].help,
		       idles[i].seconds);
}
