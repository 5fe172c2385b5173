/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * infer -> capture -> ring: the bytes of one call. What protocol they are of, how many of them are copied, and the record.
 */
#ifndef STETH_MESSAGE_H
#define STETH_MESSAGE_H

#include "capture.h"
#include "connection.h"
#include "policy.h"

/* Messages that no protocol wanted before a connection counts as unknown. */
#define TRIES_MAX 8

/* Messages of one call of a client that are followed: MySQL's send one, PostgreSQL's five for a statement. */
#define COMMANDS_MAX 8

static long scan_step(__u64 i, struct scratch **at)
{
	struct scratch *s = *at;

	if (s->scan.at >= s->scan.length)
		return 1;
	return steth_scan_byte(&s->scan, s->data[s->scan.at & (STETH_SCAN_MAX - 1)]);
}

static long request_step(__u64 i, struct scratch **at)
{
	struct scratch *s = *at;
	struct request_count *count = &s->requests;
	__u8 c, next;

	if (count->at + 1 >= count->length)
		return 1;
	c = s->data[count->at & (DATA_SPAN - 1)];
	next = s->data[(count->at + 1) & (DATA_SPAN - 1)];
	count->at++;
	if (c == '\r')
		return 0;
	if (c != '\n') {
		count->line++;
		return 0;
	}
	/* A line has ended. An empty one ends an HTTP head; an array begins a Redis command. */
	if (count->protocol == STETH_PROTOCOL_HTTP1 ? count->line == 0 && next >= 'A' && next <= 'Z' : next == '*')
		count->requests++;
	count->line = 0;
	return 0;
}

/*
 * Whether a MySQL command begins with these bytes: number 0, and either a turn begins or the packet ends with the call. A
 * server reads header and payload by two calls.
 */
static __always_inline bool mysql_begins(const __u8 *b, __u32 captured, __u32 length, bool turn)
{
	__u32 size = b[0] | (__u32)b[1] << 8 | (__u32)b[2] << 16;

	return captured >= 4 && b[3] == 0 && size && (turn || length == 4 || length == size + 4);
}

/* A message of PostgreSQL's client a step: those that ask for something by themselves. */
static long postgresql_request_step(__u64 i, struct scratch **at)
{
	struct scratch *s = *at;
	struct request_count *count = &s->requests;
	const __u8 *b;
	__u32 length;

	if (count->at + 5 > count->length)
		return 1;
	b = &s->data[count->at & (DATA_SPAN - 1)];
	if (!b[0]) {
		/* A startup message or a CancelRequest; the others are answered by a byte, and no exchange. */
		length = steth_be32(b);
		count->requests += length > 8;
	} else if (b[0] < 'A' || b[0] > 'p') {
		return 1;
	} else {
		length = 1 + steth_be32(b + 1);
		count->requests += b[0] == 'Q' || b[0] == 'E' || b[0] == 'F';
	}
	if (length < 5 || length > DATA_MAX)
		return 1;
	count->at += length;
	return 0;
}

/* DNS over TCP: each message behind its length. */
static long frame_step(__u64 i, struct scratch **at)
{
	struct scratch *s = *at;
	struct request_count *count = &s->requests;

	if (count->at + 1 >= count->length)
		return 1;
	count->requests++;
	count->at += 2 + (s->data[count->at & (DATA_SPAN - 1)] << 8 | s->data[(count->at + 1) & (DATA_SPAN - 1)]);
	return 0;
}

/* The ring was full: what went with the record. Only here is it looked at how many requests began in it. */
__attribute__((noinline)) int count_dropped(struct scratch *s, struct connection *c)
{
	__u32 length, protocol;

	if (!s || !c)
		return 0;
	length = s->chunk.captured;
	protocol = c->protocol;
	count(s, STETH_DROPPED_CHUNKS, 1);
	count(s, STETH_DROPPED_BYTES, s->chunk.length);
	if (!protocol || protocol >= STETH_PROTOCOL_COUNT)
		return 0;
	if (c->role != (s->chunk.direction == STETH_SEND ? STETH_ROLE_CLIENT : STETH_ROLE_SERVER))
		return 0;
	if (protocol == STETH_PROTOCOL_MYSQL) {
		if (mysql_begins(s->data, length, s->chunk.length, s->chunk.flags & STETH_CHUNK_TURN))
			s->counters[STETH_DROPPED_REQUESTS + STETH_PROTOCOL_MYSQL]++;
		return 0;
	}
	__builtin_memset(&s->requests, 0, sizeof(s->requests));
	s->requests.length = length;
	s->requests.protocol = protocol;
	if (protocol == STETH_PROTOCOL_POSTGRESQL) {
		STETH_LOOP(DATA_MAX, postgresql_request_step, &s);
		s->counters[STETH_DROPPED_REQUESTS + STETH_PROTOCOL_POSTGRESQL] += s->requests.requests;
		return 0;
	}
	if (c->transport == IPPROTO_UDP) {
		s->counters[STETH_DROPPED_REQUESTS + protocol]++;
		return 0;
	}
	__builtin_memcpy(s->walk.b, s->data, STETH_PREFIX);
	s->walk.n = length;
	if (STETH_GUESS(steth_infer(&s->walk, 1u << protocol)) == STETH_GUESS_IS)
		s->requests.requests = 1;
	if (protocol == STETH_PROTOCOL_DNS) {
		/* From the middle of a message on nothing is known to begin. */
		if (s->requests.requests) {
			s->requests.requests = 0;
			STETH_LOOP(DATA_MAX / 14, frame_step, &s);
		}
	} else {
		STETH_LOOP(DATA_MAX, request_step, &s);
	}
	s->counters[STETH_DROPPED_REQUESTS + protocol] += s->requests.requests;
	return 0;
}

