//! Questions as they stand behind the question mark of a URL: read, with limits and messages, and written.

use crate::ask::query::Query;
use crate::ask::{Dns, Entities, Entity, Heatmap, Map, Of, Requests, Series, SeriesBy, Sort, Top, TopBy, What};
use crate::engine::Order;
use crate::error::Error;
use crate::range::Range;
use crate::signals::SideName;
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

const RANGE: [&str; 3] = ["from", "to", "last"];
const OF: [&str; 11] = [
    "entity",
    "client",
    "server",
    "port",
    "side",
    "protocol",
    "operation",
    "status",
    "failed",
    "transport",
    "namespace",
];

/// What a parameter may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// A whole number.
    Number {
        /// The least.
        least: u64,
        /// The largest.
        most: u64,
    },
    /// Milliseconds, with a fraction, 0 or more.
    Milliseconds,
    /// `true`, `false`, `1` or `0`.
    Flag,
    /// One of these.
    Word(Vec<&'static str>),
    /// At most 4096 bytes.
    Text,
    /// Sixteen hexadecimal digits, or a full name.
    Entity,
    /// A number with `s`, `m`, `h` or `d`: from ten seconds to 400 days.
    Length,
}

/// A parameter, for whoever has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it means.
    pub help: &'static str,
    /// What it may be.
    pub form: Form,
    /// Without it there is no answer.
    pub required: bool,
}

