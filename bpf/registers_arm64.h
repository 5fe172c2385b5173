/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The registers of arm64: the number of a call, its arguments, its result. The first argument is kept apart, since the result takes its place.
 */
#ifndef STETH_REGISTERS_ARM64_H
#define STETH_REGISTERS_ARM64_H

#define PSR_MODE32 0x10

enum { /* include/uapi/asm-generic/unistd.h */
	SYS_read = 63,
	SYS_write = 64,
	SYS_readv = 65,
	SYS_writev = 66,
	SYS_sendfile = 71,
	SYS_splice = 76,
	SYS_accept = 202,
	SYS_sendto = 206,
	SYS_recvfrom = 207,
	SYS_sendmsg = 211,
	SYS_recvmsg = 212,
	SYS_accept4 = 242,
	SYS_recvmmsg = 243,
	SYS_sendmmsg = 269,
	SYS_bpf = 280,
	SYS_preadv2 = 286,
	SYS_pwritev2 = 287,
};

#define CALL_NUMBER syscallno
#define ARGUMENT_1(regs) READ(regs, orig_x0)
#define ARGUMENT_2(regs) READ(regs, regs[1])
#define ARGUMENT_3(regs) READ(regs, regs[2])
#define ARGUMENT_4(regs) READ(regs, regs[3])
#define ARGUMENT_5(regs) READ(regs, regs[4])

/* Of a function, where a kprobe stands at its beginning or behind its end: AAPCS64. */
#define HANDED_1(regs) ((regs)->regs[0])
#define HANDED_2(regs) ((regs)->regs[1])
#define HANDED_3(regs) ((regs)->regs[2])
#define HANDED_4(regs) ((regs)->regs[3])
#define RETURNED(regs) ((regs)->regs[0])
/* The return address is in a register: the stack is the same before and behind. */
#define FRAME_BEFORE(regs) ((regs)->sp)
#define FRAME_BEHIND(regs) ((regs)->sp)

/* A 64-bit task's; of a 32-bit one the numbers of calls are others. */
static __always_inline bool are_native(struct pt_regs *regs)
{
	return !(READ(regs, pstate) & PSR_MODE32);
}

/*
 * Until the result takes its place, the first argument stands where it stood (invoke_syscall). A call whose result is its descriptor cannot be
 * told from one that is under way: what task work moves behind it would be looked for in that call's buffer.
 */
static __always_inline bool in_call(struct pt_regs *regs)
{
	return READ(regs, regs[0]) == READ(regs, orig_x0);
}

#endif