/* Sends what is in s->chunk, the captured bytes behind it, and what is `behind` them. */
static __always_inline void emit_chunk_and(struct scratch *s, struct connection *c, __u32 behind)
{
	/* The mask is for the verifier: DATA_MAX is below it. */
	__u32 captured = s->chunk.captured & (DATA_SPAN - 1), length = s->chunk.length;

	if (emit(s, c->ring, &s->chunk, sizeof(s->chunk) + captured + behind)) {
		count_dropped(s, c);
		return;
	}
	count(s, STETH_REPORTED_CHUNKS, 1);
	count(s, STETH_REPORTED_BYTES, length);
	if (s->chunk.flags & STETH_CHUNK_UNREAD) {
		count(s, STETH_UNREAD_CHUNKS, 1);
		count(s, STETH_UNREAD_BYTES, length - captured);
	} else {
		count(s, STETH_SKIPPED_BYTES, length - captured);
	}
}

static __always_inline void emit_chunk(struct scratch *s, struct connection *c)
{
	emit_chunk_and(s, c, 0);
}

/*
 * The first bytes of a message on a connection without a protocol. Returns the number of bytes looked at, which are at
 * s->data; 0 if this message is of no protocol, so far as can be told.
 */
__attribute__((noinline)) int infer(struct connection *c, struct scratch *s, __u32 length, __u8 direction)
{
	__u32 known, got, guess;

	if (!c || !s)
		return 0;
	direction &= 1;
	known = c->prefix_length[direction];
	if (known >= STETH_PREFIX)
		return 0;
	/* What earlier calls brought of this message, then this call's bytes. */
	__builtin_memcpy(s->data, direction ? c->prefix[1] : c->prefix[0], STETH_PREFIX);
	got = copy(s, known, 0, length < STETH_PREFIX - known ? length : STETH_PREFIX - known);
	__builtin_memcpy(s->walk.b, s->data, STETH_PREFIX);
	s->walk.n = known + got;
	guess = got ? steth_infer(&s->walk, protocols) : STETH_GUESS_NO;
	c->prefix_length[direction] = 0;
	switch (STETH_GUESS(guess)) {
	case STETH_GUESS_MORE:
		__builtin_memcpy(direction ? c->prefix[1] : c->prefix[0], s->data, STETH_PREFIX);
		c->prefix_length[direction] = known + got;
		return copy(s, 0, 0, got);
	case STETH_GUESS_IS: {
		__u8 role = (direction == STETH_SEND) == STETH_GUESS_REQUEST(guess) ? STETH_ROLE_CLIENT : STETH_ROLE_SERVER;

		if (c->role != role) {
			c->role = role;
			c->role_source = STETH_ROLE_REQUEST;
		}
		c->budget[STETH_SEND] = steth_turn_budget(STETH_GUESS_PROTOCOL(guess), role == STETH_ROLE_CLIENT);
		c->budget[STETH_RECEIVE] = steth_turn_budget(STETH_GUESS_PROTOCOL(guess), role == STETH_ROLE_SERVER);
		c->asked_from = c->offset[role == STETH_ROLE_CLIENT ? STETH_SEND : STETH_RECEIVE];
		/* Last: another thread that reads the answer already finds a budget and a role where it finds a protocol. */
		barrier();
		c->protocol = STETH_GUESS_PROTOCOL(guess);
		return got;
	}
	default:
		if (++c->tries >= TRIES_MAX)
			c->flags |= CONNECTION_L4;
		return 0;
	}
}

/* Whether the bytes at s->data begin a message of this direction. */
static __always_inline bool is_head(struct scratch *s, __u8 protocol, bool request)
{
	__u32 guess;

	__builtin_memcpy(s->walk.b, s->data, STETH_PREFIX);
	s->walk.n = STETH_PREFIX;
	guess = steth_infer(&s->walk, 1u << protocol);
	return STETH_GUESS(guess) == STETH_GUESS_IS && STETH_GUESS_REQUEST(guess) == request;
}

/*
 * More came in one call than is copied of a head. Where the head tells the body's length, the body need not be copied.
 * Returns how much of the call's `length` bytes is wanted.
 */
