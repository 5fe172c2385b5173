//! The thread that reads /proc, and the queue before it.
//!
//! Reading /proc/PID/cmdline takes a lock of that process (`mmap_lock`), which it may hold for seconds. The drain must
//! not wait for that: a full ring loses other people's exchanges.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;
use steth_event::{LookUp, Process};

/// Questions that may wait. A process costs about 50 µs, so this is a fifth of a second of work.
const QUEUE: usize = 4096;

/// The clock ticks of /proc/PID/stat are 10 ms; anything further apart is another process with the same id.
const SAME_START: u64 = 20_000_000;

#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) number: u64,
    /// What the kernel's own records have told.
    pub(crate) known: Process,
    /// Whose image it has; 0: its own, or it is not known.
    pub(crate) parent: u32,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) number: u64,
    pub(crate) process: Process,
}

/// The asking end. The thread ends when it is dropped; nobody waits for that.
#[derive(Debug)]
pub(crate) struct Reader {
    questions: SyncSender<Question>,
    answers: Receiver<Answer>,
    under_way: usize,
}

impl Reader {
    pub(crate) fn start(read: impl Fn(u32) -> Option<Process> + Send + 'static) -> io::Result<Self> {
        let (questions, asked) = sync_channel::<Question>(QUEUE);
        // As many as can have been asked: the thread never waits for the drain.
        let (answer, answers) = sync_channel(QUEUE);
        let work = move || {
            for Question { number, known, parent } in asked {
                let process = complete(known, parent, &read);
                if answer.send(Answer { number, process }).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new().name("steth-identity".to_owned()).spawn(work)?;
        Ok(Self { questions, answers, under_way: 0 })
    }

    pub(crate) fn has_room(&self) -> bool {
        self.under_way < QUEUE
    }

    /// Whether the question found a place.
    pub(crate) fn ask(&mut self, question: Question) -> bool {
        let asked = self.has_room() && self.questions.try_send(question).is_ok();
        self.under_way += usize::from(asked);
        asked
    }

    /// The next answer; waits so long if one is to come.
    pub(crate) fn answer(&mut self, patience: Duration) -> Option<Answer> {
        if self.under_way == 0 {
            return None;
        }
        let answer = if patience.is_zero() {
            self.answers.try_recv().ok()?
        } else {
            self.answers.recv_timeout(patience).ok()?
        };
        self.under_way -= 1;
        Some(answer)
    }
}

fn complete(known: Process, parent: u32, read: &impl Fn(u32) -> Option<Process>) -> Process {
    let same = |live: &Process| known.started == 0 || live.started.abs_diff(known.started) < SAME_START;
    // Who was forked and has ended is known by the parent, unless that is younger.
    let older = |live: &Process| live.started <= known.started.saturating_add(SAME_START);
    let by_parent = || (parent != 0).then(|| read(parent).filter(older)).flatten();
    let live = read(known.pid).filter(same);
    match live.or_else(|| by_parent().map(|live| Process { pid: known.pid, ..live })) {
        // The kernel's own record has the exact start.
        Some(live) if known.started != 0 => Process { started: known.started, ..live },
        Some(live) => live,
        None => Process { look_up: LookUp::Done, ..known },
    }
}
