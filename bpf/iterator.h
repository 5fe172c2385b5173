/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Where the bytes of a message are, by its iterator. A hook at the end of a call finds the iterator behind what has moved: `size` bytes were
 * there at the beginning, `count` are left, and what lies between is looked for backwards. So nothing has to be kept from the
 * call's beginning, and it makes no difference who has called: a system call, of 32 bits too, io_uring, or the kernel itself.
 *
 * What is in pages and not in memory that has an address (sendfile, splice, registered buffers that are sent without a copy) is declared unread.
 */
#ifndef STETH_ITERATOR_H
#define STETH_ITERATOR_H

#include "registers.h"

#define IOVECS_MAX 1024 /* UIO_MAXIOV */

/* One segment back. */
static long back_step(__u64 i, struct scratch **at)
{
	struct scratch *s = *at;
	struct source *from = &s->from;
	__u64 length = 0;

	if (from->before <= from->cursor)
		return 1;
	/* `before`: bytes that are still behind; `cursor`: of them in this segment. */
	from->before -= from->cursor;
	from->vector--;
	from->segments++;
	if (bpf_probe_read_kernel(&length, sizeof(length), &from->vector->iov_len) || length > 0xffffffff)
		return 1;
	from->cursor = length;
	return 0;
}

enum iterator_kind { ITERATOR_UNREADABLE, ITERATOR_BUFFER, ITERATOR_USER, ITERATOR_KERNEL };

/* The kinds have had other numbers, and another place, before 5.14. */
static __always_inline enum iterator_kind kind_of(struct iov_iter *iterator)
{
	__u32 type;

	if (bpf_core_field_exists(iterator->iter_type)) {
		type = BPF_CORE_READ(iterator, iter_type);
	} else {
		/* The lowest bit is the direction. */
		type = BPF_CORE_READ((struct iov_iter___direction *)iterator, type) & ~1u;
	}
	if (bpf_core_enum_value_exists(enum iter_type, ITER_UBUF) && type == bpf_core_enum_value(enum iter_type, ITER_UBUF))
		return ITERATOR_BUFFER;
	if (type == bpf_core_enum_value(enum iter_type, ITER_IOVEC))
		return ITERATOR_USER;
	if (type == bpf_core_enum_value(enum iter_type, ITER_KVEC))
		return ITERATOR_KERNEL;
	return ITERATOR_UNREADABLE;
}

/* The segments; what they are called has changed in 6.4. */
static __always_inline const struct iovec *segments_of(struct iov_iter *iterator, enum iterator_kind kind)
{
	if (kind == ITERATOR_KERNEL)
		return (const struct iovec *)BPF_CORE_READ(iterator, kvec);
	if (bpf_core_field_exists(iterator->__iov))
		return BPF_CORE_READ(iterator, __iov);
	return BPF_CORE_READ((struct iov_iter___iov *)iterator, iov);
}

/* Like locate() of capture.h. */
static __always_inline bool locate_in_message(struct scratch *s)
{
	struct source *from = &s->from;
	struct iov_iter *iterator;
	__u64 left, at;
	enum iterator_kind kind;

	if (!s->moving)
		return false;
	iterator = &s->moving->msg_iter;
	kind = kind_of(iterator);
	left = BPF_CORE_READ(iterator, count);
	at = BPF_CORE_READ(iterator, iov_offset);
	if (kind == ITERATOR_UNREADABLE || left >= s->size)
		return false;
	s->moved = s->size - left;
	from->buffer = NULL;
	from->vector = NULL;
	from->message = NULL;
	from->loaded = 0;
	s->first = 0;
	s->in_kernel = kind == ITERATOR_KERNEL;
	if (kind == ITERATOR_BUFFER) {
		if (at < s->moved)
			return false;
		from->buffer = (const __u8 *)BPF_CORE_READ(iterator, ubuf) + (at - s->moved);
		return true;
	}
	from->vector = segments_of(iterator, kind);
	from->segments = at != 0;
	from->before = s->moved;
	from->cursor = at;
	STETH_LOOP(IOVECS_MAX, back_step, &s);
	if (from->before > from->cursor)
		return false;
	s->first = from->cursor - from->before;
	from->before = 0;
	from->cursor = 0;
	return true;
}

#endif
