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
	__builtin_memset(&s->requests, 0, sizeof(s->requests));
	s->requests.length = length;
	s->requests.protocol = protocol;
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

/* Sends what is in s->chunk and the captured bytes behind it. */
static __always_inline void emit_chunk(struct scratch *s, struct connection *c)
{
	/* The mask is for the verifier: DATA_MAX is below it. */
	__u32 captured = s->chunk.captured & (DATA_SPAN - 1), length = s->chunk.length;

	if (emit(s, &s->chunk, sizeof(s->chunk) + captured)) {
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

		c->protocol = STETH_GUESS_PROTOCOL(guess);
		if (c->role != role) {
			c->role = role;
			c->role_source = STETH_ROLE_REQUEST;
		}
		c->budget[0] = c->budget[1] = steth_turn_budget(c->protocol);
		return got;
	}
	default:
		if (++c->tries >= TRIES_MAX)
			c->flags |= CONNECTION_L4;
		return 0;
	}
}

/* Copies what the policy wants of bytes [s->skip, length) of this call to s->data. Returns how many were copied. */
__attribute__((noinline)) int capture(struct connection *c, struct scratch *s, __u32 length, __u8 direction, bool request)
{
	__u32 budget, first, want, captured, skip;
	bool head;

	if (!c || !s)
		return 0;
	skip = s->skip;
	if (skip >= length)
		return 0;
	direction &= 1;
	length -= skip;
	budget = c->budget[direction];
	first = steth_first_copy(c->protocol, request, capture_head);
	if (!budget) {
		/* A pipelined response that begins with this call begins a budget too. */
		if (request || c->protocol != STETH_PROTOCOL_HTTP1 || length < 8 || copy(s, 0, skip, 8) != 8 ||
		    steth_starts(s->data, 8, "HTTP/1.", 7) != 1)
			return 0;
		budget = steth_turn_budget(c->protocol);
	}
	want = length < first ? length : first;
	if (want > budget)
		want = budget;
	captured = copy(s, 0, skip, want);
	if (captured == first && captured < length && first < STETH_CALL_MAX) {
		head = steth_starts(s->data, 8, "HTTP/1.", 7) == 1;
		if (head) {
			__builtin_memset(&s->scan, 0, sizeof(s->scan));
			s->scan.length = captured;
			STETH_LOOP(STETH_SCAN_MAX, scan_step, &s);
			if (s->scan.head && s->scan.value_seen)
				c->body_end[direction] = s->start + skip + s->scan.head + s->scan.value;
		}
		/* Not a head: a body of unknown length, or one that ends in here with another response behind it. */
		if (!head || steth_want_more(&s->scan, length)) {
			want = length < STETH_CALL_MAX ? length : STETH_CALL_MAX;
			if (want > budget)
				want = budget;
			if (want > captured)
				captured += copy(s, captured, skip + captured, want - captured);
		}
	}
	c->budget[direction] = budget > captured ? budget - captured : 0;
	return captured;
}

#endif
