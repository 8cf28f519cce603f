// SPDX-License-Identifier: GPL-2.0-only
/*
 * steer SHUNT [RUNS [RULES]...]
 *
 * What steering costs a packet, by the number of rules. 'search' is the time to find
 * the rule of one packet, over and over. Then the program sends frames into a veth pair
 * in a namespace of its own, and the kernel says how long the steering program ran for
 * each: of an established connection, a forwarded one, a known UDP flow, UDP that no
 * rule matches, and first packets. The kernel's clock adds some 40 ns; 'none', a packet
 * that is neither TCP nor UDP, is the floor. The last figures are those of applying the
 * rules: time, memory of the process, memory of the maps. All are the best of RUNS.
 * Prints samples as lib.bash has them; bench/steering shows them.
 */
#include "steer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#define PACKETS 10000
#define WORKING 256 /* this many destinations stay in the caches */
#define FRAME 64

static const char *const shapes[] = { "hosts", "nested", "one prefix" };

struct frame {
	struct ether_header eth;
	unsigned char ip[20];
	unsigned short sport, dport;
	unsigned char rest[16];
} __attribute__((packed));

const char *shunt;
struct rule *rules;
int count;
static int runs = 12, packet_fd, prog_fd, test_fd;
static unsigned long long state = 1;
static struct frame frame;

void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, ": %s\n", strerror(errno));
	exit(1);
}

unsigned int pick(unsigned int n)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (state >> 33) % n;
}

double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

void run(const char *fmt, ...)
{
	char command[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	if (system(command))
		die("'%s'", command);
}

/* --- packets ----------------------------------------------------------------- */

static void begin_frame(int proto, unsigned int src, unsigned int sport, unsigned int dst,
			unsigned int dport, int flags)
{
	unsigned int n = htonl(src);

	memset(frame.ip, 0, sizeof(frame.ip));
	frame.ip[0] = 0x45;
	frame.ip[3] = proto == IPPROTO_UDP ? 28 : 40;
	frame.ip[8] = 64;
	frame.ip[9] = proto;
	memcpy(frame.ip + 12, &n, 4);
	n = htonl(dst);
	memcpy(frame.ip + 16, &n, 4);
	frame.sport = htons(sport);
	frame.dport = htons(dport);
	memset(frame.rest, 0, sizeof(frame.rest));
	if (proto == IPPROTO_TCP) {
		frame.rest[8] = 0x50;
		frame.rest[9] = flags;
	} else {
		frame.rest[1] = 8;
	}
}

static void send_frame(void)
{
	int proto = frame.ip[9];

	while (send(packet_fd, &frame, 14 + (proto == IPPROTO_UDP ? 28 : 40), 0) < 0)
		if (errno != ENOBUFS)
			die("send");
}

static int working; /* packets are made for this many of the rules */

static void first_packet(int proto)
{
	unsigned int i = (long long)pick(working) * count / working;
	const struct rule *r = &rules[i];
	/* a destination for each rule */
	unsigned int host = r->dst_len < 32 ? i * 2654435761U >> r->dst_len : 0;

	begin_frame(proto, r->src ? r->src : 172U << 24 | pick(1 << 24), 1 + pick(65535),
		    r->dst | host, r->low + pick(r->high - r->low + 1), 2 /* SYN */);
}

static struct bpf_prog_info prog_info(void)
{
	struct bpf_prog_info info = {};
	unsigned int len = sizeof(info);

	if (bpf_obj_get_info_by_fd(prog_fd, &info, &len))
		die("program");
	return info;
}

/* ns a packet, the best of some runs: others use this machine too. */
static double cost(void (*make)(int), int proto)
{
	struct bpf_prog_info before, after;
	double ns, best = 1e9;
	int i, j;

	for (i = 0; i < runs; i++) {
		before = prog_info();
		for (j = 0; j < PACKETS; j++) {
			make(proto);
			send_frame();
		}
		usleep(20000);
		after = prog_info();
		ns = (double)(after.run_time_ns - before.run_time_ns) /
		     (after.run_cnt - before.run_cnt);
		best = ns < best ? ns : best;
	}
	return best;
}

static void nobodys(int proto)
{
	begin_frame(proto, 1, 1, 2, 2, 0);
}

/* ns to find the rule for a packet, again and again the same: everything is in
 * the caches. What else the program does for a packet is not in it. */
static double search_cost(void)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = &frame, .data_size_in = 54, .repeat = 100000);
	double best[2] = { 1e9, 1e9 };
	int i;

	for (i = 0; i < 2 * runs; i++) {
		if (i % 2)
			nobodys(IPPROTO_ICMP);
		else
			first_packet(IPPROTO_TCP);
		if (bpf_prog_test_run_opts(test_fd, &o))
			die("test run");
		best[i % 2] = o.duration < best[i % 2] ? o.duration : best[i % 2];
	}
	return best[0] - best[1];
}

static double first_cost(int proto, int rules_met)
{
	working = rules_met < count ? rules_met : count;
	return cost(first_packet, proto);
}

static void unmatched(int proto)
{
	begin_frame(proto, 172U << 24 | pick(1 << 24), 1 + pick(65535), 11U << 24 | pick(1 << 24),
		    1 + pick(65535), 2);
}

static void forwarded(int proto)
{
	unmatched(proto);
	frame.rest[9] = 0x10; /* ACK */
}

static void known_udp(int proto)
{
	begin_frame(proto, 172U << 24 | 1, 5000, rules[0].dst, rules[0].low, 0);
	if (rules[0].src)
		begin_frame(proto, rules[0].src, 5000, rules[0].dst, rules[0].low, 0);
}

