// SPDX-License-Identifier: GPL-2.0-only
/* Rules for the same packets, and the routers that made them. */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_maps.h"
#include "fake_store.h"
#include "rules/routers.h"
#include "rules/rule_copy.h"
#include "rules/rule_store.h"
#include "rules/shadowed.h"

/* A rule for all packets to 10.0.0.1, to this port and for this service. */
static struct shunt_rule rule(__u16 to_port, const char *service)
{
	struct shunt_rule r = {
		.family = AF_INET,
		.proto = IPPROTO_TCP,
		.dst = { 10, 0, 0, 1 },
		.dst_len = 32,
		.dport_high = 65535,
		.sport_high = 65535,
		.to = { 127, 0, 0, 1 },
		.to_port = to_port,
		.action = SHUNT_STEER,
	};

	snprintf(r.service, sizeof(r.service), "%s", service);
	return r;
}

static int shadowed;

static void begin(void)
{
	fake_store_open(100);
	shadowed = fake_hash("shunt_shadowed", sizeof(struct shunt_match),
			     sizeof(struct shunt_shadows), 4);
}

/* Makes a table of these rules, each for a port of its own: "80 a, 80 b, 81 c". */
static struct shadow_table table(const char *text, __u8 router)
{
	struct shunt_rule rules[2 * SHUNT_SHADOWS];
	const struct shunt_rule *at[2 * SHUNT_SHADOWS];
	struct shadow_table t = {};
	char service[8];
	__u32 n = 0;
	int port, used;

	for (; sscanf(text, "%d %7[a-z]%n", &port, service, &used) == 2; n++) {
		rules[n] = rule(port, service);
		rules[n].dport_low = rules[n].dport_high = port;
		rules[n].router = router;
		at[n] = &rules[n];
		text += used + strspn(text + used, ", ");
	}
	assert_int_equal(shadow_table_make(at, n, &t), 0);
	return t;
}

/* Asserts that the map has these rules. */
static void assert_shadows(const char *text)
{
	struct shadow_table t = {};
	char all[100] = "";
	__u32 i, j;

	assert_int_equal(shadow_table_read(&t), 0);
	for (i = 0; i < t.count; i++)
		for (j = 0; j < t.entry[i].shadows.count; j++)
			snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%d %s",
				 *all ? ", " : "", t.entry[i].match.dport_low,
				 t.entry[i].shadows.shadow[j].service);
	assert_string_equal(all, text);
	shadow_table_free(&t);
}

static void assert_join(const struct shadow_table *was, const char *new, const char *text)
{
	struct shadow_table to = table(new, 0), both = {};

	assert_int_equal(shadow_table_join(was, &to, &both), 0);
	assert_int_equal(shadow_table_change(was, &both), 0);
	assert_shadows(text);
	assert_int_equal(shadow_table_change(&both, &to), 0);
	assert_shadows(new);
	assert_int_equal(shadow_table_change(&to, was), 0);
	shadow_table_free(&to);
	shadow_table_free(&both);
}

static void a_table_refuses_more_than_there_is_room_for(void)
{
	struct shunt_rule rules[SHUNT_SHADOWS + 1];
	const struct shunt_rule *at[SHUNT_SHADOWS + 1];
	struct shadow_table t = {};
	int i;

	for (i = 0; i <= SHUNT_SHADOWS; i++) {
		rules[i] = rule(i, "same");
		at[i] = &rules[i];
	}
	assert_int_equal(shadow_table_make(at, SHUNT_SHADOWS, &t), 0);
	assert_int_equal(t.count, 1);
	shadow_table_free(&t);
	t = (struct shadow_table){};
	messages_begin();
	assert_int_equal(shadow_table_make(at, SHUNT_SHADOWS + 1, &t), -ENOSPC);
	assert_has(messages_end(), "no room for more than 31 shadowed rules");
	shadow_table_free(&t);
}

/* Ports are of one byte: the order of the bytes of a match is that of the ports. The map has room for
 * four matches. */
static void a_table_takes_the_place_of_another(void)
{
	struct shadow_table none = {}, old = table("80 a, 80 b, 81 c", 0), much;
	struct shadow_table routers = table("80 a, 80 b, 81 c", 1);

	a_table_refuses_more_than_there_is_room_for();
	assert_int_equal(shadow_table_change(&none, &old), 0);
	assert_shadows("80 a, 80 b, 81 c");
	assert_join(&old, "80 c, 82 d", "80 c, 81 c, 82 d");
	assert_join(&old, "", "80 a, 80 b, 81 c");
	assert_join(&routers, "80 d, 82 e", "80 a, 80 b, 80 d, 81 c, 82 e");
	assert_shadows("80 a, 80 b, 81 c");
	/* a change that fails is taken back */
	much = table("79 x, 80 x, 81 x, 82 x, 83 x", 0);
	assert_int_equal(shadow_table_change(&routers, &old), 0);
	messages_begin();
	assert_int_equal(shadow_table_change(&old, &much), -ENOSPC);
	assert_has(messages_end(),
		   "no room for shadowed rules for more than 8192 different packets");
	assert_int_equal(shadow_table_change(&much, &old), 0);
	assert_shadows("80 a, 80 b, 81 c");
	assert_int_equal(shadow_table_change(&old, &none), 0);
	assert_true(shadows_none());
	shadow_table_free(&old);
	shadow_table_free(&routers);
	shadow_table_free(&much);
}

