/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The halves of shunt: bypass, steering, NAT and the monitor. Each is loaded by itself, as an
 * object of its own with programs, maps and settings of its own, which are pinned in a folder of
 * its own. Whatever happens to one half leaves the others alone.
 */
#ifndef SHUNT_HALVES_H
#define SHUNT_HALVES_H

#include <stdbool.h>

#include <shunt/abi.h>

#define LINGERING_MAX 8

enum half {
	HALF_BYPASS,
	HALF_STEER,
	HALF_NAT,
	HALF_MONITOR,
	HALVES,
	/* Earlier bypasses, which are not loaded any more: see bypass/lingering.h. */
	HALF_LINGERING,
	HALF_LINGERING_END = HALF_LINGERING + LINGERING_MAX,
	/* What an upgrade makes ready to take the place of a half: see bpf/next.h. */
	HALF_NEXT = HALF_LINGERING_END,
	HALF_NEXT_END = HALF_NEXT + HALVES,
};

/* The name in messages, and of the folder in the pin directory. */
const char *half_name(enum half half);

/* The half that an entry of the table of attachments belongs to. */
enum half attachment_half(const struct shunt_attachment *a);

/* The settings of a half, and the table of attachments, which all halves share. */
struct half_pins {
	struct shunt_conf *conf; /* NULL: this half has nothing pinned */
	struct shunt_attachment *attachments;
};

/* Maps both; what is not pinned is NULL. Reports errors and returns
 * -errno. */
int half_map(enum half half, struct half_pins *ret);

/* Whether load of the half came to its end, and unload has not begun: 1, 0, or -errno without a
 * message. */
int half_is_loaded(enum half half);

/* Finds the halves that are loaded. Returns how many, or -errno after reporting it. */
int halves_loaded(bool ret[HALVES]);

/* The settings of a half that is loaded; NULL if it is not, or can't be read. */
struct shunt_conf *half_conf(enum half half);

#endif
