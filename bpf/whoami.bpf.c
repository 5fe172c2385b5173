// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Run once by the agent, before anything else is loaded: its own number, which in a pid namespace it cannot know otherwise, and how
 * long a jiffy is. By itself, since it reads no field of the kernel's: an object that does has all of the kernel's types searched.
 */
#include "core_types.h"
#include <bpf/bpf_helpers.h>

/* Both at once. */
struct {
	__u64 jiffies;
	__u64 nanoseconds;
} clocks SEC(".data.clocks");

SEC("raw_tp")
int whoami(void *ctx)
{
	clocks.jiffies = bpf_jiffies64();
	clocks.nanoseconds = bpf_ktime_get_ns();
	return bpf_get_current_pid_tgid() >> 32;
}

char LICENSE[] SEC("license") = "GPL";
