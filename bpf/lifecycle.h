/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The core, second half: how a connection begins and ends, and the sweep that finds what no event has told.
 */
#ifndef STETH_LIFECYCLE_H
#define STETH_LIFECYCLE_H

#include "books.h"

static __always_inline void emit_shutdown(struct connection *c, struct scratch *s, __u8 direction, __u64 now)
{
	if (c->pending[direction])
		flush_pending(c, s, direction);
	if (c->flags & CONNECTION_ANNOUNCED) {
		RECORD(steth_shutdown, shutdown, s, ending);

		shutdown->kind = STETH_SHUTDOWN;
		shutdown->direction = direction;
		shutdown->connection = c->id;
		shutdown->time = now;
		shutdown->offset = c->end[direction];
		emit(s, c->ring, shutdown, sizeof(*shutdown));
	}
}

/*
 * The handshake is done. Passive opens happen in a softirq, where the task is not known: whoever listens has it until somebody
 * uses it.
 */
static __always_inline void on_established(struct sock *sk, struct scratch *s, bool passive)
{
	struct connection *c = connection_of(sk);
	struct tcp_sock *tp;

	if (passive) {
		__u32 tgid = listener_of(sk, c);

		c = connection_new(sk, s, tgid);
	}
	if (!c)
		return;
	c->established = bpf_ktime_get_ns();
	if (passive) {
		c->role = STETH_ROLE_SERVER;
		c->role_source = STETH_ROLE_STATE;
	}
	/* When it began to connect, its own port and its route were not known. */
	judge_socket(c, sk, c->tgid);
	tp = tcp_sock_of(sk);
	if (tp) {
		place(c, tp);
		c->began[STETH_SEND] = READ(tp, write_seq);
		c->began[STETH_RECEIVE] = READ(tp, copied_seq);
		c->told |= TOLD_BEGAN;
	}
}

/* One direction has ended. Before tcp_send_fin() write_seq does not count the FIN; in tcp_fin() rcv_nxt does. */
static __always_inline void on_fin(struct sock *sk, struct scratch *s, __u8 direction)
{
	struct connection *c = connection_of(sk);
	struct tcp_sock *tp;

	if (!c || !c->id)
		return;
	c->close_flags |= direction == STETH_SEND ? STETH_CLOSE_FIN_SENT : STETH_CLOSE_FIN_RECEIVED;
	/* A close() behind a shutdown() sets the same state once more. */
	if (!(c->flags & CONNECTION_PLACED) || c->end[direction])
		return;
	tp = tcp_sock_of(sk);
	if (!tp)
		return;
	if (!BPF_CORE_READ(tp, inet_conn.icsk_ulp_ops))
		end_direction(c, direction, extend(c->offset[direction], direction == STETH_SEND ? READ(tp, write_seq) : READ(tp, rcv_nxt) - 1));
	else
		end_direction(c, direction, c->offset[direction]);
	if (c->flags & CONNECTION_L4 || !s)
		return;
	/* The client's own FIN behind the server's says nothing that the close will not say at once. */
	if (direction == STETH_SEND && c->role == STETH_ROLE_CLIENT && c->end[STETH_RECEIVE])
		return;
	emit_shutdown(c, s, direction, bpf_ktime_get_ns());
}

/*
 * Its owner has closed it, the FIN is on its way, and data still comes: nobody will read it, so the kernel answers with a reset
 * (tcp_rcv_state_process()). It does so after the socket's end, or through tcp_reset(), as if the peer had sent one.
 */
static __always_inline bool was_reset_late(struct sock *sk, struct tcp_sock *tp, struct connection *c)
{
	return c->told & TOLD_SHUT && !(READ(sk, __sk_common.skc_flags) >> SOCK_DONE & 1) && READ(tp, data_segs_in) != c->shut_at;
}

/* Its owner will read no more. A close() behind a shutdown() sets the state that there is once more. */
static __always_inline void on_shut(struct sock *sk)
{
	struct connection *c = connection_of(sk);
	struct tcp_sock *tp = tcp_sock_of(sk);

	if (!c || !tp || !c->id || c->told & TOLD_SHUT || !(READ(sk, sk_shutdown) & RCV_SHUTDOWN))
		return;
	c->shut_at = READ(tp, data_segs_in);
	c->told |= TOLD_SHUT;
}

