// SPDX-License-Identifier: GPL-2.0-only
/*
 * packets PIN_DIR PROGRAM [RANDOM]
 *
 * Runs a pinned tc program on packets of all shapes by BPF_PROG_TEST_RUN. Well-formed
 * packets must meet a rule for 10.1.2.3 and fd00::a01:203 with a listener; a test run
 * can't assign the listener, so they count as misses. Truncated packets and packets with
 * wrong headers may only be counted. RANDOM (50000) packets of random bytes come last;
 * SEED chooses them. Programs other than shunt_steer have to pass malformed packets.
 */
#include "peer.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <shunt/abi.h>

#define ROOM 2048
#define CPUS_MAX 1024
#define UNSPEC 0xffffffff
#define REDIRECT 7
#define PAYLOAD 8

#define ETHERNET 14
#define TCP 6
#define UDP 17
#define HOP 0
#define ROUTING 43
#define FRAGMENT 44
#define AUTH 51
#define DEST 60

struct shape {
	int family;
	int proto;
	int tags;
	int options;             /* IPv4: bytes */
	unsigned char chain[12]; /* IPv6: extension headers, 1 ends them (0 is HOP) */
};

struct frame {
	unsigned char at[ROOM];
	size_t len;
	size_t ip, transport; /* offsets */
};

/* The change of the counters by a run. */
struct effect {
	long malformed;
	long fragments;
	long missed;
	long other;
};

static int program, counters, cpus;
static bool steering; /* the program is shunt_steer */
static __u32 mark;    /* of packets that the program looks at */
static long runs;

static void put16(unsigned char *at, unsigned int value)
{
	at[0] = value >> 8;
	at[1] = value;
}

static size_t put_extensions(unsigned char *at, const struct shape *s)
{
	const unsigned char *kind = s->chain;
	size_t len = 0, step;

	for (; *kind != 1; kind++) {
		step = *kind == AUTH ? 12 : 8;
		memset(at + len, 0, step);
		at[len] = kind[1] == 1 ? s->proto : kind[1];
		at[len + 1] = *kind == AUTH ? step / 4 - 2 : 0;
		if (*kind == HOP || *kind == DEST) {
			at[len + 2] = 1; /* PadN, of four */
			at[len + 3] = 4;
		}
		len += step;
	}
	return len;
}

static size_t transport_size(const struct shape *s)
{
	return s->proto == TCP ? 20 : 8;
}

static void put_ipv4(struct frame *f, const struct shape *s)
{
	unsigned char *ip = f->at + f->ip;
	size_t len = 20 + s->options;

	ip[0] = 4 << 4 | len / 4;
	put16(ip + 2, len + transport_size(s) + PAYLOAD);
	ip[8] = 64;
	ip[9] = s->proto;
	memcpy(ip + 12, "\xc6\x12\x00\x02\x0a\x01\x02\x03", 8);
	memset(ip + 20, 1, s->options);
	f->transport = f->ip + len;
}

static void put_ipv6(struct frame *f, const struct shape *s)
{
	unsigned char *ip = f->at + f->ip;
	size_t extensions = put_extensions(ip + 40, s);

	ip[0] = 6 << 4;
	put16(ip + 4, extensions + transport_size(s) + PAYLOAD);
	ip[6] = s->chain[0] == 1 ? s->proto : s->chain[0];
	ip[7] = 64;
	memcpy(ip + 8, "\xfd\0\0\0\0\0\0\0\0\0\0\0\xc6\x12\0\2", 16);
	memcpy(ip + 24, "\xfd\0\0\0\0\0\0\0\0\0\0\0\x0a\1\2\3", 16);
	f->transport = f->ip + 40 + extensions;
}

