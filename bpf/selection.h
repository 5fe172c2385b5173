/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * verdict: whether a new image is selected. It has to be known before the image's first instruction, and nobody can be asked
 * here; so user space compiles the rules' regular expressions into tables of transitions (crates/verdict), and this walks
 * them over executable, command line and environment.
 */
#ifndef STETH_SELECTION_H
#define STETH_SELECTION_H

#include "container.h"

/* TRANSITIONS, Rules::TEXT and Rules::PATH of crates/verdict. All are powers of two. */
#define STETH_TRANSITIONS 16384
#define STETH_TEXT_MAX 16384
#define STETH_PATH_MAX 4096

struct steth_automaton {
	__u16 start;
	__u16 end;        /* class of the end of the text */
	__u8 class[256];  /* of each byte */
	__u16 next[STETH_TRANSITIONS];
};

enum steth_row { ROW_EXECUTABLE, ROW_COMMAND_LINE, ROW_ENVIRONMENT, ROWS };

/* What each row includes, then what it excludes; twice, so that new rules are complete before they are looked at. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * 2 * ROWS);
	__type(key, __u32);
	__type(value, struct steth_automaton);
} automata SEC(".maps");

/* A state is the place of its row. These two are final. */
#define STATE_NEVER 0
#define STATE_MATCHED 1

static __always_inline __u32 transition(const struct steth_automaton *automaton, __u32 state, __u32 class)
{
	if (state <= STATE_MATCHED)
		return state;
	return automaton->next[(state + class) & (STETH_TRANSITIONS - 1)];
}

/* What changes meanwhile is in the scratch: what is in a map the verifier follows once, and not once for each value. */
static long reading_step(__u64 i, struct scratch **at)
{
	struct scratch *s = *at;
	struct text_reading *r = &s->reading;
	/* A key stands on the stack: before 6.2 no helper takes one that is in memory of a caller's. */
	__u32 state, index = r->automaton;
	const struct steth_automaton *automaton = bpf_map_lookup_elem(&automata, &index);
	__u8 byte;

	if (!automaton || i >= r->length)
		return 1;
	byte = s->data[i & (STETH_TEXT_MAX - 1)];
	if (byte == 0 && r->row == ROW_ENVIRONMENT) {
		/* Each variable is a text of its own. */
		state = transition(automaton, r->state, automaton->end);
		r->state = state == STATE_MATCHED ? STATE_MATCHED : automaton->start;
		goto out;
	}
	if (byte == 0 && r->row == ROW_COMMAND_LINE)
		byte = ' ';
	state = transition(automaton, r->state, automaton->class[byte]);
	r->state = state;
	/* Another variable may follow. */
	if (state == STATE_NEVER && r->row != ROW_ENVIRONMENT)
		return 1;
out:
	/* Not the comparison's value: the verifier could not tell that it is 0 or 1. */
	if (state != STATE_MATCHED)
		return 0;
	return 1;
}
LOOP_STEP(reading_step)

/* Whether the expressions are found in the text at the beginning of the scratch data. */
static __always_inline bool finds(const struct steth_automaton *automaton, struct scratch *s, __u32 index, __u32 row, __u32 length)
{
	s->reading.automaton = index;
	s->reading.length = length;
	s->reading.row = row;
	s->reading.state = automaton->start;
	LOOP(STETH_TEXT_MAX, reading_step);
	return transition(automaton, s->reading.state, automaton->end) == STATE_MATCHED;
}

/* Parts of a path that are followed. */
#define PARTS_MAX 64

/* The names are collected behind the text. */
static __always_inline __u64 *part_of(struct scratch *s, __u32 n)
{
	return (__u64 *)(s->data + DATA_SPAN) + (n & (PARTS_MAX - 1));
}

/* From a name to its directory, and from the root of a mount to where it is mounted. */
static long upwards_step(__u64 i, struct scratch **at)
{
	struct scratch *s = *at;
	struct path_walk *walk = &s->path;
	struct vfsmount *here = (struct vfsmount *)walk->mount;
	struct dentry *dentry = (struct dentry *)walk->dentry, *directory;
	struct mount *mount = (void *)here - bpf_core_field_offset(struct mount, mnt), *above;

	if (dentry == BPF_CORE_READ(here, mnt_root)) {
		above = BPF_CORE_READ(mount, mnt_parent);
		if (above == mount || !above) {
			walk->whole = 1;
			return 1;
		}
		walk->dentry = (__u64)BPF_CORE_READ(mount, mnt_mountpoint);
		walk->mount = (__u64)above + bpf_core_field_offset(struct mount, mnt);
		return 0;
	}
	directory = BPF_CORE_READ(dentry, d_parent);
	if (directory == dentry || !directory) {
		walk->whole = 1;
		return 1;
	}
	*part_of(s, walk->parts) = (__u64)BPF_CORE_READ(dentry, d_name.name);
	walk->parts++;
	walk->dentry = (__u64)directory;
	return 0;
}
LOOP_STEP(upwards_step)

