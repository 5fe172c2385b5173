//! `steth map`: who talks to whom, as a running agent has seen it.

use crate::ask::{Agent, Connect};
use crate::print::{Rounded, clean};
use crate::remote::{self, Remote};
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;
use steth_query::tell::{Edge, Map, NodeKind, State};
use steth_query::{Answer, Api as _, ask};

/// What is asked, and how it is written.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  steth map --seconds 300 | dot -Tsvg > map.svg\n  \
    steth map --format json | jq '.data.edges[] | select(.state == \"failing\")'")]
pub(crate) struct Args {
    /// dot is Graphviz's language; json is what the agent says
    #[arg(long, value_enum, default_value = "dot")]
    format: Format,
    #[command(flatten)]
    connect: Connect,
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
    let agent = Agent::at(&args.connect)?;
    let range = remote::last(Duration::from_secs(args.seconds));
    let question = ask::Map { range, entity: None, namespace: None, limit: 2000 };
    let text = match args.format {
        Format::Json => agent.text(&remote::path(&question))? + "\n",
        Format::Dot => dot(&Remote(agent).map(&question)?),
    };
    crate::say::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The map in Graphviz's language. What it leaves out, its title says.
fn dot(Answer { meta, data: map }: &Answer<Map>) -> String {
    let mut text =
        String::from("digraph steth {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n");
    text.push_str("  edge [fontname=\"sans-serif\", fontsize=10];\n");
    let left_out = |shown: usize, total: usize| if shown < total { format!(" of {total}") } else { String::new() };
    let seconds = meta.range.length_ms() as f64 / 1e3;
    let incomplete = if meta.complete { "" } else { ", not all of it was kept" };
    let _ = writeln!(
        text,
        "  label=\"{}{} nodes, {}{} edges, {seconds:.0} s{incomplete}\";",
        map.nodes.len(),
        left_out(map.nodes.len(), map.nodes_total),
        map.edges.len(),
        left_out(map.edges.len(), map.edges_total),
    );
    for node in &map.nodes {
        let name =
            if node.namespace.is_empty() { node.name.clone() } else { format!("{}/{}", node.namespace, node.name) };
        let _ = writeln!(text, "  {} [label={}{}];", quoted(&node.id), quoted(&name), shape(node.kind));
    }
    for edge in &map.edges {
        let bad = matches!(edge.state, State::Degraded | State::Failing);
        let failing = if bad { ", color=red, fontcolor=red" } else { "" };
        let (client, server, label) = (quoted(&edge.client), quoted(&edge.server), quoted(&caption(edge, seconds)));
        let _ = writeln!(text, "  {client} -> {server} [label={label}{failing}];");
    }
    text.push_str("}\n");
    text
}

/// How a node looks beside its name.
fn shape(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Dns => ", shape=hexagon, style=solid",
        NodeKind::External => ", style=\"rounded,dashed\"",
        NodeKind::Other => ", shape=plaintext",
        NodeKind::Database => ", shape=cylinder, style=solid",
        NodeKind::Service => "",
    }
}

fn caption(edge: &Edge, seconds: f64) -> String {
    let mut text = edge.protocol.as_ref().or(edge.transport.as_ref()).cloned().unwrap_or_default();
    if edge.port != 0 {
        let _ = write!(text, " :{}", edge.port);
    }
    if let Some(signals) = edge.signals.shown() {
        let _ = write!(text, " | {:.1}/s", signals.rate);
        if let Some(duration) = signals.duration {
            let _ = write!(text, " | p95 {}", Rounded(duration.p95_ns as u64));
        }
        if signals.errors > 0 {
            let _ = write!(text, " | {:.1}% failed", signals.error_ratio * 100.0);
        }
    }
    if let Some(books) = edge.books.shown() {
        for (count, cause) in [
            (books.refused, "refused"),
            (books.connect_timed_out, "not answered"),
            (books.unreachable, "unreachable"),
            (books.failed_otherwise, "failed"),
        ] {
            if count > 0 {
                let _ = write!(text, " | connects {cause}: {count}");
            }
        }
        let bytes = books.bytes_to_server.saturating_add(books.bytes_to_client) as f64;
        if bytes > 0.0 && seconds > 0.0 {
            let _ = write!(text, " | {:.1} kB/s", bytes / seconds / 1000.0);
        }
        if let Some(rtt) = books.rtt {
            let _ = write!(text, " | rtt {}", Rounded(rtt.p50_ns as u64));
        }
        if books.retransmitted_segments > 0 {
            let _ = write!(text, " | {} sent again", books.retransmitted_segments);
        }
    }
    if let Some(side) = edge.signals.preferred.or(edge.books.preferred) {
        let _ = write!(text, " | {}", side.name());
    }
    text
}

