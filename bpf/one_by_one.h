/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Programs that the agent runs itself, a call for each socket, where the kernel does not describe its own types: iterators take those. And what
 * is asked of a kernel of which a file tells the types: whether it is the right file.
 *
 * run         BPF_PROG_RUN of raw tracepoints, 5.10 and newer, in the agent's own task
 * cost        about a microsecond a socket and a call of the agent's; an iterator takes one for all
 */
#ifndef STETH_ONE_BY_ONE_H
#define STETH_ONE_BY_ONE_H

#include "syscall_exit.h"

/* What sweep does for one state: ctx[0] is its key. */
SEC("raw_tp")
int sweep_one(__u64 *ctx)
{
	return sweep_state((struct sock *)ctx[0]);
}

/* What visit does for one file: ctx[0] is a descriptor of the agent's, made of one of the process ctx[1]. */
SEC("raw_tp")
int visit_one(__u64 *ctx)
{
	struct sock *sk = socket_of(ctx[0]);

	if (sk)
		on_visit(sk, ctx[1]);
	return 0;
}

/* crates/probe/src/described.rs has the words for these. */
enum described {
	DESCRIBED,
	OTHER_TASK,
	OTHER_FILES,
	OTHER_SOCKET,
	OTHER_CONNECTION,
};

/*
 * Whether the fields are where the file says. The agent knows what must stand in them: its own number and name, and of a connection with itself
 * (ctx[0], a descriptor; negative: it has none) the ports (ctx[1], the near one above) and how many bytes came in (ctx[2]).
 */
SEC("raw_tp")
int described(__u64 *ctx)
{
	struct task_struct *task = current_task();
	char name[16] = {}, told[16] = {};
	int descriptor = ctx[0];
	__u32 ports = ctx[1], i;
	struct sock *sk;

	bpf_get_current_comm(name, sizeof(name));
	BPF_CORE_READ_INTO(&told, task, comm);
	if (READ(task, tgid) != current_tgid())
		return OTHER_TASK;
	/* Behind its end, an older kernel leaves what is left of a longer one. */
	for (i = 0; i < sizeof(name) && (!i || name[i - 1]); i++)
		if (name[i] != told[i])
			return OTHER_TASK;
	if (descriptor < 0)
		return DESCRIBED;
	sk = socket_of(descriptor);
	if (!sk)
		return OTHER_FILES;
	if (READ(sk, sk_protocol) != IPPROTO_TCP || READ(sk, __sk_common.skc_family) != AF_INET ||
	    READ(sk, __sk_common.skc_num) != ports >> 16 ||
	    bpf_ntohs(READ(sk, __sk_common.skc_dport)) != (ports & 0xffff) || READ(sk, __sk_common.skc_state) != TCP_ESTABLISHED)
		return OTHER_SOCKET;
	if (READ(tcp_sock_of(sk), bytes_received) != ctx[2])
		return OTHER_CONNECTION;
	return DESCRIBED;
}

/*
 * How far above the beginning of a task's stack the registers end with which it has entered the kernel, where no helper tells. Found by what the
 * agent must have in them at this moment: the number of the call that runs this. 0: not found.
 */
SEC("raw_tp")
int registers_end(void *ctx)
{
	__u64 stack = (__u64)READ(current_task(), stack);
	__u32 size, gap;

	for (size = 16384; size <= 65536; size *= 2)
		/* CONFIG_X86_FRED leaves 16 bytes free above them. */
		for (gap = 0; gap <= 16; gap += 16) {
			struct pt_regs *regs = (void *)(stack + size - gap - bpf_core_type_size(struct pt_regs));

			if (CALL(regs) == SYS_bpf && are_native(regs))
				return size - gap;
		}
	return 0;
}

#endif
