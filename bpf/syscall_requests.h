/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Hook family: exits of system calls, and what has no call: the requests of io_uring.
 *
 * hooked      io_uring_complete: a request and its result
 *             io_uring_submit_req, before 6.4 io_uring_submit_sqe: a request that begins
 * since       Linux 6.0, whose tracepoints hand over requests with a type; before, TCP's positions tell of the bytes at the next call
 * payload     by what the request keeps of its caller's buffer. A vector may change once the request has begun: so one of up to IOVECS_READ segments
 *             is noted then. Declared unread: longer ones, registered buffers, bundles, and buffers that the kernel has chosen for a vector or, from
 *             6.10 on, for a receive that ends with it
 * weaker      completions are told of some at a time. Their order is that of the transfers of one direction, and where several have taken place by
 *             then, each is put behind the one before. The time is that of the completion
 * not seen    what tells of no completion if it succeeds (IOSQE_CQE_SKIP_SUCCESS), and multishots of messages, whose results count more than was
 *             received
 */
#ifndef STETH_SYSCALL_REQUESTS_H
#define STETH_SYSCALL_REQUESTS_H

#include "syscall_exit.h"

/* uapi/linux/io_uring.h */
#define OPERATION_READ_FIXED 4
#define OPERATION_WRITE_FIXED 5
#define RECV_MULTISHOT (1u << 1)      /* IORING_RECV_MULTISHOT */
#define SPECIAL_BUFFER (4u | 16 | 32) /* IORING_RECVSEND_FIXED_BUF, _BUNDLE, IORING_SEND_VECTORIZED */
#define CHOSEN_BUFFER (1u << 0)       /* IORING_CQE_F_BUFFER */

/* What is completed more than once, by its ring and what the caller knows it by: but for the last time, its completions say no more. */
struct uring_name {
	__u64 ring;
	__u64 user_data;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct uring_name);
	__type(value, __u64);
} uring_multishots SEC(".maps");

/* The vector of a request that is under way. */
struct uring_vector {
	__u64 user_data;
	__u64 segments;
	struct iovec vector[IOVECS_READ];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct uring_vector);
} uring_vectors SEC(".maps");

/* What of a request its operation uses begins with its file, and so does the request. */
#define COMMAND(request, type) ((struct type *)((__u64)(request) + bpf_core_field_offset(struct io_kiocb, file)))

static __always_inline void note_vector(struct io_kiocb *request, const struct iovec *vector, __u64 segments)
{
	struct io_ring_ctx *ring = READ(request, ctx);
	struct uring_vector noted = {};
	__u64 key = (__u64)request;
	int i;

	/* What an earlier one at this address had. */
	bpf_map_delete_elem(&uring_vectors, &key);
	if (segments > IOVECS_READ || !bpf_core_field_exists(struct io_ring_ctx, compat) || READ_BITS(ring, compat))
		return;
	noted.user_data = READ(request, cqe.user_data);
	noted.segments = segments;
	for (i = 0; i < IOVECS_READ; i++)
		if (i < segments && bpf_probe_read_user(&noted.vector[i], sizeof(noted.vector[i]), vector + i))
			return;
	bpf_map_update_elem(&uring_vectors, &key, &noted, BPF_ANY);
}

static __always_inline void note_message_of(struct io_kiocb *request)
{
	struct io_sr_msg *command = COMMAND(request, io_sr_msg);
	struct user_msghdr header;

	if (READ(command, flags) & SPECIAL_BUFFER ||
	    bpf_probe_read_user(&header, sizeof(header), (const void *)READ(command, umsg)))
		return;
	note_vector(request, header.msg_iov, header.msg_iovlen);
}

/* Of a receive. */
static __always_inline bool is_multishot(struct io_kiocb *request)
{
	return READ(COMMAND(request, io_sr_msg), flags) & RECV_MULTISHOT;
}

