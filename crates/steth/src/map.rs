//! `steth map`: who talks to whom, as a running agent has seen it.

use crate::answers::{Edge, Map, Node};
use crate::ask::{Agent, Place};
use crate::print::{Rounded, clean};
use std::fmt::Write as _;
use std::process::ExitCode;

/// What is asked, and how it is written.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  steth map --seconds 300 | dot -Tsvg > map.svg\n  \
    steth map --format json | jq '.edges[] | select(.preferred == \"client\")'")]
pub(crate) struct Args {
    /// dot is Graphviz's language; json is what the agent says
    #[arg(long, value_enum, default_value = "dot")]
    format: Format,
    /// Where the agent is
    #[arg(long, value_name = "URL", default_value = Place::USUAL)]
    connect: Place,
    /// Of the last so many seconds, in steps of ten: 10 to 3600
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..=3600))]
    seconds: u64,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Format {
    Dot,
    Json,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let agent = Agent::at(&args.connect);
    let path = format!("/api/v1/map?window={}s", args.seconds);
    let text = match args.format {
        Format::Json => agent.text(&path)? + "\n",
        Format::Dot => dot(&agent.json(&path)?),
    };
    crate::say::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The map in Graphviz's language. What it leaves out, its title says.
fn dot(map: &Map) -> String {
    let mut text =
        String::from("digraph steth {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n");
    text.push_str("  edge [fontname=\"sans-serif\", fontsize=10];\n");
    let left_out = |shown: usize, total: usize| if shown < total { format!(" of {total}") } else { String::new() };
    let _ = writeln!(
        text,
        "  label=\"{}{} nodes, {}{} edges, last {:.0} s\";",
        map.nodes.len(),
        left_out(map.nodes.len(), map.nodes_total),
        map.edges.len(),
        left_out(map.edges.len(), map.edges_total),
        map.seconds
    );
    for node in &map.nodes {
        let _ = writeln!(text, "  {} [label={}{}];", quoted(&node.id), quoted(&node.full_name()), shape(node));
    }
    for edge in &map.edges {
        let failing = if edge.numbers(map.seconds).failed() >= 0.01 { ", color=red, fontcolor=red" } else { "" };
        let (client, server, label) = (quoted(&edge.client), quoted(&edge.server), quoted(&caption(edge, map.seconds)));
        let _ = writeln!(text, "  {client} -> {server} [label={label}{failing}];");
    }
    text.push_str("}\n");
    text
}

/// How a node looks beside its name.
fn shape(node: &Node) -> &'static str {
    let stores = ["redis", "mysql", "postgresql"];
    match &*node.kind {
        "dns" => ", shape=hexagon, style=solid",
        "external" => ", style=\"rounded,dashed\"",
        "other" => ", shape=plaintext",
        _ if stores.iter().any(|store| node.protocols.contains(*store)) => ", shape=cylinder, style=solid",
        _ => "",
    }
}

fn caption(edge: &Edge, seconds: f64) -> String {
    let numbers = edge.numbers(seconds);
    let mut text = edge.protocol.clone();
    if edge.port != 0 {
        let _ = write!(text, " :{}", edge.port);
    }
    let what = if edge.has_exchanges() { "/s" } else { " connects/s" };
    let _ = write!(text, " | {:.1}{what}", numbers.rate);
    if let Some(p95) = numbers.p95_ns {
        let _ = write!(text, " | p95 {}", Rounded(p95 as u64));
    }
    if numbers.errors > 0 {
        let _ = write!(text, " | {:.1}% failed", numbers.failed() * 100.0);
    }
    if let Some(books) = edge.books() {
        if let Some(cause) = books.cause() {
            let _ = write!(text, " | connects {cause}: {}", books.connects_failed);
        }
        let bytes = (books.bytes_to_server + books.bytes_to_client) as f64;
        if bytes > 0.0 {
            let _ = write!(text, " | {:.1} kB/s", bytes / seconds / 1000.0);
        }
        if let Some(rtt) = books.rtt.as_ref().and_then(|rtt| rtt.p50_ns) {
            let _ = write!(text, " | rtt {}", Rounded(rtt as u64));
        }
        if books.retransmitted_segments > 0 {
            let _ = write!(text, " | {} sent again", books.retransmitted_segments);
        }
    }
    let _ = write!(text, " | {}", edge.preferred.name());
    text
}

/// A quoted string of the language. A backslash would begin one of its escapes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", clean(text).replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_quotes_and_what_is_left_out_is_said() {
        let map = r#"{"seconds":60.0,"nodes_total":9,"edges_total":2,
            "nodes":[{"id":"01","name":"a\" -> \\ b\u001b","namespace":"n","kind":"external","protocols":[],"ports":[]},
                {"id":"02","name":"redis-server","namespace":"","kind":"service","protocols":["redis"],"ports":[6379]}],
            "edges":[{"client":"01","server":"02","protocol":"redis","port":6379,"preferred":"server","reporters":{
                "client":{"count":99,"rate":9.0,"errors":0},
                "server":{"count":100,"rate":1.66,"errors":2,"p50_ns":1e6,"p95_ns":2500000.0,"p99_ns":null}},
                "network":{"tcp":{"guessed":false,"server":{"open":1,"opened":1,"bytes_to_server":60000,"connects_failed":0,
                "retransmitted_segments":4,"rtt":{"p50_ns":90000.0,"p95_ns":null}}}}},
            {"client":"02","server":"01","protocol":"tcp","port":9,"preferred":"client","reporters":{},"network":{"tcp":{
                "client":{"open":null,"opened":0,"connects_failed":6,"unreachable":5,"refused":1}}}}]}"#;
        let text = dot(&serde_json::from_str(map).expect("the agent's form"));
        assert!(text.contains(r#""01" [label="n/a\" -> \\ b�", style="rounded,dashed"];"#), "{text}");
        assert!(text.contains(r#""02" [label="redis-server", shape=cylinder, style=solid];"#), "{text}");
        let label = "redis :6379 | 1.7/s | p95 2.50ms | 2.0% failed | 1.0 kB/s | rtt 90.0µs | 4 sent again | server";
        let failed = "tcp :9 | 0.1 connects/s | 100.0% failed | connects unreachable: 6 | client";
        assert!(text.contains(&format!("\"02\" -> \"01\" [label=\"{failed}\", color=red, fontcolor=red];")), "{text}");
        assert!(text.contains(&format!("\"01\" -> \"02\" [label=\"{label}\", color=red, fontcolor=red];")), "{text}");
        assert!(text.contains("2 of 9 nodes, 2 edges"), "{text}");
    }
}
