/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads the words of 'shunt diverter'. The functions that return int return 0, or -errno after
 * reporting it. */
#ifndef SHUNT_DIVERTER_WORDS_H
#define SHUNT_DIVERTER_WORDS_H

#include <stdbool.h>

#include <shunt/abi.h>

#define DIVERTER_LETTERS 10

struct diverter_words {
	char action; /* I, D, L or V */
	const char *value[DIVERTER_LETTERS];
};

/* Cuts the words into letters and values. */
int diverter_words_read(int argc, char **argv, struct diverter_words *ret);

/* The value after -LETTER, NULL if the letter was not given. */
const char *diverter_word(const struct diverter_words *w, char letter);

/* Reads -c and -m. */
int diverter_read_dst(const struct diverter_words *w, struct shunt_rule *r);

/* Reads -p, if it is given. */
int diverter_read_proto(const struct diverter_words *w, struct shunt_rule *r);

/* Reads the words that say which packets the rule matches. *ret_never becomes true if no packet
 * can match. */
int diverter_read_match(const struct diverter_words *w, struct shunt_rule *r, bool *ret_never);

/* Reads -t: the listener's port. Port 0 stands for a pass rule. */
int diverter_read_to(const struct diverter_words *w, struct shunt_rule *r);

/* Reads -s. Characters that the name of a service can't have become _, because the router would
 * give the service up after an error. */
void diverter_read_service(const struct diverter_words *w, struct shunt_rule *r);

#endif
