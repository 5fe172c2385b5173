//! What rows are about, and how they are read.

use crate::blob::{Damaged, add_sketch, take_sums};
use crate::error::Fault;
use rusqlite::Row;
use rusqlite::types::ValueRef;
use steth_query::Sums;
use steth_window::{EdgeTotals, EntityId, Kind, Protocol, Side, Transport};

/// Who asks whom, over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pair {
    pub(crate) client: EntityId,
    pub(crate) server: EntityId,
    pub(crate) port: u16,
    pub(crate) side: Side,
    pub(crate) protocol: Protocol,
}

/// What a row of exchanges is about. Texts are numbers of a file, or texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Series<T> {
    pub(crate) pair: Pair,
    pub(crate) operation: T,
    pub(crate) summary: T,
    pub(crate) namespace: T,
    pub(crate) status: T,
    pub(crate) error_type: T,
}

/// What a row of books is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Line {
    pub(crate) client: EntityId,
    pub(crate) server: EntityId,
    pub(crate) port: u16,
    pub(crate) side: Side,
    pub(crate) transport: Transport,
    pub(crate) guessed: bool,
}

fn id(row: &Row<'_>, at: usize) -> Result<EntityId, Fault> {
    Ok(EntityId(row.get::<_, i64>(at)? as u64))
}

pub(crate) fn side(number: i64) -> Result<Side, Damaged> {
    [Side::Client, Side::Server, Side::Network].into_iter().find(|side| *side as i64 == number).ok_or(Damaged)
}

fn protocol(number: i64) -> Result<Protocol, Damaged> {
    Protocol::ALL.into_iter().find(|known| *known as i64 == number).ok_or(Damaged)
}

pub(crate) fn kind(number: i64) -> Result<Kind, Damaged> {
    let known = [Kind::Service, Kind::External, Kind::Other];
    usize::try_from(number).ok().and_then(|number| known.get(number)).copied().ok_or(Damaged)
}

pub(crate) fn transport_number(transport: Transport) -> i64 {
    match transport {
        Transport::Tcp => 0,
        Transport::Udp => 1,
        Transport::Unix => 2,
    }
}

pub(crate) fn transport(number: i64) -> Result<Transport, Damaged> {
    let known = [Transport::Tcp, Transport::Udp, Transport::Unix];
    usize::try_from(number).ok().and_then(|number| known.get(number)).copied().ok_or(Damaged)
}

impl Pair {
    pub(crate) const COLUMNS: &str = "client, server, port, side, protocol";

    pub(crate) fn read(row: &Row<'_>, at: usize) -> Result<Self, Fault> {
        Ok(Self {
            client: id(row, at)?,
            server: id(row, at + 1)?,
            port: row.get(at + 2)?,
            side: side(row.get(at + 3)?)?,
            protocol: protocol(row.get(at + 4)?)?,
        })
    }
}

impl<T> Series<T> {
    pub(crate) const COLUMNS: &str =
        "client, server, port, side, protocol, operation, summary, namespace, status, error_type";

    /// The same with other texts.
    pub(crate) fn map<U>(self, mut to: impl FnMut(T) -> Result<U, Fault>) -> Result<Series<U>, Fault> {
        Ok(Series {
            pair: self.pair,
            operation: to(self.operation)?,
            summary: to(self.summary)?,
            namespace: to(self.namespace)?,
            status: to(self.status)?,
            error_type: to(self.error_type)?,
        })
    }
}

impl Series<i64> {
    pub(crate) fn read(row: &Row<'_>, at: usize) -> Result<Self, Fault> {
        Ok(Self {
            pair: Pair::read(row, at)?,
            operation: row.get(at + 5)?,
            summary: row.get(at + 6)?,
            namespace: row.get(at + 7)?,
            status: row.get(at + 8)?,
            error_type: row.get(at + 9)?,
        })
    }
}

impl Line {
    pub(crate) const COLUMNS: &str = "client, server, port, side, transport, guessed";

    pub(crate) fn read(row: &Row<'_>, at: usize) -> Result<Self, Fault> {
        Ok(Self {
            client: id(row, at)?,
            server: id(row, at + 1)?,
            port: row.get(at + 2)?,
            side: side(row.get(at + 3)?)?,
            transport: transport(row.get(at + 4)?)?,
            guessed: row.get(at + 5)?,
        })
    }
}

/// Adds a row of signals; its columns begin `at`.
pub(crate) fn add_signals(row: &Row<'_>, at: usize, sketches: bool, to: &mut Sums) -> Result<(), Fault> {
    let sums = [
        &mut to.count,
        &mut to.errors,
        &mut to.blocking,
        &mut to.slow,
        &mut to.request_bytes,
        &mut to.response_bytes,
        &mut to.duration_sum_ns,
    ];
    for (n, sum) in sums.into_iter().enumerate() {
        *sum = sum.saturating_add(number(row, at + n)?);
    }
    if sketches {
        add_sketch(bytes(row, at + 7)?, &mut to.duration)?;
        add_sketch(bytes(row, at + 8)?, &mut to.first_byte)?;
        add_sketch(bytes(row, at + 9)?, &mut to.queue)?;
    }
    Ok(())
}

/// Adds a row of books, without those that are open, which is what it returns; its columns begin `at`.
pub(crate) fn add_books(row: &Row<'_>, at: usize, to: &mut EdgeTotals) -> Result<u64, Fault> {
    let open = number(row, at)?;
    to.sums.add(&take_sums(bytes(row, at + 1)?)?);
    let least: Option<i64> = row.get(at + 2)?;
    to.rtt_min_ns = to.rtt_min_ns.into_iter().chain(least.map(|least| least as u64)).min();
    add_sketch(bytes(row, at + 3)?, &mut to.connect)?;
    add_sketch(bytes(row, at + 4)?, &mut to.rtt)?;
    add_sketch(bytes(row, at + 5)?, &mut to.accept_wait)?;
    Ok(open)
}

fn number(row: &Row<'_>, at: usize) -> Result<u64, Fault> {
    match row.get_ref(at)? {
        ValueRef::Integer(number) => Ok(number as u64),
        _ => Err(Damaged.into()),
    }
}

fn bytes<'a>(row: &'a Row<'_>, at: usize) -> Result<&'a [u8], Fault> {
    match row.get_ref(at)? {
        ValueRef::Null => Ok(&[]),
        ValueRef::Blob(bytes) => Ok(bytes),
        _ => Err(Damaged.into()),
    }
}
