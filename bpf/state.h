/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What the kernel side remembers: verdicts, counters, and a few hundred bytes per socket.
 */
#ifndef STETH_STATE_H
#define STETH_STATE_H

#include "settings.h"

#include "policy.h"

enum verdict { VERDICT_UNDECIDED = 0, VERDICT_CAPTURE = 1, VERDICT_IGNORE = 2 };

/* tgid -> verdict. Exit removes an entry; a full map leaves a process at the default, and is counted. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} verdicts SEC(".maps");

/*
 * First half of a container's id -> verdict. User space puts it in; a removed cgroup takes it out. A container that is not here is
 * undecided. CONTAINERS of crates/probe.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u8[STETH_CONTAINER_ID / 2]);
	__type(value, __u32);
} containers SEC(".maps");

/* ---- per socket */

enum connection_flags {
	CONNECTION_ANNOUNCED = 1, /* STETH_OPEN is in the ring */
	CONNECTION_PLACED = 2,    /* the offsets are valid */
	CONNECTION_MOVED = 4,     /* bytes have moved, last_direction is valid */
	CONNECTION_L4 = 8,        /* no protocol after a few tries, or demoted by user space */
	CONNECTION_UNTOLD = 32,   /* an announcement did not fit into the ring */
	CONNECTION_CLOSED = 16,   /* STETH_CLOSE is in the ring */
	CONNECTION_HEADS = 64,    /* a HEAD was sent: a Content-Length may be of a body that does not come */
	CONNECTION_MISSED = 128,  /* bytes have passed that were not looked at: requests that nobody has seen may wait */
};

/*
 * The members that every transfer needs come first: with what the kernel keeps in front of them, they fill two cache
 * lines. On a machine that is not busy, nearly all of a program's time is waiting for lines.
 */
struct connection {
	__u64 id;
	__u64 offset[2];       /* position of the next byte, by direction */
	__u64 arrival;         /* of the oldest bytes that the receive in progress takes, with enum arrival; 0: none */
	__u64 departed;        /* last tcp_wstamp_ns seen */
	__u32 epoch;
	__u32 tgid;
	__u8 verdict;
	__u8 flags;
	__u8 protocol;
	__u8 role;
	__u8 role_source;
	__u8 last_direction;
	__u8 family;
	__u8 transport;
	/* the second line */
	__u32 budget[2];       /* bytes that may still be copied in this turn */
	__u64 body_end[2];     /* known end of the body that passes in this direction */
	__u64 frame_end;       /* where the client's next frame begins, if that is not behind us: follow.h */
	__u32 asked_from;      /* low half of where the requests were when the replies last moved, and what was not copied since */
	__u32 credit;          /* bytes of replies wanted beyond a turn's budget; see steth_reply_credit() */
	__u64 pending[2];      /* calls that no record covers yet, and their bytes: pending.h */
	__u32 calls;
	__u8 ring;             /* all records of a connection go through one ring, so they stay in order */
	__u8 prefix_length[2]; /* bytes of a message too short to tell so far; later, of a frame's head that is cut */
	__u8 ended;            /* `end` says something. Not a flag: an end is told beside a transfer */
	/* seldom used */
	__u8 tries;            /* messages that no protocol wanted; TRIES_OPAQUE */
	__u8 close_flags;
	__u8 far_end;          /* enum far_end: of a UDP socket that is not connected */
	__u8 told;             /* enum told */
	__u32 protocols;       /* which protocols it may be of: control.protocols when that was last looked at */
	__u64 pending_start[2]; /* position of the first of those bytes */
	__u64 pending_since[2];
	__u64 pending_until[2];
	__u64 flushing;        /* how many are about to tell of them */
	__u64 established;
	__u64 connect_started;
	__u64 accepted;
	__u64 end[2];          /* position after the last byte once a FIN has passed; 0 before */
	__u32 arrived;         /* ARRIVAL_REST: number of the byte behind those that had come by `arrival` */
	__u32 shut_at;         /* TOLD_SHUT: segments with data that had come by then (data_segs_in) */
	/* Its books, by direction: books.h. */
	__u32 began[2];        /* TCP: number of its first byte, or of one from which on the kernel's own count agrees */
	__u64 moved[2];        /* others: bytes */
	__u32 calls_of[2];     /* others: sends and receives; on UDP and on unix datagram sockets, datagrams */
	__u8 prefix[2][STETH_PREFIX];
#ifdef STETH_PLAIN
	__u64 inode;           /* of the socket that this is of; 0: it had none yet. A TCP socket's end is told, others' is not */
	__u64 listener;        /* number of a socket that waits for connections */
#endif
};

