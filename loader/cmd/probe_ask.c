// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/probe_ask.h"

#include <errno.h>
#include <linux/bpf.h>
#include <string.h>

#include <bpf/bpf.h>

#include "bpf/programs.h"
#include "cmd/steer.h"
#include "util/cleanup.h"
#include "util/log.h"

int probe_ask(const struct probe *f, enum shunt_question question, __u32 *ret)
{
	_cleanup_fd_ int prog = program_open(HALF_STEER, "shunt_test");
	static const __u8 one[ETH_ALEN], many[ETH_ALEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct __sk_buff skb = { .cb = { f->ifindex, question } };
	__u8 packet[PACKET_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet,
		    .data_size_in = probe_packet(f, PART_FIRST, probe_is_group(f) ? many : one,
						 packet),
		    .ctx_in = &skb, .ctx_size_in = sizeof(skb), );

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
	error = probe_ask(&f, ASK_LISTENER, &answer);
	return error ? error : (int)answer;
}
