/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The core: what happens to one send, one receive, one opening and one end, wherever it was hooked. It takes a socket and
 * a result and knows nothing of its callers; a hook family is a file that calls these.
 *
 *   verdict -> connection -> position -> infer -> capture -> ring
 */
#ifndef STETH_CORE_H
#define STETH_CORE_H

#include "datagram.h"
#include "lifecycle.h"
#include "message.h"
#include "position.h"

/* A call on a socket that there is no state for. */
static __always_inline void transfer_untracked(struct sock *sk, struct scratch *s, __u32 length)
{
	if (transport_of(sk) == TRANSPORT_OTHER) {
		count(s, STETH_OTHER_CHUNKS, 1);
		count(s, STETH_OTHER_BYTES, length);
		return;
	}
	count(s, STETH_SEEN_CHUNKS, 1);
	count(s, STETH_SEEN_BYTES, length);
	count(s, STETH_MAP_FULL, 1);
	count(s, STETH_MAP_FULL_BYTES, length);
}

/* Bytes that no record is made of. */
static __always_inline void transfer_l4(struct connection *c, struct scratch *s, struct transfer *t)
{
	c->offset[t->direction & 1] = t->end;
	count(s, STETH_L4_CHUNKS, 1);
	count(s, STETH_L4_BYTES, t->length);
}

/*
 * Bytes of a connection whose analysis is switched off. Where user space has read some of it, the positions go on: they wait for the
 * next sweep, or its end.
 */
static __always_inline void transfer_unanalysed(struct connection *c, struct scratch *s, struct transfer *t)
{
	__u8 direction = t->direction & 1;
	__u64 now;

	if (c->tries == TRIES_OPAQUE || c->transport == IPPROTO_UDP || c->transport == 1 ||
	    !(c->flags & CONNECTION_ANNOUNCED)) {
		/* Its books are the kernel's, or those of count_call(). Where it is then will be looked up if it is to be read again. */
		c->flags &= ~CONNECTION_PLACED;
		count(s, STETH_L4_CHUNKS, 1);
		count(s, STETH_L4_BYTES, t->length);
		return;
	}
	now = bpf_ktime_get_ns();
	if (!add_pending(c, s, direction, c->offset[direction], t->length, now)) {
		/* Whoever is about to tell of them is done before this is needed again. Where these are, the books say. */
		count(s, STETH_L4_CHUNKS, 1);
		count(s, STETH_L4_BYTES, t->length);
	}
	c->offset[direction] += t->length;
	/* It is a number of 32 bits. */
	if (PENDING_BYTES(c->pending[direction]) >= 1u << 30)
		flush_pending(c, s, direction);
}

/* The first bytes of a direction since the other one moved. */
static __always_inline void begin_turn(struct connection *c, struct scratch *s, __u64 start, __u8 direction, bool request)
{
	if (c->pending[!direction])
		flush_pending(c, s, !direction);
	c->last_direction = direction;
	c->flags |= CONNECTION_MOVED;
	/* A client's turn begins with a frame, unless it was in the middle of one. */
	s->doubt = request && steth_is_followed(c->protocol) && (c->prefix_length[direction] || c->frame_end > start);
	if (!s->doubt) {
		c->prefix_length[direction] = 0;
		if (request)
			c->frame_end = start;
	}
	c->budget[direction] = steth_turn_budget(c->protocol, request);
	c->body_end[direction] = 0;
	if (!request && steth_has_credit(c->protocol)) {
		c->credit = steth_reply_credit(c->credit, (__u32)c->offset[!direction] - c->asked_from);
		c->budget[direction] += c->credit;
		c->asked_from = c->offset[!direction];
	}
}

/* Adds an uncopied call to those that wait for a record. False: it wants one of its own. */
static __always_inline bool coalesce(struct connection *c, struct scratch *s, struct transfer *t)
{
	__u8 direction = t->direction & 1;

	if (t->length >= COALESCE_BELOW || t->start != t->known || !add_pending(c, s, direction, t->start, t->length, t->time))
		return false;
	c->offset[direction] = t->end;
	if (PENDING_BYTES(c->pending[direction]) >= COALESCE_BYTES || t->time - c->pending_since[direction] >= COALESCE_NS)
		flush_pending(c, s, direction);
	else if (!control.sweep_wanted)
		control.sweep_wanted = 1;
	return true;
}

/* How many of the call's bytes are the end of what is not copied. */
static __always_inline __u32 passes(const struct connection *c, const struct transfer *t)
{
	__u64 end = c->body_end[t->direction & 1];

	if (end <= t->start)
		return 0;
	return end < t->end ? end - t->start : t->length;
}

