/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
#ifndef STETH_INFER_HTTP1_H
#define STETH_INFER_HTTP1_H

#include "walk.h"

/* HTTP/1.x: a method, a space and the first byte of a target; or "HTTP/1.". */
STETH_INLINE __u32 steth_infer_http1(const struct steth_walk *walk)
{
	const __u8 *b = walk->b;
	__u32 n = walk->n;
	int more = 0, found;

	found = steth_starts(b, n, "HTTP/1.", 7);
	if (found == 1)
		return STETH_GUESSED(STETH_PROTOCOL_HTTP1, 0);
	more |= found;
	/* GET wants '/' or an absolute URI behind it: "GET key" is a Redis command. */
	found = steth_starts(b, n, "GET ", 4);
	if (found == 1 && n > 4)
		return b[4] == '/' || (b[4] | 0x20) == 'h' ? STETH_GUESSED(STETH_PROTOCOL_HTTP1, 1) : STETH_GUESS_NO;
	more |= found;
#define METHOD(word, length)                                                                          \
	found = steth_starts(b, n, word, length);                                                     \
	if (found == 1 && n > length) {                                                               \
		__u8 target = b[length];                                                              \
		return target == '/' || target == '*' || target == '[' || steth_is_alphanumeric(target) \
			       ? STETH_GUESSED(STETH_PROTOCOL_HTTP1, 1)                               \
			       : STETH_GUESS_NO;                                                      \
	}                                                                                             \
	more |= found;
	METHOD("POST ", 5)
	METHOD("PUT ", 4)
	METHOD("HEAD ", 5)
	METHOD("DELETE ", 7)
	METHOD("PATCH ", 6)
	METHOD("OPTIONS ", 8)
	METHOD("CONNECT ", 8)
	METHOD("TRACE ", 6)
#undef METHOD
	return more ? STETH_GUESS_MORE : STETH_GUESS_NO;
}

#endif
