//! One row, whatever it is: its cells, what it is sorted by, what it says, and what is behind it.

mod edge;
mod operation;
mod request;
mod service;

pub(super) use operation::codes;
pub(super) use request::Request;

use super::scope::Scope;
use super::view::{Sort, View};
use crate::print::{Rounded, clean};
use crate::table::Cell;
use serde::Serialize;
use steth_query::tell::{Edge, Operation, Question, Service, State};
use steth_query::{BySide, Quantiles, SideName, Signals};

/// What the agent says of one thing.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Service(Service),
    Edge(Edge),
    /// An edge, as its books tell of it.
    Connection(Edge),
    Operation(Operation),
    Question(Question),
    Request(Box<Request>),
    /// Somebody that asks whom is looked at.
    Caller(Edge),
    /// Somebody that is asked by whom is looked at.
    Dependency(Edge),
}

/// Where Enter leads.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Behind {
    /// To another view, of less.
    View(View, Scope),
    /// To all that is known of it; a title, and lines.
    Lines(String, Vec<String>),
}

impl Item {
    /// What tells it from others.
    pub(super) fn key(&self) -> String {
        match self {
            Item::Service(service) => service.node.id.clone(),
            Item::Edge(edge) | Item::Connection(edge) | Item::Caller(edge) | Item::Dependency(edge) => {
                let Edge { client, server, port, protocol, transport, .. } = edge;
                let caller = matches!(self, Item::Caller(_));
                format!("{caller} {client} {server} {port} {protocol:?} {transport:?}")
            }
            Item::Operation(of) => format!("{} {} {} {}", of.server, of.protocol, of.namespace, of.operation),
            Item::Question(question) => question.operation.clone(),
            Item::Request(request) => request.key(),
        }
    }

    /// What it is called, for a filter and for an order by name.
    pub(super) fn names(&self) -> String {
        match self {
            Item::Service(service) => full_name(&service.node.namespace, &service.node.name),
            Item::Edge(edge) | Item::Connection(edge) => format!("{} {}", edge.client_name, edge.server_name),
            Item::Caller(edge) => edge.client_name.clone(),
            Item::Dependency(edge) => edge.server_name.clone(),
            Item::Operation(of) => format!("{} {}", of.server_name, of.operation),
            Item::Question(question) => question.operation.clone(),
            Item::Request(request) => request.names(),
        }
    }

    /// What it is sorted by; `None` has nothing of it.
    pub(super) fn weight(&self, sort: Sort) -> Option<f64> {
        match self {
            Item::Service(service) => weight(service.node.answers.shown(), sort),
            Item::Edge(edge) | Item::Connection(edge) | Item::Caller(edge) | Item::Dependency(edge) => {
                weight(edge.signals.shown(), sort)
            }
            Item::Operation(of) => weight(of.signals.shown(), sort),
            Item::Question(question) => weight(question.signals.as_ref(), sort),
            Item::Request(request) => request.weight(sort),
        }
    }

    /// What it shows in the columns of its view. `seconds` are those of the range.
    pub(super) fn cells(&self, seconds: f64) -> Vec<Cell> {
        match self {
            Item::Service(service) => service::cells(service, seconds),
            Item::Edge(edge) => edge::cells(edge, seconds),
            Item::Connection(edge) => edge::of_books(edge, seconds),
            Item::Caller(edge) => edge::neighbour("<-", &edge.client_name, edge),
            Item::Dependency(edge) => edge::neighbour("->", &edge::server(edge), edge),
            Item::Operation(of) => operation::cells(of),
            Item::Question(question) => operation::question(question),
            Item::Request(request) => request.cells(),
        }
    }

    /// A sentence or two about it.
    pub(super) fn says(&self) -> (State, String) {
        match self {
            Item::Service(service) => service::says(&service.node),
            Item::Edge(edge) | Item::Caller(edge) | Item::Dependency(edge) => edge::says(edge),
            Item::Connection(edge) => (edge.state, edge::books_say(edge)),
            Item::Operation(of) => operation::says(of),
            Item::Question(question) => (State::Healthy, operation::codes(&question.codes)),
            Item::Request(request) => request.says(),
        }
    }

