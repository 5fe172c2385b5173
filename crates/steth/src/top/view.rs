//! What can be looked at, in which order, and in which columns.

use crate::table::{Column, Fit};
use serde::Serialize;
use steth_query::ask;

/// What a row is.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum View {
    #[value(alias = "service")]
    Services,
    #[value(alias = "edge")]
    Edges,
    #[value(alias = "operation")]
    Operations,
    #[value(alias = "connection")]
    Connections,
    Dns,
    #[value(alias = "request")]
    Requests,
}

/// What the first row has most of.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Sort {
    /// Exchanges per second
    Rate,
    /// The share of failed ones
    Errors,
    P50,
    P95,
    P99,
    /// p95 of the time between the arrival at the server and the read
    Queue,
    /// p95 of the time between the read and the answer
    Service,
    /// Sum of all durations
    Time,
    /// Both ways
    Bytes,
    /// Segments sent again
    Retransmits,
    /// p95 of round-trip times
    Rtt,
    /// Connects that failed
    FailedConnects,
    /// What ended last
    Newest,
    /// How long one request took
    Duration,
    Name,
}

use Sort::{
    Bytes, Duration, Errors, FailedConnects, Name, Newest, P50, P95, P99, Queue, Rate, Retransmits, Rtt, Service, Time,
};

impl View {
    /// In the order of their keys.
    pub(super) const ALL: [View; 6] =
        [View::Services, View::Edges, View::Operations, View::Connections, View::Dns, View::Requests];

    pub(super) fn title(self) -> &'static str {
        match self {
            View::Services => "Services",
            View::Edges => "Edges",
            View::Operations => "Operations",
            View::Connections => "Connections",
            View::Dns => "DNS",
            View::Requests => "Requests",
        }
    }

    /// In a sentence: so many of these.
    pub(super) fn word(self) -> &'static str {
        match self {
            View::Services => "services",
            View::Edges => "edges",
            View::Operations => "operations",
            View::Connections => "connections",
            View::Dns => "questions",
            View::Requests => "requests",
        }
    }

    /// How it can be sorted; the first is how it is, if nobody says.
    pub(super) fn sorts(self) -> &'static [Sort] {
        match self {
            View::Services => &[Rate, Errors, P50, P95, P99, Queue, Service, Time, Bytes, Name],
            View::Edges => {
                &[Rate, Errors, P50, P95, P99, Queue, Service, Time, Bytes, Retransmits, Rtt, FailedConnects, Name]
            }
            View::Operations => &[Rate, Errors, P50, P95, P99, Queue, Service, Time, Bytes, Name],
            View::Connections => &[Bytes, Retransmits, Rtt, FailedConnects, Name],
            View::Dns => &[Rate, Errors, P50, P95, P99, Name],
            View::Requests => &[Newest, Duration, Name],
        }
    }

    /// Its columns, names first.
    pub(super) fn columns(self) -> &'static [Column] {
        match self {
            View::Services => &SERVICES,
            View::Edges => &EDGES,
            View::Operations => &OPERATIONS,
            View::Connections => &CONNECTIONS,
            View::Dns => &QUESTIONS,
            View::Requests => &REQUESTS,
        }
    }
}

impl Sort {
    pub(super) fn name(self) -> &'static str {
        match self {
            Rate => "rate",
            Errors => "errors",
            P50 => "p50",
            P95 => "p95",
            P99 => "p99",
            Queue => "queue",
            Service => "service",
            Time => "time",
            Bytes => "bytes",
            Retransmits => "retransmits",
            Rtt => "rtt",
            FailedConnects => "failed-connects",
            Newest => "newest",
            Duration => "duration",
            Name => "name",
        }
    }

    /// How the agent sorts. `None`: it does not, so the busiest ones are sorted here.
    pub(super) fn asked(self) -> Option<ask::Sort> {
        Some(match self {
            Rate => ask::Sort::Rate,
            Errors => ask::Sort::ErrorRatio,
            P50 => ask::Sort::P50,
            P95 => ask::Sort::P95,
            P99 => ask::Sort::P99,
            Time => ask::Sort::Time,
            Bytes => ask::Sort::Bytes,
            Retransmits => ask::Sort::Retransmits,
            Rtt => ask::Sort::Rtt,
            FailedConnects => ask::Sort::FailedConnects,
            Name => ask::Sort::Name,
            Queue | Service | Newest | Duration => return None,
        })
    }

    /// The title of the column that shows it.
    pub(super) fn column(self) -> &'static str {
        match self {
            Rate => "RATE/s",
            Errors => "FAILED",
            P50 => "P50",
            P95 => "P95",
            P99 => "P99",
            Queue => "QUEUE95",
            Service => "SERVICE95",
            Time => "SHARE",
            Bytes => "BYTES/s",
            Retransmits => "RETRANS",
            Rtt => "RTT95",
            FailedConnects => "CONNERR",
            Newest => "ENDED",
            Duration => "TOOK",
            Name => "",
        }
    }
}

