/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The kernel's own books of a socket, read where it changes its state, at its end and at a sweep: nothing here runs for a packet or a
 * transfer. docs/l4.md says what each figure means.
 */
#ifndef STETH_BOOKS_H
#define STETH_BOOKS_H

#include "pending.h"

/* What emit_books() is asked for. */
struct books_at {
	__u64 sent;
	__u64 received;
	__u64 time;
	__u8 kind;
};

/* How long a chronograph has run, the one that is running included (tcp_get_info_chrono_stats()). */
static __always_inline __u64 chronograph(struct tcp_sock *tp, __u32 running, __u32 now, __u32 which)
{
	__u64 jiffies = READ(tp, chrono_stat[which - 1]);

	if (running == which)
		jiffies += now - READ(tp, chrono_start);
	return jiffies_per_second ? jiffies * 1000000 / jiffies_per_second : 0;
}

/* Congestion window and state, as struct steth_books has them. */
static __always_inline __u32 congestion(struct tcp_sock *tp)
{
	struct inet_connection_sock *icsk = &tp->inet_conn;
	__u32 window = READ(tp, snd_cwnd), state = READ_BITS(icsk, icsk_ca_state);

	return (window < 0xffffff ? window : 0xffffff) | (state + 1) << 24;
}

/*
 * `counted`: a 64-bit count of the kernel's, which may be off by what a SYN or a FIN counts, and by what a softirq moves while it is
 * read. `number`: the sequence number of the next byte, which is exact in its 32 bits.
 */
static __always_inline __u64 bytes_until(struct connection *c, __u8 direction, __u32 number, __u64 counted)
{
	if (!(c->told & TOLD_BEGAN))
		c->began[direction] = number - (__u32)counted;
	return counted + (__s32)(number - c->began[direction] - (__u32)counted);
}

/* Bytes that the application has moved. A FIN takes a number too: tcp_send_fin(), tcp_fin(). */
static __always_inline void count_bytes(struct sock *sk, struct tcp_sock *tp, struct connection *c, struct steth_books *books)
{
	__u32 written = READ(tp, write_seq), acked = READ(tp, snd_una), read = READ(tp, copied_seq), arrived = READ(tp, rcv_nxt);
	bool done = READ(sk, __sk_common.skc_flags) >> SOCK_DONE & 1;
	__u64 sent = READ(tp, bytes_acked) + (__u32)(written - acked), received = READ(tp, bytes_received) - (__u32)(arrived - read);

	if (c->close_flags & STETH_CLOSE_FIN_SENT)
		written--;
	if (done && read == arrived)
		read--;
	books->unacked = (__s32)(written - acked) > 0 ? written - acked : 0;
	books->unread = arrived - read - done;
	books->bytes_sent = bytes_until(c, STETH_SEND, written, sent);
	books->bytes_received = bytes_until(c, STETH_RECEIVE, read, received);
	c->told |= TOLD_BEGAN;
	/* A SYN or a FIN may be among them. */
	books->bytes_acked = books->bytes_sent > books->unacked ? books->bytes_sent - books->unacked : 0;
}

static __noinline int emit_books(struct sock *sk, struct connection *c, struct scratch *s, struct books_at *at)
{
	struct tcp_sock *tp = c->transport == IPPROTO_TCP ? tcp_sock_of(sk) : NULL;
	/* No room on the stack for it beside an announcement. */
	struct steth_books *books = (struct steth_books *)s->data;

	__builtin_memset(books, 0, sizeof(*books));
	books->kind = at->kind;
	books->flags = c->close_flags;
	books->protocol = c->protocol;
	books->role = c->role;
	books->tgid = c->tgid;
	books->connection = c->id;
	books->time = at->time;
	books->sent = at->sent;
	books->received = at->received;
	books->calls = c->calls;
	books->error = READ(sk, sk_err);
	books->accepted = c->accepted;
	books->established = c->established;

	/* Nothing has moved where it never was established; its SYN has a number all the same. */
	if (tp && c->connect_started && !c->established) {
		books->segments_out = READ(tp, segs_out);
		books->segments_in = READ(tp, segs_in);
		books->retransmitted = READ(tp, total_retrans);
	} else if (tp) {
		__u32 running = READ_BITS(tp, chrono_type), now = bpf_jiffies64(), rtt = READ(tp, rtt_min.s[0].v);

		count_bytes(sk, tp, c, books);
		books->segments_out = READ(tp, segs_out);
		books->segments_in = READ(tp, segs_in);
		books->retransmitted = READ(tp, total_retrans);
		books->retransmitted_bytes = READ(tp, bytes_retrans);
		books->srtt_us = READ(tp, srtt_us) >> 3;
		books->rtt_deviation_us = READ(tp, mdev_us) >> 2;
		books->rtt_min_us = rtt == ~0u ? 0 : rtt;
		books->reordered = READ(tp, reord_seen);
		books->lost = READ(tp, lost);
		books->duplicates = READ(tp, dsack_dups);
		books->send_window = READ(tp, snd_wnd);
		books->congestion = congestion(tp);
		books->receive_window_us = chronograph(tp, running, now, TCP_CHRONO_RWND_LIMITED);
		books->send_buffer_us = chronograph(tp, running, now, TCP_CHRONO_SNDBUF_LIMITED);
		books->busy_us = chronograph(tp, running, now, TCP_CHRONO_BUSY) + books->receive_window_us + books->send_buffer_us;
	} else {
		books->bytes_sent = c->moved[STETH_SEND];
		books->bytes_received = c->moved[STETH_RECEIVE];
		books->segments_out = c->calls_of[STETH_SEND];
		books->segments_in = c->calls_of[STETH_RECEIVE];
	}
	return emit(s, c->ring, books, sizeof(*books));
}

