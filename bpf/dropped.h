/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What a record takes with it that finds no room in the ring: the requests that begin in it.
 */
#ifndef STETH_DROPPED_H
#define STETH_DROPPED_H

#include "reach.h"

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
LOOP_STEP(request_step)

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
LOOP_STEP(postgresql_request_step)

/* DNS over TCP: each message behind its length. */
static long message_step(__u64 i, struct scratch **at)
{
	struct scratch *s = *at;
	struct request_count *count = &s->requests;

	if (count->at + 1 >= count->length)
		return 1;
	count->requests++;
	count->at += 2 + (s->data[count->at & (DATA_SPAN - 1)] << 8 | s->data[(count->at + 1) & (DATA_SPAN - 1)]);
	return 0;
}
LOOP_STEP(message_step)

/* The ring was full: what went with the record. Only here is it looked at how many requests began in it. */
OF_CONNECTION(count_dropped, (__u32 length), (length))
{
	__u32 protocol;

	if (!s || !c)
		return 0;
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
		LOOP(DATA_MAX, postgresql_request_step);
		s->counters[STETH_DROPPED_REQUESTS + STETH_PROTOCOL_POSTGRESQL] += s->requests.requests;
		return 0;
	}
	if (c->transport == IPPROTO_UDP) {
		s->counters[STETH_DROPPED_REQUESTS + protocol]++;
		return 0;
	}
	__builtin_memcpy(s->walk.b, s->data, STETH_PREFIX);
	s->walk.n = length;
	if (STETH_GUESS(guess_of(s, 1u << protocol)) == STETH_GUESS_IS)
		s->requests.requests = 1;
	if (protocol == STETH_PROTOCOL_DNS) {
		/* From the middle of a message on nothing is known to begin. */
		if (s->requests.requests) {
			s->requests.requests = 0;
			LOOP(DATA_MAX / 14, message_step);
		}
	} else {
		LOOP(DATA_MAX, request_step);
	}
	s->counters[STETH_DROPPED_REQUESTS + protocol] += s->requests.requests;
	return 0;
}

#endif
