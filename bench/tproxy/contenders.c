// SPDX-License-Identifier: GPL-2.0-only
/* Rules of shunt, nftables and iptables for the same packets. */
#include "tproxy.h"

#include <stdlib.h>
#include <unistd.h>

#define HEAD "table ip bench {\n"
#define CHAIN "chain steer { type filter hook prerouting priority mangle;\n"
#define KNOWN "meta l4proto tcp socket transparent 1 meta mark set 1 accept\n"
#define TPROXY "tproxy to 127.0.0.1:9999 meta mark set 1 accept\n"

static void nft_one(FILE *f, int count)
{
	(void)count;
	fprintf(f, HEAD CHAIN KNOWN "ip daddr 10.0.0.0/8 tcp dport 443 " TPROXY
				    "ip daddr 10.0.0.0/8 udp dport 443 " TPROXY "}\n}\n");
}

static void nft_set(FILE *f, int count)
{
	int i;

	fprintf(f, HEAD "set to { type ipv4_addr; flags interval; elements = {");
	for (i = 0; i < count; i++)
		fprintf(f, "%s10.%d.%d.0/24", i ? "," : "", i / 256, i % 256);
	fprintf(f, "} }\n" CHAIN KNOWN "ip daddr @to tcp dport 443 " TPROXY
		   "ip daddr @to udp dport 443 " TPROXY "}\n}\n");
}

/* Each protocol has a chain, so that a packet meets the rules of its protocol only. */
static void nft_chains(FILE *f, int count, const char *known)
{
	int i, udp;

	fprintf(f, HEAD);
	for (udp = 0; udp < 2; udp++) {
		fprintf(f, "chain %s {\n", udp ? "u" : "t");
		for (i = 0; i < count; i++)
			fprintf(f, "ip daddr 10.%d.%d.0/24 %s dport 443 " TPROXY, i / 256, i % 256,
				udp ? "udp" : "tcp");
		fprintf(f, "}\n");
	}
	fprintf(f, CHAIN "%s", known);
	fprintf(f, "meta l4proto vmap { tcp : jump t, udp : jump u }\n}\n}\n");
}

static void nft_rules(FILE *f, int count)
{
	nft_chains(f, count, KNOWN);
}

/* As ziti-router makes them: packets of established connections meet the rules, too. */
static void nft_rules_only(FILE *f, int count)
{
	nft_chains(f, count, "");
}

static void shunt_rules(FILE *f, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		char prefix[64] = "10.0.0.0/8";

		if (count > 1)
			snprintf(prefix, sizeof(prefix), "10.%d.%d.0/24", i / 256, i % 256);
		fprintf(f, "tcp dst %s dport 443 to 127.0.0.1:9999\n", prefix);
		fprintf(f, "udp dst %s dport 443 to 127.0.0.1:9999\n", prefix);
	}
}

/* Each protocol has a chain, as in nft_chains(). */
static void ipt_rules(FILE *f, int count)
{
	static const char *const protos[] = { "tcp", "udp" };
	int i, p;

	fprintf(f,
		"*mangle\n:T -\n:U -\n:KNOWN -\n-A KNOWN -j MARK --set-mark 1\n-A KNOWN -j ACCEPT\n"
		"-A PREROUTING -p tcp -m socket --transparent -j KNOWN\n"
		"-A PREROUTING -p tcp -j T\n-A PREROUTING -p udp -j U\n");
	for (p = 0; p < 2; p++)
		for (i = 0; i < count; i++)
			fprintf(f,
				"-A %c -d 10.%d.%d.0/%d -p %s --dport 443 -j TPROXY "
				"--on-ip 127.0.0.1 --on-port 9999 --tproxy-mark 1\n",
				p ? 'U' : 'T', i / 256, i % 256, count > 1 ? 24 : 8, protos[p]);
	fprintf(f, "COMMIT\n");
}

static void shunt_on(const char *path)
{
	run("%s load --iface w1 2>/dev/null && %s apply %s 2>/dev/null", shunt, shunt, path);
}

static void shunt_off(void)
{
	run("%s unload 2>/dev/null", shunt);
}

static void route_marked(void)
{
	run("ip rule add fwmark 1 lookup 100 && ip route add local default dev lo table 100");
}

static void route_as_before(void)
{
	run("ip route flush table 100 && ip rule del fwmark 1 lookup 100");
}

static void nft_on(const char *path)
{
	route_marked();
	run("nft -f %s", path);
}

static void nft_off(void)
{
	run("nft delete table ip bench");
	route_as_before();
}

static void ipt_on(const char *path)
{
	route_marked();
	run("iptables-restore <%s", path);
}

static void ipt_off(void)
{
	run("iptables -t mangle -F; iptables -t mangle -X");
	route_as_before();
}

static void local_on(const char *path)
{
	(void)path;
	run("ip route add local 10.0.0.0/8 dev lo");
}

static void local_off(void)
{
	run("ip route del local 10.0.0.0/8 dev lo");
}

static void no_rules(FILE *f, int count)
{
	(void)f;
	(void)count;
}

static const struct way {
	void (*on)(const char *path);
	void (*off)(void);
} none = { local_on, local_off }, nftables = { nft_on, nft_off }, iptables = { ipt_on, ipt_off },
  shunts = { shunt_on, shunt_off };

const struct contender contenders[CONTENDERS] = {
	{ "1 rule", "nftables", 1, nft_one, &nftables },
	{ "1 rule", "none", 0, no_rules, &none },
	{ "1 rule", "iptables", 1, ipt_rules, &iptables },
	{ "1 rule", "shunt", 1, shunt_rules, &shunts },
	{ "10000 rules", "nftables", MANY, nft_rules, &nftables },
	{ "10000 rules", "nft. set", MANY, nft_set, &nftables },
	{ "10000 rules", "nft. bare", MANY, nft_rules_only, &nftables },
	{ "10000 rules", "iptables", MANY, ipt_rules, &iptables },
	{ "10000 rules", "shunt", MANY, shunt_rules, &shunts },
};

bool works(const struct contender *c)
{
	return c->way != &iptables ||
	       !system("command -v iptables-restore >/dev/null && "
		       "iptables -t mangle -A PREROUTING -p tcp -m socket --transparent -j TPROXY "
		       "--on-port 1 2>/dev/null && iptables -t mangle -F");
}

void set_up(const struct contender *c)
{
	char path[] = "/tmp/bench-tproxy.XXXXXX";
	int fd = mkstemp(path);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (!f)
		die(path);
	c->write_rules(f, c->count);
	fclose(f);
	c->way->on(path);
	unlink(path);
}

void take_down(const struct contender *c)
{
	c->way->off();
}
