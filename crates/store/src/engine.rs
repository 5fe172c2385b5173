//! What the store answers.

use crate::books;
use crate::directory::LEDGER;
use crate::error::Fault;
use crate::keep;
use crate::ledger::{READ_GAPS, add_gap, gap};
use crate::level::Level;
use crate::row;
use crate::scan::{self, Stop};
use crate::store::{Shared, Store};
use rusqlite::params;
use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use steth_query::{
    Coverage, EdgeGroup, EdgeScan, Engine, EntityRecord, EntityScan, Error, Folded, Group, Listener, Range, SampleScan,
    Samples, Scan, Stretch, Tier,
};
use steth_samples::Why;
use steth_window::EntityId;

/// For questions that come without one.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often a question begins again because a file was removed, or was damaged, while it was read.
const TRIES: usize = 8;

impl Shared {
    /// Lets a question read, once it is its turn. It begins again when a file is gone.
    fn ask<T>(&self, deadline: Instant, mut question: impl FnMut() -> Result<T, Stop>) -> Result<T, Error> {
        let since = Instant::now();
        let late = || Error::TooLong { ms: deadline.saturating_duration_since(since).as_millis() as u64 };
        let _turn = self.pool.enter(deadline).ok_or_else(late)?;
        let mut why = String::new();
        for _ in 0..TRIES {
            if Instant::now() >= deadline {
                return Err(late());
            }
            match question() {
                Ok(answer) => return Ok(answer),
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::Fault(_, fault)) if fault.interrupted() => return Err(late()),
                Err(Stop::Fault(file, fault)) if self.damaged(&file, &fault) => {
                    why = format!("{file}: {fault}");
                    self.set_aside(&file);
                }
                Err(Stop::Fault(file, fault)) if fault.gone() => why = format!("{file}: {fault}"),
                Err(Stop::Fault(file, fault)) => return Err(Error::Store(format!("{file}: {fault}"))),
            }
        }
        Err(Error::Store(why))
    }

    fn ledger<T>(
        &self,
        deadline: Instant,
        mut read: impl FnMut(&rusqlite::Connection) -> Result<T, Fault>,
    ) -> Result<T, Error> {
        self.ask(deadline, || {
            let read = self.pool.open(LEDGER, Some(deadline)).and_then(|file| read(&file));
            // It is not set aside while it is written; the next start does.
            read.map_err(|fault| match self.damaged(LEDGER, &fault) {
                true => Stop::Error(Error::Store(format!("{LEDGER}: {fault}"))),
                false => Stop::Fault(LEDGER.to_owned(), fault),
            })
        })
    }
}

impl Engine for Store {
    fn coverage(&self) -> Result<Coverage, Error> {
        let deadline = Instant::now() + DEADLINE;
        self.shared.look_again();
        let mut missing = self.shared.ledger(deadline, |file| {
            let mut statement = file.prepare_cached(READ_GAPS)?;
            let mut rows = statement.query([])?;
            let mut gaps = Vec::new();
            while let Some(row) = rows.next()? {
                gaps.push(gap(row)?);
            }
            Ok(gaps)
        })?;
        self.shared.unsaved_gaps().into_iter().for_each(|gap| add_gap(&mut missing, gap));
        let reached = self.shared.reached.load(Ordering::Relaxed);
        let catalog = self.shared.catalog();
        // Files are numbered as they are made: none of them is gone.
        let began = catalog.parts.len() as u64 + 1 == self.shared.next.load(Ordering::Relaxed);
        let stretch = |tier: Tier| {
            let (from_ms, to_ms) = catalog.stretch(Level::of(tier))?;
            let step = tier.step_ms();
            Some(Stretch { tier, range: Range { from_ms, to_ms: to_ms.max(reached - reached % step) } })
        };
        let tiers: Vec<_> = Tier::ALL.into_iter().filter_map(stretch).collect();
        let oldest = tiers.iter().map(|stretch| stretch.range.from_ms).min().unwrap_or(u64::MAX);
        let newest = tiers.iter().map(|stretch| stretch.range.to_ms).max().unwrap_or(0);
        let all = Range { from_ms: oldest, to_ms: newest };
        missing.retain_mut(|gap| gap.range.and(all).inspect(|range| gap.range = *range).is_some());
        Ok(Coverage { tiers, missing, began })
    }

    fn exchanges(&self, scan: &Scan<'_>) -> Result<Vec<Group>, Error> {
        self.shared.ask(scan.deadline, || {
            let pieces = scan::plan(&self.shared.catalog(), Level::of(scan.tier), scan.range, scan.step_ms);
            scan::exchanges(&self.shared.pool, &pieces, scan)
        })
    }

    fn edges(&self, scan: &EdgeScan<'_>) -> Result<Vec<EdgeGroup>, Error> {
        self.shared
            .ask(scan.deadline, || books::books(&self.shared.pool, &self.shared.catalog(), Level::of(scan.tier), scan))
    }

    fn folded(&self, tier: Tier, range: Range) -> Result<Folded, Error> {
        let deadline = Instant::now() + DEADLINE;
        self.shared.ask(deadline, || {
            let mut all = Folded::default();
            let pieces = scan::plan(&self.shared.catalog(), Level::of(tier), range, None);
            for piece in pieces {
                let name = piece.name.file();
                let file = self.shared.pool.open(&name, Some(deadline));
                let folded = file.and_then(|file| crate::rollup::folded(&file, &piece));
                all.add(&folded.map_err(|fault| Stop::Fault(name, fault))?);
            }
            Ok(all)
        })
    }

