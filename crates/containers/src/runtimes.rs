//! The caller's side: it asks and collects, and never waits for a runtime.

use crate::container::{Container, is_id};
use crate::counters::{Count, Counters, add};
use crate::desk::Desk;
use crate::settings::{Endpoint, Settings};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc;

/// News that may wait to be collected.
const NEWS: usize = 1024;

/// What is known of a container id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 64 hexadecimal digits.
    pub id: Arc<str>,
    /// `None`: no runtime of this host knows it, or none that does can be reached, now. It may still come as news.
    pub container: Option<Arc<Container>>,
    /// Whether it was asked for. News come by themselves: what runs when a runtime is first reached, what is started
    /// later, and what is known better than it was.
    pub asked: bool,
    /// False if a runtime that is there could not be asked, or did not tell: then asking again may help.
    pub certain: bool,
}

/// How it goes with a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointState {
    /// The socket.
    pub endpoint: Endpoint,
    /// How the runtime behind it calls itself, once it has said so.
    pub runtime: Option<Arc<str>>,
    /// What went wrong last, cause and fix; `None` if the runtime was reached and nothing has gone wrong since.
    pub trouble: Option<String>,
}

/// The container runtimes of this host, behind a thread of their own. The thread ends when this is dropped; nobody waits
/// for that.
#[derive(Debug)]
pub struct Runtimes {
    questions: mpsc::Sender<Arc<str>>,
    answers: Receiver<Answer>,
    shared: Arc<Shared>,
    maximum: usize,
}

#[derive(Debug, Default)]
struct Shared {
    count: Arc<Count>,
    /// Questions without an answer that was collected.
    under_way: AtomicUsize,
    /// News that were not collected.
    waiting: AtomicUsize,
    endpoints: Mutex<Vec<EndpointState>>,
}

impl Runtimes {
    /// Starts the thread, which looks for the runtimes and asks them for what runs.
    ///
    /// # Errors
    /// When the thread, or what it waits with, cannot be made.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let maximum = settings.questions.max(1);
        let (questions, asked) = mpsc::channel(maximum);
        // As many as can have been asked, and the news: the thread never waits for the caller.
        let (sender, answers) = sync_channel(maximum + NEWS);
        let shared = Arc::new(Shared::default());
        let (mailbox, count) = (Mailbox { answers: sender, shared: shared.clone() }, shared.count.clone());
        let reactor = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let work = move || reactor.block_on(Desk::run(settings, count, mailbox, asked));
        thread::Builder::new().name("steth-container".to_owned()).spawn(work)?;
        Ok(Self { questions, answers, shared, maximum })
    }

    /// Asks about a container id: 64 lower-case hexadecimal digits. An id that is asked for again before its answer was
    /// found has one answer. False: no room, or no such id; both count as refused.
    pub fn ask(&mut self, id: &str) -> bool {
        let room = self.shared.under_way.load(Ordering::Acquire) < self.maximum;
        if !room || !is_id(id) {
            add(&self.shared.count.refused);
            return false;
        }
        // Before it is sent: its answer may be there before this goes on.
        self.shared.under_way.fetch_add(1, Ordering::AcqRel);
        if self.questions.try_send(id.into()).is_err() {
            self.shared.under_way.fetch_sub(1, Ordering::AcqRel);
            add(&self.shared.count.refused);
            return false;
        }
        add(&self.shared.count.asked);
        true
    }

    /// The next answer or news. Waits so long for it; with [`Duration::ZERO`] not at all.
    pub fn answer(&mut self, patience: Duration) -> Option<Answer> {
        let answer = if patience.is_zero() {
            self.answers.try_recv().ok()?
        } else {
            self.answers.recv_timeout(patience).ok()?
        };
        let counter = if answer.asked { &self.shared.under_way } else { &self.shared.waiting };
        counter.fetch_sub(1, Ordering::AcqRel);
        Some(answer)
    }

    /// What was asked, found and lost since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.count.read()
    }

    /// The sockets that are there, and how it goes with each.
    #[must_use]
    pub fn endpoints(&self) -> Vec<EndpointState> {
        self.shared.endpoints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The thread's end of what the caller collects.
pub(crate) struct Mailbox {
    answers: SyncSender<Answer>,
    shared: Arc<Shared>,
}

impl Mailbox {
    /// False if it could not be delivered: the caller is gone.
    pub(crate) fn answer(&self, answer: Answer) -> bool {
        self.answers.try_send(answer).is_ok()
    }

    /// False if the caller has left no room for it.
    pub(crate) fn news(&self, answer: Answer) -> bool {
        if self.shared.waiting.load(Ordering::Acquire) >= NEWS {
            return false;
        }
        self.shared.waiting.fetch_add(1, Ordering::AcqRel);
        let sent = self.answers.try_send(answer).is_ok();
        if !sent {
            self.shared.waiting.fetch_sub(1, Ordering::AcqRel);
        }
        sent
    }

    /// A question that has the same answer as one that is under way.
    pub(crate) fn merged(&self) {
        self.shared.under_way.fetch_sub(1, Ordering::AcqRel);
    }

    pub(crate) fn publish(&self, endpoints: Vec<EndpointState>) {
        *self.shared.endpoints.lock().unwrap_or_else(PoisonError::into_inner) = endpoints;
    }
}
