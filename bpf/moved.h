/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The plain core's transfer, as a function of its own for the verifier, which so follows it once whatever the kernel: of sockets that are
 * addresses, and of calls that are over.
 */
#ifndef STETH_MOVED_H
#define STETH_MOVED_H

#include "core.h"

/* `length` bytes have moved between the current task and s->sk. Returns what is left of it for do_left(). */
static __always_inline int moved_as(__u32 slot, __u32 direction, __u32 flags, __u32 length, enum bytes bytes)
{
	struct scratch *s = scratch_of(slot);
	struct sock *sk;

	if (!s)
		return NOTHING_LEFT;
	sk = (struct sock *)s->sk;
	direction &= 1;
	if (direction == STETH_RECEIVE && !takes(sk, s, length, flags))
		return NOTHING_LEFT;
	if (length)
		return transfer(sk, s, direction, length, direction == STETH_RECEIVE ? received(sk, flags, bytes) : bytes);
	return NOTHING_LEFT;
}

__attribute__((noinline)) int moved(__u32 slot, __u32 direction, __u32 flags, __u32 length)
{
	return moved_as(slot, direction, flags, length, BYTES_READABLE);
}

__attribute__((noinline)) int moved_in_pages(__u32 slot, __u32 direction, __u32 flags, __u32 length)
{
	return moved_as(slot, direction, flags, length, BYTES_IN_PAGES);
}

__attribute__((noinline)) int moved_and_counted(__u32 slot, __u32 direction, __u32 flags, __u32 length)
{
	return moved_as(slot, direction, flags, length, BYTES_COUNTED);
}

/* A sendmsg has returned. */
static __always_inline void sent(struct sock *sk, struct scratch *s, int result)
{
	if (result <= 0) {
		pass_message(s, result);
		return;
	}
	s->sk = (__u64)sk;
	do_left(s, moved(s->slot, STETH_SEND, 0, result), STETH_SEND, result);
}

/* A recvmsg has returned. */
static __always_inline void taken(struct sock *sk, struct scratch *s, int result, int flags)
{
	s->sk = (__u64)sk;
	do_left(s, moved(s->slot, STETH_RECEIVE, flags, result), STETH_RECEIVE, result);
}

#endif
