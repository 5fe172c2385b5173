/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Reads the payload of the send or receive in progress through the registers with which the task entered the kernel.
 *
 * The bytes are still (send) or already (receive) in the caller's buffer. What cannot be read this way is declared
 * unread: sendfile and splice (no buffer), kernel threads and 32-bit tasks (other call numbers). Of io_uring the registers belong to
 * io_uring_enter; there the request has the message: uring.h. Hooks on functions have it in their hands, and go by that: iterator.h.
 */
#ifndef STETH_CAPTURE_H
#define STETH_CAPTURE_H

#include "uring.h"

/* The next message of the vector; NULL: it cannot be told. */
static __always_inline const struct mmsghdr *next_message(struct task_struct *task, const struct mmsghdr *vector, __u32 length)
{
	struct vector_call *call = vector_call(task);

	if (!call)
		return NULL;
	if (call->vector != vector || call->length != length || call->next >= length) {
		call->vector = vector;
		call->length = length;
		call->next = 0;
	}
	return vector + call->next++;
}

/* The message of the vector that the transfer is of. */
static __always_inline const struct mmsghdr *message_of(struct scratch *s, struct task_struct *task, const struct mmsghdr *vector,
							__u32 length)
{
#ifdef STETH_PLAIN
	if (BY_SYSCALL)
		return s->message;
#endif
	/* Behind one that was missed, each would be taken for the one before it. */
	if (runs_missed)
		return NULL;
	return next_message(task, vector, length);
}

/*
 * A transfer that is not looked at. In a vector it is a message like others, which the next one is behind; or an error, which
 * ends the call before the vector does.
 */
static __always_inline void pass_message(struct scratch *s, int result)
{
	struct task_struct *task = current_task();
	struct vector_call *call;
	struct pt_regs *regs;

	/* At a call's exit all of its messages are there; a function has its own. */
	if (BY_FUNCTION || BY_SYSCALL || READ(task, flags) & PF_KTHREAD)
		return;
	regs = registers_of(s, task);
	if (CALL(regs) != SYS_recvmmsg && CALL(regs) != SYS_sendmmsg)
		return;
	if (result >= 0) {
		next_message(task, (const struct mmsghdr *)ARGUMENT_2(regs), ARGUMENT_3(regs));
		return;
	}
	call = vector_call_of(task);
	if (call)
		call->next = 0;
}

static __always_inline __u32 room_of(__u64 size)
{
	return size < 0xffffffff ? size : 0xffffffff;
}

/* Where the caller's bytes are, by the registers of the call. */
static __always_inline bool locate_in_call(struct scratch *s)
{
	struct source *from = &s->from;
	struct task_struct *task = current_task();
	struct pt_regs *regs;
	__u64 si;

	if (hooks == HOOKS_TRACEPOINT)
		s->moving.found = 0;
#ifdef STETH_PLAIN
	/* It has none, and has been located: syscall_requests.h. */
	if (BY_SYSCALL && !s->registers)
		return s->from.segments;
#endif
	if (READ(task, flags) & PF_KTHREAD)
		return false;
	regs = registers_of(s, task);
	if (!are_native(regs) || !(BY_SYSCALL || in_call(regs)))
		return false;
	si = ARGUMENT_2(regs);
	begin_source(from);
	switch (CALL(regs)) {
	case SYS_read:
	case SYS_write:
	case SYS_sendto:
	case SYS_recvfrom:
		from->buffer = (const __u8 *)si;
		from->segments = room_of(ARGUMENT_3(regs));
		return true;
	case SYS_readv:
	case SYS_writev:
	case SYS_preadv2:
	case SYS_pwritev2:
		from->vector = (const struct iovec *)si;
		from->segments = ARGUMENT_3(regs);
		return true;
	case SYS_sendmmsg:
	case SYS_recvmmsg:
		from->message = message_of(s, task, (const struct mmsghdr *)si, ARGUMENT_3(regs));
		if (!from->message)
			return false;
		si = (__u64)from->message;
		/* fallthrough */
	case SYS_sendmsg:
	case SYS_recvmsg:
		/* A vector and its length, two words beside each other, like a buffer and its own: the stack has no room for a header. */
		if (bpf_probe_read_user(&s->segments[0], sizeof(s->segments[0]), (void *)si + __builtin_offsetof(struct user_msghdr, msg_iov)))
			return false;
		from->vector = s->segments[0].iov_base;
		from->segments = s->segments[0].iov_len;
		return true;
	default:
		return false;
	}
}

