/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
#ifndef STETH_INFER_DNS_H
#define STETH_INFER_DNS_H

#include "walk.h"

/*
 * DNS: header and first label of a message of `length` bytes, at b + `at`: a known operation, one question or a few, no more
 * records than there is room for, nothing in a query that only a response has.
 */
STETH_INLINE __u32 steth_infer_dns_message(const __u8 *b, const __u32 at, __u32 length)
{
	__u8 high = b[at + 2], low = b[at + 3], opcode = high >> 3 & 15;
	__u32 answers = b[at + 6] << 8 | b[at + 7], authority = b[at + 8] << 8 | b[at + 9];
	__u32 additional = b[at + 10] << 8 | b[at + 11], questions = b[at + 5];
	int request = !(high >> 7), truncated = high >> 1 & 1;

	if ((opcode != 0 && opcode != 4 && opcode != 5) || low & 0x40 || b[at + 4] != 0 || !questions || questions > 4 ||
	    b[at + 12] > 63)
		return STETH_GUESS_NO;
	if (request && (low & 0x8f || truncated))
		return STETH_GUESS_NO;
	if (request && opcode == 0 && (high & 4 || answers || authority > 1))
		return STETH_GUESS_NO;
	/* A question takes 5 bytes at least, a record 11; a truncated response may announce what it does not have. */
	if (!truncated && 12 + 5 * questions + 11 * (answers + authority + additional) > length)
		return STETH_GUESS_NO;
	return STETH_GUESSED(STETH_PROTOCOL_DNS, request);
}

#define STETH_DNS_LEAST 17 /* bytes of a message with a question */

/* DNS over TCP: a length, of less than 4 KiB here, and the message. */
STETH_INLINE __u32 steth_infer_dns(const struct steth_walk *walk)
{
	const __u8 *b = walk->b;
	__u32 n = walk->n, length;

	if (n < 1)
		return STETH_GUESS_MORE;
	if (b[0] > 15)
		return STETH_GUESS_NO;
	if (n < 2)
		return STETH_GUESS_MORE;
	length = b[0] << 8 | b[1];
	if (length < STETH_DNS_LEAST || (n > 6 && b[6] != 0) || (n > 7 && (!b[7] || b[7] > 4)))
		return STETH_GUESS_NO;
	return n < 15 ? STETH_GUESS_MORE : steth_infer_dns_message(b, 2, length);
}

#endif
