// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Hook family: the sock tracepoints, kernel 6.3 and newer.
 *
 * hooked      sock_send_length and sock_recv_length: every send and receive on every kind of socket, whatever call made it
 *             tcp_rcv_space_adjust: arrival of the bytes that a receive takes
 *             inet_sock_set_state, tcp_destroy_sock, tcp_receive_reset: roles, ends
 *             sched_process_exec, _fork, _exit: who it is, and inherited verdicts
 *             cgroup_mkdir, _rmdir, _attach_task: containers come and go, processes join them
 * why here    a typed, trusted socket; nothing that is not a socket passes; no kprobes are needed
 *             cgroup/getpeername4 and 6, where there is a hierarchy of version 2: accept()
 *             cgroup/sock_release, there too: the end of a UDP socket
 *             iter/bpf_sk_storage_map every ten seconds, iter/task_file once: sockets of which no event tells
 * maps        connections (socket storage), verdicts, automata, ports, remotes, containers, demoted, sent_to, scratches (per CPU), rings
 * cost        docs/performance.md, `make bench`
 */
#include "core.h"
#include "process.h"

char LICENSE[] SEC("license") = "GPL";

static __always_inline bool sockets_wanted(void)
{
	return last_stage > STAGE_HOOK && control.attached;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(sock_send_length, struct sock *sk, int ret, int flags)
{
	if (sockets_wanted())
		on_send(sk, ret);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(sock_recv_length, struct sock *sk, int ret, int flags)
{
	if (sockets_wanted())
		on_receive(sk, ret, flags);
	return 0;
}

SEC("tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(tcp_rcv_space_adjust, struct sock *sk)
{
	if (sockets_wanted())
		on_arrival(sk);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int old, int new)
{
	if (!sockets_wanted() || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	/* A socket that has just been copied from one that listens leaves that state too, for another one. */
	if (old == TCP_LISTEN && new == TCP_CLOSE)
		on_listen_end(sk);
	switch (new) {
	case TCP_LISTEN:
		on_listen(sk, current_tgid());
		break;
	case TCP_SYN_SENT:
		on_connect(sk);
		break;
	case TCP_ESTABLISHED:
		on_established(sk, old == TCP_SYN_RECV);
		break;
	case TCP_FIN_WAIT1:
		on_shut(sk);
		on_fin(sk, STETH_SEND);
		break;
	case TCP_FIN_WAIT2:
		on_shut(sk);
		break;
	case TCP_LAST_ACK:
		on_fin(sk, STETH_SEND);
		break;
	case TCP_CLOSE_WAIT:
	case TCP_CLOSING:
		on_fin(sk, STETH_RECEIVE);
		break;
	case TCP_CLOSE:
		/* Straight from a state in which a side was still open: nobody sent the FIN that was due. */
		on_close(sk, old == TCP_ESTABLISHED || old == TCP_CLOSE_WAIT || old == TCP_SYN_SENT, false);
		break;
	}
	return 0;
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(tcp_destroy_sock, struct sock *sk)
{
	if (sockets_wanted())
		on_close(sk, false, true);
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

SEC("iter/bpf_sk_storage_map")
int sweep(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct connection *c = ctx->value;
	struct sock *sk = ctx->sk;

	if (sk && c)
		on_sweep(sk, c);
	return 0;
}

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
	c = bpf_sk_storage_get(&connections, sk, 0, 0);
	if (c && c->id && c->established && !c->accepted && c->role == STETH_ROLE_SERVER && !c->calls)
		c->accepted = bpf_ktime_get_ns();
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
	c = bpf_sk_storage_get(&connections, sk, 0, 0);
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
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (sk)
		on_visit(sk, task->tgid);
	return 0;
}

struct clock_reading {
	__u64 jiffies;
	__u64 nanoseconds;
};

/* Run once by the agent: its own number, which in a pid namespace it cannot know otherwise, and how long a jiffy is. */
SEC("syscall")
int whoami(struct clock_reading *ctx)
{
	ctx->jiffies = bpf_jiffies64();
	ctx->nanoseconds = bpf_ktime_get_ns();
	return current_tgid();
}