/* Whether what is behind them may be wanted though the turn's budget is used up. */
static __always_inline bool may_begin(const struct connection *c, const struct transfer *t, bool request, __u32 passed)
{
	if (!request)
		return c->protocol == STETH_PROTOCOL_HTTP1;
	if (steth_shows(c->protocol))
		return true;
	return steth_is_followed(c->protocol) && (c->frame_end == t->start + passed || c->prefix_length[t->direction & 1]);
}

/*
 * What a hook knows of the bytes before it runs. So much less of this is compiled into its program, which the verifier follows for each
 * hook anew.
 */
enum bytes {
	BYTES_READABLE, /* perhaps */
	BYTES_IN_PAGES, /* without an address */
	BYTES_COUNTED,  /* on a socket that carries nothing that is analysed */
};

/* What a transfer still has to do. */
enum left { NOTHING_LEFT, RECORDS_LEFT, DATAGRAM_LEFT };

#ifdef STETH_PLAIN
OF_CONNECTION(further_record, (__u32 i), (i))
{
	struct further further = { s, c };

	return further_step(i, &further);
}
#endif

/*
 * Puts the call into records: what no hook has seen before it, the end of a body that is not copied, and the rest. In the plain core the
 * caller does the rest of it, from where more of the stack is left.
 */
static __always_inline enum left report(struct connection *c, struct scratch *s, struct transfer *t, __u8 flags, __u32 body,
				   __u32 captured)
{
	__u32 length = t->length;
#ifndef STETH_PLAIN
	struct further further = { s, c };
#endif

	s->chunk.kind = STETH_CHUNK;
	s->chunk.direction = t->direction & 1;
	s->chunk.protocol = c->protocol;
	s->chunk.role = c->role;
	s->chunk.role_source = c->role_source;
	s->chunk.tgid = c->tgid;
	s->chunk.connection = c->id;
	s->chunk.time = t->time;
	s->chunk.opposite = t->opposite;
	s->chunk.calls = 1;
	c->offset[t->direction & 1] = t->end;
	if ((__s64)(t->start - t->known) > 0) {
		/* Bytes that passed no hook: spliced out of the socket, or no program was run for them. Seen now, from the offset. */
		__u64 gap = t->start - t->known;

		s->chunk.flags = STETH_CHUNK_UNREAD | STETH_CHUNK_MISSED | flags;
		s->chunk.captured = 0;
		s->chunk.offset = t->known;
		s->chunk.length = gap > 0xffffffff ? 0xffffffff : gap;
		s->chunk.lag_us = STETH_LAG_UNKNOWN;
		count(s, STETH_SEEN_CHUNKS, 1);
		count(s, STETH_SEEN_BYTES, s->chunk.length);
		emit_chunk(s, c);
		flags &= ~STETH_CHUNK_TURN;
	}
	s->chunk.lag_us = t->lag;
	s->chunk.offset = t->start;
	if (body && captured) {
		s->chunk.flags = flags;
		s->chunk.captured = 0;
		s->chunk.length = body;
		count(s, STETH_SEEN_CHUNKS, 1);
		emit_chunk(s, c);
		flags &= ~STETH_CHUNK_TURN;
		s->chunk.offset += body;
		length -= body;
	}
	s->chunk.flags = flags;
	s->chunk.captured = captured;
	s->chunk.length = captured ? captured + s->pass : length;
	s->rest = length - s->chunk.length;
	if (!s->rest) {
		emit_chunk(s, c);
		return NOTHING_LEFT;
	}
	s->skip += s->chunk.length;
#ifndef STETH_PLAIN
	STETH_LOOP(STETH_RECORDS_MAX, further_step, &further);
	return NOTHING_LEFT;
#else
	return RECORDS_LEFT;
#endif
}

/* Of these sockets the kernel keeps no books. Several threads may use one at once. */
static __always_inline void count_call(struct connection *c, __u8 direction, __u32 length)
{
	__sync_fetch_and_add(&c->moved[direction & 1], length);
	__sync_fetch_and_add(&c->calls_of[direction & 1], 1);
}

/* Parts of what is below that need much of the stack, which the plain core's own addresses share. */
#ifdef STETH_PLAIN
OF_CONNECTION(announce_moved, (__u64 now, __u32 how), (now, how))
{
	announce((struct sock *)s->sk, c, s, now, how);
	return 0;
}

OF_CONNECTION(datagram_moved, (__u32 length, __u8 direction), (length, direction))
{
	transfer_datagram((struct sock *)s->sk, c, s, direction & 1, length);
	return 0;
}

