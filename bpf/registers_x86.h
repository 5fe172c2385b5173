/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The registers of x86-64: the number of a call, its arguments, its result.
 */
#ifndef STETH_REGISTERS_X86_H
#define STETH_REGISTERS_X86_H

#define USER_CS 0x33

enum { /* arch/x86/entry/syscalls/syscall_64.tbl */
	SYS_read = 0,
	SYS_write = 1,
	SYS_readv = 19,
	SYS_writev = 20,
	SYS_sendfile = 40,
	SYS_accept = 43,
	SYS_sendto = 44,
	SYS_recvfrom = 45,
	SYS_sendmsg = 46,
	SYS_recvmsg = 47,
	SYS_splice = 275,
	SYS_accept4 = 288,
	SYS_recvmmsg = 299,
	SYS_sendmmsg = 307,
	SYS_bpf = 321,
	SYS_preadv2 = 327,
	SYS_pwritev2 = 328,
};

#define CALL_NUMBER orig_ax
#define ARGUMENT_1(regs) READ(regs, di)
#define ARGUMENT_2(regs) READ(regs, si)
#define ARGUMENT_3(regs) READ(regs, dx)
#define ARGUMENT_4(regs) READ(regs, r10)
#define ARGUMENT_5(regs) READ(regs, r8)

/* Of a function, where a kprobe stands at its beginning or behind its end: the System V ABI. */
#define HANDED_1(regs) ((regs)->di)
#define HANDED_2(regs) ((regs)->si)
#define HANDED_3(regs) ((regs)->dx)
#define HANDED_4(regs) ((regs)->cx)
#define RETURNED(regs) ((regs)->ax)
/* Where its return address is. Behind its end that has been taken from the stack. */
#define FRAME_BEFORE(regs) ((regs)->sp)
#define FRAME_BEHIND(regs) ((regs)->sp - 8)

/* A 64-bit task's; of a 32-bit one the numbers of calls are others. */
static __always_inline bool are_native(struct pt_regs *regs)
{
	return READ(regs, cs) == USER_CS;
}

/*
 * The result stands in `ax` once the call is done (entry_SYSCALL_64, do_syscall_64). What runs then is task work, of io_uring
 * for example, and the registers are of a call that has nothing to do with it.
 */
static __always_inline bool in_call(struct pt_regs *regs)
{
	return READ(regs, ax) == (unsigned long)-ENOSYS;
}

#endif
