// SPDX-License-Identifier: GPL-2.0-only
/*
 * rules SEED SHAPE RULES LOOKUPS DIR
 *
 * Makes random rules and packets, and finds the rule that each packet meets by a plain
 * reading of the precedence, from all rules. Writes DIR/rules for 'shunt apply',
 * DIR/packets for 'shunt steer test -', and DIR/expected: the service of the rule, which is
 * its number, or '-'. Writes the same packets for peers/raw: DIR/raw.lo has those that
 * arrive on lo, DIR/raw the others.
 *
 * SHAPE: mixed   prefixes of all lengths, nested
 *        nested  IPv6 prefixes of all lengths around a few addresses
 *        one     few prefixes with many rules: ranges, sources, interfaces
 */
#include "peer.h"

#include <netinet/in.h>

#define MAX_RULES 20000

enum shape { MIXED, NESTED, ONE };

struct rule {
	int v6, udp, dst_len, src_len, iface;
	unsigned char dst[16], src[16];
	int dlow, dhigh, slow, shigh;
};

struct packet {
	int v6, udp, sport, dport, iface;
	unsigned char src[16], dst[16];
};

static enum shape shape;
static struct rule rules[MAX_RULES];
static int count;
static unsigned long long state;

static unsigned int pick(unsigned int n)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (state >> 33) % n;
}

static void random_address(unsigned char *a, int v6)
{
	static const unsigned char bytes[] = { 0, 1, 127, 128, 255 };
	int i;

	memset(a, 0, 16);
	a[0] = v6 ? 0x20 : 10;
	for (i = 1; i < (v6 ? 16 : 4); i++)
		a[i] = shape == ONE ? (i == 1 ? pick(3) : 0)
		       : pick(8)    ? bytes[pick(shape == MIXED ? 5 : 2)]
				    : pick(256);
}

static void mask(unsigned char *a, int len)
{
	int i;

	for (i = 0; i < 128; i++)
		if (i >= len)
			a[i / 8] &= ~(0x80 >> i % 8);
}

static int inside(const unsigned char *a, const unsigned char *prefix, int len)
{
	unsigned char masked[16];

	memcpy(masked, a, 16);
	mask(masked, len);
	return !memcmp(masked, prefix, 16);
}

static void random_range(int *low, int *high, int floor)
{
	static const int ports[] = { 1, 79, 80, 81, 90, 443, 1000, 8080, 65535 };
	int a = shape == ONE ? 1 + (int)pick(3000) : ports[pick(9)];
	int b = shape == ONE ? a + (int)pick(pick(4) ? 20 : 2000) : ports[pick(9)];

	*low = floor, *high = 65535;
	if (!pick(4))
		return;
	*low = a < b ? a : b;
	*high = pick(2) ? *low : a < b ? b : a;
}

static void random_rule(struct rule *r)
{
	int bits;

	memset(r, 0, sizeof(*r));
	r->v6 = shape == NESTED || pick(2);
	r->udp = pick(2);
	bits = r->v6 ? 128 : 32;
	random_address(r->dst, r->v6);
	r->dst_len = shape == ONE ? (int)(8 * pick(3)) : (int)pick(bits + 1);
	mask(r->dst, r->dst_len);
	if (!pick(3)) {
		random_address(r->src, r->v6);
		r->src_len = shape == ONE ? (int)(8 * pick(3)) : (int)pick(bits + 1);
	}
	mask(r->src, r->src_len);
	random_range(&r->dlow, &r->dhigh, 1);
	r->shigh = 65535;
	if (!pick(4))
		random_range(&r->slow, &r->shigh, 0);
	r->iface = !pick(5);
}

