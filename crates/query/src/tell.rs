//! The answers, as they are written in JSON. Ids of entities are sixteen hexadecimal digits.

use crate::books::{Books, BooksBySide};
use crate::engine::Listener;
use crate::range::Range;
use crate::signals::{BySide, SideName, Signals};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// Who talks to whom.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Map {
    /// How many there are, shown or not.
    pub nodes_total: usize,
    /// By namespace and name.
    pub nodes: Vec<Node>,
    /// How many there are, shown or not.
    pub edges_total: usize,
    /// The busiest first.
    pub edges: Vec<Edge>,
}

/// Somebody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// Sixteen hexadecimal digits.
    pub id: String,
    /// Without its namespace.
    pub name: String,
    /// Empty if it has none.
    pub namespace: String,
    /// What it is.
    pub kind: NodeKind,
    /// What it answers.
    pub protocols: Vec<String>,
    /// Where it answers, ascending; at most 16.
    pub ports: Vec<u16>,
    /// Where it listens, asked or not, ascending; at most 16.
    #[serde(default)]
    pub listening: Vec<u16>,
    /// The same places with what waits there for `accept()`.
    #[serde(default)]
    pub queues: Vec<Queue>,
    /// What is asked of it.
    pub answers: BySide,
    /// What it asks of others.
    pub asks: BySide,
    /// How it fares.
    pub health: Health,
}

/// Connections that wait for `accept()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Queue {
    /// Where.
    pub port: u16,
    /// How many wait, at the last look.
    pub waiting: u64,
    /// How many may.
    pub room: u64,
    /// How often one was dropped in the range because there was no room, or another segment because nobody could answer it. A client
    /// tries again and may be dropped again.
    pub dropped: u64,
}

impl From<&Listener> for Queue {
    fn from(listener: &Listener) -> Self {
        let &Listener { port, waiting, room, drops: dropped, .. } = listener;
        Self { port, waiting, room, dropped }
    }
}

/// What somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// A process that is watched, a service or pod of the cluster.
    Service,
    /// It answers DNS, whoever it is.
    Dns,
    /// It answers a database's protocol, whoever it is.
    Database,
    /// An address or a host's name with nobody known behind it.
    External,
    /// Several that did not fit a limit, or nobody knows who: also an address of this host's loopback at which nobody is known.
    Other,
}

/// How somebody fares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// In one word.
    pub state: State,
    /// Why, one sentence for each finding, the worst first; empty if all is well.
    pub findings: Vec<Finding>,
}

/// How somebody fares, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing was asked of it.
    Idle,
    /// Nothing is wrong.
    #[default]
    Healthy,
    /// Slower than it was, or more than 1 % of what is asked of it fails.
    Degraded,
    /// More than 5 % of what is asked of it fails, or nobody can connect.
    Failing,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// What it is about: `queue`, `service`, `network`, `errors`, `connects`.
    pub about: String,
    /// How bad.
    pub state: State,
    /// One sentence with the numbers: "1.4 s of 1.8 s is spent before the server reads the request."
    pub sentence: String,
    /// What follows from it, or which other number supports it; may be empty.
    pub detail: String,
}

/// What one asks of another over one protocol at one port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Edge {
    /// Who asks.
    pub client: String,
    /// Its name, with its namespace.
    pub client_name: String,
    /// Who answers.
    pub server: String,
    /// Its name, with its namespace.
    pub server_name: String,
    /// The server's port, 0 if not known.
    pub port: u16,
    /// `None` if only the books know of it: TLS, a protocol that is not parsed, a connect that failed.
    pub protocol: Option<String>,
    /// What the bytes travel in, where the books tell.
    pub transport: Option<String>,
    /// Nobody has seen who connected to whom: the lower port is taken for the server's.
    #[serde(default)]
    pub guessed: bool,
    /// The exchanges.
    pub signals: BySide,
    /// The books of all connections at this port, whatever protocol they carry.
    pub books: BooksBySide,
    /// Where it goes wrong.
    pub state: State,
    /// A small curve, exchanges (of connections: bytes) per step; empty if not asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<u64>,
}