static __always_inline __u32 want_behind_head(struct connection *c, struct scratch *s, __u32 captured, __u32 length,
					      __u8 direction, bool request, __u32 *budget)
{
	__u64 body;

	if (!is_head(s, c->protocol, request))
		return STETH_CALL_MAX;
	__builtin_memset(&s->scan, 0, sizeof(s->scan));
	s->scan.length = captured;
	STETH_LOOP(STETH_SCAN_MAX, scan_step, &s);
	body = steth_body(&s->scan, s->data, request, c->flags & CONNECTION_HEADS);
	if (body == STETH_BODY_UNKNOWN)
		return STETH_CALL_MAX;
	body += s->scan.head;
	c->body_end[direction] = s->start + s->skip + body;
	if (body >= length)
		return captured;
	/* Another message begins in this call, and perhaps many. */
	*budget = STETH_PIPELINE;
	return STETH_CALL_MAX;
}

/* Copies what the policy wants of bytes [s->skip, length) of this call to s->data. Returns how many were copied. */
__attribute__((noinline)) int capture(struct connection *c, struct scratch *s, __u32 length, __u8 direction, bool request)
{
	__u32 budget, first, want, captured, skip;

	if (!c || !s)
		return 0;
	skip = s->skip;
	if (skip >= length)
		return 0;
	direction &= 1;
	length -= skip;
	budget = c->budget[direction];
	first = steth_first_copy(c->protocol, capture_head);
	if (!budget && request) {
		/* A command behind a long one. */
		first = steth_command_header(c->protocol);
		if (!steth_is_followed(c->protocol) || length < first || copy(s, 0, skip, first) != first)
			return 0;
		budget = first = steth_command_budget(c->protocol, s->data);
	} else if (!budget) {
		/* A pipelined response that begins with this call begins a budget too. */
		if (c->protocol != STETH_PROTOCOL_HTTP1 || length < 8 || copy(s, 0, skip, 8) != 8 ||
		    steth_starts(s->data, 8, "HTTP/1.", 7) != 1)
			return 0;
		budget = steth_turn_budget(c->protocol, request);
	}
	want = length < first ? length : first;
	if (want > budget)
		want = budget;
	captured = copy(s, 0, skip, want);
	if (request && c->protocol == STETH_PROTOCOL_HTTP1 && s->data[0] == 'H' && s->data[1] == 'E')
		c->flags |= CONNECTION_HEADS;
	if (captured == first && captured < length && first < STETH_CALL_MAX) {
		want = want_behind_head(c, s, captured, length, direction, request, &budget);
		if (want > length)
			want = length;
		if (want > budget)
			want = budget;
		if (want > captured)
			captured += copy(s, captured, skip + captured, want - captured);
	}
	c->budget[direction] = budget > captured ? budget - captured : 0;
	return captured;
}

/*
 * Finds where the message of a client ends in which this call ends, so that a command behind a long one is known for what it is.
 * `length` bytes from `start` on have moved, of which the first `captured` are in s->data. With a turn a message begins.
 */
static __always_inline void follow_commands(struct connection *c, struct scratch *s, __u64 start, __u32 length, __u32 captured,
					    bool turn)
{
	__u32 header = steth_command_header(c->protocol), i, size;
	__u64 at = turn ? 0 : c->command_end - start;

	if (!turn && c->command_end < start)
		return;
	for (i = 0; i < COMMANDS_MAX && at < length; i++) {
		size = at + header > captured ? 0 : steth_command_size(c->protocol, &s->data[at & (DATA_SPAN - 1)]);
		if (!size) {
			c->command_end = 0;
			return;
		}
		at += size;
	}
	c->command_end = at < length ? 0 : start + at;
}

/* A call that brings more than one record holds. */
struct further {
	struct scratch *s;
	struct connection *c;
};

/* Sends the record that is ready, and makes the next one ready. */
static long further_step(__u64 i, struct further *call)
{
	struct connection *c = call->c;
	struct scratch *s = call->s;
	__u32 direction = s->chunk.direction & 1, budget, want, captured;

	budget = c->budget[direction];
	if (!s->rest || !budget || s->chunk.captured < s->chunk.length) {
		s->chunk.length += s->rest;
		emit_chunk(s, c);
		return 1;
	}
	emit_chunk(s, c);
	count(s, STETH_SEEN_CHUNKS, 1);
	want = s->rest < STETH_CALL_MAX ? s->rest : STETH_CALL_MAX;
	if (want > budget)
		want = budget;
	captured = copy(s, 0, s->skip, want);
	s->chunk.flags = captured ? 0 : STETH_CHUNK_UNREAD;
	s->chunk.offset += s->chunk.length;
	s->chunk.captured = captured;
	s->chunk.length = captured ? captured : s->rest;
	s->rest -= s->chunk.length;
	s->skip += captured;
	c->budget[direction] = budget - captured;
	return 0;
}

#endif
