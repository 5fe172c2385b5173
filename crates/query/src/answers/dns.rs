//! Which names are looked up, and what comes of it.

use crate::answers::graph::With;
use crate::answers::{Answers, How};
use crate::ask;
use crate::engine::{Dimension, Engine, Filter, Key, Sums};
use crate::error::Error;
use crate::meta::Answer;
use crate::signals::BySide;
use crate::tell::{Code, Dns, Question};
use hashbrown::HashMap;
use std::sync::Arc;
use steth_window::{Protocol, Side};

/// Pairs of client and resolver that are shown.
const MOST_RESOLVERS: usize = 100;

/// How many there are of each code, by side.
type Codes = HashMap<(Side, String), u64>;

impl<E: Engine> Answers<E> {
    pub(super) fn answer_dns(&self, ask: &ask::Dns) -> Result<Answer<Dns>, Error> {
        let (coverage, plan) = self.plan(ask.range, None)?;
        let within = self.members(&ask.of)?;
        let filter = Filter { protocol: Some(Protocol::Dns), ..ask.of.filter(&within) };
        let by = [Dimension::Side, Dimension::Operation];
        let mut all: [Sums; 3] = Default::default();
        let mut questions: HashMap<Arc<str>, [Sums; 3]> = HashMap::new();
        for group in self.exchanges(&plan, plan.range, filter, &by, How::WHOLE)? {
            let (Some(side), Some(operation)) = (group.key.side, group.key.operation) else { continue };
            all[side as usize].add(&group.sums);
            questions.entry(operation).or_default()[side as usize].add(&group.sums);
        }
        let by = [Dimension::Side, Dimension::Operation, Dimension::Status, Dimension::ErrorType];
        let mut codes_of: HashMap<Arc<str>, Codes> = HashMap::new();
        let mut codes_of_all = Codes::new();
        for group in self.exchanges(&plan, plan.range, filter, &by, How::COUNTS)? {
            let (Some(side), Some(operation)) = (group.key.side, group.key.operation.clone()) else { continue };
            let code = (side, code(&group.key));
            *codes_of.entry(operation).or_default().entry(code.clone()).or_default() += group.sums.count;
            *codes_of_all.entry(code).or_default() += group.sums.count;
        }
        let text = ask.text.as_deref().map(str::to_lowercase);
        questions.retain(|question, _| text.as_deref().is_none_or(|text| question.to_lowercase().contains(text)));
        let total = questions.len();
        let told = |(operation, sums): (Arc<str>, [Sums; 3])| {
            let signals = BySide::of(&sums, plan.seconds);
            let codes = codes_of.get(&operation).map(|codes| preferred(&signals, codes)).unwrap_or_default();
            Question { operation: operation.to_string(), signals: signals.shown().cloned(), codes }
        };
        let mut questions: Vec<Question> = questions.into_iter().map(told).collect();
        let count = |question: &Question| question.signals.as_ref().map_or(0, |signals| signals.count);
        questions.sort_by(|a, b| count(b).cmp(&count(a)).then_with(|| a.operation.cmp(&b.operation)));
        questions.truncate(ask.limit);
        let graph = self.graph(&coverage, &plan, filter, With::BooksOfExchanges)?;
        let mut resolvers = graph.edges(plan.seconds, &self.limits);
        let resolvers_total = resolvers.len();
        resolvers.truncate(MOST_RESOLVERS);
        let signals = BySide::of(&all, plan.seconds);
        let codes = preferred(&signals, &codes_of_all);
        self.finish(plan, Dns { signals, codes, total, questions, resolvers_total, resolvers })
    }
}

/// The code of an answer, or why there was none.
fn code(key: &Key) -> String {
    let [status, error] = [&key.status, &key.error_type].map(|text| text.as_deref().unwrap_or_default());
    match (status, error) {
        ("", "") => "none",
        ("", error) => error,
        (status, _) => status,
    }
    .to_owned()
}

/// Those of the preferred side, the most first.
fn preferred(signals: &BySide, codes: &Codes) -> Vec<Code> {
    let Some(side) = signals.preferred.map(Side::from) else { return Vec::new() };
    let mut codes: Vec<Code> = (codes.iter())
        .filter(|((of, _), _)| *of == side)
        .map(|((_, code), count)| Code { code: code.clone(), count: *count })
        .collect();
    codes.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.code.cmp(&b.code)));
    codes
}
