//! One look at the agent: a question, and the rows that answer it.

use super::item::{Item, Request, codes, state_name};
use super::scope::Scope;
use super::view::{NEIGHBOURS, Sort, View};
use crate::print::clean;
use crate::table::{Cell, Column};
use serde_json::{Value, json};
use steth_query::ask;
use steth_query::tell::{Entity, Process};
use steth_query::{Answer, Api, Error, Meta, Order, Range};

/// Most rows that the agent is asked for where it sorts them. Who wants others filters.
const SHOWN: usize = 200;
/// The same for programs, and where rows are sorted here.
const MOST: usize = 1000;
/// Points of a small curve.
const CURVE: usize = 12;
/// Processes that are named above a table.
const PROCESSES: usize = 3;

/// What is looked at, and how.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Question {
    pub(super) view: View,
    pub(super) scope: Scope,
    pub(super) sort: Sort,
    /// The least first instead.
    pub(super) ascending: bool,
    /// Only rows with this in a name, whatever the case.
    pub(super) text: String,
    pub(super) range: Range,
    /// For people: not more rows than they read, with small curves.
    pub(super) people: bool,
}

/// The answer.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) question: Question,
    pub(super) meta: Meta,
    /// Rows that there are.
    pub(super) total: u64,
    pub(super) items: Vec<Item>,
    /// What the rows show.
    pub(super) cells: Vec<Vec<Cell>>,
    /// Lines above the table; what is bad is marked.
    pub(super) above: Vec<Cell>,
}

impl Question {
    /// Asks, and sorts what the agent does not.
    pub(super) fn ask(&self, api: &dyn Api) -> Result<Look, Error> {
        let (meta, total, mut items, above) = match (self.view, &self.scope) {
            (View::Services, Scope::Entity(who)) => {
                let Answer { meta, data } = api.entity(&ask::Entity { range: self.range, id: who.id })?;
                let above = summary(&data);
                let callers = data.callers.into_iter().map(Item::Caller);
                let items: Vec<Item> = callers.chain(data.dependencies.into_iter().map(Item::Dependency)).collect();
                (meta, items.len() as u64, self.filtered(items), above)
            }
            (View::Services | View::Edges | View::Operations | View::Connections, _) => self.top(api)?,
            (View::Dns, _) => self.dns(api)?,
            (View::Requests, _) => self.requests(api)?,
        };
        if self.sorts_here() {
            let weight = |item: &Item| item.weight(self.sort).map(|it| if self.ascending { it } else { -it });
            items.sort_by(|a, b| {
                let (x, y) = (weight(a), weight(b));
                let by_weight = x.is_none().cmp(&y.is_none());
                by_weight.then_with(|| x.unwrap_or(0.0).total_cmp(&y.unwrap_or(0.0)))
            });
            if self.sort == Sort::Name {
                items.sort_by_key(Item::names);
            }
            let turned = matches!(self.sort, Sort::Name | Sort::Newest);
            if turned && self.ascending {
                items.reverse();
            }
        }
        let seconds = self.seconds(&meta);
        let cells = items.iter().map(|item| item.cells(seconds)).collect();
        Ok(Look { question: self.clone(), meta, total, items, cells, above })
    }

    /// The time that rates are of: what is missing of the range is not counted.
    fn seconds(&self, meta: &Meta) -> f64 {
        let missing: u64 = meta.missing.iter().filter_map(|it| it.range.and(meta.range)).map(Range::length_ms).sum();
        meta.range.length_ms().saturating_sub(missing) as f64 / 1e3
    }

    fn sorts_here(&self) -> bool {
        let neighbours = self.view == View::Services && matches!(self.scope, Scope::Entity(_));
        neighbours || matches!(self.view, View::Dns | View::Requests) || self.sort.asked().is_none()
    }

    fn filtered(&self, mut items: Vec<Item>) -> Vec<Item> {
        let wanted = self.text.to_lowercase();
        items.retain(|item| item.names().to_lowercase().contains(&wanted));
        items
    }

    fn wanted(&self) -> Option<String> {
        (!self.text.is_empty()).then(|| self.text.clone())
    }

    fn limit(&self) -> usize {
        if self.people && !self.sorts_here() { SHOWN } else { MOST }
    }

    fn top(&self, api: &dyn Api) -> Result<Told, Error> {
        let by = match self.view {
            View::Services => ask::TopBy::Services,
            View::Operations => ask::TopBy::Operations,
            View::Connections => ask::TopBy::Connections,
            View::Edges | View::Dns | View::Requests => ask::TopBy::Edges,
        };
        let curves = self.people && self.view != View::Connections;
        let Answer { meta, data } = api.top(&ask::Top {
            range: self.range,
            of: self.scope.of(self.view),
            by,
            text: self.wanted(),
            sort: self.sort.asked().unwrap_or_default(),
            ascending: self.ascending && self.sort.asked().is_some(),
            limit: self.limit(),
            curve: if curves { CURVE } else { 0 },
        })?;
        let edge = if self.view == View::Connections { Item::Connection } else { Item::Edge };
        let services = data.services.into_iter().map(Item::Service);
        let items =
            services.chain(data.edges.into_iter().map(edge)).chain(data.operations.into_iter().map(Item::Operation));
        Ok((meta, data.total as u64, items.collect(), vec![]))
    }

