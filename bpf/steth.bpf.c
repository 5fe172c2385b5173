// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * All programs. One family of hooks tells of transfers, by what the kernel has (crates/probe/src/hooks.rs):
 *
 *             sock_tracepoints.h   6.3 and newer; sock_events.h: the same by perf, for kernels that preempt programs on tracepoints
 *             sock_functions.h     functions of the socket layer; sock_probes.h: the same by kprobes
 *             syscall_exit.h       exits of system calls, and syscall_requests.h: completions of io_uring
 *
 * and with each of them go, because the kernels that have the one have the others:
 *
 * hooked      tcp_rcv_space_adjust: arrival of the bytes that a receive takes
 *             inet_sock_set_state, tcp_destroy_sock, tcp_receive_reset: roles, ends
 *             sched_process_exec, _fork, _exit: who it is, and inherited verdicts
 *             cgroup_mkdir, _rmdir, _attach_task: containers come and go, processes join them
 *             cgroup/getpeername4 and 6, where there is a hierarchy of version 2: accept()
 *             cgroup/sock_release, there too: the end of a UDP socket
 *             an iterator over the states every ten seconds, iter/task_file once: sockets of which no event tells
 * maps        connections (in the socket, or by its address), verdicts, automata, ports, remotes, containers, demoted, sent_to,
 *             scratches (per CPU), rings
 * cost        docs/performance.md, `make bench`
 */
#include "core.h"
#include "process.h"
#include "sock_functions.h"
#include "sock_tracepoints.h"
#ifdef STETH_PLAIN
#include "sock_events.h"
#include "sock_probes.h"
#include "syscall_exit.h"
#include "syscall_requests.h"

/* The state of a socket is looked at, or goes with it. */
static __always_inline int sweep_state(struct sock *sk)
{
	struct connection *c = connection_of(sk);

	if (!c)
		return 0;
	if (is_gone(sk, c))
		connection_forget(sk);
	else
		on_sweep(sk, c);
	return 0;
}

#include "one_by_one.h"
#endif

char LICENSE[] SEC("license") = "GPL";

