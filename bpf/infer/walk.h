/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What every inference function is given, and what it answers.
 *
 * State that a loop changes lives in a struct of the caller's, in a map on the BPF side: of values in a map the verifier
 * assumes nothing, so it follows a loop's body once, where it would follow values on the stack through every turn. The
 * loop gets the address of the pointer, because bpf_loop() takes nothing but the stack.
 */
#ifndef STETH_INFER_WALK_H
#define STETH_INFER_WALK_H

#include "../event.h"

#define STETH_PREFIX 32

enum steth_guess { STETH_GUESS_NO = 0, STETH_GUESS_MORE = 1, STETH_GUESS_IS = 2 };

/* guess | protocol << 8 | request << 16 */
#define STETH_GUESSED(protocol, request) (STETH_GUESS_IS | (protocol) << 8 | (request) << 16)
#define STETH_GUESS(g) ((g) & 0xff)
#define STETH_GUESS_PROTOCOL(g) ((g) >> 8 & 0xff)
#define STETH_GUESS_REQUEST(g) ((g) >> 16 & 1)

#define STETH_INLINE static inline __attribute__((always_inline))

#if defined(__bpf__) && !defined(STETH_PLAIN)
#define STETH_LOOP(times, step, context) bpf_loop(times, step, context, 0)
#elif defined(__bpf__)
/* As LOOP() of reach.h. */
#define STETH_LOOP(times, step, context)                               \
	for (__u32 turn = 0; turn < (times); turn++)                   \
		if (step##_apart((*(context))->slot, turn))            \
			break
#define STETH_STEP(step)                                               \
	__attribute__((noinline)) int step##_apart(__u32 slot, __u32 turn) \
	{                                                              \
		struct steth_walk *walk = steth_walk_of(slot);         \
                                                                       \
		asm volatile("" : "+r"(turn));                         \
		return walk ? step(turn, &walk) : 1;                   \
	}
#else
#define STETH_LOOP(times, step, context)                     \
	for (__u64 step_i = 0; step_i < (times); step_i++) \
		if (step(step_i, context))                 \
			break
#endif

#ifndef STETH_STEP
#define STETH_STEP(step)
#endif

/* A walk over the prefix, a byte a step: bounded for the verifier, which would otherwise follow every path through it. */
struct steth_walk {
	__u8 b[STETH_PREFIX]; /* the first bytes of the message */
	__u32 n;              /* how many of them there are */
	__u32 at;
	__u32 state;
	__u32 digits;
	__u32 line;
	__u32 guess;
#if defined(__bpf__) && defined(STETH_PLAIN)
	__u32 slot; /* of the scratch that it is in */
	__u32 spare;
#endif
};

#if defined(__bpf__) && defined(STETH_PLAIN)
/* Of the scratch; state.h has it. */
static __attribute__((always_inline)) struct steth_walk *steth_walk_of(__u32 slot);
#endif

/* 1: the first `length` bytes are `word`; 0: they are not; -1: so far they are, but there are not enough of them. */
STETH_INLINE int steth_starts(const __u8 *b, __u32 n, const char *word, __u32 length)
{
	for (__u32 i = 0; i < length; i++) {
		if (i >= n)
			return -1;
		if (b[i] != (__u8)word[i])
			return 0;
	}
	return 1;
}

STETH_INLINE int steth_is_alphanumeric(__u8 c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

#endif
