/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Hook family: the sock tracepoints, kernel 6.3 and newer.
 *
 * hooked      sock_send_length and sock_recv_length: every send and receive on every kind of socket, whatever call made it
 * why here    a typed, trusted socket; nothing that is not a socket passes; no kprobes are needed
 * payload     by the registers of the call, or by the request of io_uring (uring.h)
 * not seen    splice out of a socket: the position tells of it at the next receive
 * weaker      on Linux 7 such programs may be preempted. The same one the kernel does not run twice on a CPU: the transfer is missed, and the
 *             kernel counts it. There sock_events.h comes before this
 */
#ifndef STETH_SOCK_TRACEPOINTS_H
#define STETH_SOCK_TRACEPOINTS_H

#include "core.h"
#ifdef STETH_PLAIN
#include "moved.h"
#else
#define sent(sk, s, result) on_send(sk, s, result, BYTES_READABLE)
#define taken(sk, s, result, flags) on_receive(sk, s, result, flags, BYTES_READABLE)
#endif

SEC("tp_btf/sock_send_length")
int BPF_PROG(sock_send_length, struct sock *sk, int ret, int flags)
{
	struct scratch *s;

	if (!sockets_wanted())
		return 0;
	s = scratch_in_task();
	if (!s)
		return transfer_crowded(ret);
	sent(sk, s, ret);
	scratch_done(s);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(sock_recv_length, struct sock *sk, int ret, int flags)
{
	struct scratch *s;

	if (!sockets_wanted())
		return 0;
	s = scratch_in_task();
	if (!s)
		return transfer_crowded(ret);
	taken(sk, s, ret, flags);
	scratch_done(s);
	return 0;
}

#endif
