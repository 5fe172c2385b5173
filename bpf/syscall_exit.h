/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Hook family: exits of system calls, where nothing closer to the sockets can be hooked.
 *
 * hooked      sys_exit: the call and its arguments by the saved registers, the socket by the task's table of files
 * why here    it is there wherever tracepoints are
 * not seen    transfers without a call of their own: kernel threads, and 32-bit tasks (of io_uring: syscall_requests.h). TCP's positions tell
 *             of their bytes at the next call, and the books count them
 * weaker      it runs at the end of every call of every process. The socket is what the descriptor stands for at the exit: a thread
 *             that has closed it meanwhile takes the transfer out of sight. A sendmmsg's messages all have the time of its end
 */
#ifndef STETH_SYSCALL_EXIT_H
#define STETH_SYSCALL_EXIT_H

#include "moved.h"

#define S_IFMT 0170000
#define S_IFSOCK 0140000
/* UIO_MAXIOV */
#define MESSAGES_MAX 1024

/* The socket that a file is; NULL: it is something else. */
static __always_inline struct sock *socket_in(struct file *file)
{
	struct socket *socket;

	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	/* A socket's name in a file system can be opened (O_PATH), and is no socket. */
	socket = BPF_CORE_READ(file, private_data);
	if (!socket || BPF_CORE_READ(socket, file) != file)
		return NULL;
	return BPF_CORE_READ(socket, sk);
}

/* The same of a descriptor of the current task. */
static __noinline struct sock *socket_of(int descriptor)
{
	struct fdtable *table = BPF_CORE_READ(current_task(), files, fdt);
	struct file **files, *file = NULL;

	if ((__u32)descriptor >= BPF_CORE_READ(table, max_fds))
		return NULL;
	files = BPF_CORE_READ(table, fd);
	if (bpf_probe_read_kernel(&file, sizeof(file), files + descriptor))
		return NULL;
	return socket_in(file);
}

/* How many bytes the next message of the vector has moved. */
static __always_inline __u32 next_length(struct scratch *s)
{
	__u32 length = 0;

	bpf_probe_read_user(&length, sizeof(length), &s->message[s->next_message].msg_len);
	return length;
}

/* The same for the loops over all messages: of a function that is handed numbers the verifier follows a loop's turn once. */
__attribute__((noinline)) int add_message(__u32 slot)
{
	struct scratch *s = scratch_of(slot);

	if (!s || s->next_message >= s->messages)
		return 0;
	s->all += next_length(s);
	s->next_message++;
	return 1;
}

__attribute__((noinline)) int moved_message(__u32 slot, __u32 direction, __u32 flags)
{
	struct scratch *s = scratch_of(slot);
	const struct mmsghdr *vector;
	__u32 length;

	if (!s || s->next_message >= s->messages)
		return 0;
	length = next_length(s);
	s->all -= length;
	s->behind = s->all;
	vector = s->message;
	s->message = vector + s->next_message++;
	do_left(s, moved(s->slot, direction, flags, length), direction, length);
	s->message = vector;
	return 1;
}

static __always_inline void moved_messages(struct scratch *s, __u32 direction, __u32 flags)
{
	__u32 i;

	s->all = s->next_message = 0;
	for (i = 0; i < MESSAGES_MAX; i++)
		if (!add_message(s->slot))
			break;
	s->next_message = 0;
	for (i = 0; i < MESSAGES_MAX; i++)
		if (!moved_message(s->slot, direction, flags))
			break;
}

/* A call of the current task has returned. */
static __always_inline void on_call(struct pt_regs *regs, long call, long result)
{
	int descriptor = ARGUMENT_1(regs);
	__u32 direction = STETH_RECEIVE, flags = 0;
	struct connection *c;
	struct scratch *s;
	struct sock *sk;

	if (!are_native(regs))
		return;
	switch (call) {
	case SYS_recvfrom:
	case SYS_recvmmsg:
		flags = ARGUMENT_4(regs);
		break;
	case SYS_recvmsg:
		flags = ARGUMENT_3(regs);
		break;
	case SYS_write:
	case SYS_writev:
	case SYS_pwritev2:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_sendmmsg:
	case SYS_sendfile:
		direction = STETH_SEND;
		break;
	case SYS_accept:
	case SYS_accept4:
		descriptor = result;
		break;
	}
	s = scratch_of(IN_TASK);
	if (!s)
		return;
	s->registers = (__u64)regs;
	s->behind = 0;
	sk = socket_of(descriptor);
	if (!sk && call == SYS_splice) {
		sk = socket_of(ARGUMENT_3(regs));
		direction = STETH_SEND;
	}
	if (!sk)
		return;
	if (call == SYS_accept || call == SYS_accept4) {
		c = connection_of(sk);
		if (c)
			accepted(c);
		return;
	}
	s->sk = (__u64)sk;
	if (call == SYS_sendmmsg || call == SYS_recvmmsg) {
		s->message = (const struct mmsghdr *)ARGUMENT_2(regs);
		s->messages = result;
		moved_messages(s, direction, flags);
	} else {
		do_left(s, moved(s->slot, direction, flags, result), direction, result);
	}
}

/* Nearly all calls are none of these. */
static __always_inline bool is_transfer(long call, long result)
{
	switch (call) {
	case SYS_read:
	case SYS_readv:
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_preadv2:
	case SYS_accept:
	case SYS_accept4:
		return result >= 0;
	case SYS_write:
	case SYS_writev:
	case SYS_sendfile:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_splice:
	case SYS_sendmmsg:
	case SYS_recvmmsg:
	case SYS_pwritev2:
		return result > 0;
	default:
		return false;
	}
}

SEC("tp_btf/sys_exit")
int BPF_PROG(sys_exit, struct pt_regs *regs, long result)
{
	/* Typed here where they can be, whatever the core takes them for: this much runs for every call. */
	long call = own_types ? (long)regs->CALL_NUMBER : (long)READ(regs, CALL_NUMBER);

	if (is_transfer(call, result) && sockets_wanted())
		on_call(regs, call, result);
	return 0;
}

#endif
