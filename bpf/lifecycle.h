/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The core, second half: how a connection begins and ends, and the sweep that finds what no event has told.
 */
#ifndef STETH_LIFECYCLE_H
#define STETH_LIFECYCLE_H

#include "connection.h"

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
		emit(s, c->ring, &shutdown, sizeof(shutdown));
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
	} else {
		/* When it began to connect, its own port and its route were not known. */
		c->epoch = 0;
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
		end_direction(c, direction, extend(c->offset[direction], direction == STETH_SEND ? tp->write_seq : tp->rcv_nxt - 1));
	else
		end_direction(c, direction, c->offset[direction]);
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
		c->tries = *demotion == 1 ? TRIES_OPAQUE : 0;
		if (*demotion == 1)
			c->flags |= CONNECTION_L4;
		bpf_map_delete_elem(&demoted, &id);
	}
	emit_books(sk, c, s, STETH_PROGRESS, c->offset[STETH_SEND], c->offset[STETH_RECEIVE], now);
}

#endif