SEC("tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(tcp_rcv_space_adjust, struct sock *sk)
{
	if (sockets_wanted())
		on_arrival(sk);
	return 0;
}

/* `s`: NULL if none was free. What is told of a socket is lost then; what is kept of it is not. */
static __always_inline void on_state(struct sock *sk, struct scratch *s, int old, int new)
{
	/* A socket that has just been copied from one that listens leaves that state too, for another one. */
	if (old == TCP_LISTEN && new == TCP_CLOSE)
		on_listen_end(sk, s);
	switch (new) {
	case TCP_LISTEN:
		on_listen(sk, s, current_tgid());
		break;
	case TCP_SYN_SENT:
		on_connect(sk, s);
		break;
	case TCP_ESTABLISHED:
		on_established(sk, s, old == TCP_SYN_RECV);
		break;
	case TCP_FIN_WAIT1:
		on_shut(sk);
		on_fin(sk, s, STETH_SEND);
		break;
	case TCP_FIN_WAIT2:
		on_shut(sk);
		break;
	case TCP_LAST_ACK:
		on_fin(sk, s, STETH_SEND);
		break;
	case TCP_CLOSE_WAIT:
	case TCP_CLOSING:
		on_fin(sk, s, STETH_RECEIVE);
		break;
	case TCP_CLOSE:
		/* Straight from a state in which a side was still open: nobody sent the FIN that was due. */
		on_close(sk, s, old == TCP_ESTABLISHED || old == TCP_CLOSE_WAIT || old == TCP_SYN_SENT, false);
		break;
	}
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int old, int new)
{
	struct scratch *s;

	if (!sockets_wanted() || READ(sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	s = scratch_taken(IN_BETWEEN);
	on_state(sk, s, old, new);
	if (!s)
		return run_crowded();
	scratch_leave(s);
	return 0;
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(tcp_destroy_sock, struct sock *sk)
{
	struct scratch *s;

	if (sockets_wanted()) {
		s = scratch_taken(IN_BETWEEN);
		if (s) {
			on_close(sk, s, false, true);
			scratch_leave(s);
		} else {
			run_crowded();
		}
	}
#ifdef STETH_PLAIN
	connection_forget(sk);
#endif
	return 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(tcp_receive_reset, struct sock *sk)
{
	if (sockets_wanted())
		on_reset_by_peer(sk);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(sched_process_exec, struct task_struct *task, int old_pid, struct linux_binprm *binary)
{
	if (last_stage > STAGE_HOOK)
		on_exec(task, binary);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(sched_process_fork, struct task_struct *parent, struct task_struct *child)
{
	if (last_stage > STAGE_HOOK)
		on_fork(parent, child);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(sched_process_exit, struct task_struct *task)
{
	if (last_stage > STAGE_HOOK)
		on_exit(task);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_mkdir, struct cgroup *cgroup)
{
	if (last_stage > STAGE_HOOK)
		on_cgroup(cgroup, STETH_CGROUP_MADE);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cgroup_rmdir, struct cgroup *cgroup)
{
	if (last_stage > STAGE_HOOK)
		on_cgroup(cgroup, STETH_CGROUP_GONE);
	return 0;
}

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(cgroup_attach_task, struct cgroup *cgroup, const char *path, struct task_struct *task)
{
	if (last_stage > STAGE_HOOK)
		on_attach(task);
	return 0;
}

#ifndef STETH_PLAIN
SEC("iter/bpf_sk_storage_map")
int sweep(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct connection *c = ctx->value;
	struct sock *sk = ctx->sk;

	if (sk && c)
		on_sweep(sk, c);
	return 0;
}
#else
SEC("iter/bpf_map_elem")
int sweep(struct bpf_iter__bpf_map_elem *ctx)
{
	__u64 *key = ctx->key;

	return key ? sweep_state((struct sock *)*key) : 0;
}
#endif

/*
 * Somebody asks for the address of a peer. accept() does, for a caller that wants it: the first such question about a connection that was
 * opened passively is its accept. A kernel or a host without such cgroups lacks this instant and nothing else.
 */
static __always_inline int on_peer_name(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct connection *c;

	if (!sk || !sockets_wanted())
		return 1;
#ifndef STETH_PLAIN
	c = bpf_sk_storage_get(&connections, sk, 0, 0);
#else
	c = connection_of((struct sock *)sk);
#endif
	if (c)
		accepted(c);
	return 1;
}

SEC("cgroup/getpeername4")
int accepted4(struct bpf_sock_addr *ctx)
{
	return on_peer_name(ctx);
}

SEC("cgroup/getpeername6")
int accepted6(struct bpf_sock_addr *ctx)
{
	return on_peer_name(ctx);
}

/* A socket of the internet protocols is closed by the last who had it. Of UDP nothing else tells. */
SEC("cgroup/sock_release")
int released(struct bpf_sock *sk)
{
	struct connection *c;

	if (sk->protocol != IPPROTO_UDP || !sockets_wanted())
		return 1;
#ifndef STETH_PLAIN
	c = bpf_sk_storage_get(&connections, sk, 0, 0);
#else
	c = connection_of((struct sock *)sk);
#endif
	if (c)
		on_release(c);
	return 1;
}

/* Run once at the start. */
SEC("iter/task_file")
int visit(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;
	struct sock *sk;

	if (!task || !file)
		return 0;
#ifndef STETH_PLAIN
	socket = bpf_sock_from_file(file);
#else
	/* That is of 5.11. */
	socket = (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) == S_IFSOCK ? BPF_CORE_READ(file, private_data) : NULL;
#endif
	if (!socket)
		return 0;
	sk = READ(socket, sk);
	if (sk)
		on_visit(sk, task->tgid);
	return 0;
}
