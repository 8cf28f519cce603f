// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/probe_words.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include "util/log.h"
#include "util/netns.h"
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
			    netns_has_moved() ? " in the network namespace that shunt is loaded in"
					      : "");
	return 0;
}

/* Reads one keyword of a test and its value, which is NULL if the keyword is the last word. */
static int flow_word(const char *name, const char *word, struct probe *f)
{
	static const char *const names[] = {
		"src", "dst", "sport", "dport", "iface", "origin", NULL
	};
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

int probe_parse(int argc, char **argv, __u16 sport, struct probe *ret)
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
	if (error)
		return error;
	*ret = f;
	return 0;
}