/* The lowest bits of `arrival`, which are nothing to it. */
enum arrival {
	ARRIVAL_REST = 1,  /* more had come by then than was taken: `arrived` */
	ARRIVAL_PAST = 2,  /* of an earlier receive; what is left of it may be taken by this one */
	ARRIVAL_APART = 4, /* it is not what tcp_mstamp said */
	ARRIVAL_BITS = 7,
};

/* What user space knows of a socket beside what CONNECTION_ANNOUNCED says. Not flags: those belong to the transfers. */
enum told {
	TOLD_COUNTED = 1,  /* announced for its books */
	TOLD_BEGAN = 2,    /* `began` is valid */
	TOLD_LISTENER = 4, /* it waits for connections; what the kernel has copied of it is the beginning of a connection */
	TOLD_SHUT = 8,     /* its owner has closed it and reads no more: `shut_at` */
};

/* What is known of whom a UDP socket without a far end talks to, by the rows of connections: datagram.h. */
enum far_end { FAR_END_UNKNOWN, FAR_END_WANTED, FAR_END_UNWANTED };

#ifndef STETH_PLAIN
/*
 * Freed by the kernel with the socket: nothing to collect, nothing to leak. What a listening socket has is copied to each of its
 * connections, which so know who listens.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct connection);
} connections SEC(".maps");
#else
/* By the socket's address. The end of a TCP socket takes one out, the sweep takes out what is left of others (plain.h). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct connection);
} connections SEC(".maps");
#endif

/*
 * The sendmmsg or recvmmsg in progress. Events of one call come one by one, in order; but the task may be put on another CPU
 * between any two of them. And the request of io_uring that the task has begun with last, an address that is only read through.
 */
struct vector_call {
	const struct mmsghdr *vector;
	__u32 next;
	__u32 length;
	__u64 first[4]; /* how the first datagram begins, if the call may end without a sign */
	__u64 request;
};
_Static_assert(sizeof(struct vector_call) <= sizeof(nothing), "made from it");

#ifndef STETH_PLAIN
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct vector_call);
} vector_calls SEC(".maps");
#else
/* By thread. One that is put out in the middle of a call has the rest of its payloads read from the wrong messages. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct vector_call);
} vector_calls SEC(".maps");
#endif

/* Connections that user space has given up on (connection id -> 1); read by the sweep. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u32);
} demoted SEC(".maps");

/*
 * What went where from UDP sockets that are not connected, since user space last looked: it takes out what it reads, once a window. What
 * finds no room is in the socket's books all the same, with a destination that is not known. SENT_TO of crates/probe.
 */
struct sent_to {
	__u64 connection;
	struct steth_destination to;
	__u32 reserved;
};

struct sent {
	__u64 bytes;
	__u64 datagrams;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct sent_to);
	__type(value, struct sent);
} sent_to SEC(".maps");

/* ---- counters and scratch, per CPU */

/* A per-CPU element may have 32 KiB: room for an offset below DATA_SPAN and a length up to DATA_MAX behind it. */
#define DATA_SPAN 16384
#define DATA_MAX 15360

/* Requests that begin in the captured bytes: what a dropped record takes with it. */
struct request_count {
	__u32 length;
	__u32 at;
	__u32 line;
	__u32 requests;
	__u32 protocol;
	__u32 reserved;
};

/* Segments that are read at once. */
#define IOVECS_READ 4

struct transfer {
	__u64 start;     /* position of the first byte */
	__u64 end;       /* behind the last one */
	__u64 known;     /* where this direction was before, by what was seen; less than `start` where bytes passed no hook */
	__u64 opposite;  /* where the other direction is */
	__u64 time;
	__u32 length;
	__u32 lag;       /* microseconds from arrival to `time`; STETH_LAG_UNKNOWN */
#ifdef STETH_PLAIN
	__u32 behind;    /* bytes that the same call has moved behind these */
#endif
	__u8 direction;
};

/* Where the bytes of the call in progress are: one buffer, or several. A cache line. */
struct source {
	const __u8 *buffer;
	const struct iovec *vector;
	const struct mmsghdr *message; /* of a sendmmsg or recvmmsg: the one of its vector */
	/* How many bytes are before the segment that the last copy has come to, and which one that is. */
	__u64 before;
	__u32 cursor;
	__u32 segments; /* of the vector; of one buffer, how long it is */
	__u32 loaded; /* which part of the vector is in `segments` of the scratch, counted from one */
	/* Of the copy in progress. */
	__u32 segment;
	__u32 at;
	__u32 skip;
	__u32 want;
	__u32 done;
};

