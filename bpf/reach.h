/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * How the core reaches what is the kernel's: fields of its structures, the state of a socket, the current task.
 *
 * The core is compiled twice. Where the hook gives a socket with its type and the kernel is 5.17 or newer (`typed`), a field is a
 * load, and the state is in the socket. Otherwise (STETH_PLAIN, `plain`) a socket is an address: each field is read by a helper, and the
 * state is in a table by that address. One object with a switch would not do: a load through an address does not verify, and a switch at
 * each field would cost the typed side a load and a comparison for each.
 */
#ifndef STETH_REACH_H
#define STETH_REACH_H

#include "rings.h"

/*
 * A record that is made beside the one in the scratch: on the stack, or in a place of its own in the scratch where calls within calls
 * would not leave room (512 bytes for all of them together, before 6.13).
 */
#define RECORD(type, name, s, place) struct type *name = &(s)->place; __builtin_memset(name, 0, sizeof(*name))

/*
 * A load of an address through a trusted one makes the verifier look through all types of the kernel, several times, for whether what it finds there
 * is to be trusted too (btf_nested_type_is_trusted, 6.3): a millisecond, on each path that leads there. So what is not on the way of every transfer is
 * read by the helper in the typed core too (BPF_CORE_READ), if it leads through addresses.
 */
#define BY_FUNCTION (hooks == HOOKS_FUNCTION)
#ifdef STETH_PLAIN
#define BY_SYSCALL (hooks == HOOKS_SYSCALL)
#define READ(from, field) BPF_CORE_READ(from, field)
#define READ_BITS(from, field) BPF_CORE_READ_BITFIELD_PROBED(from, field)
#else
#define BY_SYSCALL 0
#define READ(from, field) ((from)->field)
#define READ_BITS(from, field) BPF_CORE_READ_BITFIELD(from, field)
#endif

static __always_inline struct task_struct *current_task(void)
{
#ifdef STETH_PLAIN
	return (struct task_struct *)bpf_get_current_task();
#else
	return bpf_get_current_task_btf();
#endif
}

