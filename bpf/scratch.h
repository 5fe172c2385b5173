/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Whose scratch is whose. Each has one user at a time on its CPU: so what is in it needs no lock, and additions need not be atomic.
 *
 * IN_TASK       programs that run one after another, with nothing in between them but softirqs: those on tracepoints, where those keep
 *               preemption off; by perf, which does so everywhere; at a system call's exit, where no other one takes it
 * IN_BETWEEN    what softirqs tell of too, and so may come in the middle of those and of itself (states of TCP); iterators, which are preempted
 * IN_PREEMPTED  what is preempted while another program begins on the same CPU: functions, and on Linux 7 programs on tracepoints
 *
 * From IN_BETWEEN on, a program claims one for as long as it runs. The kernel does not run a program twice at once on a CPU, so there are more
 * claims than scratches only if as many different ones are preempted there: what comes then is lost, and counted.
 */
#ifndef STETH_SCRATCH_H
#define STETH_SCRATCH_H

#include "state.h"

static __always_inline struct scratch *scratch_of(__u32 context)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &context);

#ifdef STETH_PLAIN
	if (s)
		s->slot = context;
#endif
	return s;
}

#ifdef STETH_PLAIN
static __always_inline struct steth_walk *steth_walk_of(__u32 slot)
{
	struct scratch *s = scratch_of(slot);

	return s ? &s->walk : NULL;
}
#endif

static __always_inline void count(struct scratch *s, enum steth_counter which, __u64 n)
{
	s->counters[which] += n;
}

/*
 * Who adds first has it. Of two that add at once none may see a one, and both look for another. Before 5.12 there is no exchange that
 * compares.
 */
static __always_inline bool is_mine(struct scratch *s)
{
	__sync_fetch_and_add(&s->busy, 1);
	if (*(volatile __u64 *)&s->busy == 1)
		return true;
	__sync_fetch_and_add(&s->busy, -1);
	return false;
}

/* Which of those from `from` on is ours now; -1: none. */
static __noinline int scratch_take(__u32 from)
{
	struct scratch *s;
	__u32 i;

	for (i = from; i < SCRATCHES; i++) {
		if (i >= scratches_made)
			break;
		s = scratch_of(i);
		if (s && is_mine(s))
			return i;
	}
	return -1;
}

static __always_inline struct scratch *scratch_taken(__u32 from)
{
	int slot = scratch_take(from);

	return slot < 0 ? NULL : scratch_of(slot);
}

static __always_inline void scratch_leave(struct scratch *s)
{
	barrier();
	__sync_fetch_and_add(&s->busy, -1);
}

/* For a program on a tracepoint, in a task. Where preemption is off there, it costs nothing. */
static __always_inline struct scratch *scratch_in_task(void)
{
	return preempted ? scratch_taken(IN_PREEMPTED) : scratch_of(IN_TASK);
}

static __always_inline void scratch_done(struct scratch *s)
{
	if (preempted)
		scratch_leave(s);
}

/*
 * Without a scratch of its own: none was free, or none is needed. These counters have no other user, so that it makes no difference that the
 * scratch has one, who is in the middle of something.
 */
static __noinline int count_apart(enum steth_counter which, __u64 n)
{
	struct scratch *s = scratch_of(IN_TASK);

	if (s && which < STETH_COUNTERS)
		__sync_fetch_and_add(&s->counters[which], n);
	return 0;
}

/* A transfer of so many bytes, or what was none. */
static __always_inline int transfer_crowded(int length)
{
	if (length > 0) {
		count_apart(STETH_CROWDED_CHUNKS, 1);
		count_apart(STETH_CROWDED_BYTES, length);
	}
	return 0;
}

/* Whatever else a program would have told of. */
static __always_inline int run_crowded(void)
{
	return count_apart(STETH_CROWDED_RUNS, 1);
}

#endif
