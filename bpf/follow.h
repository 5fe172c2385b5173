/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Follows the frames of a client, so that what comes behind a long one is known for what it is, and copied.
 *
 * `frame_end` of a connection is where the next frame begins. If that is behind the bytes that have moved, nobody knows, unless
 * the frame's head was cut: what there was of it is in `prefix` then.
 */
#ifndef STETH_FOLLOW_H
#define STETH_FOLLOW_H

#include "capture.h"
#include "policy.h"

static long frames_step(__u64 i, struct scratch **at)
{
	struct scratch *s = *at;
	struct steth_frames *frames = &s->frames;

	if (frames->at >= frames->length)
		return 1;
	return steth_frame(frames, &s->data[frames->at & (DATA_SPAN - 1)]);
}
LOOP_STEP(frames_step)

/* Steps over the frame whose head began in an earlier call, and goes on with the first `captured` bytes at s->data. */
static __always_inline void rejoin(struct connection *c, struct scratch *s, __u32 captured, __u8 direction)
{
	struct steth_frames *frames = &s->frames;
	__u32 known = c->prefix_length[direction] & (STETH_FRAME_HEAD - 1), i;
	__u8 *prefix = direction ? c->prefix[1] : c->prefix[0];

	__builtin_memcpy(s->walk.b, prefix, STETH_FRAME_HEAD);
	for (i = 0; i < STETH_FRAME_HEAD; i++)
		s->walk.b[(known + i) & (STETH_PREFIX - 1)] = s->data[i];
	frames->length = known + captured;
	steth_frame(frames, s->walk.b);
	frames->at -= known;
	frames->length = captured;
	c->prefix_length[direction] = 0;
	if (frames->state == STETH_FRAMES_CUT && known + captured < STETH_FRAME_HEAD) {
		__builtin_memcpy(prefix, s->walk.b, STETH_FRAME_HEAD);
		c->prefix_length[direction] = known + captured;
	}
}

/*
 * Steps over the frames in the bytes at s->data, of which the first is the call's byte s->skip. Returns whether one of them asks
 * for something.
 */
OF_CONNECTION(follow, (__u32 captured, __u8 direction), (captured, direction))
{
	struct steth_frames *frames;
	__u64 from;
	__u32 at;

	if (!c || !s)
		return 0;
	direction &= 1;
	from = s->start + s->skip;
	/* All of it is within a frame, as when a server reads a header by itself. */
	if (c->frame_end >= from + captured && !c->prefix_length[direction])
		return 0;
	frames = &s->frames;
	__builtin_memset(frames, 0, sizeof(*frames));
	frames->protocol = c->protocol;
	frames->length = captured;
	if (c->prefix_length[direction]) {
		rejoin(c, s, captured, direction);
		if (c->prefix_length[direction])
			return 0;
	} else if (c->frame_end >= from) {
		frames->at = c->frame_end - from;
	} else {
		frames->state = STETH_FRAMES_LOST;
	}
	/* Mostly there is one, and a loop's first turn costs more than the frame. */
	if (frames->state == STETH_FRAMES_KNOWN && frames->at < captured &&
	    !steth_frame(frames, &s->data[frames->at & (DATA_SPAN - 1)]) && frames->at < captured)
		LOOP(DATA_MAX / 4, frames_step);
	c->frame_end = frames->state == STETH_FRAMES_LOST ? 0 : from + frames->at;
	if (frames->state == STETH_FRAMES_CUT && captured - frames->at < STETH_FRAME_HEAD) {
		at = frames->at & (DATA_SPAN - 1);
		__builtin_memcpy(direction ? c->prefix[1] : c->prefix[0], &s->data[at], STETH_FRAME_HEAD);
		c->prefix_length[direction] = captured - frames->at;
	}
	return frames->asked;
}

#endif
