//! The questions. Each can be read from the query of a URL; what each parameter may be is said where it is read.

mod parameters;
mod query;
mod questions;
mod text;

pub use parameters::{Form, Parameter, parameters};
pub use questions::Question;

use crate::engine::Order;
use crate::range::Range;
use crate::signals::SideName;
use serde::{Deserialize, Serialize};
use steth_window::{EntityId, Protocol, Transport};
use utoipa::ToSchema;

/// Whose exchanges, or whose books. What is `None` is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Of {
    /// Is client or server.
    pub entity: Option<EntityId>,
    /// Is the client.
    pub client: Option<EntityId>,
    /// Is the server.
    pub server: Option<EntityId>,
    /// The server's port.
    pub port: Option<u16>,
    /// Observed there.
    pub side: Option<SideName>,
    /// Of exchanges.
    pub protocol: Option<Protocol>,
    /// Of exchanges.
    pub operation: Option<String>,
    /// Of exchanges.
    pub status: Option<String>,
    /// Of exchanges: failed, or did not.
    pub failed: Option<bool>,
    /// Of books.
    pub transport: Option<Transport>,
    /// Somebody of this namespace is client or server; of requests, the server is.
    pub namespace: Option<String>,
}

/// Who talks to whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Map {
    /// When.
    pub range: Range,
    /// Only edges at an end of which this is.
    pub entity: Option<EntityId>,
    /// Only edges at an end of which is somebody of this namespace.
    pub namespace: Option<String>,
    /// Most edges, busiest first: 1 to 5,000.
    pub limit: usize,
}

/// What is counted over time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Series {
    /// When.
    pub range: Range,
    /// Whose.
    pub of: Of,
    /// One series for each of what?
    pub by: SeriesBy,
    /// Exchanges or books.
    pub what: What,
    /// Most points of a series, 1 to 2,000: the step is chosen so that there are not more.
    pub points: usize,
    /// Most series, busiest first, 1 to 100; what is beyond is added up as `other`.
    pub limit: usize,
}

/// What a series adds up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Exchanges.
    #[default]
    Exchanges,
    /// The kernel's books.
    Books,
}

/// By what series are told apart. Sides are always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum SeriesBy {
    #[default]
    Nothing,
    Client,
    Server,
    Protocol,
    Operation,
    Status,
    ErrorType,
}

/// The most of something.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Top {
    /// When.
    pub range: Range,
    /// Whose.
    pub of: Of,
    /// Of what.
    pub by: TopBy,
    /// Only rows with this in a name of theirs, whatever the case.
    pub text: Option<String>,
    /// What comes first.
    pub sort: Sort,
    /// The least first instead.
    pub ascending: bool,
    /// Most rows, 1 to 1,000.
    pub limit: usize,
    /// With so many points of a small curve, 0 to 120; 0 is none.
    pub curve: usize,
}

/// Of what the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TopBy {
    /// Entities that answer.
    Services,
    /// Client, server, port and protocol: with exchanges and with books.
    Edges,
    /// Operations of a server.
    Operations,
    /// Client, server, port and transport: books only.
    Connections,
}

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Sort {
    /// Exchanges; of connections, bytes.
    #[default]
    Rate,
    Errors,
    ErrorRatio,
    P50,
    P95,
    P99,
    /// Sum of all durations.
    Time,
    /// Both ways.
    Bytes,
    Retransmits,
    Rtt,
    FailedConnects,
    Name,
}

/// How durations are distributed over time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Heatmap {
    /// When.
    pub range: Range,
    /// Whose. Of both sides, if none is asked for, the one that is preferred.
    pub of: Of,
    /// Most columns, 1 to 500.
    pub columns: usize,
}

/// Requests that were kept one by one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requests {
    /// Ended in it.
    pub range: Range,
    /// Whose: server, side, operation, failed, namespace.
    pub of: Of,
    /// The server's name, with or without its namespace.
    pub service: Option<String>,
    /// `slowest`, `error`, `random`.
    pub why: Option<String>,
    /// Took at least that long, nanoseconds.
    pub least_ns: u64,
    /// Took less than that, nanoseconds.
    pub below_ns: u64,
    /// Only those with this in a name, an address or the operation, whatever the case.
    pub text: Option<String>,
    /// Which come first.
    pub sort: Order,
    /// Most of them, 1 to 1,000.
    pub limit: usize,
}

/// Everything about somebody.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entity {
    /// When.
    pub range: Range,
    /// Who.
    pub id: EntityId,
}

/// Who is there. For a filter box.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entities {
    /// With this in its name, whatever the case; empty is all.
    pub text: String,
    /// Most of them, 1 to 1,000.
    pub limit: usize,
}

/// Which names are looked up, and what comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dns {
    /// When.
    pub range: Range,
    /// Whose.
    pub of: Of,
    /// Only questions with this in them, whatever the case.
    pub text: Option<String>,
    /// Most questions, 1 to 1,000.
    pub limit: usize,
}