static void make(struct frame *f, const struct shape *s)
{
	unsigned char *t;
	int i;

	memset(f, 0, sizeof(*f));
	for (i = 0; i < s->tags; i++) {
		put16(f->at + 12 + 4 * i, i || s->tags == 1 ? 0x8100 : 0x88a8);
		put16(f->at + 14 + 4 * i, 7 + i);
	}
	f->ip = ETHERNET + 4 * s->tags;
	put16(f->at + f->ip - 2, s->family == 4 ? 0x0800 : 0x86dd);
	if (s->family == 4)
		put_ipv4(f, s);
	else
		put_ipv6(f, s);
	t = f->at + f->transport;
	put16(t, 40000);
	put16(t + 2, 80);
	if (s->proto == TCP) {
		t[12] = 5 << 4;
		t[13] = 2; /* SYN */
	} else {
		put16(t + 4, 8 + PAYLOAD);
	}
	f->len = f->transport + transport_size(s) + PAYLOAD;
}

/* The counters that may grow, and the sum of those that may not. */
static struct effect read_counters(void)
{
	static struct shunt_count counts[CPUS_MAX];
	struct effect e = {};
	__u32 zero = 0;
	int i;

	if (bpf_map_lookup_elem(counters, &zero, counts))
		die("counters");
	for (i = 0; i < cpus; i++) {
		e.malformed += counts[i].malformed;
		e.fragments += counts[i].fragments;
		e.missed += counts[i].no_listener;
		e.other += counts[i].steered_packets + counts[i].steered_flows;
	}
	return e;
}

static void dump(const struct frame *f)
{
	size_t i;

	for (i = 0; i < f->len; i++)
		fprintf(stderr, "%02x%s", f->at[i], i % 16 == 15 ? "\n" : " ");
	fputc('\n', stderr);
}

/* Returns false if the kernel itself refuses the packet, because it ends in its IP header.
 * tests/e2e/packets.bats sends such packets. */
static bool run(const struct frame *f, struct effect *ret)
{
	struct effect before = read_counters(), after;
	unsigned char out[ROOM];
	struct __sk_buff in = { .mark = mark }, ctx = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->at, .data_size_in = f->len,
		    .data_out = out, .data_size_out = sizeof(out), .ctx_in = &in,
		    .ctx_size_in = sizeof(in), .ctx_out = &ctx, .ctx_size_out = sizeof(ctx),
		    .repeat = 1);

	if (bpf_prog_test_run_opts(program, &opts)) {
		if (errno == EINVAL && f->len < ETHERNET + 40)
			return false;
		die("test run");
	}
	runs++;
	after = read_counters();
	ret->malformed = after.malformed - before.malformed;
	ret->fragments = after.fragments - before.fragments;
	ret->missed = after.missed - before.missed;
	ret->other = after.other - before.other;
	if (!steering) {
		if (opts.retval != UNSPEC && opts.retval != REDIRECT)
			leave(FAIL, "returned %d", (int)opts.retval);
		ret->malformed = opts.retval == UNSPEC && ctx.mark == mark &&
				 opts.data_size_out == f->len && !memcmp(out, f->at, f->len);
		return true;
	}
	/* Fragments of a datagram that a rule matches are marked and counted. */
	if (opts.retval != UNSPEC || opts.data_size_out != f->len || memcmp(out, f->at, f->len) ||
	    (!ret->fragments && (ctx.mark || ret->other)) ||
	    ret->malformed + ret->fragments + ret->missed > 1) {
		dump(f);
		leave(FAIL, "more than a counter: returned %d, mark %u", (int)opts.retval,
		      ctx.mark);
	}
	return true;
}

static void expect(const struct frame *f, const char *what, const char *counter)
{
	struct effect e = {};
	const char *got;

	if (!run(f, &e) || (!steering && strcmp(counter, "malformed")))
		return;
	got = e.malformed ? "malformed" : e.fragments ? "fragment" : e.missed ? "rule" : "nothing";
	if (strcmp(got, counter)) {
		dump(f);
		leave(FAIL, "%s: expected %s, got %s", what, counter, got);
	}
}