static __always_inline int on_request(struct io_kiocb *request)
{
	struct uring_name name;
	__u64 address = (__u64)request;
	__u8 operation = READ(request, opcode);

	switch (operation) {
	case OPERATION_READV:
	case OPERATION_WRITEV:
		note_vector(request, (const struct iovec *)READ(COMMAND(request, io_rw), addr), READ(COMMAND(request, io_rw), len));
		return 0;
	case OPERATION_SENDMSG:
	case OPERATION_SENDMSG_ZC:
		note_message_of(request);
		return 0;
	case OPERATION_RECVMSG:
		if (!is_multishot(request))
			note_message_of(request);
		return 0;
	case OPERATION_RECV:
		if (!is_multishot(request))
			return 0;
		/* fallthrough */
	case OPERATION_READ_MULTISHOT:
		name.ring = (__u64)READ(request, ctx);
		name.user_data = READ(request, cqe.user_data);
		bpf_map_update_elem(&uring_multishots, &name, &address, BPF_ANY);
		return 0;
	default:
		return 0;
	}
}

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(request_begins, struct io_kiocb *request)
{
	return on_request(request);
}

SEC("tp_btf/io_uring_submit_sqe")
int BPF_PROG(entry_begins, struct io_kiocb *request)
{
	return on_request(request);
}

/* The request that is completed, and not for the last time; NULL: it is not known, or is another one by now. */
static __always_inline struct io_kiocb *multishot_of(__u64 ring, __u64 user_data)
{
	struct uring_name name = { ring, user_data };
	__u64 *found = bpf_map_lookup_elem(&uring_multishots, &name);
	struct io_kiocb *request = found ? (struct io_kiocb *)*found : NULL;

	return request && (__u64)READ(request, ctx) == ring && READ(request, cqe.user_data) == user_data ? request : NULL;
}

static __always_inline void locate_vector(struct scratch *s, struct io_kiocb *request)
{
	__u64 key = (__u64)request;
	struct uring_vector *noted = bpf_map_lookup_elem(&uring_vectors, &key);

	if (!noted || noted->user_data != READ(request, cqe.user_data))
		return;
	__builtin_memcpy(s->segments, noted->vector, sizeof(s->segments));
	/* All of it, which so is read from nowhere else. */
	s->from.segments = noted->segments;
	s->from.loaded = 1;
	bpf_map_delete_elem(&uring_vectors, &key);
}

/* The buffer that the kernel has chosen for a receive. Where it does not keep that (6.10), a multishot's message is still there, and stands behind it. */
static __always_inline const __u8 *chosen_buffer(struct io_kiocb *request, __u32 result)
{
	const __u8 *buffer = READ(COMMAND(request, io_sr_msg), buf);
	struct io_async_msghdr *kept = READ(request, async_data);
	struct iov_iter *iterator;
	__u64 at;

	if (buffer || !kept || !is_multishot(request))
		return buffer;
	iterator = &kept->msg.msg_iter;
	at = READ(iterator, iov_offset);
	if (kind_of(iterator) != ITERATOR_BUFFER || at < result)
		return NULL;
	return (const __u8 *)READ(iterator, ubuf) + (at - result);
}

/* Where the bytes of a request are that has moved so many of them, for locate_in_call(): nowhere, if it has no segments. */
static __always_inline void locate_completed(struct scratch *s, struct io_kiocb *request, __u8 operation, __u32 result, bool chosen)
{
	struct io_sr_msg *message = COMMAND(request, io_sr_msg);
	struct io_rw *read_write = COMMAND(request, io_rw);
	struct source *from = &s->from;
	__u32 done;

	begin_source(from);
	from->segments = 0;
	switch (operation) {
	case OPERATION_RECV:
		if (chosen) {
			from->buffer = READ(message, flags) & SPECIAL_BUFFER ? NULL : chosen_buffer(request, result);
			break;
		}
		/* fallthrough */
	case OPERATION_SEND:
	case OPERATION_SEND_ZC:
		/* It may have taken several turns, and stands behind those before the last one. */
		done = READ(message, done_io);
		if (READ(message, flags) & SPECIAL_BUFFER || done > result || result - done > READ(message, len))
			return;
		from->buffer = (const __u8 *)READ(message, buf) - done;
		break;
	case OPERATION_READ:
	case OPERATION_WRITE:
		if (result > READ(read_write, len))
			return;
		/* fallthrough */
	case OPERATION_READ_MULTISHOT:
		from->buffer = (const __u8 *)READ(read_write, addr);
		break;
	default:
		if (!chosen)
			locate_vector(s, request);
		return;
	}
	from->segments = from->buffer ? result : 0;
}