const fn name(title: &'static str) -> Column {
    Column { title, fit: Fit::Name, from: 0 }
}

const fn word(title: &'static str, from: usize) -> Column {
    Column { title, fit: Fit::Word, from }
}

const fn number(title: &'static str, from: usize) -> Column {
    Column { title, fit: Fit::Number, from }
}

const SERVICES: [Column; 13] = [
    name("SERVICE"),
    word("STATE", 70),
    word("PROTOCOL", 110),
    number("RATE/s", 0),
    number("FAILED", 0),
    number("P50", 60),
    number("P95", 0),
    number("P99", 50),
    number("QUEUE95", 90),
    number("SERVICE95", 90),
    number("BYTES/s", 130),
    word("SIDE", 70),
    word("TREND", 120),
];

const EDGES: [Column; 16] = [
    name("CLIENT"),
    name("SERVER"),
    word("PROTOCOL", 70),
    number("RATE/s", 0),
    number("FAILED", 0),
    number("P50", 60),
    number("P95", 0),
    number("P99", 50),
    number("QUEUE95", 100),
    number("SERVICE95", 100),
    number("BYTES/s", 140),
    number("RTT95", 130),
    number("RETRANS", 140),
    number("CONNERR", 120),
    word("SIDE", 70),
    word("TREND", 160),
];

const OPERATIONS: [Column; 13] = [
    name("SERVICE"),
    name("OPERATION"),
    word("PROTOCOL", 110),
    number("SHARE", 80),
    number("RATE/s", 0),
    number("FAILED", 0),
    number("P50", 60),
    number("P95", 0),
    number("P99", 50),
    number("QUEUE95", 100),
    number("SERVICE95", 100),
    word("SIDE", 70),
    word("TREND", 130),
];

const CONNECTIONS: [Column; 12] = [
    name("CLIENT"),
    name("SERVER"),
    word("OVER", 50),
    number("OPEN", 60),
    number("OPENED", 90),
    number("BYTES/s", 0),
    number("TO SERVER", 110),
    number("TO CLIENT", 110),
    number("RTT95", 0),
    number("RETRANS", 60),
    number("CONNERR", 0),
    word("SIDE", 70),
];

const QUESTIONS: [Column; 7] = [
    name("QUESTION"),
    number("RATE/s", 0),
    number("FAILED", 0),
    number("P50", 60),
    number("P95", 0),
    number("P99", 50),
    name("ANSWERS"),
];

const REQUESTS: [Column; 9] = [
    word("ENDED", 0),
    name("CLIENT"),
    name("SERVER"),
    name("OPERATION"),
    word("STATUS", 60),
    number("TOOK", 0),
    number("QUEUE", 90),
    word("SIDE", 100),
    word("WHY", 80),
];

/// Of somebody that is looked at alone: who asks him, and whom he asks.
pub(super) const NEIGHBOURS: [Column; 12] = [
    word("", 0),
    name("WHO"),
    word("PROTOCOL", 70),
    number("RATE/s", 0),
    number("FAILED", 0),
    number("P50", 60),
    number("P95", 0),
    number("P99", 50),
    number("QUEUE95", 90),
    number("RTT95", 110),
    number("CONNERR", 100),
    word("SIDE", 70),
];
