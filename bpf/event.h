/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What crosses the ring: the records that the kernel side writes and crates/event reads. The same records, in the same
 * bytes, are the frames of a recording. Everything is little-endian, naturally aligned, without implicit padding; the
 * test `layout` in crates/probe compares every offset and size with the BTF of the compiled object.
 *
 * Offsets are 64-bit positions in one direction of a connection. For TCP their low 32 bits are the raw sequence number
 * of the byte, for other sockets they count from the first call that was seen. `time` is CLOCK_MONOTONIC nanoseconds.
 */
#ifndef STETH_EVENT_H
#define STETH_EVENT_H

enum steth_kind {
	STETH_OPEN = 1,     /* a connection is announced; comes before its first chunk and its first books */
	STETH_CHUNK = 2,    /* bytes moved between a task and a socket */
	STETH_SHUTDOWN = 3, /* one direction has ended with a FIN */
	STETH_CLOSE = 4,    /* the connection is gone; final books */
	STETH_PROGRESS = 5, /* the sweep found the connection alive; books so far */
	STETH_EXEC = 6,     /* a process has a new image */
	STETH_EXIT = 7,     /* a process has ended */
	STETH_CGROUP = 8, /* the cgroup of a container was made or removed, or a process has come into one */
	STETH_LISTEN = 9,   /* a TCP socket waits for connections, or does no more */
	STETH_FORK = 10,    /* a process has a child, with the same image until it execs */
	/* 16 and above are written in user space, for recordings */
};

enum steth_direction { STETH_SEND = 0, STETH_RECEIVE = 1 };

enum steth_role { STETH_ROLE_UNKNOWN = 0, STETH_ROLE_CLIENT = 1, STETH_ROLE_SERVER = 2 };

/* How the role was learnt, best first. */
enum steth_role_source {
	STETH_ROLE_UNSEEN = 0,
	STETH_ROLE_STATE = 1,   /* SYN_SENT or SYN_RECV to ESTABLISHED was seen */
	STETH_ROLE_REQUEST = 2, /* whoever sent the first request */
	STETH_ROLE_BOUND = 3,   /* older than the agent: by who chose its port, connect() or somebody before it. Better than a request */
};

/* Protocol numbers, the same in crates/wire. */
enum steth_protocol {
	STETH_PROTOCOL_UNKNOWN = 0,
	STETH_PROTOCOL_HTTP1 = 1,
	STETH_PROTOCOL_REDIS = 2,
	STETH_PROTOCOL_MYSQL = 3,
	STETH_PROTOCOL_POSTGRESQL = 4,
	STETH_PROTOCOL_DNS = 5,
	STETH_PROTOCOL_COUNT = 6,
};

enum steth_chunk_flags {
	/* First chunk of its direction since the other direction moved. */
	STETH_CHUNK_TURN = 1,
	/* There was a payload and it could not be read (page not present, io_uring, sendfile, 32-bit task). */
	STETH_CHUNK_UNREAD = 2,
	/* Several calls in one record; `time` is the last one's. */
	STETH_CHUNK_COALESCED = 4,
	/* A datagram from a socket that is not connected: behind the captured bytes is a struct steth_destination. */
	STETH_CHUNK_DESTINATION = 8,
	/* No hook ran for these bytes: `time` and `opposite` are of the call that found them moved. */
	STETH_CHUNK_MISSED = 16,
};

/* The arrival or departure was not recorded. */
#define STETH_LAG_UNKNOWN 0xffffffffu

struct steth_open {
	__u8 kind;
	__u8 family;      /* AF_UNIX, AF_INET, AF_INET6 */
	__u8 transport;   /* IPPROTO_TCP, IPPROTO_UDP; 0 for a unix stream, 1 for unix datagrams and packets */
	__u8 role;
	__u8 role_source;
	__u8 untold;      /* an announcement was lost before: `sent` and `received` are not where the connection began */
	__u8 joined;      /* it was in use before, so requests that nobody has seen may still wait for their responses */
	/* For its books alone: `sent` and `received` say nothing. If it is to be read later, another announcement comes first. */
	__u8 counted;
	__u32 tgid;       /* 0: not known */
	__u32 netns;      /* inode of the network namespace */
	__u64 connection;
	__u64 time;
	__u64 established;     /* 0: before the agent */
	__u64 connect_started; /* 0: passive, or before the agent */
	__u64 sent;            /* position of the next byte to be sent, at the announcement */
	__u64 received;
	__u16 local_port;
	__u16 remote_port;
	__u32 peer_tgid; /* unix sockets: who is at the other end; 0 otherwise */
	__u8 local_address[16];
	__u8 remote_address[16];
	__u8 comm[16];
	__u64 accepted; /* a passive one: when accept() returned it; 0: not known. Not in older recordings */
	/* Sequence numbers of the first bytes, which are the same at both ends, whatever addresses are rewritten on the way; 0: not seen. */
	__u32 began_sent; /* these two are not in older recordings */
	__u32 began_received;
};

