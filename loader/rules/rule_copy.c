// SPDX-License-Identifier: GPL-2.0-only
#include "rules/rule_copy.h"

#include <errno.h>
#include <stdlib.h>

#include "rules/rule_store.h"
#include "rules/shadowed.h"
#include "util/cleanup.h"
#include "util/log.h"

/* Puts copies of the shadowed rules behind the copy of each rule. */
static int copy_shadows(const struct shunt_rule *const *rules, __u32 count, struct rule_copy **copy,
			__u32 *ret_count)
{
	_cleanup_free_ struct rule_copy *out = NULL;
	__u32 i, j, n = 0, room = 0;
	struct shunt_shadows s;
	void *more;
	int error;

	for (i = 0; i < count; i++) {
		error = shadows_get(rules[i], &s);
		if (error)
			return error;
		if (!out || n + 1 + s.count > room) {
			room = 2 * (n + 1 + s.count);
			more = realloc(out, room * sizeof(*out));
			if (!more)
				return fail(-ENOMEM, "the rules");
			out = more;
		}
		out[n++] = (*copy)[i];
		for (j = 0; j < s.count; j++) {
			out[n] = (struct rule_copy){ .rule = shadow_rule(rules[i], &s.shadow[j]) };
			out[n++].rule.shadowed = 1;
		}
	}
	free(*copy);
	*copy = out;
	out = NULL;
	*ret_count = n;
	return 0;
}

int rules_copy(const struct shunt_rule *const *rules, __u32 count, struct rule_copy **ret,
	       __u32 *ret_count)
{
	struct rule_copy *copy = calloc(count + 1, sizeof(*copy));
	__u32 i;
	int error;

	if (!copy)
		return fail(-ENOMEM, "%u rules", count);
	for (i = 0; i < count; i++) {
		copy[i].rule = *rules[i];
		rules_counts(rules[i], &copy[i].counts);
	}
	if (count && !shadows_none()) {
		error = copy_shadows(rules, count, &copy, &count);
		if (error) {
			free(copy);
			return error;
		}
	}
	*ret = copy;
	*ret_count = count;
	return 0;
}
