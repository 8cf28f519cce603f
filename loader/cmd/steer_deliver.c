// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/steer_deliver.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "attach/attach.h"
#include "bpf/pins.h"
#include "bpf/programs.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include "util/options.h"

#define ARRIVAL_MS 1000  /* wait this long for a packet to arrive */
#define AFTER_DROP_MS 20 /* and this long after a drop, which may be of a copy for a capture */

struct delivery_run {
	const struct probe *f;
	struct private_probe programs;
	int fd;      /* the socket in the place of the router's */
	int tracing; /* link of the program that sees drops; -1: none */
	__u32 token;
	__u8 mac[ETH_ALEN];
};

static void close_run(struct delivery_run *r)
{
	close_fd(&r->fd);
	close_fd(&r->tracing);
	private_probe_close(&r->programs);
}

int delivery_check(const struct probe *f)
{
	const struct shunt_attachment *attachments = attachments_map();
	char name[IF_NAMESIZE];
	int i;

	if (f->ifindex == SHUNT_LOCAL_IFINDEX)
		return refuse(
			"--deliver: 'origin local' can't be tried; name an interface with 'iface'");
	if (!f->ifindex)
		return refuse("--deliver needs 'iface NAME', where the packet comes in");
	if (probe_is_group(f))
		return refuse(
			"--deliver: the destination is multicast or broadcast, which can't be tried");
	for (i = 0; attachments && i < SHUNT_ATTACHMENTS; i++)
		if (attachments[i].kind == ATTACH_IFACE && attachments[i].ifindex == f->ifindex &&
		    is_attached(attachments, i))
			return 0;
	if (!attachments)
		return report_not_loaded();
	return deny(-ENODEV, "'%s': steering is not attached to it; see 'shunt status'",
		    if_indextoname(f->ifindex, name) ? name : "?");
}

static int drop_all(int fd)
{
	struct sock_filter none = { .code = BPF_RET | BPF_K };
	struct sock_fprog filter = { .len = 1, .filter = &none };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter));
}

static int bind_loopback(int fd, int family)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };

	return family == AF_INET ? bind(fd, (struct sockaddr *)&v4, sizeof(v4))
				 : bind(fd, (struct sockaddr *)&v6, sizeof(v6));
}

/* Opens a socket that rules of nftables can't distinguish from a router's listener. */
static int open_socket(const struct probe *f)
{
	bool v4 = f->dst.family == AF_INET, tcp = f->proto == IPPROTO_TCP;
	_cleanup_fd_ int fd = socket(f->dst.family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC,
				     0);
	int on = 1;

	if (fd < 0 || drop_all(fd) ||
	    setsockopt(fd, v4 ? SOL_IP : SOL_IPV6, v4 ? IP_TRANSPARENT : IPV6_TRANSPARENT, &on,
		       sizeof(on)) ||
	    bind_loopback(fd, f->dst.family) || (tcp && listen(fd, 1)))
		return fail(-errno, "can't open the socket of --deliver");
	return take_fd(&fd);
}

/* Enters the socket into the map. The kernel removes the entry when the socket is closed, and this
 * process ends soon. */
static int enter_socket(const struct delivery_run *r)
{
	_cleanup_fd_ int map = pin_open(HALF_STEER, "maps", "shunt_probes");
	__u64 value = r->fd;

	if (map < 0)
		return fail(map, "map 'shunt_probes'");
	if (bpf_map_update_elem(map, &r->token, &value, BPF_NOEXIST))
		return fail(-errno, "can't enter the socket of --deliver");
	return 0;
}

static int find_mac(__u32 ifindex, __u8 ret[ETH_ALEN])
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {};

	if (fd < 0 || !if_indextoname(ifindex, ifr.ifr_name) || ioctl(fd, SIOCGIFHWADDR, &ifr))
		return fail(-errno, "can't read the address of the interface");
	if (ifr.ifr_hwaddr.sa_family == ARPHRD_ETHER)
		memcpy(ret, ifr.ifr_hwaddr.sa_data, ETH_ALEN);
	return 0;
}

static int set_dropped(const struct delivery_run *r)
{
	struct shunt_dropped d = { .token = r->token };
	__u32 zero = 0;

	return bpf_map_update_elem(r->programs.dropped, &zero, &d, BPF_ANY)
		       ? fail(-errno, "can't set up --deliver")
		       : 0;
}

/* 0 stands for no token. */
static int choose_token(__u32 *ret)
{
	do
		if (getrandom(ret, sizeof(*ret), 0) != sizeof(*ret))
			return fail(-errno, "no random numbers");
	while (!*ret);
	return 0;
}

