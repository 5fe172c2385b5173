//! The newest windows, in memory.

use crate::engine::{
    Coverage, Dimension, EdgeGroup, EdgeScan, Engine, EntityRecord, EntityScan, Filter, Group, Kept, Key, Listener,
    Order, SampleScan, Samples, Scan, Stretch, Sums,
};
use crate::error::Error;
use crate::meta::Folded;
use crate::range::{Range, Tier};
use hashbrown::{HashMap, HashSet};
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Instant;
use steth_samples::Why;
use steth_window::{EdgeRow, EdgeTotals, EntityId, Protocol, Row, Side, Somebody, Transport, Window};

const MS: u64 = 1_000_000;

/// An engine over finished windows in memory: what answers where nothing is stored, and what a store is compared with.
///
/// It reads every row of the range for every question, which is fast enough for the hour that fits into memory.
#[derive(Clone, Debug)]
pub struct Recent {
    windows: Vec<Arc<Window>>,
    samples: Arc<Vec<steth_samples::Kept>>,
    known: Range,
    all_tiers: bool,
    began: bool,
}

impl Recent {
    /// Over finished windows in any order, and over requests that were kept one by one. `known` is the time of which all
    /// windows are there: those that are not had nothing in them.
    #[must_use]
    pub fn new(mut windows: Vec<Arc<Window>>, samples: Arc<Vec<steth_samples::Kept>>, known: Range) -> Self {
        windows.sort_by_key(|window| (window.start, window.sequence));
        Self { windows, samples, known, all_tiers: false, began: false }
    }

    /// These are all that there ever were.
    #[must_use]
    pub fn from_the_start(self, began: bool) -> Self {
        Self { began, ..self }
    }

    /// They are a part of whatever tier is asked for: of another engine's, which has them in none.
    pub(crate) fn at_all_tiers(self) -> Self {
        Self { all_tiers: true, ..self }
    }

    pub(crate) fn windows(&self) -> impl Iterator<Item = &Window> {
        self.windows.iter().map(|window| &**window)
    }

    fn within(&self, tier: Tier, range: Range) -> impl Iterator<Item = &Window> {
        let windows = if tier == Tier::Seconds10 || self.all_tiers { &self.windows[..] } else { &[] };
        let inside = move |window: &&Window| (range.from_ms..range.to_ms).contains(&(window.start / MS));
        windows.iter().map(|window| &**window).filter(inside)
    }

    /// Who is in the windows: what was known last, and from when to when.
    fn everybody(&self) -> HashMap<EntityId, EntityRecord> {
        let mut all = HashMap::new();
        for window in &self.windows {
            let (from_ms, to_ms) = (window.start / MS, window.end / MS);
            for Somebody { id, namespace, name, kind } in window.everybody() {
                let record = all.entry(id).or_insert_with(|| EntityRecord {
                    id,
                    name: name.into(),
                    namespace: namespace.into(),
                    kind,
                    seen: Range { from_ms, to_ms },
                });
                // The more that is known, the smaller.
                record.kind = record.kind.min(kind);
                record.seen.to_ms = record.seen.to_ms.max(to_ms);
            }
        }
        all
    }
}

/// What tells groups apart, before its texts are copied.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
struct Place<'a> {
    at_ms: Option<u64>,
    client: Option<EntityId>,
    server: Option<EntityId>,
    port: Option<u16>,
    side: Option<Side>,
    protocol: Option<Protocol>,
    operation: Option<[&'a str; 3]>,
    status: Option<&'a str>,
    error_type: Option<&'a str>,
    transport: Option<Transport>,
}

impl<'a> Place<'a> {
    fn of_row(at_ms: Option<u64>, row: &'a Row, by: &[Dimension]) -> Self {
        let (labels, key) = (&*row.labels, &row.labels.key);
        let mut place = Self { at_ms, ..Self::default() };
        for dimension in by {
            match dimension {
                Dimension::Client => place.client = Some(key.client),
                Dimension::Server => place.server = Some(key.server),
                Dimension::Port => place.port = Some(key.server_port),
                Dimension::Side => place.side = Some(key.side),
                Dimension::Protocol => place.protocol = Some(key.protocol),
                Dimension::Operation => {
                    let summary = labels.summary.as_deref().unwrap_or_default();
                    place.operation = Some([&labels.operation, summary, &labels.namespace]);
                }
                Dimension::Status => place.status = Some(&labels.status),
                Dimension::ErrorType => place.error_type = Some(&labels.error_type),
                Dimension::Transport => {}
            }
        }
        place
    }

