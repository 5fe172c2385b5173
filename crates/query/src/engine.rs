//! What an engine has to be able to do.

use crate::error::Error;
use crate::meta::{Folded, Missing};
use crate::range::{Range, Tier};
use crate::text::Text;
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Instant;
use steth_window::{EdgeTotals, EntityId, Kind, ListenerRow, Protocol, Row, Side, Sketch, Transport};

/// Keeps windows and gives them back, filtered, grouped and added up. It divides nothing and names nothing.
///
/// Ids and names are those of the windows; nothing of how or where they are kept shows through.
pub trait Engine: Send + Sync {
    /// What is kept.
    ///
    /// # Errors
    /// [`Error::Store`].
    fn coverage(&self) -> Result<Coverage, Error>;

    /// Exchanges, grouped. Groups come in no particular order, none twice, none empty.
    ///
    /// # Errors
    /// [`Error::TooMany`], [`Error::TooLong`], [`Error::Store`].
    fn exchanges(&self, scan: &Scan<'_>) -> Result<Vec<Group>, Error>;

    /// The kernel's books, grouped. Groups come in no particular order, none twice.
    ///
    /// # Errors
    /// [`Error::TooMany`], [`Error::TooLong`], [`Error::Store`].
    fn edges(&self, scan: &EdgeScan<'_>) -> Result<Vec<EdgeGroup>, Error>;

    /// What was folded in a range.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::Store`].
    fn folded(&self, tier: Tier, range: Range) -> Result<Folded, Error>;

    /// Requests that were kept one by one.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::Store`].
    fn samples(&self, scan: &SampleScan<'_>) -> Result<Samples, Error>;

    /// Who waited for connections at the end of the newest window of a range, in no particular order, and what was dropped there in all
    /// of it.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::Store`].
    fn listeners(&self, tier: Tier, range: Range) -> Result<Vec<Listener>, Error>;

    /// What was dropped in a range where connections were waited for, whoever waits there at its end: one entry or more for each place.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::Store`].
    fn dropped(&self, tier: Tier, range: Range) -> Result<Vec<Listener>, Error>;

    /// Entities, in no particular order.
    ///
    /// # Errors
    /// [`Error::TooMany`], [`Error::Store`].
    fn entities(&self, scan: &EntityScan<'_>) -> Result<Vec<EntityRecord>, Error>;
}

macro_rules! forward {
    ($($pointer:ty),*) => { $(
        impl<E: Engine + ?Sized> Engine for $pointer {
            fn coverage(&self) -> Result<Coverage, Error> { (**self).coverage() }
            fn exchanges(&self, scan: &Scan<'_>) -> Result<Vec<Group>, Error> { (**self).exchanges(scan) }
            fn edges(&self, scan: &EdgeScan<'_>) -> Result<Vec<EdgeGroup>, Error> { (**self).edges(scan) }
            fn folded(&self, tier: Tier, range: Range) -> Result<Folded, Error> { (**self).folded(tier, range) }
            fn samples(&self, scan: &SampleScan<'_>) -> Result<Samples, Error> { (**self).samples(scan) }
            fn listeners(&self, tier: Tier, range: Range) -> Result<Vec<Listener>, Error> {
                (**self).listeners(tier, range)
            }
            fn dropped(&self, tier: Tier, range: Range) -> Result<Vec<Listener>, Error> { (**self).dropped(tier, range) }
            fn entities(&self, scan: &EntityScan<'_>) -> Result<Vec<EntityRecord>, Error> { (**self).entities(scan) }
        }
    )* };
}
forward!(&E, Arc<E>);

/// What is kept, tier by tier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// From the oldest to the newest of each tier that has anything.
    pub tiers: Vec<Stretch>,
    /// What is missing between the oldest and the newest, oldest first.
    pub missing: Vec<Missing>,
    /// Nothing has been removed: before the oldest there was nobody who would have kept it.
    pub began: bool,
}

/// What is kept of a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Which.
    pub tier: Tier,
    /// From the beginning of its oldest step to the end of its newest.
    pub range: Range,
}

/// By what groups are told apart. What is not named is added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is the field of the same name of Key
pub enum Dimension {
    Client,
    Server,
    Port,
    Side,
    Protocol,
    /// The operation, with its summary and its database.
    Operation,
    Status,
    /// Whether it failed, and how.
    ErrorType,
    /// Of books only.
    Transport,
}

/// Which rows. What is `None` is not looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Is the client or the server.
    pub entity: Option<EntityId>,
    /// Is the client.
    pub client: Option<EntityId>,
    /// Is the server.
    pub server: Option<EntityId>,
    /// One of these is the client or the server; ascending.
    pub among: Option<&'a [EntityId]>,
    /// One of these is the server; ascending.
    pub servers: Option<&'a [EntityId]>,
    /// The server's port.
    pub port: Option<u16>,
    /// Observed there.
    pub side: Option<Side>,
    /// Of exchanges only. By name: MySQL's protocol is MariaDB's, too.
    pub protocol: Option<Protocol>,
    /// Of exchanges only.
    pub operation: Option<&'a str>,
    /// Of exchanges only.
    pub status: Option<&'a str>,
    /// Of exchanges only: failed, or did not.
    pub failed: Option<bool>,
    /// Of books only.
    pub transport: Option<Transport>,
}

impl Filter<'_> {
    /// Whether these ends are wanted: all that the filter says of client and server.
    #[must_use]
    pub fn has_ends(&self, client: EntityId, server: EntityId) -> bool {
        self.entity.is_none_or(|entity| entity == client || entity == server)
            && self.client.is_none_or(|wanted| wanted == client)
            && self.server.is_none_or(|wanted| wanted == server)
            && self.lists_ends(client, server)
    }

    /// The same of its lists alone, for an engine that has chosen by the rest.
    #[must_use]
    pub fn lists_ends(&self, client: EntityId, server: EntityId) -> bool {
        let is_one = |ids: &[EntityId], id: &EntityId| ids.binary_search(id).is_ok();
        self.among.is_none_or(|ids| is_one(ids, &client) || is_one(ids, &server))
            && self.servers.is_none_or(|ids| is_one(ids, &server))
    }
}

/// A question about exchanges.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    /// Read this tier.
    pub tier: Tier,
    /// Aligned to the tier's step.
    pub range: Range,
    /// Groups of different steps are kept apart; a multiple of the tier's. `None`: the whole range is one.
    pub step_ms: Option<u64>,
    /// Which rows.
    pub filter: Filter<'a>,
    /// How to group them.
    pub by: &'a [Dimension],
    /// Read the sketches too; without, they are left empty, which is faster.
    pub sketches: bool,
    /// Most groups; one more is [`Error::TooMany`].
    pub limit: usize,
    /// Not later than this.
    pub deadline: Instant,
}

/// What tells a group apart. What it was not grouped by is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key {
    /// The beginning of its step, milliseconds since 1970.
    pub at_ms: Option<u64>,
    /// Who asked.
    pub client: Option<EntityId>,
    /// Who answered.
    pub server: Option<EntityId>,
    /// The server's port, 0 if not known.
    pub port: Option<u16>,
    /// Where it was observed.
    pub side: Option<Side>,
    /// The protocol.
    pub protocol: Option<Protocol>,
    /// The operation.
    pub operation: Option<Arc<str>>,
    /// What stands for it in metrics, with [`Dimension::Operation`]; empty if the operation does.
    pub summary: Option<Arc<str>>,
    /// The database, with [`Dimension::Operation`]; empty if not known.
    pub namespace: Option<Arc<str>>,
    /// The status; empty if there was none.
    pub status: Option<Arc<str>>,
    /// `error.type`; empty if it did not fail.
    pub error_type: Option<Arc<str>>,
}

/// Exchanges of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// All.
    pub count: u64,
    /// Of these: failed.
    pub errors: u64,
    /// Of these: waited by design.
    pub blocking: u64,
    /// Of these: slow.
    pub slow: u64,
    /// Bytes of all requests.
    pub request_bytes: u64,
    /// Bytes of all responses.
    pub response_bytes: u64,
    /// Sum of all durations in nanoseconds, blocking ones included.
    pub duration_sum_ns: u64,
    /// Durations, without blocking exchanges.
    pub duration: Sketch,
    /// Times to the first byte of the response. At the server's side that is the service time.
    pub first_byte: Sketch,
    /// Times in the server's socket before the read; of the server's side only.
    pub queue: Sketch,
}

impl Sums {
    /// Adds what another group adds up to.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.errors += other.errors;
        self.blocking += other.blocking;
        self.slow += other.slow;
        self.request_bytes = self.request_bytes.saturating_add(other.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(other.response_bytes);
        self.duration_sum_ns = self.duration_sum_ns.saturating_add(other.duration_sum_ns);
        self.duration.merge(&other.duration);
        self.first_byte.merge(&other.first_byte);
        self.queue.merge(&other.queue);
    }

