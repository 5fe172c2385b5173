/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
#ifndef STETH_INFER_POSTGRESQL_H
#define STETH_INFER_POSTGRESQL_H

#include "walk.h"

/* PostgreSQL: the type of a message, whether these may follow. */
STETH_INLINE int steth_pg_client(__u8 c)
{
	return c == 'S' || c == 'H' || c == 'B' || c == 'P' || c == 'C' || c == 'D' || c == 'E';
}

STETH_INLINE int steth_pg_server(__u8 c)
{
	return c == 'Z' || c == 'T' || c == 'D' || c == 'C' || c == '2' || c == '3' || c == 'N' || c == 'E';
}

STETH_INLINE __u32 steth_be32(const __u8 *b)
{
	return (__u32)b[0] << 24 | (__u32)b[1] << 16 | (__u32)b[2] << 8 | b[3];
}

/* Whether the length behind the type is this one, as far as it is there. */
STETH_INLINE int steth_pg_length(const __u8 *b, __u32 n, __u8 length)
{
	return (n < 2 || !b[1]) && (n < 3 || !b[2]) && (n < 4 || !b[3]) && (n < 5 || b[4] == length);
}

/* A message of this length, and the beginning of another one. Lengths begin with a zero. */
#define STETH_PG_FOLLOWED(length, types, guess)                                           \
	do {                                                                              \
		if (!steth_pg_length(b, n, length))                                       \
			return STETH_GUESS_NO;                                            \
		if (n <= length + 1)                                                      \
			return STETH_GUESS_MORE;                                          \
		if (!(types) || (n > length + 2 && b[length + 2]))                        \
			return STETH_GUESS_NO;                                            \
		return n > length + 2 ? STETH_GUESSED(STETH_PROTOCOL_POSTGRESQL, guess) \
				      : STETH_GUESS_MORE;                                 \
	} while (0)

/* Strings of a Query, Parse or Bind: `digits` of them, `state` if there may be more behind; `line` is the message's length. */
static long steth_pg_texts_step(__u64 i, struct steth_walk **at)
{
	struct steth_walk *walk = *at;
	__u8 c;

	if (walk->at >= walk->n || walk->at >= STETH_PREFIX) {
		walk->guess = walk->n < STETH_PREFIX ? STETH_GUESS_MORE : STETH_GUESSED(STETH_PROTOCOL_POSTGRESQL, 1);
		return 1;
	}
	c = walk->b[walk->at & (STETH_PREFIX - 1)];
	if (!c && walk->digits == 1) {
		if (walk->at == walk->line || walk->state)
			walk->guess = STETH_GUESSED(STETH_PROTOCOL_POSTGRESQL, 1);
		return 1;
	}
	/* MySQL's statement number, in an execution of the right length. */
	if (!c && walk->at == 6)
		return 1;
	if (!c)
		walk->digits--;
	else if (c == 0x7f || (c < ' ' && c != '\t' && c != '\n' && c != '\r'))
		return 1;
	if (walk->at >= walk->line)
		return 1;
	walk->at++;
	return 0;
}
STETH_STEP(steth_pg_texts_step)

STETH_INLINE __u32 steth_infer_pg_texts(struct steth_walk *walk, __u32 strings)
{
	const __u8 *b = walk->b;

	if (walk->n < 5)
		return walk->n < 2 || !b[1] ? STETH_GUESS_MORE : STETH_GUESS_NO;
	walk->line = steth_be32(b + 1);
	if (b[1] || walk->line < 5)
		return STETH_GUESS_NO;
	walk->at = 5;
	walk->digits = strings;
	walk->state = strings > 1;
	walk->guess = STETH_GUESS_NO;
	/* One more than the prefix has: the step behind it decides. */
	STETH_LOOP(STETH_PREFIX + 1, steth_pg_texts_step, &walk);
	return walk->guess;
}

