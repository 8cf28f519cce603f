// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/diverter_words.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "rules/rule.h"
#include "util/address.h"
#include "util/log.h"
#include "util/parse.h"

static const char letters[] = "cmponlhtsN";

_Static_assert(sizeof(letters) - 1 == DIVERTER_LETTERS, "letters");

const char *diverter_word(const struct diverter_words *w, char letter)
{
	return w->value[strchr(letters, letter) - letters];
}

static int read_action(struct diverter_words *w, const char *arg)
{
	if (w->action)
		return refuse("'%s': -%c stands there already", arg, w->action);
	w->action = arg[1];
	return 0;
}

int diverter_words_read(int argc, char **argv, struct diverter_words *ret)
{
	struct diverter_words w = {};
	const char *at;
	int i, error;

	for (i = 1; i < argc; i++) {
		if (argv[i][0] != '-' || !argv[i][1] || argv[i][2])
			return refuse("diverter: '%s': no word of the diverter", argv[i]);
		if (strchr("IDLV", argv[i][1])) {
			error = read_action(&w, argv[i]);
			if (error)
				return error;
			continue;
		}
		at = strchr(letters, argv[i][1]);
		if (!at)
			return refuse("diverter: '%s': no word of the diverter", argv[i]);
		if (w.value[at - letters])
			return refuse("diverter: '%s' is given twice", argv[i]);
		if (++i == argc)
			return refuse("diverter: '%s': a value is missing", argv[i - 1]);
		w.value[at - letters] = argv[i];
	}
	if (!w.action)
		return refuse("diverter: -I, -D, -L or -V is missing; see 'shunt diverter help'");
	*ret = w;
	return 0;
}

/* ziti-router gives the length 32 to a source without a length, even to one of IPv6. An IPv6
 * address with bits beyond 32 can't be a network of that length, so it is a single source. */
static bool is_bare_source(char address, __u8 family, unsigned int len, const __u8 addr[16])
{
	__u8 masked[16];

	memcpy(masked, addr, sizeof(masked));
	return address == 'o' && family == AF_INET6 && len == 32 && mask_address(masked, 32);
}

static int read_prefix(const struct diverter_words *w, char address, char length, __u8 *ret_family,
		       __u8 ret_addr[16], __u8 *ret_len)
{
	const char *ip = diverter_word(w, address), *len_word = diverter_word(w, length);
	__u8 addr[16] = {}, family = strchr(ip, ':') ? AF_INET6 : AF_INET;
	unsigned int bits = family == AF_INET ? 32 : 128, len = bits;

	if (inet_pton(family, ip, addr) != 1)
		return refuse("-%c '%s': not an IPv4 or IPv6 address", address, ip);
	if (len_word && !parse_number(len_word, bits, &len))
		return refuse("-%c '%s': the prefix length is not a number from 0 to %u", length,
			      len_word, bits);
	if (is_bare_source(address, family, len, addr)) {
		if (w->action == 'I')
			say("-o '%s' -n 32: taken for this one address", ip);
		len = 128;
	}
	mask_address(addr, len);
	memcpy(ret_addr, addr, sizeof(addr));
	*ret_family = family;
	*ret_len = len;
	return 0;
}

int diverter_read_dst(const struct diverter_words *w, struct shunt_rule *r)
{
	if (!diverter_word(w, 'c'))
		return refuse("diverter: -c ADDR is missing");
	return read_prefix(w, 'c', 'm', &r->family, r->dst, &r->dst_len);
}

/* ziti-router gives the source 0.0.0.0/0 for any source, even to services of IPv6. It pairs all
 * sources of a service with all destinations. No packet goes from IPv4 to IPv6: *ret_never is
 * set for such a pair. */
static int read_src(const struct diverter_words *w, struct shunt_rule *r, bool *ret_never)
{
	__u8 family = 0;
	int error;

	if (!diverter_word(w, 'o') && diverter_word(w, 'n'))
		return refuse("-n '%s': -o ADDR is missing", diverter_word(w, 'n'));
	if (!diverter_word(w, 'o'))
		return 0;
	error = read_prefix(w, 'o', 'n', &family, r->src, &r->src_len);
	if (error || family == r->family || !r->src_len)
		return error;
	say("-o '%s' and -c '%s': one is IPv4, the other IPv6; nothing to do",
	    diverter_word(w, 'o'), diverter_word(w, 'c'));
	*ret_never = true;
	return 0;
}

static int read_port(const struct diverter_words *w, char letter, unsigned int *ret)
{
	const char *text = diverter_word(w, letter);

	if (!text || parse_number(text, 65535, ret))
		return 0;
	return refuse("-%c '%s': not a port (0 to 65535)", letter, text);
}

/* Without -h, -l is both ends of the range, and the other way round. A low end of 0 means 1, a high
 * end of 0 means 65535. */
static int read_ports(const struct diverter_words *w, struct shunt_rule *r)
{
	unsigned int low = 0, high = 0;
	int error = read_port(w, 'l', &low);

	if (error)
		return error;
	error = read_port(w, 'h', &high);
	if (error)
		return error;
	if (!diverter_word(w, 'h'))
		high = low;
	if (!diverter_word(w, 'l'))
		low = high;
	if (low > high)
		return refuse("-l '%s' -h '%s': the range is reversed", diverter_word(w, 'l'),
			      diverter_word(w, 'h'));
	r->dport_low = low ? low : 1;
	r->dport_high = high ? high : 65535;
	r->sport_high = 65535;
	return 0;
}

static int read_iface(const struct diverter_words *w, struct shunt_rule *r)
{
	const char *name = diverter_word(w, 'N');

	return name ? parse_ifname(name, r->ifname) : 0;
}

int diverter_read_proto(const struct diverter_words *w, struct shunt_rule *r)
{
	const char *proto = diverter_word(w, 'p');

	if (!proto)
		return 0;
	if (!strcmp(proto, "tcp"))
		r->proto = IPPROTO_TCP;
	else if (!strcmp(proto, "udp"))
		r->proto = IPPROTO_UDP;
	else
		return refuse("-p '%s': neither tcp nor udp", proto);
	return 0;
}

int diverter_read_match(const struct diverter_words *w, struct shunt_rule *r, bool *ret_never)
{
	int error = diverter_read_dst(w, r);

	if (error)
		return error;
	error = read_src(w, r, ret_never);
	if (error)
		return error;
	error = read_ports(w, r);
	if (error)
		return error;
	error = diverter_read_proto(w, r);
	return error ? error : read_iface(w, r);
}

int diverter_read_to(const struct diverter_words *w, struct shunt_rule *r)
{
	unsigned int port = 0;
	int error;

	if (!diverter_word(w, 't'))
		return refuse("diverter: -t PORT is missing");
	error = read_port(w, 't', &port);
	if (error || !port)
		return error;
	r->action = SHUNT_STEER;
	r->to_port = port;
	if (r->family == AF_INET6)
		r->to[15] = 1;
	else
		memcpy(r->to, "\x7f\0\0\1", 4);
	r->own = rule_own_default(r);
	return 0;
}

void diverter_read_service(const struct diverter_words *w, struct shunt_rule *r)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._:-";
	size_t i;

	if (!diverter_word(w, 's'))
		return;
	snprintf(r->service, sizeof(r->service), "%s", diverter_word(w, 's'));
	for (i = 0; r->service[i]; i++)
		if (!strchr(allowed, r->service[i]))
			r->service[i] = '_';
}