static struct sockaddr_in peer; /* of a connection of the router's */

static void established(int proto)
{
	begin_frame(proto, ntohl(peer.sin_addr.s_addr), ntohs(peer.sin_port), INADDR_LOOPBACK, PORT,
		    0x10);
}

/* --- the place ----------------------------------------------------------------- */

static void open_sockets(void)
{
	struct sockaddr_in at = { AF_INET, htons(PORT), { htonl(INADDR_LOOPBACK) }, {} };
	int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);
	int client = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	socklen_t len = sizeof(peer);

	setsockopt(tcp, IPPROTO_IP, IP_TRANSPARENT, &one, sizeof(one));
	setsockopt(udp, IPPROTO_IP, IP_TRANSPARENT, &one, sizeof(one));
	if (bind(tcp, (void *)&at, sizeof(at)) || listen(tcp, 1) ||
	    bind(udp, (void *)&at, sizeof(at)) || connect(client, (void *)&at, sizeof(at)) ||
	    accept(tcp, NULL, NULL) < 0 || getsockname(client, (void *)&peer, &len))
		die("sockets");
}

static void make_place(void)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET };

	if (unshare(CLONE_NEWNET | CLONE_NEWNS) || mount("", "/", "", MS_REC | MS_PRIVATE, NULL) ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL))
		die("namespace");
	run("ip link set lo up; ip link add w0 type veth peer name w1 address 02:02:02:02:02:02");
	run("ip link set w0 up; ip link set w1 up");
	/* drops them when we have seen them */
	run("nft 'table netdev bench { chain seen { type filter hook ingress device w1 priority 0; "
	    "policy drop; }; }'");
	run("%s load --iface w1 >/dev/null", shunt);
	/* loads shunt_test */
	run("%s steer test tcp src 10.0.0.1 dst 10.0.0.2:80 >/dev/null", shunt);
	open_sockets();
	packet_fd = socket(AF_PACKET, SOCK_RAW, 0);
	to.sll_ifindex = if_nametoindex("w0");
	to.sll_protocol = htons(ETH_P_IP);
	if (packet_fd < 0 || bind(packet_fd, (void *)&to, sizeof(to)))
		die("packets");
	memset(&frame, 0, sizeof(frame));
	memset(frame.eth.ether_dhost, 2, 6);
	frame.eth.ether_type = htons(ETHERTYPE_IP);
	prog_fd = bpf_obj_get(PIN_DIR "/progs/shunt_steer");
	test_fd = bpf_obj_get(PIN_DIR "/progs/shunt_test");
	if (prog_fd < 0 || test_fd < 0 || bpf_enable_stats(BPF_STATS_RUN_TIME) < 0)
		die("statistics");
}

static void sample(enum shape shape, const char *figure, const char *unit, const char *what,
		   double value)
{
	printf("0\t%d rule%s, %s\t%s\t%s\t%s\t0\t%.2f\n", count, count > 1 ? "s" : "",
	       shapes[shape], figure, unit, what, value);
	fflush(stdout);
}

static void packet(enum shape shape, const char *what, double ns)
{
	sample(shape, "packet", "ns", what, ns);
}

static void row(enum shape shape)
{
	double took;
	long kbytes;

	apply(shape, "tcp", &took, &kbytes);
	working = 1;
	packet(shape, "search", search_cost());
	packet(shape, "none", cost(nobodys, IPPROTO_ICMP));
	packet(shape, "est.", cost(established, IPPROTO_TCP));
	packet(shape, "forward", cost(forwarded, IPPROTO_TCP));
	packet(shape, "SYN", first_cost(IPPROTO_TCP, WORKING));
	packet(shape, "SYN all", first_cost(IPPROTO_TCP, count));
	apply(shape, "udp", &took, &kbytes);
	packet(shape, "known", cost(known_udp, IPPROTO_UDP));
	packet(shape, "other", cost(unmatched, IPPROTO_UDP));
	packet(shape, "UDP", first_cost(IPPROTO_UDP, WORKING));
	packet(shape, "UDP all", first_cost(IPPROTO_UDP, count));
	sample(shape, "apply", "s", "shunt", took);
	sample(shape, "memory", "MiB", "process", kbytes / 1024.0);
	sample(shape, "memory", "MiB", "maps",
	       (map_bytes("shunt_rules") + map_bytes("shunt_rule_counters")) / 1048576.0);
}

static void measure(enum shape shape, const char *number)
{
	count = atoi(number);
	rules = calloc(count, sizeof(*rules));
	if (count < 1 || !rules)
		die("'%s' rules", number);
	row(shape);
	free(rules);
}

/* Each number of rules for single addresses; the most in the other shapes too. */
int main(int argc, char **argv)
{
	static const char *const usual[] = { "1", "1000", "100000" };
	const char *const *counts = argc > 3 ? (const char **)argv + 3 : usual;
	int i, n = argc > 3 ? argc - 3 : 3;

	if (argc < 2) {
		fprintf(stderr, "usage: steer SHUNT [RUNS [RULES]...]\n");
		return 2;
	}
	shunt = argv[1];
	runs = argc > 2 ? atoi(argv[2]) : runs;
	make_place();
	for (i = 0; i < n; i++)
		measure(HOSTS, counts[i]);
	measure(NESTED, counts[n - 1]);
	measure(ONE, counts[n - 1]);
	run("%s unload 2>/dev/null", shunt);
	return 0;
}