/// What the parameters mean that several questions have.
fn described(question: &str, name: &'static str) -> Parameter {
    fn words<T>(words: &[(&'static str, T)]) -> Form {
        Form::Word(words.iter().map(|(word, _)| *word).collect())
    }
    let number = |least, most| Form::Number { least, most };
    let (form, help) = match (question, name) {
        (_, "from") => (number(0, u64::MAX), "The beginning of the range, milliseconds since 1970."),
        (_, "to") => (number(0, u64::MAX), "The end of the range, milliseconds since 1970; else now."),
        (_, "last") => (Form::Length, "The range instead: so long until now; without any, 30m."),
        (_, "entity") => (Form::Entity, "Is client or server."),
        (_, "client") => (Form::Entity, "Is the client."),
        (_, "server") => (Form::Entity, "Is the server."),
        (_, "id") => (Form::Entity, "Whose."),
        (_, "port") => (number(0, 65535), "The server's port."),
        (_, "side") => (words(&SIDES), "Observed there."),
        (_, "protocol") => (words(&PROTOCOLS), "Of exchanges."),
        (_, "operation") => (Form::Text, "Of exchanges, exactly."),
        (_, "status") => (Form::Text, "Of exchanges, exactly."),
        (_, "failed") => (Form::Flag, "Of exchanges: failed, or did not."),
        (_, "transport") => (words(&TRANSPORTS), "Of books."),
        ("top", "namespace") => (
            Form::Text,
            "Somebody of this namespace is at an end; of services, those of it, with what is asked of them.",
        ),
        ("requests", "namespace") => (Form::Text, "The server is of this namespace."),
        (_, "namespace") => (Form::Text, "Somebody of this namespace is at an end."),
        ("requests", "text") => (
            Form::Text,
            "With this in a name or an address of an end, the operation or the protocol, whatever the case.",
        ),
        (_, "text") => (Form::Text, "With this in a name, whatever the case."),
        (_, "what") => (words(&WHATS), "What is added up; else exchanges."),
        ("series", "by") => (words(&SERIES_BY), "One series for each of these; else one in all."),
        (_, "by") => (words(&TOP_BY), "The most of these; else services."),
        ("requests", "sort") => (words(&ORDERS), "Which come first; else the newest."),
        (_, "sort") => (words(&SORTS), "What comes first; else the rate, of connections bytes."),
        (_, "ascending") => (Form::Flag, "The least first instead."),
        (_, "points") => (number(1, 2000), "Most points of a series; else 180."),
        (_, "columns") => (number(1, 500), "Most columns; else 120."),
        (_, "curve") => (number(0, 120), "Most points of the small curve; else none."),
        (_, "service") => (Form::Text, "The server's name, with its namespace or without."),
        (_, "why") => (words(&WHYS), "Kept for this reason."),
        (_, "min_ms") => (Form::Milliseconds, "Took at least so many milliseconds."),
        (_, "max_ms") => (Form::Milliseconds, "Took less than so many milliseconds."),
        ("map", "limit") => (number(1, 5000), "Most edges, busiest first; else 2000."),
        ("series", "limit") => {
            (number(1, 100), "Most series, busiest first; else 20. What is beyond is added up as other.")
        }
        (_, _) => (number(1, 1000), "Most rows; else 100."),
    };
    Parameter { name, help, form, required: name == "id" }
}

/// The parameters of a question.
#[must_use]
pub fn parameters<Q: Question>() -> Vec<Parameter> {
    Q::PARAMETERS.iter().flat_map(|names| names.iter().map(|name| described(Q::PATH, name))).collect()
}

/// A question that can stand in a URL.
pub trait Question: Sized {
    /// Behind `/api/v1/`.
    const PATH: &'static str;
    /// The names of all parameters.
    const PARAMETERS: &'static [&'static [&'static str]];

    /// Reads it. `now_ms` is what `last` is counted from.
    ///
    /// # Errors
    /// [`Error::Question`], which says what a parameter must be.
    fn parse(query: &str, now_ms: u64) -> Result<Self, Error>;

    /// Writes it, so that [`Question::parse`] reads the same.
    fn to_query(&self) -> String;
}

/// Reads parameters.
struct Reader<'a>(Query<'a>);

fn wrong(error: String) -> Error {
    Error::Question(error)
}

impl<'a> Reader<'a> {
    fn of<Q: Question>(query: &'a str) -> Result<Self, Error> {
        let known: Vec<&str> = Q::PARAMETERS.concat();
        Query::parse(query, &known).map(Self).map_err(wrong)
    }

    fn read<T>(&self, name: &str, must_be: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Error> {
        self.0.read(name, must_be, read).map_err(wrong)
    }

    fn range(&self, now_ms: u64) -> Result<Range, Error> {
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

    fn entity(&self, name: &str) -> Result<Option<EntityId>, Error> {
        let read = |text: &str| Some(EntityId::from_hex(text).unwrap_or_else(|| EntityId::of(text)));
        self.read(name, "an id of sixteen hexadecimal digits, or a full name", read)
    }

    fn number(&self, name: &str, least: usize, most: usize) -> Result<Option<usize>, Error> {
        let read = |text: &str| text.parse().ok().filter(|number| (least..=most).contains(number));
        self.read(name, &format!("a number from {least} to {most}"), read)
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, Error> {
        self.read(name, "true or false", |text| match text {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        })
    }

    fn text(&self, name: &str) -> Result<Option<String>, Error> {
        let read = |text: &str| (text.len() <= LONGEST_TEXT).then(|| text.to_owned());
        self.read(name, &format!("at most {LONGEST_TEXT} bytes"), read)
    }

    fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Error> {
        let must_be: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let must_be = format!("one of {}", must_be.join(", "));
        self.read(name, &must_be, |text| words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value))
    }

    /// Milliseconds with a fraction, as nanoseconds.
    fn ms(&self, name: &str) -> Result<Option<u64>, Error> {
        let read = |text: &str| text.parse::<f64>().ok().filter(|ms| ms.is_finite() && *ms >= 0.0);
        Ok(self.read(name, "milliseconds, 0 or more", read)?.map(|ms| (ms.min(LONGEST_MS) * 1e6).round() as u64))
    }

    fn whose(&self) -> Result<Of, Error> {
        let port = |text: &str| text.parse::<u16>().ok();
        Ok(Of {
            entity: self.entity("entity")?,
            client: self.entity("client")?,
            server: self.entity("server")?,
            port: self.read("port", "a number from 0 to 65535", port)?,
            side: self.word("side", &SIDES)?,
            protocol: self.word("protocol", &PROTOCOLS)?,
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

const SIDES: [(&str, SideName); 3] =
    [("client", SideName::Client), ("server", SideName::Server), ("network", SideName::Network)];
const PROTOCOLS: [(&str, Protocol); 5] = [
    ("http", Protocol::Http),
    ("redis", Protocol::Redis),
    ("mysql", Protocol::Mysql),
    ("postgresql", Protocol::Postgresql),
    ("dns", Protocol::Dns),
];
const TRANSPORTS: [(&str, Transport); 3] =
    [("tcp", Transport::Tcp), ("udp", Transport::Udp), ("unix", Transport::Unix)];
const WHATS: [(&str, What); 2] = [("exchanges", What::Exchanges), ("books", What::Books)];
const SERIES_BY: [(&str, SeriesBy); 7] = [
    ("nothing", SeriesBy::Nothing),
    ("client", SeriesBy::Client),
    ("server", SeriesBy::Server),
    ("protocol", SeriesBy::Protocol),
    ("operation", SeriesBy::Operation),
    ("status", SeriesBy::Status),
    ("error_type", SeriesBy::ErrorType),
];
const TOP_BY: [(&str, TopBy); 4] = [
    ("services", TopBy::Services),
    ("edges", TopBy::Edges),
    ("operations", TopBy::Operations),
    ("connections", TopBy::Connections),
];
const SORTS: [(&str, Sort); 12] = [
    ("rate", Sort::Rate),
    ("errors", Sort::Errors),
    ("error_ratio", Sort::ErrorRatio),
    ("p50", Sort::P50),
    ("p95", Sort::P95),
    ("p99", Sort::P99),
    ("time", Sort::Time),
    ("bytes", Sort::Bytes),
    ("retransmits", Sort::Retransmits),
    ("rtt", Sort::Rtt),
    ("failed_connects", Sort::FailedConnects),
    ("name", Sort::Name),
];
const ORDERS: [(&str, Order); 2] = [("newest", Order::Newest), ("duration", Order::Duration)];
const WHYS: [(&str, &str); 3] = [("slowest", "slowest"), ("error", "error"), ("random", "random")];

fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    words.iter().find(|(_, there)| there == value).map_or("", |(word, _)| word)
}

/// Writes parameters.
struct Writer(Serializer<'static, String>);

impl Writer {
    fn new() -> Self {
        Self(Serializer::new(String::new()))
    }

    fn put(&mut self, name: &str, value: impl ToString) -> &mut Self {
        self.0.append_pair(name, &value.to_string());
        self
    }

    fn perhaps(&mut self, name: &str, value: Option<impl ToString>) -> &mut Self {
        if let Some(value) = value {
            self.put(name, value);
        }
        self
    }

    fn range(&mut self, range: Range) -> &mut Self {
        self.put("from", range.from_ms).put("to", range.to_ms)
    }

    fn whose(&mut self, of: &Of) -> &mut Self {
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

    fn done(&mut self) -> String {
        self.0.finish()
    }
}

impl Question for Map {
    const PATH: &'static str = "map";
    const PARAMETERS: &'static [&'static [&'static str]] = &[&RANGE, &["entity", "namespace", "limit"]];

    fn parse(query: &str, now_ms: u64) -> Result<Self, Error> {
        let reader = Reader::of::<Self>(query)?;
        Ok(Self {
            range: reader.range(now_ms)?,
            entity: reader.entity("entity")?,
            namespace: reader.text("namespace")?,
            limit: reader.number("limit", 1, 5000)?.unwrap_or(2000),
        })
    }

    fn to_query(&self) -> String {
        Writer::new()
            .range(self.range)
            .perhaps("entity", self.entity)
            .perhaps("namespace", self.namespace.as_ref())
            .put("limit", self.limit)
            .done()
    }
}

impl Question for Series {
    const PATH: &'static str = "series";
    const PARAMETERS: &'static [&'static [&'static str]] = &[&RANGE, &OF, &["by", "what", "points", "limit"]];

    fn parse(query: &str, now_ms: u64) -> Result<Self, Error> {
        let reader = Reader::of::<Self>(query)?;
        Ok(Self {
            range: reader.range(now_ms)?,
            of: reader.whose()?,
            by: reader.word("by", &SERIES_BY)?.unwrap_or_default(),
            what: reader.word("what", &WHATS)?.unwrap_or_default(),
            points: reader.number("points", 1, 2000)?.unwrap_or(180),
            limit: reader.number("limit", 1, 100)?.unwrap_or(20),
        })
    }

    fn to_query(&self) -> String {
        Writer::new()
            .range(self.range)
            .whose(&self.of)
            .put("by", word(&SERIES_BY, &self.by))
            .put("what", word(&WHATS, &self.what))
            .put("points", self.points)
            .put("limit", self.limit)
            .done()
    }
}

impl Question for Top {
    const PATH: &'static str = "top";
    const PARAMETERS: &'static [&'static [&'static str]] =
        &[&RANGE, &OF, &["by", "text", "sort", "ascending", "limit", "curve"]];

    fn parse(query: &str, now_ms: u64) -> Result<Self, Error> {
        let reader = Reader::of::<Self>(query)?;
        Ok(Self {
            range: reader.range(now_ms)?,
            of: reader.whose()?,
            by: reader.word("by", &TOP_BY)?.unwrap_or(TopBy::Services),
            text: reader.text("text")?,
            sort: reader.word("sort", &SORTS)?.unwrap_or_default(),
            ascending: reader.flag("ascending")?.unwrap_or(false),
            limit: reader.number("limit", 1, 1000)?.unwrap_or(100),
            curve: reader.number("curve", 0, 120)?.unwrap_or(0),
        })
    }

    fn to_query(&self) -> String {
        Writer::new()
            .range(self.range)
            .whose(&self.of)
            .put("by", word(&TOP_BY, &self.by))
            .perhaps("text", self.text.as_ref())
            .put("sort", word(&SORTS, &self.sort))
            .put("ascending", self.ascending)
            .put("limit", self.limit)
            .put("curve", self.curve)
            .done()
    }
}

impl Question for Heatmap {
    const PATH: &'static str = "heatmap";
    const PARAMETERS: &'static [&'static [&'static str]] = &[&RANGE, &OF, &["columns"]];

    fn parse(query: &str, now_ms: u64) -> Result<Self, Error> {
        let reader = Reader::of::<Self>(query)?;
        Ok(Self {
            range: reader.range(now_ms)?,
            of: reader.whose()?,
            columns: reader.number("columns", 1, 500)?.unwrap_or(120),
        })
    }

    fn to_query(&self) -> String {
        Writer::new().range(self.range).whose(&self.of).put("columns", self.columns).done()
    }
}

impl Question for Requests {
    const PATH: &'static str = "requests";
    const PARAMETERS: &'static [&'static [&'static str]] = &[
        &RANGE,
        &[
            "server",
            "side",
            "operation",
            "failed",
            "namespace",
            "service",
            "why",
            "min_ms",
            "max_ms",
            "text",
            "sort",
            "limit",
        ],
    ];

    fn parse(query: &str, now_ms: u64) -> Result<Self, Error> {
        let reader = Reader::of::<Self>(query)?;
        let of = Of {
            server: reader.entity("server")?,
            side: reader.word("side", &SIDES)?,
            operation: reader.text("operation")?,
            failed: reader.flag("failed")?,
            namespace: reader.text("namespace")?,
            ..Of::default()
        };
        Ok(Self {
            range: reader.range(now_ms)?,
            of,
            service: reader.text("service")?,
            why: reader.word("why", &WHYS)?.map(str::to_owned),
            least_ns: reader.ms("min_ms")?.unwrap_or(0),
            below_ns: reader.ms("max_ms")?.unwrap_or(u64::MAX),
            text: reader.text("text")?,
            sort: reader.word("sort", &ORDERS)?.unwrap_or_default(),
            limit: reader.number("limit", 1, 1000)?.unwrap_or(100),
        })
    }

    fn to_query(&self) -> String {
        let ms = |ns: u64| format!("{}.{:06}", ns / 1_000_000, ns % 1_000_000);
        Writer::new()
            .range(self.range)
            .whose(&self.of)
            .perhaps("service", self.service.as_ref())
            .perhaps("why", self.why.as_ref())
            .put("min_ms", ms(self.least_ns))
            .perhaps("max_ms", (self.below_ns < u64::MAX).then(|| ms(self.below_ns)))
            .perhaps("text", self.text.as_ref())
            .put("sort", word(&ORDERS, &self.sort))
            .put("limit", self.limit)
            .done()
    }
}

impl Question for Entity {
    const PATH: &'static str = "entity";
    const PARAMETERS: &'static [&'static [&'static str]] = &[&RANGE, &["id"]];

    fn parse(query: &str, now_ms: u64) -> Result<Self, Error> {
        let reader = Reader::of::<Self>(query)?;
        let id = reader.entity("id")?;
        let id = id.ok_or_else(|| wrong("id is missing: whose? /api/v1/entities tells the ids".to_owned()))?;
        Ok(Self { range: reader.range(now_ms)?, id })
    }

    fn to_query(&self) -> String {
        Writer::new().range(self.range).put("id", self.id).done()
    }
}

impl Question for Entities {
    const PATH: &'static str = "entities";
    const PARAMETERS: &'static [&'static [&'static str]] = &[&["text", "limit"]];

    fn parse(query: &str, _: u64) -> Result<Self, Error> {
        let reader = Reader::of::<Self>(query)?;
        let limit = reader.number("limit", 1, 1000)?.unwrap_or(100);
        Ok(Self { text: reader.text("text")?.unwrap_or_default(), limit })
    }

    fn to_query(&self) -> String {
        Writer::new().put("text", &self.text).put("limit", self.limit).done()
    }
}

impl Question for Dns {
    const PATH: &'static str = "dns";
    const PARAMETERS: &'static [&'static [&'static str]] = &[&RANGE, &OF, &["text", "limit"]];

    fn parse(query: &str, now_ms: u64) -> Result<Self, Error> {
        let reader = Reader::of::<Self>(query)?;
        Ok(Self {
            range: reader.range(now_ms)?,
            of: reader.whose()?,
            text: reader.text("text")?,
            limit: reader.number("limit", 1, 1000)?.unwrap_or(100),
        })
    }

    fn to_query(&self) -> String {
        Writer::new()
            .range(self.range)
            .whose(&self.of)
            .perhaps("text", self.text.as_ref())
            .put("limit", self.limit)
            .done()
    }
}
