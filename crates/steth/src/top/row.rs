//! The rows: what the agent says, sorted, and as cells of a table.

use super::{By, Sort};
use crate::ask::Agent;
use crate::print::{Rounded, clean};
use crate::remote::{self, Remote};
use crate::table::{self, Cell, Column, Fit};
use serde::Serialize;
use std::time::Duration;
use steth_query::tell::{Node, Top};
use steth_query::{Answer, Api as _, BySide, Quantiles, SideName, Signals, ask};

/// A row; as JSON just so.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// Who asks; of edges only.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    server: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    /// Several, of a service that speaks several.
    protocol: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// Where all these numbers were observed.
    side: SideName,
    #[serde(flatten)]
    numbers: Numbers,
}

/// Counts and times of one side. Of waits by design there are no times.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Numbers {
    count: u64,
    rate: f64,
    errors: u64,
    p50_ns: Option<f64>,
    p95_ns: Option<f64>,
    p99_ns: Option<f64>,
    /// From the arrival at the server's socket to the read.
    queue: Option<Times>,
    /// From the read to the response's first byte.
    service: Option<Times>,
}

/// Quantiles of a part of the time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Times {
    p50_ns: f64,
    p95_ns: f64,
}

impl From<&Signals> for Numbers {
    fn from(signals: &Signals) -> Self {
        let times = |of: Option<Quantiles>| of.map(|Quantiles { p50_ns, p95_ns, .. }| Times { p50_ns, p95_ns });
        let duration = signals.duration;
        Self {
            count: signals.count,
            rate: signals.rate,
            errors: signals.errors,
            p50_ns: duration.map(|times| times.p50_ns),
            p95_ns: duration.map(|times| times.p95_ns),
            p99_ns: duration.map(|times| times.p99_ns),
            queue: times(signals.queue),
            service: times(signals.service),
        }
    }
}

impl Numbers {
    /// Of how many one failed: 0 to 1.
    fn failed(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.errors as f64 / self.count as f64 }
    }
}

impl Row {
    /// `None` where there are no exchanges.
    fn new(server: String, protocol: String, signals: &BySide) -> Option<Self> {
        let (side, numbers) = (signals.preferred?, signals.shown()?.into());
        Some(Self { client: None, server, operation: None, protocol, port: None, side, numbers })
    }

    /// What tells it from others.
    fn place(&self) -> (&Option<String>, &str, &Option<String>, &str, Option<u16>) {
        (&self.client, &self.server, &self.operation, &self.protocol, self.port)
    }

    /// What it is sorted by, most first; what has none comes last.
    fn weight(&self, sort: Sort) -> f64 {
        let Numbers { rate, p50_ns, p95_ns, p99_ns, queue, service, .. } = &self.numbers;
        let p95 = |times: &Option<Times>| times.map(|times| times.p95_ns);
        let weight = match sort {
            Sort::Rate => Some(*rate),
            Sort::Errors => Some(self.numbers.failed()),
            Sort::P50 => *p50_ns,
            Sort::P95 => *p95_ns,
            Sort::P99 => *p99_ns,
            Sort::Queue => p95(queue),
            Sort::Service => p95(service),
            Sort::Name => None,
        };
        weight.unwrap_or(-1.0)
    }
}

/// One look at the agent.
#[derive(Debug, Serialize)]
pub(super) struct Look {
    by: By,
    sort: Sort,
    /// The time that the rates are of.
    seconds: f64,
    /// Rows that there are; of very many the agent leaves out the least busy ones.
    total: usize,
    rows: Vec<Row>,
}

impl Look {
    /// What the agent says of the last so many seconds.
    pub(super) fn at(agent: &Agent, by: By, sort: Sort, seconds: u64) -> anyhow::Result<Self> {
        let question = ask::Top {
            range: remote::last(Duration::from_secs(seconds)),
            of: ask::Of::default(),
            by: match by {
                By::Edge => ask::TopBy::Edges,
                By::Service => ask::TopBy::Services,
                By::Operation => ask::TopBy::Operations,
            },
            text: None,
            sort: match sort {
                Sort::Errors => ask::Sort::ErrorRatio,
                Sort::P50 => ask::Sort::P50,
                // Queue and service are parts of it; of the rows with most of it, those with most of the part come first.
                Sort::P95 | Sort::Queue | Sort::Service => ask::Sort::P95,
                Sort::P99 => ask::Sort::P99,
                Sort::Name => ask::Sort::Name,
                Sort::Rate => ask::Sort::Rate,
            },
            ascending: false,
            limit: 1000,
            curve: 0,
        };
        Ok(Self::of(Remote(agent).top(&question)?, by, sort))
    }

