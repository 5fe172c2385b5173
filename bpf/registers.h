/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The registers with which a task entered the kernel: which call it has made, with which arguments.
 */
#ifndef STETH_REGISTERS_H
#define STETH_REGISTERS_H

#include "reach.h"

#define PF_IO_WORKER 0x00000010
#define PF_KTHREAD 0x00200000

#if defined(__TARGET_ARCH_x86)
#include "registers_x86.h"
#elif defined(__TARGET_ARCH_arm64)
#include "registers_arm64.h"
#else
#error "the registers of x86-64 and of arm64 are known"
#endif

#define CALL(regs) READ(regs, CALL_NUMBER)

static __always_inline struct pt_regs *registers_of(struct scratch *s, struct task_struct *task)
{
#ifdef STETH_PLAIN
	/* The tracepoint has them. */
	if (BY_SYSCALL)
		return (struct pt_regs *)s->registers;
	/* The helper is of 5.15, and takes the kernel's own types. */
	if (own_types && bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	return (struct pt_regs *)((__u64)BPF_CORE_READ(task, stack) + registers_above - bpf_core_type_size(struct pt_regs));
#else
	return (struct pt_regs *)bpf_task_pt_regs(task);
#endif
}

#endif
