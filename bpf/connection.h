/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * verdict -> connection: finds or makes the state of a socket, keeps its offsets, announces and closes it.
 *
 * Identity is the socket itself. Offsets come from the kernel's own books: copied_seq after a receive and write_seq after
 * a send are moved by the calling task only; their low 32 bits are kept as they are and extended to 64.
 */
#ifndef STETH_CONNECTION_H
#define STETH_CONNECTION_H

#include "rows.h"

static __always_inline __u32 current_tgid(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

/* Is this process selected? Decided before any byte is copied. */
static __always_inline __u32 verdict_of(__u32 tgid)
{
	__u32 *known;

	if (tgid == self_tgid)
		return VERDICT_IGNORE;
	known = bpf_map_lookup_elem(&verdicts, &tgid);
	return known ? *known : control.default_verdict;
}

/* An address of 127.0.0.0/8 below ::ffff:0:0, or ::1. By value: the callers' stacks are nearly full. */
static __always_inline bool is_loopback6(__u32 a, __u32 b, __u32 c, __u32 d)
{
	if (a | b)
		return false;
	return c ? c == bpf_htonl(0xffff) && (d & 0xff) == 127 : d == bpf_htonl(1);
}

/*
 * Whether both ends are on this host, in one network namespace. An unconnected socket has no other end; but what is bound to a
 * loopback address talks to nobody else. To an address of its own a host talks from that address, whatever the route says, which the
 * socket need not remember.
 */
static __always_inline bool is_local(struct sock *sk, __u8 family)
{
	__be32 here = READ(sk, __sk_common.skc_rcv_saddr), there = READ(sk, __sk_common.skc_daddr);
	__u32 a, b, c, d;

	if (family == AF_INET) {
		if ((there & 0xff) == 127 || (here & 0xff) == 127 || (there && there == here))
			return true;
	} else {
		a = READ(sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[0]);
		b = READ(sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[1]);
		c = READ(sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[2]);
		d = READ(sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[3]);
		if (is_loopback6(a, b, c, d))
			return true;
		if ((a | b | c | d) && a == READ(sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[0]) &&
		    b == READ(sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[1]) &&
		    c == READ(sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[2]) &&
		    d == READ(sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[3]))
			return true;
		if (is_loopback6(READ(sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[0]),
				 READ(sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[1]),
				 READ(sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[2]),
				 READ(sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[3])))
			return true;
	}
	return BPF_CORE_READ(sk, sk_dst_cache, dev, flags) & IFF_LOOPBACK;
}

/* Is this socket observed if its process is? */
static __always_inline bool socket_wanted(struct sock *sk, __u8 family)
{
	__u32 port = control.port;

	if (family == AF_UNIX)
		return !port && !control.skip_unix && rows_agree(sk, family);
	if (control.skip_local && is_local(sk, family))
		return false;
	if (port && READ(sk, __sk_common.skc_num) != port && bpf_ntohs(READ(sk, __sk_common.skc_dport)) != port)
		return false;
	return rows_agree(sk, family);
}

static __always_inline __u64 extend(__u64 known, __u32 now)
{
	return known + (__u32)(now - (__u32)known);
}

/* A FIN has passed: no byte comes behind this position. */
static __always_inline void end_direction(struct connection *c, __u8 direction, __u64 position)
{
	c->end[direction & 1] = position;
	barrier();
	c->ended = 1;
}

/* Where the two directions are, by the kernel's books. */
static __always_inline void place(struct connection *c, struct tcp_sock *tp)
{
	c->offset[STETH_SEND] = READ(tp, write_seq);
	c->offset[STETH_RECEIVE] = READ(tp, copied_seq);
	c->frame_end = 0;
	c->prefix_length[0] = c->prefix_length[1] = 0;
	c->flags |= CONNECTION_PLACED;
}

#define TRANSPORT_OTHER 0xff

/* `transport` of struct steth_open, or TRANSPORT_OTHER where there is no connection to follow. */
static __always_inline __u8 transport_of(struct sock *sk)
{
	__u16 family = READ(sk, __sk_common.skc_family), type = READ(sk, sk_type), protocol = READ(sk, sk_protocol);

	if (family == AF_UNIX)
		return type == SOCK_STREAM ? 0 : 1;
	if (family != AF_INET && family != AF_INET6)
		return TRANSPORT_OTHER;
	if (protocol == IPPROTO_TCP && type == SOCK_STREAM)
		return IPPROTO_TCP;
	return protocol == IPPROTO_UDP ? IPPROTO_UDP : TRANSPORT_OTHER;
}

/*
 * What messages that no protocol wanted cost before a connection counts as unknown. Short ones cost little: keep-alives and
 * acknowledgements tell nothing, and what comes behind them may.
 */
#define TRIES_MAX 32
#define TRY 4
#define TRY_SHORT 1
#define SHORT_MESSAGE 16 /* bytes */
#define TRIES_BACK (2 * TRY) /* what each window gives back: a pool's connection may be of use hours later */
/* In their place: user space has given the connection up for good. */
#define TRIES_OPAQUE 0xff

/* Whether anything that is analysed may travel on it. Only DNS travels in datagrams, and not on unix sockets. */
static __always_inline bool may_be_analysed(__u8 transport, __u32 protocols)
{
	if (transport == 1)
		return false;
	return transport == IPPROTO_UDP ? protocols & 1u << STETH_PROTOCOL_DNS : protocols;
}

/* A message of `length` bytes was of no protocol. */
static __always_inline void count_try(struct connection *c, __u32 length)
{
	c->tries += length > SHORT_MESSAGE ? TRY : TRY_SHORT;
	if (c->tries >= TRIES_MAX)
		c->flags |= CONNECTION_L4;
}

/* From here on it is as if nothing had been told of its protocol. */
static __always_inline void begin_anew(struct connection *c, __u32 protocols)
{
	c->protocol = STETH_PROTOCOL_UNKNOWN;
	c->prefix_length[0] = c->prefix_length[1] = 0;
	c->body_end[0] = c->body_end[1] = 0;
	c->frame_end = 0;
	if (c->calls)
		c->flags |= CONNECTION_MISSED;
	/* The next call begins a turn, so far as can be told. */
	c->flags &= ~CONNECTION_MOVED;
	if (may_be_analysed(c->transport, protocols))
		c->flags &= ~CONNECTION_L4;
	else
		c->flags |= CONNECTION_L4;
}

/*
 * Other protocols are wanted than when this connection was last looked at. One that goes on is left alone; one that was
 * switched off is as if it had never been told; and what was none of those before may be one of these.
 */
static __always_inline void analyse_anew(struct connection *c, __u32 protocols)
{
	c->protocols = protocols;
	if (c->tries == TRIES_OPAQUE || (c->protocol && protocols & 1u << (c->protocol & 31)))
		return;
	c->tries = 0;
	begin_anew(c, protocols);
}

/*
 * Once a window, beside what a transfer may be doing: some of the tries come back. The flags are a transfer's, so the next call judges
 * the socket anew, and finds that there are any.
 */
static __always_inline void give_tries_back(struct connection *c)
{
	__u8 tries = c->tries;

	if (c->protocol || !tries || tries == TRIES_OPAQUE || c->transport == IPPROTO_UDP)
		return;
	c->tries = tries > TRIES_BACK ? tries - TRIES_BACK : 0;
	c->epoch = control.epoch - 1;
}

/* The verdict for this task and the rules of now. */
static __noinline int judge_socket(struct connection *c, struct sock *sk, __u32 tgid)
{
	__u32 protocols = control.protocols;

	c->epoch = control.epoch;
	c->tgid = tgid;
	c->far_end = FAR_END_UNKNOWN;
	c->verdict = socket_wanted(sk, c->family) ? verdict_of(tgid) : VERDICT_IGNORE;
	if (c->protocols != protocols)
		analyse_anew(c, protocols);
	else if (c->flags & CONNECTION_L4 && c->tries < TRIES_MAX && may_be_analysed(c->transport, protocols))
		begin_anew(c, protocols);
	return 0;
}

/*
 * Who has called, of a connection whose beginning was not seen. A port that connect() has chosen is marked as such (__inet_hash_connect() sets
 * `fastreuse` to -1), and no other; on one that is listened on there are accepted sockets. A client that has bound its own port is neither.
 */
static __always_inline __u8 bound_role(struct sock *sk)
{
	struct inet_bind_bucket *bucket = BPF_CORE_READ((struct inet_connection_sock *)sk, icsk_bind_hash);

	if (!bucket)
		return STETH_ROLE_UNKNOWN;
	if (BPF_CORE_READ(bucket, fastreuse) < 0)
		return STETH_ROLE_CLIENT;
	return is_listened_on(sk) ? STETH_ROLE_SERVER : STETH_ROLE_UNKNOWN;
}

static __noinline struct connection *connection_new(struct sock *sk, struct scratch *s, __u32 tgid)
{
	__u8 transport = transport_of(sk), family = READ(sk, __sk_common.skc_family), state;
	struct connection *c;

	if (transport == TRANSPORT_OTHER)
		return NULL;
	c = connection_make(sk);
	if (!c)
		return NULL;
	c->family = family;
	c->transport = transport;
	c->told = 0;
	c->tgid = tgid;
	c->epoch = control.epoch;
	c->verdict = socket_wanted(sk, family) ? verdict_of(tgid) : VERDICT_IGNORE;
	c->protocols = control.protocols;
	if (!may_be_analysed(transport, c->protocols))
		c->flags |= CONNECTION_L4;
	state = READ(sk, __sk_common.skc_state);
	if (transport == IPPROTO_TCP && state != TCP_CLOSE && state != TCP_SYN_SENT) {
		c->role = bound_role(sk);
		c->role_source = c->role ? STETH_ROLE_BOUND : STETH_ROLE_UNSEEN;
	}
	/* Last: on another CPU the same socket may be in use by now, and what has an id is complete. */
	barrier();
	c->id = number_of(sk, s);
	return c;
}

/* A task uses the socket: its state, with a verdict that holds for this task and these rules. */
static __always_inline struct connection *connection_in_task(struct sock *sk, struct scratch *s)
{
	struct connection *c = connection_of(sk);
	__u32 tgid = current_tgid();

	/* Without an id: being made by another CPU at this moment, with just these values. */
	if (!c || !*(volatile __u64 *)&c->id || !is_current(sk, c))
		return connection_new(sk, s, tgid);
	if (c->epoch != control.epoch || c->tgid != tgid)
		judge_socket(c, sk, tgid);
	return c;
}

/* A pipeline is not written for longer than this before its responses are read; nobody does who waits for any. */
#define JOINED_NS 1000000000ll

/*
 * Whether what moves at `now`, the first that is seen of this connection, may come behind requests that were not seen. A unix
 * socket does not tell since when it is connected.
 */
static __always_inline bool is_joined(struct connection *c, __u64 now)
{
	return !c->established && (__s64)(now - control.attached) < JOINED_NS;
}

/* Its own port, in host order. At a socket's end it is given back (inet_put_port()), and stands here still. */
static __always_inline __u16 local_port(struct sock *sk)
{
	__u16 port = READ(sk, __sk_common.skc_num);

	return port ? port : bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
}

/*
 * Nobody tells who connected a unix socket. A client's end mostly has no name, and a server's has that of the socket it came from.
 * STETH_ROLE_UNKNOWN: both have one, or none has.
 */
static __always_inline __u8 unix_role(struct sock *sk)
{
	struct sock *peer = BPF_CORE_READ((struct unix_sock *)sk, peer);
	bool here = BPF_CORE_READ((struct unix_sock *)sk, addr), there = peer && BPF_CORE_READ((struct unix_sock *)peer, addr);

	if (here == there)
		return STETH_ROLE_UNKNOWN;
	return here ? STETH_ROLE_SERVER : STETH_ROLE_CLIENT;
}

/* What is announced with it. */
enum announcement {
	ANNOUNCE_FRESH,   /* what comes is the beginning, or may be read as one */
	ANNOUNCE_JOINED,  /* see is_joined() */
	ANNOUNCE_COUNTED, /* its books alone */
};

/* With a stack of its own: its record is a third of what all calls together may have (512 bytes, before 6.13). */
static __noinline int announce(struct sock *sk, struct connection *c, struct scratch *s, __u64 now,
				     enum announcement how)
{
	RECORD(steth_open, open, s, opening);

	open->kind = STETH_OPEN;
	open->family = c->family;
	open->transport = c->transport;
	open->role = c->role;
	open->role_source = c->role_source;
	open->tgid = c->tgid;
	open->connection = c->id;
	open->time = now;
	open->established = c->established;
	open->connect_started = c->connect_started;
	open->accepted = c->accepted;
	open->sent = c->offset[STETH_SEND];
	open->received = c->offset[STETH_RECEIVE];
	open->counted = how == ANNOUNCE_COUNTED;
	open->netns = netns_of(sk);
	if (c->established && c->told & TOLD_BEGAN) {
		open->began_sent = c->began[STETH_SEND];
		open->began_received = c->began[STETH_RECEIVE];
	}
	if (c->family == AF_INET) {
		__builtin_memcpy(open->local_address, (void *)&(__be32){READ(sk, __sk_common.skc_rcv_saddr)}, 4);
		__builtin_memcpy(open->remote_address, (void *)&(__be32){READ(sk, __sk_common.skc_daddr)}, 4);
	} else if (c->family == AF_INET6) {
		BPF_CORE_READ_INTO(&open->local_address, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&open->remote_address, sk, __sk_common.skc_v6_daddr);
	}
	if (c->family == AF_UNIX) {
		open->peer_tgid = BPF_CORE_READ(sk, sk_peer_pid, numbers[0].nr);
		if (open->role == STETH_ROLE_UNKNOWN)
			open->role = unix_role(sk);
	} else {
		open->local_port = local_port(sk);
		open->remote_port = bpf_ntohs(READ(sk, __sk_common.skc_dport));
	}
	/* Datagrams before the first of a protocol take no position; another thread's may have taken one by now. */
	if (c->transport == IPPROTO_UDP)
		open->sent = open->received = 0;
	/* A softirq, or a sweep, is in the middle of somebody else. */
	if (current_tgid() == c->tgid)
		bpf_get_current_comm(open->comm, sizeof(open->comm));
	open->untold = !!(c->flags & CONNECTION_UNTOLD);
	open->joined = how == ANNOUNCE_JOINED || c->flags & CONNECTION_MISSED;
	/* Two threads may announce a datagram socket at once: with one ring, each one's records follow an announcement. */
	if (!(c->told & TOLD_COUNTED))
		c->ring = (c->transport == IPPROTO_UDP ? c->id : bpf_get_smp_processor_id()) & ring_mask;
	if (how == ANNOUNCE_COUNTED) {
		if (!emit(s, c->ring, open, sizeof(*open)))
			c->told |= TOLD_COUNTED;
		return 0;
	}
	if (!emit(s, c->ring, open, sizeof(*open)))
		c->flags = (c->flags & ~CONNECTION_MISSED) | CONNECTION_ANNOUNCED;
	else
		c->flags |= CONNECTION_UNTOLD;
	return 0;
}

#endif
