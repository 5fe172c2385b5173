//! Where questions and runtimes meet: who is asked, when again, and whose word counts.

use crate::container::Container;
use crate::counters::{Count, add};
use crate::discovery::{Found, Sockets, look};
use crate::memory::{Entry, Memory};
use crate::runtimes::{Answer, EndpointState, Mailbox};
use crate::settings::Settings;
use crate::worker::{Outcome, QUEUE, Question, Rank, Report, Worker};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, interval, sleep_until};

/// Reports that may wait; workers wait if there is no room.
const REPORTS: usize = 64;

/// How long an answer waits for a better one, of a runtime whose word counts more.
const GRACE: Duration = Duration::from_millis(250);

/// A question that is under way.
#[derive(Default)]
struct Pending {
    attempt: usize,
    /// Runtimes that have not answered in this attempt.
    outstanding: usize,
    /// The best answer so far, of one that is not sure to have the best.
    candidate: Option<(Arc<Container>, Rank)>,
    /// Somebody did not tell, in this attempt.
    unsaid: bool,
}

impl Pending {
    fn offer(&mut self, container: Arc<Container>, rank: Rank) {
        if self.candidate.as_ref().is_none_or(|(_, best)| rank < *best) {
            self.candidate = Some((container, rank));
        }
    }
}

/// A runtime that is there.
struct Runtime {
    number: u32,
    found: Found,
    questions: Sender<Question>,
    name: Option<Arc<str>>,
    trouble: Option<String>,
}

pub(crate) struct Desk {
    settings: Settings,
    count: Arc<Count>,
    mailbox: Mailbox,
    memory: Memory,
    pending: HashMap<Arc<str>, Pending, FixedState>,
    /// When which attempt begins, or ends without those that have not answered. The number makes equal times differ.
    due: BTreeMap<(Instant, u64), Due>,
    dues: u64,
    runtimes: Vec<Runtime>,
    workers: u32,
    reports: Sender<Report>,
}

enum Due {
    Begin(Question),
    End(Question),
}

