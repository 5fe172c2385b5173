/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Hook family: the functions of the socket layer, for kernels that have no sock tracepoints (before 6.3).
 *
 * hooked      the ends of inet_sendmsg, inet_recvmsg and their IPv6 twins: every send and receive on TCP and UDP, whatever call made it. They
 *             are one level above tcp_sendmsg and udp_sendmsg: four functions see what twelve would below, and what a TLS layer in
 *             the kernel puts in their place passes them too
 *             inet_sendpage, unix_stream_sendpage: sendfile and splice into a socket; gone in 6.5, where those come as messages
 *             tcp_splice_read, unix_stream_splice_read: splice out of a socket, which the tracepoints see from the offset only
 *             unix_stream_*msg, unix_dgram_*msg, unix_seqpacket_*msg
 *             and the tracepoints of the other family, but for its two
 * why here    the message is an argument, so a payload is found by its iterator and not by the caller's registers: iterator.h
 * not seen    sockets that are of neither family (netlink, packet, vsock): the tracepoints count them, nobody looks at them
 * cost        docs/kernels.md
 */
#ifndef STETH_SOCK_FUNCTIONS_H
#define STETH_SOCK_FUNCTIONS_H

#include "core.h"

/* What a send brought: `size` bytes were asked for. */
static __always_inline int function_sent(struct socket *socket, struct msghdr *message, unsigned long size, int result)
{
	struct sock *sk = socket->sk;
	struct scratch *s = scratch_of(IN_TASK);

	if (last_stage <= STAGE_HOOK || !control.attached || !sk || !s)
		return 0;
	s->message = message;
	s->size = size;
	on_send(sk, result);
	return 0;
}

static __always_inline int function_received(struct socket *socket, struct msghdr *message, unsigned long size, int flags, int result)
{
	struct sock *sk = socket->sk;
	struct scratch *s = scratch_of(IN_TASK);

	if (last_stage <= STAGE_HOOK || !control.attached || !sk || !s)
		return 0;
	s->message = message;
	s->size = size;
	on_receive(sk, result, flags);
	return 0;
}

/* Pages that were moved into the socket, or out of it: no message, so nothing of them is read. */
static __always_inline int function_moved(struct socket *socket, __u8 direction, long result)
{
	struct sock *sk = socket->sk;
	struct scratch *s = scratch_of(IN_TASK);

	if (last_stage <= STAGE_HOOK || !control.attached || !sk || !s || result <= 0)
		return 0;
	s->message = NULL;
	transfer(sk, direction, result);
	return 0;
}

SEC("fexit/inet_sendmsg")
int BPF_PROG(inet_sendmsg, struct socket *socket, struct msghdr *message, unsigned long size, int result)
{
	return function_sent(socket, message, size, result);
}

SEC("fexit/inet6_sendmsg")
int BPF_PROG(inet6_sendmsg, struct socket *socket, struct msghdr *message, unsigned long size, int result)
{
	return function_sent(socket, message, size, result);
}

SEC("fexit/inet_recvmsg")
int BPF_PROG(inet_recvmsg, struct socket *socket, struct msghdr *message, unsigned long size, int flags, int result)
{
	return function_received(socket, message, size, flags, result);
}

SEC("fexit/inet6_recvmsg")
int BPF_PROG(inet6_recvmsg, struct socket *socket, struct msghdr *message, unsigned long size, int flags, int result)
{
	return function_received(socket, message, size, flags, result);
}

SEC("fexit/unix_stream_sendmsg")
int BPF_PROG(unix_stream_sendmsg, struct socket *socket, struct msghdr *message, unsigned long size, int result)
{
	return function_sent(socket, message, size, result);
}

SEC("fexit/unix_stream_recvmsg")
int BPF_PROG(unix_stream_recvmsg, struct socket *socket, struct msghdr *message, unsigned long size, int flags, int result)
{
	return function_received(socket, message, size, flags, result);
}

/* What unix_seqpacket_sendmsg() is made of too; whether its call is seen here is the compiler's choice, so it is told there. */
static __always_inline bool is_datagram(struct socket *socket)
{
	struct sock *sk = socket->sk;

	return sk && sk->sk_type == SOCK_DGRAM;
}

SEC("fexit/unix_dgram_sendmsg")
int BPF_PROG(unix_dgram_sendmsg, struct socket *socket, struct msghdr *message, unsigned long size, int result)
{
	return is_datagram(socket) ? function_sent(socket, message, size, result) : 0;
}

SEC("fexit/unix_dgram_recvmsg")
int BPF_PROG(unix_dgram_recvmsg, struct socket *socket, struct msghdr *message, unsigned long size, int flags, int result)
{
	return is_datagram(socket) ? function_received(socket, message, size, flags, result) : 0;
}

SEC("fexit/unix_seqpacket_sendmsg")
int BPF_PROG(unix_seqpacket_sendmsg, struct socket *socket, struct msghdr *message, unsigned long size, int result)
{
	return function_sent(socket, message, size, result);
}

SEC("fexit/unix_seqpacket_recvmsg")
int BPF_PROG(unix_seqpacket_recvmsg, struct socket *socket, struct msghdr *message, unsigned long size, int flags, int result)
{
	return function_received(socket, message, size, flags, result);
}

/* Of other sockets than these, a page becomes a message that passes inet_sendmsg(): sock_no_sendpage(). */
SEC("fexit/inet_sendpage")
int BPF_PROG(inet_sendpage, struct socket *socket, struct page *page, int offset, unsigned long size, int flags, long result)
{
	struct sock *sk = socket->sk;

	if (!sk || transport_of(sk) == TRANSPORT_OTHER)
		return 0;
	return function_moved(socket, STETH_SEND, result);
}

SEC("fexit/unix_stream_sendpage")
int BPF_PROG(unix_stream_sendpage, struct socket *socket, struct page *page, int offset, unsigned long size, int flags, long result)
{
	return function_moved(socket, STETH_SEND, result);
}

SEC("fexit/tcp_splice_read")
int BPF_PROG(tcp_splice_read, struct socket *socket, long long *position, struct pipe_inode_info *pipe, unsigned long length,
	     unsigned int flags, long result)
{
	return function_moved(socket, STETH_RECEIVE, result);
}

SEC("fexit/unix_stream_splice_read")
int BPF_PROG(unix_stream_splice_read, struct socket *socket, long long *position, struct pipe_inode_info *pipe, unsigned long size,
	     unsigned int flags, long result)
{
	return function_moved(socket, STETH_RECEIVE, result);
}

#endif
