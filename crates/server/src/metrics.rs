//! What `/metrics` says: names by OpenTelemetry's semantic conventions.

use crate::exposition::{Exposition, Format, Labels, Type};
use crate::health::{Health, Kind};
use std::collections::BTreeMap;
use steth_ledger::Lost;
use steth_window::{Convention, Cumulative, Key, Series, Side, Sum};

/// Longest answer. Series that do not fit are left out, and counted.
const MAX_BYTES: usize = 16 * 1024 * 1024;

struct Family {
    convention: Convention,
    side: Side,
    name: &'static str,
    help: &'static str,
}

impl Family {
    fn has(&self, key: &Key) -> bool {
        key.protocol.convention() == self.convention && key.side == self.side
    }
}

/// Observed packets ([`Side::Network`]) have no metric: they only occur when a recording is replayed.
const FAMILIES: [Family; 5] = [
    Family {
        convention: Convention::Http,
        side: Side::Server,
        name: "http_server_request_duration_seconds",
        help: "Duration of HTTP requests as seen at the server's socket.",
    },
    Family {
        convention: Convention::Http,
        side: Side::Client,
        name: "http_client_request_duration_seconds",
        help: "Duration of HTTP requests as seen at the client's socket.",
    },
    Family {
        convention: Convention::Database,
        side: Side::Client,
        name: "db_client_operation_duration_seconds",
        help: "Duration of database operations as seen at the client's socket.",
    },
    Family {
        convention: Convention::Database,
        side: Side::Server,
        name: "db_server_operation_duration_seconds",
        help: "Duration of database operations as seen at the server's socket.",
    },
    Family {
        convention: Convention::Dns,
        side: Side::Client,
        name: "dns_lookup_duration_seconds",
        help: "Duration of DNS lookups as seen at the client's socket.",
    },
];

/// The whole text.
pub(crate) fn text(cumulative: &Cumulative, health: &Health, format: Format) -> String {
    let mut out = Exposition::new(format);
    // First, so that the size limit never cuts them off.
    own_cost(&mut out, health);
    ledger(&mut out, health);
    further(&mut out, health);
    let mut omitted: u64 = FAMILIES.iter().map(|family| durations(&mut out, cumulative, family)).sum();
    omitted += slow(&mut out, cumulative);
    omitted += PARTS.iter().map(|part| parts(&mut out, cumulative, part)).sum::<u64>();
    omitted += crate::edges::edges(&mut out, cumulative, MAX_BYTES);
    omitted += crate::edges::listeners(&mut out, cumulative, MAX_BYTES);
    limits(&mut out, cumulative, omitted);
    out.finish()
}

#[derive(Default)]
struct Histogram {
    counts: Vec<u64>,
    sum: u128,
}

/// Writes one family and returns how many of its series did not fit.
fn durations(out: &mut Exposition, cumulative: &Cumulative, family: &Family) -> u64 {
    let mut series: BTreeMap<Labels, Histogram> = BTreeMap::new();
    for one in cumulative.series().filter(|one| family.has(&one.labels.key)) {
        // Different keys may have the same labels (the server side does not tell ports apart, and many digests have one
        // summary): a series must be unique.
        let all = series.entry(labels(one)).or_default();
        all.counts.resize(one.classic().len(), 0);
        all.counts.iter_mut().zip(one.classic()).for_each(|(all, one)| *all += one);
        all.sum += one.sum;
    }
    if series.is_empty() {
        return 0;
    }
    out.family(family.name, Type::Histogram, family.help);
    let mut omitted = 0;
    for (labels, histogram) in &series {
        if out.len() >= MAX_BYTES {
            omitted += 1;
            continue;
        }
        let seconds = histogram.sum as f64 / 1e9;
        out.histogram(family.name, labels.as_str(), family.convention.bounds(), &histogram.counts, seconds);
    }
    omitted
}