    /// Adds what a row of a window adds up to, with its sketches or without.
    pub fn add_row(&mut self, row: &Row, sketches: bool) {
        let totals = &row.totals;
        self.count += totals.count;
        self.errors += if row.labels.key.failed() { totals.count } else { 0 };
        self.blocking += totals.blocking;
        self.slow += totals.slow;
        self.request_bytes = self.request_bytes.saturating_add(totals.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(totals.response_bytes);
        self.duration_sum_ns = self.duration_sum_ns.saturating_add(totals.duration_sum);
        if sketches {
            self.duration.merge(&totals.duration);
            self.first_byte.merge(&totals.first_byte);
            if let Some(queue) = totals.queue().filter(|_| row.labels.key.side == Side::Server) {
                self.queue.merge(queue);
            }
        }
    }
}

/// One group of exchanges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What tells it apart.
    pub key: Key,
    /// What it adds up to.
    pub sums: Sums,
}

/// A question about books.
#[derive(Clone, Copy, Debug)]
pub struct EdgeScan<'a> {
    /// Read this tier.
    pub tier: Tier,
    /// Aligned to the tier's step.
    pub range: Range,
    /// Groups of different steps are kept apart; a multiple of the tier's. `None`: the whole range is one.
    pub step_ms: Option<u64>,
    /// Which rows.
    pub filter: Filter<'a>,
    /// How to group them; of the dimensions, those that books have.
    pub by: &'a [Dimension],
    /// Most groups; one more is [`Error::TooMany`].
    pub limit: usize,
    /// Not later than this.
    pub deadline: Instant,
}

