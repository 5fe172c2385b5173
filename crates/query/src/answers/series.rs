//! What is counted over time.

use crate::answers::graph::both_ways;
use crate::answers::names::Names;
use crate::answers::plan::Plan;
use crate::answers::{Answers, How};
use crate::ask::{self, SeriesBy, What};
use crate::engine::{Dimension, EdgeGroup, Engine, Key, Sums};
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

/// The steps of one series, each side by itself.
type Steps<T> = HashMap<Of, [Option<Vec<T>>; 3]>;

impl<E: Engine> Answers<E> {
    pub(super) fn answer_series(&self, ask: &ask::Series) -> Result<Answer<Series>, Error> {
        let (_, plan) = self.plan(ask.range, Some(ask.points))?;
        let times_ms = plan.times();
        let (total, series) = match ask.what {
            What::Exchanges => self.exchange_lines(ask, &plan, times_ms.len())?,
            What::Books => self.book_lines(ask, &plan, times_ms.len())?,
        };
        self.finish(plan, Series { times_ms, total, series })
    }

    fn exchange_lines(&self, ask: &ask::Series, plan: &Plan, steps: usize) -> Result<(usize, Vec<Line>), Error> {
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
        let mut all: Steps<Sums> = HashMap::new();
        for group in self.exchanges(plan, plan.range, ask.of.filter(), &by, How::BY_STEP)? {
            let (Some(side), Some(at)) = (group.key.side, plan.place(group.key.at_ms)) else { continue };
            let line = all.entry(of(ask.by, &group.key)).or_default()[side as usize]
                .get_or_insert_with(|| vec![Sums::default(); steps]);
            if let Some(sums) = line.get_mut(at) {
                sums.add(&group.sums);
            }
        }
        let total = all.len();
        let count = |steps: &Option<Vec<Sums>>| steps.iter().flatten().map(|sums| sums.count).sum();
        let lines = busiest(all, ask.limit, count, Sums::add);
        self.lines(lines, total, |line, side, steps: &[Sums]| line.exchanges = Some(exchange_points(side, steps)))
    }

    fn book_lines(&self, ask: &ask::Series, plan: &Plan, steps: usize) -> Result<(usize, Vec<Line>), Error> {
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
        let mut all: Steps<EdgeTotals> = HashMap::new();
        for group in self.books(plan, ask.of.filter(), &by, true)? {
            let EdgeGroup { client, server, side: Some(side), totals, .. } = &group else { continue };
            let Some(at) = plan.place(group.at_ms) else { continue };
            let of = client.or(*server).map_or(Of::All, Of::Entity);
            let line =
                all.entry(of).or_default()[*side as usize].get_or_insert_with(|| vec![EdgeTotals::default(); steps]);
            if let Some(sum) = line.get_mut(at) {
                sum.merge(totals);
            }
        }
        let total = all.len();
        let bytes = |steps: &Option<Vec<EdgeTotals>>| steps.iter().flatten().map(both_ways).sum();
        let lines = busiest(all, ask.limit, bytes, EdgeTotals::merge);
        self.lines(lines, total, |line, _, steps: &[EdgeTotals]| line.books = Some(book_points(steps)))
    }

    /// Names them, and writes their points down.
    fn lines<T>(
        &self,
        lines: Vec<(Of, [Option<Vec<T>>; 3])>,
        total: usize,
        write: impl Fn(&mut Line, Side, &[T]),
    ) -> Result<(usize, Vec<Line>), Error> {
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

/// The busiest ones; what is beyond the limit is added up.
fn busiest<T: Clone>(
    all: Steps<T>,
    limit: usize,
    weight: impl Fn(&Option<Vec<T>>) -> u64,
    add: impl Fn(&mut T, &T),
) -> Vec<(Of, [Option<Vec<T>>; 3])> {
    // Each exchange may be seen at both ends: the end that has seen more decides.
    let weight = |sides: &[Option<Vec<T>>; 3]| sides.iter().map(&weight).max().unwrap_or(0);
    let mut lines: Vec<_> = all.into_iter().map(|(of, sides)| (weight(&sides), of, sides)).collect();
    lines.sort_by(|(x, a, _), (y, b, _)| y.cmp(x).then_with(|| a.cmp(b)));
    let rest = lines.split_off(lines.len().min(limit));
    let mut lines: Vec<_> = lines.into_iter().map(|(_, of, sides)| (of, sides)).collect();
    let mut sum: [Option<Vec<T>>; 3] = Default::default();
    for (_, _, sides) in rest {
        for (sum, steps) in sum.iter_mut().zip(sides) {
            match (&mut *sum, steps) {
                (Some(sum), Some(steps)) => sum.iter_mut().zip(&steps).for_each(|(sum, step)| add(sum, step)),
                (sum @ None, steps) => *sum = steps,
                (Some(_), None) => {}
            }
        }
    }
    if sum.iter().any(Option::is_some) {
        lines.push((Of::Rest, sum));
    }
    lines
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
