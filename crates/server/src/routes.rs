//! The paths and their answers.

use crate::access::{Access, Caller};
use crate::api::{Asked, Desk};
use crate::exposition::Format;
use crate::guard::Peer;
use crate::shared::Shared;
use crate::{guard, health, metrics, page, session};
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde::Serialize;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use steth_query::ask;
use steth_window::Cumulative;

const JSON: &str = "application/json";

/// What the answers are made from.
#[derive(Debug)]
pub(crate) struct App {
    shared: Arc<Shared>,
    /// Only the server's thread uses it; the lock is never waited for.
    cumulative: Mutex<Cumulative>,
    /// The last answers, shared by everyone who asks before something new is published.
    answers: Mutex<Vec<Answer>>,
    desk: Desk,
    pub(crate) access: Arc<Access>,
}

#[derive(Clone, Debug)]
struct Answer {
    question: &'static str,
    version: u64,
    body: Bytes,
}

impl App {
    const ANSWERS: usize = 2;

    pub(crate) fn new(shared: Arc<Shared>, access: Access, questions_per_second: u32) -> Self {
        let cumulative = Mutex::new(Cumulative::new(shared.retention.series));
        Self {
            shared,
            cumulative,
            answers: Mutex::default(),
            desk: Desk::new(questions_per_second),
            access: Arc::new(access),
        }
    }

    /// Adds the windows that have finished to the counters. Called every second, so that none is missed.
    pub(crate) fn absorb(&self) {
        let (history, _) = self.shared.windows();
        let mut cumulative = self.cumulative.lock().unwrap_or_else(PoisonError::into_inner);
        history.windows.iter().for_each(|(window, _)| cumulative.absorb(window));
    }

    fn metrics(&self, format: Format) -> String {
        let (history, current) = self.shared.windows();
        let all = {
            let mut cumulative = self.cumulative.lock().unwrap_or_else(PoisonError::into_inner);
            history.windows.iter().for_each(|(window, _)| cumulative.absorb(window));
            cumulative.with(current.as_deref())
        };
        metrics::text(&all, &self.with_access(), format)
    }

    /// The agent's health, and how often somebody was let in or not.
    fn with_access(&self) -> crate::Health {
        let mut health = (*self.shared.health()).clone();
        let counts = &self.access.counts;
        for (name, help, count) in [
            ("steth_request_looks_total", "Looks at request records over the API.", &counts.looks),
            ("steth_sessions_total", "Sessions that were begun with the token.", &counts.sessions),
            ("steth_refused_tokens_total", "Wrong tokens.", &counts.refused_tokens),
            (
                "steth_refused_hosts_total",
                "Requests for another host, or from a page of a stranger.",
                &counts.refused_hosts,
            ),
            (
                "steth_questions_refused_total",
                "Questions that were sent away because too many were waiting.",
                &self.desk.refused,
            ),
            (
                "steth_questions_over_rate_total",
                "Questions that were sent away because their address had asked too much (server.questions_per_second).",
                &self.desk.rates.refused,
            ),
            (
                "steth_questions_too_long_total",
                "Questions without an answer because it would have taken too long or been too long.",
                &self.desk.unanswered,
            ),
            (
                "steth_sessions_evicted_total",
                "Sessions that were ended because there were too many.",
                &counts.sessions_evicted,
            ),
        ] {
            let value = count.load(Ordering::Relaxed) as f64;
            health.counters.push(crate::Counter { name, help, kind: crate::Kind::Counter, labels: vec![], value });
        }
        health
    }

    /// The answer to a question, made anew only if something was published since it was last asked.
    fn answer(&self, question: &'static str, make: impl FnOnce() -> String) -> Bytes {
        let version = self.shared.version();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|answer| answer.version == version);
        if let Some(known) = answers.iter().find(|answer| answer.question == question) {
            return known.body.clone();
        }
        let body = Bytes::from(make());
        if answers.len() < Self::ANSWERS {
            answers.push(Answer { question, version, body: body.clone() });
        }
        body
    }
}

/// All routes, behind the guard.
pub(crate) fn router(app: Arc<App>) -> Router {
    let access = app.access.clone();
    let guard = axum::middleware::from_fn_with_state(access, guard::guard);
    let post = post(session::begin).layer(DefaultBodyLimit::max(session::LONGEST));
    Router::new()
        .route("/metrics", get(scrape))
        .route("/api/v1/health", get(health))
        .route("/api/v1/openapi.json", get(openapi))
        .route(guard::SESSION, post)
        .merge(questions())
        .fallback(page::file)
        .layer(guard)
        .with_state(app)
}

/// What can be asked, and how.
async fn openapi() -> Response {
    static DOCUMENT: LazyLock<String> = LazyLock::new(health::openapi);
    ([(header::CONTENT_TYPE, JSON)], DOCUMENT.as_str()).into_response()
}

async fn scrape(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    let body = app.answer(format.content_type(), || app.metrics(format));
    ([(header::CONTENT_TYPE, format.content_type())], Body::from(body)).into_response()
}

async fn health(State(app): State<Arc<App>>) -> Response {
    json(&health::AgentHealth::of(app.with_access(), app.access.insecure))
}

/// The questions of `steth_query`.
fn questions() -> Router<Arc<App>> {
    fn one<Q: Asked>(router: Router<Arc<App>>) -> Router<Arc<App>> {
        router.route(&format!("/api/v1/{}", Q::PATH), get(question::<Q>))
    }
    let router = one::<ask::Series>(one::<ask::Map>(Router::new()));
    let router = one::<ask::Heatmap>(one::<ask::Top>(router));
    let router = one::<ask::Entity>(one::<ask::Requests>(router));
    one::<ask::Dns>(one::<ask::Entities>(router))
}

async fn question<Q: Asked>(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Response {
    if Q::PATH == <ask::Requests as ask::Question>::PATH {
        app.access.look(peer, &caller, uri.query().unwrap_or_default());
    }
    app.desk.answer::<Q>(&app.shared, peer.ip(), uri.query().unwrap_or_default()).await
}

fn json(value: &impl Serialize) -> Response {
    ([(header::CONTENT_TYPE, JSON)], to_json(value)).into_response()
}

fn to_json(value: &impl Serialize) -> String {
    // Our own types have neither maps with keys that are no strings nor serialisers that fail.
    serde_json::to_string(value).unwrap_or_default()
}