    /// What is behind it; `None` if nobody can be asked.
    pub(super) fn behind(&self) -> Option<Behind> {
        match self {
            Item::Service(service) => {
                let name = full_name(&service.node.namespace, &service.node.name);
                Some(Behind::View(View::Services, Scope::entity(&service.node.id, name)?))
            }
            Item::Edge(edge) | Item::Caller(edge) | Item::Dependency(edge) => {
                // What is not read has no operations.
                let view = if edge.protocol.is_some() { View::Operations } else { View::Connections };
                Some(Behind::View(view, Scope::edge(edge)?))
            }
            Item::Connection(edge) => {
                let title = format!("{} -> {}", edge.client_name, edge::server(edge));
                Some(Behind::Lines(title, edge::lines(edge)))
            }
            Item::Operation(of) => {
                let server = Some((&*of.server, &*of.server_name));
                Some(Behind::View(View::Requests, Scope::operation(server, &of.operation)?))
            }
            Item::Question(of) => Some(Behind::View(View::Requests, Scope::operation(None, &of.operation)?)),
            Item::Request(request) => Some(Behind::Lines(request.title(), request.lines())),
        }
    }

    /// As it is written with `--json`.
    pub(super) fn to_json(&self) -> serde_json::Result<serde_json::Value> {
        match self {
            Item::Service(service) => serde_json::to_value(service::line(service)),
            Item::Edge(edge) | Item::Caller(edge) | Item::Dependency(edge) => serde_json::to_value(edge::line(edge)),
            Item::Connection(edge) => serde_json::to_value(edge::book_line(edge)),
            Item::Operation(of) => serde_json::to_value(operation::line(of)),
            Item::Question(question) => serde_json::to_value(operation::question_line(question)),
            Item::Request(request) => Ok(request.json.clone()),
        }
    }
}

fn weight(signals: Option<&Signals>, sort: Sort) -> Option<f64> {
    let signals = signals?;
    let duration = |of: fn(&Quantiles) -> f64| signals.duration.as_ref().map(of);
    let p95 = |times: &Option<Quantiles>| times.map(|times| times.p95_ns);
    match sort {
        Sort::Rate => Some(signals.rate),
        Sort::Errors => Some(signals.error_ratio),
        Sort::P50 => duration(|times| times.p50_ns),
        Sort::P95 => duration(|times| times.p95_ns),
        Sort::P99 => duration(|times| times.p99_ns),
        Sort::Queue => p95(&signals.queue),
        Sort::Service => p95(&signals.service),
        Sort::Time => Some(signals.time_ns as f64),
        Sort::Bytes => Some(signals.request_bytes.saturating_add(signals.response_bytes) as f64),
        // Of books, or of one request: the agent sorts by these, or the request does.
        Sort::Retransmits | Sort::Rtt | Sort::FailedConnects | Sort::Newest | Sort::Duration | Sort::Name => None,
    }
}

/// The numbers of exchanges, as they are written with `--json`.
#[derive(Debug, Serialize)]
struct Numbers {
    count: u64,
    rate: f64,
    errors: u64,
    slow: u64,
    request_bytes: u64,
    response_bytes: u64,
    time_ns: u64,
    p50_ns: Option<f64>,
    p95_ns: Option<f64>,
    p99_ns: Option<f64>,
    queue: Option<Quantiles>,
    service: Option<Quantiles>,
}

impl From<&Signals> for Numbers {
    fn from(signals: &Signals) -> Self {
        let Signals { count, rate, errors, slow, request_bytes, response_bytes, time_ns, .. } = *signals;
        let duration = |of: fn(&Quantiles) -> f64| signals.duration.as_ref().map(of);
        Self {
            count,
            rate,
            errors,
            slow,
            request_bytes,
            response_bytes,
            time_ns,
            p50_ns: duration(|times| times.p50_ns),
            p95_ns: duration(|times| times.p95_ns),
            p99_ns: duration(|times| times.p99_ns),
            queue: signals.queue,
            service: signals.service,
        }
    }
}

fn numbers(signals: &BySide) -> Option<Numbers> {
    signals.shown().map(Numbers::from)
}

