/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What is read of the kernel's types of io_uring. As in core_types.h: names and no places, which CO-RE finds.
 */
#ifndef STETH_URING_TYPES_H
#define STETH_URING_TYPES_H

#include "core_types.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct io_ring_ctx {
	unsigned int compat : 1; /* 32-bit tasks use it */
};

/* A request. */
struct io_wq_work;
struct io_kiocb {
	struct file *file;
	__u8 opcode;
	struct {
		__u64 user_data;
	} cqe;
	struct io_ring_ctx *ctx;
	void *async_data;
	struct {
	} work;
};

/* What it was asked for, in place of its file and what follows: a send or receive, a read or write. */
struct io_sr_msg {
	void *umsg;
	void *buf;
	int len;
	unsigned int done_io;
	unsigned int msg_flags;
	__u16 flags;
};
struct io_rw {
	__u64 addr;
	__u32 len;
};

/* What it keeps of these. */
struct io_async_msghdr {
	struct msghdr msg;
};
struct io_async_rw {
	struct iov_iter iter;
};

/* Who has requests handed on that may block. */
struct io_worker {
	struct io_wq_work *cur_work;
};

/* A completion. */
struct io_uring_cqe {
	__u64 user_data;
	__s32 res;
	__u32 flags;
};

#pragma clang attribute pop

#endif
