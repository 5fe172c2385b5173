//! One exchange: a request and what became of it.

use crate::{Attributes, Name, Names, Protocol};

/// Which end of the connection was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The client's socket.
    Client,
    /// The server's socket.
    Server,
    /// Neither: packets on the network (a pcap).
    Network,
}

impl Side {
    /// As it is written in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Side::Client => "client",
            Side::Server => "server",
            Side::Network => "network",
        }
    }
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A response came.
    Answered,
    /// No response by design.
    OneWay,
    /// The connection was closed in order without a (complete) response.
    Unanswered,
    /// The connection was reset before the response was complete.
    Reset,
    /// The kernel or the protocol's own limit gave up waiting.
    Timeout,
    /// The client took the request back.
    Cancelled,
    /// The connection changed to another protocol (HTTP 101, CONNECT, PSYNC).
    Upgraded,
    /// The server read it and did nothing, because a request before it in the same pipeline had failed.
    Skipped,
}

impl Outcome {
    /// As it is written in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Answered => "answered",
            Outcome::OneWay => "one-way",
            Outcome::Unanswered => "unanswered",
            Outcome::Reset => "reset",
            Outcome::Timeout => "timeout",
            Outcome::Cancelled => "cancelled",
            Outcome::Upgraded => "upgraded",
            Outcome::Skipped => "skipped",
        }
    }

    /// The value of `error.type` where no response says more (`semconv`, HTTP spans).
    #[must_use]
    pub fn error_type(self) -> Option<&'static str> {
        match self {
            Outcome::Unanswered => Some("connection_closed"),
            Outcome::Reset => Some("connection_reset"),
            Outcome::Timeout => Some("timeout"),
            Outcome::Skipped => Some("pipeline_aborted"),
            Outcome::Answered | Outcome::OneWay | Outcome::Cancelled | Outcome::Upgraded => None,
        }
    }
}

/// The protocol's own status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// There was none, or it was not seen.
    Unknown,
    /// A number (HTTP 503).
    Code(u16),
    /// A word (Redis `OK`, `WRONGTYPE`).
    Word(Name),
}

/// A database, by the conventions' values of `db.system.name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum System {
    /// Redis, and what speaks like it.
    Redis,
    /// MySQL; also MariaDB if the server's greeting was not seen.
    Mysql,
    /// MariaDB.
    Mariadb,
    /// PostgreSQL.
    Postgresql,
}

impl System {
    /// The value of `db.system.name`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            System::Redis => "redis",
            System::Mysql => "mysql",
            System::Mariadb => "mariadb",
            System::Postgresql => "postgresql",
        }
    }
}

/// Where in a database an exchange took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Database {
    /// What kind of server it is.
    pub system: System,
    /// `db.namespace`: MySQL's schema, PostgreSQL's database, Redis's index. Empty if not known, [`Name::OTHER`] if there are
    /// too many.
    pub namespace: Name,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// A string.
    Text(std::borrow::Cow<'a, str>),
    /// A number.
    Number(u64),
    /// Several strings.
    List(Vec<String>),
}

/// A request and what became of it. Times are monotonic nanoseconds, sizes are bytes on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// The operation, of low cardinality: `GET /users/{id}`, `CONFIG GET`.
    pub operation: Name,
    /// The protocol's status.
    pub status: Status,
    /// How it ended.
    pub outcome: Outcome,
    /// Part of a head was beyond the capture limit, so that attributes may be missing or the status not known.
    pub truncated: bool,
    /// Waits by design (BLPOP, XREAD BLOCK, a stream of events over HTTP): its duration says nothing about the server.
    pub blocking: bool,
    /// Time of the request's first byte.
    pub start: u64,
    /// When the request's first byte reached the socket (observed at the server); 0 if not known.
    pub arrival: u64,
    /// Time of the request's last byte.
    pub request_end: u64,
    /// Time of the response's first byte; 0 without a response.
    pub first_byte: u64,
    /// Time of the response's last byte, or of what ended the exchange instead.
    pub end: u64,
    /// Head and body of the request.
    pub request_bytes: u64,
    /// Heads (1xx included) and body of the response, as far as it came.
    pub response_bytes: u64,
    /// Position of the request's first byte in its direction.
    pub request_offset: u64,
    /// Position of the response's first byte; meaningless without a response.
    pub response_offset: u64,
    /// What only this protocol has.
    pub attributes: Attributes,
}

impl Exchange {
    /// The protocol.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.attributes.protocol()
    }

    /// Who is called the client of the connection was asked here, and the server asked: a DNS server that asks from the port
    /// where it is asked.
    #[must_use]
    pub fn reversed(&self) -> bool {
        self.attributes.reversed()
    }

    /// `error.type` of OpenTelemetry: present if and only if the exchange failed, as seen from `side`. An HTTP 404 is an
    /// error to the client and not to the server; the network takes the client's view.
    #[must_use]
    pub fn error_type<'a>(&self, side: Side, names: &'a Names) -> Option<std::borrow::Cow<'a, str>> {
        match self.outcome.error_type() {
            Some(error) => Some(error.into()),
            None => self.attributes.error_type(self.status, side, names),
        }
    }

    /// What the protocol calls this status, where it is a code and not that of success: `ER_PARSE_ERROR` of MySQL's 1064,
    /// `undefined_table` of SQLSTATE 42P01, `Service Unavailable` of 503. `None` where the status is a word already, as with Redis
    /// and DNS, or the protocol has no name for it.
    #[must_use]
    pub fn status_name(&self, names: &Names) -> Option<&'static str> {
        self.attributes.status_name(self.status, names)
    }

    /// What stands for the operation where its own name is too fine, as a digest of SQL is in metrics: `db.query.summary`.
    /// `None` if the operation's name serves for that too; an empty name if it is too fine and nothing can stand for it.
    #[must_use]
    pub fn summary(&self) -> Option<Name> {
        self.attributes.summary()
    }

    /// The database that was asked; `None` if it was none.
    #[must_use]
    pub fn database(&self) -> Option<Database> {
        self.attributes.database()
    }

    /// Nanoseconds from the arrival of the request's first byte at the server's socket to the read that took it: the time in which
    /// nobody of the server knew of it. `None` where it was not observed at the server, or the arrival is not known.
    #[must_use]
    pub fn queue(&self, side: Side) -> Option<u64> {
        (side == Side::Server && self.arrival != 0).then(|| self.start.saturating_sub(self.arrival))
    }

    /// Nanoseconds from the read of the request's first byte to the response's first byte: what the server took for it. Of requests
    /// that were read together, a later one's has the answers before it in it. `None` where it was not observed at the server, or
    /// there was no response.
    #[must_use]
    pub fn service(&self, side: Side) -> Option<u64> {
        (side == Side::Server && self.first_byte != 0).then(|| self.first_byte.saturating_sub(self.start))
    }

    /// Calls `each` for every attribute that is known, in a fixed order, with its OpenTelemetry name.
    pub fn attributes<'a>(&self, side: Side, names: &'a Names, each: &mut dyn FnMut(&'static str, Value<'a>)) {
        self.attributes.each(self, side, names, each);
        if let Some(error) = self.error_type(side, names) {
            each("error.type", Value::Text(error));
        }
        if let Some(name) = self.status_name(names) {
            each("steth.status.name", Value::Text(name.into()));
        }
    }
}