static int same_match(const struct rule *a, const struct rule *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static int is_new(int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (same_match(&rules[i], &rules[n]))
			return 0;
	return 1;
}

static int matches(const struct rule *r, const struct packet *p)
{
	return r->v6 == p->v6 && r->udp == p->udp && (!r->iface || p->iface) &&
	       p->dport >= r->dlow && p->dport <= r->dhigh && p->sport >= r->slow &&
	       p->sport <= r->shigh && inside(p->dst, r->dst, r->dst_len) &&
	       inside(p->src, r->src, r->src_len);
}

static int before(const struct rule *a, const struct rule *b)
{
	if (a->dst_len != b->dst_len)
		return a->dst_len > b->dst_len;
	if (a->src_len != b->src_len)
		return a->src_len > b->src_len;
	if (a->dhigh - a->dlow != b->dhigh - b->dlow)
		return a->dhigh - a->dlow < b->dhigh - b->dlow;
	if (a->shigh - a->slow != b->shigh - b->slow)
		return a->shigh - a->slow < b->shigh - b->slow;
	if (a->iface != b->iface)
		return a->iface;
	if (a->dlow != b->dlow)
		return a->dlow < b->dlow;
	return a->slow < b->slow;
}

static int meets(const struct packet *p)
{
	int i, best = -1;

	for (i = 0; i < count; i++)
		if (matches(&rules[i], p) && (best < 0 || before(&rules[i], &rules[best])))
			best = i;
	return best;
}

static const char *address(const unsigned char *a, int v6)
{
	static char text[4][INET6_ADDRSTRLEN];
	static int at;

	return inet_ntop(v6 ? AF_INET6 : AF_INET, a, text[at++ % 4], INET6_ADDRSTRLEN);
}

static void print_rule(FILE *f, const struct rule *r, int number)
{
	fprintf(f, "%s dst %s/%d", r->udp ? "udp" : "tcp", address(r->dst, r->v6), r->dst_len);
	fprintf(f, " dport %d-%d", r->dlow, r->dhigh);
	if (r->src_len)
		fprintf(f, " src %s/%d", address(r->src, r->v6), r->src_len);
	if (r->slow || r->shigh != 65535)
		fprintf(f, " sport %d-%d", r->slow, r->shigh);
	fprintf(f, "%s %s service %d\n", r->iface ? " iface lo" : "",
		number % 3 ? r->v6 ? "to [::1]:9" : "to 127.0.0.1:9" : "pass", number);
}

/* Most packets are aimed at a rule. */
static void random_packet(struct packet *p)
{
	const struct rule *r = &rules[pick(count)];
	int i;

	memset(p, 0, sizeof(*p));
	p->v6 = r->v6;
	p->udp = r->udp;
	random_address(p->dst, p->v6);
	random_address(p->src, p->v6);
	for (i = 0; i < 128 && pick(8); i++) {
		unsigned char bit = 0x80 >> i % 8;

		if (i < r->dst_len)
			p->dst[i / 8] = (p->dst[i / 8] & ~bit) | (r->dst[i / 8] & bit);
		if (i < r->src_len)
			p->src[i / 8] = (p->src[i / 8] & ~bit) | (r->src[i / 8] & bit);
	}
	if (pick(4)) {
		memcpy(p->dst, r->dst, (r->dst_len + 7) / 8);
		memcpy(p->src, r->src, (r->src_len + 7) / 8);
	}
	p->dport = pick(4) ? r->dlow + (int)pick(r->dhigh - r->dlow + 1) : 1 + (int)pick(65535);
	p->sport = pick(4) ? r->slow + (int)pick(r->shigh - r->slow + 1) : 1 + (int)pick(65535);
	p->sport += !p->sport;
	p->iface = pick(2);
}

static FILE *create(const char *dir, const char *name)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	if (!f)
		leave(FAIL, "%s: %s", path, strerror(errno));
	return f;
}

static int put_ip(const struct packet *p, unsigned char *at)
{
	int next = p->udp ? IPPROTO_UDP : IPPROTO_TCP, len = p->udp ? 8 : 20;

	if (p->v6) {
		at[0] = 0x60;
		at[5] = len;
		at[6] = next;
		at[7] = 64;
		memcpy(at + 8, p->src, 16);
		memcpy(at + 24, p->dst, 16);
		return 40;
	}
	at[0] = 0x45;
	at[3] = 20 + len;
	at[8] = 64;
	at[9] = next;
	memcpy(at + 12, p->src, 4);
	memcpy(at + 16, p->dst, 4);
	return 20;
}

/* The packet as it is on the wire, but for checksums: a datagram without a
 * payload, or a connection request. */
static void print_raw(FILE *f, const struct packet *p)
{
	unsigned char bytes[60] = {};
	int i, len = put_ip(p, bytes);

	bytes[len] = p->sport >> 8;
	bytes[len + 1] = p->sport;
	bytes[len + 2] = p->dport >> 8;
	bytes[len + 3] = p->dport;
	if (p->udp) {
		bytes[len + 5] = 8;
	} else {
		bytes[len + 12] = 0x50;
		bytes[len + 13] = 2; /* SYN */
	}
	for (i = 0; i < len + (p->udp ? 8 : 20); i++)
		fprintf(f, "%02x", bytes[i]);
	fputc('\n', f);
}

static void make_packets(const char *dir, int lookups)
{
	FILE *packets = create(dir, "packets"), *expected = create(dir, "expected");
	FILE *raw = create(dir, "raw"), *raw_lo = create(dir, "raw.lo");
	struct packet p;
	int rule;

	while (lookups--) {
		random_packet(&p);
		fprintf(packets, "%s src %s sport %d dst %s dport %d%s\n", p.udp ? "udp" : "tcp",
			address(p.src, p.v6), p.sport, address(p.dst, p.v6), p.dport,
			p.iface ? " iface lo" : "");
		print_raw(p.iface ? raw_lo : raw, &p);
		rule = meets(&p);
		if (rule < 0)
			fputs("-\n", expected);
		else
			fprintf(expected, "%d\n", rule);
	}
	fclose(packets);
	fclose(expected);
	fclose(raw);
	fclose(raw_lo);
}

int main(int argc, char **argv)
{
	int i, wanted;
	FILE *f;

	if (argc != 6)
		leave(FAIL, "usage: rules SEED mixed|nested|one RULES LOOKUPS DIR");
	state = atoi(argv[1]);
	shape = !strcmp(argv[2], "one") ? ONE : !strcmp(argv[2], "nested") ? NESTED : MIXED;
	wanted = atoi(argv[3]);
	f = create(argv[5], "rules");
	while (count < wanted && count < MAX_RULES) {
		do
			random_rule(&rules[count]);
		while (!is_new(count));
		count++;
	}
	for (i = 0; i < count; i++)
		print_rule(f, &rules[i], i);
	fclose(f);
	make_packets(argv[5], atoi(argv[4]));
	return 0;
}
