//! What leaves the parser: OpenTelemetry attributes (`dns.*`), and what the conventions do not have under `steth.dns.*`.

use super::answer::Addresses;
use crate::parser::Detail;
use crate::{Exchange, Name, Names, Side, Status, Value};
use std::borrow::Cow;

/// What only DNS has.
#[derive(Clone, Copy, Debug)]
pub struct Attributes {
    /// The name that was asked for, in lower case; [`Name::OTHER`] beyond the limit, empty if nothing was.
    pub question: Name,
    /// The addresses that answer it, as many as fit.
    pub addresses: Addresses,
    /// Records in the answer section.
    pub answers: u32,
    /// How often it was asked.
    pub attempts: u16,
    /// The response was truncated (TC), so that it is asked for again over TCP.
    pub tc: bool,
    /// The response code says that it went wrong.
    pub(super) failed: bool,
    pub(super) reversed: bool,
}

impl Detail for Attributes {
    fn each<'a>(
        &self,
        exchange: &Exchange,
        _side: Side,
        names: &'a Names,
        each: &mut dyn FnMut(&'static str, Value<'a>),
    ) {
        if self.question != Name::EMPTY && self.question != Name::OTHER {
            each("dns.question.name", Value::Text(names.get(self.question).into()));
        }
        if self.addresses.iter().next().is_some() {
            each("dns.answers", Value::List(self.addresses.iter().map(|address| address.to_string()).collect()));
        }
        if matches!(exchange.status, Status::Word(_)) {
            each("steth.dns.answer_count", Value::Number(self.answers.into()));
        }
        if self.attempts > 1 {
            each("steth.dns.attempts", Value::Number(self.attempts.into()));
        }
        if self.tc {
            each("steth.dns.truncated", Value::Number(1));
        }
    }

    /// `error.type`: the response code's mnemonic (`NXDOMAIN`, `SERVFAIL`); none for `NOERROR`.
    fn error_type<'a>(&self, status: Status, _side: Side, names: &'a Names) -> Option<Cow<'a, str>> {
        match status {
            // A full table has no name for success either, and it must not look like an error.
            Status::Word(Name::OTHER) | Status::Unknown | Status::Code(_) => None,
            Status::Word(word) => self.failed.then(|| names.get(word).into()),
        }
    }

    fn reversed(&self) -> bool {
        self.reversed
    }
}
