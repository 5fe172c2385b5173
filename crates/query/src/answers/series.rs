//! What is counted over time.

use crate::answers::graph::both_ways;
use crate::answers::names::Names;
use crate::answers::plan::Plan;
use crate::answers::{Answers, How, MOST_GROUPS};
use crate::ask::{self, SeriesBy, What};
use crate::engine::{Dimension, EdgeGroup, Engine, Filter, Key, Sums};
use crate::error::Error;
use crate::meta::Answer;
use crate::signals::SideName;
use crate::tell::{BookPoints, ExchangePoints, Line, Series};
use hashbrown::HashMap;
use steth_window::{EdgeTotals, EntityId, Side, Sketch};

/// What is beyond the limit.
const REST: &str = "other";
const SIDES: [Side; 3] = [Side::Client, Side::Server, Side::Network];

/// What tells series apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Of {
    All,
    Entity(EntityId),
    Word(String),
    Rest,
}

impl<E: Engine> Answers<E> {
    pub(super) fn answer_series(&self, ask: &ask::Series) -> Result<Answer<Series>, Error> {
        let (_, plan) = self.plan(ask.range, Some(ask.points))?;
        let times_ms = plan.times();
        let within = self.members(&ask.of)?;
        let filter = ask.of.filter(&within);
        let (total, series) = match ask.what {
            What::Exchanges => self.exchange_lines(ask, filter, &plan, times_ms.len())?,
            What::Books => self.book_lines(ask, filter, &plan, times_ms.len())?,
        };
        self.finish(plan, Series { times_ms, total, series })
    }

    fn exchange_lines(
        &self,
        ask: &ask::Series,
        filter: Filter<'_>,
        plan: &Plan,
        steps: usize,
    ) -> Result<(usize, Vec<Line>), Error> {
        let dimension = match ask.by {
            SeriesBy::Nothing => None,
            SeriesBy::Client => Some(Dimension::Client),
            SeriesBy::Server => Some(Dimension::Server),
            SeriesBy::Protocol => Some(Dimension::Protocol),
            SeriesBy::Operation => Some(Dimension::Operation),
            SeriesBy::Status => Some(Dimension::Status),
            SeriesBy::ErrorType => Some(Dimension::ErrorType),
        };
        let by: Vec<Dimension> = [Dimension::Side].into_iter().chain(dimension).collect();
        // First who is busy, without distributions; then the steps of these.
        let mut weights = Weights::new();
        let mut groups = 0;
        for group in self.exchanges(plan, plan.range, filter, &by, How::COUNTS)? {
            let Some(side) = group.key.side else { continue };
            *weights.entry(of(ask.by, &group.key)).or_default()[side as usize].get_or_insert_default() +=
                group.sums.count;
            groups += 1;
        }
        let total = weights.len();
        let mut lines = Lines::busiest(weights, ask.limit, steps)?;
        for part in plan.parts(groups, MOST_GROUPS) {
            for group in self.exchanges(plan, part, filter, &by, How::BY_STEP)? {
                let (Some(side), Some(at)) = (group.key.side, plan.place(group.key.at_ms)) else { continue };
                if let Some(sums) = lines.step(of(ask.by, &group.key), side, at) {
                    Sums::add(sums, &group.sums);
                }
            }
        }
        self.lines(lines, total, |line, side, steps: &[Sums]| line.exchanges = Some(exchange_points(side, steps)))
    }

