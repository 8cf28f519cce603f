// SPDX-License-Identifier: GPL-2.0-only
/*
 * corners [CASE]
 *
 * Without CASE: lists the cases. With CASE: makes a connection over 127.0.0.1, lets
 * request and response go over it for HOT_MS, both ends non-blocking with poll(), and
 * then does something less common. Prints 'CASE: what = value' for all that an
 * application can see of it.
 */
#include "corners.h"

#include <signal.h>

static const struct corner *const lists[] = {
	blocking_cases, reading_cases, closing_cases, slow_cases,
	option_cases,   splice_cases,  sharing_cases, uring_cases,
};

static void run(const struct corner *corner)
{
	case_name = corner->name;
	connect_pair();
	heat_up();
	corner->run();
}

int main(int argc, char **argv)
{
	const struct corner *corner;
	size_t i;

	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		for (corner = lists[i]; corner->name; corner++) {
			if (argc < 2) {
				puts(corner->name);
			} else if (!strcmp(argv[1], corner->name)) {
				run(corner);
				return 0;
			}
		}
	return argc < 2 ? 0 : 2;
}
