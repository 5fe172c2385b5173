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

/* `length` bytes have moved between the current task and the socket. */
static __always_inline void transfer(struct sock *sk, __u8 direction, __u32 length)
{
	struct scratch *s = scratch_of(IN_TASK);
	struct connection *c = connection_in_task(sk);
	__u64 now, end, start, known, opposite, arrival, departed;
	__u8 other = !direction, flags = 0;
	__u32 captured = 0, body = 0, lag = STETH_LAG_UNKNOWN;
	struct tcp_sock *tp = NULL;
	bool turn, request;

	if (!s)
		return;
	if (!c) {
		if (transport_of(sk) == TRANSPORT_OTHER) {
			count(s, STETH_OTHER_CHUNKS, 1);
			count(s, STETH_OTHER_BYTES, length);
		} else {
			count(s, STETH_SEEN_CHUNKS, 1);
			count(s, STETH_SEEN_BYTES, length);
			count(s, STETH_MAP_FULL, 1);
			count(s, STETH_MAP_FULL_BYTES, length);
		}
		return;
	}
	if (c->verdict != VERDICT_CAPTURE) {
		count(s, STETH_UNSELECTED, 1);
		c->flags &= ~CONNECTION_PLACED;
		c->arrival = 0;
		return;
	}
	count(s, STETH_SEEN_CHUNKS, 1);
	count(s, STETH_SEEN_BYTES, length);
	c->calls++;
	if (c->flags & CONNECTION_L4) {
		count(s, STETH_L4_CHUNKS, 1);
		count(s, STETH_L4_BYTES, length);
		return;
	}

	if (c->transport == IPPROTO_UDP) {
		transfer_datagram(sk, c, s, direction, length);
		return;
	}

	/* Position. A TLS layer in the kernel makes the sequence numbers count its records: count by ourselves then. */
	known = *(volatile __u64 *)&c->offset[direction];
	opposite = *(volatile __u64 *)&c->offset[other];
	if (c->transport == IPPROTO_TCP) {
		tp = bpf_skc_to_tcp_sock(sk);
		if (tp && !tp->inet_conn.icsk_ulp_ops) {
			__u32 own = direction == STETH_SEND ? tp->write_seq : tp->copied_seq;
			__u32 others = direction == STETH_SEND ? tp->copied_seq : tp->write_seq;

			if (!(c->flags & CONNECTION_PLACED)) {
				place(c, tp);
				opposite = c->offset[other];
				known = c->offset[direction] - length;
				c->offset[direction] = known;
			}
			end = extend(known, own);
			/*
			 * A FIN takes a number too, and a receive that reaches it takes it along. Where this end had sent its own FIN
			 * before, no state tells of it: the socket's flag does.
			 */
			if (direction == STETH_RECEIVE && end - length != known && !c->end[STETH_RECEIVE] &&
			    sk->sk_shutdown & RCV_SHUTDOWN)
				c->end[STETH_RECEIVE] = extend(known, tp->rcv_nxt - 1);
			if (c->end[direction] && end > c->end[direction])
				end = c->end[direction];
			opposite = extend(opposite, others);
			if (c->end[other] && opposite > c->end[other])
				opposite = c->end[other];
		} else {
			end = known + length;
		}
	} else {
		end = known + length;
	}
	start = end - length;

	/* Time: when the bytes left, or when the application had them. */
	if (direction == STETH_SEND) {
		departed = tp ? tp->tcp_wstamp_ns : 0;
		if (departed > c->departed && !sk->sk_pacing_status) {
			now = departed;
		} else {
			now = bpf_ktime_get_ns();
			if (departed > c->departed && departed <= now) {
				lag = (now - departed) / 1000;
				now = departed;
			}
		}
		c->departed = departed;
	} else {
		now = bpf_ktime_get_ns();
		arrival = c->arrival;
		if (arrival && arrival <= now && now - arrival < 0xfffffffeull * 1000)
			lag = (now - arrival) / 1000;
		c->arrival = 0;
	}

	turn = !(c->flags & CONNECTION_MOVED) || c->last_direction != direction;
	if (turn) {
		if (c->pending_calls[other])
			flush_pending(c, s, other);
		c->last_direction = direction;
		c->flags |= CONNECTION_MOVED;
		c->prefix_length[direction] = 0;
		c->budget[direction] = steth_turn_budget(c->protocol);
		c->body_end[direction] = 0;
		flags |= STETH_CHUNK_TURN;
	}

	/* Payload. */
	if (!c->protocol) {
		if (!turn && !c->prefix_length[direction]) {
			c->offset[direction] = end;
			count(s, STETH_L4_CHUNKS, 1);
			count(s, STETH_L4_BYTES, length);
			return;
		}
		if (locate(s))
			captured = infer(c, s, length, direction);
		else if (++c->tries >= TRIES_MAX)
			c->flags |= CONNECTION_L4;
		if (!captured) {
			c->offset[direction] = end;
			count(s, STETH_L4_CHUNKS, 1);
			count(s, STETH_L4_BYTES, length);
			return;
		}
		if (c->protocol) {
			request = (c->role == STETH_ROLE_CLIENT) == (direction == STETH_SEND);
			s->start = start;
			s->skip = 0;
			captured = capture(c, s, length, direction, request);
		}
	} else {
		request = (c->role == STETH_ROLE_CLIENT) == (direction == STETH_SEND);
		if (start < c->body_end[direction])
			body = c->body_end[direction] < end ? c->body_end[direction] - start : length;
		if (body < length && (c->budget[direction] || (!request && c->protocol == STETH_PROTOCOL_HTTP1))) {
			if (locate(s)) {
				s->start = start;
				s->skip = body;
				captured = capture(c, s, length, direction, request);
				if (!captured && c->budget[direction])
					flags |= STETH_CHUNK_UNREAD;
			} else {
				flags |= STETH_CHUNK_UNREAD;
			}
		}
		if (!captured && !turn && length < COALESCE_BELOW && start == known) {
			if (!c->pending_calls[direction])
				c->pending_since[direction] = now;
			c->pending_until[direction] = now;
			c->pending_calls[direction]++;
			c->pending_bytes[direction] += length;
			c->offset[direction] = end;
			count(s, STETH_PENDING_CHUNKS, 1);
			count(s, STETH_PENDING_BYTES, length);
			if (c->pending_bytes[direction] >= COALESCE_BYTES ||
			    now - c->pending_since[direction] >= COALESCE_NS)
				flush_pending(c, s, direction);
			else if (!control.sweep_wanted)
				control.sweep_wanted = 1;
			return;
		}
	}
	if (c->pending_calls[direction])
		flush_pending(c, s, direction);
	if (!(c->flags & CONNECTION_ANNOUNCED))
		announce(sk, c, s, now);

	s->chunk.kind = STETH_CHUNK;
	s->chunk.direction = direction;
	s->chunk.protocol = c->protocol;
	s->chunk.role = c->role;
	s->chunk.role_source = c->role_source;
	s->chunk.tgid = c->tgid;
	s->chunk.connection = c->id;
	s->chunk.time = now;
	s->chunk.opposite = opposite;
	s->chunk.calls = 1;
	c->offset[direction] = end;
	if ((__s64)(start - known) > 0) {
		/* Bytes that passed no hook: spliced out of the socket. Seen now, from the offset. */
		__u64 gap = start - known;

		s->chunk.flags = STETH_CHUNK_UNREAD | flags;
		s->chunk.captured = 0;
		s->chunk.offset = known;
		s->chunk.length = gap > 0xffffffff ? 0xffffffff : gap;
		s->chunk.lag_us = STETH_LAG_UNKNOWN;
		count(s, STETH_SEEN_CHUNKS, 1);
		count(s, STETH_SEEN_BYTES, s->chunk.length);
		emit_chunk(s, c);
		flags &= ~STETH_CHUNK_TURN;
	}
	s->chunk.lag_us = lag;
	if (body && captured) {
		/* The end of a body, not copied, with another message behind it: a record for each. */
		s->chunk.flags = flags;
		s->chunk.captured = 0;
		s->chunk.offset = start;
		s->chunk.length = body;
		count(s, STETH_SEEN_CHUNKS, 1);
		emit_chunk(s, c);
		flags &= ~STETH_CHUNK_TURN;
		start += body;
		length -= body;
	}
	s->chunk.flags = flags;
	s->chunk.captured = captured;
	s->chunk.offset = start;
	s->chunk.length = length;
	emit_chunk(s, c);
}

