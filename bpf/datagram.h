/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Datagrams on UDP sockets: DNS. Each is a chunk of its own, copied whole up to 4 KiB, which is more than resolvers let an
 * answer have (EDNS, mostly 1232 bytes).
 *
 * What travels on a socket is told from the datagrams themselves, whatever its ports: an unconnected socket has no remote
 * one. Where it sends a datagram is read from the caller, as the payload is. From where it has received one is out of
 * sight: the tracepoints carry the socket and not the message, and the address is put where the caller wants it only after
 * them (a function has the message, but only where the caller has asked for the address). But whoever answers or is answered is sent something. After a few datagrams that are something else a socket is
 * left alone, unless port 53 says that DNS is to come.
 *
 * Several threads may use one socket at once, in one direction too, and no lock of the kernel's is held here. A position is
 * taken atomically, and the other direction's is read before that: of two datagrams at most one then waits for the other.
 */
#ifndef STETH_DATAGRAM_H
#define STETH_DATAGRAM_H

#include "books.h"
#include "message.h"

#define DATAGRAM_MAX 4096
#define DNS_PORT 53

/* Messages to a group look alike and are answered by anybody or nobody: mDNS, LLMNR, the NetBIOS name service. */
static __always_inline bool is_group_port(__u16 port)
{
	return port == 5353 || port == 5355 || port == 137;
}

/*
 * A recvmmsg whose time is up ends behind any message, without an error; the next one fills the vector from the beginning again. Nothing
 * tells the one from the other then, so the first datagram's beginning is compared with the one that was there. 0: it cannot be read.
 */
static __noinline int notice_new_vector(struct task_struct *task, const void *vector)
{
	struct vector_call *call;
	struct user_msghdr header;
	struct iovec segment;
	__u64 first[4] = {};
	__u32 length;

	if (bpf_probe_read_user(&header, sizeof(header), vector) ||
	    bpf_probe_read_user(&segment, sizeof(segment), header.msg_iov))
		return 0;
	length = segment.iov_len < sizeof(first) ? segment.iov_len : sizeof(first);
	/* For the verifier: compared once more, in the register that is used. */
	barrier_var(length);
	if (length > sizeof(first))
		return 0;
	if (bpf_probe_read_user(first, length, segment.iov_base))
		return 0;
	call = vector_call(task);
	if (!call)
		return 0;
	if (first[0] != call->first[0] || first[1] != call->first[1] || first[2] != call->first[2] || first[3] != call->first[3])
		call->next = 0;
	__builtin_memcpy(call->first, first, sizeof(first));
	return 1;
}

/* Like locate(). */
static __always_inline bool locate_datagram(struct scratch *s)
{
	struct task_struct *task = current_task();
	struct pt_regs *regs;

	if (BY_FUNCTION)
		return locate_in_message(s);
	regs = registers_of(s, task);
	if (!BY_SYSCALL && !(READ(task, flags) & PF_KTHREAD) && are_native(regs) && CALL(regs) == SYS_recvmmsg &&
	    ARGUMENT_5(regs) && !notice_new_vector(task, (const void *)ARGUMENT_2(regs)))
		return false;
	return locate_in_call(s);
}

/* The one or the other. Both need much of the stack, which the plain core has not. */
#ifdef STETH_PLAIN
OF_SCRATCH(located_of, (bool datagram), (datagram))
{
	return datagram ? locate_datagram(s) : locate((struct sock *)s->sk, s, &s->transfer);
}
#define located(sk, s, t) located_of(s, false)
#define located_datagram(s) located_of(s, true)
#else
#define located(sk, s, t) locate(sk, s, t)
#define located_datagram(s) locate_datagram(s)
#endif

/* Copies the datagram that was located to s->data, and names its protocol if the socket has none yet. */
OF_CONNECTION(copy_datagram, (__u32 length, __u8 direction), (length, direction))
{
	__u32 captured, guess;
	__u8 role;

	if (!c || !s)
		return 0;
	captured = copy(s, 0, 0, length < DATAGRAM_MAX ? length : DATAGRAM_MAX);
	if (c->protocol)
		return captured;
	__builtin_memcpy(s->walk.b, s->data, STETH_PREFIX);
	s->walk.n = captured < STETH_PREFIX ? captured : STETH_PREFIX;
	guess = steth_infer_datagram(&s->walk, length, c->protocols);
	if (STETH_GUESS(guess) != STETH_GUESS_IS)
		return 0;
	role = (direction == STETH_SEND) == STETH_GUESS_REQUEST(guess) ? STETH_ROLE_CLIENT : STETH_ROLE_SERVER;
	c->role = role;
	c->role_source = STETH_ROLE_REQUEST;
	/* Last: another thread that finds a protocol finds a role. */
	barrier();
	c->protocol = STETH_GUESS_PROTOCOL(guess);
	return captured;
}

