/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Hook family: the functions of the socket layer, for kernels without the sock tracepoints (before 6.3).
 *
 * hooked      the ends of inet_sendmsg, inet_recvmsg and their twins for IPv6: every send and receive on TCP and UDP, whatever call made it. They
 *             stand one level above tcp_sendmsg, udp_sendmsg and so on: four functions see what eight would below, and what a TLS layer in
 *             the kernel puts in the place of those passes them too
 *             unix_stream_*msg, unix_dgram_*msg, unix_seqpacket_*msg
 *             inet_sendpage, unix_stream_sendpage: sendfile and splice into a socket; gone in 6.5, where those come as messages
 *             tcp_splice_read, unix_stream_splice_read: splice out of a socket, which the tracepoints know by the position only
 * how         fexit, typed or plain; or, in the plain core, kprobe and kretprobe (sock_probes.h)
 * why here    the message is an argument, so a payload is found by its iterator, and not by the registers of whoever calls: iterator.h.
 *             A call that has nothing to do with sockets costs nothing
 * not seen    a receive that was waiting when the hook came: the function had begun without it. TCP's position tells of its bytes at
 *             the next one. Sockets of other families (netlink, packet, vsock): the tracepoints count them, and nobody looks at them
 * weaker      such programs may be preempted where the kernel does that, and another one may begin on the same CPU: each claims a
 *             scratch. The same one the kernel does not run twice there: that transfer is missed, and the kernel counts it
 */
#ifndef STETH_SOCK_FUNCTIONS_H
#define STETH_SOCK_FUNCTIONS_H

#include "core.h"
#ifdef STETH_PLAIN
#include "moved.h"
#endif

/* ---- what a function has done */

/* `message`: NULL where pages were moved. `size`: bytes that its iterator was over. `flags`: of a receive. */
static __always_inline int function_ends(struct socket *socket, __u32 direction, struct msghdr *message, __u64 size, __u32 flags,
					 long result, enum bytes bytes)
{
	struct scratch *s;
	struct sock *sk;

	/* Nothing has moved. But a receive of nothing may be the end of a stream. */
	if (result < (direction == STETH_SEND) || !sockets_wanted())
		return 0;
	sk = READ(socket, sk);
	if (!sk)
		return 0;
	s = scratch_taken(IN_PREEMPTED);
	if (!s)
		return transfer_crowded(result);
	s->moving.size = size;
#ifdef STETH_PLAIN
	s->moving.kind = ITERATOR_UNREADABLE;
	s->moving.name = 0;
	s->moving.message = (__u64)message;
	s->sk = (__u64)sk;
	if (bytes == BYTES_READABLE)
		do_left(s, moved(s->slot, direction, flags, result), direction, result);
	else if (bytes == BYTES_IN_PAGES)
		moved_in_pages(s->slot, direction, flags, result);
	else
		moved_and_counted(s->slot, direction, flags, result);
#else
	s->moving.kind = ITERATOR_UNREADABLE;
	s->moving.name = 0;
	if (bytes == BYTES_READABLE)
		note_message(s, message);
	if (direction == STETH_SEND)
		on_send(sk, s, result, bytes);
	else
		on_receive(sk, s, result, flags, bytes);
#endif
	scratch_leave(s);
	return 0;
}

/* What unix_seqpacket_sendmsg() is made of as well: whether that passes here is the compiler's choice, so it is told of there. */
static __always_inline bool is_datagram(struct socket *socket)
{
	struct sock *sk = READ(socket, sk);

	return sk && READ(sk, sk_type) == SOCK_DGRAM;
}

/* On other sockets a page becomes a message, which passes inet_sendmsg(): sock_no_sendpage(). */
static __always_inline bool takes_pages(struct socket *socket)
{
	struct sock *sk = READ(socket, sk);

	return sk && transport_of(sk) != TRANSPORT_OTHER;
}

/* ---- fexit */

#define SENDS(function, bytes, wanted)                                                                                            \
	SEC("fexit/" #function)                                                                                            \
	int BPF_PROG(function, struct socket *socket, struct msghdr *message, unsigned long size, int result)              \
	{                                                                                                                  \
		return wanted ? function_ends(socket, STETH_SEND, message, size, 0, result, bytes) : 0;                    \
	}
#define TAKES(function, bytes, wanted)                                                                                            \
	SEC("fexit/" #function)                                                                                            \
	int BPF_PROG(function, struct socket *socket, struct msghdr *message, unsigned long size, int flags, int result)   \
	{                                                                                                                  \
		return wanted ? function_ends(socket, STETH_RECEIVE, message, size, flags, result, bytes) : 0;             \
	}

SENDS(inet_sendmsg, BYTES_READABLE, true)
SENDS(inet6_sendmsg, BYTES_READABLE, true)
TAKES(inet_recvmsg, BYTES_READABLE, true)
TAKES(inet6_recvmsg, BYTES_READABLE, true)
SENDS(unix_stream_sendmsg, BYTES_READABLE, true)
TAKES(unix_stream_recvmsg, BYTES_READABLE, true)
SENDS(unix_seqpacket_sendmsg, BYTES_COUNTED, true)
TAKES(unix_seqpacket_recvmsg, BYTES_COUNTED, true)
SENDS(unix_dgram_sendmsg, BYTES_COUNTED, is_datagram(socket))
TAKES(unix_dgram_recvmsg, BYTES_COUNTED, is_datagram(socket))

SEC("fexit/inet_sendpage")
int BPF_PROG(inet_sendpage, struct socket *socket, struct page *page, int offset, unsigned long size, int flags, long result)
{
	return takes_pages(socket) ? function_ends(socket, STETH_SEND, NULL, 0, 0, result, BYTES_IN_PAGES) : 0;
}

SEC("fexit/unix_stream_sendpage")
int BPF_PROG(unix_stream_sendpage, struct socket *socket, struct page *page, int offset, unsigned long size, int flags, long result)
{
	return function_ends(socket, STETH_SEND, NULL, 0, 0, result, BYTES_IN_PAGES);
}

SEC("fexit/tcp_splice_read")
int BPF_PROG(tcp_splice_read, struct socket *socket, long long *position, struct pipe_inode_info *pipe, unsigned long length,
	     unsigned int flags, long result)
{
	return function_ends(socket, STETH_RECEIVE, NULL, 0, 0, result, BYTES_IN_PAGES);
}

SEC("fexit/unix_stream_splice_read")
int BPF_PROG(unix_stream_splice_read, struct socket *socket, long long *position, struct pipe_inode_info *pipe, unsigned long size,
	     unsigned int flags, long result)
{
	return function_ends(socket, STETH_RECEIVE, NULL, 0, 0, result, BYTES_IN_PAGES);
}

#endif
