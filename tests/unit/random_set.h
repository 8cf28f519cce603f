/* SPDX-License-Identifier: GPL-2.0-only */
/* Tests of random sets: rules, or changes one after the other. */
#ifndef SHUNT_TESTS_RANDOM_SET_H
#define SHUNT_TESTS_RANDOM_SET_H

#define RANDOM_SET_MAX 256

struct random_set {
	unsigned int size; /* members of a set, at most RANDOM_SET_MAX */

	/* Draws all members from a seed. */
	void (*draw)(unsigned int seed);

	/* Checks the set of the members with these numbers. Returns NULL, or what is wrong.
	 * Sets *ret_used to how many of them, from the first one on, that took. */
	const char *(*check)(const unsigned int *number, unsigned int count,
			     unsigned int *ret_used);

	/* Prints a member, and what else belongs to a fault, by print_error(). */
	void (*print_member)(unsigned int number);
	void (*print_fault)(void);
};

/*
 * Checks the sets of the seeds 1 to 60, or of the environment variable SEED alone. A set that
 * fails is shrunk to members that can't be spared. These are printed, with the seed and the
 * loader's messages, and the test fails.
 */
void check_random_sets(const struct random_set *set);

#endif