/// A quoted string of the language. A backslash would begin one of its escapes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", clean(text).replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn signals(count: u64, rate: f64, errors: u64) -> Value {
        let times =
            json!({"count": count, "mean_ns": 1e6, "p50_ns": 1e6, "p95_ns": 2.5e6, "p99_ns": 3e6, "max_ns": 3_000_000});
        json!({"count": count, "rate": rate, "errors": errors, "error_ratio": errors as f64 / count as f64, "slow": 0, "blocking": 0,
            "request_bytes": 0, "response_bytes": 0, "time_ns": 0, "duration": times})
    }

    fn node(id: &str, name: &str, namespace: &str, kind: &str) -> Value {
        json!({"id": id, "name": name, "namespace": namespace, "kind": kind, "protocols": [], "ports": [],
            "answers": {"preferred": null}, "asks": {"preferred": null}, "health": {"state": "healthy", "findings": []}})
    }

    #[test]
    fn names_cannot_leave_their_quotes_and_what_is_left_out_is_said() {
        let books = json!({"open": 1, "opened": 0, "closed": 0, "bytes_to_server": 60_000, "bytes_to_client": 0,
            "segments_to_server": 1, "segments_to_client": 1, "retransmitted_segments": 4, "retransmitted_bytes": 0,
            "lost_segments": 0, "reordered": 0, "duplicate_segments": 0, "busy_us": 0, "receive_window_us": 0,
            "send_buffer_us": 0, "refused": 1, "connect_timed_out": 0, "unreachable": 5, "abandoned": 0,
            "failed_otherwise": 0, "resets_by_client": 0, "resets_by_server": 0, "timed_out": 0, "rtt": null,
            "rtt_min_ns": null, "connect": null, "accept_wait": null});
        let answer = json!({
            "meta": {"range": {"from_ms": 0, "to_ms": 60_000}, "tier": "10s", "step_ms": 10_000, "newest_ms": null,
                "complete": false, "missing": [], "folded": {"operations": 0, "rows": 0, "edges": 0, "misdated": 0}},
            "data": {"nodes_total": 9, "edges_total": 2, "nodes": [
                node("01", "a\" -> \\ b\u{1b}", "n", "external"), node("02", "redis-server", "", "database")],
            "edges": [
                {"client": "01", "client_name": "a", "server": "02", "server_name": "redis-server", "port": 6379,
                    "protocol": "redis", "transport": "tcp", "state": "degraded", "books": {"preferred": null},
                    "signals": {"preferred": "server", "client": signals(99, 9.0, 0), "server": signals(100, 1.66, 2)}},
                {"client": "02", "client_name": "redis-server", "server": "01", "server_name": "a", "port": 9,
                    "protocol": null, "transport": "tcp", "state": "failing", "signals": {"preferred": null},
                    "books": {"preferred": "client", "client": books}}]}});
        let text = dot(&serde_json::from_value(answer).expect("the agent's form"));
        assert!(text.contains(r#""01" [label="n/a\" -> \\ b�", style="rounded,dashed"];"#), "{text}");
        assert!(text.contains(r#""02" [label="redis-server", shape=cylinder, style=solid];"#), "{text}");
        for (ends, label) in [
            (r#""01" -> "02""#, "redis :6379 | 1.7/s | p95 2.50ms | 2.0% failed | server"),
            (
                r#""02" -> "01""#,
                "tcp :9 | connects refused: 1 | connects unreachable: 5 | 1.0 kB/s | 4 sent again | client",
            ),
        ] {
            assert!(text.contains(&format!("{ends} [label=\"{label}\", color=red, fontcolor=red];")), "{text}");
        }
        assert!(text.contains("2 of 9 nodes, 2 edges, 60 s, not all of it was kept"), "{text}");
    }
}
