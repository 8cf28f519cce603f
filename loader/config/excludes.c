// SPDX-License-Identifier: GPL-2.0-only
#include "config/excludes.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "util/log.h"
#include "util/parse.h"

int exclude_parse(const char *option, const char *text, struct shunt_exclude *ret)
{
	if (!strncmp(text, "port:", 5)) {
		ret->kind = EXCLUDE_PORT;
		return parse_range(text + 5, &ret->low, &ret->high);
	}
	if (!strncmp(text, "process:", 8)) {
		ret->kind = EXCLUDE_PROCESS;
		if (!text[8] || strlen(text + 8) >= sizeof(ret->comm))
			return refuse("%s '%s': a process name has 1 to %zu letters", option, text,
				      sizeof(ret->comm) - 1);
		strcpy(ret->comm, text + 8);
		return 0;
	}
	if (!strchr(text, '/'))
		return refuse("%s '%s': neither port:N[-N], ADDR/LEN nor process:NAME", option,
			      text);
	ret->kind = EXCLUDE_PREFIX;
	return parse_prefix(text, &ret->family, ret->addr, &ret->len);
}

void exclude_text(const struct shunt_exclude *x, char *text, size_t size)
{
	char addr[64];

	if (x->kind == EXCLUDE_PORT && x->low == x->high)
		snprintf(text, size, "port:%u", x->low);
	else if (x->kind == EXCLUDE_PORT)
		snprintf(text, size, "port:%u-%u", x->low, x->high);
	else if (x->kind == EXCLUDE_PROCESS)
		snprintf(text, size, "process:%s", x->comm);
	else
		snprintf(text, size, "%s/%u", inet_ntop(x->family, x->addr, addr, sizeof(addr)),
			 x->len);
}

bool exclude_is_among(const struct shunt_exclude *x, const struct shunt_exclude *all,
		      unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (!memcmp(&all[i], x, sizeof(*x)))
			return true;
	return false;
}

void excludes_keep_places(struct shunt_exclude *wanted, unsigned int n,
			  const struct shunt_exclude *now, unsigned int n_now)
{
	struct shunt_exclude sorted[SHUNT_EXCLUDES] = {};
	unsigned int i, at = 0;

	for (i = 0; i < n && i < n_now; i++)
		if (exclude_is_among(&now[i], wanted, n))
			sorted[i] = now[i];
	for (i = 0; i < n; i++) {
		if (exclude_is_among(&wanted[i], sorted, n))
			continue;
		while (sorted[at].kind)
			at++;
		sorted[at] = wanted[i];
	}
	memcpy(wanted, sorted, sizeof(sorted));
}
