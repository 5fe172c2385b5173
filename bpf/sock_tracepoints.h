/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Hook family: the sock tracepoints, kernel 6.3 and newer.
 *
 * hooked      sock_send_length and sock_recv_length: every send and receive on every kind of socket, whatever call made it
 * why here    a typed, trusted socket; nothing that is not a socket passes; no kprobes are needed
 * not seen    splice out of a socket: the position tells of it at the next receive
 */
#ifndef STETH_SOCK_TRACEPOINTS_H
#define STETH_SOCK_TRACEPOINTS_H

#include "core.h"

SEC("tp_btf/sock_send_length")
int BPF_PROG(sock_send_length, struct sock *sk, int ret, int flags)
{
	if (sockets_wanted())
		on_send(sk, scratch_of(IN_TASK), ret, BYTES_READABLE);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(sock_recv_length, struct sock *sk, int ret, int flags)
{
	if (sockets_wanted())
		on_receive(sk, scratch_of(IN_TASK), ret, flags, BYTES_READABLE);
	return 0;
}

#endif
