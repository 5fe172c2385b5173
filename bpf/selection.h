/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * verdict: whether a new image is selected. It has to be known before the image's first instruction, and nobody can be asked
 * here; so user space compiles the rules' regular expressions into tables of transitions (crates/verdict), and this walks
 * them over executable, command line and environment.
 */
#ifndef STETH_SELECTION_H
#define STETH_SELECTION_H

#include "state.h"

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

struct reading {
	const struct steth_automaton *automaton;
	const __u8 *text;
	__u32 length;
	__u32 row;
	__u32 state;
};

static __always_inline __u32 transition(const struct steth_automaton *automaton, __u32 state, __u32 class)
{
	if (state <= STATE_MATCHED)
		return state;
	return automaton->next[(state + class) & (STETH_TRANSITIONS - 1)];
}

static long reading_step(__u64 i, struct reading *r)
{
	__u32 state;
	__u8 byte;

	if (i >= r->length)
		return 1;
	byte = r->text[i & (STETH_TEXT_MAX - 1)];
	if (byte == 0 && r->row == ROW_ENVIRONMENT) {
		/* Each variable is a text of its own. */
		state = transition(r->automaton, r->state, r->automaton->end);
		r->state = state == STATE_MATCHED ? STATE_MATCHED : r->automaton->start;
		goto out;
	}
	if (byte == 0 && r->row == ROW_COMMAND_LINE)
		byte = ' ';
	state = transition(r->automaton, r->state, r->automaton->class[byte]);
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

/* Whether the expressions are found in the text at the beginning of the scratch data. */
static __always_inline bool finds(const struct steth_automaton *automaton, struct scratch *s, __u32 row, __u32 length)
{
	struct reading reading = {
		.automaton = automaton,
		.text = s->data,
		.length = length,
		.row = row,
		.state = automaton->start,
	};

	bpf_loop(STETH_TEXT_MAX, reading_step, &reading, 0);
	return transition(automaton, reading.state, automaton->end) == STATE_MATCHED;
}

/* Parts of a path that are followed. */
#define PARTS_MAX 64

struct path_walk {
	struct scratch *s;
	struct dentry *dentry;
	struct vfsmount *mount;
	__u32 parts;
	__u32 at;
};

/* The names are collected behind the text. */
static __always_inline __u64 *part_of(struct scratch *s, __u32 n)
{
	return (__u64 *)(s->data + DATA_SPAN) + (n & (PARTS_MAX - 1));
}

/* From a name to its directory, and from the root of a mount to where it is mounted. */
static long upwards_step(__u64 i, struct path_walk *walk)
{
	/* Copies: a read through `walk` would make libbpf look for that type in the kernel. */
	struct vfsmount *here = walk->mount;
	struct dentry *dentry = walk->dentry, *directory;
	struct mount *mount = (void *)here - bpf_core_field_offset(struct mount, mnt), *above;

	if (dentry == BPF_CORE_READ(here, mnt_root)) {
		above = BPF_CORE_READ(mount, mnt_parent);
		if (above == mount || !above)
			return 1;
		walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		walk->mount = (void *)above + bpf_core_field_offset(struct mount, mnt);
		return 0;
	}
	directory = BPF_CORE_READ(dentry, d_parent);
	if (directory == dentry || !directory)
		return 1;
	*part_of(walk->s, walk->parts) = (__u64)BPF_CORE_READ(dentry, d_name.name);
	walk->parts++;
	walk->dentry = directory;
	return 0;
}

static long downwards_step(__u64 i, struct path_walk *walk)
{
	__u32 at = walk->at & (STETH_PATH_MAX - 1);
	long length;

	if (!walk->parts)
		return 1;
	walk->parts--;
	walk->s->data[at] = '/';
	length = bpf_probe_read_kernel_str(walk->s->data + at + 1, 256, (void *)*part_of(walk->s, walk->parts));
	if (length < 1 || walk->at + length >= STETH_PATH_MAX) {
		walk->at = 0;
		return 1;
	}
	walk->at += length;
	return 0;
}

/* The path of the executable, up to the root of its mount namespace. 0: it could not be found out. */
static __always_inline __u32 executable_path(struct task_struct *task, struct scratch *s)
{
	struct path_walk walk = { .s = s };

	walk.dentry = BPF_CORE_READ(task, mm, exe_file, f_path.dentry);
	walk.mount = BPF_CORE_READ(task, mm, exe_file, f_path.mnt);
	if (!walk.dentry || !walk.mount)
		return 0;
	/* Each directory, and each mount on the way, is a step. */
	if (bpf_loop(PARTS_MAX, upwards_step, &walk, 0) >= PARTS_MAX)
		return 0;
	bpf_loop(PARTS_MAX, downwards_step, &walk, 0);
	return walk.at;
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

/* Every row must agree. What cannot be read is not selected. */
static __always_inline bool image_selected(struct task_struct *task, struct scratch *s, __u32 rules)
{
	__u32 generation = rules >> 31, length;
	const struct steth_automaton *automaton;

	for (__u32 row = 0; row < ROWS; row++) {
		if (!(rules >> 2 * row & 3))
			continue;
		if (!text_of(task, s, row, &length)) {
			count(s, STETH_VERDICTS_FULL, 1);
			return false;
		}
		for (__u32 excludes = 0; excludes < 2; excludes++) {
			__u32 index = (generation * ROWS + row) * 2 + excludes;

			if (!(rules >> (2 * row + excludes) & 1))
				continue;
			automaton = bpf_map_lookup_elem(&automata, &index);
			if (!automaton || finds(automaton, s, row, length) == excludes)
				return false;
		}
	}
	return true;
}

/* A new image: the verdict of its process, kept for its children. */
static __always_inline void judge_image(struct task_struct *task, struct scratch *s)
{
	__u32 rules = control.rules, tgid = task->tgid, verdict = VERDICT_CAPTURE, *known;
	bool selected;

	if (!(rules & ((1u << 2 * ROWS) - 1)))
		return;
	selected = image_selected(task, s, rules);
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

#endif
