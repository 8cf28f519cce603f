// SPDX-License-Identifier: GPL-2.0-only
/*
 * filtered FILTER
 *
 * Reads flows, one in a line: NAME IFACE in|out|- PROTO FAMILY SRC SPORT DST
 * DPORT MARKS, with PROTO a number, FAMILY 4, 6 or 0, MARKS of the letters S, B
 * and N or '-'. Prints the names of the flows that the filter takes, in one line.
 * Exit status 2 if the filter is refused.
 */
#include "util/log.c"
#include "flows/filter.c"
#include "util/address.c"
#include "util/iface.c"
#include "util/json.c"
#include "util/netns.c"
#include "util/parse.c"
#include "util/text.c"

#include <err.h>

struct options opt;

static void read_addr(const char *word, struct shunt_flow_counter *s, __u8 *addr)
{
	if (s->family && inet_pton(s->family, word, addr) != 1)
		errx(1, "'%s'", word);
}

static unsigned int read_marks(const char *word)
{
	return (strchr(word, 'S') ? LABEL_STEERED : 0) | (strchr(word, 'B') ? LABEL_BYPASSED : 0) |
	       (strchr(word, 'N') ? LABEL_NAT : 0);
}

static bool read_flow(struct flow *f, char name[32])
{
	char dir[8], src[64], dst[64], marks[8];
	unsigned int proto, family, sport, dport;

	memset(f, 0, sizeof(*f));
	if (scanf("%31s %15s %7s %u %u %63s %u %63s %u %7s", name, f->iface, dir, &proto, &family,
		  src, &sport, dst, &dport, marks) != 10)
		return false;
	f->counter.direction = !strcmp(dir, "in") ? SHUNT_IN : !strcmp(dir, "out") ? SHUNT_OUT : 0;
	f->counter.proto = proto;
	f->counter.family = family == 4 ? AF_INET : family == 6 ? AF_INET6 : 0;
	f->counter.sport = sport;
	f->counter.dport = dport;
	read_addr(src, &f->counter, f->counter.src);
	read_addr(dst, &f->counter, f->counter.dst);
	f->labels = read_marks(marks);
	return true;
}

int main(int argc, char **argv)
{
	struct filter *filter;
	struct flow f;
	char name[32];

	if (argc != 2)
		errx(1, "usage: filtered FILTER");
	if (filter_parse(argv[1], &filter))
		return 2;
	while (read_flow(&f, name))
		if (filter_matches(filter, &f))
			printf("%s ", name);
	putchar('\n');
	free(filter);
	return 0;
}
