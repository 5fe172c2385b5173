/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * infer -> capture -> ring: the bytes of one call. What protocol they are of, how many of them are copied, and the record.
 */
#ifndef STETH_MESSAGE_H
#define STETH_MESSAGE_H

#include "capture.h"
#include "connection.h"
#include "dropped.h"
#include "follow.h"

static long scan_step(__u64 i, struct scratch **at)
{
	struct scratch *s = *at;

	if (s->scan.at >= s->scan.length)
		return 1;
	return steth_scan_byte(&s->scan, s->data[s->scan.at & (STETH_SCAN_MAX - 1)]);
}
LOOP_STEP(scan_step)

/* Sends what is in s->chunk, the captured bytes behind it, and what is `behind` them. */
static __always_inline void emit_chunk_and(struct scratch *s, struct connection *c, __u32 behind)
{
	/* The mask is for the verifier: DATA_MAX is below it. */
	__u32 captured = s->chunk.captured & (DATA_SPAN - 1), length = s->chunk.length;

	if (emit(s, c->ring, &s->chunk, sizeof(s->chunk) + captured + behind)) {
		count_dropped(c, s, captured);
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
OF_CONNECTION(infer, (__u32 length, __u8 direction), (length, direction))
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
	guess = got ? guess_of(s, c->protocols) : STETH_GUESS_NO;
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
	guess = guess_of(s, 1u << protocol);
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
	LOOP(STETH_SCAN_MAX, scan_step);
	body = steth_body(&s->scan, s->data, request, c->flags & CONNECTION_HEADS);
	if (body == STETH_BODY_UNKNOWN)
		return STETH_CALL_MAX;
	body += s->scan.head;
	c->body_end[direction] = s->start + s->skip + body;
	if (body < length)
		/* Another message begins in this call, and perhaps many. */
		*budget = STETH_PIPELINE;
	return body < length && body < captured + STETH_SKIP_LEAST ? STETH_CALL_MAX : captured;
}

/* The same, where frames tell their length. */
static __always_inline __u32 want_behind_frames(struct connection *c, struct scratch *s, __u32 captured, __u8 direction)
{
	__u64 behind = s->start + s->skip + captured;

	if (c->frame_end > behind + STETH_SKIP_LEAST)
		c->body_end[direction] = c->frame_end;
	return c->body_end[direction] > behind ? captured : STETH_CALL_MAX;
}

/* How many of the next `length` bytes are wanted, though the turn's budget is used up. */
static __always_inline __u32 want_behind_budget(struct connection *c, struct scratch *s, __u32 length, __u8 direction, bool request)
{
	struct steth_frames *frames = &s->frames;
	__u32 got = length < STETH_FRAME_HEAD ? length : STETH_FRAME_HEAD;

	if (copy(s, 0, s->skip, got) != got)
		return 0;
	if (!request)
		/* A pipelined response that begins here begins a budget too. */
		return c->protocol == STETH_PROTOCOL_HTTP1 && steth_starts(s->data, got, "HTTP/1.", 7) == 1 ?
			       steth_turn_budget(c->protocol, false) :
			       0;
	if (c->prefix_length[direction])
		return STETH_COMMAND_MAX;
	if (c->frame_end != s->start + s->skip && !steth_shows(c->protocol))
		return 0;
	__builtin_memset(frames, 0, sizeof(*frames));
	frames->protocol = c->protocol;
	frames->length = got;
	steth_frame(frames, s->data);
	switch (frames->state) {
	case STETH_FRAMES_KNOWN:
		return steth_frame_budget(frames);
	case STETH_FRAMES_CUT:
		return got;
	default:
		return 0;
	}
}

/*
 * Whether a frame may begin with the next byte against what is known: so that a mistake about where one ends does not outlive the
 * turn.
 */
static __always_inline bool is_doubtful(struct connection *c, struct scratch *s, __u8 direction)
{
	__u64 from = s->start + s->skip;

	if (c->prefix_length[direction] || c->frame_end > from)
		return s->doubt;
	return steth_shows(c->protocol) && c->frame_end != from;
}

/* How many of the next `length` bytes, which are behind `captured` ones, are not wanted. */
static __always_inline __u32 passes_behind(struct connection *c, struct scratch *s, __u32 length, __u32 captured, __u8 direction,
					   bool followed)
{
	__u64 behind = s->start + s->skip + captured;

	if (followed && !c->budget[direction] && c->frame_end > behind)
		c->body_end[direction] = c->frame_end;
	if (c->body_end[direction] > behind)
		return c->body_end[direction] - behind < length ? c->body_end[direction] - behind : length;
	if (c->budget[direction] || (followed && (c->frame_end == behind || c->prefix_length[direction])))
		return 0;
	return length;
}

/*
 * Copies what the policy wants of the next bytes of this call, from s->skip on, to s->data. Returns how many were copied. How many
 * bytes behind them are not wanted is in s->pass.
 */
OF_CONNECTION(capture, (__u32 length, __u8 direction, bool request), (length, direction, request))
{
	__u32 budget, first, want, captured, skip, got;
	bool followed, asked = false;

	if (!c || !s)
		return 0;
	skip = s->skip;
	if (skip >= length)
		return 0;
	direction &= 1;
	length -= skip;
	s->pass = length;
	followed = request && steth_is_followed(c->protocol);
	budget = c->budget[direction];
	first = steth_first_copy(c->protocol, request, capture_head);
	if (!budget) {
		budget = want_behind_budget(c, s, length, direction, request);
		if (!budget)
			return 0;
		if (request)
			first = budget;
	}
	want = length < first ? length : first;
	if (want > budget)
		want = budget;
	captured = copy(s, 0, skip, want);
	s->copied += captured;
	if (request && c->protocol == STETH_PROTOCOL_HTTP1 && s->data[0] == 'H' && s->data[1] == 'E')
		c->flags |= CONNECTION_HEADS;
	if (followed && captured == length && c->frame_end == s->start + skip && steth_ends_whole(c->protocol, s->data, captured)) {
		c->frame_end += captured;
		asked = true;
	} else if (followed) {
		if (is_doubtful(c, s, direction) && is_head(s, c->protocol, true)) {
			c->frame_end = s->start + skip;
			c->prefix_length[direction] = 0;
		}
		s->doubt = 0;
		asked = follow(c, s, captured, direction);
	}
	if (captured == first && captured < length && first < STETH_CALL_MAX) {
		if (asked)
			budget = STETH_PIPELINE;
		if (c->protocol == STETH_PROTOCOL_HTTP1)
			want = want_behind_head(c, s, captured, length, direction, request, &budget);
		else
			want = want_behind_frames(c, s, captured, direction);
		if (want > length)
			want = length;
		if (want > budget)
			want = budget;
		if (want > captured) {
			got = copy(s, captured, skip + captured, want - captured);
			s->copied += got;
			captured += got;
			if (followed) {
				/* Its head is whole now, where it was. */
				c->prefix_length[direction] = 0;
				asked |= follow(c, s, captured, direction);
			}
		}
	}
	/* What asks for something is never too much. */
	if (asked && budget < captured + STETH_CALL_MAX)
		budget = captured + STETH_CALL_MAX;
	c->budget[direction] = budget > captured ? budget - captured : 0;
	s->pass = captured < want ? length - captured : passes_behind(c, s, length - captured, captured, direction, followed);
	if (captured < want)
		c->prefix_length[direction] = 0;
	return captured;
}

static __always_inline bool is_request(struct connection *c, __u8 direction)
{
	return (c->role == STETH_ROLE_CLIENT) == (direction == STETH_SEND);
}

/* A call that brings more than one record holds. */
struct further {
	struct scratch *s;
	struct connection *c;
};

/* Sends the record that is ready, and makes the next one ready. The last one has all that is left. */
static long further_step(__u64 i, struct further *call)
{
	struct connection *c = call->c;
	struct scratch *s = call->s;
	__u32 direction = s->chunk.direction & 1, captured;
	bool request = is_request(c, direction);

	emit_chunk(s, c);
	if (!s->rest)
		return 1;
	count(s, STETH_SEEN_CHUNKS, 1);
	if (i + 2 < STETH_RECORDS_MAX && s->copied < call_max) {
		captured = capture(c, s, s->skip + s->rest, direction, request);
	} else {
		captured = 0;
		c->budget[direction] = 0;
		c->prefix_length[direction] = 0;
	}
	s->chunk.flags = captured || !c->budget[direction] ? 0 : STETH_CHUNK_UNREAD;
	s->chunk.offset += s->chunk.length;
	s->chunk.captured = captured;
	s->chunk.length = captured ? captured + s->pass : s->rest;
	s->rest -= s->chunk.length;
	s->skip += s->chunk.length;
	if (request)
		c->asked_from -= captured;
	return 0;
}

#endif
