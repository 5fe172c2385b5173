//! Each question, from its parameters and back.

use crate::ask::parameters::{OF, ORDERS, RANGE, SERIES_BY, SIDES, SORTS, TOP_BY, WHATS, WHYS};
use crate::ask::text::{Reader, Writer, word};
use crate::ask::{Dns, Entities, Entity, Heatmap, Map, Of, Requests, Series, Top, TopBy};
use crate::error::Error;

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
        let id =
            id.ok_or_else(|| Error::Question("id is missing: whose? /api/v1/entities tells the ids".to_owned()))?;
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
