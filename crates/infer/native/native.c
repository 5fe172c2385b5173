// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * The kernel side's pure parts, compiled natively: what BPF runs is what the tests and the fuzzer run.
 */
#include <stdbool.h>
#include <string.h>

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;

#include "policy.h"

/* guess | protocol << 8 | request << 16 */
__u32 steth_native_infer(const __u8 *bytes, __u32 length, __u32 enabled)
{
	struct steth_walk walk;

	memset(&walk, 0xa5, sizeof(walk)); /* what lies behind the bytes must not matter */
	walk.n = length < STETH_PREFIX ? length : STETH_PREFIX;
	memcpy(walk.b, bytes, walk.n);
	return steth_infer(&walk, enabled);
}

/* A datagram of `total` bytes, of which these are the first. */
__u32 steth_native_infer_datagram(const __u8 *bytes, __u32 length, __u32 total, __u32 enabled)
{
	struct steth_walk walk;

	memset(&walk, 0xa5, sizeof(walk));
	walk.n = length < STETH_PREFIX ? length : STETH_PREFIX;
	memcpy(walk.b, bytes, walk.n);
	return steth_infer_datagram(&walk, total, enabled);
}

/* The loop around steth_scan_byte() is scan_step()'s in core.h, which looks at the first STETH_SCAN_MAX bytes. */
static struct steth_scan scan_head(const __u8 *bytes, __u32 length)
{
	struct steth_scan scan = { .length = length < STETH_SCAN_MAX ? length : STETH_SCAN_MAX };

	while (scan.at < scan.length && !steth_scan_byte(&scan, bytes[scan.at]))
		;
	return scan;
}

/* Length of the head, 0 if its end was not found; `value` is Content-Length, or ~0 without one. */
__u32 steth_native_scan(const __u8 *bytes, __u32 length, __u64 *value)
{
	struct steth_scan scan = scan_head(bytes, length);

	*value = scan.value_seen ? scan.value : ~0ull;
	return scan.head;
}

/* Length of the body behind the head, ~0 if the head does not tell. */
__u64 steth_native_body(const __u8 *bytes, __u32 length, bool request, bool heads)
{
	struct steth_scan scan = scan_head(bytes, length);

	return steth_body(&scan, bytes, request, heads);
}

/* Steps over the frames, as follow() in follow.h does. */
void steth_native_frames(struct steth_frames *frames, const __u8 *bytes)
{
	while (frames->at < frames->length && !steth_frame(frames, bytes + frames->at))
		;
}

/* Bytes wanted of the last frame, if it begins behind a turn's budget. */
__u32 steth_native_frame_budget(const struct steth_frames *frames)
{
	return steth_frame_budget(frames);
}
