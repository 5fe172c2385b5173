/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * verdict: the container of a task, by the names of its cgroups, which is all that the kernel has of it. What a container is
 * called elsewhere user space finds out, and puts the verdict into a map.
 *
 * The forms are those of crates/identity/src/cgroup.rs: 64 hexadecimal digits, bare or behind a dash or a colon, perhaps with
 * ".scope" behind them; the innermost one counts. What is dressed as "-conmon-" is the process that watches over a container,
 * not the container. All hierarchies are looked at, of version 1 and 2.
 */
#ifndef STETH_CONTAINER_H
#define STETH_CONTAINER_H

#include "reach.h"

/* Hierarchies and directories that are looked at together: each is a step. */
#define CGROUPS_MAX 512
#define CGROUP_NAME_MAX 256
#define ID_DIGITS 64

static long digit_step(__u64 i, struct scratch **at)
{
	struct scratch *s = *at;
	__u8 c = s->data[(s->digits_from + i) & (CGROUP_NAME_MAX - 1)], digit;

	digit = c - '0';
	if (digit > 9) {
		digit = (c | 0x20) - 'a';
		if (digit > 5)
			return 1;
		digit += 10;
	}
	s->container[i / 2 & (STETH_CONTAINER_ID - 1)] = s->container[i / 2 & (STETH_CONTAINER_ID - 1)] << 4 | digit;
	s->digits++;
	return 0;
}
LOOP_STEP(digit_step)

/* Whether what stands before the id is "-conmon-": podman and CRI-O call the monitor's cgroup so, with the container's id. */
static __always_inline bool is_conmon(struct scratch *s, __u32 from)
{
	return s->data[(from - 8) & 255] == '-' && s->data[(from - 7) & 255] == 'c' && s->data[(from - 6) & 255] == 'o' &&
	       s->data[(from - 5) & 255] == 'n' && s->data[(from - 4) & 255] == 'm' && s->data[(from - 3) & 255] == 'o' &&
	       s->data[(from - 2) & 255] == 'n' && s->data[(from - 1) & 255] == '-';
}

/* Whether this cgroup is a container's; then s->container is its id. */
static __always_inline bool is_container(struct scratch *s, struct cgroup *cgroup)
{
	long length = bpf_probe_read_kernel_str(s->data, CGROUP_NAME_MAX, BPF_CORE_READ(cgroup, kn, name));
	__u32 end, from;
	__u8 before;

	if (length <= ID_DIGITS || length > CGROUP_NAME_MAX)
		return false;
	end = length - 1;
	if (s->data[(end - 1) & 255] == 'e' && s->data[(end - 6) & 255] == '.' && s->data[(end - 5) & 255] == 's' &&
	    s->data[(end - 4) & 255] == 'c' && s->data[(end - 3) & 255] == 'o' && s->data[(end - 2) & 255] == 'p')
		end -= 6;
	if (end < ID_DIGITS)
		return false;
	from = end - ID_DIGITS;
	before = s->data[(from - 1) & (CGROUP_NAME_MAX - 1)];
	if (from && before != '-' && before != ':')
		return false;
	if (from >= 8 && is_conmon(s, from))
		return false;
	s->digits = 0;
	s->digits_from = from;
	LOOP(ID_DIGITS, digit_step);
	return s->digits == ID_DIGITS;
}

/* From a cgroup to its parent, and from the top of a hierarchy to the next one. */
static long cgroup_step(__u64 i, struct scratch **at)
{
	struct scratch *s = *at;
	struct cgroup_walk *walk = &s->cgroups;
	struct cgroup *cgroup = (struct cgroup *)walk->cgroup;
	struct list_head *link = (struct list_head *)walk->link;
	struct cgrp_cset_link *in;

	if (cgroup && BPF_CORE_READ(cgroup, level) > 0) {
		if (is_container(s, cgroup)) {
			walk->found = 1;
			return 1;
		}
		walk->cgroup = (__u64)BPF_CORE_READ(cgroup, self.parent, cgroup);
		return 0;
	}
	link = BPF_CORE_READ(link, next);
	if (!link || (__u64)link == walk->head)
		return 1;
	walk->link = (__u64)link;
	in = (void *)link - bpf_core_field_offset(struct cgrp_cset_link, cgrp_link);
	walk->cgroup = (__u64)BPF_CORE_READ(in, cgrp);
	return 0;
}
LOOP_STEP(cgroup_step)

/* Whether a task with this set of cgroups is in a container; then s->container is its id. Takes an address, as of a task. */
OF_SCRATCH(find_container, (__u64 cgroups), (cgroups))
{
	struct cgroup_walk *walk;

	if (!s || !cgroups)
		return 0;
	walk = &s->cgroups;
	walk->head = cgroups + bpf_core_field_offset(struct css_set, cgrp_links);
	walk->link = walk->head;
	walk->cgroup = walk->found = 0;
	LOOP(CGROUPS_MAX, cgroup_step);
	return walk->found;
}

static __always_inline __u64 cgroups_of(struct task_struct *task)
{
	return (__u64)BPF_CORE_READ(task, cgroups);
}

/* The rows of containers, `found`: s->container is the one. What is not decided yet is not selected. */
static __always_inline bool container_selected(struct scratch *s, __u32 rules, bool found)
{
	__u32 *verdict;

	if (!(rules & RULES_CONTAINER))
		return true;
	if (!found)
		return !(rules & RULES_CONTAINER_INCLUDES);
	verdict = bpf_map_lookup_elem(&containers, s->container);
	return verdict && *verdict == VERDICT_CAPTURE;
}

/* The same container: whether the rows wait for what it is called. */
static __always_inline bool container_undecided(struct scratch *s, __u32 rules, bool found)
{
	return rules & RULES_CONTAINER && found && !bpf_map_lookup_elem(&containers, s->container);
}

/* Tells user space of the container in s->container. */
static __always_inline void emit_container(struct scratch *s, __u8 change, __u32 tgid, bool undecided)
{
	struct steth_cgroup record = {
		.kind = STETH_CGROUP,
		.change = change,
		.undecided = undecided,
		.tgid = tgid,
		.time = bpf_ktime_get_ns(),
	};

	__builtin_memcpy(record.id, s->container, sizeof(record.id));
	emit(s, 0, &record, sizeof(record));
}

/* A directory of a hierarchy was made or removed. */
static __always_inline void on_cgroup(struct cgroup *cgroup, __u8 change)
{
	struct scratch *s = scratch_in_task();

	if (!s) {
		run_crowded();
		return;
	}
	if (is_container(s, cgroup)) {
		if (change == STETH_CGROUP_GONE)
			bpf_map_delete_elem(&containers, s->container);
		emit_container(s, change, 0, false);
	}
	scratch_done(s);
}

#endif
