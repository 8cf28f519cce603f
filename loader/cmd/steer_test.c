// SPDX-License-Identifier: GPL-2.0-only
/* shunt steer test: asks the loaded program about packets that are made up. */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include <bpf/bpf.h>

#include "bpf/pins.h"
#include "bpf/programs.h"
#include "cmd/probe_packet.h"
#include "cmd/steer.h"
#include "cmd/steer_deliver.h"
#include "rules/rule_store.h"
#include "util/address.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "util/netns.h"
#include "util/options.h"
#include "util/parse.h"

static int flow_endpoint(const char *name, const char *word, struct endpoint *e)
{
	__u16 port = e->port;
	int error;

	if (e->family)
		return refuse("'%s' is given twice", name);
	error = parse_endpoint(word, e);
	if (error)
		return error;
	if (port && e->port)
		return refuse("'%s %s': the port is given twice", name, word);
	if (port)
		e->port = port;
	return 0;
}

static int flow_port(const char *name, const char *word, struct endpoint *e)
{
	if (e->port)
		return refuse("'%s %s': the port is given twice", name, word);
	return parse_port(word, &e->port);
}

static int flow_origin(const char *word, struct probe *f)
{
	if (f->ifindex)
		return refuse("'origin' and 'iface': only one, and once");
	if (strcmp(word, "local"))
		return refuse("'origin %s': the only origin is 'local', this host itself", word);
	f->ifindex = SHUNT_LOCAL_IFINDEX;
	return 0;
}

static int flow_iface(const char *word, struct probe *f)
{
	if (f->ifindex)
		return refuse("'iface' is given twice");
	f->ifindex = if_nametoindex(word);
	if (!f->ifindex)
		return deny(-ENODEV, "'%s': no such interface%s", word,
			    netns_moved() ? " in the network namespace that shunt is loaded in" : "");
	return 0;
}

/* Takes one keyword of a test with its value, NULL if there is none. */
static int flow_word(const char *name, const char *word, struct probe *f)
{
	static const char *const names[] = { "src", "dst", "sport", "dport", "iface", "origin",
					     NULL };
	int i = 0;

	while (names[i] && strcmp(names[i], name))
		i++;
	if (!names[i])
		return refuse("'%s': no word of a test; see 'shunt steer help'", name);
	if (!word)
		return refuse("'%s': a value is missing", name);
	switch (i) {
	case 0:
		return flow_endpoint(name, word, &f->src);
	case 1:
		return flow_endpoint(name, word, &f->dst);
	case 2:
		return flow_port(name, word, &f->src);
	case 3:
		return flow_port(name, word, &f->dst);
	case 4:
		return flow_iface(word, f);
	default:
		return flow_origin(word, f);
	}
}

static int check_flow(struct probe *f, __u16 sport)
{
	if (!f->src.family || !f->dst.family)
		return refuse("a test needs 'src ADDR' and 'dst ADDR'");
	if (f->src.family != f->dst.family)
		return refuse("'src' and 'dst': one is IPv4, the other IPv6");
	if (!f->dst.port)
		return refuse("a test needs 'dport PORT'");
	if (!f->src.port)
		f->src.port = sport;
	return 0;
}

/* With sport as the source port, if there is none. */
static int parse_flow(int argc, char **argv, __u16 sport, struct probe *ret)
{
	struct probe f = {};
	int i, error;

	if (argc < 1)
		return refuse("what to test is missing; see 'shunt steer help'");
	if (!strcmp(argv[0], "tcp"))
		f.proto = IPPROTO_TCP;
	else if (!strcmp(argv[0], "udp"))
		f.proto = IPPROTO_UDP;
	else
		return refuse("'%s': a test begins with tcp or udp", argv[0]);
	for (i = 1; i < argc; i += 2) {
		error = flow_word(argv[i], i + 1 < argc ? argv[i + 1] : NULL, &f);
		if (error)
			return error;
	}
	error = check_flow(&f, sport);
	if (!error)
		*ret = f;
	return error;
}

/* Asks the loaded program about a packet: which rule it meets, 0 if none; or
 * whether somebody listens at its destination. */
