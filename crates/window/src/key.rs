//! What a row is about ([`Key`], numbers only), and the same in words ([`Labels`]).

use crate::entity::{Entities, EntityId, Kind};
use crate::protocol::Protocol;
use serde::Serialize;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Which end of the connection was observed. Rows of different sides are never summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Side {
    /// The client's socket.
    Client = 0,
    /// The server's socket.
    Server = 1,
    /// Neither: packets on the network (a pcap).
    Network = 2,
}

/// The protocol's own status: a number, an interned word, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Status(u32);

impl Status {
    /// There was none, or it is not known.
    pub const NONE: Status = Status(0);
    const CODE: u32 = 1 << 31;

    /// A number (HTTP 503).
    #[must_use]
    pub fn code(code: u16) -> Self {
        Status(Self::CODE | u32::from(code))
    }

    /// A word, by its number in the caller's table of names; 0 is no status.
    #[must_use]
    pub fn word(name: u32) -> Self {
        Status(name & !Self::CODE)
    }

    fn resolve(self, name: Resolve<'_, '_>) -> Box<str> {
        if self.0 & Self::CODE != 0 {
            (self.0 & !Self::CODE).to_string().into()
        } else if self == Self::NONE {
            "".into()
        } else {
            name(self.0).into()
        }
    }
}

/// Gives the string behind a number of the caller's table of names.
pub type Resolve<'a, 'n> = &'a dyn Fn(u32) -> &'n str;

/// What a row is about. Numbers of names are those of the caller's own table, which must not forget: number 0 is the
/// empty string, and [`Key::OTHER`] is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Who asked.
    pub client: EntityId,
    /// Who answered: the service.
    pub server: EntityId,
    /// The operation's name, of low cardinality: `GET /users/{id}`.
    pub operation: u32,
    /// Name of what stands for the operation where the operation itself is too fine: in metrics, a statement's verbs and
    /// tables instead of its digest. `None` if there the operation is named too.
    pub summary: Option<u32>,
    /// Name of the database on its server (`db.namespace`); 0 if not known, or there is none.
    pub namespace: u32,
    /// The protocol's status.
    pub status: Status,
    /// Name of the `error.type`; 0 if the exchange did not fail. This alone says what is an error.
    pub error_type: u32,
    /// The server's port, 0 if not known.
    pub server_port: u16,
    /// Which end was observed.
    pub side: Side,
    /// The protocol.
    pub protocol: Protocol,
}

impl Key {
    /// In place of a name: what did not fit into a limit.
    pub const OTHER: u32 = u32::MAX;

    /// Whether exchanges of this row failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.error_type != 0
    }

    /// The same, of any client.
    #[must_use]
    pub(crate) fn any_client(self) -> Self {
        Self { client: EntityId::OTHER, ..self }
    }

    /// The same, of any operation in any database.
    #[must_use]
    pub(crate) fn any_operation(self) -> Self {
        Self { operation: Self::OTHER, summary: None, namespace: 0, ..self }
    }

    /// The same, of any operation that has this summary.
    #[must_use]
    pub(crate) fn any_of_summary(self) -> Self {
        Self { operation: Self::OTHER, ..self }
    }

    /// The same, with only success and failure kept apart.
    #[must_use]
    pub(crate) fn any_status(self) -> Self {
        let error_type = if self.failed() { Self::OTHER } else { 0 };
        Self { status: Status::NONE, error_type, ..self }
    }

    /// All that remains when even services have to be folded: side, protocol, success or failure.
    #[must_use]
    pub(crate) fn anything(self) -> Self {
        Self { server: EntityId::OTHER, server_port: 0, ..self.any_client().any_operation().any_status() }
    }
}

impl Hash for Key {
    // Four words instead of ten fields: this is on the hot path.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.client.0);
        // Where operations were folded, summaries alone tell rows apart.
        let place = u64::from(self.summary.map_or(0, |summary| summary ^ 1 << 31)) << 32 | u64::from(self.namespace);
        state.write_u64(self.server.0 ^ place);
        state.write_u64(u64::from(self.operation) << 32 | u64::from(self.status.0));
        let small = u64::from(self.server_port) << 16 | (self.side as u64) << 8 | self.protocol as u64;
        state.write_u64(u64::from(self.error_type) << 32 | small);
    }
}

/// A key in words, shared by all windows that have a row for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Labels {
    /// The key. Not part of the JSON form: its numbers mean nothing outside of this process.
    #[serde(skip)]
    pub key: Key,
    /// Who asked.
    pub client: Arc<str>,
    /// Who answered.
    pub server: Arc<str>,
    /// Bytes of the namespace in front of the client's name; 0 if it has none.
    #[serde(skip)]
    pub client_namespace: usize,
    /// The same of the server's.
    #[serde(skip)]
    pub server_namespace: usize,
    /// What is known of the client.
    #[serde(skip)]
    pub client_kind: Kind,
    /// What is known of the server.
    #[serde(skip)]
    pub server_kind: Kind,
    /// One of the two is not known yet and is called by a name that may turn out to be wrong.
    #[serde(skip)]
    pub provisional: bool,
    /// The operation; `other` if it was folded.
    pub operation: Box<str>,
    /// What stands for the operation in metrics, if it is not the operation itself.
    pub summary: Option<Box<str>>,
    /// The database on its server, empty if not known.
    pub namespace: Box<str>,
    /// The status, empty if there was none.
    pub status: Box<str>,
    /// OpenTelemetry's `error.type`, empty if the exchange did not fail.
    pub error_type: Box<str>,
}

impl Labels {
    /// Looks all names up.
    #[must_use]
    pub fn new(key: Key, entities: &Entities, name: Resolve<'_, '_>) -> Self {
        let or = |number, other: &'static str| if number == Key::OTHER { other } else { name(number) };
        Self {
            key,
            client: entities.name(key.client),
            server: entities.name(key.server),
            client_namespace: entities.namespace(key.client),
            server_namespace: entities.namespace(key.server),
            client_kind: entities.kind(key.client),
            server_kind: entities.kind(key.server),
            provisional: entities.settled(key.client).is_none() || entities.settled(key.server).is_none(),
            operation: or(key.operation, "other").into(),
            summary: key.summary.map(|summary| name(summary).into()),
            namespace: name(key.namespace).into(),
            status: key.status.resolve(name),
            error_type: if key.failed() { or(key.error_type, "_OTHER").into() } else { "".into() },
        }
    }

    /// Namespace and name of the client; the namespace is empty if it has none.
    #[must_use]
    pub fn client_parts(&self) -> (&str, &str) {
        parts(&self.client, self.client_namespace)
    }

    /// The same of the server.
    #[must_use]
    pub fn server_parts(&self) -> (&str, &str) {
        parts(&self.server, self.server_namespace)
    }

    /// What did not fit anywhere.
    #[must_use]
    pub(crate) fn anything(key: Key) -> Self {
        Self::new(key.anything(), &Entities::new(0), &|_| "")
    }
}

/// A name in two, at the slash behind its namespace.
pub(crate) fn parts(name: &str, namespace: usize) -> (&str, &str) {
    match name.split_at_checked(namespace) {
        Some((namespace, name)) if !namespace.is_empty() => (namespace, name.strip_prefix('/').unwrap_or(name)),
        _ => ("", name),
    }
}
