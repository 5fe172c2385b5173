/*
 * `brief child PORT …`: connects, sends a PING, reads the answer and ends, as the child of short.c does, without the C library.
 * Its start asks CPUID dozens of times, and on a virtual machine each time is an exit to the host: on one, half of such a
 * process's life. cc -O2 -static -nostdlib -fno-stack-protector
 */
#include <asm/unistd.h>
#include <linux/in.h>

#define AF_INET 2
#define SOCK_STREAM 1

#if defined(__x86_64__)
static long call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}

__asm__(".globl _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall begin\n");
#elif defined(__aarch64__)
static long call(long number, long a, long b, long c)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
	return x0;
}

__asm__(".globl _start\n_start: mov x0, sp\nbl begin\n");
#endif

static int ping(const char *port)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	char answer[16];
	int number = 0;
	long s;

	for (; *port; port++)
		number = number * 10 + *port - '0';
	to.sin_port = __builtin_bswap16(number);
	to.sin_addr.s_addr = __builtin_bswap32(INADDR_LOOPBACK);
	s = call(__NR_socket, AF_INET, SOCK_STREAM, 0);
	if (s < 0 || call(__NR_connect, s, (long)&to, sizeof(to)) || call(__NR_write, s, (long)"*1\r\n$4\r\nPING\r\n", 14) != 14)
		return 1;
	return call(__NR_read, s, (long)answer, sizeof(answer)) != 7;
}

/* What the kernel has put on the stack: how many words, and where they are. */
__attribute__((used)) static void begin(const long *stack)
{
	call(__NR_exit_group, stack[0] > 2 ? ping((const char *)stack[3]) : 2, 0, 0);
}
