/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The functions of sock_functions.h by kprobe and kretprobe, where they cannot be hooked by their types (no trampolines).
 *
 * how         what was handed over is kept from a function's beginning to its end, by the thread and the place of the return address on its
 *             stack. A thread is in one of them at a time, but that one that takes pages may be made of one that takes a message. One
 *             program is the end of all of them
 * weaker      the kernel keeps a place for each call that is under way, and has two or so for each CPU and function (maxactive): of more
 *             threads that wait in receives than that, some ends are missed. They are counted when the same thread comes again; TCP's
 *             position tells of their bytes at the next one
 */
#ifndef STETH_SOCK_PROBES_H
#define STETH_SOCK_PROBES_H

#include "sock_functions.h"

struct probed_call {
	__u64 frame; /* 0: none is under way */
	__u64 socket;
	__u64 message;
	__u64 size;
	__u32 flags;
	__u32 direction;
};

struct probed_thread {
	struct probed_call call;
	struct probed_call pages;
};

/* By thread, as long as it is in one of them, or was and nobody told of its end. What is put out is a transfer that is not seen. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct probed_thread);
} probed_threads SEC(".maps");

/* Calls of this thread that are over though nobody was told of their end: one of this kind, or one that this one cannot be within. */
static __always_inline __u32 left_behind(struct probed_thread *thread, __u64 frame, bool pages)
{
	__u32 missed = 0;

	if (thread->call.frame) {
		thread->call.frame = 0;
		missed++;
	}
	/* The stack grows down. */
	if (thread->pages.frame && (pages || thread->pages.frame <= frame)) {
		thread->pages.frame = 0;
		missed++;
	}
	return missed;
}

static __always_inline int probed_begins(struct pt_regs *regs, __u32 direction, __u64 message, __u64 size, __u32 flags)
{
	struct probed_call call = { FRAME_BEFORE(regs), HANDED_1(regs), message, size, flags, direction };
	__u64 id = bpf_get_current_pid_tgid();
	struct probed_thread *thread;
	__u32 missed;

	if (!sockets_wanted())
		return 0;
	thread = bpf_map_lookup_elem(&probed_threads, &id);
	if (!thread) {
		struct probed_thread none = {};

		bpf_map_update_elem(&probed_threads, &id, &none, BPF_NOEXIST);
		thread = bpf_map_lookup_elem(&probed_threads, &id);
		if (!thread)
			return count_apart(STETH_ENDS_MISSED, 1);
	}
	missed = left_behind(thread, call.frame, !message);
	if (missed)
		count_apart(STETH_ENDS_MISSED, missed);
	if (message)
		thread->call = call;
	else
		thread->pages = call;
	return 0;
}

SEC("kprobe")
int probed_send(struct pt_regs *regs)
{
	return probed_begins(regs, STETH_SEND, HANDED_2(regs), HANDED_3(regs), 0);
}

SEC("kprobe")
int probed_take(struct pt_regs *regs)
{
	return probed_begins(regs, STETH_RECEIVE, HANDED_2(regs), HANDED_3(regs), HANDED_4(regs));
}

SEC("kprobe")
int probed_datagram_send(struct pt_regs *regs)
{
	if (!is_datagram((struct socket *)HANDED_1(regs)))
		return 0;
	return probed_begins(regs, STETH_SEND, HANDED_2(regs), HANDED_3(regs), 0);
}

SEC("kprobe")
int probed_datagram_take(struct pt_regs *regs)
{
	if (!is_datagram((struct socket *)HANDED_1(regs)))
		return 0;
	return probed_begins(regs, STETH_RECEIVE, HANDED_2(regs), HANDED_3(regs), HANDED_4(regs));
}

SEC("kprobe")
int probed_page(struct pt_regs *regs)
{
	return takes_pages((struct socket *)HANDED_1(regs)) ? probed_begins(regs, STETH_SEND, 0, 0, 0) : 0;
}

SEC("kprobe")
int probed_splice(struct pt_regs *regs)
{
	return probed_begins(regs, STETH_RECEIVE, 0, 0, 0);
}

SEC("kretprobe")
int probed_end(struct pt_regs *regs)
{
	__u64 id = bpf_get_current_pid_tgid(), frame = FRAME_BEHIND(regs);
	struct probed_thread *thread = bpf_map_lookup_elem(&probed_threads, &id);
	/* They return an int, or no more than one may hold. */
	int result = RETURNED(regs);
	struct probed_call call;

	if (!thread)
		return 0;
	if (thread->call.frame == frame) {
		call = thread->call;
		thread->call.frame = 0;
	} else if (thread->pages.frame == frame) {
		call = thread->pages;
		thread->pages.frame = 0;
	} else {
		return 0;
	}
	/* Or threads that come and go would put out those that wait long. */
	if (!thread->call.frame && !thread->pages.frame)
		bpf_map_delete_elem(&probed_threads, &id);
	return function_ends((struct socket *)call.socket, call.direction & 1, (struct msghdr *)call.message, call.size, call.flags,
			     result, BYTES_READABLE);
}

#endif