/* Where the caller's bytes are. False: they cannot be told. */
static __always_inline bool locate(struct sock *sk, struct scratch *s, const struct transfer *t)
{
	if (BY_FUNCTION)
		return locate_in_message(s);
	if (locate_in_call(s))
		return true;
	return hooks == HOOKS_TRACEPOINT && locate_in_request(sk, s, t);
}

/* Bytes of the caller's, to s->data[at...]. */
static __always_inline long read_data(struct scratch *s, __u32 at, __u32 length, const void *from)
{
	/* Compared after the barrier, the verifier knows the bound of the register that is used; 6.1 has forgotten it by now. */
	barrier_var(length);
	if (length == 0 || length > DATA_MAX)
		return -1;
	if (BY_FUNCTION && s->moving.kind == ITERATOR_KERNEL)
		return bpf_probe_read_kernel(s->data + at, length, from);
	return bpf_probe_read_user(s->data + at, length, from);
}

/* Some of the vector: a system call's is the caller's, a message has the kernel's copy of it. */
static __always_inline long read_segments(struct scratch *s, __u64 count, const struct iovec *from)
{
	if (IN_MESSAGE(s))
		return bpf_probe_read_kernel(s->segments, count * sizeof(struct iovec), from);
	return bpf_probe_read_user(s->segments, count * sizeof(struct iovec), from);
}

static long copy_step(__u64 i, struct scratch **at)
{
	struct scratch *s = *at;
	struct source *from = &s->from;
	const struct iovec *segment;
	__u32 take, to, next;

	if (from->segment >= from->segments || from->done >= from->want)
		return 1;
	next = from->segment++;
	/* Some of the vector at a time, and those once for all copies of a call: each read costs the same, however short. */
	if (next / IOVECS_READ + 1 != from->loaded) {
		__u64 count = from->segments - next;

		if (count > IOVECS_READ)
			count = IOVECS_READ;
		if (read_segments(s, count, from->vector + next))
			return 1;
		from->loaded = next / IOVECS_READ + 1;
	}
	segment = &s->segments[next & (IOVECS_READ - 1)];
	if (from->skip >= segment->iov_len) {
		from->skip -= segment->iov_len;
		from->before += segment->iov_len;
		from->cursor = from->segment;
		return 0;
	}
	take = from->want - from->done;
	if (take > segment->iov_len - from->skip)
		take = segment->iov_len - from->skip;
	to = (from->at + from->done) & (DATA_SPAN - 1);
	if (read_data(s, to, take, (__u8 *)segment->iov_base + from->skip))
		return 1;
	from->done += take;
	if (from->skip + take == segment->iov_len) {
		from->before += segment->iov_len;
		from->cursor = from->segment;
	}
	from->skip = 0;
	return 0;
}
LOOP_STEP(copy_step)

/*
 * Copies bytes [skip, skip + want) of the transfer that locate() has found to s->data[at...]. Returns how many could be
 * copied. A function of its own for the verifier, which so follows it once.
 */
OF_SCRATCH(copy, (__u32 at, __u32 skip, __u32 want), (at, skip, want))
{
	if (!s)
		return 0;
	/* Of a datagram that was cut, no more than the caller was given. */
	if (BY_FUNCTION && skip + (__u64)want > s->moving.moved)
		want = skip < s->moving.moved ? s->moving.moved - skip : 0;
	if (want > DATA_MAX)
		want = DATA_MAX;
	if (want == 0)
		return 0;
	if (s->from.buffer) {
		/* A datagram may be longer than what is there for it, and the result say so (MSG_TRUNC). */
		if (skip >= s->from.segments)
			return 0;
		if (want > s->from.segments - skip)
			want = s->from.segments - skip;
		return read_data(s, at & (DATA_SPAN - 1), want, s->from.buffer + skip) ? 0 : want;
	}
	if (IN_MESSAGE(s))
		skip += s->moving.first;
	/* What is behind the last copy need not be looked for from the beginning. */
	if (skip < s->from.before)
		s->from.cursor = s->from.before = 0;
	s->from.segment = s->from.cursor;
	s->from.done = 0;
	s->from.at = at;
	s->from.skip = skip - s->from.before;
	s->from.want = want;
	LOOP(IOVECS_MAX, copy_step);
	return s->from.done;
}

#endif
