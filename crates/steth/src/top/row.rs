//! The rows: what the agent says, sorted, and as cells of a table.

use super::{By, Sort};
use crate::answers::{Edge, Map, Numbers, Service, Side, Times, Windows};
use crate::ask::Agent;
use crate::print::{Rounded, clean};
use crate::table::{self, Cell, Column, Fit};
use serde::Serialize;
use std::collections::BTreeMap;

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
    side: Side,
    #[serde(flatten)]
    numbers: Numbers,
}

impl Row {
    fn new(server: String, protocol: String, (side, numbers): (Side, &Numbers)) -> Self {
        Self { client: None, server, operation: None, protocol, port: None, side, numbers: numbers.clone() }
    }

    /// What tells it from others.
    fn place(&self) -> (&Option<String>, &str, &Option<String>, &str, Option<u16>) {
        (&self.client, &self.server, &self.operation, &self.protocol, self.port)
    }

    /// What it is sorted by, most first; what has none comes last.
    fn weight(&self, sort: Sort) -> f64 {
        let Numbers { rate, p50_ns, p95_ns, p99_ns, queue, service, .. } = &self.numbers;
        let p95 = |times: &Option<Times>| times.as_ref().and_then(|times| times.p95_ns);
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
        let windows = || agent.json(&format!("/api/v1/windows?last={}", seconds.div_ceil(10)));
        let (seconds, total, rows) = match by {
            By::Edge => edges(agent.json(&format!("/api/v1/map?window={seconds}s"))?),
            By::Service => services(windows()?),
            By::Operation => operations(windows()?),
        };
        Ok(Self { by, sort, seconds, total, rows }.sorted())
    }

    fn sorted(mut self) -> Self {
        let sort = self.sort;
        self.rows.sort_by(|a, b| b.weight(sort).total_cmp(&a.weight(sort)).then_with(|| a.place().cmp(&b.place())));
        self
    }
}

fn edges(map: Map) -> (f64, usize, Vec<Row>) {
    let names: BTreeMap<&str, String> = map.nodes.iter().map(|node| (&*node.id, node.full_name())).collect();
    let name = |id: &str| names.get(id).cloned().unwrap_or_else(|| id.to_owned());
    let row = |edge: &Edge| {
        let numbers = edge.numbers(map.seconds);
        let row = Row::new(name(&edge.server), edge.protocol.clone(), (edge.preferred, &numbers));
        Row { client: Some(name(&edge.client)), port: (edge.port != 0).then_some(edge.port), ..row }
    };
    (map.seconds, map.edges_total, map.edges.iter().map(row).collect())
}

fn services(windows: Windows) -> (f64, usize, Vec<Row>) {
    let row = |service: Service| {
        let protocols: Vec<String> = service.protocols.into_iter().collect();
        Some(Row::new(service.name, protocols.join(","), service.sides.preferred()?))
    };
    (windows.seconds, windows.services_total, windows.services.into_iter().filter_map(row).collect())
}

fn operations(windows: Windows) -> (f64, usize, Vec<Row>) {
    let total = windows.services.iter().map(|service| service.operations_total).sum();
    let rows = windows.services.into_iter().flat_map(|Service { name: server, operations, .. }| {
        operations.into_iter().filter_map(move |operation| {
            let row = Row::new(server.clone(), operation.protocol, operation.sides.preferred()?);
            Some(Row { operation: Some(operation.name), ..row })
        })
    });
    (windows.seconds, total, rows.collect())
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
    let p95 = |times: &Option<Times>| time(times.as_ref().and_then(|times| times.p95_ns));
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
    use unicode_width::UnicodeWidthStr as _;

    fn map() -> Map {
        serde_json::from_str(
            r#"{"seconds":60.0,"nodes_total":3,"edges_total":2,"nodes":[
                {"id":"01","name":"web\u001b[2J\u202e","namespace":"shop","kind":"service","protocols":[],"ports":[]},
                {"id":"02","name":"a-service-with-a-very-long-name-that-does-not-fit","namespace":"","kind":"service",
                    "protocols":["http"],"ports":[8080]},
                {"id":"03","name":"192.0.2.1:53","namespace":"","kind":"dns","protocols":["dns"],"ports":[53]}],
            "edges":[
                {"client":"01","server":"03","protocol":"dns","port":53,"preferred":"client","reporters":{
                    "client":{"count":6,"rate":0.1,"errors":0,"p50_ns":1e6,"p95_ns":3e6,"p99_ns":3e6}}},
                {"client":"01","server":"02","protocol":"http","port":8080,"preferred":"server","reporters":{
                    "client":{"count":600,"rate":10.0,"errors":0,"p50_ns":9e6,"p95_ns":2e9,"p99_ns":3e9},
                    "server":{"count":600,"rate":10.0,"errors":12,"p50_ns":1e6,"p95_ns":2e6,"p99_ns":2e6,
                        "queue":{"p50_ns":1.0,"p95_ns":1.98e9},"service":{"p50_ns":1e6,"p95_ns":2e6}}}}]}"#,
        )
        .expect("the agent's form")
    }

    fn look(sort: Sort) -> Look {
        let (seconds, total, rows) = edges(map());
        Look { by: By::Edge, sort, seconds, total, rows }.sorted()
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
