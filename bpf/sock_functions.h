/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Hook family: the functions of the socket layer, for kernels without the sock tracepoints (before 6.3).
 *
 * hooked      the ends of inet_sendmsg, inet_recvmsg and their twins for IPv6: every send and receive on TCP and UDP, whatever call made it. They
 *             stand one level above tcp_sendmsg, udp_sendmsg and so on: four functions see what eight would below, and what a TLS layer in
 *             the kernel puts in the place of those passes them too
 *             unix_stream_*msg, unix_dgram_*msg, unix_seqpacket_*msg
 *             inet_sendpage, unix_stream_sendpage: sendfile and splice into a socket; gone in 6.5, where those come as messages
 *             tcp_splice_read, unix_stream_splice_read: splice out of a socket, which the tracepoints see from the position only
 * how         fexit, typed or plain; or, in the plain core, kprobe and kretprobe, with what was handed over kept in between
 * why here    the message is an argument, so a payload is found by its iterator, and not by the registers of whoever calls: iterator.h
 * not seen    sockets of other families (netlink, packet, vsock): the tracepoints count them, and nobody looks at them
 * weaker      such programs may be preempted, and on kernels that do so another one may begin on the same CPU: each takes a scratch of its own
 */
#ifndef STETH_SOCK_FUNCTIONS_H
#define STETH_SOCK_FUNCTIONS_H

#include "core.h"

/* ---- a scratch for as long as a program runs */

#ifdef STETH_PLAIN
/* Before 5.12 there is no comparison that exchanges, and no preemption here either. */
static __always_inline bool is_mine(struct scratch *s)
{
	if (*(volatile __u32 *)&s->busy)
		return false;
	*(volatile __u32 *)&s->busy = 1;
	return true;
}
#else
static __always_inline bool is_mine(struct scratch *s)
{
	return __sync_val_compare_and_swap(&s->busy, 0, 1) == 0;
}
#endif

static __always_inline struct scratch *scratch_take(void)
{
	struct scratch *s;

	s = scratch_of(IN_FUNCTION);
	if (s && is_mine(s))
		return s;
	s = scratch_of(IN_FUNCTION + 1);
	if (s && is_mine(s))
		return s;
	s = scratch_of(IN_FUNCTION + 2);
	if (s && is_mine(s))
		return s;
	return NULL;
}

static __always_inline void scratch_leave(struct scratch *s)
{
	barrier();
	*(volatile __u32 *)&s->busy = 0;
}

/* More programs than there are scratches have been preempted on this CPU: the transfer is lost, and counted. */
static __always_inline void count_crowded(int result)
{
	struct scratch *s = scratch_of(IN_FUNCTION);

	if (!s || result <= 0)
		return;
	__sync_fetch_and_add(&s->counters[STETH_SEEN_CHUNKS], 1);
	__sync_fetch_and_add(&s->counters[STETH_SEEN_BYTES], result);
	__sync_fetch_and_add(&s->counters[STETH_MAP_FULL], 1);
	__sync_fetch_and_add(&s->counters[STETH_MAP_FULL_BYTES], result);
}

/* ---- what a function has done */

#define RECEIVES 0x80000000u /* beside the flags of recvmsg(), which are not negative */

/* `message`: NULL where pages were moved. `flags`: of a receive, with RECEIVES. */
static __always_inline int function_ends(struct socket *socket, struct msghdr *message, __u64 size, __u32 flags, long result)
{
	struct sock *sk;
	struct scratch *s;

	if (!sockets_wanted())
		return 0;
	sk = READ(socket, sk);
	if (!sk)
		return 0;
	s = scratch_take();
	if (!s) {
		count_crowded(result);
		return 0;
	}
	s->moving = message;
	s->size = size;
	if (flags & RECEIVES)
		on_receive(sk, s, result, flags & ~RECEIVES);
	else
		on_send(sk, s, result);
	scratch_leave(s);
	return 0;
}

