/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * verdict: which connections are observed, whoever has them: by the ports of their ends, by the remote address, and by chance.
 * Looked at only when a socket's verdict is made, not for each transfer.
 */
#ifndef STETH_ROWS_H
#define STETH_ROWS_H

#include "reach.h"

/* A bit per port. */
struct steth_ports {
	__u64 bits[1024];
};

/* What is included, then what is excluded; twice, so that new rules are complete before they are looked at. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * 2);
	__type(key, __u32);
	__type(value, struct steth_ports);
} ports SEC(".maps");

/* One trie for all lists: each has a number, which every prefix begins with. */
struct steth_remote {
	__u32 prefix; /* bits of `list` and `address` that count */
	__u32 list;   /* enum remote_list */
	__u8 address[16];
};

enum remote_list {
	LIST_EXCLUDES = 1,
	LIST_IPV6 = 2, /* IPv4 has lists of its own, or ::/0 would hold it too */
	LIST_SECOND = 4, /* of the two halves */
};

/* REMOTES of crates/probe. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 2 * 2 * 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct steth_remote);
	__type(value, __u8);
} remotes SEC(".maps");

/* control.sampling: all of them. */
#define SAMPLE_ALL 0xffffffffu

/* As in struct steth_open: IPv4 in the first four bytes. */
union address {
	__u32 words[4];
	__u64 halves[2];
};

/*
 * These few are global functions: the verifier looks at each once, whoever calls it and with what, where it would follow a static one from
 * each of its callers' states. That takes numbers only, on every kernel.
 */
__noinline int has_port(__u32 rules, __u32 excludes, __u32 port)
{
	__u32 index = (rules >> 31) * 2 + excludes;
	const struct steth_ports *list = bpf_map_lookup_elem(&ports, &index);

	return list && list->bits[port >> 6 & 1023] >> (port & 63) & 1;
}

/* With the halves of an address. */
__noinline int has_remote(__u32 rules, __u32 list, __u64 first, __u64 second)
{
	struct steth_remote key = {
		.prefix = list & LIST_IPV6 ? 160 : 64,
		.list = (rules >> 31 ? LIST_SECOND : 0) | list,
	};
	__u64 halves[2] = { first, second };

	__builtin_memcpy(key.address, halves, 16);
	return bpf_map_lookup_elem(&remotes, &key) != 0;
}

static __always_inline bool remote_wanted(__u32 rules, bool ipv4, const __u64 *address)
{
	__u32 list = ipv4 ? 0 : LIST_IPV6;

	if (rules & RULES_REMOTE_EXCLUDES && has_remote(rules, list | LIST_EXCLUDES, address[0], address[1]))
		return false;
	return !(rules & RULES_REMOTE_INCLUDES) || has_remote(rules, list, address[0], address[1]);
}

/* Of the finalizer of MurmurHash3 (public domain): each bit of the input changes each of the output with probability 1/2. */
__noinline __u32 mix(__u32 h)
{
	h = (h ^ h >> 16) * 0x85ebca6b;
	h = (h ^ h >> 13) * 0xc2b2ae35;
	return h ^ h >> 16;
}

__noinline __u32 hash_end(__u64 first, __u64 second, __u32 port)
{
	__u32 h = mix(port + 0x9e3779b9);

	h = mix(h ^ (__u32)first);
	h = mix(h ^ first >> 32) + 1;
	h = mix(h ^ (__u32)second) + 2;
	return mix(h ^ second >> 32) + 3;
}

/* An address of a socket as in struct steth_open. A mapped one is IPv4: true. */
static __always_inline bool plain(__u32 *address)
{
	if (address[0] || address[1] || address[2] != bpf_htonl(0xffff))
		return false;
	address[0] = address[3];
	address[2] = address[3] = 0;
	return true;
}

/*
 * The number of a unix socket's inode, by which one is told from all that come after it. An end that is accepted has one only
 * once it is, and a client may have sent by then; it has the listener's address, and most clients have none.
 */
static __always_inline __u32 unix_number(struct sock *sk)
{
	if (BPF_CORE_READ((struct unix_sock *)sk, addr))
		return 0;
	return BPF_CORE_READ(sk, sk_socket, file, f_inode, i_ino);
}

/* A UDP socket that is not connected: each datagram has a far end of its own, see far_end_wanted(). */
static __always_inline bool has_no_far_end(struct sock *sk)
{
	return !READ(sk, __sk_common.skc_dport);
}

/* Whether the rows of connections agree to this socket, so far as it tells. */
static __noinline int rows_agree(struct sock *sk, __u32 family)
{
	__u32 rules = control.rules, sampling = control.sampling, hash;
	__u16 here = READ(sk, __sk_common.skc_num), there = bpf_ntohs(READ(sk, __sk_common.skc_dport));
	union address local = {}, remote = {};
	struct sock *peer;
	bool ipv4 = true;

	if (family == AF_UNIX) {
		/* No port, no address: nothing to include it by, nothing to exclude it by. */
		if (rules & (RULES_PORT_INCLUDES | RULES_REMOTE_INCLUDES))
			return 0;
		if (sampling == SAMPLE_ALL)
			return 1;
		/* Each end knows the other one, and the order does not matter. */
		peer = BPF_CORE_READ((struct unix_sock *)sk, peer);
		if (!peer)
			return 1;
		return mix(hash_end(unix_number(sk), 0, 0) + hash_end(unix_number(peer), 0, 0)) <= sampling;
	}
	if (rules & RULES_PORT_EXCLUDES && (has_port(rules, 1, here) || (there && has_port(rules, 1, there))))
		return 0;
	if (has_no_far_end(sk))
		return 1;
	if (rules & RULES_PORT_INCLUDES && !has_port(rules, 0, here) && !has_port(rules, 0, there))
		return 0;
	if (!(rules & (RULES_REMOTE_INCLUDES | RULES_REMOTE_EXCLUDES)) && sampling == SAMPLE_ALL)
		return 1;
	if (family == AF_INET6) {
		BPF_CORE_READ_INTO(&remote.words, sk, __sk_common.skc_v6_daddr);
		BPF_CORE_READ_INTO(&local.words, sk, __sk_common.skc_v6_rcv_saddr);
		ipv4 = plain(remote.words);
		plain(local.words);
	} else {
		remote.words[0] = READ(sk, __sk_common.skc_daddr);
		local.words[0] = READ(sk, __sk_common.skc_rcv_saddr);
	}
	if (!remote_wanted(rules, ipv4, remote.halves))
		return 0;
	if (sampling == SAMPLE_ALL)
		return 1;
	hash = mix(hash_end(local.halves[0], local.halves[1], here) + hash_end(remote.halves[0], remote.halves[1], there));
	return hash <= sampling;
}

#endif
