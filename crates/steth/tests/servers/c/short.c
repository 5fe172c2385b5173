/*
 * Processes that live for a millisecond: `short PORT TIMES MARK` forks so many times, and each child becomes a new image that
 * connects, sends a PING, reads the answer and ends. Prints each one's id and how many microseconds it took. With a directory of
 * cgroups (version 2) behind that, each is born in it and keeps its parent's image.
 *
 * For more of them in a second: -DFORK=vfork copies no memory for a child, as posix_spawn() does, and -DIMAGE='"PATH"' of brief.c is
 * an image that takes less time to begin.
 */
#define _GNU_SOURCE
#ifndef FORK
#define FORK fork
#endif
#ifndef IMAGE
#define IMAGE "/proc/self/exe"
#endif
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int ping(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int s = socket(AF_INET, SOCK_STREAM, 0);
	char answer[16];

	if (s < 0 || connect(s, (void *)&to, sizeof(to)) || write(s, "*1\r\n$4\r\nPING\r\n", 14) != 14)
		return 1;
	return read(s, answer, sizeof(answer)) != 7;
}

static long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static pid_t fork_into(const char *cgroup)
{
	struct clone_args how = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD };
	int directory = open(cgroup, O_DIRECTORY | O_PATH | O_CLOEXEC);
	pid_t child;

	how.cgroup = directory;
	child = syscall(SYS_clone3, &how, sizeof(how));
	if (child)
		close(directory);
	return child;
}

int main(int count, char **words)
{
	if (count == 4 && !strcmp(words[1], "child"))
		return ping(atoi(words[2]));
	if (count != 4 && count != 5)
		return 2;
	setenv("STETH_MARK", words[3], 1);
	for (int n = atoi(words[2]); n > 0; n--) {
		long began = now_us();
		pid_t child = count == 5 ? fork_into(words[4]) : FORK();
		int status;

		if (child == 0 && count == 5)
			_exit(ping(atoi(words[1])));
		if (child == 0) {
			execl(IMAGE, words[0], "child", words[1], words[3], NULL);
			_exit(3);
		}
		if (child < 0 || waitpid(child, &status, 0) != child || status)
			return 4;
		printf("%d %ld\n", child, now_us() - began);
	}
	return 0;
}