/* The tag of a CommandComplete, whose end is `line`. */
static long steth_pg_tag_step(__u64 i, struct steth_walk **at)
{
	struct steth_walk *walk = *at;
	__u8 c;

	if (walk->at >= walk->n) {
		walk->guess = STETH_GUESS_MORE;
		return 1;
	}
	c = walk->b[walk->at & (STETH_PREFIX - 1)];
	if (walk->at >= walk->line) {
		walk->state = !c;
		return 1;
	}
	if (c != ' ' && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9'))
		return 1;
	walk->at++;
	return 0;
}
STETH_STEP(steth_pg_tag_step)

/* CommandComplete: a short tag in upper case, then another message. A Close of the client differs in what follows. */
STETH_INLINE __u32 steth_infer_pg_completed(struct steth_walk *walk)
{
	const __u8 *b = walk->b;
	__u32 n = walk->n, next;
	__u8 type;

	if (!steth_pg_length(b, n < 4 ? n : 4, 0))
		return STETH_GUESS_NO;
	if (n < 5)
		return STETH_GUESS_MORE;
	walk->line = b[4];
	if (walk->line < 7 || walk->line >= STETH_PREFIX - 2)
		return STETH_GUESS_NO;
	walk->at = 5;
	walk->state = 0;
	walk->guess = STETH_GUESS_NO;
	STETH_LOOP(STETH_PREFIX, steth_pg_tag_step, &walk);
	if (!walk->state)
		return walk->guess;
	next = walk->line + 1;
	if (next >= n)
		return STETH_GUESS_MORE;
	type = b[next & (STETH_PREFIX - 1)];
	if (!steth_pg_server(type) && type != '1')
		return STETH_GUESS_NO;
	if (next + 1 >= n)
		return STETH_GUESS_MORE;
	return b[(next + 1) & (STETH_PREFIX - 1)] ? STETH_GUESS_NO : STETH_GUESSED(STETH_PROTOCOL_POSTGRESQL, 0);
}

/* PostgreSQL: what a connection begins with. */
STETH_INLINE __u32 steth_infer_pg_opening(const struct steth_walk *walk)
{
	const __u8 *b = walk->b;
	__u32 n = walk->n, length, code;

	if (n < 8)
		return n < 2 || !b[1] ? STETH_GUESS_MORE : STETH_GUESS_NO;
	length = steth_be32(b);
	code = steth_be32(b + 4);
	/* SSLRequest, GSSENCRequest; CancelRequest, whose key is 4 bytes, or up to 256 since version 3.2. */
	if (((code == 80877103 || code == 80877104) && length == 8) ||
	    (code == 80877102 && length >= 16 && length <= 268))
		return STETH_GUESSED(STETH_PROTOCOL_POSTGRESQL, 1);
	/* Version 3, then the name of a parameter. */
	if (code >> 16 != 3 || length < 16 || length > 10000)
		return STETH_GUESS_NO;
	for (__u32 i = 8; i < 12; i++)
		if (i < n && b[i] != '_' && (b[i] < 'a' || b[i] > 'z'))
			return STETH_GUESS_NO;
	return n < 12 ? STETH_GUESS_MORE : STETH_GUESSED(STETH_PROTOCOL_POSTGRESQL, 1);
}

/* PostgreSQL: rows, and what describes them. The least length that a message of so many columns has must fit. */
STETH_INLINE __u32 steth_infer_pg_rows(const struct steth_walk *walk)
{
	const __u8 *b = walk->b;
	__u32 n = walk->n, length, columns, first, least;

	if (n < (b[0] == 'T' ? 8 : 11))
		return n < 2 || !b[1] ? STETH_GUESS_MORE : STETH_GUESS_NO;
	length = steth_be32(b + 1);
	columns = (__u32)b[5] << 8 | b[6];
	if (columns < 1 || columns > 1664 || length >= 1 << 24)
		return STETH_GUESS_NO;
	if (b[0] == 'T')
		return length >= 6 + 19 * columns && b[7] >= ' ' ? STETH_GUESSED(STETH_PROTOCOL_POSTGRESQL, 0)
								 : STETH_GUESS_NO;
	first = steth_be32(b + 7);
	if (first == 0xffffffff)
		first = 0;
	if (first >= 1 << 24)
		return STETH_GUESS_NO;
	least = 6 + 4 * columns + first;
	return (columns == 1 ? length == least : length >= least) ? STETH_GUESSED(STETH_PROTOCOL_POSTGRESQL, 0)
								  : STETH_GUESS_NO;
}

/*
 * PostgreSQL: what a connection begins with; or, of a conversation under way, a message of either side that has its type,
 * a length that fits, and a body that begins as that type's do. A message that fits into the prefix is looked at whole,
 * because short lengths are what other binary protocols begin with too.
 */
STETH_INLINE __u32 steth_infer_postgresql(struct steth_walk *walk)
{
	const __u8 *b = walk->b;
	__u32 n = walk->n;

	if (!n)
		return STETH_GUESS_MORE;
	switch (b[0]) {
	case 0:
		return steth_infer_pg_opening(walk);
	case 'Q':
		return steth_infer_pg_texts(walk, 1);
	case 'P':
	case 'B':
		return steth_infer_pg_texts(walk, 2);
	/* Execute and Sync do not come alone. */
	case 'E':
		if (n > 5 && b[5])
			return STETH_GUESS_NO;
		STETH_PG_FOLLOWED(9, steth_pg_client(b[10]), 1);
	case 'S':
		STETH_PG_FOLLOWED(4, steth_pg_client(b[5]) ? b[5] != 'S' : b[5] == 'Q', 1);
	case '1':
		STETH_PG_FOLLOWED(4, steth_pg_server(b[5]) || b[5] == 't' || b[5] == 'n' || b[5] == 'S' || b[5] == 'A', 0);
	case '2':
		STETH_PG_FOLLOWED(4,
				  (steth_pg_server(b[5]) && b[5] != '2' && b[5] != '3') || b[5] == 'n' || b[5] == 'I' ||
					  b[5] == 's' || b[5] == 'G' || b[5] == 'H' || b[5] == 'S' || b[5] == 'A',
				  0);
	case 'Z':
		if (!steth_pg_length(b, n, 5))
			return STETH_GUESS_NO;
		if (n < 6)
			return STETH_GUESS_MORE;
		return b[5] == 'I' || b[5] == 'T' || b[5] == 'E' ? STETH_GUESSED(STETH_PROTOCOL_POSTGRESQL, 0)
								 : STETH_GUESS_NO;
	case 'C':
		return steth_infer_pg_completed(walk);
	case 'T':
	case 'D':
		return steth_infer_pg_rows(walk);
	default:
		return STETH_GUESS_NO;
	}
}

#endif