/* linux/in.h, linux/in6.h: what of both addresses is the same, and both. */
struct destination {
	__u16 family;
	__be16 port;
	__u8 ipv4[4]; /* IPv6: the flow label */
	__u8 ipv6[16];
};

static __always_inline bool is_destination(const struct destination *from, struct steth_destination *to)
{
	if (from->family != AF_INET && from->family != AF_INET6)
		return false;
	to->family = from->family;
	to->port = bpf_ntohs(from->port);
	if (from->family == AF_INET6)
		__builtin_memcpy(to->address, from->ipv6, 16);
	else
		__builtin_memcpy(to->address, from->ipv4, 4);
	return true;
}

/* The address that the caller, who was located, sends to. False: not known. */
static __always_inline bool read_destination(struct scratch *s, struct steth_destination *to)
{
	struct destination from = {};
	const void *message = s->from.message;
	struct pt_regs *regs;
	void *name;

	if (BY_FUNCTION) {
		/* The kernel's own copy of it, which has room for either. */
		name = (void *)s->moving.name;
		return name && !bpf_probe_read_kernel(&from, sizeof(from), name) && is_destination(&from, to);
	}
	regs = registers_of(s, current_task());
	if (CALL(regs) == SYS_sendto) {
		name = (void *)ARGUMENT_5(regs);
	} else {
		if (CALL(regs) == SYS_sendmsg)
			message = (void *)ARGUMENT_2(regs);
		/* The first thing in a header; for all of it the stack has no room. */
		if (!message || bpf_probe_read_user(&name, sizeof(name), message))
			return false;
	}
	/* The shorter of the two may end where nothing can be read. */
	if (!name || bpf_probe_read_user(&from, 8, name))
		return false;
	if (from.family == AF_INET6 && bpf_probe_read_user(from.ipv6, 16, name + 8))
		return false;
	return is_destination(&from, to);
}

/* Whether that is the loopback device's. Which other addresses are the host's own, nothing tells here. */
static __always_inline bool is_local_destination(const struct steth_destination *to)
{
	__u32 address[4];

	if (to->family == AF_INET)
		return to->address[0] == 127;
	__builtin_memcpy(address, to->address, sizeof(address));
	return is_loopback6(address[0], address[1], address[2], address[3]);
}

/* Puts it behind the captured bytes. Returns its size; 0: not known. */
static __always_inline __u32 copy_destination(struct scratch *s, __u32 captured)
{
	struct steth_destination to = {};

	if (!read_destination(s, &to))
		return 0;
	__builtin_memcpy(&s->data[captured & (DATA_SPAN - 1)], &to, sizeof(to));
	return sizeof(to);
}

/*
 * Books of a socket that is not connected: what it sends, by destination. What it receives has no known sender. While rows are in force
 * that look at the far end, nothing of it is kept: such a socket's far ends may not be wanted. The caller was located.
 */
OF_CONNECTION(count_destination, (__u32 length), (length))
{
	struct sent_to key = {};
	struct sent first = { .bytes = length, .datagrams = 1 }, *known;

	if (!c || !s)
		return 0;
	if (control.rules & RULES_FAR_END || !read_destination(s, &key.to))
		return 0;
	if (control.skip_local && is_local_destination(&key.to))
		return 0;
	key.connection = c->id;
	known = bpf_map_lookup_elem(&sent_to, &key);
	if (!known) {
		if (!bpf_map_update_elem(&sent_to, &key, &first, BPF_NOEXIST))
			return 0;
		/* Another thread may have come first. */
		known = bpf_map_lookup_elem(&sent_to, &key);
		if (!known) {
			__sync_fetch_and_add(&control.sent_to_full, 1);
			return 0;
		}
	}
	__sync_fetch_and_add(&known->bytes, length);
	__sync_fetch_and_add(&known->datagrams, 1);
	return 0;
}

/*
 * The rows of connections, for a datagram of a socket without a far end. What it sends tells where to; what it receives does not
 * tell where from. So a client is answered by whom it has asked, and is observed as long as all of those are wanted. Of a
 * server nobody knows who asks: it is not observed where that matters; where only those within the host are left out, it is, since
 * whoever wants none of them at all binds it to an address. `here`: the socket's own port, which has not been excluded.
 */