/// One group of books. `totals.open` is that of the newest step in it, not a sum over time.
#[derive(Clone, Debug)]
pub struct EdgeGroup {
    /// The beginning of its step, milliseconds since 1970.
    pub at_ms: Option<u64>,
    /// Who connected.
    pub client: Option<EntityId>,
    /// Who was connected to.
    pub server: Option<EntityId>,
    /// The server's port, 0 if not known.
    pub port: Option<u16>,
    /// Whose books these are.
    pub side: Option<Side>,
    /// What the bytes travel in.
    pub transport: Option<Transport>,
    /// Of some of it nobody has seen who connected to whom.
    pub guessed: bool,
    /// The beginning of the newest step in it, milliseconds since 1970.
    pub newest_ms: u64,
    /// What it adds up to.
    pub totals: EdgeTotals,
}

/// Somebody waits for connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Listener {
    /// Who.
    pub service: EntityId,
    /// Where.
    pub port: u16,
    /// What the connections are made of.
    pub transport: Transport,
    /// Connections that wait for `accept()`.
    pub waiting: u64,
    /// How many may.
    pub room: u64,
    /// What was dropped there in the range.
    pub drops: u64,
}

impl Listener {
    /// Adds what of these was dropped here.
    pub fn add_dropped(&mut self, dropped: &[Self]) {
        let here = dropped.iter().filter(|dropped| dropped.is_at(self));
        self.drops = here.fold(self.drops, |sum, dropped| sum.saturating_add(dropped.drops));
    }

