// SPDX-License-Identifier: GPL-2.0-only
#include "fake_store.h"

#include "fake_maps.h"
#include "rules/counters.h"
#include "rules/rule_store.h"
#include "rules/units.h"
#include "unit.h"

static int outer;

void fake_store_open(__u32 max_rules)
{
	struct shunt_conf *conf;
	int counters;

	fake_reset();
	fake_ifindex("fake0", 11);
	fake_ifindex("fake1", 12);
	conf = fake_array("shunt_conf", sizeof(*conf));
	conf->max_rules = max_rules;
	conf->shards = 2;
	outer = fake_outer("shunt_rules");
	counters = fake_outer("shunt_rule_counters");
	assert_int_equal(store_make(outer), 0);
	assert_int_equal(counters_make(counters, conf->shards), 0);
	assert_int_equal(rules_open(), 0);
}

void fake_store_close(void)
{
	rules_close();
	fake_reset();
}

void *fake_store(size_t *ret_size)
{
	return fake_inner(outer, ret_size);
}
