/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * How much of a message is copied, per protocol. Plain C over a buffer, compiled natively too, like infer.h.
 *
 * The rule behind the numbers: what is needed to count every exchange and name its status is copied, bodies are not. Small
 * messages are copied whole anyway, because a copy of up to 1 KiB costs the same as one of 64 bytes.
 */
#ifndef STETH_POLICY_H
#define STETH_POLICY_H

#include "infer.h"

#define STETH_CALL_MAX 15360 /* most bytes copied of one call; DATA_MAX */

/* Bytes that may be copied in one turn of a direction. */
STETH_INLINE __u32 steth_turn_budget(__u8 protocol)
{
	switch (protocol) {
	case STETH_PROTOCOL_REDIS:
	case STETH_PROTOCOL_DNS:
		/* Framing is in every element, so all of a pipeline is wanted. */
		return 4 * STETH_CALL_MAX;
	default:
		return STETH_CALL_MAX;
	}
}

/* Bytes to be copied of one call before steth_want_more() is asked. */
STETH_INLINE __u32 steth_first_copy(__u8 protocol, bool request, __u32 head)
{
	/* A request is nearly always a head, or several. A response is nearly always a head and a body. */
	return protocol == STETH_PROTOCOL_HTTP1 && !request ? head : STETH_CALL_MAX;
}

#define STETH_SCAN_MAX 1024

struct steth_scan {
	__u32 length;     /* bytes there are */
	__u32 at;
	__u32 line;       /* bytes in the current line, the line feed not counted */
	__u32 matched;    /* of "content-length:" at the start of this line */
	__u32 value_seen; /* a Content-Length was found that leaves no doubt; the first one, as in crates/wire */
	__u64 value;      /* its number */
	__u32 state;      /* enum steth_scan_state */
	__u32 head;       /* length of the head once its end was found */
};

enum steth_scan_state {
	STETH_SCAN_NAME = 0, /* matching the name */
	STETH_SCAN_NUMBER,   /* before or in the number */
	STETH_SCAN_BEHIND,   /* blanks behind the number */
	STETH_SCAN_OTHER,    /* nothing more of this line matters */
};

/* One byte of a head; 1 at its end. */
STETH_INLINE int steth_scan_byte(struct steth_scan *scan, __u8 c)
{
	static const char name[16] = "content-length:";
	bool blank;

	scan->at++;
	if (c == '\n') {
		if (scan->line == 0) {
			scan->head = scan->at;
			return 1;
		}
		scan->line = 0;
		scan->matched = 0;
		scan->state = 0;
		return 0;
	}
	/* At the end of a line a part of it, elsewhere a blank; as in crates/wire. */
	blank = c == ' ' || c == '\t' || c == '\r';
	scan->line += c != '\r';
	switch (scan->state) {
	case STETH_SCAN_NAME:
		if (scan->value_seen || (c >= 'A' && c <= 'Z' ? c | 0x20 : c) != (__u8)name[scan->matched & 15])
			scan->state = STETH_SCAN_OTHER;
		else if (++scan->matched == 15)
			scan->state = STETH_SCAN_NUMBER;
		break;
	case STETH_SCAN_NUMBER:
		if (c >= '0' && c <= '9') {
			if (!scan->value_seen)
				scan->value = 0;
			scan->value_seen = 1;
			if (scan->value < 1ull << 48)
				scan->value = scan->value * 10 + (c - '0');
			break;
		}
		if (!scan->value_seen && blank)
			break;
		/* fallthrough */
	case STETH_SCAN_BEHIND:
		scan->state = blank ? STETH_SCAN_BEHIND : STETH_SCAN_OTHER;
		/* "7, 7" is two equal fields made one (RFC 9110, 8.6). Anything else is no number: then the body is copied too. */
		if (!blank && c != ',')
			scan->value_seen = 0;
		break;
	}
	return 0;
}

/*
 * A response of `total` bytes, of which the head's first `scan->length` were looked at: is the rest of this call wanted?
 * Not if the rest is the body of this response and nothing else.
 */
STETH_INLINE bool steth_want_more(const struct steth_scan *scan, __u32 total)
{
	if (!scan->head || !scan->value_seen)
		return true;
	return scan->head + scan->value < total;
}

#endif