    fn dns(&self, api: &dyn Api) -> Result<Told, Error> {
        let of = self.scope.of(self.view);
        let limit = self.limit();
        let Answer { meta, data } = api.dns(&ask::Dns { range: self.range, of, text: self.wanted(), limit })?;
        let above = match &data.codes[..] {
            [] => vec![],
            all => vec![Cell::from(format!("Answers: {}", codes(all)))],
        };
        Ok((meta, data.total as u64, data.questions.into_iter().map(Item::Question).collect(), above))
    }

    fn requests(&self, api: &dyn Api) -> Result<Told, Error> {
        let of = self.scope.of(self.view);
        let limit = self.limit();
        let Answer { meta, data } = api.requests(&ask::Requests {
            range: self.range,
            of,
            service: None,
            why: None,
            least_ns: 0,
            below_ns: u64::MAX,
            text: self.wanted(),
            sort: match self.sort {
                Sort::Duration => Order::Duration,
                _ => Order::Newest,
            },
            limit,
        })?;
        let strange = |error| Error::Remote(format!("a request is not what this version understands: {error}"));
        let items = data.requests.iter().map(|request| Request::new(request).map(|it| Item::Request(Box::new(it))));
        let items = items.collect::<serde_json::Result<Vec<_>>>().map_err(strange)?;
        Ok((meta, data.matching, items, vec![]))
    }
}

type Told = (Meta, u64, Vec<Item>, Vec<Cell>);

/// Who it is, and how he fares.
fn summary(of: &Entity) -> Vec<Cell> {
    let node = &of.node;
    let mut who = format!("State {}", state_name(node.health.state));
    if !node.protocols.is_empty() {
        who += &format!("; answers {}", clean(&node.protocols.join(", ")));
        let ports: Vec<String> = node.ports.iter().map(u16::to_string).collect();
        if !ports.is_empty() {
            who += &format!(" at {}", ports.join(", "));
        }
    }
    let bad = !node.health.findings.is_empty();
    let mut lines = vec![Cell { text: who, bad }];
    for finding in node.health.findings.iter().take(3) {
        lines.push(Cell { text: clean(format!("{} {}", finding.sentence, finding.detail).trim_end()), bad: true });
    }
    let p95 = |signals: &steth_query::BySide| signals.shown().and_then(|it| it.duration).map(|it| it.p95_ns);
    if let (Some(before), Some(now)) = (p95(&of.before), p95(&node.answers)) {
        let rounded = |ns: f64| crate::print::Rounded(ns as u64);
        lines.push(Cell::from(format!("p95 {}, {} in the range before.", rounded(now), rounded(before))));
    }
    let process = |process: &Process| {
        let mut line = format!("Process {} {}", process.pid, clean(&process.name));
        let places = [("unit", &process.unit), ("container", &process.container_name), ("pod", &process.pod)];
        for (what, place) in places.into_iter().filter(|(_, place)| !place.is_empty()) {
            line += &format!(", {what} {}", clean(place));
        }
        Cell::from(line)
    };
    lines.extend(of.processes.iter().take(PROCESSES).map(process));
    if of.processes.len() > PROCESSES {
        lines.push(Cell::from(format!("and {} more processes", of.processes.len() - PROCESSES)));
    }
    lines
}

impl Look {
    pub(super) fn columns(&self) -> &'static [Column] {
        match (self.question.view, &self.question.scope) {
            (View::Services, Scope::Entity(_)) => &NEIGHBOURS,
            (view, _) => view.columns(),
        }
    }

    /// How many of how many, of whom, when, and what of it is not there.
    pub(super) fn title(&self, rows: usize) -> String {
        let Question { view, scope, .. } = &self.question;
        let neighbours = *view == View::Services && matches!(scope, Scope::Entity(_));
        let what = if neighbours { "neighbours" } else { view.word() };
        let whose = scope.words(*view);
        let space = if whose.is_empty() { "" } else { " " };
        format!("{rows} of {} {what}{space}{whose}, {}", self.total, self.time())
    }

    /// The range that was read, and whether all of it was kept.
    fn time(&self) -> String {
        let seconds = self.meta.range.length_ms() / 1000;
        let mut text = format!("last {}", humantime::format_duration(std::time::Duration::from_secs(seconds)));
        if !self.meta.complete {
            let kept = self.question.seconds(&self.meta) as u64;
            text += &format!(" ({} kept)", humantime::format_duration(std::time::Duration::from_secs(kept)));
        }
        text
    }

    /// What was counted under another name; `None` if nothing was.
    pub(super) fn folded(&self) -> Option<String> {
        let folded = self.meta.folded;
        let all = folded.operations + folded.rows + folded.edges + folded.misdated;
        (all > 0).then(|| format!("{all} counted under other"))
    }

    /// For programs.
    pub(super) fn to_json(&self) -> serde_json::Result<Value> {
        let rows = self.items.iter().map(Item::to_json).collect::<serde_json::Result<Vec<_>>>()?;
        let Question { view, sort, .. } = &self.question;
        let seconds = self.question.seconds(&self.meta);
        Ok(
            json!({"by": view, "sort": sort.name(), "seconds": seconds, "total": self.total, "meta": self.meta, "rows": rows}),
        )
    }
}
