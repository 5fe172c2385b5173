//! Answers to the questions of `steth_query`, made on a few threads of their own.
//!
//! An answer may read a lot and take seconds. So it is never made by the thread that serves, and never by one of the data path:
//! a few threads make answers, a few more questions wait for one, and whoever comes then is told to come again.

use crate::rate::Rates;
use crate::shared::Shared;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use steth_query::ask::{self, Question};
use steth_query::{Answer, Answers, Api, Engine, Error, tell};
use tokio::sync::Semaphore;

/// Threads that make answers.
pub(crate) const THREADS: usize = 2;
/// Questions that wait for a thread, or are being answered.
const MOST_AT_ONCE: usize = 56;
/// Longest answer, bytes.
const LONGEST: usize = 32 << 20;
/// Seconds after which whoever was sent away may come again.
const RETRY: &str = "1";

/// Who makes answers, and how many at once.
#[derive(Debug)]
pub(crate) struct Desk {
    places: Arc<Semaphore>,
    /// Questions that were sent away.
    pub(crate) refused: AtomicU64,
    /// Questions that took too long, or had too long an answer.
    pub(crate) unanswered: AtomicU64,
    pub(crate) rates: Arc<Rates>,
}

/// A question with the method that answers it.
pub(crate) trait Asked: Question + Send + 'static {
    type Told: Serialize + Send + 'static;
    fn answer(&self, api: &impl Api) -> Result<Answer<Self::Told>, Error>;
}

macro_rules! asked {
    ($($question:ident $method:ident),* $(,)?) => { $(
        impl Asked for ask::$question {
            type Told = tell::$question;
            fn answer(&self, api: &impl Api) -> Result<Answer<Self::Told>, Error> {
                api.$method(self)
            }
        }
    )* };
}
asked!(Map map, Series series, Top top, Heatmap heatmap, Requests requests, Entity entity, Entities entities, Dns dns);

impl Desk {
    pub(crate) fn new(questions_per_second: u32) -> Self {
        Self {
            places: Arc::new(Semaphore::new(MOST_AT_ONCE)),
            refused: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            rates: Arc::new(Rates::new(questions_per_second)),
        }
    }

    /// The answer to a question, or why there is none.
    pub(crate) async fn answer<Q: Asked>(&self, shared: &Arc<Shared>, peer: IpAddr, query: &str) -> Response {
        if let Err(seconds) = self.rates.ask(peer, Instant::now()) {
            let text = "too many questions from this address; ask again later, or less often\n";
            let later = [(header::RETRY_AFTER, seconds.to_string())];
            return (StatusCode::TOO_MANY_REQUESTS, later, text).into_response();
        }
        let question = match Q::parse(query, now_ms()) {
            Ok(question) => question,
            Err(error) => return refused(&error),
        };
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            let text = "too many questions at once; ask again in a second\n";
            return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY)], text).into_response();
        };
        let (shared, rates) = (shared.clone(), self.rates.clone());
        let made = tokio::task::spawn_blocking(move || {
            let since = Instant::now();
            let text = question.answer(&answers(&shared)).and_then(|answer| written(&answer));
            rates.took(peer, since.elapsed());
            drop(place);
            text
        });
        match made.await {
            Ok(Ok(text)) => ([(header::CONTENT_TYPE, "application/json")], Body::from(text)).into_response(),
            Ok(Err(error)) => {
                let too_long = matches!(error, Error::TooLong { .. } | Error::TooMany { .. } | Error::Question(_));
                self.unanswered.fetch_add(u64::from(too_long), Ordering::Relaxed);
                refused(&error)
            }
            // The thread has panicked, or the server stops.
            Err(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "no answer; this is a mistake of the agent\n").into_response()
            }
        }
    }
}

/// Over what was published.
fn answers(shared: &Arc<Shared>) -> Answers<Arc<dyn Engine>> {
    let answers = Answers::new(shared.engine());
    match shared.processes() {
        Some(processes) => answers.with_processes(processes),
        None => answers,
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64)
}

fn refused(error: &Error) -> Response {
    let status = match error {
        Error::Question(_) | Error::TooMany { .. } => StatusCode::BAD_REQUEST,
        Error::Unknown(_) => StatusCode::NOT_FOUND,
        Error::TooLong { .. } | Error::Store(_) | Error::Remote(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{error}\n")).into_response()
}

/// JSON, up to the longest answer.
fn written(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    let mut out = Bounded(Vec::new());
    let error = |_| Error::Question(format!("the answer is longer than {} MiB; ask for less of it", LONGEST >> 20));
    serde_json::to_writer(&mut out, value).map_err(error)?;
    Ok(out.0)
}

struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