static void expect_with(struct frame f, size_t at, int value, const char *what, const char *counter)
{
	f.at[at] = value;
	expect(&f, what, counter);
}

static void expect_with16(struct frame f, size_t at, int value, const char *what,
			  const char *counter)
{
	put16(f.at + at, value);
	expect(&f, what, counter);
}

static void truncated(const struct frame *whole)
{
	struct frame f = *whole;

	while (--f.len >= ETHERNET)
		expect(&f, "truncated", "malformed");
}

static void padded(struct frame f)
{
	f.len += 6;
	expect(&f, "padded", "rule");
}

static void lying_ipv4(const struct frame *f)
{
	int i, len = f->len - f->ip, header = f->transport - f->ip;

	for (i = 0; i < 16; i++) {
		if (i != 4)
			expect_with(*f, f->ip, i << 4 | header / 4, "IP version", "malformed");
		if (i < 5 || i * 4 > len)
			expect_with(*f, f->ip, 4 << 4 | i, "header length", "malformed");
	}
	for (i = 0; i < len - PAYLOAD; i++)
		expect_with16(*f, f->ip + 2, i, "total length, too short", "malformed");
	for (i = len + 1; i < 65536; i += i < len + 32 ? 1 : 997)
		expect_with16(*f, f->ip + 2, i, "total length, too long", "malformed");
	expect_with(*f, f->ip + 6, 0x20, "first fragment", "fragment");
	expect_with(*f, f->ip + 7, 1, "later fragment", "fragment");
	expect_with(*f, f->ip + 6, 0x40, "don't fragment", "rule");
	expect_with(*f, f->ip + 9, 1, "ICMP", "nothing");
}

static void lying_ipv6(const struct frame *f, const struct shape *s)
{
	int i, payload = f->len - f->ip - 40;
	size_t at = f->ip + 40;
	const unsigned char *kind;

	for (i = 0; i < 16; i++)
		if (i != 6)
			expect_with(*f, f->ip, i << 4, "IP version", "malformed");
	/* a length of 0 behind which a hop-by-hop header stands is another one's */
	for (i = s->chain[0] == HOP; i < payload - PAYLOAD; i++)
		expect_with16(*f, f->ip + 4, i, "payload length, too short", "malformed");
	for (i = payload + 1; i < 65536; i += i < payload + 32 ? 1 : 997)
		expect_with16(*f, f->ip + 4, i, "payload length, too long", "malformed");
	expect_with(*f, f->ip + 6, 59, "no next header", "nothing");
	for (kind = s->chain; *kind != 1; kind++) {
		if (*kind == FRAGMENT) {
			expect_with(*f, at + 3, 1, "first fragment", "fragment");
			expect_with(*f, at + 2, 1, "later fragment", "fragment");
		} else {
			expect_with(*f, at + 1, 255, "length of an extension header", "malformed");
		}
		if (*kind == ROUTING)
			expect_with(*f, at + 3, 1, "segments left", "nothing");
		at += *kind == AUTH ? 12 : 8;
	}
}

static void lying_transport(const struct frame *f, const struct shape *s)
{
	int i, len = transport_size(s) + PAYLOAD;

	if (s->proto == TCP) {
		for (i = 0; i < 16; i++)
			expect_with(*f, f->transport + 12, i << 4, "TCP header length",
				    i < 5 || i * 4 > len ? "malformed" : "rule");
		return;
	}
	for (i = s->family == 6; i < 8; i++)
		expect_with16(*f, f->transport + 4, i, "UDP length, too short", "malformed");
	for (i = len + 1; i < 65536; i += i < len + 32 ? 1 : 997)
		expect_with16(*f, f->transport + 4, i, "UDP length, too long", "malformed");
	expect_with16(*f, f->transport + 4, 8, "UDP length, shorter than the packet", "rule");
}

static void try_shape(const struct shape *s)
{
	struct frame f;

	make(&f, s);
	expect(&f, "right packet", "rule");
	padded(f);
	truncated(&f);
	if (s->family == 4)
		lying_ipv4(&f);
	else
		lying_ipv6(&f, s);
	lying_transport(&f, s);
}