    /// Whether this is the same place.
    #[must_use]
    pub fn is_at(&self, other: &Self) -> bool {
        (self.service, self.port, self.transport) == (other.service, other.port, other.transport)
    }
}

impl From<&ListenerRow> for Listener {
    fn from(row: &ListenerRow) -> Self {
        let &ListenerRow { service_id: service, port, transport, waiting, room, drops, .. } = row;
        Self { service, port, transport, waiting, room, drops }
    }
}

/// A question about requests that were kept one by one.
#[derive(Clone, Copy, Debug)]
pub struct SampleScan<'a> {
    /// Ended in it.
    pub range: Range,
    /// Which: server, side, operation, failed. The rest of it is not looked at.
    pub filter: Filter<'a>,
    /// The server's name, with or without its namespace.
    pub service: Option<&'a str>,
    /// The server's namespace.
    pub namespace: Option<&'a str>,
    /// This is in it, see [`Text::is_in_request`].
    pub text: Option<&'a Text>,
    /// Kept for this reason: `slowest`, `error`, `random`.
    pub why: Option<&'a str>,
    /// Took at least that long, nanoseconds.
    pub least_ns: u64,
    /// Took less than that, nanoseconds.
    pub below_ns: u64,
    /// Which come first.
    pub order: Order,
    /// Most samples.
    pub limit: usize,
    /// Not later than this.
    pub deadline: Instant,
}

/// Which requests come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// Those that ended last.
    #[default]
    Newest,
    /// Those that took longest; of equal ones the newest.
    Duration,
}

/// Requests that were kept one by one.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// How many match, shown or not.
    pub matching: u64,
    /// As they were asked for.
    pub samples: Vec<Kept>,
}

impl Samples {
    /// Adds those of somewhere else, and keeps so many of both.
    pub fn add(&mut self, others: Self, order: Order, limit: usize) {
        self.matching += others.matching;
        self.samples.extend(others.samples);
        self.samples.sort_by_key(|kept| Reverse(kept.place(order)));
        self.samples.truncate(limit);
    }
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Why: `slowest`, `error`, `random`, or several.
    pub why: Vec<&'static str>,
    /// When it ended, nanoseconds since 1970.
    pub end_ns: u64,
    /// How long it took, nanoseconds.
    pub duration_ns: u64,
    /// Everything else, members of a JSON object without its braces: `"instants":{…},"exchange":{…}`.
    pub json: Arc<str>,
}

impl Kept {
    fn place(&self, order: Order) -> (u64, u64) {
        match order {
            Order::Newest => (self.end_ns, 0),
            Order::Duration => (self.duration_ns, self.end_ns),
        }
    }
}

/// Which entities.
#[derive(Clone, Copy, Debug, Default)]
pub struct EntityScan<'a> {
    /// These; empty is all.
    pub ids: &'a [EntityId],
    /// With this in its name, whatever the case.
    pub text: Option<&'a str>,
    /// Of this namespace.
    pub namespace: Option<&'a str>,
    /// Most of them; the ones seen last come first.
    pub limit: usize,
}

/// An entity, as it was known when it was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityRecord {
    /// Its id.
    pub id: EntityId,
    /// Its name, without its namespace.
    pub name: Arc<str>,
    /// Its namespace; empty if it has none.
    pub namespace: Arc<str>,
    /// What it is known to be.
    pub kind: Kind,
    /// The beginning of the first and the end of the last window that it was in, milliseconds since 1970.
    pub seen: Range,
}

impl EntityRecord {
    /// Its name, with its namespace if it has one.
    #[must_use]
    pub fn full_name(&self) -> String {
        if self.namespace.is_empty() { self.name.to_string() } else { format!("{}/{}", self.namespace, self.name) }
    }
}
