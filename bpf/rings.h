/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The way out: records go into rings, which crates/probe reads.
 */
#ifndef STETH_RINGS_H
#define STETH_RINGS_H

#include "scratch.h"
#ifdef STETH_PLAIN
#include "own_rings.h"
#endif

/*
 * One ring for a few CPUs, not one for all. With one, the two ends of a busy connection, which run on two CPUs, pass its lock
 * and its positions to and fro: 230 ns for each record here, against 85 with a ring for each CPU (docs/performance.md). A
 * connection stays with the ring of the CPU on which it was announced, a datagram socket with one by its id; the reader merges
 * the rings by time.
 */
#define RINGS_MAX 8

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

/* Filled before anything is attached. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, RINGS_MAX);
	__type(key, __u32);
	__array(values, struct ring);
} rings SEC(".maps");

/*
 * Waking the reader for every record costs ten times the record. It looks by itself every few milliseconds; it is woken
 * only when a ring fills up faster than that. The fill is looked at every 16th record.
 */
static __always_inline long emit(struct scratch *s, __u32 index, void *record, __u64 size)
{
	void *ring;
	__u64 flags = BPF_RB_NO_WAKEUP;
	long error;

#ifdef STETH_PLAIN
	if (own_ring_mask) {
		error = emit_to_own(s, record, size);
		if (error)
			count(s, STETH_DROPPED_RECORDS, 1);
		return error;
	}
#endif
	ring = bpf_map_lookup_elem(&rings, &index);
	if (ring) {
		if ((s->records++ & 15) == 0 && bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) >= wakeup_bytes)
			flags = BPF_RB_FORCE_WAKEUP;
		error = bpf_ringbuf_output(ring, record, size, flags);
		if (!error)
			return 0;
	}
	count(s, STETH_DROPPED_RECORDS, 1);
	return -1;
}

#endif