/* A sendmsg has returned. */
static __always_inline void on_send(struct sock *sk, int result)
{
	if (result > 0)
		transfer(sk, STETH_SEND, result);
}

/* A recvmsg has returned. A peek takes nothing; the error queue holds no data of the stream. */
static __always_inline void on_receive(struct sock *sk, int result, int flags)
{
	struct connection *c;
	struct scratch *s;

	if (flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB)) {
		s = scratch_of(IN_TASK);
		if (s && result > 0)
			count(s, STETH_PEEKS, 1);
		return;
	}
	if (result > 0) {
		transfer(sk, STETH_RECEIVE, result);
		return;
	}
	if (result == 0 && sk->__sk_common.skc_family == AF_UNIX && sk->sk_type == SOCK_STREAM) {
		/* End of file: no state hook tells it for these sockets. A read of zero bytes looks alike, and is rare. */
		c = bpf_sk_storage_get(&connections, sk, 0, 0);
		s = scratch_of(IN_TASK);
		if (c && s && (c->flags & CONNECTION_ANNOUNCED) && !c->end[STETH_RECEIVE]) {
			c->end[STETH_RECEIVE] = c->offset[STETH_RECEIVE];
			emit_shutdown(c, s, STETH_RECEIVE, bpf_ktime_get_ns());
		}
	}
}

/* The reading task takes a segment off the queue, before the receive ends and refreshes the socket's clock. */
static __always_inline void on_arrival(struct sock *sk)
{
	struct connection *c = bpf_sk_storage_get(&connections, sk, 0, 0);
	struct tcp_sock *tp;

	if (!c || c->arrival || c->flags & CONNECTION_L4 || c->verdict != VERDICT_CAPTURE)
		return;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp)
		c->arrival = tp->tcp_mstamp * 1000;
}

#endif
