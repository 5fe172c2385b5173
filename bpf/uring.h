/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Where the bytes are that io_uring moves, for hooks that are handed a socket and a result. Its request keeps an iterator over them; but neither the
 * socket nor the task leads to the request. So it is noted: with the task before each first try (io_uring_submit_req, Linux 6.4), when it has no file
 * yet; and by its socket when it begins to wait (io_uring_poll_arm), once for all of a multishot. A worker thread says what it works at.
 *
 * What was noted is an address, and the request may be another one by now. It counts only if its file is this socket, its operation is of this
 * direction, and it has an iterator (since 6.10 each has one) that can be the transfer's:
 *
 *   sends, receives   the iterator itself has moved, by as much as the result says, or more
 *   reads, writes     a copy of it moves, and it still is as at the beginning: it has as many bytes as the result says, or more. Where another read of
 *                     the same socket waits, that may be the one; then neither is taken
 *
 * A request that was freed and taken again fails there, or is the right one.
 *
 * Whoever uses io_uring for files does not pay for it: the programs are hung once an observed socket has moved bytes by it. What moved before that is
 * declared unread, and no try to tell its protocol is used up by it.
 */
#ifndef STETH_URING_H
#define STETH_URING_H

#include "iterator.h"
#include "uring_types.h"

/* enum io_uring_op (uapi/linux/io_uring.h) */
enum {
	OPERATION_READV = 1,
	OPERATION_WRITEV = 2,
	OPERATION_SENDMSG = 9,
	OPERATION_RECVMSG = 10,
	OPERATION_READ = 22,
	OPERATION_WRITE = 23,
	OPERATION_SEND = 26,
	OPERATION_RECV = 27,
	OPERATION_SEND_ZC = 47,
	OPERATION_SENDMSG_ZC = 48,
	OPERATION_READ_MULTISHOT = 49,
};

#define NO_DIRECTION 2

static __always_inline __u32 direction_of(__u8 operation)
{
	switch (operation) {
	case OPERATION_WRITEV:
	case OPERATION_SENDMSG:
	case OPERATION_WRITE:
	case OPERATION_SEND:
	case OPERATION_SEND_ZC:
	case OPERATION_SENDMSG_ZC:
		return STETH_SEND;
	case OPERATION_READV:
	case OPERATION_RECVMSG:
	case OPERATION_READ:
	case OPERATION_RECV:
	case OPERATION_READ_MULTISHOT:
		return STETH_RECEIVE;
	default:
		return NO_DIRECTION;
	}
}

/* Whether what moves is a copy of its iterator. */
static __always_inline bool moves_copy(__u8 operation)
{
	switch (operation) {
	case OPERATION_READV:
	case OPERATION_WRITEV:
	case OPERATION_READ:
	case OPERATION_WRITE:
	case OPERATION_READ_MULTISHOT:
		return true;
	default:
		return false;
	}
}

struct uring_end {
	__u64 socket;
	__u64 direction;
};

struct uring_wait {
	__u64 request;
	__u64 several; /* another one waited for the same already */
};

/* The request that began to wait last, by what it waits for. Of one that is put out, the payload is declared unread. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct uring_end);
	__type(value, struct uring_wait);
} uring_waiting SEC(".maps");

/* The iterator of what was noted, if that may be of this socket and direction. */
static __always_inline struct iov_iter *iterator_of(struct io_kiocb *request, const struct uring_end *end)
{
	__u8 operation;
	void *kept;

	if (!request)
		return NULL;
	operation = BPF_CORE_READ(request, opcode);
	if (direction_of(operation) != end->direction || (__u64)BPF_CORE_READ(request, file, private_data) != end->socket)
		return NULL;
	kept = BPF_CORE_READ(request, async_data);
	if (!kept)
		return NULL;
	if (!moves_copy(operation))
		return &((struct io_async_msghdr *)kept)->msg.msg_iter;
	return bpf_core_field_exists(struct io_async_rw, iter) ? &((struct io_async_rw *)kept)->iter : NULL;
}

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(io_uring_submit_req, struct io_kiocb *request)
{
	struct vector_call *call;

	if (direction_of(READ(request, opcode)) == NO_DIRECTION)
		return 0;
	call = vector_call(current_task());
	if (call)
		call->request = (__u64)request;
	return 0;
}

SEC("tp_btf/io_uring_poll_arm")
int BPF_PROG(io_uring_poll_arm, struct io_kiocb *request, int mask, int events)
{
	struct uring_end end = { .direction = direction_of(READ(request, opcode)) };
	struct uring_wait wait = { .request = (__u64)request }, *before;

	if (end.direction == NO_DIRECTION)
		return 0;
	end.socket = (__u64)BPF_CORE_READ(request, file, private_data);
	if (!end.socket)
		return 0;
	before = bpf_map_lookup_elem(&uring_waiting, &end);
	wait.several = before && before->request != wait.request && iterator_of((struct io_kiocb *)before->request, &end);
	bpf_map_update_elem(&uring_waiting, &end, &wait, BPF_ANY);
	return 0;
}