/* The map's fd is kept for the whole process: one test for all of it. */
static void shadowed_rules_keep_their_order(void **unused)
{
	struct shunt_rule in_force = rule(1, "newest"), older = rule(2, "older");
	struct shunt_rule oldest = rule(3, "oldest"), back;
	const struct shunt_rule *rules[] = { &in_force };
	struct rule_copy *copy = NULL;
	struct shunt_shadows s;
	__u32 count = 0;

	(void)unused;
	begin();
	assert_true(shadows_none());
	assert_int_equal(shadows_get(&in_force, &s), 0);
	assert_int_equal(s.count, 0);
	s = (struct shunt_shadows){ 2, 0, { shadow_of(&older), shadow_of(&oldest) } };
	assert_int_equal(shadows_put(&in_force, &s), 0);
	assert_false(shadows_none());
	assert_int_equal(shadows_get(&in_force, &s), 0);
	assert_int_equal(s.count, 2);
	back = shadow_rule(&in_force, &s.shadow[1]);
	assert_memory_equal(&back, &oldest, sizeof(back));
	assert_int_equal(rules_copy(rules, 1, &copy, &count), 0);
	assert_int_equal(count, 3);
	assert_string_equal(copy[0].rule.service, "newest");
	assert_string_equal(copy[1].rule.service, "older");
	assert_string_equal(copy[2].rule.service, "oldest");
	assert_false(copy[0].rule.shadowed);
	assert_true(copy[1].rule.shadowed && copy[2].rule.shadowed);
	free(copy);
	s.count = 0;
	assert_int_equal(shadows_put(&in_force, &s), 0);
	assert_int_equal(shadows_put(&in_force, &s), 0);
	assert_true(shadows_none());
	assert_int_equal(rules_copy(rules, 1, &copy, &count), 0);
	assert_int_equal(count, 1);
	free(copy);
	s.count = 1;
	assert_int_equal(shadows_put(&in_force, &s), 0);
	assert_int_equal(shadows_clear(), 0);
	assert_true(shadows_none());
	messages_begin();
	fake_fail(1, ENOMEM);
	assert_int_equal(shadows_put(&in_force, &s), -ENOMEM);
	assert_has(messages_end(), "can't keep a shadowed rule");
	a_table_takes_the_place_of_another();
	fake_store_close();
}

/* Listens at 127.0.0.1, as a router does. */
static int listener(__u16 *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static void routers_are_known_while_they_run(void **unused)
{
	struct shunt_router *all = fake_array("shunt_routers", SHUNT_ROUTERS * sizeof(*all));
	struct shunt_router ended;
	struct shunt_rule r = rule(0, "");
	int fd = listener(&r.to_port);
	__u8 me, child;
	pid_t pid;

	(void)unused;
	assert_true(routers_none());
	assert_int_equal(router_find(getpid()), 0);
	me = router_enter(getpid(), &r);
	assert_int_equal(me, 1);
	assert_int_equal(router_enter(getpid(), &r), me);
	assert_int_equal(router_find(getpid()), me);
	assert_false(routers_none());
	assert_int_equal(router_at(me).pid, getpid());
	assert_int_equal(router_at(0).pid, 0);
	assert_int_equal(parent_of(getpid()), getppid());
	assert_int_equal(parent_of(0), 0);
	/* the parent does not hold the socket */
	assert_int_equal(router_enter(getppid(), &r), 0);
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	child = router_enter(pid, &r);
	assert_int_equal(child, 2);
	ended = router_at(child);
	assert_int_equal(router_restore(&ended), child);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_false(router_gone(me));
	assert_false(router_gone(0));
	assert_true(router_gone(child));
	assert_true(routers_gone());
	routers_forget();
	assert_int_equal(all[child - 1].pid, 0);
	assert_int_equal(router_restore(&ended), 0);
	ended.pid_ns++; /* of another container: nothing can be said */
	assert_int_equal(router_restore(&ended), child);
	close(fd);
}

static void a_process_without_the_listener_is_no_router(void **unused)
{
	struct shunt_rule r = rule(1, "");

	(void)unused;
	fake_array("shunt_routers", SHUNT_ROUTERS * sizeof(struct shunt_router));
	r.proto = IPPROTO_UDP;
	assert_int_equal(router_enter(getppid(), &r), 0);
	assert_int_equal(router_enter(-1, &r), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shadowed_rules_keep_their_order),
		cmocka_unit_test(routers_are_known_while_they_run),
		cmocka_unit_test(a_process_without_the_listener_is_no_router),
	};

	return cmocka_run_group_tests_name("shadowed", tests, NULL, NULL);
}
