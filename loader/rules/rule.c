// SPDX-License-Identifier: GPL-2.0-only
/* A rule as text and as JSON, and what follows from its members. */
#include "rules/rule.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <string.h>

#include "util/address.h"
#include "util/file_words.h"
#include "util/iface.h"
#include "util/log.h"

#define TO_TEXT (ADDRESS_TEXT + 8)

const char *const rule_unknown_names[] = {
	[SHUNT_UNKNOWN_AUTO] = "auto",
	[SHUNT_UNKNOWN_RESET] = "reset",
	[SHUNT_UNKNOWN_PASS] = "pass",
};

int rule_find_iface(struct shunt_rule *r)
{
	__u32 ifindex;
	int error = iface_index(r->ifname, &ifindex);

	if (error)
		return fail(error, "can't look at interface '%s'", r->ifname);
	r->ifindex = ifindex ? ifindex : SHUNT_NO_IFINDEX;
	return 0;
}

enum shunt_own rule_own_default(const struct shunt_rule *r)
{
	return r->dst_len == address_bits(r->family) ? SHUNT_OWN_TAKE : SHUNT_OWN_KEEP;
}

static const char *own_name(const struct shunt_rule *r)
{
	return r->own == SHUNT_OWN_KEEP ? "keep" : "take";
}

bool rule_is_local(const struct shunt_rule *r)
{
	return r->ifindex == SHUNT_LOCAL_IFINDEX;
}

static const char *proto_name(const struct shunt_rule *r)
{
	return r->proto == IPPROTO_TCP ? "tcp" : "udp";
}

static void format_to(const struct shunt_rule *r, char text[TO_TEXT])
{
	char address[ADDRESS_TEXT];

	format_address(r->family, r->to, address);
	snprintf(text, TO_TEXT, r->family == AF_INET6 ? "[%s]:%u" : "%s:%u", address, r->to_port);
}

static bool any_sport(const struct shunt_rule *r)
{
	return !r->sport_low && r->sport_high == 65535;
}

static bool any_dport(const struct shunt_rule *r)
{
	return r->dport_low <= 1 && r->dport_high == 65535;
}

static void __attribute__((format(printf, 3, 4)))
append(char *text, size_t size, const char *fmt, ...)
{
	size_t len = strlen(text);
	va_list args;

	va_start(args, fmt);
	vsnprintf(text + len, size - len, fmt, args);
	va_end(args);
}

static void append_prefix(char *text, size_t size, const char *name, __u8 family, const __u8 *addr,
			  __u8 len)
{
	char prefix[PREFIX_TEXT];

	format_short_prefix(family, addr, len, prefix);
	append(text, size, " %s %s", name, prefix);
}

static void append_range(char *text, size_t size, const char *name, __u16 low, __u16 high)
{
	char range[RANGE_TEXT];

	format_range(low, high, range);
	append(text, size, " %s %s", name, range);
}

void rule_format(const struct shunt_rule *r, char *text, size_t size)
{
	char to[TO_TEXT], iface[FILE_WORD(SHUNT_IFNAME)];

	file_word_encode(r->ifname, iface);
	snprintf(text, size, "%s", proto_name(r));
	append_prefix(text, size, "dst", r->family, r->dst, r->dst_len);
	if (!any_dport(r))
		append_range(text, size, "dport", r->dport_low, r->dport_high);
	if (r->src_len)
		append_prefix(text, size, "src", r->family, r->src, r->src_len);
	if (!any_sport(r))
		append_range(text, size, "sport", r->sport_low, r->sport_high);
	if (rule_is_local(r))
		append(text, size, " origin local");
	else if (*r->ifname)
		append(text, size, " iface %s", iface);
	if (r->action == SHUNT_STEER) {
		format_to(r, to);
		append(text, size, " to %s", to);
		if (r->own != rule_own_default(r))
			append(text, size, " own %s", own_name(r));
		if (r->unknown)
			append(text, size, " unknown %s", rule_unknown_names[r->unknown]);
	} else {
		append(text, size, " pass");
	}
	if (*r->service)
		append(text, size, " service %s", r->service);
	if (r->shadowed)
		append(text, size, " shadowed");
}

void rule_json_fields(struct json_writer *w, const struct shunt_rule *r,
		      const struct rule_counts *c)
{
	char prefix[PREFIX_TEXT], range[RANGE_TEXT], to[TO_TEXT];

	json_string(w, "proto", proto_name(r));
	format_prefix(r->family, r->dst, r->dst_len, prefix);
	json_string(w, "dst", prefix);
	format_range(r->dport_low, r->dport_high, range);
	json_string(w, "dport", range);
	if (r->src_len) {
		format_prefix(r->family, r->src, r->src_len, prefix);
		json_string(w, "src", prefix);
	}
	if (!any_sport(r)) {
		format_range(r->sport_low, r->sport_high, range);
		json_string(w, "sport", range);
	}
	if (rule_is_local(r))
		json_string(w, "origin", "local");
	else if (*r->ifname)
		json_string(w, "iface", r->ifname);
	json_string(w, "action", r->action == SHUNT_STEER ? "steer" : "pass");
	if (r->action == SHUNT_STEER) {
		format_to(r, to);
		json_string(w, "to", to);
		json_string(w, "own", own_name(r));
		if (r->proto == IPPROTO_TCP)
			json_string(w, "unknown", rule_unknown_names[r->unknown]);
	}
	if (*r->service)
		json_string(w, "service", r->service);
	if (r->shadowed)
		json_bool(w, "shadowed", true);
	json_number(w, "packets", c->packets);
	json_number(w, "bytes", c->bytes);
	json_number(w, "flows", c->flows);
	json_number(w, "misses", c->misses);
	json_number(w, "left_to_own_services", c->own_services);
	json_number(w, "loops_ended", c->loops);
	json_number(w, "segments_to_reset", c->resets);
	/* the old names of these three */
	json_number(w, "own_services", c->own_services);
	json_number(w, "loops", c->loops);
	json_number(w, "resets", c->resets);
}

void rule_json(struct json_writer *w, const struct shunt_rule *r, const struct rule_counts *c)
{
	json_open(w, '{');
	rule_json_fields(w, r, c);
	json_close(w, '}');
}