/// What is counted over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Series {
    /// The beginnings of the steps, milliseconds since 1970; all lists below are as long.
    pub times_ms: Vec<u64>,
    /// How many series there are, shown or not.
    pub total: usize,
    /// The busiest first.
    pub series: Vec<Line>,
}

/// One series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Line {
    /// What tells it apart, in words; empty without `by`; `other` is what is beyond the limit.
    pub name: String,
    /// The id, where it is somebody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where it was observed.
    pub side: SideName,
    /// Exchanges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchanges: Option<ExchangePoints>,
    /// Books.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub books: Option<BookPoints>,
}

/// Exchanges over time. `null` is: nothing to take a quantile of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[allow(missing_docs)]
pub struct ExchangePoints {
    pub count: Vec<u64>,
    pub errors: Vec<u64>,
    pub slow: Vec<u64>,
    pub request_bytes: Vec<u64>,
    pub response_bytes: Vec<u64>,
    pub p50_ns: Vec<Option<f64>>,
    pub p95_ns: Vec<Option<f64>>,
    pub p99_ns: Vec<Option<f64>>,
    /// At the server's side, where known.
    pub queue_p95_ns: Vec<Option<f64>>,
    /// At the server's side.
    pub service_p95_ns: Vec<Option<f64>>,
}

/// Books over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[allow(missing_docs)]
pub struct BookPoints {
    pub open: Vec<u64>,
    pub opened: Vec<u64>,
    pub failed_connects: Vec<u64>,
    pub resets: Vec<u64>,
    pub bytes_to_server: Vec<u64>,
    pub bytes_to_client: Vec<u64>,
    pub segments: Vec<u64>,
    pub retransmitted_segments: Vec<u64>,
    pub rtt_p50_ns: Vec<Option<f64>>,
    pub rtt_p95_ns: Vec<Option<f64>>,
    pub connect_p95_ns: Vec<Option<f64>>,
}

/// The most of something: the list that was asked for is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Top {
    /// How many there are, shown or not.
    pub total: usize,
    /// Entities that answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// Edges, and connections.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<Edge>,
    /// Operations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Operation>,
}

/// Somebody that answers, in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Service {
    /// Who.
    pub node: Node,
    /// Bytes both ways at its ports, by the books.
    pub bytes: u64,
    /// A small curve, exchanges per step; empty if not asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<u64>,
}

/// An operation of a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Operation {
    /// Whose.
    pub server: String,
    /// Its name, with its namespace.
    pub server_name: String,
    /// The protocol.
    pub protocol: String,
    /// `GET /users/{id}`, the digest of a statement, `GET` of Redis.
    pub operation: String,
    /// What stands for it in metrics, where that is something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The database; empty if not known.
    pub namespace: String,
    /// Its exchanges.
    pub signals: BySide,
    /// Its share of the time that this server took for what was asked for over this protocol, 0 to 1.
    pub share: f64,
    /// A small curve, exchanges per step; empty if not asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<u64>,
}

/// How durations are distributed over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Heatmap {
    /// Where it was observed; `None` if there is nothing.
    pub side: Option<SideName>,
    /// The beginnings of the columns, milliseconds since 1970.
    pub times_ms: Vec<u64>,
    /// Upper ends of the rows, nanoseconds, ascending; the lower end of the first is `floor_ns`.
    pub bounds_ns: Vec<f64>,
    /// The lower end of the first row, nanoseconds.
    pub floor_ns: f64,
    /// One for each column: pairs of row and count, rows ascending, without empty ones.
    pub columns: Vec<Vec<(u32, u64)>>,
    /// One for each column.
    pub p50_ns: Vec<Option<f64>>,
    /// One for each column.
    pub p99_ns: Vec<Option<f64>>,
}