fn full_name(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

/// A name, which nothing in it may leave.
fn named(name: &str) -> Cell {
    Cell::from(clean(name))
}

fn rate(signals: Option<&Signals>) -> Cell {
    Cell::from(signals.map_or_else(nothing, |signals| per_second(signals.rate)))
}

fn per_second(rate: f64) -> String {
    let digits = if rate >= 100.0 { 0 } else { 1 + usize::from(rate < 1.0) };
    format!("{rate:.digits$}")
}

/// The share that failed.
fn failed(signals: Option<&Signals>) -> Cell {
    let Some(signals) = signals else { return Cell::from(nothing()) };
    match signals.errors {
        0 => Cell::from("0%".to_owned()),
        _ => Cell { text: format!("{:.2}%", signals.error_ratio * 100.0), bad: signals.error_ratio >= 0.01 },
    }
}

fn time(ns: Option<f64>) -> Cell {
    Cell::from(ns.map_or_else(nothing, |ns| Rounded(ns as u64).to_string()))
}

/// p50, p95 and p99.
fn durations(signals: Option<&Signals>) -> [Cell; 3] {
    let duration = signals.and_then(|signals| signals.duration);
    [duration.map(|it| it.p50_ns), duration.map(|it| it.p95_ns), duration.map(|it| it.p99_ns)].map(time)
}

/// p95 of the time in the queue, and of the time of service.
fn parts(signals: Option<&Signals>) -> [Cell; 2] {
    let p95 = |of: fn(&Signals) -> Option<Quantiles>| time(signals.and_then(of).map(|times| times.p95_ns));
    [p95(|signals| signals.queue), p95(|signals| signals.service)]
}

fn side(side: Option<SideName>) -> Cell {
    Cell::from(side.map_or_else(nothing, |side| side.name().to_owned()))
}

fn state(state: State) -> Cell {
    Cell { text: state_name(state).to_owned(), bad: matches!(state, State::Degraded | State::Failing) }
}

pub(super) fn state_name(state: State) -> &'static str {
    match state {
        State::Idle => "idle",
        State::Healthy => "healthy",
        State::Degraded => "degraded",
        State::Failing => "failing",
    }
}

fn count(count: u64) -> Cell {
    Cell::from(count.to_string())
}

/// A count of what should not happen.
fn mishaps(count: u64) -> Cell {
    Cell { text: count.to_string(), bad: count > 0 }
}

fn nothing() -> String {
    "-".to_owned()
}

/// Bytes with three significant digits, in powers of 1000.
pub(super) fn bytes(bytes: f64) -> String {
    let mut value = bytes;
    let mut units = ["B", "kB", "MB", "GB", "TB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while value >= 999.5 {
        let Some(next) = units.next() else { break };
        value /= 1000.0;
        unit = next;
    }
    let digits = if unit == "B" || value >= 100.0 { 0 } else { 1 + usize::from(value < 10.0) };
    format!("{value:.digits$} {unit}")
}

/// So many bytes per second of so many seconds.
fn throughput(of: u64, seconds: f64) -> Cell {
    Cell::from(if seconds > 0.0 { bytes(of as f64 / seconds) } else { nothing() })
}

/// A small curve.
fn curve(points: &[u64]) -> Cell {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = points.iter().copied().max().unwrap_or(0).max(1);
    let level = |point: &u64| match point {
        0 => ' ',
        // The tallest is the last one.
        point => LEVELS[((u128::from(*point) * 7).div_ceil(u128::from(most))) as usize],
    };
    Cell::from(points.iter().map(level).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_or_so() {
        for (number, text) in
            [(0.0, "0 B"), (999.0, "999 B"), (999.9, "1.00 kB"), (12_345.0, "12.3 kB"), (1.5e15, "1500 TB")]
        {
            assert_eq!(bytes(number), text);
        }
        assert_eq!([0.01, 1.5, 99.94, 1234.5].map(per_second), ["0.01", "1.5", "99.9", "1234"]);
    }

    #[test]
    fn a_curve_is_as_high_as_its_highest_point() {
        assert_eq!(curve(&[0, 1, 50, 100, u64::MAX]).text, " ▂▂▂█");
        assert_eq!(curve(&[0, 0]).text, "  ");
        assert_eq!(curve(&[]).text, "");
    }
}
