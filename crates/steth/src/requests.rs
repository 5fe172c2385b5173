//! The requests that are kept one by one: what is written down of them.

use crate::pipeline::Seen;
use crate::print::{self, Wall};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::io::Write as _;
use std::sync::Arc;
use steth_event::Books;
use steth_samples::{Glance, Kept, Limits, Operation, Sample, Samples, Why};
use steth_server::{Counter, Kind};
use steth_window::{Entities, EntityId, Key};
use steth_wire::Side;

/// Chooses requests and writes them down.
pub(crate) struct Requests {
    samples: Samples,
    /// Room to write in.
    text: Vec<u8>,
    /// By connection, those that nobody had looked at TCP for yet: of this minute, and of the one before.
    without_state: [HashMap<u64, Vec<u64>, FixedState>; 2],
    minute: u64,
}

/// Connections of a minute whose samples wait for a look at TCP; those of more go without.
const WAITING: usize = 2048;
/// Samples of one.
const OF_ONE: usize = 8;
/// In a sample's text, before what its peer or program may have written.
const NOT_LOOKED: &str = r#""tcp":null,"exchange":"#;

impl Requests {
    /// The same seed and the same exchanges choose the same requests.
    pub(crate) fn new(seed: u64) -> Self {
        let waiting = || HashMap::with_hasher(FixedState::with_seed(0x7463_7073));
        Self {
            samples: Samples::new(Limits::default(), seed),
            text: Vec::new(),
            without_state: [waiting(), waiting()],
            minute: 0,
        }
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
        let number = self.samples.keep(of, why, sample);
        let [waiting, _] = &mut self.without_state;
        if let Some(number) = number.filter(|_| is_tcp(seen) && seen.books.is_none_or(|books| books.time == 0))
            && (waiting.len() < WAITING || waiting.contains_key(&seen.connection))
        {
            let numbers = waiting.entry(seen.connection).or_default();
            // The newest: of the others a better one is there.
            if numbers.len() == OF_ONE {
                numbers.remove(0);
            }
            numbers.push(number);
        }
    }

    /// The kernel's books of a connection have come: for samples of it that had none, this look is the nearest there is.
    #[inline]
    pub(crate) fn looked(&mut self, connection: u64, books: &Books, clock: u64) {
        if self.without_state.iter().any(|waiting| !waiting.is_empty()) {
            self.state(connection, books, clock);
        }
    }

    #[cold]
    fn state(&mut self, connection: u64, books: &Books, clock: u64) {
        for number in self.without_state.iter_mut().filter_map(|waiting| waiting.remove(&connection)).flatten() {
            self.samples.add_to(number, |sample| {
                let (before, after) = sample.json.split_once(NOT_LOOKED)?;
                let mut text = before.as_bytes().to_vec();
                text.extend_from_slice(br#""tcp":"#);
                write_state(books, clock, sample.end, &mut text);
                text.extend_from_slice(br#","exchange":"#);
                text.extend_from_slice(after.as_bytes());
                String::from_utf8(text).ok().map(String::into_boxed_str)
            });
        }
    }

    /// A server that was counted provisionally has got its name.
    pub(crate) fn settle(&mut self, provisional: EntityId, is: EntityId, entities: &Entities) {
        self.samples.settle(provisional, &entities.name(is), entities.namespace(is));
    }

    /// Tells the time, nanoseconds since 1970.
    pub(crate) fn roll(&mut self, now: u64) {
        self.samples.roll(now);
        let minute = now / 60_000_000_000;
        if minute != self.minute {
            self.minute = minute;
            self.without_state.swap(0, 1);
            self.without_state[0].clear();
        }
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

fn is_tcp(seen: &Seen<'_>) -> bool {
    const TCP: u8 = 6;
    seen.open.is_some_and(|open| open.transport == TCP && open.family != 1)
}

/// The state of TCP at this end, as the kernel's books told it last, and how long that was before the exchange ended. It is not read for
/// the exchange: that would cost every one of them, and only a few are kept. Of a connection that nobody had looked at before, it is
/// written when somebody does: at its end, or at the next sweep.
fn tcp(seen: &Seen<'_>, to: &mut Vec<u8>) {
    match seen.books.filter(|books| is_tcp(seen) && books.time != 0) {
        Some(books) => write_state(books, seen.clock, seen.exchange.end.wrapping_add(seen.clock), to),
        None => to.extend_from_slice(b"null"),
    }
}

/// `end`: of the exchange, nanoseconds since 1970.
fn write_state(books: &Books, clock: u64, end: u64, to: &mut Vec<u8>) {
    /// `enum tcp_ca_state` of linux/tcp.h.
    const CONGESTION: [&str; 5] = ["open", "disorder", "cwr", "recovery", "loss"];
    let at = books.time.wrapping_add(clock);
    let _ = write!(
        to,
        r#"{{"at":"{}","age_ns":{},"srtt_us":{},"rttvar_us":{},"rtt_min_us":{},"retransmitted_segments":{},"#,
        Wall(at),
        end.wrapping_sub(at).cast_signed(),
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