/* Before 6.13 all calls within calls have one stack of 512 bytes: so this is called from where a transfer was, and not by it. */
static __always_inline void do_left(struct scratch *s, enum left left, __u8 direction, __u32 length)
{
	if (left == DATAGRAM_LEFT) {
		datagram_moved(c, s, length, direction);
	} else if (left == RECORDS_LEFT) {
		for (__u32 i = 0; i < STETH_RECORDS_MAX; i++)
			if (further_record(c, s, i))
				break;
	}
}
#else
#define announce_moved(c, s, now, how) announce(sk, c, s, now, how)
#define do_left(s, left, direction, length) (void)(left)
#endif

/* `length` bytes have moved between the current task and the socket. */
static __always_inline enum left transfer(struct sock *sk, struct scratch *s, __u8 direction, __u32 length, enum bytes bytes)
{
#ifdef STETH_PLAIN
	struct transfer *t = &s->transfer;
#else
	struct transfer it = {}, *t = &it;
#endif
	struct connection *c = connection_in_task(sk, s);
	__u32 captured = 0, body = 0;
	struct tcp_sock *tp = NULL;
	bool first, turn, request;
	__u8 flags = 0;

	if (!s || last_stage < STAGE_POSITION)
		return NOTHING_LEFT;
	t->length = length;
	t->direction = direction;
	t->lag = STETH_LAG_UNKNOWN;
#ifdef STETH_PLAIN
	t->behind = s->behind;
	s->sk = (__u64)sk;
#endif
	if (!c) {
		transfer_untracked(sk, s, length);
		return NOTHING_LEFT;
	}
	if (c->verdict != VERDICT_CAPTURE) {
		count(s, STETH_UNSELECTED, 1);
		c->flags &= ~CONNECTION_PLACED;
		c->flags |= CONNECTION_MOVED | CONNECTION_MISSED;
		c->last_direction = direction;
		c->arrival = 0;
		return NOTHING_LEFT;
	}
	count(s, STETH_SEEN_CHUNKS, 1);
	count(s, STETH_SEEN_BYTES, length);
	c->calls++;
	if (c->transport != IPPROTO_TCP)
		count_call(c, direction, length);
	if (c->flags & CONNECTION_L4) {
		if (bytes == BYTES_READABLE && c->transport == IPPROTO_UDP && direction == STETH_SEND &&
		    !READ(sk, __sk_common.skc_dport) && located_datagram(s))
			count_destination(c, s, length);
		transfer_unanalysed(c, s, t);
		if (c->transport == IPPROTO_UDP)
			tell_at_once(sk, c, s);
		return NOTHING_LEFT;
	}
	if (bytes == BYTES_COUNTED)
		return NOTHING_LEFT;
	if (bytes == BYTES_IN_PAGES && c->transport == IPPROTO_UDP) {
		/* A file in a datagram: whatever it is, no query. */
		count(s, STETH_L4_CHUNKS, 1);
		count(s, STETH_L4_BYTES, length);
		tell_at_once(sk, c, s);
		return NOTHING_LEFT;
	}
	if (c->transport == IPPROTO_UDP) {
#ifdef STETH_PLAIN
		return DATAGRAM_LEFT;
#else
		transfer_datagram(sk, c, s, direction, length);
		return NOTHING_LEFT;
#endif
	}
	if (c->transport == IPPROTO_TCP)
		tp = tcp_sock_of(sk);
	find_position(sk, tp, c, t);
	if (last_stage < STAGE_TIME)
		goto done;
	find_time(tp, c, t);
	if (last_stage < STAGE_LOCATE)
		goto done;
	request = is_request(c, direction);
	first = !(c->flags & CONNECTION_MOVED);
	turn = first || c->last_direction != direction;
	s->doubt = 0;
	if (turn) {
		begin_turn(c, s, t->start, direction, request);
		flags |= STETH_CHUNK_TURN;
	}
	s->start = t->start;
	s->skip = 0;
	s->copied = 0;
	if (!c->protocol) {
		if (!turn && !c->prefix_length[direction]) {
			pass_message(s, length);
			transfer_l4(c, s, t);
			return NOTHING_LEFT;
		}
		if (bytes == BYTES_READABLE && located(sk, s, t))
			captured = infer(c, s, length, direction);
		else if (control.uring != URING_SEEN)
			/* Else it may be of io_uring, which is going to be followed in a moment. */
			count_try(c, length);
		if (!captured) {
			transfer_l4(c, s, t);
			return NOTHING_LEFT;
		}
		s->pass = length - captured;
		if (c->protocol) {
			request = is_request(c, direction);
			if (turn && request)
				c->frame_end = t->start;
			captured = capture(c, s, length, direction, request);
		}
	} else {
		body = passes(c, t);
		if (body < length && (c->budget[direction] || may_begin(c, t, request, body))) {
			if (bytes == BYTES_READABLE && located(sk, s, t)) {
				if (last_stage < STAGE_COPY)
					goto done;
				s->skip = body;
				captured = capture(c, s, length, direction, request);
				if (!captured && c->budget[direction])
					flags |= STETH_CHUNK_UNREAD;
			} else {
				flags |= STETH_CHUNK_UNREAD;
				c->prefix_length[direction] = 0;
			}
		} else {
			pass_message(s, length);
		}
	}
	if (request && captured < length)
		c->asked_from += length - captured;
	if (!captured && !turn && coalesce(c, s, t))
		return NOTHING_LEFT;
	if (c->pending[direction])
		flush_pending(c, s, direction);
	if (!(c->flags & CONNECTION_ANNOUNCED))
		announce_moved(c, s, t->time, first && is_joined(c, t->time) ? ANNOUNCE_JOINED : ANNOUNCE_FRESH);
	if (last_stage < STAGE_EMIT)
		goto done;
	return report(c, s, t, flags, body, captured);
done:
	c->offset[direction] = t->end;
	return NOTHING_LEFT;
}