static int ask(const struct probe *f, enum shunt_question question, __u32 *ret)
{
	_cleanup_fd_ int prog = program_open("shunt_test");
	static const __u8 one[ETH_ALEN], many[ETH_ALEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct __sk_buff skb = { .cb = { f->ifindex, question } };
	__u8 packet[PACKET_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, o,
		.data_in = packet,
		.data_size_in = probe_packet(f, PART_FIRST, probe_is_group(f) ? many : one, packet),
		.ctx_in = &skb,
		.ctx_size_in = sizeof(skb),
	);

	if (prog < 0)
		return prog;
	if (bpf_prog_test_run_opts(prog, &o))
		return fail(-errno, "can't run the test program");
	*ret = o.retval;
	return 0;
}

int rule_listens(const struct shunt_rule *r)
{
	struct probe f = {
		.proto = r->proto,
		.src = { .family = r->family, .port = TEST_SPORT },
		.dst = { .family = r->family, .port = r->to_port },
	};
	__u32 answer = 0;
	int error;

	memcpy(f.dst.addr, r->to, sizeof(f.dst.addr));
	error = ask(&f, ASK_LISTENER, &answer);
	return error ? error : (int)answer;
}

/* As is_meant() in tc/rules.h. */
static bool is_meant(const struct shunt_rule *r, const struct probe *f)
{
	int bits = r->family == AF_INET ? 32 : 128;

	return !probe_is_group(f) || r->dst_len == bits ||
	       (r->dst_len >= (bits == 32 ? 4 : 8) && is_multicast(r->family, r->dst));
}

static bool matches(const struct shunt_rule *r, const struct probe *f)
{
	return r->family == f->dst.family && r->proto == f->proto &&
	       in_prefix(f->dst.addr, r->dst, r->dst_len) &&
	       in_prefix(f->src.addr, r->src, r->src_len) &&
	       f->dst.port >= r->dport_low && f->dst.port <= r->dport_high &&
	       f->src.port >= r->sport_low && f->src.port <= r->sport_high &&
	       (r->ifindex == f->ifindex || (!r->ifindex && f->ifindex != SHUNT_LOCAL_IFINDEX)) &&
	       is_meant(r, f);
}

/* Leaves in all the rules that match, but hit; returns how many. */
static __u32 keep_others(const struct shunt_rule **all, __u32 count, const struct probe *f,
			 const struct shunt_rule *hit)
{
	__u32 i, kept = 0;

	for (i = 0; i < count; i++)
		if (all[i] != hit && matches(all[i], f))
			all[kept++] = all[i];
	return kept;
}

/* What is known of a packet, apart from the store. */
struct answer {
	struct rule_copy *rules; /* the one that it meets, if any, then others that match */
	bool hit;
	__u32 others;
	enum shunt_answer listener;
	__u32 own;               /* the rule leaves it to a service of this host */
};

static void free_answer(struct answer *a)
{
	free(a->rules);
}

static const struct shunt_rule *hit_of(const struct answer *a)
{
	return a->hit ? &a->rules[0].rule : NULL;
}

static const struct rule_copy *other(const struct answer *a, __u32 i)
{
	return &a->rules[a->hit + i];
}

/* Copies the rules: the one that is met comes first. */
static int copy_rules(const struct probe *f, const struct shunt_rule *hit, struct answer *a)
{
	_cleanup_free_ const struct shunt_rule **all = NULL;
	_cleanup_free_ const struct shunt_rule **order = NULL;
	__u32 count = 0;
	int error = rules_sorted(&all, &count);

	if (error)
		return error;
	a->others = keep_others(all, count, f, hit);
	a->hit = hit;
	order = calloc(a->others + 1, sizeof(*order));
	if (!order)
		return fail(-ENOMEM, "the rules");
	order[0] = hit;
	memcpy(order + a->hit, all, a->others * sizeof(*order));
	error = rules_copy(order, a->hit + a->others, &a->rules, &count);
	a->others = error ? 0 : count - a->hit;
	return error;
}

static int ask_target(const struct probe *f, struct answer *a)
{
	const struct shunt_rule *hit = hit_of(a);
	int listener;

	if (!hit || hit->action != SHUNT_STEER)
		return 0;
	listener = rule_listens(hit);
	if (listener < 0)
		return listener;
	a->listener = listener;
	return hit->own == SHUNT_OWN_KEEP ? ask(f, ASK_OWN, &a->own) : 0;
}

/* Asks under the lock, which nobody waits for while the answer is printed. */
static int find_answer(const struct probe *f, struct answer *a)
{
	_cleanup_lock_ int lock = rules_lock();
	__u32 index = 0;
	int error;

	if (lock < 0)
		return lock;
	error = ask(f, ASK_RULE, &index);
	if (!error)
		error = copy_rules(f, rules_at(index), a);
	return error ? error : ask_target(f, a);
}

/* The first of the others is the one that the rule had to beat. */
static const char *why_hit(const struct probe *f, const struct answer *a)
{
	if (!a->hit && probe_is_group(f))
		return "no rule matches, as for multicast and broadcast only those do that name it: the "
		       "packet is not touched";
	if (!a->hit)
		return "no rule matches: the packet is not touched";
	return a->others ? rule_won(hit_of(a), &other(a, 0)->rule) : "the only rule that matches";
}

/* Is the packet for a router's listener, and that is there? */
static bool is_steered(const struct answer *a)
{
	const struct shunt_rule *hit = hit_of(a);

	return hit && hit->action == SHUNT_STEER && a->listener == LISTENER_THERE && !a->own;
}

static void listener_text(const struct answer *a)
{
	static const char *const words[] = {
		[LISTENER_NONE] = "no listener: the packet passes",
		[LISTENER_OPAQUE] = "the listener lacks IP_TRANSPARENT: the packet passes",
		[LISTENER_THERE] = "the listener is there",
	};

	if (a->own)
		puts("    a service of this host listens there, and keeps it: the packet passes ('own "
		     "take' takes it)");
	else
		printf("    %s\n", words[a->listener]);
}

static const char *why_lost(const struct shunt_rule *hit, const struct shunt_rule *r)
{
	return r->shadowed && rule_same_match(hit, r) ? "older than the rule for the same packets" :
							 rule_lost(hit, r);
}

static void test_text(const struct probe *f, const struct answer *a, const struct delivery *d)
{
	const struct shunt_rule *hit = hit_of(a);
	char text[RULE_TEXT];
	__u32 i;

	if (!hit) {
		puts(why_hit(f, a));
		if (d)
			puts("    not delivered: nothing steers the packet");
		return;
	}
	rule_format(hit, text, sizeof(text));
	printf("%s\n    %s\n", text, why_hit(f, a));
	if (hit->action == SHUNT_STEER)
		listener_text(a);
	if (d && is_steered(a))
		delivery_text(d);
	else if (d)
		puts("    not delivered: nothing steers the packet");
	for (i = 0; i < a->others; i++) {
		rule_format(&other(a, i)->rule, text, sizeof(text));
		printf("not %s\n    %s\n", text, why_lost(hit, &other(a, i)->rule));
	}
}

static void json_hit(const struct answer *a)
{
	const struct shunt_rule *hit = hit_of(a);

	if (!hit) {
		json_null(&json_stdout, "rule");
		return;
	}
	json_open_in(&json_stdout, "rule", '{');
	rule_json_fields(&json_stdout, hit, &a->rules[0].counts);
	json_close(&json_stdout, '}');
}

static void test_json(const struct probe *f, const struct answer *a, const struct delivery *d)
{
	const struct shunt_rule *hit = hit_of(a);
	__u32 i;

	json_open(&json_stdout, '{');
	json_hit(a);
	json_string(&json_stdout, "why", why_hit(f, a));
	if (hit && hit->action == SHUNT_STEER) {
		json_bool(&json_stdout, "listener", a->listener != LISTENER_NONE);
		json_bool(&json_stdout, "transparent", a->listener == LISTENER_THERE);
		json_bool(&json_stdout, "own_service", a->own);
	}
	if (d)
		delivery_json(d);
	json_open_in(&json_stdout, "others", '[');
	for (i = 0; hit && i < a->others; i++) {
		json_open(&json_stdout, '{');
		rule_json_fields(&json_stdout, &other(a, i)->rule, &other(a, i)->counts);
		json_string(&json_stdout, "why", why_lost(hit, &other(a, i)->rule));
		json_close(&json_stdout, '}');
	}
	json_close(&json_stdout, ']');
	json_close(&json_stdout, '}');
}

#define TEST_WORDS 16

/* The rule that the packet of a line meets, "-" if there is none. */
static int answer_line(char *line, char text[RULE_TEXT])
{
	char *words[TEST_WORDS], *rest = line, *w;
	const struct shunt_rule *hit;
	struct probe f = {};
	__u32 index = 0;
	int count, error;

	for (count = 0; count < TEST_WORDS; count++) {
		w = strtok_r(rest, " \t\r\n", &rest);
		if (!w)
			break;
		words[count] = w;
	}
	error = parse_flow(count, words, TEST_SPORT, &f);
	if (!error)
		error = ask(&f, ASK_RULE, &index);
	if (error)
		return error;
	hit = rules_at(index);
	if (hit)
		rule_format(hit, text, RULE_TEXT);
	else
		strcpy(text, "-");
	return 0;
}

/* What standard input has at hand, without the lock: the whole lines of it. More may be
 * there already, but nobody who waits for an answer has to send more. */
struct input {
	char *text;
	size_t len;
	size_t size;
	bool ended;
};

static void free_input(struct input *in)
{
	free(in->text);
}

#define INPUT_STEP 65536

static int read_more(struct input *in)
{
	char *larger;
	ssize_t n;

	if (in->size - in->len < INPUT_STEP) {
		larger = realloc(in->text, in->len + INPUT_STEP + 1);
		if (!larger)
			return fail(-ENOMEM, "stdin");
		in->text = larger;
		in->size = in->len + INPUT_STEP;
	}
	n = read(STDIN_FILENO, in->text + in->len, in->size - in->len);
	if (n < 0)
		return errno == EINTR ? 0 : fail(-errno, "stdin");
	in->ended = !n;
	in->len += n;
	in->text[in->len] = '\0';
	return 0;
}

/* Answers what is there, up to the last line's end, and puts the answers into out. */
static int answer_lines(struct input *in, unsigned int *number, FILE *out)
{
	_cleanup_lock_ int lock = rules_lock();
	char *line = in->text, *end, text[RULE_TEXT];
	int error = lock < 0 ? lock : 0;

	while (!error && *line && ((end = strchr(line, '\n')) || in->ended)) {
		if (end)
			*end++ = '\0';
		else
			end = line + strlen(line);
		message_place("stdin", ++*number);
		error = answer_line(line, text);
		if (!error)
			fprintf(out, "%s\n", text);
		line = end;
	}
	message_place(NULL, 0);
	in->len -= line - in->text;
	memmove(in->text, line, in->len + 1);
	rules_close();
	return error;
}

static bool has_line(const struct input *in)
{
	return in->len && (in->ended || strchr(in->text, '\n'));
}

/* A test on each line of standard input, its answer on one of the output. */
static int test_lines(void)
{
	_cleanup_(free_input) struct input in = {};
	unsigned int number = 0;
	int error = 0;

	while (!error && !in.ended) {
		_cleanup_free_ char *answers = NULL;
		size_t size = 0;
		FILE *out;

		error = read_more(&in);
		if (error || !has_line(&in))
			continue;
		out = open_memstream(&answers, &size);
		if (!out)
			return fail(-errno, "the answers");
		error = answer_lines(&in, &number, out);
		if (fclose(out) && !error)
			error = fail(-errno, "the answers");
		if (size)
			fwrite(answers, 1, size, stdout);
		fflush(stdout);
	}
	return error;
}

static int print_answer(const struct probe *f, const struct answer *a, const struct delivery *d)
{
	if (opt.json)
		test_json(f, a, d);
	else
		test_text(f, a, d);
	return d && !delivery_made(d) ? -EHOSTUNREACH : 0;
}

/* Connection tracking may still know the flow of an earlier test. */
static __u16 random_port(void)
{
	__u16 n = 0;

	if (getrandom(&n, sizeof(n), 0) != sizeof(n))
		return TEST_SPORT;
	return 32768 + n % 28232; /* net.ipv4.ip_local_port_range */
}

static int test_delivery(int argc, char **argv)
{
	_cleanup_(free_answer) struct answer a = {};
	struct delivery d = {};
	struct probe f = {};
	int error;

	if (argc == 1 && !strcmp(argv[0], "-"))
		return refuse("--deliver: '-' is for tests without it");
	error = parse_flow(argc, argv, random_port(), &f);
	if (!error)
		error = delivery_check(&f);
	if (!error)
		error = find_answer(&f, &a);
	if (!error && is_steered(&a))
		error = delivery_try(&f, &d);
	if (!error)
		error = print_answer(&f, &a, &d);
	nft_markers_free(&d.markers);
	return error;
}

int steer_test(int argc, char **argv)
{
	_cleanup_(free_answer) struct answer a = {};
	struct probe f = {};
	int error;

	if (argc > 1 && !strcmp(argv[1], "--deliver"))
		return test_delivery(argc - 2, argv + 2);
	if (argc == 2 && !strcmp(argv[1], "-"))
		return test_lines();
	error = parse_flow(argc - 1, argv + 1, TEST_SPORT, &f);
	if (!error)
		error = find_answer(&f, &a);
	return error ? error : print_answer(&f, &a, NULL);
}
