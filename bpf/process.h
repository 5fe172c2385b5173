/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Processes: a new image is reported with its arguments, because a short process is gone before user space can look; a
 * child inherits its parent's verdict before it can send anything; an end frees the verdict.
 *
 * Of whoever is not selected the ring says that there is a child, another image, an end, so that nobody is taken for who had
 * the id before; and nothing of what that image is.
 */
#ifndef STETH_PROCESS_H
#define STETH_PROCESS_H

#include "connection.h"
#include "selection.h"

#define EXECUTABLE_MAX 256
#define COMMAND_LINE_MAX 512

struct exec_record {
	struct steth_exec exec;
	__u8 text[EXECUTABLE_MAX + COMMAND_LINE_MAX + STETH_CONTAINER_ID];
};

static __always_inline void tell_exec(struct scratch *s, struct task_struct *task, struct linux_binprm *binary)
{
	struct exec_record *record;
	unsigned long start, end;
	bool contained, selected;
	__u32 text = 0;
	long length;

	contained = find_container(s, cgroups_of(task));
	judge_image(task, s, contained);
	record = (struct exec_record *)s->data;
	__builtin_memset(&record->exec, 0, sizeof(record->exec));
	record->exec.kind = STETH_EXEC;
	record->exec.undecided = container_undecided(s, control.rules, contained);
	record->exec.tgid = READ(task, tgid);
	record->exec.time = bpf_ktime_get_ns();
	record->exec.started = BPF_CORE_READ(task, group_leader, start_boottime);
	record->exec.parent = BPF_CORE_READ(task, real_parent, tgid);
	selected = verdict_of(READ(task, tgid)) == VERDICT_CAPTURE;
	/* Of a script, what runs it: that is what /proc/PID/exe says, too. */
	length = selected ? bpf_probe_read_kernel_str(record->text, EXECUTABLE_MAX, BPF_CORE_READ(binary, interp)) : 0;
	if (length > 1 && length <= EXECUTABLE_MAX)
		text = length - 1;
	record->exec.executable_length = text;
	start = BPF_CORE_READ(task, mm, arg_start);
	end = BPF_CORE_READ(task, mm, arg_end);
	if (selected && end > start) {
		__u64 size = end - start;
		__u32 at = text & (EXECUTABLE_MAX - 1);

		if (size > COMMAND_LINE_MAX)
			size = COMMAND_LINE_MAX;
		if (!bpf_probe_read_user(record->text + at, size, (void *)start)) {
			record->exec.command_line_length = size;
			text = at + size;
		}
	}
	if (text > EXECUTABLE_MAX + COMMAND_LINE_MAX)
		return;
	if (contained) {
		__builtin_memcpy(record->text + text, s->container, STETH_CONTAINER_ID);
		record->exec.container_length = STETH_CONTAINER_ID;
		text += STETH_CONTAINER_ID;
	}
	emit(s, 0, record, sizeof(record->exec) + text);
}

static __always_inline void on_exec(struct task_struct *task, struct linux_binprm *binary)
{
	struct scratch *s = scratch_in_task();
	__u32 tgid = READ(task, tgid);

	if (!s) {
		/* What it inherited was its parent's. Nobody judges the image, so the safe side holds. */
		if (control.rules & (RULES_PROCESS | RULES_CONTAINER) && !bpf_map_delete_elem(&verdicts, &tgid))
			__sync_fetch_and_add(&control.epoch, 1);
		run_crowded();
		return;
	}
	tell_exec(s, task, binary);
	scratch_done(s);
}

/* A child that serves one connection and ends is gone before user space can look: it is known by its parent. */
static __always_inline void report_fork(struct scratch *s, __u32 parent, struct task_struct *child)
{
	struct steth_fork record = {
		.kind = STETH_FORK,
		.tgid = READ(child, tgid),
		.time = bpf_ktime_get_ns(),
		.started = READ(child, start_boottime),
		.parent = parent,
	};

	emit(s, 0, &record, sizeof(record));
}

static __always_inline void tell_fork(struct scratch *s, struct task_struct *parent, struct task_struct *child)
{
	__u32 parent_tgid = READ(parent, tgid), tgid = READ(child, tgid), verdict = VERDICT_CAPTURE, *known, rules = control.rules;

	report_fork(s, parent_tgid, child);
	/* clone3() can put a child into another cgroup at once. */
	if (rules & RULES_CONTAINER && cgroups_of(parent) != cgroups_of(child)) {
		judge_moved(child, s, rules);
		return;
	}
	if (!(control.adopt_children && parent_tgid == self_tgid)) {
		known = bpf_map_lookup_elem(&verdicts, &parent_tgid);
		if (!known)
			return;
		verdict = *known;
	}
	if (bpf_map_update_elem(&verdicts, &tgid, &verdict, BPF_ANY))
		count(s, STETH_VERDICTS_FULL, 1);
}

static __always_inline void on_fork(struct task_struct *parent, struct task_struct *child)
{
	struct scratch *s;

	if (READ(child, pid) != READ(child, tgid))
		return;
	s = scratch_in_task();
	if (!s) {
		run_crowded();
		return;
	}
	tell_fork(s, parent, child);
	scratch_done(s);
}

/* A process was put into another cgroup. A thread by itself (version 1) is judged as its process. */
static __always_inline void on_attach(struct task_struct *task)
{
	__u32 rules = control.rules;
	struct scratch *s;

	if (!(rules & RULES_CONTAINER) || READ(task, pid) != READ(task, tgid) || READ(task, tgid) == self_tgid)
		return;
	s = scratch_in_task();
	if (!s) {
		run_crowded();
		return;
	}
	judge_moved(task, s, rules);
	scratch_done(s);
}

static __always_inline void on_exit(struct task_struct *task)
{
	struct steth_exit record = { .kind = STETH_EXIT, .tgid = READ(task, tgid) };
	struct scratch *s;

	if (READ(task, pid) != READ(task, tgid))
		return;
	record.time = bpf_ktime_get_ns();
	bpf_map_delete_elem(&verdicts, &record.tgid);
	s = scratch_in_task();
	if (!s) {
		run_crowded();
		return;
	}
	emit(s, 0, &record, sizeof(record));
	scratch_done(s);
}

#endif