impl Desk {
    /// Works until nobody can ask any more.
    pub(crate) async fn run(settings: Settings, count: Arc<Count>, mailbox: Mailbox, mut asked: Receiver<Arc<str>>) {
        let (reports, mut reported) = channel(REPORTS);
        let mut desk = Self {
            memory: Memory::new(settings.remembered),
            pending: HashMap::with_hasher(FixedState::with_seed(0x6465736b)),
            due: BTreeMap::new(),
            dues: 0,
            runtimes: Vec::new(),
            workers: 0,
            settings,
            count,
            mailbox,
            reports,
        };
        let mut look_again = interval(desk.settings.look_again.max(Duration::from_millis(10)));
        look_again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let next = desk.due.first_key_value().map(|((at, _), _)| *at);
            tokio::select! {
                biased;
                _ = look_again.tick() => desk.look(),
                Some(report) = reported.recv() => desk.hear(report),
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => desk.act(),
                id = asked.recv() => match id {
                    Some(id) => desk.ask(id),
                    None => return,
                },
            }
        }
    }

    fn look(&mut self) {
        let Sockets { found, ignored, out_of_reach } = look(&self.settings);
        self.count.ignored.store(ignored as u64, Ordering::Relaxed);
        self.count.out_of_reach.store(out_of_reach as u64, Ordering::Relaxed);
        // A worker whose questions end finishes those that it has, and then itself.
        self.runtimes.retain(|runtime| found.iter().any(|found| found.endpoint == runtime.found.endpoint));
        for found in found {
            if self.runtimes.iter().any(|runtime| runtime.found.endpoint == found.endpoint) {
                continue;
            }
            let (questions, receiver) = channel(QUEUE);
            self.workers += 1;
            let worker = Worker {
                number: self.workers,
                api: found.endpoint.api,
                path: found.path.clone(),
                names: self.settings.environment.clone(),
                deadline: self.settings.deadline,
                count: self.count.clone(),
                questions: receiver,
                reports: self.reports.clone(),
            };
            tokio::spawn(worker.run());
            self.runtimes.push(Runtime { number: self.workers, found, questions, name: None, trouble: None });
        }
        self.publish();
    }

    fn ask(&mut self, id: Arc<str>) {
        match self.memory.get(&id) {
            Some(Entry::Known(container, _)) => {
                let container = Some(container.clone());
                self.give(Answer { id, container, asked: true, certain: true });
            }
            Some(Entry::Unknown(until)) if *until > Instant::now() => {
                self.give(Answer { id, container: None, asked: true, certain: true });
            }
            _ if self.pending.contains_key(&id) => self.mailbox.merged(),
            _ => {
                self.pending.insert(id.clone(), Pending::default());
                self.begin(Question { id, attempt: 0 });
            }
        }
    }

    /// Asks all runtimes.
    fn begin(&mut self, question: Question) {
        let Some(pending) = self.pending.get_mut(&question.id) else { return };
        pending.attempt = question.attempt;
        // A runtime with a full queue is one that does not know, for now.
        let took = self.runtimes.iter().filter(|runtime| runtime.questions.try_send(question.clone()).is_ok());
        pending.outstanding = took.count();
        pending.unsaid = pending.outstanding < self.runtimes.len();
        if pending.outstanding == 0 {
            self.end(question);
        } else {
            // Each call has its deadline; waiting for a place among them, and connecting, may take it again.
            let at = Instant::now() + self.settings.deadline * 3;
            self.later(at, Due::End(question));
        }
    }

    /// All have answered, or had the time to.
    fn end(&mut self, question: Question) {
        let Some(pending) = self.pending.get_mut(&question.id) else { return };
        if pending.attempt != question.attempt {
            return;
        }
        if let Some((container, rank)) = pending.candidate.take() {
            self.resolve(container, rank);
        } else if let Some(pause) = self.settings.pauses.get(question.attempt) {
            pending.attempt += 1;
            pending.outstanding = 0;
            let attempt = pending.attempt;
            self.later(Instant::now() + *pause, Due::Begin(Question { attempt, ..question }));
        } else {
            let certain = !pending.unsaid && pending.outstanding == 0;
            self.pending.remove(&question.id);
            if certain {
                let until = Instant::now() + self.settings.unknown_for;
                self.remember(question.id.clone(), Entry::Unknown(until));
            }
            self.give(Answer { id: question.id, container: None, asked: true, certain });
        }
    }

    fn later(&mut self, at: Instant, due: Due) {
        self.dues += 1;
        self.due.insert((at, self.dues), due);
    }

    fn act(&mut self) {
        while let Some(first) = self.due.first_entry()
            && first.key().0 <= Instant::now()
        {
            match first.remove() {
                Due::Begin(question) => self.begin(question),
                Due::End(question) => self.end(question),
            }
        }
    }

    fn hear(&mut self, report: Report) {
        match report {
            Report::Answer { question, outcome } => self.answered(question, outcome),
            Report::News(container, rank) => self.news(container, rank),
            Report::State { worker, runtime, trouble } => {
                if let Some(state) = self.runtimes.iter_mut().find(|state| state.number == worker) {
                    state.name = runtime.or(state.name.take());
                    state.trouble = trouble;
                    self.publish();
                }
            }
        }
    }

    fn answered(&mut self, question: Question, outcome: Outcome) {
        let Some(pending) = self.pending.get_mut(&question.id) else {
            // Late, and all the same worth knowing.
            if let Outcome::Known(container, rank) = outcome {
                self.news(container, rank);
            }
            return;
        };
        match outcome {
            Outcome::Known(container, Rank::Cri) => return self.resolve(container, Rank::Cri),
            Outcome::Known(container, rank) => {
                if pending.candidate.is_none() {
                    // The CRI may know it better, if it answers soon.
                    let at = Instant::now() + GRACE;
                    let attempt = pending.attempt;
                    self.dues += 1;
                    self.due.insert((at, self.dues), Due::End(Question { attempt, ..question.clone() }));
                }
                pending.offer(container, rank);
            }
            Outcome::NotHere => {}
            Outcome::NotSaid => pending.unsaid |= pending.attempt == question.attempt,
        }
        if pending.attempt == question.attempt {
            pending.outstanding = pending.outstanding.saturating_sub(1);
            if pending.outstanding == 0 {
                self.end(question);
            }
        }
    }

    fn resolve(&mut self, container: Arc<Container>, rank: Rank) {
        let id: Arc<str> = Arc::from(&*container.id);
        self.pending.remove(&id);
        self.remember(id.clone(), Entry::Known(container.clone(), rank));
        self.give(Answer { id, container: Some(container), asked: true, certain: true });
    }

    fn news(&mut self, container: Arc<Container>, rank: Rank) {
        match self.pending.get_mut(&*container.id) {
            Some(_) if rank == Rank::Cri => return self.resolve(container, rank),
            Some(pending) => {
                pending.offer(container, rank);
                return;
            }
            None => {}
        }
        if let Some(Entry::Known(known, best)) = self.memory.get(&container.id)
            && (rank > *best || **known == *container)
        {
            return;
        }
        let id: Arc<str> = Arc::from(&*container.id);
        self.remember(id.clone(), Entry::Known(container.clone(), rank));
        if self.mailbox.news(Answer { id, container: Some(container), asked: false, certain: true }) {
            add(&self.count.news);
        } else {
            add(&self.count.unheard);
        }
    }

    fn remember(&mut self, id: Arc<str>, entry: Entry) {
        if self.memory.insert(id, entry) {
            add(&self.count.evicted);
        }
    }

    fn give(&mut self, answer: Answer) {
        add(if answer.container.is_some() { &self.count.found } else { &self.count.unknown });
        if !self.mailbox.answer(answer) {
            add(&self.count.unheard);
        }
    }

    fn publish(&self) {
        let state = |runtime: &Runtime| EndpointState {
            endpoint: runtime.found.endpoint.clone(),
            runtime: runtime.name.clone(),
            trouble: runtime.trouble.clone(),
        };
        self.mailbox.publish(self.runtimes.iter().map(state).collect());
    }
}
