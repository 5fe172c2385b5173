//! What an observer is told.

use crate::naming::{Naming, Waiting};
use std::net::IpAddr;
use std::sync::Arc;
use steth_event::{Open, Process};
use steth_wire::{Exchange, Names, Side};

/// Who gets the exchanges.
pub(crate) trait Observer {
    /// What it keeps of each connection. Of a datagram socket the next exchange may be with somebody else.
    type Memo: Default;
    /// An exchange is complete.
    fn exchange(&mut self, seen: &Seen<'_>, memo: &mut Self::Memo);
}

/// An exchange with everything that is known around it.
pub(crate) struct Seen<'a> {
    pub(crate) exchange: &'a Exchange,
    pub(crate) side: Side,
    pub(crate) connection: u64,
    pub(crate) open: Option<&'a Open>,
    /// What `open` calls local is the server, though this is nobody's end.
    pub(crate) reversed: bool,
    pub(crate) processes: &'a Naming,
    /// Names of ends without a process, as DNS told them.
    pub(crate) client_name: Option<&'a Arc<str>>,
    pub(crate) server_name: Option<&'a Arc<str>>,
    pub(crate) client_pid: u32,
    pub(crate) server_pid: u32,
    pub(crate) names: &'a Names,
    /// Add to a time of the exchange to get nanoseconds since 1970.
    pub(crate) clock: u64,
}

impl Seen<'_> {
    pub(crate) fn client(&self) -> Option<&Process> {
        self.processes.get(self.client_pid).map(AsRef::as_ref)
    }

    /// The name of the client's address, if no process is known there.
    pub(crate) fn client_name(&self) -> Option<&Arc<str>> {
        self.client_name.filter(|_| self.client().is_none())
    }

    /// The name of the server's address, if no process is known there.
    pub(crate) fn server_name(&self) -> Option<&Arc<str>> {
        self.server_name.filter(|_| self.server().is_none())
    }

    pub(crate) fn server(&self) -> Option<&Process> {
        self.processes.get(self.server_pid).map(AsRef::as_ref)
    }
}

/// An exchange that had to wait.
pub(super) fn held<'a>(waiting: &'a Waiting, naming: &'a Naming, names: &'a Names) -> Seen<'a> {
    Seen {
        exchange: &waiting.exchange,
        side: waiting.side,
        connection: waiting.connection,
        open: waiting.open.as_ref(),
        reversed: waiting.reversed,
        processes: naming,
        client_pid: waiting.client_pid,
        server_pid: waiting.server_pid,
        client_name: waiting.client_name.as_ref(),
        server_name: waiting.server_name.as_ref(),
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
