/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Reads the payload of the send or receive in progress through the registers with which the task entered the kernel.
 *
 * The bytes are still (send) or already (receive) in the caller's buffer. What cannot be read this way is declared
 * unread: sendfile and splice (no buffer), io_uring (the registers belong to io_uring_enter), kernel threads and 32-bit
 * tasks (other call numbers).
 */
#ifndef STETH_CAPTURE_H
#define STETH_CAPTURE_H

#include "state.h"

#ifndef __TARGET_ARCH_x86
#error "the payload reader knows the registers of x86-64 only"
#endif

#define PF_KTHREAD 0x00200000
#define USER_CS 0x33

enum { /* arch/x86/entry/syscalls/syscall_64.tbl */
	SYS_read = 0,
	SYS_write = 1,
	SYS_readv = 19,
	SYS_writev = 20,
	SYS_sendto = 44,
	SYS_recvfrom = 45,
	SYS_sendmsg = 46,
	SYS_recvmsg = 47,
	SYS_recvmmsg = 299,
	SYS_sendmmsg = 307,
	SYS_preadv2 = 327,
	SYS_pwritev2 = 328,
};

#define IOVECS_MAX 1024 /* UIO_MAXIOV */

static __always_inline struct vector_call *vector_call(struct task_struct *task)
{
	return bpf_task_storage_get(&vector_calls, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

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

/*
 * A transfer that is not looked at. In a vector it is a message like others, which the next one is behind; or an error, which
 * ends the call before the vector does.
 */
static __always_inline void pass_message(int result)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct vector_call *call;
	struct pt_regs *regs;

	if (task->flags & PF_KTHREAD)
		return;
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	if (regs->orig_ax != SYS_recvmmsg && regs->orig_ax != SYS_sendmmsg)
		return;
	if (result >= 0) {
		next_message(task, (const struct mmsghdr *)regs->si, regs->dx);
		return;
	}
	call = bpf_task_storage_get(&vector_calls, task, NULL, 0);
	if (call)
		call->next = 0;
}

/* Where the caller's bytes are. False: they cannot be told. */
static __always_inline bool locate(struct scratch *s)
{
	struct source *from = &s->from;
	struct task_struct *task = bpf_get_current_task_btf();
	struct user_msghdr header;
	struct pt_regs *regs;
	__u64 si;

	if (task->flags & PF_KTHREAD)
		return false;
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	/*
	 * The result stands in `ax` once the call is done (entry_SYSCALL_64, do_syscall_64). What runs then is task work, of io_uring
	 * for example, and the registers are of a call that has nothing to do with it.
	 */
	if (regs->cs != USER_CS || regs->ax != (unsigned long)-ENOSYS)
		return false;
	si = regs->si;
	from->buffer = NULL;
	from->vector = NULL;
	from->loaded = 0;
	from->cursor = 0;
	from->before = 0;
	from->message = NULL;
	switch (regs->orig_ax) {
	case SYS_read:
	case SYS_write:
	case SYS_sendto:
	case SYS_recvfrom:
		from->buffer = (const __u8 *)si;
		return true;
	case SYS_readv:
	case SYS_writev:
	case SYS_preadv2:
	case SYS_pwritev2:
		from->vector = (const struct iovec *)si;
		from->segments = regs->dx;
		return true;
	case SYS_sendmmsg:
	case SYS_recvmmsg:
		from->message = next_message(task, (const struct mmsghdr *)si, regs->dx);
		if (!from->message)
			return false;
		si = (__u64)from->message;
		/* fallthrough */
	case SYS_sendmsg:
	case SYS_recvmsg:
		if (bpf_probe_read_user(&header, sizeof(header), (void *)si))
			return false;
		from->vector = header.msg_iov;
		from->segments = header.msg_iovlen;
		return true;
	default:
		return false;
	}
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
		if (bpf_probe_read_user(s->segments, count * sizeof(struct iovec), from->vector + next))
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
	barrier_var(take);
	if (take == 0 || take > DATA_MAX)
		return 1;
	if (bpf_probe_read_user(s->data + to, take, (__u8 *)segment->iov_base + from->skip))
		return 1;
	from->done += take;
	if (from->skip + take == segment->iov_len) {
		from->before += segment->iov_len;
		from->cursor = from->segment;
	}
	from->skip = 0;
	return 0;
}

/*
 * Copies bytes [skip, skip + want) of the transfer that locate() has found to s->data[at...]. Returns how many could be
 * copied. A function of its own for the verifier, which so follows it once.
 */
__attribute__((noinline)) int copy(struct scratch *s, __u32 at, __u32 skip, __u32 want)
{
	if (!s)
		return 0;
	/* Compared after the barrier, the verifier knows the bound of the register that is used. */
	barrier_var(want);
	if (want > DATA_MAX)
		want = DATA_MAX;
	if (want == 0)
		return 0;
	if (s->from.buffer)
		return bpf_probe_read_user(s->data + (at & (DATA_SPAN - 1)), want, s->from.buffer + skip) ? 0 : want;
	/* What is behind the last copy need not be looked for from the beginning. */
	if (skip < s->from.before)
		s->from.cursor = s->from.before = 0;
	s->from.segment = s->from.cursor;
	s->from.done = 0;
	s->from.at = at;
	s->from.skip = skip - s->from.before;
	s->from.want = want;
	STETH_LOOP(IOVECS_MAX, copy_step, &s);
	return s->from.done;
}

#endif