/*
 * Nobody answers any more. Where a router or the neighbourhood has said why, the kernel gives up with that in place of ETIMEDOUT
 * (tcp_write_err()).
 */
static __always_inline bool is_way_lost(int error)
{
	return error == EHOSTUNREACH || error == ENETUNREACH || error == EHOSTDOWN || error == ENETDOWN;
}

/* The connection is over. `abort`: it did not end with FINs. */
static __always_inline void on_close(struct sock *sk, struct scratch *s, bool abort, bool final)
{
	struct connection *c = connection_of(sk);
	struct books_at at = { .kind = STETH_CLOSE };
	struct tcp_sock *tp;
	bool connecting;
	int error;

	if (!c || !s || !c->id)
		return;
	at.sent = c->offset[STETH_SEND];
	at.received = c->offset[STETH_RECEIVE];
	/*
	 * Both FINs are through: the application may still read what waits in the queue, or be in the middle of it, so the end
	 * comes with the socket's.
	 */
	if (c->flags & CONNECTION_CLOSED || (!final && !abort))
		return;
	at.time = bpf_ktime_get_ns();
	if (!tell(sk, c, s, at.time))
		return;
	tp = tcp_sock_of(sk);
	if (abort && tp && c->flags & CONNECTION_PLACED && !BPF_CORE_READ(tp, inet_conn.icsk_ulp_ops)) {
		/* A call in progress on another CPU has moved bytes that its hook will tell of in a moment. */
		at.sent = extend(c->offset[STETH_SEND], READ(tp, write_seq));
		if (c->end[STETH_SEND] && at.sent > c->end[STETH_SEND])
			at.sent = c->end[STETH_SEND];
		at.received = extend(c->offset[STETH_RECEIVE], READ(tp, copied_seq));
		if (c->end[STETH_RECEIVE] && at.received > c->end[STETH_RECEIVE])
			at.received = c->end[STETH_RECEIVE];
	}
	error = READ(sk, sk_err);
	connecting = c->connect_started && !c->established;
	if (final && tp && was_reset_late(sk, tp, c))
		c->close_flags = (c->close_flags & ~STETH_CLOSE_RESET_BY_PEER) | STETH_CLOSE_RESET_BY_US;
	if (error == ETIMEDOUT || (!connecting && is_way_lost(error)))
		c->close_flags |= STETH_CLOSE_TIMED_OUT;
	else if (error == ECONNREFUSED)
		c->close_flags |= STETH_CLOSE_REFUSED;
	else if (abort && !connecting && !(c->close_flags & STETH_CLOSE_RESET_BY_PEER))
		c->close_flags |= STETH_CLOSE_RESET_BY_US;
	if (c->pending[STETH_SEND])
		flush_pending(c, s, STETH_SEND);
	if (c->pending[STETH_RECEIVE])
		flush_pending(c, s, STETH_RECEIVE);
	emit_books(sk, c, s, &at);
	c->flags |= CONNECTION_CLOSED;
}

/* A connect was issued, in the connecting task. */
static __always_inline void on_connect(struct sock *sk, struct scratch *s)
{
	struct connection *c = connection_of(sk);

	/* A socket may be used again after a connection that failed, or was undone. */
	if (c) {
		on_close(sk, s, false, true);
		connection_forget(sk);
	}
	c = connection_new(sk, s, current_tgid());
	if (!c)
		return;
	c->role = STETH_ROLE_CLIENT;
	c->role_source = STETH_ROLE_STATE;
	c->connect_started = bpf_ktime_get_ns();
}

/* accept() has returned it, or is about to. */
static __always_inline void accepted(struct connection *c)
{
	if (c->id && c->established && !c->accepted && c->role == STETH_ROLE_SERVER && !c->calls)
		c->accepted = bpf_ktime_get_ns();
}

static __always_inline void on_reset_by_peer(struct sock *sk)
{
	struct connection *c = connection_of(sk);

	if (c)
		c->close_flags |= STETH_CLOSE_RESET_BY_PEER;
}

