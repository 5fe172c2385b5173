/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The core: what happens to one send, one receive, one opening and one end, wherever it was hooked. It takes a socket and
 * a result and knows nothing of its callers; a hook family is a file that calls these.
 *
 *   verdict -> connection -> position -> infer -> capture -> ring
 */
#ifndef STETH_CORE_H
#define STETH_CORE_H

#include "capture.h"
#include "connection.h"
#include "policy.h"

#define TRIES_MAX 8
/* Uncopied chunks below this size are put together, so that a caller that moves a byte a time costs a counter. */
#define COALESCE_BELOW 4096
#define COALESCE_BYTES (64 * 1024)
#define COALESCE_NS (10 * 1000 * 1000)

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
	__builtin_memcpy(s->walk.b, s->data, STETH_PREFIX);
	s->walk.n = length;
	if (STETH_GUESS(steth_infer(&s->walk, 1u << protocol)) == STETH_GUESS_IS)
		s->requests.requests = 1;
	STETH_LOOP(DATA_MAX, request_step, &s);
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
		c->budget[0] = c->budget[1] = steth_turn_budget(c->protocol, true);
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
		budget = steth_turn_budget(c->protocol, request);
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
		__u16 family = sk->__sk_common.skc_family;

		if (family == AF_INET || family == AF_INET6 || family == AF_UNIX) {
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
		c->budget[direction] = steth_turn_budget(c->protocol, true);
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

static __always_inline void emit_shutdown(struct connection *c, struct scratch *s, __u8 direction, __u64 now)
{
	struct steth_shutdown shutdown = {
		.kind = STETH_SHUTDOWN,
		.direction = direction,
		.connection = c->id,
		.time = now,
		.offset = c->end[direction],
	};

	if (c->pending_calls[direction])
		flush_pending(c, s, direction);
	if (c->flags & CONNECTION_ANNOUNCED)
		emit(s, &shutdown, sizeof(shutdown));
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

/* A connect was issued, in the connecting task. */
static __always_inline void on_connect(struct sock *sk)
{
	struct connection *c = connection_new(sk, current_tgid());

	if (!c)
		return;
	c->role = STETH_ROLE_CLIENT;
	c->role_source = STETH_ROLE_STATE;
	c->connect_started = bpf_ktime_get_ns();
}

/* The handshake is done. Passive opens happen in a softirq: the task is not known yet. */
static __always_inline void on_established(struct sock *sk, bool passive)
{
	struct connection *c = passive ? connection_new(sk, 0) : bpf_sk_storage_get(&connections, sk, 0, 0);
	struct tcp_sock *tp;

	if (!c)
		return;
	c->established = bpf_ktime_get_ns();
	if (passive) {
		c->role = STETH_ROLE_SERVER;
		c->role_source = STETH_ROLE_STATE;
	}
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp)
		place(c, tp);
}

/* One direction has ended. Before tcp_send_fin() write_seq does not count the FIN; in tcp_fin() rcv_nxt does. */
static __always_inline void on_fin(struct sock *sk, __u8 direction)
{
	struct connection *c = bpf_sk_storage_get(&connections, sk, 0, 0);
	struct scratch *s = scratch_of(IN_SOFTIRQ);
	struct tcp_sock *tp;

	/* A close() behind a shutdown() sets the same state once more. */
	if (!c || !s || !(c->flags & CONNECTION_PLACED) || c->end[direction])
		return;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return;
	c->close_flags |= direction == STETH_SEND ? STETH_CLOSE_FIN_SENT : STETH_CLOSE_FIN_RECEIVED;
	if (!tp->inet_conn.icsk_ulp_ops)
		c->end[direction] = extend(c->offset[direction], direction == STETH_SEND ? tp->write_seq : tp->rcv_nxt - 1);
	else
		c->end[direction] = c->offset[direction];
	if (c->flags & CONNECTION_L4)
		return;
	/* The client's own FIN behind the server's says nothing that the close will not say at once. */
	if (direction == STETH_SEND && c->role == STETH_ROLE_CLIENT && c->end[STETH_RECEIVE])
		return;
	emit_shutdown(c, s, direction, bpf_ktime_get_ns());
}

/* The connection is over. `abort`: it did not end with FINs. */
static __always_inline void on_close(struct sock *sk, bool abort, bool final)
{
	struct connection *c = bpf_sk_storage_get(&connections, sk, 0, 0);
	struct scratch *s = scratch_of(IN_SOFTIRQ);
	__u64 sent, received;
	struct tcp_sock *tp;
	int error;

	if (!c || !s || !(c->flags & CONNECTION_ANNOUNCED))
		return;
	sent = c->offset[STETH_SEND];
	received = c->offset[STETH_RECEIVE];
	/*
	 * Both FINs are through: the application may still read what waits in the queue, or be in the middle of it, so the end
	 * comes with the socket's.
	 */
	if (c->flags & CONNECTION_CLOSED || (!final && !abort))
		return;
	tp = bpf_skc_to_tcp_sock(sk);
	if (abort && tp && c->flags & CONNECTION_PLACED && !tp->inet_conn.icsk_ulp_ops) {
		/* A call in progress on another CPU has moved bytes that its hook will tell of in a moment. */
		sent = extend(c->offset[STETH_SEND], tp->write_seq);
		if (c->end[STETH_SEND] && sent > c->end[STETH_SEND])
			sent = c->end[STETH_SEND];
		received = extend(c->offset[STETH_RECEIVE], tp->copied_seq);
		if (c->end[STETH_RECEIVE] && received > c->end[STETH_RECEIVE])
			received = c->end[STETH_RECEIVE];
	}
	error = sk->sk_err;
	if (error == ETIMEDOUT)
		c->close_flags |= STETH_CLOSE_TIMED_OUT;
	else if (error == ECONNREFUSED)
		c->close_flags |= STETH_CLOSE_REFUSED;
	else if (abort && !(c->close_flags & STETH_CLOSE_RESET_BY_PEER))
		c->close_flags |= STETH_CLOSE_RESET_BY_US;
	if (c->pending_calls[STETH_SEND])
		flush_pending(c, s, STETH_SEND);
	if (c->pending_calls[STETH_RECEIVE])
		flush_pending(c, s, STETH_RECEIVE);
	emit_books(sk, c, s, STETH_CLOSE, sent, received, bpf_ktime_get_ns());
	c->flags |= CONNECTION_CLOSED;
}

static __always_inline void on_reset_by_peer(struct sock *sk)
{
	struct connection *c = bpf_sk_storage_get(&connections, sk, 0, 0);

	if (c)
		c->close_flags |= STETH_CLOSE_RESET_BY_PEER;
}

/* Once a window, or sooner when bytes were coalesced: what no event has told since. */
static __always_inline void on_sweep(struct sock *sk, struct connection *c)
{
	struct scratch *s = scratch_of(IN_SOFTIRQ);
	__u64 now = bpf_ktime_get_ns(), id = c->id;
	__u32 *demotion;

	if (!s || !(c->flags & CONNECTION_ANNOUNCED))
		return;
	for (__u8 direction = 0; direction < 2; direction++)
		if (c->pending_calls[direction] && now - c->pending_until[direction] > 2 * COALESCE_NS)
			flush_pending(c, s, direction);
	demotion = bpf_map_lookup_elem(&demoted, &id);
	if (demotion) {
		c->protocol = STETH_PROTOCOL_UNKNOWN;
		c->tries = 0;
		if (*demotion == 1)
			c->flags |= CONNECTION_L4;
		bpf_map_delete_elem(&demoted, &id);
	}
	emit_books(sk, c, s, STETH_PROGRESS, c->offset[STETH_SEND], c->offset[STETH_RECEIVE], now);
}

#endif