    fn book_lines(
        &self,
        ask: &ask::Series,
        filter: Filter<'_>,
        plan: &Plan,
        steps: usize,
    ) -> Result<(usize, Vec<Line>), Error> {
        let dimension = match ask.by {
            SeriesBy::Nothing => None,
            SeriesBy::Client => Some(Dimension::Client),
            SeriesBy::Server => Some(Dimension::Server),
            SeriesBy::Protocol | SeriesBy::Operation | SeriesBy::Status | SeriesBy::ErrorType => {
                return Err(Error::Question("books can be told apart by client or server only".to_owned()));
            }
        };
        if ask.of.only_exchanges() {
            return Err(Error::Question("books know neither protocol nor operation, status or failure".to_owned()));
        }
        let by: Vec<Dimension> = [Dimension::Side].into_iter().chain(dimension).collect();
        let of = |group: &EdgeGroup| group.client.or(group.server).map_or(Of::All, Of::Entity);
        let mut weights = Weights::new();
        let mut groups = 0;
        for group in self.books(plan, filter, &by, plan.range, false)? {
            let Some(side) = group.side else { continue };
            let bytes = both_ways(&group.totals);
            *weights.entry(of(&group)).or_default()[side as usize].get_or_insert_default() += bytes;
            groups += 1;
        }
        let total = weights.len();
        let mut lines = Lines::busiest(weights, ask.limit, steps)?;
        for part in plan.parts(groups, MOST_GROUPS) {
            for group in self.books(plan, filter, &by, part, true)? {
                let (Some(side), Some(at)) = (group.side, plan.place(group.at_ms)) else { continue };
                if let Some(sum) = lines.step(of(&group), side, at) {
                    EdgeTotals::merge(sum, &group.totals);
                }
            }
        }
        self.lines(lines, total, |line, _, steps: &[EdgeTotals]| line.books = Some(book_points(steps)))
    }

    /// Names them, and writes their points down.
    fn lines<T>(
        &self,
        lines: Lines<T>,
        total: usize,
        write: impl Fn(&mut Line, Side, &[T]),
    ) -> Result<(usize, Vec<Line>), Error> {
        let Lines { all: lines, .. } = lines;
        let ids = lines.iter().filter_map(|(of, _)| if let Of::Entity(id) = of { Some(*id) } else { None });
        let names = self.names(ids)?;
        let mut told = Vec::new();
        for (of, sides) in &lines {
            for (side, steps) in SIDES.into_iter().zip(sides) {
                if let Some(steps) = steps {
                    let (name, id) = named(of, &names);
                    let mut line = Line { name, id, side: SideName::from(side), exchanges: None, books: None };
                    write(&mut line, side, steps);
                    told.push(line);
                }
            }
        }
        Ok((total, told))
    }
}

fn of(by: SeriesBy, key: &Key) -> Of {
    let word = |word: Option<&str>| Of::Word(word.unwrap_or_default().to_owned());
    match by {
        SeriesBy::Nothing => Of::All,
        SeriesBy::Client => key.client.map_or(Of::All, Of::Entity),
        SeriesBy::Server => key.server.map_or(Of::All, Of::Entity),
        SeriesBy::Protocol => word(key.protocol.map(|protocol| protocol.name())),
        SeriesBy::Operation => word(key.operation.as_deref()),
        SeriesBy::Status => word(key.status.as_deref()),
        SeriesBy::ErrorType => word(key.error_type.as_deref()),
    }
}

fn named(of: &Of, names: &Names) -> (String, Option<String>) {
    match of {
        Of::All => (String::new(), None),
        Of::Entity(id) => (names.full(*id), Some(id.to_string())),
        Of::Word(word) => (word.clone(), None),
        Of::Rest => (REST.to_owned(), None),
    }
}

/// How much of each there is, each side by itself.
type Weights = HashMap<Of, [Option<u64>; 3]>;

/// The busiest series, and one of all the others.
struct Lines<T> {
    all: Vec<(Of, [Option<Vec<T>>; 3])>,
    places: HashMap<Of, usize>,
    steps: usize,
}

