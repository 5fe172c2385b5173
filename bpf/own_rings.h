/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Rings of our own, where the kernel has no ring buffer (before 5.8): a map that the reader has in its memory, a ring in it for each CPU
 * and each context on it, which so has one writer at a time.
 *
 * Why not a perf buffer, which such kernels have: whether there is room in one is known only to the program that has the tracepoint's
 * context, so what is lost could not be counted where it is lost, with the requests in it. Here it can, as with the kernel's rings. And
 * neither events of perf nor its memory limit are needed.
 */
#ifndef STETH_OWN_RINGS_H
#define STETH_OWN_RINGS_H

#include "scratch.h"

/* A record that begins at the ring's end goes on behind it. */
#define OWN_RECORD_MAX 16384
#define OWN_HEADER 8

/* What both sides move is apart, each in a line. OWN_HEAD of crates/probe. */
struct own_ring {
	__u64 written;
	__u64 reserved[7];
	__u64 read;
	__u64 reserved_too[7];
	__u8 data[OWN_RECORD_MAX + OWN_HEADER];
};

/* Elements and their size are set before it is made: the data is as long as the ring and a record. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct own_ring));
} own_rings SEC(".maps");

static __always_inline long emit_to_own(struct scratch *s, void *record, __u64 size)
{
	__u32 index = bpf_get_smp_processor_id() * SCRATCHES + s->slot, at;
	struct own_ring *ring = bpf_map_lookup_elem(&own_rings, &index);
	__u64 written, room;

	if (!ring || size > OWN_RECORD_MAX)
		return -1;
	written = ring->written;
	room = (__u64)own_ring_mask + 1 - (written - *(volatile __u64 *)&ring->read);
	if (OWN_HEADER + ((size + 7) & ~7ull) > room)
		return -1;
	at = written & own_ring_mask;
	barrier_var(size);
	if (size > OWN_RECORD_MAX)
		return -1;
	if (bpf_probe_read_kernel(ring->data + at + OWN_HEADER, size, record))
		return -1;
	*(volatile __u64 *)(ring->data + at) = size;
	written += OWN_HEADER + ((size + 7) & ~7ull);
	/* Whoever sees this sees what is before it. */
#ifdef __TARGET_ARCH_x86
	/* No store goes past another one. */
	barrier();
	*(volatile __u64 *)&ring->written = written;
#else
	/* An exchange keeps the order everywhere (5.12). */
	__sync_lock_test_and_set(&ring->written, written);
#endif
	return 0;
}

#endif