    fn of(Answer { meta, data }: Answer<Top>, by: By, sort: Sort) -> Self {
        let full = |node: &Node| match &*node.namespace {
            "" => node.name.clone(),
            namespace => format!("{namespace}/{}", node.name),
        };
        let services = data.services.iter().filter_map(|service| {
            let node = &service.node;
            Row::new(full(node), node.protocols.join(","), &node.answers)
        });
        let edges = data.edges.iter().filter_map(|edge| {
            // Of what only books know there are no exchanges.
            let row = Row::new(edge.server_name.clone(), edge.protocol.clone()?, &edge.signals)?;
            Some(Row { client: Some(edge.client_name.clone()), port: (edge.port != 0).then_some(edge.port), ..row })
        });
        let operations = data.operations.iter().filter_map(|of| {
            let row = Row::new(of.server_name.clone(), of.protocol.clone(), &of.signals)?;
            Some(Row { operation: Some(of.operation.clone()), ..row })
        });
        let rows = services.chain(edges).chain(operations).collect();
        let seconds = meta.range.length_ms() as f64 / 1e3;
        Self { by, sort, seconds, total: data.total, rows }.sorted()
    }

    fn sorted(mut self) -> Self {
        let sort = self.sort;
        self.rows.sort_by(|a, b| b.weight(sort).total_cmp(&a.weight(sort)).then_with(|| a.place().cmp(&b.place())));
        self
    }
}

const fn column(title: &'static str, fit: Fit, from: usize) -> Column {
    Column { title, fit, from }
}

/// Behind the names.
const NUMBERS: [Column; 9] = [
    column("PROTOCOL", Fit::Word, 100),
    column("RATE/s", Fit::Number, 0),
    column("FAILED", Fit::Number, 0),
    column("P50", Fit::Number, 60),
    column("P95", Fit::Number, 0),
    column("P99", Fit::Number, 50),
    column("QUEUE95", Fit::Number, 90),
    column("SERVICE95", Fit::Number, 90),
    column("SIDE", Fit::Word, 70),
];

impl Look {
    fn columns(&self) -> Vec<Column> {
        let names: &[&'static str] = match self.by {
            By::Service => &["SERVICE"],
            By::Operation => &["SERVICE", "OPERATION"],
            By::Edge => &["CLIENT", "SERVER"],
        };
        names.iter().map(|title| column(title, Fit::Name, 0)).chain(NUMBERS).collect()
    }

    /// A line above, and the table: as many rows as fit below each other.
    pub(super) fn lines(&self, width: Option<usize>, height: Option<usize>, colour: bool) -> Vec<String> {
        let room = height.map_or(self.rows.len(), |height| height.saturating_sub(4).max(1));
        let rows: Vec<_> = self.rows.iter().take(room).map(cells).collect();
        let what = match self.by {
            By::Service => "services",
            By::Operation => "operations",
            By::Edge => "edges",
        };
        let total = self.total.max(self.rows.len());
        let mut lines = vec![format!("{} of {total} {what}, last {:.0} s", rows.len(), self.seconds)];
        lines.extend(table::lines(&self.columns(), &rows, width, colour));
        if self.rows.is_empty() {
            lines.push("nothing was seen in this time".to_owned());
        }
        lines
    }
}