    fn of_edge(at_ms: Option<u64>, row: &EdgeRow, by: &[Dimension]) -> Self {
        let mut place = Self { at_ms, ..Self::default() };
        for dimension in by {
            match dimension {
                Dimension::Client => place.client = Some(row.key.client),
                Dimension::Server => place.server = Some(row.key.server),
                Dimension::Port => place.port = Some(row.key.server_port),
                Dimension::Side => place.side = Some(row.key.side),
                Dimension::Transport => place.transport = Some(row.key.transport),
                Dimension::Protocol | Dimension::Operation | Dimension::Status | Dimension::ErrorType => {}
            }
        }
        place
    }

    fn key(&self) -> Key {
        let part = |n: usize| self.operation.map(|parts| Arc::from(parts[n]));
        Key {
            at_ms: self.at_ms,
            client: self.client,
            server: self.server,
            port: self.port,
            side: self.side,
            protocol: self.protocol,
            operation: part(0),
            summary: part(1),
            namespace: part(2),
            status: self.status.map(Arc::from),
            error_type: self.error_type.map(Arc::from),
        }
    }
}

fn is<T: PartialEq>(wanted: Option<T>, there: T) -> bool {
    wanted.is_none_or(|wanted| wanted == there)
}

impl Filter<'_> {
    fn has_row(&self, row: &Row) -> bool {
        let (labels, key) = (&*row.labels, &row.labels.key);
        self.has_ends(key.client, key.server)
            && is(self.port, key.server_port)
            && is(self.side, key.side)
            && is(self.protocol.map(Protocol::name), key.protocol.name())
            && is(self.operation, &*labels.operation)
            && is(self.status, &*labels.status)
            && is(self.failed, key.failed())
    }

    fn has_edge(&self, row: &EdgeRow) -> bool {
        self.has_ends(row.key.client, row.key.server)
            && is(self.port, row.key.server_port)
            && is(self.side, row.key.side)
            && is(self.transport, row.key.transport)
    }
}

fn step(step_ms: Option<u64>, window: &Window) -> Option<u64> {
    step_ms.map(|step| window.start / MS / step.max(1) * step.max(1))
}

fn in_time(deadline: Instant) -> Result<(), Error> {
    // How long that was knows whoever has set the deadline.
    if Instant::now() < deadline { Ok(()) } else { Err(Error::TooLong { ms: 0 }) }
}

impl Engine for Recent {
    fn coverage(&self) -> Result<Coverage, Error> {
        let (first, last) = (self.windows.first(), self.windows.last());
        let from_ms = first.map_or(self.known.from_ms, |window| self.known.from_ms.min(window.start / MS));
        let to_ms = last.map_or(self.known.to_ms, |window| self.known.to_ms.max(window.end / MS));
        let range = Range { from_ms, to_ms };
        let tiers = if range.length_ms() > 0 { vec![Stretch { tier: Tier::Seconds10, range }] } else { vec![] };
        Ok(Coverage { tiers, missing: vec![], began: self.began })
    }

    fn exchanges(&self, scan: &Scan<'_>) -> Result<Vec<Group>, Error> {
        let mut groups: HashMap<Place<'_>, Sums> = HashMap::new();
        for window in self.within(scan.tier, scan.range) {
            in_time(scan.deadline)?;
            let at = step(scan.step_ms, window);
            for row in window.rows.iter().filter(|row| scan.filter.has_row(row)) {
                groups.entry(Place::of_row(at, row, scan.by)).or_default().add_row(row, scan.sketches);
            }
            if groups.len() > scan.limit {
                return Err(Error::TooMany { limit: scan.limit });
            }
        }
        Ok(groups.into_iter().map(|(place, sums)| Group { key: place.key(), sums }).collect())
    }

