/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Where the bytes of a message are, by its iterator. A hook at the end of a call finds the iterator behind what has moved: `size` bytes were
 * there at the beginning, `left` are now, and what lies between is looked for backwards. So nothing has to be kept from the
 * call's beginning, and it makes no difference who has called: a system call, of 32 bits too, io_uring, or the kernel itself.
 *
 * One buffer (ubuf), a vector of the caller's (iovec) and one of the kernel's (kvec) are read. What is in pages and has no address (bvec,
 * folios: sendfile, splice, registered buffers) is declared unread.
 */
#ifndef STETH_ITERATOR_H
#define STETH_ITERATOR_H

#include "registers.h"

#define IOVECS_MAX 1024 /* UIO_MAXIOV */

enum iterator_kind { ITERATOR_UNREADABLE, ITERATOR_BUFFER, ITERATOR_USER, ITERATOR_KERNEL };

/* The kinds have had other numbers before 6.4, and another place before 5.14. */
static __always_inline enum iterator_kind kind_of(struct iov_iter *iterator)
{
	__u32 type;

	if (bpf_core_field_exists(struct iov_iter, iter_type))
		type = READ(iterator, iter_type);
	else
		/* The lowest bit is the direction. */
		type = READ((struct iov_iter___direction *)iterator, type) & ~1u;
	if (bpf_core_enum_value_exists(enum iter_type, ITER_UBUF) && type == bpf_core_enum_value(enum iter_type, ITER_UBUF))
		return ITERATOR_BUFFER;
	if (type == bpf_core_enum_value(enum iter_type, ITER_IOVEC))
		return ITERATOR_USER;
	if (type == bpf_core_enum_value(enum iter_type, ITER_KVEC))
		return ITERATOR_KERNEL;
	return ITERATOR_UNREADABLE;
}

/* The buffer, or the segment that the iterator stands in. What a vector's segments are called has changed in 6.4. */
static __always_inline __u64 base_of(struct iov_iter *iterator, enum iterator_kind kind)
{
	switch (kind) {
	case ITERATOR_BUFFER:
		return (__u64)READ(iterator, ubuf);
	case ITERATOR_KERNEL:
		return (__u64)READ(iterator, kvec);
	case ITERATOR_USER:
		if (bpf_core_field_exists(struct iov_iter, __iov))
			return (__u64)READ(iterator, __iov);
		return (__u64)READ((struct iov_iter___iov *)iterator, iov);
	default:
		return 0;
	}
}

/* What is needed of an iterator, to the scratch. */
static __always_inline void note_iterator(struct scratch *s, struct iov_iter *iterator)
{
	enum iterator_kind kind = kind_of(iterator);

	s->moving.kind = kind;
	s->moving.left = READ(iterator, count);
	s->moving.at = READ(iterator, iov_offset);
	s->moving.base = base_of(iterator, kind);
}

static __always_inline void note_message(struct scratch *s, struct msghdr *message)
{
	note_iterator(s, &message->msg_iter);
	s->moving.name = (__u64)READ(message, msg_name);
}

/* One segment back. `before` of the source: bytes that are still to be found; `cursor`: how many of them this segment may hold. */
static long back_step(__u64 i, struct scratch **at)
{
	struct scratch *s = *at;
	struct source *from = &s->from;
	__u64 length = 0;

	if (from->before <= from->cursor)
		return 1;
	from->before -= from->cursor;
	from->vector--;
	from->segments++;
	if (bpf_probe_read_kernel(&length, sizeof(length), &from->vector->iov_len) || length > 0xffffffff)
		return 1;
	from->cursor = length;
	return 0;
}
LOOP_STEP(back_step)

/* Nothing has been copied of it yet. */
static __always_inline void begin_source(struct source *from)
{
	from->buffer = NULL;
	from->vector = NULL;
	from->message = NULL;
	from->loaded = 0;
	from->before = 0;
	from->cursor = 0;
}

/* Like locate() of capture.h. */
static __noinline int locate_in_message(struct scratch *s)
{
	struct moving *moving = &s->moving;
	struct source *from = &s->from;

#ifdef STETH_PLAIN
	/* Each field costs the call of a helper: not before anybody wants it. */
	if (moving->message)
		note_message(s, (struct msghdr *)moving->message);
#endif
	if (moving->kind == ITERATOR_UNREADABLE || moving->left >= moving->size)
		return 0;
	moving->moved = moving->size - moving->left;
	moving->first = 0;
	begin_source(from);
	if (moving->kind == ITERATOR_BUFFER) {
		if (moving->at < moving->moved)
			return 0;
		from->buffer = (const __u8 *)moving->base + (moving->at - moving->moved);
		from->segments = 0xffffffff;
		return 1;
	}
	from->vector = (const struct iovec *)moving->base;
	from->segments = moving->at != 0;
	from->before = moving->moved;
	from->cursor = moving->at;
	LOOP(IOVECS_MAX, back_step);
	if (from->before > from->cursor)
		return 0;
	moving->first = from->cursor - from->before;
	from->before = 0;
	from->cursor = 0;
	return 1;
}

#endif