fn cells(row: &Row) -> Vec<Cell> {
    let Numbers { rate, errors, p50_ns, p95_ns, p99_ns, queue, service, .. } = &row.numbers;
    let time = |time: Option<f64>| Cell::from(time.map_or_else(|| "-".to_owned(), |ns| Rounded(ns as u64).to_string()));
    let p95 = |times: &Option<Times>| time(times.map(|times| times.p95_ns));
    let server = match row.port {
        // The name of an address has its port already.
        Some(port) if !row.server.ends_with(&format!(":{port}")) => format!("{}:{port}", row.server),
        _ => row.server.clone(),
    };
    let names = [row.client.as_deref(), Some(&*server), row.operation.as_deref()];
    let mut cells: Vec<Cell> = names.into_iter().flatten().map(|name| Cell::from(clean(name))).collect();
    let failed = row.numbers.failed();
    let share = if *errors == 0 { "0%".to_owned() } else { format!("{:.2}%", failed * 100.0) };
    let digits = if *rate >= 100.0 { 0 } else { 1 + usize::from(*rate < 1.0) };
    cells.extend([
        Cell::from(clean(&row.protocol)),
        Cell::from(format!("{rate:.digits$}")),
        Cell { text: share, bad: failed >= 0.01 },
        time(*p50_ns),
        time(*p95_ns),
        time(*p99_ns),
        p95(queue),
        p95(service),
        Cell::from(row.side.name().to_owned()),
    ]);
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use unicode_width::UnicodeWidthStr as _;

    fn times(p50_ns: f64, p95_ns: f64) -> Value {
        json!({"count": 600, "mean_ns": p50_ns, "p50_ns": p50_ns, "p95_ns": p95_ns, "p99_ns": p95_ns * 1.5, "max_ns": 9_000_000_000u64})
    }

    fn signals(count: u64, errors: u64, duration: Value) -> Value {
        json!({"count": count, "rate": count as f64 / 60.0, "errors": errors, "error_ratio": errors as f64 / count as f64,
            "slow": 0, "blocking": 0, "request_bytes": 0, "response_bytes": 0, "time_ns": 0, "duration": duration})
    }

    fn look(sort: Sort) -> Look {
        let edge = |server: &str, port: u16, protocol: &str, signals: Value| {
            json!({"client": "01", "client_name": "shop/web\u{1b}[2J\u{202e}", "server": "02", "server_name": server, "port": port,
                "protocol": protocol, "transport": null, "signals": signals, "books": {"preferred": null}, "state": "healthy"})
        };
        let mut server = signals(600, 12, times(1e6, 2e6));
        (server["queue"], server["service"]) = (times(1.0, 1.98e9), times(1e6, 2e6));
        let answer = json!({
            "meta": {"range": {"from_ms": 0, "to_ms": 60_000}, "tier": "10s", "step_ms": 10_000, "newest_ms": null,
                "complete": true, "missing": [], "folded": {"operations": 0, "rows": 0, "edges": 0, "misdated": 0}},
            "data": {"total": 2, "edges": [
                edge("192.0.2.1:53", 53, "dns", json!({"preferred": "client", "client": signals(6, 0, times(1e6, 3e6))})),
                edge("a-service-with-a-very-long-name-that-does-not-fit", 8080, "http",
                    json!({"preferred": "server", "client": signals(600, 0, times(9e6, 2e9)), "server": server}))]}});
        Look::of(serde_json::from_value(answer).expect("the agent's form"), By::Edge, sort)
    }

    #[test]
    fn a_table_fits_its_width_and_no_name_steers_the_terminal() {
        let look = look(Sort::Rate);
        for width in [40, 80, 120, 200] {
            let lines = look.lines(Some(width), None, false);
            assert!(lines.iter().all(|line| line.width() <= width), "{width}: {lines:#?}");
            assert!(lines.iter().flat_map(|line| line.chars()).all(|c| !c.is_control() && c != '\u{202e}'));
        }
        let narrow = look.lines(Some(80), None, false);
        assert!(narrow[1].contains("P99") && !narrow[1].contains("QUEUE95"), "{narrow:#?}");
        let wide = look.lines(Some(120), None, false);
        assert!(wide[2].contains("1.98s") && wide[2].contains("2.00%") && wide[2].contains("server"), "{wide:#?}");
        let piped = look.lines(None, None, false);
        assert!(piped[2].contains("a-service-with-a-very-long-name-that-does-not-fit:8080"), "{piped:#?}");
        assert!(piped[3].contains(" 192.0.2.1:53 "), "its port once: {piped:#?}");
        assert_eq!(look.lines(Some(80), Some(5), false)[0], "1 of 2 edges, last 60 s");
    }

    #[test]
    fn rows_come_by_what_was_asked_and_only_from_the_side_that_is_named() {
        let first = |sort| look(sort).rows[0].server.clone();
        assert_eq!(first(Sort::P99), "192.0.2.1:53", "the client's three seconds are not mixed in");
        assert!(first(Sort::Queue).starts_with("a-service"));
        assert!(first(Sort::Errors).starts_with("a-service"));
        assert_eq!(first(Sort::Name), "192.0.2.1:53");
        let json = serde_json::to_value(look(Sort::Rate)).expect("serialises");
        assert_eq!((&json["by"], &json["rows"][0]["side"]), (&"edge".into(), &"server".into()));
        assert_eq!(json["rows"][0]["queue"]["p95_ns"], 1.98e9);
        assert!(json["rows"][0].get("operation").is_none(), "{json}");
    }
}
