//! The windows of the last minutes, merged for the page.

use crate::range::Range;
use crate::shared::Shared;
use crate::tally::{Sides, Tallies};
use hashbrown::HashMap;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use steth_window::{Misplaced, Side, Windows};

/// Most services in an answer, busiest first; likewise operations and callers of each.
const MAX_SERVICES: usize = 200;
const MAX_OPERATIONS: usize = 50;
const MAX_CALLERS: usize = 20;
/// Points of a service's sparkline: five minutes.
const POINTS: u64 = 30;
const SECOND: f64 = 1e9;

/// The answer of `/api/v1/windows`. Internal: it may change with every version.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    /// Where the time range begins and ends: nanoseconds since 1970, as milliseconds.
    from_ms: u64,
    to_ms: u64,
    /// Its length: what the rates were divided by.
    seconds: f64,
    misplaced: Misplaced,
    services_total: usize,
    services: Vec<Service>,
}

#[derive(Debug, Serialize)]
struct Service {
    name: Arc<str>,
    protocols: BTreeSet<&'static str>,
    ports: BTreeSet<u16>,
    rate: f64,
    sides: Sides,
    /// Exchanges per second in each of the last windows, oldest first.
    rates: Vec<f64>,
    operations_total: usize,
    operations: Vec<Operation>,
    callers_total: usize,
    callers: Vec<Caller>,
}

#[derive(Debug, Serialize)]
struct Operation {
    name: Box<str>,
    protocol: &'static str,
    rate: f64,
    sides: Sides,
    /// Exchanges per status, as seen from the side that the rate is of.
    statuses: BTreeMap<Box<str>, u64>,
}

#[derive(Debug, Serialize)]
struct Caller {
    name: Arc<str>,
    rate: f64,
    sides: Sides,
}

#[derive(Default)]
struct Gathered<'a> {
    all: Tallies,
    protocols: BTreeSet<&'static str>,
    ports: BTreeSet<u16>,
    operations: HashMap<(&'static str, &'a str), GatheredOperation<'a>>,
    callers: HashMap<&'a Arc<str>, Tallies>,
}

#[derive(Default)]
struct GatheredOperation<'a> {
    all: Tallies,
    statuses: HashMap<(Side, &'a str), u64>,
}

impl GatheredOperation<'_> {
    fn finish(self, protocol: &'static str, name: &str, seconds: f64) -> Operation {
        let leading = self.all.leading();
        let of_side = self.statuses.into_iter().filter(|((side, _), _)| *side == leading);
        Operation {
            name: name.into(),
            protocol,
            rate: self.all.rate(seconds),
            sides: self.all.sides(seconds),
            statuses: of_side.map(|((_, status), count)| (status.into(), count)).collect(),
        }
    }
}

/// Merges the last `last` windows and the current one.
pub(crate) fn summary(shared: &Shared, last: u64) -> Summary {
    let range = Range::of(shared, last);
    let seconds = range.seconds();
    let mut services: HashMap<&Arc<str>, Gathered<'_>> = HashMap::new();
    let mut misplaced = Misplaced::default();
    for window in range.within() {
        misplaced.add(&window.misplaced);
        for row in &window.rows {
            let (labels, key) = (&*row.labels, &row.labels.key);
            let service = services.entry(&labels.server).or_default();
            service.all.add(row);
            service.protocols.insert(key.protocol.name());
            if key.server_port != 0 && service.ports.len() < 8 {
                service.ports.insert(key.server_port);
            }
            let operation = service.operations.entry((key.protocol.name(), &labels.operation)).or_default();
            operation.all.add(row);
            *operation.statuses.entry((key.side, &labels.status)).or_insert(0) += row.totals.count;
            service.callers.entry(&labels.client).or_default().add(row);
        }
    }
    let services_total = services.len();
    let services = busiest(services.into_iter().collect(), MAX_SERVICES, |(_, service)| service.all.rate(seconds));
    let names: Vec<(&Arc<str>, Side)> = services.iter().map(|(name, service)| (*name, service.all.leading())).collect();
    let rates = sparklines(&range, &names);
    let services = services.into_iter().zip(rates);
    Summary {
        from_ms: range.covered / 1_000_000,
        to_ms: range.to / 1_000_000,
        seconds,
        misplaced,
        services_total,
        services: services.map(|((name, service), rates)| finish(name, service, rates, seconds)).collect(),
    }
}

fn finish(name: &Arc<str>, service: Gathered<'_>, rates: Vec<f64>, seconds: f64) -> Service {
    let (operations_total, callers_total) = (service.operations.len(), service.callers.len());
    let operations =
        busiest(service.operations.into_iter().collect(), MAX_OPERATIONS, |(_, operation)| operation.all.rate(seconds));
    let callers = busiest(service.callers.into_iter().collect(), MAX_CALLERS, |(_, tallies)| tallies.rate(seconds));
    let caller = |(name, tallies): (&Arc<str>, Tallies)| Caller {
        name: name.clone(),
        rate: tallies.rate(seconds),
        sides: tallies.sides(seconds),
    };
    Service {
        name: name.clone(),
        rate: service.all.rate(seconds),
        sides: service.all.sides(seconds),
        protocols: service.protocols,
        ports: service.ports,
        rates,
        operations_total,
        operations: operations.into_iter().map(|((protocol, name), all)| all.finish(protocol, name, seconds)).collect(),
        callers_total,
        callers: callers.into_iter().map(caller).collect(),
    }
}

fn busiest<T>(mut all: Vec<T>, most: usize, rate: impl Fn(&T) -> f64) -> Vec<T> {
    all.sort_by(|a, b| rate(b).total_cmp(&rate(a)));
    all.truncate(most);
    all
}

/// Exchanges per second of each service in the finished windows before `newest`, from one and the same side.
fn sparklines(range: &Range, services: &[(&Arc<str>, Side)]) -> Vec<Vec<f64>> {
    let Range { newest, started, .. } = *range;
    let first = newest.saturating_sub(POINTS * Windows::LENGTH).max(started - started % Windows::LENGTH);
    let points = (newest.saturating_sub(first) / Windows::LENGTH) as usize;
    let place: HashMap<_, usize> = services.iter().enumerate().map(|(at, service)| (*service, at)).collect();
    let mut rates = vec![vec![0.0; points]; services.len()];
    for window in range.all().filter(|window| window.complete && window.start >= first) {
        let point = ((window.start - first) / Windows::LENGTH) as usize;
        for row in &window.rows {
            let service = place.get(&(&row.labels.server, row.labels.key.side));
            if let Some(rate) = service.and_then(|at| rates[*at].get_mut(point)) {
                *rate += row.totals.count as f64 * SECOND / Windows::LENGTH as f64;
            }
        }
    }
    rates
}
