/* SPDX-License-Identifier: GPL-2.0-only */
/* Which end of a pair a socket is. Programs and shunt both include this. */
#ifndef SHUNT_PAIR_ENDS_H
#define SHUNT_PAIR_ENDS_H

#include <shunt/abi.h>

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

static __always_inline __u32 own_index(const struct shunt_sk *sk)
{
	return sk->is_client ? END_CLIENT : END_SERVER;
}

static __always_inline __u32 peer_index(const struct shunt_sk *sk)
{
	return sk->is_client ? END_SERVER : END_CLIENT;
}

/* Macros, so that the ends of a const pair are const. */
#define own_end(pair, sk) (&(pair)->end[own_index(sk)])
#define peer_end(pair, sk) (&(pair)->end[peer_index(sk)])

#endif
