//! What the agent's API says, as far as commands show it.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// `/api/v1/map`.
#[derive(Debug, Deserialize)]
pub(crate) struct Map {
    pub(crate) seconds: f64,
    pub(crate) nodes_total: usize,
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges_total: usize,
    pub(crate) edges: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) kind: String,
    pub(crate) protocols: BTreeSet<String>,
}

impl Node {
    /// With its namespace, if it has one.
    pub(crate) fn full_name(&self) -> String {
        if self.namespace.is_empty() { self.name.clone() } else { format!("{}/{}", self.namespace, self.name) }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Edge {
    pub(crate) client: String,
    pub(crate) server: String,
    pub(crate) protocol: String,
    pub(crate) port: u16,
    pub(crate) preferred: Side,
    pub(crate) reporters: Sides,
    /// What the kernel's books say, by what the bytes travel in.
    #[serde(default)]
    network: BTreeMap<String, Books>,
}

impl Edge {
    /// What its preferred side tells. Where nobody knows of exchanges, connects take their place.
    pub(crate) fn numbers(&self, seconds: f64) -> Numbers {
        if let Some(numbers) = self.reporters.of(self.preferred) {
            return numbers.clone();
        }
        let Some(books) = self.books() else { return Numbers::default() };
        let count = books.opened + books.connects_failed;
        let connect = books.connect.clone().unwrap_or_default();
        Numbers {
            count,
            rate: count as f64 / seconds,
            errors: books.connects_failed,
            p50_ns: connect.p50_ns,
            p95_ns: connect.p95_ns,
            ..Numbers::default()
        }
    }

    /// Whether exchanges are known, and not connections alone.
    pub(crate) fn has_exchanges(&self) -> bool {
        self.reporters.preferred().is_some()
    }

    /// The books of its preferred side, else of the other one: those of TCP, if it has any.
    pub(crate) fn books(&self) -> Option<&End> {
        let books = self.network.get("tcp").or_else(|| self.network.values().next())?;
        let (first, second) = match self.preferred {
            Side::Client => (&books.client, &books.server),
            _ => (&books.server, &books.client),
        };
        first.as_ref().or(second.as_ref())
    }
}

/// What the books of one transport say, each end by itself.
#[derive(Debug, Deserialize)]
struct Books {
    client: Option<End>,
    server: Option<End>,
}

/// Of it, what commands show.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct End {
    pub(crate) opened: u64,
    pub(crate) connects_failed: u64,
    pub(crate) refused: u64,
    pub(crate) connect_timed_out: u64,
    pub(crate) unreachable: u64,
    pub(crate) abandoned: u64,
    pub(crate) bytes_to_server: u64,
    pub(crate) bytes_to_client: u64,
    pub(crate) retransmitted_segments: u64,
    connect: Option<Times>,
    pub(crate) rtt: Option<Times>,
}

impl End {
    /// Why most of the connects that failed did; `None` if none has.
    pub(crate) fn cause(&self) -> Option<&'static str> {
        let causes = [
            (self.refused, "refused"),
            (self.connect_timed_out, "timed out"),
            (self.unreachable, "unreachable"),
            (self.abandoned, "abandoned"),
        ];
        let most = causes.into_iter().max_by_key(|(count, _)| *count).filter(|(count, _)| *count > 0);
        (self.connects_failed > 0).then(|| most.map_or("other", |(_, cause)| cause))
    }
}

/// `/api/v1/windows`.
#[derive(Debug, Deserialize)]
pub(crate) struct Windows {
    pub(crate) seconds: f64,
    pub(crate) services_total: usize,
    pub(crate) services: Vec<Service>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) protocols: BTreeSet<String>,
    pub(crate) sides: Sides,
    pub(crate) operations_total: usize,
    pub(crate) operations: Vec<Operation>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Operation {
    pub(crate) name: String,
    pub(crate) protocol: String,
    pub(crate) sides: Sides,
}

/// Where something was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    Client,
    Server,
    Network,
}

impl Side {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Side::Client => "client",
            Side::Server => "server",
            Side::Network => "network",
        }
    }
}

/// What each side tells; they are never summed.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Sides {
    client: Option<Numbers>,
    server: Option<Numbers>,
    network: Option<Numbers>,
}

impl Sides {
    pub(crate) fn of(&self, side: Side) -> Option<&Numbers> {
        match side {
            Side::Client => self.client.as_ref(),
            Side::Server => self.server.as_ref(),
            Side::Network => self.network.as_ref(),
        }
    }

    /// The side whose numbers are shown where one number is wanted: the server's, if it was observed.
    pub(crate) fn preferred(&self) -> Option<(Side, &Numbers)> {
        [Side::Server, Side::Client, Side::Network].into_iter().find_map(|side| Some((side, self.of(side)?)))
    }
}

/// Counts and times of one side. Of waits by design there are no times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Numbers {
    pub(crate) count: u64,
    pub(crate) rate: f64,
    pub(crate) errors: u64,
    pub(crate) p50_ns: Option<f64>,
    pub(crate) p95_ns: Option<f64>,
    pub(crate) p99_ns: Option<f64>,
    /// From the arrival at the server's socket to the read.
    pub(crate) queue: Option<Times>,
    /// From the read to the response's first byte.
    pub(crate) service: Option<Times>,
}

impl Numbers {
    /// Of how many one failed: 0 to 1.
    pub(crate) fn failed(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.errors as f64 / self.count as f64 }
    }
}

/// Quantiles of a part of the time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Times {
    pub(crate) p50_ns: Option<f64>,
    pub(crate) p95_ns: Option<f64>,
}
