/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The functions of sock_functions.h by kprobe and kretprobe, where they cannot be hooked by their types (no trampolines).
 *
 * how         what was handed over is kept from a function's beginning to its end, by the thread and the place of the return address on its
 *             stack: so of functions within functions each end finds its own beginning. One program is the end of all of them
 * weaker      the kernel keeps a place for each call that is under way, and has two or so for each CPU and function (maxactive): of more
 *             threads that wait in receives than that, some ends are missed. They are counted when the same thread comes to the same place
 *             again; TCP's position tells of their bytes at the next one
 */
#ifndef STETH_SOCK_PROBES_H
#define STETH_SOCK_PROBES_H

#include "sock_functions.h"

struct probed_key {
	__u64 thread;
	__u64 frame;
};

struct probed_call {
	__u64 socket;
	__u64 message;
	__u64 size;
	__u32 flags;
	__u32 direction;
};

/* What is put out is a transfer that is not seen. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct probed_key);
	__type(value, struct probed_call);
} probed_calls SEC(".maps");

static __always_inline int probed_begins(struct pt_regs *regs, __u32 direction, __u64 message, __u64 size, __u32 flags)
{
	struct probed_key key = { .thread = bpf_get_current_pid_tgid(), .frame = FRAME_BEFORE(regs) };
	struct probed_call call = { HANDED_1(regs), message, size, flags, direction };

	if (sockets_wanted() && bpf_map_update_elem(&probed_calls, &key, &call, BPF_NOEXIST) == -EEXIST) {
		/* The call before this one is over, and nobody was told. */
		count_apart(STETH_ENDS_MISSED, 1);
		bpf_map_update_elem(&probed_calls, &key, &call, BPF_ANY);
	}
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
	struct probed_key key = { .thread = bpf_get_current_pid_tgid(), .frame = FRAME_BEHIND(regs) };
	struct probed_call *known = bpf_map_lookup_elem(&probed_calls, &key), call;
	/* They return an int, or no more than one may hold. */
	int result = RETURNED(regs);

	if (!known)
		return 0;
	call = *known;
	bpf_map_delete_elem(&probed_calls, &key);
	return function_ends((struct socket *)call.socket, call.direction & 1, (struct msghdr *)call.message, call.size, call.flags,
			     result, BYTES_READABLE);
}

#endif
