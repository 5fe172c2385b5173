//! The questions of `steth_query`, asked of a running agent over HTTP.

use crate::ask::Agent;
use serde::de::DeserializeOwned;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use steth_query::ask::{self, Question};
use steth_query::{Answer, Api, Error, Range, tell};

/// A running agent.
pub(crate) struct Remote(pub(crate) Agent);

impl Remote {
    fn ask<Q: Question, T: DeserializeOwned>(&self, question: &Q) -> Result<Answer<T>, Error> {
        self.0.json(&path(question)).map_err(|error| Error::Remote(format!("{error:#}")))
    }
}

/// Where a question is answered.
pub(crate) fn path<Q: Question>(question: &Q) -> String {
    format!("/api/v1/{}?{}", Q::PATH, question.to_query())
}

/// From so long ago until now.
pub(crate) fn last(length: Duration) -> Range {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let to_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, ms);
    Range { from_ms: to_ms.saturating_sub(ms(length)), to_ms }
}

impl Api for Remote {
    fn map(&self, ask: &ask::Map) -> Result<Answer<tell::Map>, Error> {
        self.ask(ask)
    }

    fn series(&self, ask: &ask::Series) -> Result<Answer<tell::Series>, Error> {
        self.ask(ask)
    }

    fn top(&self, ask: &ask::Top) -> Result<Answer<tell::Top>, Error> {
        self.ask(ask)
    }

    fn heatmap(&self, ask: &ask::Heatmap) -> Result<Answer<tell::Heatmap>, Error> {
        self.ask(ask)
    }

    fn requests(&self, ask: &ask::Requests) -> Result<Answer<tell::Requests>, Error> {
        self.ask(ask)
    }

    fn entity(&self, ask: &ask::Entity) -> Result<Answer<tell::Entity>, Error> {
        self.ask(ask)
    }

    fn entities(&self, ask: &ask::Entities) -> Result<Answer<tell::Entities>, Error> {
        self.ask(ask)
    }

    fn dns(&self, ask: &ask::Dns) -> Result<Answer<tell::Dns>, Error> {
        self.ask(ask)
    }
}
