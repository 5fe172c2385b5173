//! The parameters of questions: what each is called, what it may be, and what it means.

use crate::ask::questions::Question;
use crate::ask::{SeriesBy, Sort, TopBy, What};
use crate::engine::Order;
use crate::signals::SideName;
use steth_window::{Protocol, Transport};

pub(super) const RANGE: [&str; 3] = ["from", "to", "last"];
pub(super) const OF: [&str; 11] = [
    "entity",
    "client",
    "server",
    "port",
    "side",
    "protocol",
    "operation",
    "status",
    "failed",
    "transport",
    "namespace",
];

/// What a parameter may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// A whole number.
    Number {
        /// The least.
        least: u64,
        /// The largest.
        most: u64,
    },
    /// Milliseconds, with a fraction, 0 or more.
    Milliseconds,
    /// `true`, `false`, `1` or `0`.
    Flag,
    /// One of these.
    Word(Vec<&'static str>),
    /// At most 4096 bytes.
    Text,
    /// Sixteen hexadecimal digits, or a full name.
    Entity,
    /// A number with `s`, `m`, `h` or `d`: from ten seconds to 400 days.
    Length,
}

/// A parameter, for whoever has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it means.
    pub help: &'static str,
    /// What it may be.
    pub form: Form,
    /// Without it there is no answer.
    pub required: bool,
}

/// What the parameters mean that several questions have.
fn described(question: &str, name: &'static str) -> Parameter {
    fn words<T>(words: &[(&'static str, T)]) -> Form {
        Form::Word(words.iter().map(|(word, _)| *word).collect())
    }
    let number = |least, most| Form::Number { least, most };
    let (form, help) = match (question, name) {
        (_, "from") => (number(0, u64::MAX), "The beginning of the range, milliseconds since 1970."),
        (_, "to") => (number(0, u64::MAX), "The end of the range, milliseconds since 1970; else now."),
        (_, "last") => (Form::Length, "The range instead: so long until now; without any, 30m."),
        (_, "entity") => (Form::Entity, "Is client or server."),
        (_, "client") => (Form::Entity, "Is the client."),
        (_, "server") => (Form::Entity, "Is the server."),
        (_, "id") => (Form::Entity, "Whose."),
        (_, "port") => (number(0, 65535), "The server's port."),
        (_, "side") => (words(&SIDES), "Observed there."),
        (_, "protocol") => (words(&protocols()), "Of exchanges."),
        (_, "operation") => (Form::Text, "Of exchanges, exactly."),
        (_, "status") => (Form::Text, "Of exchanges, exactly."),
        (_, "failed") => (Form::Flag, "Of exchanges: failed, or did not."),
        (_, "transport") => (words(&TRANSPORTS), "Of books."),
        ("top", "namespace") => (
            Form::Text,
            "Somebody of this namespace is at an end; of services, those of it, with what is asked of them.",
        ),
        ("requests", "namespace") => (Form::Text, "The server is of this namespace."),
        (_, "namespace") => (Form::Text, "Somebody of this namespace is at an end."),
        ("requests", "text") => (
            Form::Text,
            "With this in a name or an address of an end, the operation or the protocol, whatever the case.",
        ),
        (_, "text") => (Form::Text, "With this in a name, whatever the case."),
        (_, "what") => (words(&WHATS), "What is added up; else exchanges."),
        ("series", "by") => (words(&SERIES_BY), "One series for each of these; else one in all."),
        (_, "by") => (words(&TOP_BY), "The most of these; else services."),
        ("requests", "sort") => (words(&ORDERS), "Which come first; else the newest."),
        (_, "sort") => (words(&SORTS), "What comes first; else the rate, of connections bytes."),
        (_, "ascending") => (Form::Flag, "The least first instead."),
        (_, "points") => (number(1, 2000), "Most points of a series; else 180."),
        (_, "columns") => (number(1, 500), "Most columns; else 120."),
        (_, "curve") => (number(0, 120), "Most points of the small curve; else none."),
        (_, "service") => (Form::Text, "The server's name, with its namespace or without."),
        (_, "why") => (words(&WHYS), "Kept for this reason."),
        (_, "min_ms") => (Form::Milliseconds, "Took at least so many milliseconds."),
        (_, "max_ms") => (Form::Milliseconds, "Took less than so many milliseconds."),
        ("map", "limit") => (number(1, 5000), "Most edges, busiest first; else 2000."),
        ("series", "limit") => {
            (number(1, 100), "Most series, busiest first; else 20. What is beyond is added up as other.")
        }
        (_, _) => (number(1, 1000), "Most rows; else 100."),
    };
    Parameter { name, help, form, required: name == "id" }
}

/// The parameters of a question.
#[must_use]
pub fn parameters<Q: Question>() -> Vec<Parameter> {
    Q::PARAMETERS.iter().flat_map(|names| names.iter().map(|name| described(Q::PATH, name))).collect()
}

pub(super) const SIDES: [(&str, SideName); 3] =
    [("client", SideName::Client), ("server", SideName::Server), ("network", SideName::Network)];
pub(super) fn protocols() -> Vec<(&'static str, Protocol)> {
    Protocol::of_each_name().map(|protocol| (protocol.name(), protocol)).collect()
}
pub(super) const TRANSPORTS: [(&str, Transport); 3] =
    [("tcp", Transport::Tcp), ("udp", Transport::Udp), ("unix", Transport::Unix)];
pub(super) const WHATS: [(&str, What); 2] = [("exchanges", What::Exchanges), ("books", What::Books)];
pub(super) const SERIES_BY: [(&str, SeriesBy); 7] = [
    ("nothing", SeriesBy::Nothing),
    ("client", SeriesBy::Client),
    ("server", SeriesBy::Server),
    ("protocol", SeriesBy::Protocol),
    ("operation", SeriesBy::Operation),
    ("status", SeriesBy::Status),
    ("error_type", SeriesBy::ErrorType),
];
pub(super) const TOP_BY: [(&str, TopBy); 4] = [
    ("services", TopBy::Services),
    ("edges", TopBy::Edges),
    ("operations", TopBy::Operations),
    ("connections", TopBy::Connections),
];
pub(super) const SORTS: [(&str, Sort); 12] = [
    ("rate", Sort::Rate),
    ("errors", Sort::Errors),
    ("error_ratio", Sort::ErrorRatio),
    ("p50", Sort::P50),
    ("p95", Sort::P95),
    ("p99", Sort::P99),
    ("time", Sort::Time),
    ("bytes", Sort::Bytes),
    ("retransmits", Sort::Retransmits),
    ("rtt", Sort::Rtt),
    ("failed_connects", Sort::FailedConnects),
    ("name", Sort::Name),
];
pub(super) const ORDERS: [(&str, Order); 2] = [("newest", Order::Newest), ("duration", Order::Duration)];
pub(super) const WHYS: [(&str, &str); 3] = [("slowest", "slowest"), ("error", "error"), ("random", "random")];