/* What the task has begun last, or works at. */
static __always_inline struct io_kiocb *request_of(struct task_struct *task)
{
	struct vector_call *call;
	struct io_worker *worker;
	__u64 work;

	if (READ(task, flags) & PF_IO_WORKER && bpf_core_field_exists(struct task_struct, worker_private)) {
		worker = (struct io_worker *)READ(task, worker_private);
		work = worker ? (__u64)BPF_CORE_READ(worker, cur_work) : 0;
		if (work)
			return (struct io_kiocb *)(work - bpf_core_field_offset(struct io_kiocb, work));
	}
	call = vector_call_of(task);
	return call ? (struct io_kiocb *)call->request : NULL;
}

/* Of an iterator that is as before the transfer of so many bytes. */
static __always_inline int locate_ahead(struct scratch *s, __u64 segments, __u32 length)
{
	struct moving *moving = &s->moving;
	struct source *from = &s->from;

	if (moving->left < length)
		return 0;
	moving->moved = length;
	begin_source(from);
	if (moving->kind == ITERATOR_BUFFER) {
		moving->first = 0;
		from->buffer = (const __u8 *)moving->base + moving->at;
		from->segments = 0xffffffff;
		return 1;
	}
	moving->first = moving->at;
	from->vector = (const struct iovec *)moving->base;
	from->segments = segments;
	return moving->kind == ITERATOR_USER;
}

#ifndef STETH_PLAIN
extern void *bpf_rdonly_cast(const void *object, __u32 type) __ksym __weak; /* 6.2 */
#endif

enum found { NOT_FOUND, FOUND, FOUND_BEHIND };

/*
 * Looks for the request that the transfer on s->moving.socket is of. What is FOUND is located; FOUND_BEHIND: its iterator has moved, and where the bytes
 * are before it the caller has to find out. What that takes of the stack, the plain core has there alone.
 */
OF_SCRATCH(find_request, (__u32 direction, __u32 length), (direction, length))
{
	struct task_struct *task = current_task();
	struct uring_end end = { .direction = direction };
	struct iov_iter *iterator = NULL;
	struct io_kiocb *request;
	struct uring_wait *waiting;

	if (!s || hooks != HOOKS_TRACEPOINT || !bpf_core_field_exists(struct task_struct, io_uring) ||
	    !bpf_core_field_exists(struct io_async_msghdr, msg) || !bpf_core_field_exists(struct io_kiocb, async_data))
		return NOT_FOUND;
	if (control.uring != URING_FOLLOWED) {
		if (control.uring == URING_UNSEEN && (READ(task, io_uring) || READ(task, flags) & PF_IO_WORKER))
			control.uring = URING_SEEN;
		return NOT_FOUND;
	}
	if (!s->moving.socket)
		return NOT_FOUND;
	end.socket = s->moving.socket;
	waiting = bpf_map_lookup_elem(&uring_waiting, &end);
	request = request_of(task);
	iterator = iterator_of(request, &end);
	if (!iterator && waiting) {
		request = (struct io_kiocb *)waiting->request;
		iterator = iterator_of(request, &end);
	}
	if (!iterator)
		return NOT_FOUND;
#ifndef STETH_PLAIN
	iterator = bpf_rdonly_cast(iterator, iterator_type);
#else
	s->moving.message = 0;
#endif
	note_iterator(s, iterator);
	s->moving.name = 0;
	s->moving.found = 1;
	if (moves_copy(BPF_CORE_READ(request, opcode)))
		return waiting && waiting->several ? NOT_FOUND : locate_ahead(s, READ(iterator, nr_segs), length);
	s->moving.size = s->moving.left + length;
	/* Nobody hands vectors of the kernel to a request. */
	return s->moving.kind == ITERATOR_KERNEL ? NOT_FOUND : FOUND_BEHIND;
}

static __always_inline bool locate_in_request(struct sock *sk, struct scratch *s, const struct transfer *t)
{
	int found;

	s->moving.socket = (__u64)BPF_CORE_READ(sk, sk_socket);
	found = find_request(s, t->direction, t->length);
	return found == FOUND_BEHIND ? locate_in_message(s) : found;
}

/* Whether the bytes were found by a message: a vector is the kernel's copy of it then. */
#define IN_MESSAGE(s) (BY_FUNCTION || (hooks == HOOKS_TRACEPOINT && (s)->moving.found))

#endif
