/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * How much of a message is copied, per protocol. Plain C over a buffer, compiled natively too, like infer.h.
 *
 * The rule behind the numbers: what is needed to count every exchange is copied, and what names its status where that stands at the
 * beginning; bodies are not. MySQL and PostgreSQL say behind the rows whether all went well: of an answer beyond a record's 15 KiB the
 * status is unknown. Small messages are copied whole anyway, because a copy of up to 1 KiB costs the same as one of 64 bytes.
 */
#ifndef STETH_POLICY_H
#define STETH_POLICY_H

#include "frames.h"

#define STETH_CALL_MAX 15360                 /* most bytes in one record; DATA_MAX */
#define STETH_PIPELINE (4 * STETH_CALL_MAX)  /* bytes of a pipeline */
#define STETH_TURN_MAX (16 * STETH_CALL_MAX) /* most bytes copied in a turn of what asks for nothing more */

#define STETH_RECORDS_MAX 1024               /* most records of one call; what comes behind them is not copied */
#define STETH_CREDIT_MAX (256 * STETH_CALL_MAX)

#define STETH_COMMAND_MAX 1024 /* bytes of a command, or of a pipeline, before it is looked at for what need not be copied */
#define STETH_SKIP_LEAST 4096  /* fewer bytes that are not wanted are copied: a record of its own costs as much */

/* Bytes that may be copied in one turn of a direction. */
STETH_INLINE __u32 steth_turn_budget(__u8 protocol, bool request)
{
	switch (protocol) {
	case STETH_PROTOCOL_REDIS:
	case STETH_PROTOCOL_DNS:
		/* Framing is in every element, so all of a pipeline is wanted. */
		return STETH_PIPELINE;
	case STETH_PROTOCOL_POSTGRESQL:
		/* Likewise, of a pipeline that a client sends without waiting. Rows are not wanted; see steth_reply_credit(). */
		return request ? STETH_TURN_MAX : STETH_CALL_MAX;
	default:
		/* Requests are nearly all head. A response gets more once it is seen to be several. */
		return request ? STETH_PIPELINE : STETH_CALL_MAX;
	}
}

/* Whether as much of the replies is wanted as was asked for: steth_reply_credit(). */
STETH_INLINE bool steth_has_credit(__u8 protocol)
{
	return protocol == STETH_PROTOCOL_REDIS || protocol == STETH_PROTOCOL_POSTGRESQL;
}

/*
 * How many bytes of replies are wanted beyond a turn's budget. A client that sends a pipeline may read its replies as late as it
 * likes, and without rows or values they are shorter than what asked for them. So as much is wanted as was asked, what was
 * not copied left out; half of what was asked before the last replies too, because some of a pipeline is read in the middle of it.
 */
STETH_INLINE __u32 steth_reply_credit(__u32 credit, __u32 asked)
{
	if (asked > STETH_CREDIT_MAX)
		asked = STETH_CREDIT_MAX;
	credit = credit / 2 + asked;
	return credit < STETH_CREDIT_MAX ? credit : STETH_CREDIT_MAX;
}

/*
 * Bytes wanted of the frame that was stepped over, which begins behind a turn's budget. Of contents, its length is all. The
 * rows of a COPY are contents too, and there may be millions of them: those are not followed, and nothing that asks for something
 * comes before an answer to all of them.
 */
STETH_INLINE __u32 steth_frame_budget(const struct steth_frames *frames)
{
	if (!frames->contents)
		return STETH_COMMAND_MAX;
	return frames->protocol == STETH_PROTOCOL_POSTGRESQL && frames->size < STETH_COMMAND_MAX ? 0 : frames->header;
}

/* Bytes copied of one call before they are looked at for what need not be copied. */
STETH_INLINE __u32 steth_first_copy(__u8 protocol, bool request, __u32 head)
{
	if (protocol == STETH_PROTOCOL_HTTP1)
		return head;
	return protocol == STETH_PROTOCOL_REDIS && request ? STETH_COMMAND_MAX : STETH_CALL_MAX;
}

#define STETH_SCAN_MAX 1024

struct steth_scan {
	__u32 length;     /* bytes there are */
	__u32 at;
	__u32 line;       /* bytes in the current line, the line feed not counted */
	__u32 matched;    /* of a name at the start of this line */
	__u32 coding;     /* the name is "transfer-encoding:", else "content-length:" */
	__u32 value_seen; /* a Content-Length was found that leaves no doubt; the first one, as in crates/wire */
	__u64 value;      /* its number */
	__u32 coded;      /* a Transfer-Encoding was found: the body's end is in the body */
	__u32 state;      /* enum steth_scan_state */
	__u32 head;       /* length of the head once its end was found */
};

enum steth_scan_state {
	STETH_SCAN_NAME = 0, /* matching the name */
	STETH_SCAN_NUMBER,   /* before or in the number */
	STETH_SCAN_BEHIND,   /* blanks behind the number */
	STETH_SCAN_OTHER,    /* nothing more of this line matters */
};

/* A byte of a name, by which the line is told. */
STETH_INLINE void steth_scan_name(struct steth_scan *scan, __u8 c)
{
	static const char length[16] = "content-length:", coding[32] = "transfer-encoding:";

	c = c >= 'A' && c <= 'Z' ? c | 0x20 : c;
	if (!scan->matched)
		scan->coding = c == 't';
	if (c != (__u8)(scan->coding ? coding[scan->matched & 31] : length[scan->matched & 15])) {
		scan->state = STETH_SCAN_OTHER;
	} else if (++scan->matched == 18) {
		scan->coded = 1;
		scan->state = STETH_SCAN_OTHER;
	} else if (scan->matched == 15 && !scan->coding) {
		scan->state = scan->value_seen ? STETH_SCAN_OTHER : STETH_SCAN_NUMBER;
	}
}

/* One byte of a head; 1 at its end. */
STETH_INLINE int steth_scan_byte(struct steth_scan *scan, __u8 c)
{
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
		steth_scan_name(scan, c);
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

#define STETH_BODY_UNKNOWN (~0ull)

/*
 * Length of the body behind a head that was scanned (RFC 9112, 6.3), or STETH_BODY_UNKNOWN where the head does not tell.
 * `b` has the head's first twelve bytes. `heads`: HEAD is used on this connection, so a length may be of no body.
 */
STETH_INLINE __u64 steth_body(const struct steth_scan *scan, const __u8 *b, bool request, bool heads)
{
	if (!scan->head || scan->head < 12 || scan->coded)
		return STETH_BODY_UNKNOWN;
	if (request)
		return scan->value_seen ? scan->value : 0;
	/* "HTTP/1.1 204": no body, whatever the fields say. */
	if (b[9] == '1' || (b[9] == '2' && b[10] == '0' && b[11] == '4') || (b[9] == '3' && b[10] == '0' && b[11] == '4'))
		return 0;
	return scan->value_seen && !heads ? scan->value : STETH_BODY_UNKNOWN;
}

#endif
