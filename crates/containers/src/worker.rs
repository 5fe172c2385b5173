//! One runtime: connected to, asked, listened to, and left alone for a while when it fails.

use crate::container::Container;
use crate::counters::{Count, add};
use crate::cri::{self, Cri, Listed};
use crate::docker::{self, Docker};
use crate::environment::Names;
use crate::settings::Api;
use crate::trouble::Trouble;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until, timeout};

/// Questions that may wait for one runtime.
pub(crate) const QUEUE: usize = 256;
/// Calls to one runtime at a time.
const AT_ONCE: usize = 4;
/// Of them, those that nobody has asked for.
const NEWS_AT_ONCE: usize = 2;
/// Events that may wait; more than that, and the runtime waits.
const EVENTS: usize = 64;
/// Deadlines in a row that a runtime may miss.
const MISSES: u32 = 3;
/// A failing runtime is left alone for so long at first, and for twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(60);
/// A session that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(10);
/// How often it is looked whether the connection still stands.
const LOOK: Duration = Duration::from_millis(500);

/// A container id and the attempt at it.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) id: Arc<str>,
    pub(crate) attempt: usize,
}

/// What a worker tells.
pub(crate) enum Report {
    /// An answer to a question.
    Answer { question: Question, outcome: Outcome },
    /// A container that nobody asked for.
    News(Arc<Container>, Rank),
    /// How it goes with this runtime.
    State { worker: u32, runtime: Option<Arc<str>>, trouble: Option<String> },
}

/// What came of a question.
pub(crate) enum Outcome {
    /// This runtime has it.
    Known(Arc<Container>, Rank),
    /// It does not.
    NotHere,
    /// It could not be asked, or did not tell.
    NotSaid,
}

/// Whose word counts when several runtimes know a container, the smallest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// Knows pods, and containers by their names in them.
    Cri,
    /// Of the system, with Docker's API.
    System,
    /// A user's own. It can say what it wants, so whatever a runtime of the system says goes before it, and it is heard
    /// only when it is asked: otherwise it could flood.
    User,
}

pub(crate) struct Worker {
    pub(crate) number: u32,
    pub(crate) api: Api,
    pub(crate) path: PathBuf,
    pub(crate) names: Names,
    pub(crate) deadline: Duration,
    pub(crate) count: Arc<Count>,
    pub(crate) questions: Receiver<Question>,
    pub(crate) reports: Sender<Report>,
}

enum Client {
    Cri(Cri),
    Docker(Docker),
}

impl Client {
    fn rank(&self) -> Rank {
        match self {
            Self::Cri(cri) if cri.user() == 0 => Rank::Cri,
            Self::Docker(docker) if docker.user() == 0 => Rank::System,
            _ => Rank::User,
        }
    }

    fn runtime(&self) -> &Arc<str> {
        match self {
            Self::Cri(cri) => cri.runtime(),
            Self::Docker(docker) => docker.runtime(),
        }
    }

    fn ended(&self) -> bool {
        matches!(self, Self::Cri(cri) if cri.ended())
    }

    /// Podman's service is started by a connection and ends without one: listening to it would keep it in memory for ever.
    fn tells_events(&self) -> bool {
        match self {
            _ if self.rank() == Rank::User => false,
            Self::Cri(_) => true,
            Self::Docker(docker) => &**docker.runtime() == "docker",
        }
    }

    async fn find(&self, what: Wanted) -> Result<Option<Container>, Trouble> {
        match (self, what) {
            (Self::Cri(cri), Wanted::Listed(listed)) => cri.complete(listed).await.map(Some),
            (Self::Cri(cri), Wanted::Id(id)) => cri.look_up(&id).await,
            (Self::Docker(docker), Wanted::Id(id)) => docker.look_up(&id).await,
            (Self::Docker(_), Wanted::Listed(_)) => Ok(None),
        }
    }

