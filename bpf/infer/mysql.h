/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
#ifndef STETH_INFER_MYSQL_H
#define STETH_INFER_MYSQL_H

#include "walk.h"

/* The first four letters of a statement, in lower case: is it a verb? */
STETH_INLINE int steth_is_verb(__u32 letters)
{
#define VERB(a, b, c, d) ((__u32)a << 24 | (__u32)b << 16 | (__u32)c << 8 | (__u32)d)
	switch (letters) {
	case VERB('s', 'e', 'l', 'e'):
	case VERB('i', 'n', 's', 'e'):
	case VERB('u', 'p', 'd', 'a'):
	case VERB('d', 'e', 'l', 'e'):
	case VERB('r', 'e', 'p', 'l'):
	case VERB('w', 'i', 't', 'h'):
	case VERB('c', 'a', 'l', 'l'):
	case VERB('s', 'e', 't', ' '):
	case VERB('s', 'h', 'o', 'w'):
	case VERB('u', 's', 'e', ' '):
	case VERB('b', 'e', 'g', 'i'):
	case VERB('s', 't', 'a', 'r'):
	case VERB('c', 'o', 'm', 'm'):
	case VERB('r', 'o', 'l', 'l'):
	case VERB('s', 'a', 'v', 'e'):
	case VERB('r', 'e', 'l', 'e'):
	case VERB('l', 'o', 'c', 'k'):
	case VERB('u', 'n', 'l', 'o'):
	case VERB('c', 'r', 'e', 'a'):
	case VERB('a', 'l', 't', 'e'):
	case VERB('d', 'r', 'o', 'p'):
	case VERB('t', 'r', 'u', 'n'):
	case VERB('e', 'x', 'p', 'l'):
	case VERB('d', 'e', 's', 'c'):
	case VERB('l', 'o', 'a', 'd'):
	case VERB('k', 'i', 'l', 'l'):
		return 1;
	default:
		return 0;
	}
#undef VERB
}

/* Blanks and brackets, then four letters; `line` collects them. `digits` is where the payload ends. */
static long steth_verb_step(__u64 i, struct steth_walk **at)
{
	struct steth_walk *walk = *at;
	__u8 c;

	if (walk->at >= STETH_PREFIX || walk->at >= walk->digits)
		return 1;
	if (walk->at >= walk->n) {
		walk->guess = STETH_GUESS_MORE;
		return 1;
	}
	c = walk->b[walk->at & (STETH_PREFIX - 1)];
	walk->at++;
	if (!walk->state && (c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '('))
		return 0;
	walk->line = walk->line << 8 | (c >= 'A' && c <= 'Z' ? c | 0x20 : c);
	if (++walk->state < 4)
		return 0;
	if (steth_is_verb(walk->line))
		walk->guess = STETH_GUESSED(STETH_PROTOCOL_MYSQL, 1);
	return 1;
}
STETH_STEP(steth_verb_step)

#define WANT(at, condition)              \
	if (n <= at)                     \
		return STETH_GUESS_MORE; \
	if (!(condition))                \
		return STETH_GUESS_NO;

/*
 * A frame of the compressed protocol with number 0, `length` bytes long: it holds a packet as it is, whose length fits; or
 * what is in it has become shorter, and begins as zlib's and Zstandard's streams do.
 */
STETH_INLINE __u32 steth_infer_mysql_frame(const __u8 *b, __u32 n, __u32 length)
{
	__u32 unpacked;

	/* 4 to 10: PostgreSQL's messages that are no longer than what is looked at here. */
	WANT(4, b[4] < 4 || b[4] > 10)
	/* Clients leave what is shorter than 50 bytes as it is. */
	WANT(5, !b[4] || (b[4] | (__u32)b[5] << 8) >= 50)
	WANT(6, b[6] == 0)
	unpacked = b[4] | (__u32)b[5] << 8;
	if (!unpacked) {
		WANT(7, b[7] == ((length - 4) & 0xff))
		WANT(8, b[8] == (length - 4) >> 8)
		WANT(9, b[9] == 0)
		WANT(10, b[10] == 0)
		WANT(11, b[11] == 0x03 || b[11] == 0x0e || b[11] == 0x16 || b[11] == 0x17)
		return STETH_GUESSED(STETH_PROTOCOL_MYSQL, 1);
	}
	WANT(7, unpacked > length && (b[7] == 0x78 || b[7] == 0x28))
	if (b[7] == 0x78) {
		WANT(8, b[8] == 0x01 || b[8] == 0x5e || b[8] == 0x9c || b[8] == 0xda)
		return STETH_GUESSED(STETH_PROTOCOL_MYSQL, 1);
	}
	WANT(8, b[8] == 0xb5)
	WANT(9, b[9] == 0x2f)
	WANT(10, b[10] == 0xfd)
	return STETH_GUESSED(STETH_PROTOCOL_MYSQL, 1);
}

/*
 * MySQL: the server's greeting, which comes first; or, to join late, COM_QUERY and COM_STMT_PREPARE with a statement behind
 * them, or COM_STMT_EXECUTE, compressed or not. All are packets with number 0 and a length that fits: below 16 KiB, so that
 * the second byte of most text is none.
 */
STETH_INLINE __u32 steth_infer_mysql(struct steth_walk *walk)
{
	const __u8 *b = walk->b;
	__u32 n = walk->n, length;

	WANT(0, 1)
	WANT(1, b[1] < 0x40)
	WANT(2, b[2] == 0)
	length = b[0] | (__u32)b[1] << 8;
	WANT(3, b[3] == 0 && length >= 5)
	WANT(4, 1)
	if (b[4] != 0x0a && b[4] != 0x03 && b[4] != 0x16 && b[4] != 0x17)
		return steth_infer_mysql_frame(b, n, length);
	if (b[4] == 0x0a) {
		/* A version: "8.0.36", "11.4.2-MariaDB". */
		WANT(5, length >= 32 && length < 512 && b[5] >= '0' && b[5] <= '9')
		WANT(6, b[6] == '.' || (b[6] >= '0' && b[6] <= '9'))
		WANT(7, b[6] == '.' ? b[7] >= '0' && b[7] <= '9' : b[7] == '.')
		return STETH_GUESSED(STETH_PROTOCOL_MYSQL, 0);
	}
	if (b[4] == 0x17) {
		/* A statement's number, which is not large; flags; one iteration. */
		WANT(7, length >= 10 && b[7] < 0x10)
		WANT(8, b[8] == 0)
		WANT(9, (b[9] & 0xf0) == 0)
		WANT(10, b[10] == 1)
		WANT(11, b[11] == 0)
		WANT(12, b[12] == 0)
		WANT(13, b[13] == 0)
		return STETH_GUESSED(STETH_PROTOCOL_MYSQL, 1);
	}
	walk->at = 5;
	if (b[4] == 0x03 && n > 5 && b[5] == 0) {
		/* Attributes of the query: none. */
		WANT(6, b[6] == 1)
		walk->at = 7;
	}
#undef WANT
	walk->state = walk->line = 0;
	walk->digits = 4 + length;
	walk->guess = STETH_GUESS_NO;
	STETH_LOOP(STETH_PREFIX, steth_verb_step, &walk);
	return walk->guess;
}

#endif