static int open_run(const struct probe *f, struct delivery_run *r)
{
	int error = private_probe_open(&r->programs);

	if (error)
		return error;
	error = choose_token(&r->token);
	if (error)
		return error;
	error = find_mac(f->ifindex, r->mac);
	if (error)
		return error;
	r->fd = open_socket(f);
	if (r->fd < 0)
		return r->fd;
	error = enter_socket(r);
	if (error)
		return error;
	/* Without the tracepoint, the test works but can't tell where a packet was dropped. */
	r->tracing = bpf_raw_tracepoint_open("kfree_skb", r->programs.drop);
	return 0;
}

/* The number of packets that have arrived at the socket. */
static __u32 arrived(const struct delivery_run *r)
{
	__u32 info[SK_MEMINFO_VARS] = {};
	socklen_t len = sizeof(info);

	getsockopt(r->fd, SOL_SOCKET, SO_MEMINFO, info, &len);
	return info[SK_MEMINFO_DROPS];
}

static struct shunt_dropped read_dropped(const struct delivery_run *r)
{
	struct shunt_dropped d = {};
	__u32 zero = 0;

	bpf_map_lookup_elem(r->programs.dropped, &zero, &d);
	return d;
}

static __u64 steering_probes(void)
{
	struct shunt_count c = {};

	pins_read_counters(HALF_STEER, &c);
	return c.probes;
}

static int inject(const struct delivery_run *r, enum probe_part part)
{
	struct __sk_buff skb = { .cb = { r->f->ifindex, r->token } };
	__u8 packet[PACKET_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet,
		    .data_size_in = probe_packet(r->f, part, r->mac, packet), .ctx_in = &skb,
		    .ctx_size_in = sizeof(skb), );

	if (bpf_prog_test_run_opts(r->programs.inject, &o))
		return fail(-errno, "can't run the program of --deliver");
	return (int)o.retval ? fail((int)o.retval, "can't send a packet from the interface") : 0;
}

/* Waits until the packet has arrived, or is known to be lost. */
static bool wait_for_arrival(const struct delivery_run *r, __u32 before)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	int ms, limit = ARRIVAL_MS;

	for (ms = 0; ms < limit && arrived(r) == before; ms++) {
		if (limit == ARRIVAL_MS && read_dropped(r).count)
			limit = ms + AFTER_DROP_MS;
		nanosleep(&pause, NULL);
	}
	return arrived(r) != before;
}

/* The kernel's words: "netfilter drop" for SKB_DROP_REASON_NETFILTER_DROP. */
static void reason_text(__u32 reason, char *text, size_t size)
{
	static const char prefix[] = "SKB_DROP_REASON_", prefix_before_6_3[] = "SKB_";
	struct btf *btf = btf__load_vmlinux_btf();
	int i, id = btf ? btf__find_by_name_kind(btf, "skb_drop_reason", BTF_KIND_ENUM) : -1;
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, id) : NULL;
	const char *name = NULL;
	char *c;

	for (i = 0; t && i < btf_vlen(t); i++)
		if ((__u32)btf_enum(t)[i].val == reason)
			name = btf__name_by_offset(btf, btf_enum(t)[i].name_off);
	if (name && !strncmp(name, prefix, strlen(prefix)))
		name += strlen(prefix);
	else if (name && !strncmp(name, prefix_before_6_3, strlen(prefix_before_6_3)))
		name += strlen(prefix_before_6_3);
	if (name)
		snprintf(text, size, "%s", name);
	else
		snprintf(text, size, "reason %u", reason);
	for (c = text; *c; c++)
		*c = *c == '_' ? ' ' : *c >= 'A' && *c <= 'Z' ? *c | 0x20 : *c;
	btf__free(btf);
}

static void explain(const struct delivery_run *r, __u64 seen_before, struct delivery *d)
{
	struct shunt_dropped last = read_dropped(r);

	d->steered = steering_probes() != seen_before;
	d->dropped = last.count;
	d->mark = last.mark;
	if (d->dropped)
		reason_text(last.reason, d->reason, sizeof(d->reason));
	if (d->steered && (!d->dropped || !(d->mark & d->bit)))
		nft_markers_find(r->f->dst.family, d->bit, &d->markers);
}

static int try_packet(const struct delivery_run *r, enum probe_part part,
		      enum delivery_fate *ret_fate, struct delivery *d)
{
	__u64 seen = steering_probes();
	__u32 before = arrived(r);
	int error = set_dropped(r);

	if (error)
		return error;
	error = inject(r, part);
	if (error)
		return error;
	*ret_fate = wait_for_arrival(r, before) ? FATE_DELIVERED : FATE_LOST;
	if (*ret_fate == FATE_LOST)
		explain(r, seen, d);
	return 0;
}

/* The answer makes connection tracking take the flow for established, which matters to rules
 * that restore marks from connection tracking. */
static int try_later_packet(const struct delivery_run *r, struct delivery *d)
{
	int error = inject(r, PART_REPLY);

	return error ? error : try_packet(r, PART_LATER, &d->later, d);
}