/// How many exchanges were slow: a counter beside each series of durations, at 0 too, so that its first step is seen.
fn slow(out: &mut Exposition, cumulative: &Cumulative) -> u64 {
    let mut series: BTreeMap<Labels, u64> = BTreeMap::new();
    for one in cumulative.series() {
        let key = &one.labels.key;
        if FAMILIES.iter().any(|family| family.has(key)) {
            let mut all = Labels::default();
            // A service calls and is called: without the side, the two would be one series.
            all.add("side", if key.side == Side::Server { "server" } else { "client" });
            all.add("protocol", key.protocol.name());
            all.append(&labels(one));
            *series.entry(all).or_default() += one.slow;
        }
    }
    if series.is_empty() {
        return 0;
    }
    let name = "steth_exchanges_slow_total";
    out.family(
        name,
        Type::Counter,
        "Exchanges that took as long as the protocol's threshold or longer, and were not meant to.",
    );
    let mut omitted = 0;
    for (labels, count) in &series {
        if out.len() >= MAX_BYTES {
            omitted += 1;
            continue;
        }
        out.sample(name, labels, *count as f64);
    }
    omitted
}

/// A part of the time that a request spends at a server.
struct Part {
    name: &'static str,
    help: &'static str,
    of: fn(&Series) -> Sum,
}

/// Sum and count only: two lines a series where a histogram has seventeen. How they are distributed, the windows know.
const PARTS: [Part; 2] = [
    Part {
        name: "steth_server_queue_seconds",
        help: "Time in which requests lay in the server's socket before the server read them.",
        of: |series| series.queue,
    },
    Part {
        name: "steth_server_service_seconds",
        help: "Time from the read of a request to the first byte of its response, without those that wait by design.",
        of: |series| series.service,
    },
];

/// Writes a part of the server's time and returns how many of its series did not fit.
fn parts(out: &mut Exposition, cumulative: &Cumulative, part: &Part) -> u64 {
    let mut series: BTreeMap<Labels, Sum> = BTreeMap::new();
    for (one, sum) in cumulative.series().map(|one| (one, (part.of)(one))).filter(|(_, sum)| sum.count > 0) {
        let mut all = Labels::default();
        all.add("protocol", one.labels.key.protocol.name());
        all.append(&labels(one));
        let all = series.entry(all).or_default();
        all.count += sum.count;
        all.nanos += sum.nanos;
    }
    if series.is_empty() {
        return 0;
    }
    out.family(part.name, Type::Summary, part.help);
    let mut omitted = 0;
    for (labels, sum) in &series {
        if out.len() >= MAX_BYTES {
            omitted += 1;
            continue;
        }
        out.summary(part.name, labels.as_str(), sum.count, sum.nanos as f64 / 1e9);
    }
    omitted
}

fn labels(series: &Series) -> Labels {
    let (key, names) = (&series.labels.key, &*series.labels);
    let mut labels = Labels::default();
    let (service, peer) = match key.side {
        Side::Server => (names.server_parts(), names.client_parts()),
        Side::Client | Side::Network => (names.client_parts(), names.server_parts()),
    };
    labels.add("service_namespace", service.0).add("service_name", service.1);
    labels.add("service_peer_namespace", peer.0).add("service_peer_name", peer.1);
    let operation = if key.operation == Key::OTHER { "_OTHER" } else { &*names.operation };
    if let Some(system) = key.protocol.system() {
        labels.add("db_system_name", system).add("db_namespace", &names.namespace);
    }
    match key.protocol.convention() {
        Convention::Http => {
            let (method, route) = method_and_route(operation);
            labels.add("http_request_method", method);
            labels.add(if key.side == Side::Server { "http_route" } else { "url_template" }, route);
            labels.add("http_response_status_code", &names.status);
            if key.side == Side::Server {
                labels.add("url_scheme", "http");
            }
        }
        Convention::Database => {
            // The operation of a query is its text without literals: far too many for a label.
            match &names.summary {
                Some(summary) => labels.add("db_query_summary", summary),
                None => labels.add("db_operation_name", operation),
            };
            if key.failed() {
                labels.add("db_response_status_code", &names.status);
            }
        }
        Convention::Dns => {
            labels.add("dns_question_name", question_name(operation));
        }
    }
    labels.add("error_type", &names.error_type);
    if key.side != Side::Server {
        labels.add("server_address", names.server_parts().1);
        if key.server_port != 0 {
            labels.add("server_port", &key.server_port.to_string());
        }
    }
    labels
}

/// `GET /users/{id}` is method and route; a lone word is a method without a known route; `HTTP` stands for a method that
/// is none.
fn method_and_route(operation: &str) -> (&str, &str) {
    let (method, route) = operation.split_once(' ').unwrap_or((operation, ""));
    (if method == "HTTP" { "_OTHER" } else { method }, route)
}

