//! The requests that are kept one by one, as they were asked for.

use crate::query::Query;
use std::fmt::Write as _;
use steth_samples::{Kept, Sample, Why};
use steth_window::Side;

const MOST: usize = 1000;
const USUAL: usize = 100;

/// Which requests.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    service: Option<String>,
    operation: Option<String>,
    side: Option<Side>,
    why: Option<Why>,
    least_ns: u64,
    errors: Option<bool>,
    /// Nanoseconds since 1970.
    since: u64,
    limit: usize,
}

impl Wanted {
    const PARAMETERS: [&str; 8] = ["service", "operation", "side", "why", "min_ms", "errors", "since", "limit"];

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let query = Query::parse(text, &Self::PARAMETERS)?;
        let side = |text: &str| match text {
            "client" => Some(Side::Client),
            "server" => Some(Side::Server),
            "network" => Some(Side::Network),
            _ => None,
        };
        let milliseconds = |text: &str| text.parse::<f64>().ok().filter(|ms| ms.is_finite() && *ms >= 0.0);
        let yes_or_no = |text: &str| match text {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        };
        let limit = |text: &str| text.parse().ok().filter(|limit| (1..=MOST).contains(limit));
        Ok(Self {
            service: query.get("service").map(str::to_owned),
            operation: query.get("operation").map(str::to_owned),
            side: query.read("side", "client, server or network", side)?,
            why: query.read("why", "slowest, error or random", Why::named)?,
            // What is too large for the type is longer than anything takes: the cast stops at the largest number.
            least_ns: query.read("min_ms", "milliseconds, 0 or more", milliseconds)?.map_or(0, |ms| (ms * 1e6) as u64),
            errors: query.read("errors", "true or false", yes_or_no)?,
            since: query
                .read("since", "milliseconds since 1970", |text| text.parse::<u64>().ok())?
                .map_or(0, |ms| ms.saturating_mul(1_000_000)),
            limit: query.read("limit", &format!("a number from 1 to {MOST}"), limit)?.unwrap_or(USUAL),
        })
    }

    fn is(&self, Kept { why, sample, .. }: &Kept) -> bool {
        let Sample { operation, side, end, duration_ns, failed, .. } = &**sample;
        self.service.as_ref().is_none_or(|service| sample.is_of(service))
            && self.operation.as_ref().is_none_or(|wanted| **wanted == **operation)
            && self.side.is_none_or(|wanted| wanted == *side)
            && self.why.is_none_or(|wanted| why.has(wanted))
            && *duration_ns >= self.least_ns
            && self.errors.is_none_or(|wanted| wanted == *failed)
            && *end >= self.since
    }
}

/// `{"kept":n,"matching":n,"requests":[{"why":[…],"instants":{…},"exchange":{…}},…]}`, newest first. Of `matching`, only as many
/// as were asked for are shown.
pub(crate) fn answer(kept: &[Kept], wanted: &Wanted) -> String {
    let mut matching: Vec<_> = kept.iter().filter(|kept| wanted.is(kept)).collect();
    // They were kept in the order in which they were heard of; what was read late ended earlier.
    matching.sort_by_key(|kept| std::cmp::Reverse(kept.sample.end));
    let mut text = format!(r#"{{"kept":{},"matching":{},"requests":["#, kept.len(), matching.len());
    for (n, Kept { why, sample, .. }) in matching.into_iter().take(wanted.limit).enumerate() {
        text.push_str(if n == 0 { r#"{"why":["# } else { r#",{"why":["# });
        for (n, name) in why.names().enumerate() {
            let _ = write!(text, r#"{}"{name}""#, if n == 0 { "" } else { "," });
        }
        let _ = write!(text, "],{}}}", sample.json);
    }
    text.push_str("]}");
    text
}