/* Makes connection tracking forget a connection of TCP. */
static void end_connection(const struct delivery_run *r)
{
	struct delivery ignored = {};
	enum delivery_fate fate;

	if (r->f->proto != IPPROTO_TCP)
		return;
	try_packet(r, PART_END, &fate, &ignored);
	nft_markers_free(&ignored.markers);
}

/* Sends a first packet, an answer and a later packet. */
static int try_flow(const struct delivery_run *r, struct delivery *d)
{
	int error = try_packet(r, PART_FIRST, &d->first, d);

	if (error || d->first == FATE_LOST)
		return error;
	error = try_later_packet(r, d);
	end_connection(r);
	return error;
}

static int open_and_try(const struct probe *f, struct delivery *d)
{
	_cleanup_(close_run) struct delivery_run r = { .f = f, .fd = -1, .tracing = -1 };
	int error = open_run(f, &r);

	return error ? error : try_flow(&r, d);
}

int delivery_try(const struct probe *f, struct delivery *ret)
{
	const struct shunt_conf *conf = pin_mmap(HALF_STEER, "shunt_conf", NULL);
	struct delivery d = {};
	int error;

	if (!conf)
		return report_not_loaded();
	d.bit = conf->mark;
	error = open_and_try(f, &d);
	if (error) {
		nft_markers_free(&d.markers);
		return error;
	}
	*ret = d;
	return 0;
}

bool delivery_made(const struct delivery *d)
{
	return d->first == FATE_DELIVERED && d->later == FATE_DELIVERED;
}

static bool mark_is_lost(const struct delivery *d)
{
	return d->dropped && !(d->mark & d->bit);
}

/* Writes what happened to the lost packet. */
static void cause_text(const struct delivery *d, char *text, size_t size)
{
	if (!d->steered)
		snprintf(text, size,
			 "steering did not see the packet: another program or filter at the "
			 "interface took or dropped the packet first (%s)",
			 d->dropped ? d->reason : "unseen");
	else if (mark_is_lost(d))
		snprintf(text, size,
			 "the mark of steered packets, 0x%x, was overwritten (0x%x) before "
			 "routing",
			 d->bit, d->mark);
	else if (d->dropped)
		snprintf(text, size, "the kernel dropped the packet, with its mark: %s", d->reason);
	else
		snprintf(text, size, "the kernel did not report what became of the packet");
}

static void print_markers(const struct delivery *d)
{
	char text[NFT_MARKER_TEXT];
	size_t i;

	for (i = 0; i < d->markers.count; i++)
		printf("    %s sets the mark\n", nft_marker_text(text, &d->markers.all[i]));
	if (d->markers.count)
		printf("    to set the bit again: %s\n",
		       nft_marks_advice(text, &d->markers, d->bit));
	else if (d->steered && mark_is_lost(d))
		puts("    no chain of nftables is known to set the mark; see iptables-legacy -t mangle -S "
		     "PREROUTING, and programs of others at the interface");
}

void delivery_text(const struct delivery *d)
{
	char text[192];

	if (delivery_made(d)) {
		puts("    delivered: the first packet and a later one of the flow");
		return;
	}
	cause_text(d, text, sizeof(text));
	printf("    LOST: %s: %s\n",
	       d->first == FATE_LOST
		       ? "the first packet of the flow"
		       : "the first packet is delivered, later ones of the flow are not",
	       text);
	print_markers(d);
}

static const char *fate_text(enum delivery_fate fate)
{
	return fate == FATE_DELIVERED ? "delivered" : fate == FATE_LOST ? "lost" : "not tried";
}

static void json_markers(const struct nft_markers *m)
{
	size_t i;

	json_open_in(&json_stdout, "sets_mark", '[');
	for (i = 0; i < m->count; i++) {
		json_open(&json_stdout, '{');
		json_string(&json_stdout, "family", m->all[i].family);
		json_string(&json_stdout, "table", m->all[i].table);
		json_string(&json_stdout, "chain", m->all[i].chain);
		json_string(&json_stdout, "hook", m->all[i].hook);
		json_close(&json_stdout, '}');
	}
	json_close(&json_stdout, ']');
}

void delivery_json(const struct delivery *d)
{
	char text[NFT_MARKER_TEXT];

	json_open_in(&json_stdout, "delivery", '{');
	json_bool(&json_stdout, "delivered", delivery_made(d));
	json_string(&json_stdout, "first", fate_text(d->first));
	json_string(&json_stdout, "later", fate_text(d->later));
	if (d->first == FATE_LOST || d->later == FATE_LOST) {
		cause_text(d, text, sizeof(text));
		json_string(&json_stdout, "cause", text);
		json_bool(&json_stdout, "steered", d->steered);
		json_bool(&json_stdout, "mark_overwritten", mark_is_lost(d));
		if (d->dropped)
			json_string(&json_stdout, "reason", d->reason);
		json_markers(&d->markers);
		if (d->markers.count)
			json_string(&json_stdout, "advice",
				    nft_marks_advice(text, &d->markers, d->bit));
	}
	json_close(&json_stdout, '}');
}