/// Requests that were kept one by one.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Requests {
    /// How many match, shown or not.
    pub matching: u64,
    /// As they were asked for: newest end first, or the longest.
    pub requests: Vec<Request>,
}

/// One of them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Request {
    /// Why it was kept: `slowest`, `error`, `random`.
    pub why: Vec<String>,
    /// When what happened, RFC 3339; `null` is not known.
    #[schema(value_type = Object)]
    pub instants: Box<RawValue>,
    /// The line of `steth watch --json`.
    #[schema(value_type = Object)]
    pub exchange: Box<RawValue>,
    /// The connection's state at about that time, where the kernel told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub tcp: Option<Box<RawValue>>,
}

/// Everything about somebody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Entity {
    /// Who, and what is asked of it and what it asks.
    pub node: Node,
    /// The beginning of the first and the end of the last window that it was in.
    pub seen: Range,
    /// How many edges ask it, shown or not.
    #[serde(default)]
    pub callers_total: usize,
    /// Who asks it; the busiest first, at most 500.
    pub callers: Vec<Edge>,
    /// How many edges it asks over, shown or not.
    #[serde(default)]
    pub dependencies_total: usize,
    /// Whom it asks; the busiest first, at most 500.
    pub dependencies: Vec<Edge>,
    /// What its kernel says of all its connections as a server, and as a client.
    pub answering: Option<Books>,
    /// The same as a client.
    pub asking: Option<Books>,
    /// How many processes of it are known to be alive, shown or not.
    #[serde(default)]
    pub processes_total: usize,
    /// Its processes that are alive, by pid; at most 100. Empty where the agent is not the one that watches it.
    pub processes: Vec<Process>,
    /// The same exchanges in the range before this one, as long: what it was.
    pub before: BySide,
}

/// A process that is alive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Process {
    /// In the host's namespace.
    pub pid: u32,
    /// Its name: of the executable, the script, the jar.
    pub name: String,
    /// The path of the executable; empty if not known.
    pub executable: String,
    /// The systemd unit; empty if none.
    pub unit: String,
    /// The container's id, shortened to twelve digits, and its name; empty if none.
    pub container: String,
    /// Empty if none.
    pub container_name: String,
    /// Empty if none.
    pub image: String,
    /// Empty if none.
    pub pod: String,
    /// Where it listens, ascending; at most 16.
    pub listening: Vec<u16>,
    /// When it began, milliseconds since 1970; `None` if not known.
    pub started_ms: Option<u64>,
}

/// Who is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Entities {
    /// How many match, shown or not.
    pub total: usize,
    /// Those seen last come first.
    pub entities: Vec<Named>,
}

/// Somebody, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Named {
    /// Sixteen hexadecimal digits.
    pub id: String,
    /// Without its namespace.
    pub name: String,
    /// Empty if it has none.
    pub namespace: String,
    /// What it is known to be.
    pub kind: NodeKind,
    /// The beginning of the first and the end of the last window that it was in.
    pub seen: Range,
}

/// Which names are looked up, and what comes of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Dns {
    /// All of it.
    pub signals: BySide,
    /// Answers by code: `NOERROR`, `NXDOMAIN`, …, and `timeout`; of the preferred side, the most first.
    pub codes: Vec<Code>,
    /// How many questions there are, shown or not.
    pub total: usize,
    /// What is asked, the most first.
    pub questions: Vec<Question>,
    /// How many edges there are, shown or not.
    #[serde(default)]
    pub resolvers_total: usize,
    /// Who asks whom, the busiest first, at most 100.
    pub resolvers: Vec<Edge>,
}

/// How many answers had a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Code {
    /// The code; `none` if there was none.
    pub code: String,
    /// How many.
    pub count: u64,
}

/// A question to the DNS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Question {
    /// The operation of windows: type and name.
    pub operation: String,
    /// The preferred side's.
    pub signals: Option<Signals>,
    /// As in [`Dns::codes`].
    pub codes: Vec<Code>,
}
