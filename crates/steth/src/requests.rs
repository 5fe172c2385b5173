//! The requests that are kept one by one: what is written down of them.

use crate::pipeline::Seen;
use crate::print::{self, Wall};
use std::io::Write as _;
use std::sync::Arc;
use steth_samples::{Glance, Kept, Limits, Operation, Sample, Samples, Why};
use steth_server::{Counter, Kind};
use steth_window::{Entities, EntityId, Key};
use steth_wire::Side;

/// Chooses requests and writes them down.
pub(crate) struct Requests {
    samples: Samples,
    /// Room to write in.
    text: Vec<u8>,
}

impl Requests {
    /// The same seed and the same exchanges choose the same requests.
    pub(crate) fn new(seed: u64) -> Self {
        Self { samples: Samples::new(Limits::default(), seed), text: Vec::new() }
    }

    /// An exchange, under the key that it was counted with. Nearly always nothing is written.
    #[inline]
    pub(crate) fn exchange(&mut self, seen: &Seen<'_>, key: &Key, duration_ns: u64, entities: &Entities) {
        let of = Operation { server: key.server, operation: key.operation, side: key.side };
        let end = seen.exchange.end.wrapping_add(seen.clock);
        let glance = Glance { end, duration_ns, failed: key.failed(), blocking: seen.exchange.blocking };
        if let Some(why) = self.samples.wants(&of, &glance) {
            self.keep(seen, &of, why, &glance, entities);
        }
    }

    #[cold]
    fn keep(&mut self, seen: &Seen<'_>, of: &Operation, why: Why, glance: &Glance, entities: &Entities) {
        self.text.clear();
        write(seen, &mut self.text);
        // What JSON is made of here is text; were it not, there would be nothing to show.
        let Ok(json) = std::str::from_utf8(&self.text) else { return };
        let sample = Sample {
            server: entities.name(of.server),
            server_namespace: entities.namespace(of.server),
            operation: seen.names.get(seen.exchange.operation).into(),
            side: of.side,
            end: glance.end,
            duration_ns: glance.duration_ns,
            failed: glance.failed,
            json: json.into(),
        };
        self.samples.keep(of, why, sample);
    }

    /// A server that was counted provisionally has got its name.
    pub(crate) fn settle(&mut self, provisional: EntityId, is: EntityId, entities: &Entities) {
        self.samples.settle(provisional, &entities.name(is), entities.namespace(is));
    }

    /// Tells the time, nanoseconds since 1970.
    pub(crate) fn roll(&mut self, now: u64) {
        self.samples.roll(now);
    }

    /// All that are kept, newest first; `None` if they are the same as the last time.
    pub(crate) fn snapshot(&mut self) -> Option<Arc<Vec<Kept>>> {
        self.samples.snapshot()
    }

    /// Above all numbers of those that had to go for want of room.
    pub(crate) fn forgotten(&self) -> u64 {
        self.samples.forgotten()
    }

    /// What became of what, for `/metrics` and health.
    pub(crate) fn counters(&self) -> Vec<Counter> {
        let (counts, (samples, bytes)) = (self.samples.counts(), self.samples.held());
        let what = [
            ("kept", counts.kept),
            ("replaced", counts.replaced),
            ("evicted", counts.evicted),
            ("too_large", counts.too_large),
            ("errors_left_out", counts.errors_left_out),
            ("without_place", counts.without_place),
        ];
        let total = what.into_iter().map(|(what, value)| Counter {
            name: "steth_request_samples_total",
            help: "Requests that were kept one by one, what became of them, and those that could not be kept.",
            kind: Kind::Counter,
            labels: vec![("what", what.to_owned())],
            value: value as f64,
        });
        let gauge =
            |name, help, value: usize| Counter { name, help, kind: Kind::Gauge, labels: vec![], value: value as f64 };
        let held = [
            gauge("steth_request_samples", "Requests that are kept one by one.", samples),
            gauge("steth_request_samples_bytes", "Bytes that these take.", bytes),
        ];
        total.chain(held).collect()
    }
}

/// The state of TCP at this end, as the kernel's books told it last, and how long that was before the exchange ended. It is not read for
/// the exchange: that would cost every one of them, and only a few are kept.
fn tcp(seen: &Seen<'_>, to: &mut Vec<u8>) {
    const TCP: u8 = 6;
    /// `enum tcp_ca_state` of linux/tcp.h.
    const CONGESTION: [&str; 5] = ["open", "disorder", "cwr", "recovery", "loss"];
    let tcp = seen.open.is_some_and(|open| open.transport == TCP && open.family != 1);
    let Some(books) = seen.books.filter(|books| tcp && books.time != 0) else {
        to.extend_from_slice(b"null");
        return;
    };
    let _ = write!(
        to,
        r#"{{"at":"{}","age_ns":{},"srtt_us":{},"rttvar_us":{},"rtt_min_us":{},"retransmitted_segments":{},"#,
        Wall(books.time.wrapping_add(seen.clock)),
        seen.exchange.end.saturating_sub(books.time),
        books.srtt_us,
        books.rtt_deviation_us,
        books.rtt_min_us,
        books.retransmitted,
    );
    let _ = write!(
        to,
        r#""unacked_bytes":{},"unread_bytes":{},"send_window":{},"congestion_window":"#,
        books.unacked, books.unread, books.send_window
    );
    let state = (books.congestion >> 24).checked_sub(1).and_then(|state| CONGESTION.get(state as usize));
    let _ = match state {
        Some(state) => write!(to, r#"{},"congestion":"{state}"}}"#, books.congestion & 0xff_ffff),
        None => write!(to, r#"null,"congestion":null}}"#),
    };
}

/// Writes `"instants":{…},"tcp":{…},"exchange":{…}`, members of an object: the exchange as `steth watch --json` prints it.
fn write(seen: &Seen<'_>, to: &mut Vec<u8>) {
    let e = seen.exchange;
    let arrival = if seen.side == Side::Server { e.arrival } else { 0 };
    let instants = [
        ("arrival", arrival),
        ("start", e.start),
        ("request_end", e.request_end),
        ("first_byte", e.first_byte),
        ("end", e.end),
    ];
    to.extend_from_slice(br#""instants":{"#);
    for (n, (name, time)) in instants.into_iter().enumerate() {
        let comma = if n == 0 { "" } else { "," };
        let _ = match time {
            0 => write!(to, r#"{comma}"{name}":null"#),
            time => write!(to, r#"{comma}"{name}":"{}""#, Wall(time.wrapping_add(seen.clock))),
        };
    }
    to.extend_from_slice(br#"},"tcp":"#);
    tcp(seen, to);
    to.extend_from_slice(br#","exchange":"#);
    print::json(seen, to);
    to.truncate(to.trim_ascii_end().len());
}
