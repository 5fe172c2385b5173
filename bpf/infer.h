/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Names the protocol from the first bytes of a message.
 *
 * Plain C over a buffer, so that the same text is compiled for BPF and natively: crates/infer runs it against its Rust
 * twin (crates/wire/src/infer.rs) and under the fuzzer. A further protocol is one function here and one row in
 * steth_infer(), plus the same in the twin.
 *
 * State that a loop changes lives in a struct of the caller's, in a map on the BPF side: of values in a map the verifier
 * assumes nothing, so it follows a loop's body once, where it would follow values on the stack through every turn. The
 * loop gets the address of the pointer, because bpf_loop() takes nothing but the stack.
 */
#ifndef STETH_INFER_H
#define STETH_INFER_H

#include "event.h"

#define STETH_PREFIX 32

enum steth_guess { STETH_GUESS_NO = 0, STETH_GUESS_MORE = 1, STETH_GUESS_IS = 2 };

/* guess | protocol << 8 | request << 16 */
#define STETH_GUESSED(protocol, request) (STETH_GUESS_IS | (protocol) << 8 | (request) << 16)
#define STETH_GUESS(g) ((g) & 0xff)
#define STETH_GUESS_PROTOCOL(g) ((g) >> 8 & 0xff)
#define STETH_GUESS_REQUEST(g) ((g) >> 16 & 1)

#define STETH_INLINE static inline __attribute__((always_inline))

#ifdef __bpf__
#define STETH_LOOP(times, step, context) bpf_loop(times, step, context, 0)
#else
#define STETH_LOOP(times, step, context)                     \
	for (__u64 step_i = 0; step_i < (times); step_i++) \
		if (step(step_i, context))                 \
			break
#endif

/* A walk over the prefix, a byte a step: bounded for the verifier, which would otherwise follow every path through it. */
struct steth_walk {
	__u8 b[STETH_PREFIX]; /* the first bytes of the message */
	__u32 n;              /* how many of them there are */
	__u32 at;
	__u32 state;
	__u32 digits;
	__u32 line;
	__u32 guess;
};

/* 1: the first `length` bytes are `word`; 0: they are not; -1: so far they are, but there are not enough of them. */
STETH_INLINE int steth_starts(const __u8 *b, __u32 n, const char *word, __u32 length)
{
	for (__u32 i = 0; i < length; i++) {
		if (i >= n)
			return -1;
		if (b[i] != (__u8)word[i])
			return 0;
	}
	return 1;
}

STETH_INLINE int steth_is_alphanumeric(__u8 c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

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

/*
 * MySQL: the server's greeting, which comes first; or, to join late, COM_QUERY and COM_STMT_PREPARE with a statement behind
 * them, or COM_STMT_EXECUTE. All are packets with number 0 and a length that fits: below 16 KiB, so that the second byte of
 * most text is none.
 */
STETH_INLINE __u32 steth_infer_mysql(struct steth_walk *walk)
{
	const __u8 *b = walk->b;
	__u32 n = walk->n, length;

#define WANT(at, condition)              \
	if (n <= at)                     \
		return STETH_GUESS_MORE; \
	if (!(condition))                \
		return STETH_GUESS_NO;
	WANT(0, 1)
	WANT(1, b[1] < 0x40)
	WANT(2, b[2] == 0)
	length = b[0] | (__u32)b[1] << 8;
	WANT(3, b[3] == 0 && length >= 5)
	WANT(4, b[4] == 0x0a || b[4] == 0x03 || b[4] == 0x16 || b[4] == 0x17)
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

/*
 * DNS: header and first label of a message of `length` bytes, at b + `at`: a known operation, one question, no more records
 * than there is room for, nothing in a query that only a response has.
 */
STETH_INLINE __u32 steth_infer_dns_message(const __u8 *b, const __u32 at, __u32 length)
{
	__u8 high = b[at + 2], low = b[at + 3], opcode = high >> 3 & 15;
	__u32 answers = b[at + 6] << 8 | b[at + 7], authority = b[at + 8] << 8 | b[at + 9];
	__u32 additional = b[at + 10] << 8 | b[at + 11];
	int request = !(high >> 7), truncated = high >> 1 & 1;

	if ((opcode != 0 && opcode != 4 && opcode != 5) || low & 0x40 || b[at + 4] != 0 || b[at + 5] != 1 || b[at + 12] > 63)
		return STETH_GUESS_NO;
	if (request && (low & 0x8f || truncated))
		return STETH_GUESS_NO;
	if (request && opcode == 0 && (high & 4 || answers || authority > 1))
		return STETH_GUESS_NO;
	/* A question takes 5 bytes at least, a record 11; a truncated response may announce what it does not have. */
	if (!truncated && 12 + 5 + 11 * (answers + authority + additional) > length)
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
	if (length < STETH_DNS_LEAST || (n > 6 && b[6] != 0) || (n > 7 && b[7] != 1))
		return STETH_GUESS_NO;
	return n < 15 ? STETH_GUESS_MORE : steth_infer_dns_message(b, 2, length);
}

/* A datagram of `length` bytes: a message of its own, which tells or never will. */
STETH_INLINE __u32 steth_infer_datagram(const struct steth_walk *walk, __u32 length, __u32 enabled)
{
	if (!(enabled & 1u << STETH_PROTOCOL_DNS) || walk->n < STETH_DNS_LEAST || length < STETH_DNS_LEAST)
		return STETH_GUESS_NO;
	return steth_infer_dns_message(walk->b, 0, length);
}

/*
 * The table: the first protocol that is sure wins, unless one before it may still be with more bytes: an answer does not change. `walk->b` and `walk->n` are given, the rest is its own. Not inlined, so
 * that the verifier follows it once, by itself.
 */
__attribute__((noinline)) int steth_infer(struct steth_walk *walk, __u32 enabled)
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