static void try_chain(const struct shape *s, const char *counter)
{
	struct frame f;

	make(&f, s);
	expect(&f, "chain of headers", counter);
}

static const unsigned char chains[][12] = {
	{ 1 },
	{ HOP, 1 },
	{ DEST, 1 },
	{ ROUTING, 1 },
	{ AUTH, 1 },
	{ FRAGMENT, 1 },
	{ HOP, DEST, ROUTING, FRAGMENT, AUTH, DEST, 1 },
	{ HOP, DEST, DEST, DEST, DEST, DEST, DEST, DEST, 1 },
};

#define CHAINS (sizeof(chains) / sizeof(chains[0]))

static void try_all(void)
{
	static const int options[] = { 0, 4, 40 };
	struct shape s;
	size_t i;

	for (s.proto = TCP; s.proto; s.proto = s.proto == TCP ? UDP : 0)
		for (s.tags = 0; s.tags <= 2; s.tags++) {
			s.family = 4;
			for (i = 0; i < 3; i++) {
				s.options = options[i];
				try_shape(&s);
			}
			s.family = 6;
			for (i = 0; i < CHAINS; i++) {
				memcpy(s.chain, chains[i], sizeof(s.chain));
				try_shape(&s);
			}
		}
	s = (struct shape){ .family = 6,
			    .proto = TCP,
			    .chain = { DEST, DEST, DEST, DEST, DEST, DEST, DEST, DEST, DEST, 1 } };
	try_chain(&s, "malformed");
	s = (struct shape){ .family = 4, .proto = UDP, .tags = 3 };
	try_chain(&s, "nothing");
}

static unsigned int chance(unsigned int n)
{
	return random() % n;
}

static void try_random(long count)
{
	struct shape s;
	struct effect e;
	struct frame f;
	unsigned int i;

	while (count--) {
		s = (struct shape){ .family = chance(2) ? 4 : 6,
				    .proto = chance(2) ? TCP : UDP,
				    .tags = chance(3),
				    .options = 4 * chance(11) };
		memcpy(s.chain, chains[chance(CHAINS)], sizeof(s.chain));
		make(&f, &s);
		for (i = chance(6); i; i--)
			f.at[12 + chance(f.len - 12)] = chance(256);
		if (!chance(4))
			f.len = ETHERNET + chance(f.len - ETHERNET + 1);
		run(&f, &e);
	}
}

static __u32 mark_of(const char *pin_dir)
{
	struct shunt_conf conf;
	char path[4096];
	__u32 zero = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/maps/shunt_conf", pin_dir);
	fd = bpf_obj_get(path);
	if (fd < 0 || bpf_map_lookup_elem(fd, &zero, &conf))
		die(path);
	close(fd);
	return conf.mark;
}

int main(int argc, char **argv)
{
	const char *seed = getenv("SEED");
	char path[4096];

	if (argc < 3)
		leave(2, "usage: packets PIN_DIR PROGRAM [RANDOM]");
	snprintf(path, sizeof(path), "%s/progs/%s", argv[1], argv[2]);
	program = bpf_obj_get(path);
	snprintf(path, sizeof(path), "%s/maps/shunt_count", argv[1]);
	counters = bpf_obj_get(path);
	steering = !strcmp(argv[2], "shunt_steer");
	cpus = libbpf_num_possible_cpus();
	if (program < 0 || counters < 0 || cpus < 1 || cpus > CPUS_MAX)
		die(path);
	if (!strcmp(argv[2], "shunt_arrive"))
		mark = mark_of(argv[1]);
	srandom(seed ? atoi(seed) : getpid());
	say("SEED=%d", seed ? atoi(seed) : getpid());
	try_all();
	try_random(argc > 3 ? atol(argv[3]) : 50000);
	say("%ld packets", runs);
	return PASS;
}