/* What unix_seqpacket_sendmsg() is made of as well: whether that passes here is the compiler's choice, so it is told of there. */
static __always_inline bool is_datagram(struct socket *socket)
{
	struct sock *sk = READ(socket, sk);

	return sk && READ(sk, sk_type) == SOCK_DGRAM;
}

/* On other sockets a page becomes a message, which passes inet_sendmsg(): sock_no_sendpage(). */
static __always_inline bool takes_pages(struct socket *socket)
{
	struct sock *sk = READ(socket, sk);

	return sk && transport_of(sk) != TRANSPORT_OTHER;
}

/* ---- fexit */

#define SENDS(function)                                                                                                    \
	SEC("fexit/" #function)                                                                                            \
	int BPF_PROG(function, struct socket *socket, struct msghdr *message, unsigned long size, int result)              \
	{                                                                                                                  \
		return function_ends(socket, message, size, 0, result);                                                    \
	}
#define TAKES(function)                                                                                                    \
	SEC("fexit/" #function)                                                                                            \
	int BPF_PROG(function, struct socket *socket, struct msghdr *message, unsigned long size, int flags, int result)   \
	{                                                                                                                  \
		return function_ends(socket, message, size, flags | RECEIVES, result);                                     \
	}

SENDS(inet_sendmsg)
SENDS(inet6_sendmsg)
TAKES(inet_recvmsg)
TAKES(inet6_recvmsg)
SENDS(unix_stream_sendmsg)
TAKES(unix_stream_recvmsg)
SENDS(unix_seqpacket_sendmsg)
TAKES(unix_seqpacket_recvmsg)

SEC("fexit/unix_dgram_sendmsg")
int BPF_PROG(unix_dgram_sendmsg, struct socket *socket, struct msghdr *message, unsigned long size, int result)
{
	return is_datagram(socket) ? function_ends(socket, message, size, 0, result) : 0;
}

SEC("fexit/unix_dgram_recvmsg")
int BPF_PROG(unix_dgram_recvmsg, struct socket *socket, struct msghdr *message, unsigned long size, int flags, int result)
{
	return is_datagram(socket) ? function_ends(socket, message, size, flags | RECEIVES, result) : 0;
}

SEC("fexit/inet_sendpage")
int BPF_PROG(inet_sendpage, struct socket *socket, struct page *page, int offset, unsigned long size, int flags, long result)
{
	return takes_pages(socket) ? function_ends(socket, NULL, 0, 0, result) : 0;
}

SEC("fexit/unix_stream_sendpage")
int BPF_PROG(unix_stream_sendpage, struct socket *socket, struct page *page, int offset, unsigned long size, int flags, long result)
{
	return function_ends(socket, NULL, 0, 0, result);
}

SEC("fexit/tcp_splice_read")
int BPF_PROG(tcp_splice_read, struct socket *socket, long long *position, struct pipe_inode_info *pipe, unsigned long length,
	     unsigned int flags, long result)
{
	return result > 0 ? function_ends(socket, NULL, 0, RECEIVES, result) : 0;
}

SEC("fexit/unix_stream_splice_read")
int BPF_PROG(unix_stream_splice_read, struct socket *socket, long long *position, struct pipe_inode_info *pipe, unsigned long size,
	     unsigned int flags, long result)
{
	return result > 0 ? function_ends(socket, NULL, 0, RECEIVES, result) : 0;
}

/* ---- kprobe and kretprobe */

#ifdef STETH_PLAIN

enum probed {
	PROBED_INET_SEND,
	PROBED_INET6_SEND,
	PROBED_INET_TAKE,
	PROBED_INET6_TAKE,
	PROBED_STREAM_SEND,
	PROBED_STREAM_TAKE,
	PROBED_PACKET_SEND,
	PROBED_PACKET_TAKE,
	PROBED_DATAGRAM_SEND,
	PROBED_DATAGRAM_TAKE,
	PROBED_INET_PAGE,
	PROBED_STREAM_PAGE,
	PROBED_INET_SPLICE,
	PROBED_STREAM_SPLICE,
};

/* One of these functions may call another one; no thread is in the same one twice. */
struct probed_key {
	__u64 thread;
	__u64 function;
};

struct probed_call {
	struct socket *socket;
	struct msghdr *message;
	__u64 size;
	__u32 flags;
	__u32 reserved;
};

/* What is put out is a transfer that is not seen: of TCP the position tells of it at the next one. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct probed_key);
	__type(value, struct probed_call);
} probed_calls SEC(".maps");

static __always_inline int probed_begins(enum probed function, struct socket *socket, struct msghdr *message, __u64 size, __u32 flags)
{
	struct probed_key key = { .thread = bpf_get_current_pid_tgid(), .function = function };
	struct probed_call call = { .socket = socket, .message = message, .size = size, .flags = flags };

	if (sockets_wanted())
		bpf_map_update_elem(&probed_calls, &key, &call, BPF_ANY);
	return 0;
}

static __always_inline int probed_ends(enum probed function, long result)
{
	struct probed_key key = { .thread = bpf_get_current_pid_tgid(), .function = function };
	struct probed_call *known = bpf_map_lookup_elem(&probed_calls, &key), call;

	if (!known)
		return 0;
	call = *known;
	bpf_map_delete_elem(&probed_calls, &key);
	return function_ends(call.socket, call.message, call.size, call.flags, result);
}

/* `given`: what is kept of the arguments, by the registers at the function's beginning; `wanted`: of which sockets. */
#define PROBED(name, number, given, wanted)                                                \
	SEC("kprobe/" #name)                                                               \
	int name##_entry(struct pt_regs *regs)                                             \
	{                                                                                  \
		struct socket *socket = (struct socket *)HANDED_1(regs);                   \
                                                                                           \
		return wanted ? probed_begins(number, socket, given) : 0;                  \
	}                                                                                  \
	SEC("kretprobe/" #name)                                                            \
	int name##_exit(struct pt_regs *regs)                                              \
	{                                                                                  \
		return probed_ends(number, (int)RETURNED(regs));                                \
	}
#define GIVEN_SEND (struct msghdr *)HANDED_2(regs), HANDED_3(regs), 0
#define GIVEN_TAKE (struct msghdr *)HANDED_2(regs), HANDED_3(regs), (__u32)HANDED_4(regs) | RECEIVES
#define GIVEN_PAGE NULL, 0, 0
#define GIVEN_SPLICE NULL, 0, RECEIVES

PROBED(inet_sendmsg, PROBED_INET_SEND, GIVEN_SEND, true)
PROBED(inet6_sendmsg, PROBED_INET6_SEND, GIVEN_SEND, true)
PROBED(inet_recvmsg, PROBED_INET_TAKE, GIVEN_TAKE, true)
PROBED(inet6_recvmsg, PROBED_INET6_TAKE, GIVEN_TAKE, true)
PROBED(unix_stream_sendmsg, PROBED_STREAM_SEND, GIVEN_SEND, true)
PROBED(unix_stream_recvmsg, PROBED_STREAM_TAKE, GIVEN_TAKE, true)
PROBED(unix_seqpacket_sendmsg, PROBED_PACKET_SEND, GIVEN_SEND, true)
PROBED(unix_seqpacket_recvmsg, PROBED_PACKET_TAKE, GIVEN_TAKE, true)
PROBED(unix_dgram_sendmsg, PROBED_DATAGRAM_SEND, GIVEN_SEND, is_datagram(socket))
PROBED(unix_dgram_recvmsg, PROBED_DATAGRAM_TAKE, GIVEN_TAKE, is_datagram(socket))
PROBED(inet_sendpage, PROBED_INET_PAGE, GIVEN_PAGE, takes_pages(socket))
PROBED(unix_stream_sendpage, PROBED_STREAM_PAGE, GIVEN_PAGE, true)
PROBED(tcp_splice_read, PROBED_INET_SPLICE, GIVEN_SPLICE, true)
PROBED(unix_stream_splice_read, PROBED_STREAM_SPLICE, GIVEN_SPLICE, true)

#endif

#endif
