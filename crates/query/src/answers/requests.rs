//! Requests that were kept one by one.

use crate::answers::{Answers, Within, now_ms};
use crate::ask;
use crate::engine::{Engine, Kept, SampleScan};
use crate::error::Error;
use crate::meta::Answer;
use crate::range::Range;
use crate::tell::{Request, Requests};
use crate::text::Text;
use serde::Deserialize;
use serde_json::value::RawValue;

impl<E: Engine> Answers<E> {
    /// The range is not cut to finished windows: requests are kept as they come.
    pub(super) fn answer_requests(&self, ask: &ask::Requests) -> Result<Answer<Requests>, Error> {
        let (_, plan) = self.plan(ask.range, None)?;
        let now = now_ms();
        let range = Range { to_ms: ask.range.to_ms.min(now.saturating_add(1)), ..ask.range };
        let text = ask.text.as_deref().map(Text::new);
        let samples = self.timed(self.engine.samples(&SampleScan {
            range,
            filter: ask.of.filter(&Within(None)),
            service: ask.service.as_deref(),
            namespace: ask.of.namespace.as_deref(),
            text: text.as_ref(),
            why: ask.why.as_deref(),
            least_ns: ask.least_ns,
            below_ns: ask.below_ns,
            order: ask.sort,
            limit: ask.limit,
            deadline: plan.deadline,
        }))?;
        let requests = samples.samples.iter().map(request).collect::<Result<_, _>>()?;
        self.finish(plan, Requests { matching: samples.matching, requests })
    }
}

fn request(kept: &Kept) -> Result<Request, Error> {
    #[derive(Deserialize)]
    struct Parts {
        instants: Option<Box<RawValue>>,
        exchange: Option<Box<RawValue>>,
        tcp: Option<Box<RawValue>>,
    }
    let unreadable = |error| Error::Store(format!("a request that was kept cannot be read: {error}"));
    let parts: Parts = serde_json::from_str(&format!("{{{}}}", kept.json)).map_err(unreadable)?;
    let or_nothing = |part: Option<Box<RawValue>>| match part {
        Some(part) => Ok(part),
        None => RawValue::from_string("{}".to_owned()).map_err(unreadable),
    };
    Ok(Request {
        why: kept.why.iter().map(|why| (*why).to_owned()).collect(),
        instants: or_nothing(parts.instants)?,
        exchange: or_nothing(parts.exchange)?,
        tcp: parts.tcp,
    })
}
