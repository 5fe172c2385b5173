/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The state of a socket that is known by its address alone, in a table; and what kernels before 5.17 lack.
 *
 * An address may be given to another socket. TCP tells of each socket's end (tcp_destroy_sock) and of each connection's beginning, where
 * the state is made anew. Other sockets end without a sign: they are told apart by the number of their inode, which a socket has for as
 * long as it is open, and the sweep takes out those whose inode is gone.
 */
#ifndef STETH_PLAIN_H
#define STETH_PLAIN_H

#include "rings.h"

/* What a new state is. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct connection);
} blank SEC(".maps");

static __always_inline struct connection *connection_of(struct sock *sk)
{
	__u64 key = (__u64)sk;

	return bpf_map_lookup_elem(&connections, &key);
}

static __always_inline void connection_forget(struct sock *sk)
{
	__u64 key = (__u64)sk;

	bpf_map_delete_elem(&connections, &key);
}

/* The number of the inode by which an open socket is told from all that come after it; 0: nobody has accepted it yet, or it is closed. */
static __always_inline __u64 inode_of(struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_socket, file, f_inode, i_ino);
}

/* One that is there and has a number is of an earlier socket. */
static __always_inline struct connection *connection_make(struct sock *sk)
{
	struct connection *c = connection_of(sk), *zeros;
	__u64 key = (__u64)sk;
	__u32 zero = 0;

	if (c && c->id) {
		connection_forget(sk);
		c = NULL;
	}
	if (c)
		return c;
	zeros = bpf_map_lookup_elem(&blank, &zero);
	if (!zeros)
		return NULL;
	bpf_map_update_elem(&connections, &key, zeros, BPF_NOEXIST);
	c = bpf_map_lookup_elem(&connections, &key);
	if (c)
		c->inode = inode_of(sk);
	return c;
}

/*
 * Cookies are given out by a helper that takes typed sockets alone. This is as good: a counter for each scratch, which nobody else has
 * meanwhile, and which one of which CPU it is. 52 bits, which JSON has for an integer. 0: without a scratch there is none.
 */
static __always_inline __u64 number_of(struct sock *sk, struct scratch *s)
{
	if (!s)
		return 0;
	return (__u64)(__u32)++s->numbers << 20 | (bpf_get_smp_processor_id() & 0x1ffff) << 3 | (s->slot & 7);
}

static __always_inline bool is_current(struct sock *sk, struct connection *c)
{
	__u64 inode;

	if (c->transport == IPPROTO_TCP)
		return true;
	inode = inode_of(sk);
	if (!c->inode)
		c->inode = inode;
	return c->inode == inode;
}

/* Whether nothing will ever be heard of this socket again. */
static __always_inline bool is_gone(struct sock *sk, struct connection *c)
{
	if (c->transport == IPPROTO_TCP)
		return READ(sk, __sk_common.skc_state) == TCP_CLOSE && !READ(sk, sk_socket);
	return c->inode && c->inode != inode_of(sk);
}

static __always_inline __u32 listener_of(struct sock *sk, struct connection *c)
{
	struct listener_key key = listener_key(sk);
	__u32 *tgid = bpf_map_lookup_elem(&listeners, &key);

	return tgid ? *tgid : 0;
}

static __always_inline void remember_listener(struct sock *sk, struct connection *c, struct scratch *s, __u32 tgid)
{
	remember_port(sk, tgid);
	c->listener = number_of(sk, s);
}

static __always_inline __u64 listener_number(struct sock *sk, struct connection *c)
{
	return c->listener;
}

static __always_inline struct vector_call *vector_call_of(struct task_struct *task)
{
	__u64 thread = bpf_get_current_pid_tgid();

	return bpf_map_lookup_elem(&vector_calls, &thread);
}

static __always_inline struct vector_call *vector_call(struct task_struct *task)
{
	struct vector_call *call = vector_call_of(task);
	__u64 thread = bpf_get_current_pid_tgid();

	if (call)
		return call;
	bpf_map_update_elem(&vector_calls, &thread, (const void *)nothing, BPF_ANY);
	return bpf_map_lookup_elem(&vector_calls, &thread);
}

/* Before 5.12 there is no addition that tells what was there before: two threads at once may take the same place. */
static __always_inline __u64 take(__u64 *from, __u64 n)
{
	__u64 before = *(volatile __u64 *)from;

	__sync_fetch_and_add(from, n);
	return before;
}

#endif