OF_CONNECTION(far_end_wanted, (__u32 here, __u32 direction), (here, direction))
{
	__u32 rules = control.rules;
	union address address;
	struct steth_destination to = {};
	bool matters, wanted;

	if (!c || !s)
		return 0;
	matters = rules & (RULES_REMOTE_INCLUDES | RULES_REMOTE_EXCLUDES) ||
		  (rules & RULES_PORT_INCLUDES && !has_port(rules, 0, here));
	if (direction == STETH_RECEIVE) {
		if (c->role == STETH_ROLE_SERVER)
			return !matters;
		return matters ? c->far_end == FAR_END_WANTED : c->far_end != FAR_END_UNWANTED;
	}
	wanted = read_destination(s, &to);
	if (wanted) {
		bool ipv4 = to.family == AF_INET;

		__builtin_memcpy(address.words, to.address, sizeof(address));
		if (!ipv4)
			ipv4 = plain(address.words);
		wanted = remote_wanted(rules, ipv4, address.halves) &&
			 !(rules & RULES_PORT_EXCLUDES && has_port(rules, 1, to.port)) &&
			 (!(rules & RULES_PORT_INCLUDES) || has_port(rules, 0, here) || has_port(rules, 0, to.port));
	}
	if (c->role == STETH_ROLE_SERVER)
		return wanted && !matters;
	if (wanted && control.skip_local)
		wanted = !is_local_destination(&to);
	if (!wanted)
		c->far_end = FAR_END_UNWANTED;
	else if (c->far_end == FAR_END_UNKNOWN)
		c->far_end = FAR_END_WANTED;
	return c->far_end == FAR_END_WANTED;
}

/* A datagram of `length` bytes has moved between the current task and the socket. */
static __always_inline void transfer_datagram(struct sock *sk, struct connection *c, struct scratch *s, __u8 direction,
					      __u32 length)
{
	__u16 here = READ(sk, __sk_common.skc_num), there = bpf_ntohs(READ(sk, __sk_common.skc_dport));
	__u8 turn = !(c->flags & CONNECTION_MOVED) || c->last_direction != direction ? STETH_CHUNK_TURN : 0;
	__u64 now = bpf_ktime_get_ns();
	__u32 captured = 0, behind = 0;
	bool found, matters;

	c->last_direction = direction;
	c->flags |= CONNECTION_MOVED;
	found = located_datagram(s);
	if (found && !there && direction == STETH_SEND)
		count_destination(c, s, length);
	matters = !there && (control.rules & RULES_FAR_END || control.skip_local);
	if (matters && !far_end_wanted(c, s, here, direction)) {
		count(s, STETH_UNSELECTED, 1);
		return;
	}
	if (found)
		captured = copy_datagram(c, s, length, direction);
	/* Only by its first answer is a server known. */
	if (matters && direction == STETH_SEND && c->role == STETH_ROLE_SERVER && !far_end_wanted(c, s, here, STETH_RECEIVE)) {
		count(s, STETH_UNSELECTED, 1);
		return;
	}
	if (!c->protocol) {
		if (is_group_port(here) || is_group_port(there) ||
		    (here != DNS_PORT && there != DNS_PORT && (c->tries += TRY) >= TRIES_MAX))
			c->flags |= CONNECTION_L4;
		count(s, STETH_L4_CHUNKS, 1);
		count(s, STETH_L4_BYTES, length);
		tell_at_once(sk, c, s);
		return;
	}
	if (!(c->flags & CONNECTION_ANNOUNCED))
		announce(sk, c, s, now, ANNOUNCE_FRESH);
	s->chunk.kind = STETH_CHUNK;
	s->chunk.direction = direction;
	s->chunk.protocol = c->protocol;
	if (captured && direction == STETH_SEND && !there)
		behind = copy_destination(s, captured);
	s->chunk.flags = turn | (captured ? 0 : STETH_CHUNK_UNREAD) | (behind ? STETH_CHUNK_DESTINATION : 0);
	s->chunk.tgid = c->tgid;
	s->chunk.connection = c->id;
	s->chunk.time = now;
	s->chunk.opposite = *(volatile __u64 *)&c->offset[!direction];
	s->chunk.offset = take(&c->offset[direction], length);
	s->chunk.length = length;
	s->chunk.captured = captured;
	s->chunk.role = c->role;
	s->chunk.role_source = c->role_source;
	s->chunk.lag_us = STETH_LAG_UNKNOWN;
	s->chunk.calls = 1;
	emit_chunk_and(s, c, behind);
}

#endif