    /// Sends the ids of containers as they begin, until the runtime ends it.
    async fn watch(&self, ids: Sender<Arc<str>>) -> Result<(), Trouble> {
        match self {
            Self::Cri(cri) => {
                let mut events = cri.events().await?;
                while let Some(id) = events.next(cri::begun).await? {
                    if let Some(id) = id
                        && ids.send(id.into()).await.is_err()
                    {
                        break;
                    }
                }
            }
            Self::Docker(docker) => {
                let mut events = docker.events().await?;
                while let Some(id) = events.line(docker::begun).await? {
                    if let Some(id) = id
                        && ids.send(id.into()).await.is_err()
                    {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

/// What a call is about.
enum Wanted {
    Id(Arc<str>),
    Listed(Listed),
}

type Done = (Option<Question>, Result<Option<Container>, Trouble>);

/// One connection's life.
struct Session {
    client: Arc<Client>,
    rank: Rank,
    calls: JoinSet<Done>,
    /// Questions that are being asked.
    open: Vec<Question>,
    misses: u32,
}

impl Worker {
    /// Works until the questions end, and answers each of them.
    pub(crate) async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        while !self.questions.is_closed() || !self.questions.is_empty() {
            let begun = Instant::now();
            let trouble = match self.reach().await {
                Ok(client) => {
                    self.state(Some(client.runtime().clone()), None).await;
                    self.session(client).await
                }
                Err(trouble) => Some(trouble),
            };
            let Some(trouble) = trouble else { return };
            add(&self.count.failed);
            self.state(None, Some(trouble.to_string())).await;
            pause = if begun.elapsed() > GOOD { FIRST_PAUSE } else { pause };
            // Where the CRI is switched off there are no containers of the CRI.
            let outcome = || if matches!(trouble, Trouble::NoCri) { Outcome::NotHere } else { Outcome::NotSaid };
            self.answer_without_asking(Instant::now() + pause, outcome).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    async fn within<T>(&self, call: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        timeout(self.deadline, call).await.unwrap_or(Err(Trouble::Deadline(self.deadline)))
    }

    /// Connects. Whoever asks in the meantime is answered at once, so that a runtime that hangs delays nobody.
    async fn reach(&mut self) -> Result<Client, Trouble> {
        let (api, path, names) = (self.api, self.path.clone(), self.names.clone());
        let (count, deadline) = (self.count.clone(), self.deadline);
        let connect = async move {
            Ok(match api {
                Api::Cri => Client::Cri(Cri::connect(&path, names, count).await?),
                Api::Docker => Client::Docker(Docker::connect(&path, names, count).await?),
            })
        };
        let mut connect = std::pin::pin!(timeout(deadline, connect));
        loop {
            tokio::select! {
                biased;
                client = &mut connect => return client.unwrap_or(Err(Trouble::Deadline(deadline))),
                Some(question) = self.questions.recv() => {
                    self.report(Report::Answer { question, outcome: Outcome::NotSaid }).await;
                }
            }
        }
    }

    /// Why it ended; `None`: because there will be no more questions.
    async fn session(&mut self, client: Client) -> Option<Trouble> {
        let client = Arc::new(client);
        let (begun, mut events) = channel(EVENTS);
        let watched = client.clone();
        // Before the listing, so that nothing falls between the two. It ends with its receiver at the next event, or here.
        let mut watch = JoinSet::new();
        if watched.tells_events() {
            watch.spawn(async move { watched.watch(begun).await });
        }
        let mut session = Session { rank: client.rank(), client, calls: JoinSet::new(), open: Vec::new(), misses: 0 };
        let listed = match self.within(listing(&session.client)).await {
            Ok((whole, listed)) => {
                for container in whole {
                    self.news(container, session.rank).await;
                }
                Ok(listed)
            }
            Err(trouble) if trouble.ends_the_session() => Err(trouble),
            Err(trouble) => {
                // One that cannot list, or lists too much, may still know what it is asked for.
                add(&self.count.failed);
                self.state(Some(session.client.runtime().clone()), Some(trouble.to_string())).await;
                Ok(VecDeque::new())
            }
        };
        let trouble = match listed {
            Ok(listed) => self.serve(&mut session, listed, &mut events, &mut watch).await,
            Err(trouble) => Some(trouble),
        };
        session.calls.abort_all();
        for question in session.open {
            self.report(Report::Answer { question, outcome: Outcome::NotSaid }).await;
        }
        trouble
    }

    async fn serve(
        &mut self,
        session: &mut Session,
        mut listed: VecDeque<Wanted>,
        events: &mut Receiver<Arc<str>>,
        watch: &mut JoinSet<Result<(), Trouble>>,
    ) -> Option<Trouble> {
        let mut look = interval(LOOK);
        let (mut hears, mut over) = (true, false);
        loop {
            while session.calls.len() < NEWS_AT_ONCE
                && let Some(wanted) = listed.pop_front()
            {
                session.call(None, wanted, self.deadline);
            }
            // What has been listed is finished first: if the stream ends each time at once, it would never be.
            if over && listed.is_empty() && session.calls.len() == session.open.len() {
                return Some(Trouble::Broken("the stream of events has ended".to_owned()));
            }
            let (room, idle) = (session.calls.len() < AT_ONCE, session.calls.is_empty());
            let news_have_room = session.calls.len() < NEWS_AT_ONCE;
            tokio::select! {
                biased;
                Some(done) = session.calls.join_next(), if !idle => {
                    // An aborted call is one of ours, and a panic would have ended the program.
                    let Ok((question, outcome)) = done else { continue };
                    if let Some(trouble) = self.done(session, question, outcome).await {
                        return Some(trouble);
                    }
                }
                question = self.questions.recv(), if room => {
                    let question = question?;
                    session.open.push(question.clone());
                    session.call(Some(question.clone()), Wanted::Id(question.id), self.deadline);
                }
                id = events.recv(), if hears && news_have_room => match id {
                    Some(id) => session.call(None, Wanted::Id(id), self.deadline),
                    None => hears = false,
                },
                Some(end) = watch.join_next() => {
                    // Docker has no other connection that would tell of its end. And without events there are still
                    // questions; many runtimes have none, or have them switched off.
                    let broke = matches!(end, Ok(Ok(()) | Err(Trouble::Connect(_) | Trouble::Broken(_))));
                    over = broke && matches!(*session.client, Client::Docker(_));
                    hears = false;
                },
                _ = look.tick() => if session.client.ended() {
                    return Some(Trouble::Broken("the runtime has closed it".to_owned()));
                },
            }
        }
    }

    /// Passes an outcome on. Tells when the session is not worth going on with.
    async fn done(
        &self,
        session: &mut Session,
        question: Option<Question>,
        outcome: Result<Option<Container>, Trouble>,
    ) -> Option<Trouble> {
        let (found, trouble) = match outcome {
            Ok(found) => {
                session.misses = 0;
                (found.map(Arc::new), None)
            }
            Err(trouble) => {
                session.misses = if matches!(trouble, Trouble::Deadline(_)) { session.misses + 1 } else { 0 };
                (None, Some(trouble))
            }
        };
        match (question, found) {
            (Some(question), found) => {
                session.open.retain(|open| open.id != question.id || open.attempt != question.attempt);
                let outcome = match found {
                    Some(container) => Outcome::Known(container, session.rank),
                    None if trouble.is_none() => Outcome::NotHere,
                    None => Outcome::NotSaid,
                };
                self.report(Report::Answer { question, outcome }).await;
            }
            (None, Some(container)) => self.report(Report::News(container, session.rank)).await,
            (None, None) => {}
        }
        let trouble = trouble?;
        if trouble.ends_the_session() || session.misses >= MISSES {
            return Some(trouble);
        }
        add(&self.count.failed);
        self.state(Some(session.client.runtime().clone()), Some(trouble.to_string())).await;
        None
    }

    async fn answer_without_asking(&mut self, until: Instant, outcome: impl Fn() -> Outcome) {
        loop {
            tokio::select! {
                question = self.questions.recv() => match question {
                    Some(question) => self.report(Report::Answer { question, outcome: outcome() }).await,
                    None => return,
                },
                () = sleep_until(until) => return,
            }
        }
    }

    async fn news(&self, container: Container, rank: Rank) {
        self.report(Report::News(Arc::new(container), rank)).await;
    }

    async fn state(&self, runtime: Option<Arc<str>>, trouble: Option<String>) {
        self.report(Report::State { worker: self.number, runtime, trouble }).await;
    }

    async fn report(&self, report: Report) {
        let _ = self.reports.send(report).await; // fails when everything ends
    }
}

impl Session {
    fn call(&mut self, question: Option<Question>, wanted: Wanted, deadline: Duration) {
        let client = self.client.clone();
        self.calls.spawn(async move {
            let outcome = timeout(deadline, client.find(wanted)).await;
            (question, outcome.unwrap_or(Err(Trouble::Deadline(deadline))))
        });
    }
}

/// What runs: containers of which all is known, and those that are to be asked for.
async fn listing(client: &Client) -> Result<(Vec<Container>, VecDeque<Wanted>), Trouble> {
    Ok(match client {
        _ if client.rank() == Rank::User => (Vec::new(), VecDeque::new()),
        Client::Cri(cri) => {
            let (sandboxes, listed) = cri.running().await?;
            (sandboxes, listed.into_iter().map(Wanted::Listed).collect())
        }
        Client::Docker(docker) => {
            let ids = docker.running().await?;
            (Vec::new(), ids.into_iter().map(|id| Wanted::Id(id.into())).collect())
        }
    })
}
