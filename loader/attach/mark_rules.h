/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The routing rules that send steered packets, and nothing else, to shunt's
 * table. The kernel looks up the way back to a packet's source, and the way of
 * an answer, as if it came in by lo, and some hosts give these look-ups the
 * packet's mark. So a rule for the mark has to leave them out: they would find
 * this host.
 */
#ifndef SHUNT_MARK_RULES_H
#define SHUNT_MARK_RULES_H

#include <stdbool.h>

#include <shunt/abi.h>

#define ROUTE_PROTOCOL 115 /* 's'; free in rt_protos: tells our rules and routes */

/* Of the first rule, unless others are there: people rarely put theirs so low. */
#define MARK_RULES_PREFERENCE 97
#define MARK_RULES_ROOM 4 /* preferences that they take */

/* The bit that tells packets which this host sent: one that no shunt here uses. */
__u32 mark_rules_choose_local(__u32 mark);

/*
 * Where the rules belong: before all rules of others, which could send steered
 * packets elsewhere. 'ip rule add' without a preference puts a rule before all
 * but the first. preference if there is no room. Rules of others do not mind:
 * they never see the mark.
 */
__u32 mark_rules_place(__u32 preference);

/* Comes a rule of another program before ours, or among them? */
bool mark_rules_preceded(const struct shunt_conf *conf, __u32 *ret_preference);

/* Moves them to that preference; packets are delivered all the time. 0, or
 * -errno, unsaid, and they are where they were. */
int mark_rules_move(int family, const struct shunt_conf *conf, __u32 preference);

/* Makes the rules of conf for this family: 0, -EEXIST if another shunt has the
 * mark, or -errno, unsaid; then none of them is left. */
int mark_rules_add(int family, const struct shunt_conf *conf);

/* Makes the rule for what this host sends, or removes it, unless that is done
 * already; 0 or -errno, unsaid. */
int mark_rules_add_local(int family, const struct shunt_conf *conf);
int mark_rules_del_local(int family, const struct shunt_conf *conf);

/* Removes them; what is missing or somebody else's is no error. Goes on after a
 * failure: 0 or the first -errno, unsaid. */
int mark_rules_del(int family, const struct shunt_conf *conf);

/* Are all that conf needs there, and in force: 1, 0, or -errno, unsaid? */
int mark_rules_present(int family, const struct shunt_conf *conf);

/* The marks and tables of the rules that shunts have made in this namespace, as route_del()
 * takes them: how many, at most max, or -errno, unsaid. */
int mark_rules_left(struct shunt_conf *ret, int max);

#endif
