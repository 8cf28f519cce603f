/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules of routers over an unload and the next load, as in 'systemctl restart shunt': a router
 * calls the diverter once for each service and does not notice that its rules are gone. Unload of
 * steering writes the rules of routers that run to a file below /run/shunt, one for each pin
 * directory. The next load of steering adds the rules again whose router still runs. The caller
 * holds the lock and is in the network namespace of the load.
 *
 * The file is text, so that another version of shunt can read it, whose structs may differ. bpffs
 * takes no files.
 */
#ifndef SHUNT_KEPT_RULES_H
#define SHUNT_KEPT_RULES_H

#include <stdbool.h>

/* Writes the rules of steering, which is still loaded; removes the file if there are none to keep.
 * A failure is a warning: it stops no unload. */
void kept_rules_write(void);

/* Adds the rules of the file to those in force, which are open. Prints how many. A file that can't
 * be read, or that is damaged, is a warning: it stops no load. */
void kept_rules_restore(void);

/* Whether unload has written the file in the last seconds and no load has followed: shunt is being
 * restarted. */
bool kept_rules_are_recent(void);

/* Removes the file. kept_rules_forget() removes an empty /run/shunt, too. */
void kept_rules_remove(void);
void kept_rules_forget(void);

#endif
