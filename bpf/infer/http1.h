/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
#ifndef STETH_INFER_HTTP1_H
#define STETH_INFER_HTTP1_H

#include "walk.h"

/* What must be behind a first word. */
enum steth_behind {
	STETH_BEHIND_ANY,    /* nothing in particular: it is a response */
	STETH_BEHIND_TARGET, /* the first byte of a target */
	STETH_BEHIND_PATH,   /* '/' or an absolute URI: "GET key" is a Redis command */
	STETH_BEHIND_SPACE,  /* a space, and then the same */
	STETH_BEHIND_H,      /* 'H', and then that */
};

/* How far the message and the words agree; sums, since at most one word agrees as a whole. */
struct steth_first_word {
	__u64 b;      /* the first eight bytes, the first one highest */
	__u64 n;      /* how many bytes there are */
	__u64 shown;  /* those of the eight that there are */
	__u64 length; /* of the word that agrees as a whole; 0: none */
	__u64 behind;
	__u64 more;   /* a word agrees so far */
};

/*
 * Compares with one word, of 8 bytes at most. Without a branch: the verifier follows both ways out of each, and byte by byte these words were three
 * quarters of all that it looked at.
 */
STETH_INLINE void steth_compare(struct steth_first_word *it, const char *word, const __u32 length, const __u32 behind)
{
	__u64 bytes = 0, differ, same, whole;

	for (__u32 i = 0; i < 8; i++)
		bytes = bytes << 8 | (i < length ? (__u8)word[i] : 0);
	differ = (it->b ^ bytes) & ~0ull << (64 - 8 * length) & it->shown;
	same = differ | -differ;
	__asm__ volatile("" : "+r"(same)); /* or the compiler knows a comparison when it sees one, and makes it a branch */
	same = same >> 63 ^ 1;
	whole = (it->n - length) >> 63;
	__asm__ volatile("" : "+r"(whole));
	whole = same & (whole ^ 1);
	it->length |= whole * length;
	it->behind |= whole * behind;
	it->more |= same ^ whole;
	/* One word at a time, or what is left of all of them, and what words of one length have in common, does not fit onto the stack. */
	__asm__ volatile("" : "+r"(it->n), "+r"(it->shown), "+r"(it->length), "+r"(it->behind), "+r"(it->more));
}

/* HTTP/1.x: a method, a space and the first byte of a target; or "HTTP/1.". */
STETH_INLINE __u32 steth_infer_http1(const struct steth_walk *walk)
{
	const __u8 *b = walk->b;
	__u32 n = walk->n, shown = n < 8 ? n : 8, at;
	struct steth_first_word it = { .n = n, .shown = ~(~0ull >> 4 * shown >> 4 * shown) };
	__u8 behind;

	if (n && (b[0] < 'A' || b[0] > 'Z'))
		return STETH_GUESS_NO;
	for (__u32 i = 0; i < 8; i++)
		it.b = it.b << 8 | b[i];
	steth_compare(&it, "HTTP/1.", 7, STETH_BEHIND_ANY);
	steth_compare(&it, "GET ", 4, STETH_BEHIND_PATH);
	steth_compare(&it, "POST ", 5, STETH_BEHIND_TARGET);
	steth_compare(&it, "PUT ", 4, STETH_BEHIND_TARGET);
	steth_compare(&it, "HEAD ", 5, STETH_BEHIND_TARGET);
	steth_compare(&it, "DELETE ", 7, STETH_BEHIND_TARGET);
	steth_compare(&it, "PATCH ", 6, STETH_BEHIND_TARGET);
	steth_compare(&it, "OPTIONS ", 8, STETH_BEHIND_TARGET);
	steth_compare(&it, "CONNECT ", 8, STETH_BEHIND_TARGET);
	steth_compare(&it, "TRACE ", 6, STETH_BEHIND_TARGET);
	steth_compare(&it, "ACL ", 4, STETH_BEHIND_PATH);
	steth_compare(&it, "BIND ", 5, STETH_BEHIND_PATH);
	steth_compare(&it, "CHECKOUT", 8, STETH_BEHIND_SPACE);
	steth_compare(&it, "COPY ", 5, STETH_BEHIND_PATH);
	steth_compare(&it, "LINK ", 5, STETH_BEHIND_PATH);
	steth_compare(&it, "LOCK ", 5, STETH_BEHIND_PATH);
	steth_compare(&it, "MERGE ", 6, STETH_BEHIND_PATH);
	steth_compare(&it, "MKCOL ", 6, STETH_BEHIND_PATH);
	steth_compare(&it, "MOVE ", 5, STETH_BEHIND_PATH);
	steth_compare(&it, "PROPFIND", 8, STETH_BEHIND_SPACE);
	steth_compare(&it, "PROPPATC", 8, STETH_BEHIND_H);
	steth_compare(&it, "PURGE ", 6, STETH_BEHIND_PATH);
	steth_compare(&it, "QUERY ", 6, STETH_BEHIND_PATH);
	steth_compare(&it, "REPORT ", 7, STETH_BEHIND_PATH);
	steth_compare(&it, "SEARCH ", 7, STETH_BEHIND_PATH);
	steth_compare(&it, "UNLINK ", 7, STETH_BEHIND_PATH);
	steth_compare(&it, "UNLOCK ", 7, STETH_BEHIND_PATH);
	if (!it.length)
		return it.more ? STETH_GUESS_MORE : STETH_GUESS_NO;
	if (it.behind == STETH_BEHIND_ANY)
		return STETH_GUESSED(STETH_PROTOCOL_HTTP1, 0);
	at = it.length;
	if (it.behind == STETH_BEHIND_H) {
		if (n <= at)
			return STETH_GUESS_MORE;
		if (b[at++ & 15] != 'H')
			return STETH_GUESS_NO;
	}
	if (it.behind >= STETH_BEHIND_SPACE) {
		if (n <= at)
			return STETH_GUESS_MORE;
		if (b[at++ & 15] != ' ')
			return STETH_GUESS_NO;
	}
	if (n <= at)
		return STETH_GUESS_MORE;
	behind = b[at & 15];
	if (behind == '/' || (it.behind >= STETH_BEHIND_PATH ? (behind | 0x20) == 'h' :
							       behind == '*' || behind == '[' || steth_is_alphanumeric(behind)))
		return STETH_GUESSED(STETH_PROTOCOL_HTTP1, 1);
	return STETH_GUESS_NO;
}

#endif
