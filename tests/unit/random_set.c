// SPDX-License-Identifier: GPL-2.0-only
#include "random_set.h"

#include "unit.h"

#define SEEDS 60

static bool fails(const unsigned int *number, unsigned int count, void *data)
{
	const struct random_set *set = data;

	return set->check(number, count, &(unsigned int){ 0 });
}

/* Shrinks a set that fails, runs it once more, and prints what is left. */
static void report(const struct random_set *set, unsigned int seed, unsigned int *number,
		   unsigned int count)
{
	const char *fault, *messages;
	unsigned int i;

	messages_begin();
	count = shrink(number, count, fails, (void *)set);
	messages_end();
	messages_begin();
	fault = set->check(number, count, &(unsigned int){ 0 });
	messages = messages_end();
	print_error("seed %u: %s, with\n", seed, fault);
	for (i = 0; i < count; i++)
		set->print_member(number[i]);
	set->print_fault();
	fail_msg("%s", messages);
}

static void check_seed(const struct random_set *set, unsigned int seed)
{
	unsigned int i, used, number[RANDOM_SET_MAX];
	const char *fault;

	assert_true(set->size <= RANDOM_SET_MAX);
	set->draw(seed);
	for (i = 0; i < set->size; i++)
		number[i] = i;
	messages_begin();
	fault = set->check(number, set->size, &used);
	messages_end();
	if (fault)
		report(set, seed, number, used);
}

void check_random_sets(const struct random_set *set)
{
	const char *first = getenv("SEED");
	unsigned int seed = first ? atoi(first) : 1, last = first ? seed : SEEDS;

	for (; seed <= last; seed++)
		check_seed(set, seed);
}
