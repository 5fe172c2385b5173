/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What the agent sets: before the programs are loaded, and while they run.
 */
#ifndef STETH_SETTINGS_H
#define STETH_SETTINGS_H

#include "core_types.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "event.h"

/* How far a transfer has come. What a stage costs is the difference that it makes (docs/performance.md). */
enum stage {
	STAGE_HOOK,       /* the tracepoint alone */
	STAGE_CONNECTION, /* state of the socket, verdict */
	STAGE_POSITION,
	STAGE_TIME,
	STAGE_LOCATE,     /* where the caller's bytes are */
	STAGE_COPY,
	STAGE_EMIT,
};

/* ---- settings, written before load */

/* Which family tells of transfers. */
enum hooks { HOOKS_TRACEPOINT, HOOKS_FUNCTION, HOOKS_SYSCALL };
const volatile __u32 hooks = HOOKS_TRACEPOINT;

/* The agent itself, as the kernel numbers it. */
const volatile __u32 self_tgid = 0;
/* Bytes copied of the head of a response whose end is known from its head. */
const volatile __u32 capture_head = 1024;
/* Wake the reader when so many bytes wait in the ring. */
const volatile __u32 wakeup_bytes = 128 * 1024;
/* Most bytes copied of one call. What is behind them is lost, rather than what is in the ring already. */
const volatile __u32 call_max = 4 * 1024 * 1024;
/* For `make bench`: the programs go no further than this; STAGE_EMIT is all the way. */
const volatile __u32 last_stage = STAGE_EMIT;
/* Of a second, as the kernel's chronographs count; 0: not known. */
const volatile __u32 jiffies_per_second = 0;
/* One of them, nanoseconds; 0: not known. */
const volatile __u32 jiffy_ns = 0;
/* The kernel describes its own types: programs have typed arguments, and helpers that give such are there. */
const volatile __u32 own_types = 1;
/* How far above the beginning of a task's stack its registers end (one_by_one.h). */
const volatile __u32 registers_above = 16384;
/* Programs on tracepoints are preempted here, so another one may begin on the same CPU while one is under way: scratch.h. */
const volatile __u32 preempted = 0;
/* And of the same one, not every run takes place. */
const volatile __u32 runs_missed = 0;
/* The number of struct iov_iter among the kernel's own types: CO-RE knows those that are left of them (crates/probe/src/trimmed.rs). */
const volatile __u32 iterator_type = 0;
/* A completion of io_uring is handed over as the entry of the queue, and not as what is in it. */
const volatile __u32 uring_entries = 0;
/* How many scratches there are. */
const volatile __u32 scratches_made = 0;
/* One less than the number of rings, which is a power of two. */
const volatile __u32 ring_mask = 0;
/* One less than the size of each ring of our own, a power of two (own_rings.h); 0: the kernel's are used. */
const volatile __u32 own_ring_mask = 0;
/* No setting: the value of what a table has not known yet, of up to 64 bytes. The plain core's stack has no room for it. */
const volatile __u64 nothing[8] = {};

/* ---- settings that change while it runs; the map is mapped into the agent */

struct {
	/* Stamped on every cached verdict; raised when the rules change. */
	__u32 epoch;
	/* Verdict of a process that the map below does not know. */
	__u32 default_verdict;
	/* What is analysed, a bit per protocol number. None: connections are counted and announced, and nothing is copied. */
	__u32 protocols;
	/* Only connections with this local or remote port; 0: all. Host order. */
	__u32 port;
	/*
	 * Rows of the rules that are in force, enum rules, and in the highest bit which half of the tables is theirs. No rows of
	 * processes or containers: the default verdict holds.
	 */
	__u32 rules;
	/* Connections whose hash is not above this are observed: rows.h. */
	__u32 sampling;
	/* Sockets that are not observed whoever has them. */
	__u32 skip_unix;
	__u32 skip_local;
	/* Children of the agent are selected, and theirs (`steth watch -- COMMAND`). */
	__u32 adopt_children;
	/* A sweep asks for books; else it only looks for coalesced bytes. */
	__u32 sweep_books;
	/* Set here when bytes were coalesced on some socket: a sweep will find them should nothing else. */
	__u32 sweep_wanted;
	/*
	 * When the last hook was there, by the clock of bpf_ktime_get_ns(); 0 before. They come one by one, and a socket that
	 * one of them has made a state for would have a hole where another one was still missing.
	 */
	__u64 attached;
	/* Whether the requests of io_uring are noted, enum uring. The programs that do so are hung when somebody needs it: uring.h. */
	__u32 uring;
	/* Datagrams whose destination found no room in `sent_to`. */
	__u64 sent_to_full;
	/* What `tally` has added up. */
	__u64 tally[STETH_COUNTERS];
} control SEC(".data.control");

/* crates/probe goes on from URING_SEEN. */
enum uring { URING_UNSEEN, URING_SEEN, URING_FOLLOWED, URING_LEFT };

/* Which rows say something. Those of selection.h take two bits each, from the lowest on. */
enum rules {
	RULES_PROCESS = 63,
	RULES_PORT_INCLUDES = 1 << 8,
	RULES_PORT_EXCLUDES = 1 << 9,
	RULES_REMOTE_INCLUDES = 1 << 10,
	RULES_REMOTE_EXCLUDES = 1 << 11,
	RULES_FAR_END = RULES_PORT_INCLUDES | RULES_PORT_EXCLUDES | RULES_REMOTE_INCLUDES | RULES_REMOTE_EXCLUDES,
	RULES_CONTAINER = 1 << 16,          /* any of the rows of containers */
	RULES_CONTAINER_INCLUDES = 1 << 17, /* one of them has an `include`: whoever is in no container is not selected */
};

#endif
