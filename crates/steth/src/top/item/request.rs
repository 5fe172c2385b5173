//! One request that was kept.

use super::{bytes, named, nothing};
use crate::print::{Rounded, clean};
use crate::table::Cell;
use crate::top::view::Sort;
use serde::Deserialize;
use serde_json::{Map, Value};
use steth_query::tell::{self, State};

/// A request, understood as far as it is shown.
#[derive(Clone, Debug)]
pub(in super::super) struct Request {
    pub(in super::super) json: Value,
    why: Vec<String>,
    instants: Instants,
    exchange: Exchange,
    tcp: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Instants {
    arrival: Option<String>,
    start: Option<String>,
    request_end: Option<String>,
    first_byte: Option<String>,
    end: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Exchange {
    protocol: String,
    side: String,
    client: End,
    server: End,
    operation: String,
    status: Value,
    error: bool,
    outcome: String,
    duration_ns: u64,
    first_byte_ns: Option<u64>,
    queue_ns: Option<u64>,
    request_bytes: u64,
    response_bytes: u64,
    attributes: Map<String, Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct End {
    ip: Option<String>,
    port: Option<u16>,
    pid: Option<u64>,
    process: Option<String>,
    service: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    unit: Option<String>,
    container_name: Option<String>,
    pod: Option<String>,
}

impl End {
    /// The service, else the process, else a name of the address, else the address.
    fn called(&self) -> String {
        let name = [&self.service, &self.process, &self.name, &self.ip].into_iter().flatten().next();
        match (name, &self.namespace, &self.service) {
            (Some(name), Some(namespace), Some(_)) => format!("{namespace}/{name}"),
            (Some(name), ..) => name.clone(),
            (None, ..) => "?".to_owned(),
        }
    }

    fn line(&self) -> String {
        let mut line = clean(&self.called());
        if let Some(ip) = &self.ip {
            line += &format!(", {}", clean(ip));
            if let Some(port) = self.port {
                line += &format!(" port {port}");
            }
        }
        if let Some(pid) = self.pid {
            line += &format!(", pid {pid} {}", clean(self.process.as_deref().unwrap_or_default()));
        }
        let places = [("unit", &self.unit), ("container", &self.container_name), ("pod", &self.pod)];
        for (what, place) in places {
            if let Some(place) = place {
                line += &format!(", {what} {}", clean(place));
            }
        }
        line
    }
}

impl Request {
    /// As the agent tells it.
    pub(in super::super) fn new(request: &tell::Request) -> serde_json::Result<Self> {
        let exchange = serde_json::from_str(request.exchange.get())?;
        let instants = serde_json::from_str(request.instants.get())?;
        let tcp = request.tcp.as_ref().map(|tcp| serde_json::from_str(tcp.get())).transpose()?;
        Ok(Self { json: serde_json::to_value(request)?, why: request.why.clone(), instants, exchange, tcp })
    }

    pub(super) fn key(&self) -> String {
        let Exchange { side, client, operation, .. } = &self.exchange;
        format!("{:?} {:?} {side} {:?} {operation}", self.instants.end, self.instants.start, client.port)
    }

    pub(super) fn names(&self) -> String {
        let Exchange { client, server, operation, .. } = &self.exchange;
        format!("{} {} {operation} {}", client.called(), server.called(), self.status())
    }

    pub(super) fn weight(&self, sort: Sort) -> Option<f64> {
        (sort == Sort::Duration).then_some(self.exchange.duration_ns as f64)
    }

    fn status(&self) -> String {
        match &self.exchange.status {
            Value::Null => clean(&self.exchange.outcome),
            Value::String(status) => clean(status),
            status => clean(&status.to_string()),
        }
    }

    pub(super) fn cells(&self) -> Vec<Cell> {
        let Exchange { client, server, operation, error, duration_ns, queue_ns, side, .. } = &self.exchange;
        let at = self.instants.end.as_deref().and_then(|end| end.get(11..19)).map_or_else(nothing, clean);
        vec![
            Cell::from(at),
            named(&client.called()),
            named(&server.called()),
            named(operation),
            Cell { text: self.status(), bad: *error },
            Cell::from(Rounded(*duration_ns).to_string()),
            Cell::from(queue_ns.map_or_else(nothing, |queue| Rounded(queue).to_string())),
            named(side),
            named(&self.why.join(",")),
        ]
    }

    pub(super) fn says(&self) -> (State, String) {
        let state = if self.exchange.error { State::Failing } else { State::Healthy };
        let text = ["db.query.text", "url.full", "url.path", "dns.question.name"];
        let text = text.iter().find_map(|key| self.exchange.attributes.get(*key)?.as_str());
        (state, text.map_or_else(|| self.title(), clean))
    }

    pub(super) fn title(&self) -> String {
        let Exchange { server, operation, duration_ns, .. } = &self.exchange;
        format!("{} {}, {}", clean(&server.called()), clean(operation), Rounded(*duration_ns))
    }

    /// All that is known of it, for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let Exchange { protocol, side, client, server, operation, request_bytes, response_bytes, .. } = &self.exchange;
        let size = |of: &u64| bytes(*of as f64);
        let mut lines = vec![
            format!("operation  {} ({}), seen by its {}", clean(operation), clean(protocol), clean(side)),
            format!("status     {}{}", self.status(), if self.exchange.error { ", failed" } else { "" }),
            format!("kept as    {}", clean(&self.why.join(", "))),
            format!("client     {}", client.line()),
            format!("server     {}", server.line()),
            format!("bytes      {} asked, {} answered", size(request_bytes), size(response_bytes)),
            String::new(),
        ];
        lines.extend(self.bar());
        lines.push(String::new());
        let Instants { arrival, start, request_end, first_byte, end } = &self.instants;
        for (what, at) in [
            ("in the server's socket", arrival),
            ("first byte of the request", start),
            ("last byte of the request", request_end),
            ("first byte of the response", first_byte),
            ("last byte of the response", end),
        ] {
            lines.push(format!("{what:<27} {}", at.as_deref().map_or_else(nothing, clean)));
        }
        if !self.exchange.attributes.is_empty() {
            lines.push(String::new());
        }
        let members = |object: &Map<String, Value>| -> Vec<String> {
            let shown = |value: &Value| value.as_str().map_or_else(|| clean(&value.to_string()), clean);
            object.iter().map(|(key, value)| format!("{}: {}", clean(key), shown(value))).collect()
        };
        lines.extend(members(&self.exchange.attributes));
        if let Some(Value::Object(tcp)) = &self.tcp {
            lines.extend([String::new(), "connection at about that time".to_owned()]);
            lines.extend(members(tcp));
        }
        lines
    }

    /// Where the time went, to scale.
    fn bar(&self) -> Vec<String> {
        const WIDTH: u64 = 50;
        let Exchange { side, duration_ns, first_byte_ns, queue_ns, .. } = &self.exchange;
        let queue = queue_ns.unwrap_or(0);
        let first = first_byte_ns.unwrap_or(*duration_ns).min(*duration_ns);
        let waited = if side == "server" { "service" } else { "until the first byte" };
        let parts = [("queue", '▒', queue), (waited, '█', first), ("response", '░', duration_ns - first)];
        let whole = queue.saturating_add(*duration_ns).max(1);
        let blocks = |part: u64| {
            // A part that was there is seen.
            let share = u128::from(part) * u128::from(WIDTH) / u128::from(whole);
            share.max(u128::from(part > 0)) as usize
        };
        let bar: String =
            parts.iter().flat_map(|(_, block, part)| std::iter::repeat_n(*block, blocks(*part))).collect();
        let legend = parts.iter().filter(|(.., part)| *part > 0);
        let legend: Vec<String> =
            legend.map(|(what, block, part)| format!("{block} {what} {}", Rounded(*part))).collect();
        vec![bar, legend.join("   ")]
    }
}