/* The message in the hands of a function that has just ended, or of a request of io_uring: iterator.h. Addresses are only read through. */
struct moving {
	__u64 name;    /* where a datagram goes */
	__u64 size;    /* bytes that its iterator was over at the beginning */
	__u64 left;    /* and is now */
	__u64 base;    /* the buffer, or the segment that it stands in */
	__u64 at;      /* and how far behind that one's beginning */
	__u64 moved;   /* bytes between the two */
	__u32 first;   /* bytes of the first segment before those */
	__u32 kind;    /* enum iterator_kind */
	__u64 message; /* plain: where all of this is to be read; 0: nowhere */
	__u64 socket;  /* whose transfer it is, for a search among requests: uring.h */
	__u64 found;   /* what is above was found in one */
};

/* The text that a row looks at, and how far its table has come: selection.h. */
struct text_reading {
	__u32 length;
	__u32 row;
	__u32 state;
	__u32 automaton; /* its place in the table of them */
};

/* The path that is being put together. */
struct path_walk {
	/* Addresses, which are only read through. */
	__u64 dentry;
	__u64 mount;
	__u32 parts;
	__u32 at;
	__u32 whole; /* up to the root */
	__u32 reserved;
};

/* From a task's cgroups upwards: addresses, which are only read through. */
struct cgroup_walk {
	__u64 head;
	__u64 link;
	__u64 cgroup;
	__u32 found;
	__u32 reserved;
};

struct scratch {
	__u64 counters[STETH_COUNTERS];
	__u32 records; /* since the ring's fill was last looked at */
	/* Of the call in progress; a cache line with what is above. */
	__u32 doubt;  /* a turn has begun in the middle of a frame */
	__u64 start;  /* position of its first byte */
	__u32 skip;   /* bytes of it that are dealt with, or are the end of a body */
	__u32 pass;   /* bytes behind those just copied of which none is wanted */
	__u32 rest;   /* bytes behind those that a record covers */
	__u32 copied;
	__u64 busy;   /* programs that use this scratch, or have just tried to: scratch.h */
#ifdef STETH_PLAIN
	__u64 sk;        /* whose transfer it is */
	__u64 registers; /* of the call that has just returned */
	const struct mmsghdr *message; /* of a sendmmsg or recvmmsg that has returned: the one that it is about */
	__u32 behind;    /* bytes of the same call behind this one's */
	__u32 slot;      /* which one this is */
	__u64 numbers;   /* of sockets, given out on this CPU with this scratch */
	struct transfer transfer;
	__u32 messages;  /* of the vector: how many there are, which is the next, and how many bytes are in those */
	__u32 next_message;
	__u32 all;
	__u32 flags;     /* of a receive that has no registers */
#endif
	/* The record that is being made. */
	union {
		struct steth_open opening;
		struct steth_chunk pending;
		struct steth_shutdown ending;
		struct steth_listen listening;
	};
	struct source from;
	struct steth_frames frames;
	struct iovec segments[IOVECS_READ];
	struct steth_walk walk;
	struct steth_scan scan;
	struct request_count requests;
	/* An element may have 32 KiB, and all but a few bytes are in use: those of processes and those of functions are not the same. */
	union {
		struct {
			struct text_reading reading;
			struct path_walk path;
			struct cgroup_walk cgroups;
		};
		struct moving moving;
	};
	__u8 container[STETH_CONTAINER_ID]; /* container.h */
	__u32 digits;
	__u32 digits_from;
	struct steth_chunk chunk;
	__u8 data[DATA_SPAN + DATA_MAX];
	/*
	 * No room, only a mention: what nothing in a map or a function's signature refers to is not in the object's BTF, where
	 * the test `layout` in crates/probe looks for it.
	 */
	union {
		struct steth_open open;
		struct steth_destination destination;
		struct steth_chunk chunk;
		struct steth_shutdown shutdown;
		struct steth_books books;
		struct steth_exec exec;
		struct steth_exit exit;
		struct steth_fork fork;
		struct steth_listen listen;
		enum steth_listen_change listen_change;
		struct steth_cgroup container;
		enum steth_cgroup_change change;
		enum steth_kind kind;
		enum steth_direction direction;
		enum steth_role role;
		enum steth_role_source role_source;
		enum steth_protocol protocol;
		enum steth_chunk_flags chunk_flags;
		enum steth_close_flags close_flags;
		enum steth_counter counter;
	} mentioned[0];
};

/*
 * Whose they are says scratch.h. The map is made without those from IN_PREEMPTED on where nothing that takes one is preempted: 96 KiB a CPU.
 */
#define PREEMPTED_AT_ONCE 3
enum { IN_TASK, IN_BETWEEN, IN_PREEMPTED = IN_BETWEEN + 2, SCRATCHES = IN_PREEMPTED + PREEMPTED_AT_ONCE };
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCHES);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

#endif
