//! The kernel's books of edges in `/metrics`: `steth_tcp_*`, and bytes of UDP and unix sockets. docs/l4.md says what each means.

use crate::exposition::{Exposition, Labels, Type};
use std::collections::BTreeMap;
use steth_window::{Cumulative, EdgeSeries, EdgeSums, Side, Transport};

type Number = fn(&EdgeSums) -> f64;
/// One label and its values, each with a number.
type Family = (&'static str, &'static str, &'static str, &'static [(&'static str, Number)]);

const SECOND: f64 = 1e6;

/// Name, help, the label that tells the numbers apart, the numbers.
const TCP: [Family; 12] = [
    (
        "steth_tcp_bytes_total",
        "Bytes that applications sent and read.",
        "direction",
        &[("request", |sums| sums.bytes_to_server as f64), ("response", |sums| sums.bytes_to_client as f64)],
    ),
    (
        "steth_tcp_segments_total",
        "Segments sent and received.",
        "direction",
        &[("request", |sums| sums.segments_to_server as f64), ("response", |sums| sums.segments_to_client as f64)],
    ),
    (
        "steth_tcp_retransmitted_segments_total",
        "Segments sent again by this side.",
        "",
        &[("", |sums| sums.retransmitted_segments as f64)],
    ),
    (
        "steth_tcp_retransmitted_bytes_total",
        "Bytes sent again by this side.",
        "",
        &[("", |sums| sums.retransmitted_bytes as f64)],
    ),
    (
        "steth_tcp_lost_segments_total",
        "Segments of this side that were taken for lost.",
        "",
        &[("", |sums| sums.lost_segments as f64)],
    ),
    (
        "steth_tcp_reordered_total",
        "Times that this side found its segments out of order.",
        "",
        &[("", |sums| sums.reordered as f64)],
    ),
    (
        "steth_tcp_connections_opened_total",
        "Connections that were established.",
        "",
        &[("", |sums| sums.opened as f64)],
    ),
    (
        "steth_tcp_connections_closed_total",
        "Connections that ended after they had been established.",
        "",
        &[("", |sums| sums.closed as f64)],
    ),
    (
        "steth_tcp_connects_failed_total",
        "Connects that failed, by cause.",
        "reason",
        &[
            ("refused", |sums| sums.refused as f64),
            ("timed_out", |sums| sums.connect_timed_out as f64),
            ("unreachable", |sums| sums.unreachable as f64),
            ("abandoned", |sums| sums.abandoned as f64),
            ("other", |sums| sums.failed_otherwise as f64),
        ],
    ),
    (
        "steth_tcp_resets_total",
        "Connections that ended with a reset, by who sent it.",
        "by",
        &[("client", |sums| sums.resets_by_client as f64), ("server", |sums| sums.resets_by_server as f64)],
    ),
    (
        "steth_tcp_timed_out_total",
        "Connections that the kernel gave up because nobody answered any more.",
        "",
        &[("", |sums| sums.timed_out as f64)],
    ),
    (
        "steth_tcp_busy_seconds_total",
        "Time in which this side had something to send, by what held it up.",
        "limit",
        &[
            ("network", |sums| {
                sums.busy_us.saturating_sub(sums.receive_window_us + sums.send_buffer_us) as f64 / SECOND
            }),
            ("receive_window", |sums| sums.receive_window_us as f64 / SECOND),
            ("send_buffer", |sums| sums.send_buffer_us as f64 / SECOND),
        ],
    ),
];

const OTHERS: [(Transport, Family); 3] = [
    (Transport::Udp, ("steth_udp_bytes_total", "Bytes in datagrams.", "direction", TCP[0].3)),
    (Transport::Udp, ("steth_udp_datagrams_total", "Datagrams sent and received.", "direction", TCP[1].3)),
    (Transport::Unix, ("steth_unix_bytes_total", "Bytes on unix sockets.", "direction", TCP[0].3)),
];

/// Writes all families and returns how many samples did not fit.
pub(crate) fn edges(out: &mut Exposition, cumulative: &Cumulative, limit: usize) -> u64 {
    let mut omitted = 0;
    let families = TCP.iter().map(|family| (Transport::Tcp, family));
    for (transport, family) in families.chain(OTHERS.iter().map(|(transport, family)| (*transport, family))) {
        let &(name, help, label, numbers) = family;
        let mut samples: BTreeMap<Labels, f64> = BTreeMap::new();
        for series in of(cumulative, transport) {
            for (value, number) in numbers {
                let mut labels = labels(series);
                if !label.is_empty() {
                    labels.add(label, value);
                }
                *samples.entry(labels).or_default() += number(&series.sums);
            }
        }
        omitted += write(out, (name, Type::Counter, help), &samples, limit);
    }
    let mut open: BTreeMap<Labels, f64> = BTreeMap::new();
    for series in of(cumulative, Transport::Tcp) {
        *open.entry(labels(series)).or_default() += series.open as f64;
    }
    let name = "steth_tcp_connections_open";
    omitted += write(out, (name, Type::Gauge, "Connections open at the last look."), &open, limit);
    let connect = |series: &EdgeSeries| (series.connect().to_vec(), series.connect_sum);
    let help = "From SYN to establishment, as the client's kernel saw it.";
    omitted += histogram(out, cumulative, ("steth_tcp_connect_duration_seconds", help), connect, limit);
    let rtt = |series: &EdgeSeries| (series.rtt().to_vec(), series.rtt_sum);
    let help = "Smoothed round-trip time: a sample every ten seconds of each connection that moved anything.";
    omitted + histogram(out, cumulative, ("steth_tcp_rtt_seconds", help), rtt, limit)
}

/// Writes who waits for connections and returns how many samples did not fit.
pub(crate) fn listeners(out: &mut Exposition, cumulative: &Cumulative, limit: usize) -> u64 {
    let mut queue: BTreeMap<Labels, f64> = BTreeMap::new();
    let mut drops: BTreeMap<Labels, f64> = BTreeMap::new();
    for series in cumulative.listeners() {
        let labels = || {
            let mut labels = Labels::default();
            let (namespace, name) = series.service_parts();
            labels.add("service_namespace", namespace).add("service_name", name);
            labels.add("server_port", &series.port.to_string());
            labels
        };
        for (what, number) in [("waiting", series.waiting), ("room", series.room)] {
            let mut labels = labels();
            labels.add("what", what);
            *queue.entry(labels).or_default() += number as f64;
        }
        *drops.entry(labels()).or_default() += series.drops as f64;
    }
    let help = "Connections that wait for accept(), and how many may, at the last look.";
    let omitted = write(out, ("steth_listen_queue", Type::Gauge, help), &queue, limit);
    let help =
        "What listening sockets have dropped: connections that did not fit, and other segments without an answer.";
    omitted + write(out, ("steth_listen_drops_total", Type::Counter, help), &drops, limit)
}

/// Observed packets have no books.
fn of(cumulative: &Cumulative, transport: Transport) -> impl Iterator<Item = &EdgeSeries> {
    cumulative.edges().filter(move |series| series.key.transport == transport)
}

fn labels(series: &EdgeSeries) -> Labels {
    let key = &series.key;
    let mut labels = Labels::default();
    labels.add("side", if key.side == Side::Server { "server" } else { "client" });
    labels.add("client", &series.client).add("server", &series.server);
    if key.server_port != 0 {
        labels.add("server_port", &key.server_port.to_string());
    }
    labels
}

fn write(
    out: &mut Exposition,
    (name, kind, help): (&str, Type, &str),
    samples: &BTreeMap<Labels, f64>,
    limit: usize,
) -> u64 {
    if samples.is_empty() {
        return 0;
    }
    out.family(name, kind, help);
    let mut omitted = 0;
    for (labels, value) in samples {
        if out.len() >= limit {
            omitted += 1;
            continue;
        }
        out.sample(name, labels, *value);
    }
    omitted
}

fn histogram(
    out: &mut Exposition,
    cumulative: &Cumulative,
    (name, help): (&str, &str),
    counts: impl Fn(&EdgeSeries) -> (Vec<u64>, u128),
    limit: usize,
) -> u64 {
    let mut all: BTreeMap<Labels, (Vec<u64>, u128)> = BTreeMap::new();
    for series in of(cumulative, Transport::Tcp) {
        let (counts, sum) = counts(series);
        if counts.iter().all(|count| *count == 0) {
            continue;
        }
        let (total, total_sum) = all.entry(labels(series)).or_default();
        total.resize(counts.len(), 0);
        total.iter_mut().zip(&counts).for_each(|(total, count)| *total += count);
        *total_sum += sum;
    }
    if all.is_empty() {
        return 0;
    }
    out.family(name, Type::Histogram, help);
    let mut omitted = 0;
    for (labels, (counts, sum)) in &all {
        if out.len() >= limit {
            omitted += 1;
            continue;
        }
        out.histogram(name, labels.as_str(), EdgeSeries::BOUNDS, counts, *sum as f64 / 1e9);
    }
    omitted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Format;
    use steth_window::{EdgeKey, EdgeSeen, Entities, Limits, Listener, Opened, Windows};

    #[test]
    fn who_waits_for_connections_has_a_gauge_and_what_it_dropped_a_counter() {
        let (mut entities, mut windows) = (Entities::default(), Windows::new(Limits::default(), 0));
        let service = entities.intern("shop", 0);
        let mut cumulative = Cumulative::new(1);
        for (n, drops) in [(1, 3), (2, 4)] {
            let listener = Listener { service, port: 80, transport: Transport::Tcp, waiting: n, room: 9, drops };
            windows.listen([listener, Listener { port: 81, ..listener }]);
            let now = n * Windows::LENGTH + Windows::GRACE;
            cumulative.absorb(&windows.roll(now, &mut entities, &|_| "").expect("a window"));
        }
        let mut out = Exposition::new(Format::Prometheus);
        assert_eq!(listeners(&mut out, &cumulative, 1 << 20), 0);
        let text = out.finish();
        let of = r#"service_name="shop",server_port="8"#;
        let (one, other) = (text.contains(&format!("{of}0\"")), text.contains(&format!("{of}1\"")));
        assert!(one != other && cumulative.listeners_left_out() == 2, "there is room for one:\n{text}");
        let port = if one { "80" } else { "81" };
        let of = format!(r#"service_name="shop",server_port="{port}""#);
        for line in [
            format!("steth_listen_queue{{{of},what=\"waiting\"}} 2"),
            format!("steth_listen_queue{{{of},what=\"room\"}} 9"),
            format!("steth_listen_drops_total{{{of}}} 7"),
        ] {
            assert!(text.lines().any(|have| have == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn an_edge_has_its_counters_its_gauge_and_its_histograms() {
        let (mut entities, mut windows) = (Entities::default(), Windows::new(Limits::default(), 0));
        let key = EdgeKey {
            client: entities.intern("web", 0),
            server: entities.intern("shop", 0),
            server_port: 80,
            side: Side::Client,
            transport: Transport::Tcp,
            guessed: false,
        };
        let sums = EdgeSums { bytes_to_server: 7, opened: 1, refused: 2, busy_us: 1_500_000, ..EdgeSums::default() };
        let seen = EdgeSeen { sums, connect_ns: Some(3_000_000), open: true, ..EdgeSeen::default() };
        windows.edge(&key, &seen, &mut Opened::default());
        windows.edge(&EdgeKey { guessed: true, ..key }, &seen, &mut Opened::default());
        let mut cumulative = Cumulative::new(100);
        let window = windows.roll(Windows::LENGTH + Windows::GRACE, &mut entities, &|_| "").expect("a window");
        cumulative.absorb(&window);
        let mut out = Exposition::new(Format::Prometheus);
        assert_eq!(edges(&mut out, &cumulative, 1 << 20), 0);
        let text = out.finish();
        let edge = r#"side="client",client="web",server="shop",server_port="80""#;
        for line in [
            format!("steth_tcp_bytes_total{{{edge},direction=\"request\"}} 14"),
            format!("steth_tcp_connections_opened_total{{{edge}}} 2"),
            format!("steth_tcp_connections_open{{{edge}}} 2"),
            format!("steth_tcp_connects_failed_total{{{edge},reason=\"refused\"}} 4"),
            format!("steth_tcp_busy_seconds_total{{{edge},limit=\"network\"}} 3"),
            format!("steth_tcp_connect_duration_seconds_bucket{{{edge},le=\"0.005\"}} 2"),
            format!("steth_tcp_connect_duration_seconds_sum{{{edge}}} 0.006"),
        ] {
            assert!(text.lines().any(|have| have == line), "{line} in\n{text}");
        }
        assert!(edges(&mut Exposition::new(Format::Prometheus), &cumulative, 0) > 10, "what does not fit is counted");
        assert!(!text.contains("steth_udp") && !text.contains("steth_tcp_rtt"), "nothing of what did not happen");
    }
}
