/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The tracepoints of sock_tracepoints.h as events of perf, for kernels that preempt programs on tracepoints (Linux 7).
 *
 * how         the kernel makes a record of what a tracepoint is handed, with preemption off, and runs the program on that (perf_trace_##call(),
 *             trace_call_bpf()). The socket in there is an address: plain core
 * why here    none of its runs is missed, and none comes in between another one. Nor is there a limit of calls under way, as kretprobes have
 * not seen    as in sock_tracepoints.h
 * weaker      what the plain core lacks. While somebody's call that reads or changes a BPF map is preempted, such programs are not run on that CPU;
 *             the kernel counts what is missed. Nor are anybody's others of that kind, and kprobes, in a softirq that comes in between
 */
#ifndef STETH_SOCK_EVENTS_H
#define STETH_SOCK_EVENTS_H

#include "moved.h"

SEC("tracepoint")
int event_send(struct trace_event_raw_sock_msg_length *event)
{
	struct scratch *s;

	if (!sockets_wanted())
		return 0;
	s = scratch_of(IN_TASK);
	if (s)
		sent(event->sk, s, event->ret);
	return 0;
}

SEC("tracepoint")
int event_receive(struct trace_event_raw_sock_msg_length *event)
{
	struct scratch *s;

	if (!sockets_wanted())
		return 0;
	s = scratch_of(IN_TASK);
	if (s)
		taken(event->sk, s, event->ret, event->flags);
	return 0;
}

struct tally {
	__u32 slot;
};

static long tally_step(__u64 cpu, struct tally *tally)
{
	struct scratch *s = bpf_map_lookup_percpu_elem(&scratches, &tally->slot, cpu);
	__u32 i;

	if (!s)
		return 1;
	for (i = 0; i < STETH_COUNTERS; i++)
		control.tally[i] += s->counters[i];
	return 0;
}

#define CPUS_MAX 8192

/*
 * Run by the agent: adds the counters of the scratches ctx[0] to the tally, which begins with the first of them. To read a map by a call of the
 * agent's would do, but while such a call is under way, preempted perhaps, the kernel runs no program of perf's on that CPU
 * (bpf_disable_instrumentation()).
 */
SEC("raw_tp")
int tally(__u64 *ctx)
{
	struct tally tally = { .slot = ctx[0] };
	__u32 i;

	for (i = 0; i < STETH_COUNTERS && !tally.slot; i++)
		control.tally[i] = 0;
	bpf_loop(CPUS_MAX, tally_step, &tally, 0);
	return 0;
}

#endif