/* Where a datagram was sent. */
struct steth_destination {
	__u16 family; /* AF_INET, AF_INET6 */
	__u16 port;
	__u8 address[16];
};

struct steth_chunk {
	__u8 kind;
	__u8 direction;
	__u8 protocol;
	__u8 flags;
	__u32 tgid;
	__u64 connection;
	/* A send: when its last byte left (tcp_wstamp_ns), else the end of the call. A receive: the end of the call. */
	__u64 time;
	__u64 offset;   /* of the first byte */
	__u64 opposite; /* position of the next byte in the other direction at that moment */
	__u32 length;   /* bytes that moved */
	__u16 captured; /* how many of the first of them follow */
	__u8 role;
	__u8 role_source;
	/* A receive: microseconds from the arrival of the bytes to `time`. A send: from `time` to the end of the call. */
	__u32 lag_us;
	__u32 calls; /* sends or receives in this record; more than one if coalesced */
};

struct steth_shutdown {
	__u8 kind;
	__u8 direction; /* the direction that has ended */
	__u8 reserved[6];
	__u64 connection;
	__u64 time;
	__u64 offset; /* end of that direction */
};

enum steth_close_flags {
	STETH_CLOSE_RESET_BY_PEER = 1,
	STETH_CLOSE_RESET_BY_US = 2,
	STETH_CLOSE_TIMED_OUT = 4,
	STETH_CLOSE_FIN_SENT = 8,
	STETH_CLOSE_FIN_RECEIVED = 16,
	STETH_CLOSE_REFUSED = 32,
};

/*
 * STETH_CLOSE and STETH_PROGRESS. What stands from `congestion` on is of the kernel's books, and is 0 in recordings of before it
 * was there: docs/l4.md says what each figure means. All of it counts from the connection's beginning.
 */
struct steth_books {
	__u8 kind;
	__u8 flags;
	__u8 protocol;
	__u8 role;
	__u32 tgid;
	__u64 connection;
	__u64 time;
	__u64 sent;          /* position after the last byte that the application sent */
	__u64 received;      /* position after the last byte that the application read */
	__u64 calls;         /* sends and receives seen on this socket */
	__u32 segments_out;
	__u32 segments_in;
	__u32 retransmitted; /* segments */
	__u32 srtt_us;
	__u32 error;         /* sk_err */
	/* Low 24 bits: congestion window, segments. Above: one more than the state (icsk_ca_state); all 0: not recorded. */
	__u32 congestion;
	__u64 bytes_sent;     /* that the application sent */
	__u64 bytes_received; /* that the application read */
	__u64 bytes_acked;    /* that the peer's kernel has confirmed */
	__u64 retransmitted_bytes;
	__u64 busy_us;                /* something was on its way, or waiting to be */
	__u64 receive_window_us;      /* of that: the peer's window did not let more out */
	__u64 send_buffer_us;         /* of that: the send buffer did not hold more */
	__u64 accepted;       /* as in steth_open */
	__u64 established;    /* as in steth_open, where the announcement came before it; 0: it never was, or not seen */
	__u32 rtt_min_us;     /* of the last five minutes (tcp_min_rtt_wlen); 0: no sample */
	__u32 rtt_deviation_us;
	__u32 reordered;      /* times that segments were found out of order (reord_seen) */
	__u32 lost;           /* segments that were taken for lost */
	__u32 duplicates;     /* segments that had arrived twice, as the peer says (D-SACK) */
	__u32 unread;         /* bytes that the application has not read yet */
	__u32 unacked;        /* bytes that the peer has not confirmed yet */
	__u32 send_window;    /* as the peer has announced it; 0 while it is shut */
};

enum steth_listen_change {
	STETH_LISTEN_BEGINS = 1,
	STETH_LISTEN_GOES_ON = 2, /* at a sweep */
	STETH_LISTEN_ENDS = 3,
};

