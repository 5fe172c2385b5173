//! Parameters as they stand behind the question mark of a URL: read, with limits and messages, and written.

use crate::ask::Of;
use crate::ask::parameters::{SIDES, TRANSPORTS, protocols};
use crate::ask::query::Query;
use crate::ask::questions::Question;
use crate::error::Error;
use crate::range::Range;
use form_urlencoded::Serializer;
use steth_window::{EntityId, Protocol, Transport};

/// Longest range, milliseconds: 400 days.
const LONGEST: u64 = 400 * 24 * 3600 * 1000;
/// The range if none is asked for: the last half hour.
const USUAL: u64 = 30 * 60 * 1000;
/// Longest text, bytes. The longest operation is shorter.
const LONGEST_TEXT: usize = 4096;

/// Nothing takes longer, milliseconds: eleven days. What is asked beyond is that; up to here a nanosecond survives the decimals.
const LONGEST_MS: f64 = 1e9;

/// Reads parameters.
pub(super) struct Reader<'a>(Query<'a>);

fn wrong(error: String) -> Error {
    Error::Question(error)
}

impl<'a> Reader<'a> {
    pub(super) fn of<Q: Question>(query: &'a str) -> Result<Self, Error> {
        let known: Vec<&str> = Q::PARAMETERS.concat();
        Query::parse(query, &known).map(Self).map_err(wrong)
    }

    pub(super) fn read<T>(
        &self,
        name: &str,
        must_be: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        self.0.read(name, must_be, read).map_err(wrong)
    }

    pub(super) fn range(&self, now_ms: u64) -> Result<Range, Error> {
        let ms = |name| self.read(name, "milliseconds since 1970", |text| text.parse::<u64>().ok());
        let (from, to) = (ms("from")?, ms("to")?);
        let last = self.read("last", "a time from 10s to 400d: 30s, 5m, 1h, 7d", last)?;
        let range = match (from, to, last) {
            (None, None, last) => {
                let length = last.unwrap_or(USUAL);
                Range { from_ms: now_ms.saturating_sub(length), to_ms: now_ms }
            }
            (Some(from_ms), to, None) => Range { from_ms, to_ms: to.unwrap_or(now_ms) },
            (None, Some(to_ms), None) => Range { from_ms: to_ms.saturating_sub(USUAL), to_ms },
            (_, _, Some(_)) => return Err(wrong("either last, or from and to".to_owned())),
        };
        if range.from_ms >= range.to_ms {
            return Err(wrong("from must be before to".to_owned()));
        }
        if range.length_ms() > LONGEST {
            return Err(wrong("the longest range is 400 days".to_owned()));
        }
        Ok(range)
    }

    pub(super) fn entity(&self, name: &str) -> Result<Option<EntityId>, Error> {
        let read = |text: &str| Some(EntityId::from_hex(text).unwrap_or_else(|| EntityId::of(text)));
        self.read(name, "an id of sixteen hexadecimal digits, or a full name", read)
    }

    pub(super) fn number(&self, name: &str, least: usize, most: usize) -> Result<Option<usize>, Error> {
        let read = |text: &str| text.parse().ok().filter(|number| (least..=most).contains(number));
        self.read(name, &format!("a number from {least} to {most}"), read)
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Error> {
        self.read(name, "true or false", |text| match text {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        })
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Error> {
        let read = |text: &str| (text.len() <= LONGEST_TEXT).then(|| text.to_owned());
        self.read(name, &format!("at most {LONGEST_TEXT} bytes"), read)
    }

    pub(super) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Error> {
        let must_be: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let must_be = format!("one of {}", must_be.join(", "));
        self.read(name, &must_be, |text| words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value))
    }

    /// Milliseconds with a fraction, as nanoseconds.
    pub(super) fn ms(&self, name: &str) -> Result<Option<u64>, Error> {
        let read = |text: &str| text.parse::<f64>().ok().filter(|ms| ms.is_finite() && *ms >= 0.0);
        Ok(self.read(name, "milliseconds, 0 or more", read)?.map(|ms| (ms.min(LONGEST_MS) * 1e6).round() as u64))
    }

    pub(super) fn whose(&self) -> Result<Of, Error> {
        let port = |text: &str| text.parse::<u16>().ok();
        Ok(Of {
            entity: self.entity("entity")?,
            client: self.entity("client")?,
            server: self.entity("server")?,
            port: self.read("port", "a number from 0 to 65535", port)?,
            side: self.word("side", &SIDES)?,
            protocol: self.word("protocol", &protocols())?,
            operation: self.text("operation")?,
            status: self.text("status")?,
            failed: self.flag("failed")?,
            transport: self.word("transport", &TRANSPORTS)?,
            namespace: self.text("namespace")?,
        })
    }
}

/// `30s`, `5m`, `1h`, `7d`, in milliseconds: from ten seconds to 400 days.
fn last(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let second = 1000;
    let unit = match unit {
        "s" => second,
        "m" => 60 * second,
        "h" => 3600 * second,
        "d" => 24 * 3600 * second,
        _ => return None,
    };
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let ms = digits.then(|| number.parse::<u64>().ok()).flatten()?.checked_mul(unit)?;
    (10 * second..=LONGEST).contains(&ms).then_some(ms)
}

pub(super) fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    words.iter().find(|(_, there)| there == value).map_or("", |(word, _)| word)
}

/// Writes parameters.
pub(super) struct Writer(Serializer<'static, String>);

impl Writer {
    pub(super) fn new() -> Self {
        Self(Serializer::new(String::new()))
    }

    pub(super) fn put(&mut self, name: &str, value: impl ToString) -> &mut Self {
        self.0.append_pair(name, &value.to_string());
        self
    }

    pub(super) fn perhaps(&mut self, name: &str, value: Option<impl ToString>) -> &mut Self {
        if let Some(value) = value {
            self.put(name, value);
        }
        self
    }

    pub(super) fn range(&mut self, range: Range) -> &mut Self {
        self.put("from", range.from_ms).put("to", range.to_ms)
    }

    pub(super) fn whose(&mut self, of: &Of) -> &mut Self {
        // MariaDB's protocol has MySQL's name.
        let protocol = |protocol: Protocol| protocol.name();
        self.perhaps("entity", of.entity)
            .perhaps("client", of.client)
            .perhaps("server", of.server)
            .perhaps("port", of.port)
            .perhaps("side", of.side.map(|side| word(&SIDES, &side)))
            .perhaps("protocol", of.protocol.map(protocol))
            .perhaps("operation", of.operation.as_ref())
            .perhaps("status", of.status.as_ref())
            .perhaps("failed", of.failed)
            .perhaps("transport", of.transport.map(Transport::name))
            .perhaps("namespace", of.namespace.as_ref())
    }

    pub(super) fn done(&mut self) -> String {
        self.0.finish()
    }
}
