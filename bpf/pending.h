/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Calls whose bytes nobody copies are put together, so that a caller that moves a byte a time costs a counter. They wait with the connection for whoever
 * comes next: a transfer that is told of, the end, or a sweep.
 *
 * These may come at once, and another call of that direction with them. So calls and bytes are one number, to which is added; and who tells of it takes away
 * what it tells of. Of two that would tell one has to, or in the plain core, none: they are told of by the next one.
 */
#ifndef STETH_PENDING_H
#define STETH_PENDING_H

#include "connection.h"

#define COALESCE_BELOW 4096
#define COALESCE_BYTES (64 * 1024)
#define COALESCE_NS (10 * 1000 * 1000)

#define PENDING_CALL (1ULL << 32)
#define PENDING_CALLS(pending) ((pending) >> 32)
#define PENDING_BYTES(pending) ((__u32)(pending))

/*
 * Whether nobody else is telling of what waits with this connection. What returns what was there before is ordered on both sides, and of 5.12; without it
 * two may see each other. Where that is also not ordered, on arm64 before 6.4, what waits can be told of twice, if two come within some nanoseconds.
 */
static __always_inline bool begin_flush(struct connection *c)
{
#ifndef STETH_PLAIN
	return !__sync_fetch_and_add(&c->flushing, 1);
#else
	__sync_fetch_and_add(&c->flushing, 1);
	return *(volatile __u64 *)&c->flushing == 1;
#endif
}

static __always_inline void end_flush(struct connection *c)
{
	barrier();
#ifndef STETH_PLAIN
	/* Somebody has given way meanwhile, whose bytes may be there still. */
	if (__sync_fetch_and_add(&c->flushing, -1) > 1)
		control.sweep_wanted = 1;
#else
	__sync_fetch_and_add(&c->flushing, -1);
#endif
}

/* Puts what waits into a record of its own. */
static __always_inline void flush_pending(struct connection *c, struct scratch *s, __u8 direction)
{
	__u64 taken = 0, start = 0;
	RECORD(steth_chunk, chunk, s, pending);

	if (begin_flush(c)) {
		taken = *(volatile __u64 *)&c->pending[direction];
		start = c->pending_start[direction];
		c->pending_start[direction] = start + PENDING_BYTES(taken);
		__sync_fetch_and_add(&c->pending[direction], -taken);
	}
	end_flush(c);
	if (!taken) {
		control.sweep_wanted = 1;
		return;
	}
	chunk->kind = STETH_CHUNK;
	chunk->direction = direction;
	chunk->protocol = c->protocol;
	chunk->flags = STETH_CHUNK_COALESCED;
	chunk->tgid = c->tgid;
	chunk->connection = c->id;
	chunk->time = c->pending_until[direction];
	chunk->offset = start;
	chunk->opposite = c->offset[!direction];
	chunk->length = PENDING_BYTES(taken);
	chunk->role = c->role;
	chunk->role_source = c->role_source;
	chunk->lag_us = STETH_LAG_UNKNOWN;
	chunk->calls = PENDING_CALLS(taken);

	count(s, STETH_PENDING_CHUNKS, -PENDING_CALLS(taken));
	count(s, STETH_PENDING_BYTES, -(__u64)PENDING_BYTES(taken));
	if (emit(s, c->ring, chunk, sizeof(*chunk))) {
		count(s, STETH_DROPPED_CHUNKS, PENDING_CALLS(taken));
		count(s, STETH_DROPPED_BYTES, PENDING_BYTES(taken));
	} else {
		count(s, STETH_REPORTED_CHUNKS, PENDING_CALLS(taken));
		count(s, STETH_REPORTED_BYTES, PENDING_BYTES(taken));
	}
}

/* Lets a call wait. False: it does not follow those that do, which somebody else is about to tell of. */
static __always_inline bool add_pending(struct connection *c, struct scratch *s, __u8 direction, __u64 start, __u32 length, __u64 now)
{
	__u64 before = *(volatile __u64 *)&c->pending[direction];

	if (!before) {
		c->pending_start[direction] = start;
		c->pending_since[direction] = now;
	} else if (c->pending_start[direction] + PENDING_BYTES(before) != start) {
		return false;
	}
	c->pending_until[direction] = now;
	barrier();
	__sync_fetch_and_add(&c->pending[direction], PENDING_CALL + length);
	count(s, STETH_PENDING_CHUNKS, 1);
	count(s, STETH_PENDING_BYTES, length);
	return true;
}

#endif