/* How many bytes of this direction have moved behind those that a completion is about. */
static __always_inline __u32 moved_behind(struct sock *sk, __u32 direction, __u32 length)
{
	struct connection *c = connection_of(sk);
	struct tcp_sock *tp;
	__s32 behind;

	if (!c || !(c->flags & CONNECTION_PLACED) || c->transport != IPPROTO_TCP)
		return 0;
	tp = tcp_sock_of(sk);
	if (!tp || READ(tp, inet_conn.icsk_ulp_ops))
		return 0;
	behind = (direction == STETH_SEND ? READ(tp, write_seq) : READ(tp, copied_seq)) - (__u32)c->offset[direction & 1] - length;
	return behind > 0 ? behind : 0;
}

static __always_inline __u32 direction_completed(__u8 operation)
{
	switch (operation) {
	case OPERATION_READ_FIXED:
		return STETH_RECEIVE;
	case OPERATION_WRITE_FIXED:
		return STETH_SEND;
	default:
		return direction_of(operation);
	}
}

static __always_inline bool by_message(__u8 operation)
{
	return operation == OPERATION_RECV || operation == OPERATION_RECVMSG;
}

/* Puts into the scratch what moved() asks it for. False: the request is not about a socket. Not inlined: what this takes of the stack is free again when that is called. */
static __noinline int completed(struct scratch *s, struct io_kiocb *request, __u32 direction, __u32 result, __u32 entry_flags)
{
	struct sock *sk = socket_in(READ(request, file));
	__u8 operation = READ(request, opcode);

	if (!s || !sk)
		return 0;
	s->sk = (__u64)sk;
	s->registers = 0;
	s->behind = moved_behind(sk, direction, result);
	s->flags = by_message(operation) ? READ(COMMAND(request, io_sr_msg), msg_flags) : 0;
	locate_completed(s, request, operation, result, entry_flags & CHOSEN_BUFFER);
	return 1;
}

SEC("tp_btf/io_uring_complete")
int request_done(__u64 *arguments)
{
	struct io_kiocb *request = (struct io_kiocb *)arguments[1];
	struct io_uring_cqe *entry;
	__u64 user_data;
	__u32 direction, flags;
	struct scratch *s;
	__u8 operation;
	int result;

	if (uring_entries) {
		entry = (struct io_uring_cqe *)arguments[2];
		user_data = READ(entry, user_data);
		result = READ(entry, res);
		flags = READ(entry, flags);
	} else {
		user_data = arguments[2];
		result = arguments[3];
		flags = arguments[4];
	}
	if (result < 0 || !sockets_wanted())
		return 0;
	if (!request)
		request = multishot_of(arguments[0], user_data);
	if (!request)
		return 0;
	operation = READ(request, opcode);
	direction = direction_completed(operation);
	if (direction == NO_DIRECTION || (operation == OPERATION_RECVMSG && is_multishot(request)) ||
	    (direction == STETH_SEND && !result))
		return 0;
	s = scratch_in_task();
	if (!s)
		return transfer_crowded(result);
	if (completed(s, request, direction, result, flags))
		do_left(s, moved(s->slot, direction, s->flags, result), direction, result);
	scratch_done(s);
	return 0;
}

#endif