    fn edges(&self, scan: &EdgeScan<'_>) -> Result<Vec<EdgeGroup>, Error> {
        // With the window that its open connections are of: they do not add up over time.
        let mut groups: HashMap<Place<'_>, (u64, bool, EdgeTotals)> = HashMap::new();
        for window in self.within(scan.tier, scan.range) {
            in_time(scan.deadline)?;
            let at = step(scan.step_ms, window);
            for row in window.edges.iter().filter(|row| scan.filter.has_edge(row)) {
                let (newest, guessed, totals) = groups.entry(Place::of_edge(at, row, scan.by)).or_default();
                if *newest != window.start {
                    (*newest, totals.open) = (window.start, 0);
                }
                *guessed |= row.guessed;
                totals.merge(&row.totals);
            }
            if groups.len() > scan.limit {
                return Err(Error::TooMany { limit: scan.limit });
            }
        }
        let length = scan.tier.step_ms();
        let group = |(place, (newest, guessed, totals)): (Place<'_>, (u64, bool, EdgeTotals))| EdgeGroup {
            at_ms: place.at_ms,
            client: place.client,
            server: place.server,
            port: place.port,
            side: place.side,
            transport: place.transport,
            guessed,
            newest_ms: newest / MS / length * length,
            totals,
        };
        Ok(groups.into_iter().map(group).collect())
    }

    fn folded(&self, tier: Tier, range: Range) -> Result<Folded, Error> {
        let mut all = Folded::default();
        self.within(tier, range).for_each(|window| all.add(&window.misplaced.into()));
        Ok(all)
    }

    fn samples(&self, scan: &SampleScan<'_>) -> Result<Samples, Error> {
        in_time(scan.deadline)?;
        let why = scan.why.map(|name| Why::named(name).ok_or_else(|| Error::Question(format!("there is no {name:?}"))));
        let why = why.transpose()?;
        let matches = |kept: &&steth_samples::Kept| {
            let (sample, filter) = (&kept.sample, &scan.filter);
            (scan.range.from_ms..scan.range.to_ms).contains(&(sample.end / MS))
                && scan.service.is_none_or(|service| sample.is_of(service))
                && is(scan.namespace, sample.server.get(..sample.server_namespace).unwrap_or_default())
                && filter.server.is_none_or(|server| server == EntityId::of(&sample.server))
                && is(filter.operation, &*sample.operation)
                && is(filter.side, sample.side)
                && is(filter.failed, sample.failed)
                && why.is_none_or(|why| kept.why.has(why))
                && (scan.least_ns..scan.below_ns).contains(&sample.duration_ns)
                && scan.text.is_none_or(|text| text.is_in_request(&sample.server, &sample.operation, &sample.json))
        };
        let mut matching: Vec<_> = self.samples.iter().filter(matches).collect();
        // They were kept in the order in which they were heard of; what was read late ended earlier.
        matching.sort_by_key(|kept| match scan.order {
            Order::Newest => Reverse((kept.sample.end, 0)),
            Order::Duration => Reverse((kept.sample.duration_ns, kept.sample.end)),
        });
        let kept = |kept: &&steth_samples::Kept| Kept {
            why: kept.why.names().collect(),
            end_ns: kept.sample.end,
            duration_ns: kept.sample.duration_ns,
            json: (*kept.sample.json).into(),
        };
        let samples = matching.iter().take(scan.limit).map(kept).collect();
        Ok(Samples { matching: matching.len() as u64, samples })
    }

    fn listeners(&self, tier: Tier, range: Range) -> Result<Vec<Listener>, Error> {
        let newest = self.within(tier, range).last();
        let listening = newest.iter().flat_map(|window| &window.listeners).filter(|row| row.sockets > 0);
        let mut all: Vec<Listener> = listening.map(Listener::from).collect();
        let dropped = self.dropped(tier, range)?;
        for listener in &mut all {
            listener.drops = 0;
            listener.add_dropped(&dropped);
        }
        Ok(all)
    }

    fn dropped(&self, tier: Tier, range: Range) -> Result<Vec<Listener>, Error> {
        let rows = self.within(tier, range).flat_map(|window| &window.listeners);
        Ok(rows.filter(|row| row.drops > 0).map(Listener::from).collect())
    }

    fn entities(&self, scan: &EntityScan<'_>) -> Result<Vec<EntityRecord>, Error> {
        let ids: HashSet<EntityId> = scan.ids.iter().copied().collect();
        let text = scan.text.map(str::to_lowercase);
        let matches = |record: &EntityRecord| {
            (ids.is_empty() || ids.contains(&record.id))
                && is(scan.namespace, &*record.namespace)
                && text.as_deref().is_none_or(|text| record.full_name().to_lowercase().contains(text))
        };
        let mut found: Vec<_> = self.everybody().into_values().filter(matches).collect();
        found.sort_by_key(|record| (Reverse(record.seen.to_ms), record.id));
        found.truncate(scan.limit);
        Ok(found)
    }
}
