//! From questions to answers: which tier, which groups, and what they come to. One file for each question.

mod dns;
mod entities;
mod entity;
mod graph;
mod heatmap;
mod map;
mod names;
mod plan;
mod requests;
mod series;
mod top;

use crate::ask;
use crate::engine::{Coverage, Dimension, Engine, EntityScan, Filter, Group, Scan};
use crate::error::Error;
use crate::finding;
use crate::meta::Answer;
use crate::range::Range;
use crate::tell::{self, Process};
use plan::Plan;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use steth_window::EntityId;

/// Most groups of one scan. With their sketches that is some 30 MiB at worst, which is what bounds an answer's memory.
const MOST_GROUPS: usize = 50_000;
/// Most of one namespace.
const MOST_WITHIN: usize = 20_000;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tells which processes of an entity are alive.
pub type Processes = Arc<dyn Fn(EntityId) -> Vec<Process> + Send + Sync>;

/// Whoever answers questions: [`Answers`] in this process, or an agent that is asked over HTTP.
pub trait Api {
    /// Who talks to whom.
    ///
    /// # Errors
    /// Any [`Error`].
    fn map(&self, ask: &ask::Map) -> Result<Answer<tell::Map>, Error>;
    /// What is counted over time.
    ///
    /// # Errors
    /// Any [`Error`].
    fn series(&self, ask: &ask::Series) -> Result<Answer<tell::Series>, Error>;
    /// The most of something.
    ///
    /// # Errors
    /// Any [`Error`].
    fn top(&self, ask: &ask::Top) -> Result<Answer<tell::Top>, Error>;
    /// How durations are distributed over time.
    ///
    /// # Errors
    /// Any [`Error`].
    fn heatmap(&self, ask: &ask::Heatmap) -> Result<Answer<tell::Heatmap>, Error>;
    /// Requests that were kept one by one.
    ///
    /// # Errors
    /// Any [`Error`].
    fn requests(&self, ask: &ask::Requests) -> Result<Answer<tell::Requests>, Error>;
    /// Everything about somebody.
    ///
    /// # Errors
    /// Any [`Error`].
    fn entity(&self, ask: &ask::Entity) -> Result<Answer<tell::Entity>, Error>;
    /// Who is there.
    ///
    /// # Errors
    /// Any [`Error`].
    fn entities(&self, ask: &ask::Entities) -> Result<Answer<tell::Entities>, Error>;
    /// Which names are looked up.
    ///
    /// # Errors
    /// Any [`Error`].
    fn dns(&self, ask: &ask::Dns) -> Result<Answer<tell::Dns>, Error>;
}

/// Answers questions from an engine.
#[derive(Clone)]
pub struct Answers<E> {
    engine: E,
    patience: Duration,
    limits: finding::Limits,
    processes: Option<Processes>,
}

impl<E: fmt::Debug> fmt::Debug for Answers<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers")
            .field("engine", &self.engine)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

impl<E: Engine> Answers<E> {
    /// From this engine.
    #[must_use]
    pub fn new(engine: E) -> Self {
        Self { engine, patience: PATIENCE, limits: finding::Limits::default(), processes: None }
    }