static __always_inline __u32 netns_of(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

/* A port that was listened on, by network namespace. */
struct listener_key {
	__u32 netns;
	__u16 port;
	__u16 reserved;
};

/*
 * Who did. It tells the two ends of a connection apart that is older than the agent; in the plain core, where nothing leads from a connection that has
 * just come in to the socket that waited for it, also whose that is. What is put out is known again when somebody listens there again.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct listener_key);
	__type(value, __u32);
} listeners SEC(".maps");

static __always_inline struct listener_key listener_key(struct sock *sk)
{
	return (struct listener_key){ .netns = netns_of(sk), .port = READ(sk, __sk_common.skc_num) };
}

static __always_inline void remember_port(struct sock *sk, __u32 tgid)
{
	struct listener_key key = listener_key(sk);

	bpf_map_update_elem(&listeners, &key, &tgid, BPF_ANY);
}

static __always_inline bool is_listened_on(struct sock *sk)
{
	struct listener_key key = listener_key(sk);

	return bpf_map_lookup_elem(&listeners, &key);
}

/* NULL: it is no TCP socket, of which the core has made sure by `transport` where it is plain. */
static __always_inline struct tcp_sock *tcp_sock_of(struct sock *sk)
{
#ifdef STETH_PLAIN
	return (struct tcp_sock *)sk;
#else
	return bpf_skc_to_tcp_sock(sk);
#endif
}

#ifndef STETH_PLAIN

/* The state of a socket, if it has one. */
static __always_inline struct connection *connection_of(struct sock *sk)
{
	return bpf_sk_storage_get(&connections, sk, 0, 0);
}

/* The same, made if there is none; zeros then. NULL: no room. */
static __always_inline struct connection *connection_make(struct sock *sk)
{
	struct connection *c = bpf_sk_storage_get(&connections, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	/* Of two CPUs that make a socket's first storage at once, the kernel lets one fail (EAGAIN); by now the other's is there. */
	if (!c)
		c = bpf_sk_storage_get(&connections, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	return c;
}

static __always_inline void connection_forget(struct sock *sk)
{
	bpf_sk_storage_delete(&connections, sk);
}

/* The vector call of this task that was seen last; NULL: none. */
static __always_inline struct vector_call *vector_call_of(struct task_struct *task)
{
	return bpf_task_storage_get(&vector_calls, task, NULL, 0);
}

static __always_inline struct vector_call *vector_call(struct task_struct *task)
{
	return bpf_task_storage_get(&vector_calls, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

/* Adds to it and returns what it was before. */
static __always_inline __u64 take(__u64 *from, __u64 n)
{
	return __sync_fetch_and_add(from, n);
}

/* A number that no other socket has had or will have. */
static __always_inline __u64 number_of(struct sock *sk, struct scratch *s)
{
	return bpf_get_socket_cookie(sk);
}

/* Whether this state is of the socket that stands there now. */
static __always_inline bool is_current(struct sock *sk, struct connection *c)
{
	return true;
}

/* Who called listen(), of a connection that has just come in; 0: not known. The kernel has copied it from the listening socket. */
static __always_inline __u32 listener_of(struct sock *sk, struct connection *c)
{
	return c && c->told & TOLD_LISTENER ? c->tgid : 0;
}

static __always_inline void remember_listener(struct sock *sk, struct connection *c, struct scratch *s, __u32 tgid)
{
	remember_port(sk, tgid);
}

/* number_of(), of a socket that waits for connections. */
static __always_inline __u64 listener_number(struct sock *sk, struct connection *c)
{
	return bpf_get_socket_cookie(sk);
}

#else
#include "plain.h"
#endif

/*
 * Functions of their own for the verifier, which so follows them once and not for each caller. Before 5.12 it does so only where all
 * that is handed over are numbers: the plain core's find scratch and connection again.
 */
#define UNWRAP(...) __VA_ARGS__
#ifndef STETH_PLAIN
#define OF_SCRATCH(name, parameters, arguments) __attribute__((noinline)) int name(struct scratch *s, UNWRAP parameters)
#define OF_CONNECTION(name, parameters, arguments) \
	__attribute__((noinline)) int name(struct connection *c, struct scratch *s, UNWRAP parameters)
#else
#define OF_SCRATCH(name, parameters, arguments)                                                        \
	static __always_inline int name##_here(struct scratch *s, UNWRAP parameters);                  \
	__attribute__((noinline)) int name##_apart(__u32 slot, UNWRAP parameters)                      \
	{                                                                                              \
		struct scratch *s = scratch_of(slot);                                                  \
                                                                                                       \
		return s ? name##_here(s, UNWRAP arguments) : 0;                                       \
	}                                                                                              \
	static __always_inline int name##_here(struct scratch *s, UNWRAP parameters)
#define OF_CONNECTION(name, parameters, arguments)                                                     \
	static __always_inline int name##_here(struct connection *c, struct scratch *s, UNWRAP parameters); \
	__attribute__((noinline)) int name##_apart(__u32 slot, UNWRAP parameters)                      \
	{                                                                                              \
		struct scratch *s = scratch_of(slot);                                                  \
		struct connection *c = s ? connection_of((struct sock *)s->sk) : NULL;                 \
                                                                                                       \
		return c ? name##_here(c, s, UNWRAP arguments) : 0;                                    \
	}                                                                                              \
	static __always_inline int name##_here(struct connection *c, struct scratch *s, UNWRAP parameters)
#define copy(s, ...) copy_apart((s)->slot, __VA_ARGS__)
#define find_request(s, ...) find_request_apart((s)->slot, __VA_ARGS__)
#define find_container(s, ...) find_container_apart((s)->slot, __VA_ARGS__)
#define row_agrees(s, ...) row_agrees_apart((s)->slot, __VA_ARGS__)
#define infer(c, s, ...) infer_apart((s)->slot, __VA_ARGS__)
#define capture(c, s, ...) capture_apart((s)->slot, __VA_ARGS__)
#define follow(c, s, ...) follow_apart((s)->slot, __VA_ARGS__)
#define count_dropped(c, s, ...) count_dropped_apart((s)->slot, __VA_ARGS__)
#define copy_datagram(c, s, ...) copy_datagram_apart((s)->slot, __VA_ARGS__)
#define count_destination(c, s, ...) count_destination_apart((s)->slot, __VA_ARGS__)
#define far_end_wanted(c, s, ...) far_end_wanted_apart((s)->slot, __VA_ARGS__)
#define further_record(c, s, ...) further_record_apart((s)->slot, __VA_ARGS__)
#define located_of(s, ...) located_of_apart((s)->slot, __VA_ARGS__)
#define announce_moved(c, s, ...) announce_moved_apart((s)->slot, __VA_ARGS__)
#define datagram_moved(c, s, ...) datagram_moved_apart((s)->slot, __VA_ARGS__)
#endif

/*
 * A loop over steps that take the scratch's address. bpf_loop() is of 5.17. Before, the verifier follows every turn of a loop: so in
 * the plain core a turn is no more than the call of a function that is followed by itself.
 */
#ifndef STETH_PLAIN
#define LOOP_STEP(step)
#define LOOP(times, step) bpf_loop(times, step, &s, 0)
#else
#define TURNS 32
#define LOOP_STEP(step)                                                        \
	__attribute__((noinline)) int step##_apart(__u32 slot, __u32 turn)     \
	{                                                                      \
		struct scratch *s = scratch_of(slot);                          \
                                                                               \
		/* Not all of them want it; handed over it must be. */         \
		barrier_var(turn);                                             \
		return s ? step(turn, &s) : 1;                                 \
	}                                                                      \
	/* The verifier keeps the way out of each turn in mind, and no more than 8,192 of them. */ \
	__attribute__((noinline)) int step##_turns(__u32 slot, __u32 turn)     \
	{                                                                      \
		__u32 i;                                                       \
                                                                               \
		for (i = 0; i < TURNS; i++)                                    \
			if (step##_apart(slot, turn + i))                      \
				return 1;                                      \
		return 0;                                                      \
	}
#define LOOP(times, step)                                                      \
	for (__u32 turn = 0; turn < (times); turn += TURNS)                    \
		if (step##_turns(s->slot, turn))                               \
			break
#endif

/* Of what protocol the first bytes in s->walk are, if of one of these. */
#ifndef STETH_PLAIN
static __always_inline int guess_of(struct scratch *s, __u32 enabled)
{
	return steth_infer(&s->walk, enabled);
}
#else
OF_SCRATCH(guess_of, (__u32 enabled), (enabled))
{
	s->walk.slot = s->slot;
	return steth_infer(&s->walk, enabled);
}
#define guess_of(s, enabled) guess_of_apart((s)->slot, enabled)
#endif

#endif
