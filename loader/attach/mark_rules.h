/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The routing rules that send steered packets, and no other look-ups, to shunt's table. The kernel
 * looks up the route to a packet's source, and the route of an answer, as if the packet came in by
 * lo. Some hosts give these look-ups the packet's mark. A plain rule for the mark would match them,
 * and they would find this host; so these rules leave look-ups by lo out. See
 * docs/internals/steering.md.
 *
 * The functions return 0 or -errno without a message, unless they say otherwise.
 */
#ifndef SHUNT_MARK_RULES_H
#define SHUNT_MARK_RULES_H

#include <stdbool.h>

#include <shunt/abi.h>

/* The protocol number of shunt's rules and routes, by which they are recognised: 's', free in
 * rt_protos. */
#define ROUTE_PROTOCOL 115

/* The preference of the first rule, unless other programs have rules before it, which is rare. */
#define MARK_RULES_PREFERENCE 97
#define MARK_RULES_ROOM 4 /* number of preferences that the rules take */

/* Returns mark and one more bit, which no shunt in this namespace uses: the mark of packets that
 * this host itself sent. */
__u32 mark_rules_choose_local(__u32 mark);

/*
 * Returns the preference where the rules belong: before all rules of other programs, which could
 * send steered packets elsewhere ('ip rule add' without a preference puts a rule before all but
 * the first). Returns `preference` if there is no room before them. Traffic of the other programs
 * is not affected: it does not have the mark.
 */
__u32 mark_rules_place(__u32 preference);

/* Whether a rule of another program is before shunt's rules, or among them. Sets *ret_preference
 * to the first such rule. */
bool mark_rules_are_preceded(const struct shunt_conf *conf, __u32 *ret_preference);

/* Moves the rules to that preference; packets are delivered all the time. After a failure the rules
 * are where they were. */
int mark_rules_move(int family, const struct shunt_conf *conf, __u32 preference);

/* Whether a shunt in this namespace uses the mark. Returns 1, 0, or -errno without a message. */
int mark_rules_use(int family, __u32 mark);

/* Makes the rules of conf for this family; after a failure none of them is left. Returns -EEXIST if
 * another shunt has the mark. */
int mark_rules_add(int family, const struct shunt_conf *conf);

/* Make or remove the rule for packets that this host sent. It is no error if that is done already. */
int mark_rules_add_local(int family, const struct shunt_conf *conf);
int mark_rules_del_local(int family, const struct shunt_conf *conf);

/* Removes the rules at whatever preference. It is no error if some are missing, or belong to another
 * program. Goes on after a failure, and returns an error then. */
int mark_rules_del(int family, const struct shunt_conf *conf);

/* Whether all rules that conf needs exist and are in force. Returns 1, 0, or -errno without a
 * message. */
int mark_rules_are_present(int family, const struct shunt_conf *conf);

/* Fills ret[], of max entries, with the marks and tables of the rules that shunts have made in this
 * namespace, for route_del(). Returns their number, or -errno without a message. */
int mark_rules_list(struct shunt_conf *ret, int max);

#endif