    fn samples(&self, scan: &SampleScan<'_>) -> Result<Samples, Error> {
        let named = |name| Why::named(name).ok_or_else(|| Error::Question(format!("there is no {name:?}")));
        let why = scan.why.map(named).transpose()?;
        self.shared.ask(scan.deadline, || {
            let Range { from_ms, to_ms } = scan.range;
            let period = Level::Samples.period();
            let names: Vec<_> = (self.shared.catalog().of(Level::Samples))
                .map(|part| part.name)
                .filter(|name| name.start < to_ms && name.start.saturating_add(period) > from_ms)
                .collect();
            let mut all = Samples::default();
            for name in names {
                let read = keep::read(&self.shared.pool, name, scan, why);
                let (matching, samples) = read.map_err(|fault| Stop::Fault(name.file(), fault))?;
                all.add(Samples { matching, samples }, scan.order, scan.limit);
            }
            Ok(all)
        })
    }

    fn listeners(&self, tier: Tier, range: Range) -> Result<Vec<Listener>, Error> {
        let deadline = Instant::now() + DEADLINE;
        self.shared.ask(deadline, || {
            let pieces = scan::plan(&self.shared.catalog(), Level::of(tier), range, None);
            let steps = pieces.iter().flat_map(|piece| piece.steps.iter().map(move |step| (piece, step)));
            let Some((newest, last)) = steps.max_by_key(|(_, step)| (step.at, step.upto)) else {
                return Ok(Vec::new());
            };
            let (mut all, mut drops) = (Vec::new(), Vec::new());
            for piece in &pieces {
                let name = piece.name.file();
                let read = self.shared.pool.open(&name, Some(deadline)).and_then(|file| {
                    for step in &piece.steps {
                        drops.extend(crate::rollup::drops(&file, step.id)?);
                    }
                    if std::ptr::eq(piece, newest) {
                        all = crate::rollup::listeners(&file, last.id)?;
                    }
                    Ok(())
                });
                read.map_err(|fault| Stop::Fault(name, fault))?;
            }
            for listener in &mut all {
                listener.drops = 0;
                listener.add_dropped(&drops);
            }
            Ok(all)
        })
    }

    fn dropped(&self, tier: Tier, range: Range) -> Result<Vec<Listener>, Error> {
        let deadline = Instant::now() + DEADLINE;
        self.shared.ask(deadline, || {
            let mut drops = Vec::new();
            for piece in scan::plan(&self.shared.catalog(), Level::of(tier), range, None) {
                let name = piece.name.file();
                let read = self.shared.pool.open(&name, Some(deadline)).and_then(|file| {
                    for step in &piece.steps {
                        drops.extend(crate::rollup::drops(&file, step.id)?);
                    }
                    Ok(())
                });
                read.map_err(|fault| Stop::Fault(name, fault))?;
            }
            Ok(drops)
        })
    }

    fn entities(&self, scan: &EntityScan<'_>) -> Result<Vec<EntityRecord>, Error> {
        let text = scan.text.map(str::to_lowercase);
        let fits = |record: &EntityRecord| {
            if scan.namespace.is_some_and(|namespace| namespace != &*record.namespace) {
                return false;
            }
            let Some(text) = &text else { return true };
            let name = if record.namespace.is_empty() {
                record.name.to_string()
            } else {
                format!("{}/{}", record.namespace, record.name)
            };
            name.to_lowercase().contains(text)
        };
        self.shared.ledger(Instant::now() + DEADLINE, |file| {
            const COLUMNS: &str = "SELECT id, name, namespace, kind, first, last FROM entities";
            let mut found = Vec::new();
            if scan.ids.is_empty() {
                // Ids have no sign: those above the half come last.
                let mut statement = file.prepare_cached(&format!("{COLUMNS} ORDER BY last DESC, id < 0, id"))?;
                let mut rows = statement.query([])?;
                while found.len() < scan.limit
                    && let Some(row) = rows.next()?
                {
                    found.extend(Some(record(row)?).filter(fits));
                }
                return Ok(found);
            }
            let mut statement = file.prepare_cached(&format!("{COLUMNS} WHERE id = ?"))?;
            for id in scan.ids {
                let mut rows = statement.query(params![id.0 as i64])?;
                if let Some(row) = rows.next()? {
                    found.extend(Some(record(row)?).filter(fits));
                }
            }
            found.sort_by_key(|record| (Reverse(record.seen.to_ms), record.id));
            found.dedup_by_key(|record| record.id);
            found.truncate(scan.limit);
            Ok(found)
        })
    }
}

fn record(row: &rusqlite::Row<'_>) -> Result<EntityRecord, Fault> {
    let number = |at| row.get::<_, i64>(at).map(|number| number as u64);
    let text = |at| row.get::<_, Arc<str>>(at);
    Ok(EntityRecord {
        id: EntityId(number(0)?),
        name: text(1)?,
        namespace: text(2)?,
        kind: row::kind(row.get(3)?)?,
        seen: Range { from_ms: number(4)?, to_ms: number(5)? },
    })
}
