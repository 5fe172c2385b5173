//! What the agent's API says, as far as commands show it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

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