/* Is it observed, by the rules of now? Says so without changing what a transfer may be using. */
static __noinline int is_wanted(struct connection *c, struct sock *sk)
{
	if (c->epoch == control.epoch)
		return c->verdict == VERDICT_CAPTURE;
	return socket_wanted(sk, c->family) && verdict_of(c->tgid) == VERDICT_CAPTURE;
}

/* By itself, for its caller's stack has no room for a record more. */
static __noinline int announce_counted(struct sock *sk, struct connection *c, struct scratch *s, __u64 now)
{
	announce(sk, c, s, now, ANNOUNCE_COUNTED);
	return 0;
}

/* Tells user space of a connection for its books' sake, unless it knows of it. False: it does not. */
static __always_inline bool tell(struct sock *sk, struct connection *c, struct scratch *s, __u64 now)
{
	if (c->flags & CONNECTION_ANNOUNCED || c->told & TOLD_COUNTED)
		return true;
	if (!is_wanted(c, sk))
		return false;
	announce_counted(sk, c, s, now);
	return c->told & TOLD_COUNTED;
}

/*
 * Something has moved on a UDP socket. If nobody was told of it, it may be gone before the next sweep, and its end does not tell where it
 * was.
 */
static __always_inline void tell_at_once(struct sock *sk, struct connection *c, struct scratch *s)
{
	if (!(c->flags & CONNECTION_ANNOUNCED) && !(c->told & TOLD_COUNTED))
		announce_counted(sk, c, s, bpf_ktime_get_ns());
}

/* The last books of a UDP socket. The hook knows it as something else than struct sock. */
static __always_inline void on_release(struct connection *c)
{
	struct scratch *s;
	struct steth_books books = {
		.kind = STETH_CLOSE,
		.protocol = c->protocol,
		.role = c->role,
		.tgid = c->tgid,
		.connection = c->id,
		.time = bpf_ktime_get_ns(),
		.sent = c->offset[STETH_SEND],
		.received = c->offset[STETH_RECEIVE],
		.calls = c->calls,
		.bytes_sent = c->moved[STETH_SEND],
		.bytes_received = c->moved[STETH_RECEIVE],
		.segments_out = c->calls_of[STETH_SEND],
		.segments_in = c->calls_of[STETH_RECEIVE],
	};

	if (!c->id || c->flags & CONNECTION_CLOSED || !(c->flags & CONNECTION_ANNOUNCED || c->told & TOLD_COUNTED))
		return;
	s = scratch_taken(IN_BETWEEN);
	if (!s) {
		run_crowded();
		return;
	}
	emit(s, c->ring, &books, sizeof(books));
	c->flags |= CONNECTION_CLOSED;
	scratch_leave(s);
}

/* ---- sockets that wait for connections */

static __noinline int emit_listen(struct sock *sk, struct connection *c, struct scratch *s, __u32 change)
{
	RECORD(steth_listen, listen, s, listening);

	listen->kind = STETH_LISTEN;
	listen->change = change;
	listen->family = c->family;
	listen->tgid = c->tgid;
	listen->time = bpf_ktime_get_ns();
	listen->port = local_port(sk);
	listen->backlog = READ(sk, sk_ack_backlog);
	listen->backlog_max = READ(sk, sk_max_ack_backlog);
	listen->drops = READ(sk, sk_drops.counter);

	if (!socket_wanted(sk, c->family) || verdict_of(c->tgid) != VERDICT_CAPTURE)
		return 0;
	listen->connection = listener_number(sk, c);
	listen->netns = netns_of(sk);
	if (c->family == AF_INET)
		__builtin_memcpy(listen->address, (void *)&(__be32){READ(sk, __sk_common.skc_rcv_saddr)}, 4);
	else
		BPF_CORE_READ_INTO(&listen->address, sk, __sk_common.skc_v6_rcv_saddr);
	if (current_tgid() == c->tgid)
		bpf_get_current_comm(listen->comm, sizeof(listen->comm));
	return emit(s, 0, listen, sizeof(*listen));
}

/* A socket begins to wait for connections, in the task that called listen(). It has no id, so its copies have none. */
static __always_inline void on_listen(struct sock *sk, struct scratch *s, __u32 tgid)
{
	struct connection *c;

	if (!s || transport_of(sk) != IPPROTO_TCP)
		return;
	c = connection_make(sk);
	if (!c)
		return;
	c->id = 0;
	c->family = READ(sk, __sk_common.skc_family);
	c->transport = IPPROTO_TCP;
	c->tgid = tgid;
	c->told = TOLD_LISTENER;
	remember_listener(sk, c, s, tgid);
	emit_listen(sk, c, s, STETH_LISTEN_BEGINS);
}

static __always_inline void on_listen_end(struct sock *sk, struct scratch *s)
{
	struct connection *c = connection_of(sk);

	if (!c || !s || !(c->told & TOLD_LISTENER))
		return;
	emit_listen(sk, c, s, STETH_LISTEN_ENDS);
	c->told = 0;
}

#endif