static long downwards_step(__u64 i, struct scratch **in)
{
	struct scratch *s = *in;
	struct path_walk *walk = &s->path;
	__u32 at = walk->at & (STETH_PATH_MAX - 1);
	long length;

	if (!walk->parts)
		return 1;
	walk->parts--;
	s->data[at] = '/';
	length = bpf_probe_read_kernel_str(s->data + at + 1, 256, (void *)*part_of(s, walk->parts));
	if (length < 1 || walk->at + length >= STETH_PATH_MAX) {
		walk->at = 0;
		return 1;
	}
	walk->at += length;
	return 0;
}
LOOP_STEP(downwards_step)

/* The path of the executable, up to the root of its mount namespace. 0: it could not be found out. */
static __always_inline __u32 executable_path(struct task_struct *task, struct scratch *s)
{
	s->path.dentry = (__u64)BPF_CORE_READ(task, mm, exe_file, f_path.dentry);
	s->path.mount = (__u64)BPF_CORE_READ(task, mm, exe_file, f_path.mnt);
	s->path.parts = s->path.at = 0;
	if (!s->path.dentry || !s->path.mount)
		return 0;
	s->path.whole = 0;
	/* Each directory, and each mount on the way, is a step. */
	LOOP(PARTS_MAX, upwards_step);
	if (!s->path.whole)
		return 0;
	LOOP(PARTS_MAX, downwards_step);
	return s->path.at;
}

/* What the row looks at, at the beginning of the scratch data. False: it could not be read. */
static __always_inline bool text_of(struct task_struct *task, struct scratch *s, __u32 row, __u32 *length)
{
	unsigned long start, end;
	__u64 size;

	if (row == ROW_EXECUTABLE) {
		*length = executable_path(task, s);
		return *length > 0;
	}
	start = row == ROW_COMMAND_LINE ? BPF_CORE_READ(task, mm, arg_start) : BPF_CORE_READ(task, mm, env_start);
	end = row == ROW_COMMAND_LINE ? BPF_CORE_READ(task, mm, arg_end) : BPF_CORE_READ(task, mm, env_end);
	size = end > start ? end - start : 0;
	if (size > STETH_TEXT_MAX)
		size = STETH_TEXT_MAX;
	*length = size;
	if (!size)
		return true;
	if (bpf_probe_read_user(s->data, size, (void *)start))
		return false;
	/* The last one ends with a NUL too. */
	if (s->data[(size - 1) & (STETH_TEXT_MAX - 1)] == 0)
		*length = size - 1;
	return true;
}

/*
 * Whether a row agrees to the current task's image. What cannot be read is not selected. A function of its own for the verifier,
 * which so follows it once and not once for each row.
 */
OF_SCRATCH(row_agrees, (__u32 rules, __u32 row), (rules, row))
{
	struct task_struct *task = current_task();
	__u32 generation = rules >> 31, length = 0;
	const struct steth_automaton *automaton;

	if (!s || row >= ROWS)
		return 0;
	if (!text_of(task, s, row, &length)) {
		count(s, STETH_VERDICTS_FULL, 1);
		return 0;
	}
	for (__u32 excludes = 0; excludes < 2; excludes++) {
		__u32 index = (generation * ROWS + row) * 2 + excludes;

		if (!(rules >> (2 * row + excludes) & 1))
			continue;
		automaton = bpf_map_lookup_elem(&automata, &index);
		if (!automaton || finds(automaton, s, index, row, length) == excludes)
			return 0;
	}
	return 1;
}

/* Every row must agree. */
static __always_inline bool image_selected(struct scratch *s, __u32 rules)
{
	for (__u32 row = 0; row < ROWS; row++)
		if (rules >> 2 * row & 3 && !row_agrees(s, rules, row))
			return false;
	return true;
}

static __always_inline void set_verdict(struct scratch *s, __u32 tgid, bool selected)
{
	__u32 verdict = VERDICT_CAPTURE, *known;

	known = bpf_map_lookup_elem(&verdicts, &tgid);
	if (selected == !!known)
		return;
	if (!selected)
		bpf_map_delete_elem(&verdicts, &tgid);
	else if (bpf_map_update_elem(&verdicts, &tgid, &verdict, BPF_ANY))
		count(s, STETH_VERDICTS_FULL, 1);
	/* Sockets that it had before are its sockets still. */
	__sync_fetch_and_add(&control.epoch, 1);
}

/* A new image: the verdict of its process, kept for its children. `contained`: s->container is where it is. */
static __always_inline void judge_image(struct task_struct *task, struct scratch *s, bool contained)
{
	__u32 rules = control.rules;

	if (!(rules & (RULES_PROCESS | RULES_CONTAINER)))
		return;
	set_verdict(s, READ(task, tgid), container_selected(s, rules, contained) && image_selected(s, rules));
}

/*
 * A process is in another cgroup than the one in which it was judged. Its image cannot be read from here, so where rows of
 * processes are in force too, user space is asked; until then the safe side holds.
 */
static __always_inline void judge_moved(struct task_struct *task, struct scratch *s, __u32 rules)
{
	bool contained = find_container(s, cgroups_of(task)), selected = container_selected(s, rules, contained);
	bool undecided = selected ? rules & RULES_PROCESS : container_undecided(s, rules, contained);

	if (!contained)
		__builtin_memset(s->container, 0, sizeof(s->container));
	emit_container(s, STETH_CGROUP_JOINED, READ(task, tgid), undecided);
	set_verdict(s, READ(task, tgid), selected && !(rules & RULES_PROCESS));
}

#endif
