/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Names the protocol from the first bytes of a message.
 *
 * Plain C over a buffer, so that the same text is compiled for BPF and natively: crates/infer runs it against its Rust
 * twin (crates/wire/src/infer.rs) and under the fuzzer. A further protocol is a file with one function in infer/ and one row in
 * steth_infer(), plus the same in the twin: docs/adding-a-protocol.md.
 */
#ifndef STETH_INFER_H
#define STETH_INFER_H

#include "infer/dns.h"
#include "infer/http1.h"
#include "infer/mysql.h"
#include "infer/postgresql.h"
#include "infer/redis.h"

/* A datagram of `length` bytes: a message of its own, which tells or never will. */
STETH_INLINE __u32 steth_infer_datagram(const struct steth_walk *walk, __u32 length, __u32 enabled)
{
	if (!(enabled & 1u << STETH_PROTOCOL_DNS) || walk->n < STETH_DNS_LEAST || length < STETH_DNS_LEAST)
		return STETH_GUESS_NO;
	return steth_infer_dns_message(walk->b, 0, length);
}

/* Before 5.12 the verifier takes no pointer to a function that it follows by itself: reach.h has one around this one then. */
#ifdef STETH_PLAIN
#define STETH_INFER_FUNCTION static __attribute__((always_inline))
#else
#define STETH_INFER_FUNCTION __attribute__((noinline))
#endif

/*
 * The table: the first protocol that is sure wins, unless one before it may still be with more bytes; for an answer does not
 * change. `walk->b` and `walk->n` are given, the rest is its own. Not inlined, so that the verifier follows it once, by itself.
 */
STETH_INFER_FUNCTION int steth_infer(struct steth_walk *walk, __u32 enabled)
{
	__u32 guess, more = 0;

	if (!walk)
		return STETH_GUESS_NO;
	if (walk->n > STETH_PREFIX)
		walk->n = STETH_PREFIX;
#define ROW(number, function)                             \
	if (enabled & 1u << number) {                     \
		guess = function(walk);                   \
		if (STETH_GUESS(guess) == STETH_GUESS_IS) \
			return more ? STETH_GUESS_MORE : guess; \
		more |= guess;                            \
	}
	ROW(STETH_PROTOCOL_HTTP1, steth_infer_http1)
	ROW(STETH_PROTOCOL_REDIS, steth_infer_redis)
	ROW(STETH_PROTOCOL_MYSQL, steth_infer_mysql)
	ROW(STETH_PROTOCOL_POSTGRESQL, steth_infer_postgresql)
	ROW(STETH_PROTOCOL_DNS, steth_infer_dns)
#undef ROW
	return more ? STETH_GUESS_MORE : STETH_GUESS_NO;
}

#endif
