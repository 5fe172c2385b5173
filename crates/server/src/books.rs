//! What the kernel's books say of an edge, each side by itself (docs/l4.md).

use serde::Serialize;
use std::collections::BTreeMap;
use steth_window::{EdgeRow, EdgeSums, EdgeTotals, Side, Sketch, Transport};

/// The sides that have books. They tell of the same bytes and are never summed.
#[derive(Debug, Serialize)]
pub(crate) struct Ends {
    /// Nobody has seen who connected to whom: the lower port is taken for the server's.
    guessed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Books>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<Books>,
}

/// What one side tells.
#[derive(Debug, Serialize)]
struct Books {
    /// Connections that were open at the last look; `null` if there was none in this time.
    open: Option<u64>,
    /// Attempts to connect that came to nothing; the causes are among the sums.
    connects_failed: u64,
    #[serde(flatten)]
    sums: EdgeSums,
    /// From SYN to establishment; at the client's side only.
    #[serde(skip_serializing_if = "Option::is_none")]
    connect: Option<Times>,
    /// From establishment to the return of `accept()`; at the server's side only.
    #[serde(skip_serializing_if = "Option::is_none")]
    accept_wait: Option<Times>,
    /// Smoothed round-trip times.
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt: Option<Times>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt_min_ns: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Times {
    p50_ns: Option<f64>,
    p95_ns: Option<f64>,
    max_ns: Option<u64>,
}

impl Times {
    fn of(sketch: &Sketch) -> Option<Self> {
        (sketch.count() > 0).then(|| Self {
            p50_ns: sketch.quantile(0.5),
            p95_ns: sketch.quantile(0.95),
            max_ns: sketch.max(),
        })
    }
}

/// The books of one edge, by what the bytes travel in.
#[derive(Default)]
pub(crate) struct Shelf {
    transports: BTreeMap<Transport, Sides>,
}

/// The books of one transport.
#[derive(Default)]
struct Sides {
    guessed: bool,
    client: Option<EdgeTotals>,
    server: Option<EdgeTotals>,
}

impl Shelf {
    /// Adds a row. `last`: of the last window in which all sockets were asked; that one tells how many connections are open.
    pub(crate) fn add(&mut self, row: &EdgeRow, last: bool) {
        let sides = self.transports.entry(row.transport).or_default();
        let totals = match row.side {
            Side::Client => &mut sides.client,
            Side::Server => &mut sides.server,
            // Packets in a capture have no books.
            Side::Network => return,
        };
        sides.guessed |= row.guessed;
        let totals = totals.get_or_insert_default();
        let open = totals.open + if last { row.totals.open } else { 0 };
        totals.merge(&row.totals);
        totals.open = open;
    }

    /// How much there was of it, to put edges into an order: bytes, and whatever else happened.
    pub(crate) fn weight(&self) -> u64 {
        let weight = |totals: &EdgeTotals| {
            let sums = &totals.sums;
            sums.bytes_to_server + sums.bytes_to_client + sums.opened + sums.connects_failed() + totals.open
        };
        let sides = |sides: &Sides| sides.server.as_ref().or(sides.client.as_ref()).map_or(0, weight);
        self.transports.values().map(sides).fold(0, u64::saturating_add)
    }

    /// What there are books of.
    pub(crate) fn transports(&self) -> impl Iterator<Item = Transport> {
        self.transports.keys().copied()
    }

    /// The side to take one number from: the server's, which has all clients.
    pub(crate) fn leading(&self, transport: Transport) -> Side {
        let server = self.transports.get(&transport).is_some_and(|sides| sides.server.is_some());
        if server { Side::Server } else { Side::Client }
    }

    /// Whether the server has answered in any way: a connection was made, or something came back.
    pub(crate) fn answered(&self, transport: Transport) -> bool {
        let answered = |totals: &EdgeTotals| {
            totals.sums.opened > 0 || totals.open > 0 || totals.sums.closed > 0 || totals.sums.bytes_to_client > 0
        };
        let sides = self.transports.get(&transport);
        sides.is_some_and(|sides| [&sides.client, &sides.server].into_iter().flatten().any(answered))
    }

    /// What all of them say, or one of them alone. `asked`: there was a look at all sockets.
    pub(crate) fn ends(&self, only: Option<Transport>, asked: bool) -> BTreeMap<&'static str, Ends> {
        let wanted = |transport: &&Transport| only.is_none_or(|only| only == **transport);
        let ends = |sides: &Sides| Ends {
            guessed: sides.guessed,
            client: sides.client.as_ref().map(|totals| Books::of(totals, asked)),
            server: sides.server.as_ref().map(|totals| Books::of(totals, asked)),
        };
        let all = self.transports.keys().filter(wanted);
        all.map(|transport| (transport.name(), ends(&self.transports[transport]))).collect()
    }
}

impl Books {
    fn of(totals: &EdgeTotals, asked: bool) -> Self {
        Self {
            open: asked.then_some(totals.open),
            connects_failed: totals.sums.connects_failed(),
            sums: totals.sums,
            connect: Times::of(&totals.connect),
            accept_wait: Times::of(&totals.accept_wait),
            rtt: Times::of(&totals.rtt),
            rtt_min_ns: totals.rtt_min_ns,
        }
    }
}