impl<T: Clone + Default> Lines<T> {
    /// Without anything in them yet.
    fn busiest(weights: Weights, limit: usize, steps: usize) -> Result<Self, Error> {
        // Each exchange may be seen at both ends: the end that has seen more decides.
        let weight = |sides: &[Option<u64>; 3]| sides.iter().copied().flatten().max().unwrap_or(0);
        let mut lines: Vec<_> = weights.into_iter().map(|(of, sides)| (weight(&sides), of, sides)).collect();
        lines.sort_by(|(x, a, _), (y, b, _)| y.cmp(x).then_with(|| a.cmp(b)));
        let rest = lines.split_off(lines.len().min(limit));
        let sides = |sides: &[Option<u64>; 3]| sides.iter().flatten().count();
        let points = (lines.iter().map(|(_, _, of)| sides(of)).sum::<usize>() + 3).saturating_mul(steps);
        if points > MOST_GROUPS {
            let (all, series) = (MOST_GROUPS, lines.len());
            let text = format!(
                "{series} series of {steps} points are more than {all}; ask for fewer of either (limit, points)"
            );
            return Err(Error::Question(text));
        }
        let of = lines.into_iter().map(|(_, of, _)| of).chain((!rest.is_empty()).then_some(Of::Rest));
        let all: Vec<_> = of.map(|of| (of, [const { None }; 3])).collect();
        let places = all.iter().enumerate().map(|(place, (of, _))| (of.clone(), place)).collect();
        Ok(Self { all, places, steps })
    }

    /// A step of the series that somebody is in.
    fn step(&mut self, of: Of, side: Side, at: usize) -> Option<&mut T> {
        let place = self.places.get(&of).or_else(|| self.places.get(&Of::Rest))?;
        let (_, sides) = self.all.get_mut(*place)?;
        sides[side as usize].get_or_insert_with(|| vec![T::default(); self.steps]).get_mut(at)
    }
}

fn exchange_points(side: Side, steps: &[Sums]) -> ExchangePoints {
    let counts = |field: fn(&Sums) -> u64| steps.iter().map(field).collect();
    let quantiles = |field: fn(&Sums) -> &Sketch, q: f64| steps.iter().map(|sums| field(sums).quantile(q)).collect();
    // Times to the first byte are those of the service at the server only.
    let of_server = |field: fn(&Sums) -> &Sketch| match side {
        Side::Server => quantiles(field, 0.95),
        Side::Client | Side::Network => vec![None; steps.len()],
    };
    ExchangePoints {
        count: counts(|sums| sums.count),
        errors: counts(|sums| sums.errors),
        slow: counts(|sums| sums.slow),
        request_bytes: counts(|sums| sums.request_bytes),
        response_bytes: counts(|sums| sums.response_bytes),
        p50_ns: quantiles(|sums| &sums.duration, 0.5),
        p95_ns: quantiles(|sums| &sums.duration, 0.95),
        p99_ns: quantiles(|sums| &sums.duration, 0.99),
        queue_p95_ns: of_server(|sums| &sums.queue),
        service_p95_ns: of_server(|sums| &sums.first_byte),
    }
}

fn book_points(steps: &[EdgeTotals]) -> BookPoints {
    let counts = |field: fn(&EdgeTotals) -> u64| steps.iter().map(field).collect();
    let quantiles =
        |field: fn(&EdgeTotals) -> &Sketch, q: f64| steps.iter().map(|totals| field(totals).quantile(q)).collect();
    BookPoints {
        open: counts(|totals| totals.open),
        opened: counts(|totals| totals.sums.opened),
        failed_connects: counts(|totals| totals.sums.failed_connects()),
        resets: counts(|totals| totals.sums.resets_by_client + totals.sums.resets_by_server),
        bytes_to_server: counts(|totals| totals.sums.bytes_to_server),
        bytes_to_client: counts(|totals| totals.sums.bytes_to_client),
        segments: counts(|totals| totals.sums.segments_to_server + totals.sums.segments_to_client),
        retransmitted_segments: counts(|totals| totals.sums.retransmitted_segments),
        rtt_p50_ns: quantiles(|totals| &totals.rtt, 0.5),
        rtt_p95_ns: quantiles(|totals| &totals.rtt, 0.95),
        connect_p95_ns: quantiles(|totals| &totals.connect, 0.95),
    }
}
