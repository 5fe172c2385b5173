/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
#ifndef STETH_INFER_REDIS_H
#define STETH_INFER_REDIS_H

#include "walk.h"

/* 0: marker, 1: digits, 2: line feed; then the same once more. */
static long steth_resp_step(__u64 i, struct steth_walk **at)
{
	struct steth_walk *walk = *at;
	__u8 c;

	if (walk->at >= walk->n) {
		walk->guess = STETH_GUESS_MORE;
		return 1;
	}
	c = walk->b[walk->at++ & (STETH_PREFIX - 1)];
	switch (walk->state) {
	case 0:
		if (c != (walk->line ? '$' : '*'))
			return 1;
		walk->state = 1;
		walk->digits = 0;
		return 0;
	case 1:
		if (c >= '0' && c <= '9')
			return ++walk->digits > 8;
		if (c != '\r' || !walk->digits)
			return 1;
		walk->state = 2;
		return 0;
	default:
		if (c != '\n')
			return 1;
		if (walk->line) {
			walk->guess = STETH_GUESSED(STETH_PROTOCOL_REDIS, 1);
			return 1;
		}
		walk->line = 1;
		walk->state = 0;
		return 0;
	}
}
STETH_STEP(steth_resp_step)

/* Redis: "*<count>\r\n$<length>\r\n", the head of every RESP command. Replies are not enough to tell. */
STETH_INLINE __u32 steth_infer_resp(struct steth_walk *walk)
{
	walk->at = walk->state = walk->digits = walk->line = 0;
	walk->guess = STETH_GUESS_NO;
	STETH_LOOP(STETH_PREFIX, steth_resp_step, &walk);
	return walk->guess;
}

/* The rest of a line: a space, then printable. `line` is where the word ends. */
static long steth_inline_step(__u64 i, struct steth_walk **at)
{
	struct steth_walk *walk = *at;
	__u8 c;

	if (walk->at >= walk->n) {
		walk->guess = STETH_GUESS_MORE;
		return 1;
	}
	if (walk->at >= STETH_PREFIX)
		return 1;
	c = walk->b[walk->at & (STETH_PREFIX - 1)];
	if (c == '\n') {
		walk->guess = STETH_GUESSED(STETH_PROTOCOL_REDIS, 1);
		return 1;
	}
	if (c != '\r' && (walk->at == walk->line ? c != ' ' : c < 0x20 || c > 0x7e))
		return 1;
	walk->at++;
	return 0;
}
STETH_STEP(steth_inline_step)

/* Redis inline commands: a known word, then a printable rest of the line. */
STETH_INLINE __u32 steth_infer_inline(struct steth_walk *walk)
{
	const __u8 *b = walk->b;
	__u32 n = walk->n;
	__u8 a = n > 0 ? b[0] & 0xdf : 0, c = n > 1 ? b[1] & 0xdf : 0;
	__u8 d = n > 2 ? b[2] & 0xdf : 0, e = n > 3 ? b[3] & 0xdf : 0;
	__u32 length = 0;

	/* Letters only: 0xdf also folds some punctuation onto other punctuation, never onto a letter. */
	if (n > 4) {
		if ((a == 'P' && c == 'I' && d == 'N' && e == 'G') || (a == 'E' && c == 'C' && d == 'H' && e == 'O') ||
		    (a == 'I' && c == 'N' && ((d == 'F' && e == 'O') || (d == 'C' && e == 'R'))) ||
		    (a == 'Q' && c == 'U' && d == 'I' && e == 'T') || (a == 'A' && c == 'U' && d == 'T' && e == 'H'))
			length = 4;
	}
	if (!length && n > 3 && (a == 'G' || a == 'S') && c == 'E' && d == 'T')
		length = 3;
	if (!length) {
		/* A beginning of one of the words, and nothing behind it yet? */
		if (n == 0)
			return STETH_GUESS_MORE;
		if (n > 4)
			return STETH_GUESS_NO;
#define BEGINS(w, x, y, z)                                                                   \
	if (a == w && (n < 2 || c == x) && (n < 3 || d == y) && (n < 4 || (z != 0 && e == z))) \
		return STETH_GUESS_MORE;
		BEGINS('P', 'I', 'N', 'G')
		BEGINS('E', 'C', 'H', 'O')
		BEGINS('I', 'N', 'F', 'O')
		BEGINS('I', 'N', 'C', 'R')
		BEGINS('Q', 'U', 'I', 'T')
		BEGINS('A', 'U', 'T', 'H')
		BEGINS('G', 'E', 'T', 0)
		BEGINS('S', 'E', 'T', 0)
#undef BEGINS
		return STETH_GUESS_NO;
	}
	walk->at = walk->line = length;
	walk->guess = STETH_GUESS_NO;
	STETH_LOOP(STETH_PREFIX, steth_inline_step, &walk);
	/* A line that fills the prefix is no command typed by hand. */
	return walk->at >= STETH_PREFIX ? STETH_GUESS_NO : walk->guess;
}

STETH_INLINE __u32 steth_infer_redis(struct steth_walk *walk)
{
	return walk->n > 0 && walk->b[0] == '*' ? steth_infer_resp(walk) : steth_infer_inline(walk);
}

#endif