/// `A example.org` is type and name; a name has no blank. A lone word is an operation that asks for nothing.
fn question_name(operation: &str) -> &str {
    match operation.rsplit_once(' ') {
        Some((_, name)) => name,
        None if operation == "_OTHER" => operation,
        None => "",
    }
}

fn own_cost(out: &mut Exposition, health: &Health) {
    let name = "process_cpu_time_seconds_total";
    out.family(name, Type::Counter, "CPU time used by the agent.");
    let modes = [
        ("user", Some(health.cpu.user_seconds)),
        ("system", Some(health.cpu.system_seconds)),
        ("bpf", health.cpu.bpf_seconds),
    ];
    for (mode, seconds) in modes.into_iter().filter_map(|(mode, seconds)| Some((mode, seconds?))) {
        out.sample(name, Labels::default().add("cpu_mode", mode), seconds);
    }
    let name = "process_memory_usage_bytes";
    out.family(name, Type::Gauge, "Resident memory of the agent.");
    out.sample(name, &Labels::default(), health.memory_bytes as f64);
}

fn ledger(out: &mut Exposition, health: &Health) {
    let name = "steth_exchanges_reported_total";
    out.family(name, Type::Counter, "Exchanges that were seen and reported.");
    for (protocol, exchanges) in &health.exchanges {
        out.sample(name, Labels::default().add("protocol", protocol), exchanges.reported as f64);
    }
    let name = "steth_exchanges_lost_total";
    out.family(name, Type::Counter, "Exchanges that are known to have happened and could not be reported.");
    for (protocol, exchanges) in &health.exchanges {
        for reason in Lost::ALL {
            let mut labels = Labels::default();
            labels.add("protocol", protocol).add("reason", reason.name());
            out.sample(name, &labels, exchanges.lost_by(*reason) as f64);
        }
    }
}

/// Counters of other stages. Those with one name must form one family, wherever they stand in the list.
fn further(out: &mut Exposition, health: &Health) {
    let mut families: BTreeMap<&str, Vec<&crate::Counter>> = BTreeMap::new();
    for counter in &health.counters {
        families.entry(counter.name).or_default().push(counter);
    }
    for (name, counters) in families {
        let kind = match counters[0].kind {
            Kind::Counter => Type::Counter,
            Kind::Gauge => Type::Gauge,
        };
        out.family(name, kind, counters[0].help);
        for counter in counters {
            let mut labels = Labels::default();
            for (name, value) in &counter.labels {
                labels.add(name, value);
            }
            out.sample(name, &labels, counter.value);
        }
    }
}

fn limits(out: &mut Exposition, cumulative: &Cumulative, omitted: u64) {
    let numbers = [
        ("steth_metrics_series", Type::Gauge, "Series on this page, before merging equal labels.", {
            cumulative.series().len() as u64
        }),
        ("steth_metrics_series_omitted", Type::Gauge, "Series left out because the answer would be too long.", omitted),
        (
            "steth_metrics_series_dropped_total",
            Type::Counter,
            "Series dropped because nothing happened for an hour.",
            cumulative.dropped(),
        ),
        (
            "steth_metrics_folded_exchanges_total",
            Type::Counter,
            "Exchanges counted under the service other because there are too many series.",
            cumulative.folded(),
        ),
        (
            "steth_metrics_listeners_left_out_total",
            Type::Counter,
            "Listening sockets of a window that are not part of these numbers because there are too many.",
            cumulative.listeners_left_out(),
        ),
        (
            "steth_metrics_windows_missed_total",
            Type::Counter,
            "Windows that are not part of these numbers because the server was too slow to take them.",
            cumulative.missed(),
        ),
    ];
    for (name, kind, help, value) in numbers {
        out.family(name, kind, help);
        out.sample(name, &Labels::default(), value as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_splits_into_method_and_route() {
        assert_eq!(method_and_route("GET /users/{id}"), ("GET", "/users/{id}"));
        assert_eq!(method_and_route("GET"), ("GET", ""));
        assert_eq!(method_and_route("HTTP /x"), ("_OTHER", "/x"));
    }

    #[test]
    fn a_question_is_its_name_without_the_type() {
        for (operation, name) in [
            ("A example.org", "example.org"),
            ("NOTIFY SOA example.org", "example.org"),
            ("AAAA *", "*"),
            ("NS .", "."),
            ("QUERY", ""),
            ("_OTHER", "_OTHER"),
        ] {
            assert_eq!(question_name(operation), name);
        }
    }
}