/* A sendmsg has returned. */
static __always_inline void on_send(struct sock *sk, struct scratch *s, int result, enum bytes bytes)
{
	if (result > 0)
		do_left(s, transfer(sk, s, STETH_SEND, result, bytes), STETH_SEND, result);
	else
		pass_message(s, result);
}

/*
 * Whether a recvmsg that has returned took bytes of the stream. A peek takes nothing; the error queue holds no data of the stream. The
 * end of the stream is told of here.
 */
static __always_inline bool takes(struct sock *sk, struct scratch *s, int result, int flags)
{
	struct connection *c;

	if (flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB)) {
		if (s && result > 0)
			count(s, STETH_PEEKS, 1);
		pass_message(s, result);
		return false;
	}
	if (result > 0)
		return true;
	pass_message(s, result);
	if (result == 0 && READ(sk, __sk_common.skc_family) == AF_UNIX && READ(sk, sk_type) == SOCK_STREAM) {
		/* End of file: no state hook tells it for these sockets. A read of zero bytes looks alike, and is rare. */
		c = connection_of(sk);
		if (c && s && (c->flags & CONNECTION_ANNOUNCED) && !c->end[STETH_RECEIVE]) {
			end_direction(c, STETH_RECEIVE, c->offset[STETH_RECEIVE]);
			emit_shutdown(c, s, STETH_RECEIVE, bpf_ktime_get_ns());
		}
		/* The other end is not only shut but gone: nothing will move here any more, and its own books nobody can tell. */
		if (c && s && c->id && READ(sk, sk_shutdown) == SHUTDOWN_MASK)
			on_close(sk, s, false, true);
	}
	return false;
}

/* With MSG_TRUNC, TCP throws away what it would have copied: what stands in the caller's buffer is something else. */
static __always_inline enum bytes received(struct sock *sk, int flags, enum bytes bytes)
{
	if (bytes == BYTES_READABLE && flags & MSG_TRUNC && READ(sk, sk_protocol) == IPPROTO_TCP)
		return BYTES_IN_PAGES;
	return bytes;
}

/* A recvmsg has returned. */
static __always_inline void on_receive(struct sock *sk, struct scratch *s, int result, int flags, enum bytes bytes)
{
	if (takes(sk, s, result, flags))
		do_left(s, transfer(sk, s, STETH_RECEIVE, result, received(sk, flags, bytes)), STETH_RECEIVE, result);
}

/*
 * The reading task takes a segment off the queue, before the receive ends and refreshes the socket's clock. The socket is locked: no
 * other segment comes meanwhile.
 */
static __always_inline void on_arrival(struct sock *sk)
{
	struct connection *c = connection_of(sk);
	struct tcp_sock *tp;

	if (!c || (c->arrival && !(c->arrival & ARRIVAL_PAST)) || c->flags & CONNECTION_L4 || c->verdict != VERDICT_CAPTURE)
		return;
	tp = tcp_sock_of(sk);
	if (tp)
		find_arrival(tp, c);
}

/* Whether the hooks of sockets do anything by now. */
static __always_inline bool sockets_wanted(void)
{
	return last_stage > STAGE_HOOK && control.attached;
}

#endif
