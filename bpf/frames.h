/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Where the messages of a client end, for the protocols that say so at their beginning. Plain C over a buffer, compiled natively
 * too, like policy.h.
 *
 * A frame is a packet of MySQL, a message of PostgreSQL, or one line of Redis with the value whose length it tells.
 */
#ifndef STETH_FRAMES_H
#define STETH_FRAMES_H

#include "infer.h"

/* More bytes than any head of a frame has. */
#define STETH_FRAME_HEAD 16

enum steth_frames_state {
	STETH_FRAMES_KNOWN = 0,
	STETH_FRAMES_CUT,  /* known, but of the last one's head some is missing */
	STETH_FRAMES_LOST, /* what is there begins no frame */
};

struct steth_frames {
	__u64 at;       /* where the next frame begins, within these bytes or behind them */
	__u32 length;   /* bytes there are */
	__u32 asked;    /* one of them is more than contents */
	__u32 header;   /* of the last one: bytes that tell its length, all of it, and whether it is contents only */
	__u32 contents;
	__u64 size;
	__u32 state;
	__u8 protocol;
	__u8 reserved[3];
};

/* Whether the kernel side knows where the messages of a client end. */
STETH_INLINE bool steth_is_followed(__u8 protocol)
{
	return protocol == STETH_PROTOCOL_REDIS || protocol == STETH_PROTOCOL_MYSQL || protocol == STETH_PROTOCOL_POSTGRESQL;
}

/* Whether a command is known by how it begins, wherever it is: a frame may be looked for without knowing where one ends. */
STETH_INLINE bool steth_shows(__u8 protocol)
{
	return protocol == STETH_PROTOCOL_REDIS;
}

/*
 * "*3\r\n", or "$5\r\n" before a value of five bytes and two more ("RESP protocol description"). Returns the length of the line;
 * 0: it is cut; -1: it is none.
 */
STETH_INLINE int steth_resp_line(const __u8 *b, __u32 n, __u64 *size)
{
	__u64 value = 0;
	__u32 i;

	if (b[0] != '*' && b[0] != '$')
		return -1;
	for (i = 1; i < 12; i++) {
		if (i >= n)
			return 0;
		if (b[i] == '\r')
			break;
		if (b[i] < '0' || b[i] > '9')
			return -1;
		value = value * 10 + (b[i] - '0');
	}
	if (i == 1 || i == 12)
		return -1;
	if (i + 1 >= n)
		return 0;
	if (b[i + 1] != '\n')
		return -1;
	*size = i + 2 + (b[0] == '$' ? value + 2 : 0);
	return i + 2;
}

/*
 * Whether `n` bytes of Redis that begin with a frame end with one too, without a walk over them: they end with a line, which
 * is no head of a value. A value with such a line in it may deceive here, if the call ends within the value.
 */
STETH_INLINE bool steth_ends_whole(__u8 protocol, const __u8 *b, __u32 n)
{
	__u32 i;
	__u8 c;

	if (protocol != STETH_PROTOCOL_REDIS || n < 16 || n > 1024 || b[0] != '*' || b[(n - 2) & 1023] != '\r' ||
	    b[(n - 1) & 1023] != '\n')
		return false;
	for (i = 3; i < 14; i++) {
		c = b[(n - i) & 1023];
		if (c < '0' || c > '9')
			return c != '$' && c != '*';
	}
	/* No length has so many digits. */
	return true;
}

/* MySQL: three bytes of length, the lowest first, and a number, which is not 0 in what goes on with a command, or is a file. */
STETH_INLINE int steth_mysql_header(const __u8 *b, __u32 n, __u64 *size, __u32 *contents)
{
	if (n < 4)
		return 0;
	*size = 4 + (b[0] | (__u32)b[1] << 8 | (__u32)b[2] << 16);
	*contents = b[3] != 0;
	return 4;
}

/* PostgreSQL: a letter, but at the very beginning of a connection, and a length that counts itself. 'd' is CopyData. */
STETH_INLINE int steth_postgresql_header(const __u8 *b, __u32 n, __u64 *size, __u32 *contents)
{
	__u32 length;

	if (n < 5)
		return 0;
	length = b[0] ? steth_be32(b + 1) : steth_be32(b);
	if (length < 4 || length > 0x7fffffff)
		return -1;
	*size = (__u64)length + !!b[0];
	*contents = b[0] == 'd';
	return 5;
}

/* Steps over the frame at `frames->at`, where `b` is; 1: there is nothing more to step over. */
STETH_INLINE int steth_frame(struct steth_frames *frames, const __u8 *b)
{
	__u32 n = frames->length - frames->at, contents = 0;
	__u64 size = 0;
	int header;

	if (frames->protocol == STETH_PROTOCOL_REDIS)
		header = steth_resp_line(b, n, &size);
	else if (frames->protocol == STETH_PROTOCOL_MYSQL)
		header = steth_mysql_header(b, n, &size, &contents);
	else
		header = steth_postgresql_header(b, n, &size, &contents);
	if (header <= 0) {
		frames->state = header ? STETH_FRAMES_LOST : STETH_FRAMES_CUT;
		return 1;
	}
	frames->header = header;
	frames->size = size;
	frames->contents = contents;
	frames->asked |= !contents;
	frames->at += size;
	return 0;
}

#endif