    /// With a shorter or longer time for each answer.
    #[must_use]
    pub fn within(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// With somebody who knows the processes of entities.
    #[must_use]
    pub fn with_processes(self, processes: Processes) -> Self {
        Self { processes: Some(processes), ..self }
    }

    /// What is kept, and how a question about a range is answered from it.
    fn plan(&self, asked: Range, points: Option<usize>) -> Result<(Coverage, Plan), Error> {
        let deadline = Instant::now() + self.patience;
        let coverage = self.engine.coverage()?;
        let plan = Plan::new(&coverage, asked, points, now_ms(), deadline)?;
        Ok((coverage, plan))
    }

    /// An engine knows when to stop, but not how long that was.
    fn timed<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        let ms = u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX);
        result.map_err(|error| if let Error::TooLong { .. } = error { Error::TooLong { ms } } else { error })
    }

    /// Those of the namespace that is asked for.
    fn members(&self, of: &ask::Of) -> Result<Within, Error> {
        let Some(namespace) = of.namespace.as_deref() else { return Ok(Within(None)) };
        let scan = EntityScan { namespace: Some(namespace), limit: MOST_WITHIN + 1, ..EntityScan::default() };
        let mut ids: Vec<EntityId> =
            self.timed(self.engine.entities(&scan))?.into_iter().map(|record| record.id).collect();
        if ids.len() > MOST_WITHIN {
            return Err(Error::TooMany { limit: MOST_WITHIN });
        }
        ids.sort_unstable();
        Ok(Within(Some(ids)))
    }

    /// The groups of exchanges of a plan.
    fn exchanges(
        &self,
        plan: &Plan,
        range: Range,
        filter: Filter<'_>,
        by: &[Dimension],
        how: How,
    ) -> Result<Vec<Group>, Error> {
        let step_ms = (how.steps).then_some(plan.step_ms);
        let (tier, deadline) = (plan.tier, plan.deadline);
        let scan = Scan { tier, range, step_ms, filter, by, sketches: how.sketches, limit: MOST_GROUPS, deadline };
        self.timed(self.engine.exchanges(&scan))
    }

    fn finish<T>(&self, plan: Plan, data: T) -> Result<Answer<T>, Error> {
        self.timed(plan.answer(&self.engine, data))
    }
}

/// The machine's clock, milliseconds since 1970.
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64)
}

/// How groups are read.
#[derive(Clone, Copy, Debug)]
struct How {
    /// One group for each step, or one for the whole range.
    steps: bool,
    /// With distributions.
    sketches: bool,
}

impl How {
    const COUNTS: How = How { steps: false, sketches: false };
    const WHOLE: How = How { steps: false, sketches: true };
    const COUNTS_BY_STEP: How = How { steps: true, sketches: false };
    const BY_STEP: How = How { steps: true, sketches: true };
}

/// Those of the namespace that is asked for, ascending; `None` if none is.
#[derive(Debug)]
struct Within(Option<Vec<EntityId>>);

impl Within {
    fn has(&self, id: &str) -> bool {
        let is_one = |ids: &Vec<EntityId>| EntityId::from_hex(id).is_some_and(|id| ids.binary_search(&id).is_ok());
        self.0.as_ref().is_none_or(is_one)
    }
}

impl ask::Of {
    /// The same for an engine.
    fn filter<'a>(&'a self, within: &'a Within) -> Filter<'a> {
        Filter {
            entity: self.entity,
            client: self.client,
            server: self.server,
            among: within.0.as_deref(),
            servers: None,
            port: self.port,
            side: self.side.map(Into::into),
            protocol: self.protocol,
            operation: self.operation.as_deref(),
            status: self.status.as_deref(),
            failed: self.failed,
            transport: self.transport,
        }
    }

    /// Whether it asks for something that books do not have.
    fn only_exchanges(&self) -> bool {
        self.protocol.is_some() || self.operation.is_some() || self.status.is_some() || self.failed.is_some()
    }
}

impl<E: Engine> Api for Answers<E> {
    fn map(&self, ask: &ask::Map) -> Result<Answer<tell::Map>, Error> {
        self.answer_map(ask)
    }

    fn series(&self, ask: &ask::Series) -> Result<Answer<tell::Series>, Error> {
        self.answer_series(ask)
    }

    fn top(&self, ask: &ask::Top) -> Result<Answer<tell::Top>, Error> {
        self.answer_top(ask)
    }

    fn heatmap(&self, ask: &ask::Heatmap) -> Result<Answer<tell::Heatmap>, Error> {
        self.answer_heatmap(ask)
    }

    fn requests(&self, ask: &ask::Requests) -> Result<Answer<tell::Requests>, Error> {
        self.answer_requests(ask)
    }

    fn entity(&self, ask: &ask::Entity) -> Result<Answer<tell::Entity>, Error> {
        self.answer_entity(ask)
    }

    fn entities(&self, ask: &ask::Entities) -> Result<Answer<tell::Entities>, Error> {
        self.answer_entities(ask)
    }

    fn dns(&self, ask: &ask::Dns) -> Result<Answer<tell::Dns>, Error> {
        self.answer_dns(ask)
    }
}
