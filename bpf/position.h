/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Where in its direction a transfer is, and when it was: out of the kernel's own books of the socket.
 */
#ifndef STETH_POSITION_H
#define STETH_POSITION_H

#include "connection.h"

/* Bytes that have moved in one call. */
/* `tp`: NULL where there are no sequence numbers to go by. */
static __always_inline void find_position(struct sock *sk, struct tcp_sock *tp, struct connection *c, struct transfer *t)
{
	__u8 direction = t->direction & 1, other = !direction;
	__u32 own, others;

	/* Two threads may use the two directions at once: what is compared is read once. */
	t->known = *(volatile __u64 *)&c->offset[direction];
	t->opposite = *(volatile __u64 *)&c->offset[other];
	/* A TLS layer in the kernel makes the sequence numbers count its records: count by ourselves then. */
	if (!tp || READ(tp, inet_conn.icsk_ulp_ops)) {
		t->end = t->known + t->length;
		t->start = t->known;
		return;
	}
	own = direction == STETH_SEND ? READ(tp, write_seq) : READ(tp, copied_seq);
	others = direction == STETH_SEND ? READ(tp, copied_seq) : READ(tp, write_seq);
#ifdef STETH_PLAIN
	own -= t->behind;
#endif
	if (!(c->flags & CONNECTION_PLACED)) {
		place(c, tp);
		t->opposite = c->offset[other];
		t->known = c->offset[direction] - t->length;
#ifdef STETH_PLAIN
		t->known -= t->behind;
#endif
		c->offset[direction] = t->known;
	}
	t->end = extend(t->known, own);
	/*
	 * A FIN takes a number too, and a receive that reaches it takes it along. Where this end had sent its own FIN before, no
	 * state tells of it: the socket's flag does.
	 */
	if (direction == STETH_RECEIVE && t->end - t->length != t->known && !c->end[STETH_RECEIVE] &&
	    READ(sk, sk_shutdown) & RCV_SHUTDOWN)
		end_direction(c, STETH_RECEIVE, extend(t->known, READ(tp, rcv_nxt) - 1));
	t->opposite = extend(t->opposite, others);
	if (c->ended) {
		if (c->end[direction] && t->end > c->end[direction])
			t->end = c->end[direction];
		if (c->end[other] && t->opposite > c->end[other])
			t->opposite = c->end[other];
	}
	t->start = t->end - t->length;
}

/*
 * When the bytes came that the reading task is about to take. tcp_mstamp is the last time that TCP looked at the clock: for these bytes,
 * or since then for an acknowledgement that was put off, or for one that came in. When the last byte of data came the kernel keeps too
 * (lrcvtime), in jiffies, and nothing else moves that: where tcp_mstamp is later than it can be by that, it is what counts, and may be
 * off by a jiffy. Of bytes that lay there when the ones before them were read, it is known from then.
 */
static __always_inline void find_arrival(struct tcp_sock *tp, struct connection *c)
{
	__u32 passed = (__u32)bpf_jiffies64() - READ(tp, inet_conn.icsk_ack.lrcvtime), arrived = READ(tp, rcv_nxt);
	__u64 arrival = READ(tp, tcp_mstamp) * 1000 & ~(__u64)ARRIVAL_BITS, now, latest;

	if (c->arrival && (__s32)(c->arrived - (__u32)c->offset[STETH_RECEIVE]) > 0) {
		c->arrival = (c->arrival & ~(__u64)ARRIVAL_PAST) | ARRIVAL_APART;
		return;
	}
	if (passed) {
		now = bpf_ktime_get_ns();
		latest = now - (__u64)(passed - 1) * jiffy_ns;
		if (!jiffy_ns)
			arrival = 0;
		else if (arrival > latest)
			arrival = ((now - (__u64)passed * jiffy_ns) & ~(__u64)ARRIVAL_BITS) | ARRIVAL_APART;
	}
	if (arrival && arrived != READ(tp, copied_seq) && !READ(tp, inet_conn.icsk_ulp_ops)) {
		c->arrived = arrived;
		arrival |= ARRIVAL_REST;
	}
	c->arrival = arrival;
}

/*
 * When the bytes left, or when the application had them. TCP looks at the clock in both cases, and keeps what it saw
 * (tcp_mstamp_refresh(), the clock of bpf_ktime_get_ns()): 35 ns less than a look of our own.
 */
static __always_inline void find_time(struct tcp_sock *tp, struct connection *c, struct transfer *t)
{
	__u64 arrival, departed, taken;

	if (t->direction == STETH_SEND) {
		departed = tp ? READ(tp, tcp_wstamp_ns) : 0;
		/* Something has left since the last send: at the clock's last reading, whatever pacing made of the stamp. */
		t->time = departed > c->departed ? READ(tp, tcp_clock_cache) : bpf_ktime_get_ns();
		c->departed = departed;
		return;
	}
	taken = c->arrival;
	arrival = taken & ARRIVAL_PAST ? 0 : taken & ~(__u64)ARRIVAL_BITS;
	c->arrival = taken & ARRIVAL_REST ? taken | ARRIVAL_PAST : 0;
	/* Of bytes that passed no hook, perhaps. */
	if (t->start != t->known)
		arrival = 0;
	/* tcp_rcv_space_adjust() reads the clock behind our hook, but not before the connection has a round-trip time. */
	if (tp && arrival && !(taken & ARRIVAL_APART) && READ(tp, tcp_clock_cache) > arrival)
		t->time = READ(tp, tcp_clock_cache);
	else
		t->time = bpf_ktime_get_ns();
	if (arrival && arrival <= t->time && t->time - arrival < 0xfffffffeull * 1000)
		t->lag = (t->time - arrival) / 1000;
}

#endif
