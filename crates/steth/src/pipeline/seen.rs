//! What an observer is told.

use super::counted::Counted;
use crate::naming::{Naming, Waiting};
use std::net::IpAddr;
use steth_event::{Books, Open};
use steth_identity::{Beyond, Locality, Party};
use steth_wire::{Exchange, Names, Side};

/// Who gets the exchanges.
pub(crate) trait Observer {
    /// What it keeps of each connection. Of a datagram socket the next exchange may be with somebody else.
    type Memo: Default;
    /// An exchange is complete.
    fn exchange(&mut self, seen: &Seen<'_>, memo: &mut Self::Memo);
    /// The kernel's books of a connection have something to add.
    fn counted(&mut self, _: &Counted<'_>, _: &mut Self::Memo) {}
    /// These books have come of a connection.
    fn looked(&mut self, _connection: u64, _: &Books, _clock: u64) {}
    /// Somebody is known behind an address by now: whoever connects to this port there, or with 0 anybody who talks with it. Since when, in
    /// nanoseconds since 1970, if that is known; it is from now on at the latest.
    fn learnt(&mut self, _address: IpAddr, _port: u16, _who: &dyn Fn() -> Beyond, _since: Option<u64>) {}
    /// A connection is over, or not followed any more.
    fn gone(&mut self, _: &mut Self::Memo) {}
}

/// What the numbers and ids of an exchange stand for.
#[derive(Clone, Copy)]
pub(crate) struct Tables<'a> {
    pub(crate) names: &'a Names,
    pub(crate) naming: &'a Naming,
}

/// An exchange with everything that is known around it.
pub(crate) struct Seen<'a> {
    pub(crate) exchange: &'a Exchange,
    /// With the first exchange of a connection: how long that waited for `accept()`, nanoseconds.
    pub(crate) accept_wait: Option<u64>,
    pub(crate) side: Side,
    pub(crate) connection: u64,
    pub(crate) open: Option<&'a Open>,
    /// What the kernel's books of the connection said last.
    pub(crate) books: Option<&'a Books>,
    /// Where the client went, if that is not the server's own address and port: as `open` writes addresses.
    pub(crate) asked: Option<([u8; 16], u16)>,
    /// What `open` calls local is the server, though this is nobody's end.
    pub(crate) reversed: bool,
    pub(crate) processes: &'a Naming,
    /// Who is behind the addresses of ends without a process.
    pub(crate) client_beyond: Option<&'a Beyond>,
    pub(crate) server_beyond: Option<&'a Beyond>,
    pub(crate) client_pid: u32,
    pub(crate) server_pid: u32,
    pub(crate) names: &'a Names,
    /// Add to a time of the exchange to get nanoseconds since 1970.
    pub(crate) clock: u64,
}

impl Seen<'_> {
    pub(crate) fn client(&self) -> Option<&Party> {
        self.processes.get(self.client_pid).map(AsRef::as_ref)
    }

    /// Who is behind the client's address, if no process is known there.
    pub(crate) fn client_beyond(&self) -> Option<&Beyond> {
        self.client_beyond.filter(|_| self.client().is_none())
    }

    /// Who is behind the server's address, if no process is known there.
    pub(crate) fn server_beyond(&self) -> Option<&Beyond> {
        self.server_beyond.filter(|_| self.server().is_none())
    }

    pub(crate) fn server(&self) -> Option<&Party> {
        self.processes.get(self.server_pid).map(AsRef::as_ref)
    }

    /// How far away the other end is; `None` where it is not known who it is, and in captures, which have no host of their own.
    pub(crate) fn locality(&self) -> Option<Locality> {
        const UNIX: u8 = 1;
        let open = self.open.filter(|_| self.side != Side::Network)?;
        if open.family == UNIX {
            return Some(Locality::Host);
        }
        let (local, remote) = (address(open, &open.local_address), address(open, &open.remote_address)?);
        let (other, beyond) = match self.side {
            Side::Client => (self.server_pid, self.server_beyond),
            _ => (self.client_pid, self.client_beyond),
        };
        let here = other != 0 || self.processes.is_own(remote);
        Some(Locality::of(local.unwrap_or(remote), remote, here, beyond.is_some_and(Beyond::is_in_cluster)))
    }
}

/// An exchange that had to wait.
pub(super) fn held<'a>(waiting: &'a Waiting, naming: &'a Naming, names: &'a Names) -> Seen<'a> {
    Seen {
        exchange: &waiting.exchange,
        accept_wait: waiting.accept_wait,
        side: waiting.side,
        connection: waiting.connection,
        open: waiting.open.as_ref(),
        books: waiting.books.as_deref(),
        asked: waiting.asked,
        reversed: waiting.reversed,
        processes: naming,
        client_pid: waiting.client_pid,
        server_pid: waiting.server_pid,
        client_beyond: waiting.client_beyond.as_ref(),
        server_beyond: waiting.server_beyond.as_ref(),
        names,
        clock: waiting.clock,
    }
}

/// Local and remote end as client and server.
pub(super) fn order<T>(swapped: bool, [local, remote]: [T; 2]) -> [T; 2] {
    if swapped { [remote, local] } else { [local, remote] }
}

/// The address; IPv4 mapped into IPv6 is IPv4.
pub(crate) fn address(open: &Open, bytes: &[u8; 16]) -> Option<IpAddr> {
    match open.family {
        // A UDP socket that is not connected has no other end.
        _ if open.transport == 17 && *bytes == [0; 16] => None,
        2 => Some(IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]])),
        10 => Some(IpAddr::from(*bytes).to_canonical()),
        _ => None,
    }
}
