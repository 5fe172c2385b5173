//! Somebody that answers.

use super::{Numbers, curve, durations, failed, full_name, named, numbers, parts, rate, side, state, throughput};
use crate::table::Cell;
use serde::Serialize;
use steth_query::SideName;
use steth_query::tell::{Node, Service, State};

pub(super) fn cells(service: &Service, seconds: f64) -> Vec<Cell> {
    let Service { node, bytes, curve: points } = service;
    let signals = node.answers.shown();
    let mut cells = vec![
        named(&full_name(&node.namespace, &node.name)),
        state(node.health.state),
        named(&node.protocols.join(",")),
        rate(signals),
        failed(signals),
    ];
    cells.extend(durations(signals));
    cells.extend(parts(signals));
    cells.extend([throughput(*bytes, seconds), side(node.answers.preferred), curve(points)]);
    cells
}

/// What is wrong with it, or who it is.
pub(super) fn says(node: &Node) -> (State, String) {
    let found: Vec<&str> = node.health.findings.iter().take(2).map(|finding| &*finding.sentence).collect();
    let says = match (&found[..], node.answers.shown()) {
        ([], Some(signals)) => format!("{} requests, nothing wrong with them.", signals.count),
        ([], None) => "Connections to it, but nothing that is read.".to_owned(),
        (found, _) => found.join(" "),
    };
    (node.health.state, says)
}

/// With `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    server: String,
    id: &'a str,
    /// Several, of a service that speaks several.
    protocol: String,
    ports: &'a [u16],
    /// Where the numbers were observed.
    side: Option<SideName>,
    state: State,
    findings: Vec<&'a str>,
    /// Both ways, by the books.
    bytes: u64,
    #[serde(flatten)]
    numbers: Option<Numbers>,
}

pub(super) fn line(service: &Service) -> Line<'_> {
    let node = &service.node;
    Line {
        server: full_name(&node.namespace, &node.name),
        id: &node.id,
        protocol: node.protocols.join(","),
        ports: &node.ports,
        side: node.answers.preferred,
        state: node.health.state,
        findings: node.health.findings.iter().map(|finding| &*finding.sentence).collect(),
        bytes: service.bytes,
        numbers: numbers(&node.answers),
    }
}