struct steth_listen {
	__u8 kind;
	__u8 change;
	__u8 family;
	__u8 reserved;
	__u32 tgid;        /* who called listen(), or has the socket open */
	__u64 time;
	__u64 connection;  /* cookie of the socket */
	__u32 netns;
	__u16 port;
	__u16 reserved2;
	__u32 backlog;     /* connections that wait for accept() */
	__u32 backlog_max; /* one less than may wait */
	__u32 drops;       /* that did not fit, and other segments without an answer (sk_drops), since listen() */
	__u32 reserved3;
	__u8 address[16];
	__u8 comm[16];
};

/* Bytes of a container's id: 64 hexadecimal digits. */
#define STETH_CONTAINER_ID 32

struct steth_exec {
	__u8 kind;
	__u8 container_length; /* STETH_CONTAINER_ID, or 0: in no container. Of recordings from before there was one, 0 */
	__u8 undecided;        /* not selected, because it is not known yet what its container is called */
	__u8 reserved;
	__u32 tgid;
	__u64 time;
	__u64 started; /* start of the process, CLOCK_BOOTTIME nanoseconds */
	__u16 executable_length;   /* 0: the process is not selected, or it could not be read; likewise of the next */
	__u16 command_line_length; /* arguments separated by NUL */
	__u32 parent;
	/* executable, then command line, then the container's id */
};

struct steth_fork {
	__u8 kind;
	__u8 reserved[3];
	__u32 tgid; /* the child */
	__u64 time;
	__u64 started; /* start of the child, CLOCK_BOOTTIME nanoseconds */
	__u32 parent;
	__u32 reserved_too;
};

struct steth_exit {
	__u8 kind;
	__u8 reserved[3];
	__u32 tgid;
	__u64 time;
};

enum steth_cgroup_change {
	STETH_CGROUP_MADE = 1,  /* a cgroup of its own; one record for each hierarchy */
	STETH_CGROUP_GONE = 2,
	STETH_CGROUP_JOINED = 3, /* this process was put there (zeros: into none) and is to be judged anew; only while rules are in force */
};

struct steth_cgroup {
	__u8 kind;
	__u8 change;
	__u8 undecided; /* who has joined it is not selected, because user space has to look first */
	__u8 reserved;
	__u32 tgid; /* who has joined it; else 0 */
	__u64 time;
	__u8 id[STETH_CONTAINER_ID];
};

/* Counters of the kernel side, one array element per CPU. User space adds them up for the ledger. */
enum steth_counter {
	STETH_SEEN_CHUNKS,      /* sends and receives on selected sockets */
	STETH_SEEN_BYTES,
	STETH_REPORTED_CHUNKS,  /* covered by a record in the ring */
	STETH_REPORTED_BYTES,
	STETH_L4_CHUNKS,        /* no protocol known, or analysis off: counted in the books only */
	STETH_L4_BYTES,
	STETH_DROPPED_RECORDS,  /* ring full: records of any kind */
	STETH_DROPPED_CHUNKS,   /* ring full: sends and receives in them */
	STETH_DROPPED_BYTES,
	STETH_UNREAD_CHUNKS,    /* reported without payload because it could not be read */
	STETH_UNREAD_BYTES,
	STETH_SKIPPED_BYTES,    /* not copied by the capture policy */
	STETH_MAP_FULL,         /* no socket storage could be made: chunks */
	STETH_MAP_FULL_BYTES,
	STETH_PENDING_CHUNKS,   /* gauge kept as a count: coalesced, not yet in a record */
	STETH_PENDING_BYTES,
	STETH_UNSELECTED,       /* chunks on sockets that the verdict excludes */
	STETH_PEEKS,            /* MSG_PEEK and error-queue reads: no data consumed */
	STETH_VERDICTS_FULL,    /* processes whose verdict found no room, or nothing to go by */
	STETH_OTHER_CHUNKS,     /* on raw, ICMP, MPTCP, SCTP … sockets: there is no connection to follow */
	STETH_OTHER_BYTES,
	/* Ring full: exchanges whose request began in a dropped record, per protocol. */
	STETH_DROPPED_REQUESTS,
	/* No scratch was free: transfers, whatever sockets they were on, and runs of other programs. Not in older recordings. */
	STETH_CROWDED_CHUNKS = STETH_DROPPED_REQUESTS + STETH_PROTOCOL_COUNT,
	STETH_CROWDED_BYTES,
	STETH_CROWDED_RUNS,
	/* Ends of functions of which the kernel did not tell (kretprobes). Not in older recordings. */
	STETH_ENDS_MISSED,
	STETH_COUNTERS,
};

#endif