/* Whether there is anything in its books. */
static __always_inline bool has_books(struct sock *sk, struct connection *c)
{
	__u8 state = READ(sk, __sk_common.skc_state);

	if (c->transport != IPPROTO_TCP)
		return c->calls_of[STETH_SEND] || c->calls_of[STETH_RECEIVE];
	/* One that is being connected is told of at the end of that. */
	return state != TCP_CLOSE && state != TCP_SYN_SENT && state != TCP_SYN_RECV && state != TCP_LISTEN;
}

/* What no event of a socket has told since. */
static __always_inline void sweep_socket(struct sock *sk, struct connection *c, struct scratch *s)
{
	__u64 now = bpf_ktime_get_ns(), id = c->id;
	struct books_at at = { .kind = STETH_PROGRESS, .time = now };
	__u32 *demotion;

	if (c->told & TOLD_LISTENER) {
		/* A copy is a connection that is about to begin. */
		if (control.sweep_books && READ(sk, __sk_common.skc_state) == TCP_LISTEN)
			emit_listen(sk, c, s, STETH_LISTEN_GOES_ON);
		return;
	}
	if (!id || c->flags & CONNECTION_CLOSED)
		return;
	for (__u8 direction = 0; direction < 2; direction++)
		if (c->pending[direction] && now - c->pending_until[direction] > 2 * COALESCE_NS)
			flush_pending(c, s, direction);
	demotion = bpf_map_lookup_elem(&demoted, &id);
	if (demotion) {
		c->protocol = STETH_PROTOCOL_UNKNOWN;
		c->tries = *demotion == 1 ? TRIES_OPAQUE : 0;
		if (*demotion == 1)
			c->flags |= CONNECTION_L4;
		bpf_map_delete_elem(&demoted, &id);
	}
	if (control.sweep_books)
		give_tries_back(c);
	if (!control.sweep_books || (!(c->flags & CONNECTION_ANNOUNCED) && !has_books(sk, c)) || !tell(sk, c, s, now))
		return;
	at.sent = c->offset[STETH_SEND];
	at.received = c->offset[STETH_RECEIVE];
	emit_books(sk, c, s, &at);
}

/* Once a window, or sooner when bytes were coalesced (then without books). Whoever is passed over is looked at the next time. */
static __always_inline void on_sweep(struct sock *sk, struct connection *c)
{
	struct scratch *s = scratch_taken(IN_BETWEEN);

	if (!s) {
		run_crowded();
		return;
	}
	sweep_socket(sk, c, s);
	scratch_leave(s);
}

/* An open socket of a process, of which nothing was seen so far. */
static __always_inline void visit_socket(struct sock *sk, struct scratch *s, __u32 tgid)
{
	struct connection *c = connection_of(sk);
	__u8 state = READ(sk, __sk_common.skc_state);
	struct books_at at = { .kind = STETH_PROGRESS };

	if (tgid == self_tgid || transport_of(sk) != IPPROTO_TCP || state == TCP_CLOSE)
		return;
	if (c && (c->id || c->told & TOLD_LISTENER))
		return;
	if (state == TCP_LISTEN) {
		on_listen(sk, s, tgid);
		return;
	}
	c = connection_new(sk, s, tgid);
	if (!c)
		return;
	if (state == TCP_SYN_SENT) {
		c->role = STETH_ROLE_CLIENT;
		c->role_source = STETH_ROLE_STATE;
		return;
	}
	/* What it had sent and seen of FINs before. */
	if (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT && state != TCP_SYN_RECV)
		c->close_flags |= STETH_CLOSE_FIN_SENT;
	if (state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK || state == TCP_CLOSING)
		c->close_flags |= STETH_CLOSE_FIN_RECEIVED;
	at.time = bpf_ktime_get_ns();
	if (tell(sk, c, s, at.time))
		emit_books(sk, c, s, &at);
}

/*
 * At the start. Where several processes have a socket, the first that is visited counts until another one uses it. What the books say now is
 * what later ones are compared with.
 */
static __always_inline void on_visit(struct sock *sk, __u32 tgid)
{
	struct scratch *s = scratch_taken(IN_BETWEEN);

	if (!s) {
		run_crowded();
		return;
	}
	visit_socket(sk, s, tgid);
	scratch_leave(s);
}

#endif
