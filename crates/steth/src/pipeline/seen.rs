//! wire --> identity --> Observer: an exchange, and who its ends are.

use super::parse::Parse;
use super::talk::Talk;
use crate::naming::{Naming, Waiting};
use crate::print::address;
use std::sync::Arc;
use steth_event::{Open, Process, ROLE_CLIENT, ROLE_SERVER};
use steth_flow::Connection;
use steth_wire::{Exchange, Names, Side};

/// Who gets the exchanges.
pub(crate) trait Observer {
    /// What it keeps of each connection.
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

impl<O: Observer> Parse<O> {
    pub(super) fn hand_on(&mut self, connection: &mut Connection<Talk<O::Memo>>) {
        let role = match connection.role {
            ROLE_CLIENT => Side::Client,
            ROLE_SERVER => Side::Server,
            _ => Side::Network,
        };
        let pids = match role {
            Side::Network => [0, 0],
            _ => [connection.tgid, connection.peer_tgid],
        };
        let stranger = match (&connection.open, role, pids) {
            (Some(open), Side::Client | Side::Server, [_, 0]) => self.naming.stranger(open, connection.last_time()),
            _ => None,
        };
        let waits = stranger.is_some() || self.naming.wait_for(pids);
        if !self.hosts.is_empty() {
            self.name_peers(connection, role, pids);
        }
        let out = std::mem::take(&mut self.out);
        for exchange in &out {
            let (mut side, mut reversed) = (role, connection.state.reversed);
            if exchange.reversed() {
                (side, reversed) = match role {
                    Side::Client => (Side::Server, reversed),
                    Side::Server => (Side::Client, reversed),
                    Side::Network => (Side::Network, !reversed),
                };
            }
            let swapped = side == Side::Server || reversed;
            let [local, remote] = &connection.state.peers;
            let [client_pid, server_pid] = order(swapped, pids);
            let [client_name, server_name] = order(swapped, [local, remote]);
            if waits {
                self.hold(Waiting {
                    exchange: *exchange,
                    side,
                    connection: connection.id,
                    open: connection.open,
                    reversed,
                    client_pid,
                    server_pid,
                    client_name: client_name.clone(),
                    server_name: server_name.clone(),
                    clock: self.clock,
                    stranger,
                    since: None,
                });
                continue;
            }
            let seen = Seen {
                exchange,
                side,
                connection: connection.id,
                open: connection.open.as_ref(),
                reversed,
                processes: &self.naming,
                client_pid,
                server_pid,
                client_name: client_name.as_ref(),
                server_name: server_name.as_ref(),
                names: &self.names,
                clock: self.clock,
            };
            self.observer.exchange(&seen, &mut connection.state.memo);
        }
        self.out = out;
        self.out.clear();
    }

    /// What DNS called the ends that no process here is behind. An end keeps the first name that was known for it.
    #[cold]
    fn name_peers(&mut self, connection: &mut Connection<Talk<O::Memo>>, role: Side, pids: [u32; 2]) {
        let (Some(open), Some(exchange)) = (&connection.open, self.out.first()) else { return };
        let ends = [(&open.local_address, role == Side::Network), (&open.remote_address, true)];
        for ((peer, pid), (bytes, foreign)) in connection.state.peers.iter_mut().zip(pids).zip(ends) {
            if peer.is_none() && foreign && self.naming.get(pid).is_none() {
                let address = address(open, bytes);
                *peer = address.and_then(|address| self.hosts.name(address, exchange.start)).cloned();
            }
        }
    }

    /// Who one of the two processes is will be known in a moment.
    #[cold]
    fn hold(&mut self, waiting: Waiting) {
        if let Some(waiting) = self.naming.hold(waiting) {
            self.observer.exchange(&seen(&waiting, &self.naming, &self.names), &mut O::Memo::default());
        }
    }

    pub(super) fn release(&mut self, waiting: Vec<Waiting>) {
        for waiting in waiting {
            self.observer.exchange(&seen(&waiting, &self.naming, &self.names), &mut O::Memo::default());
        }
    }
}

fn seen<'a>(waiting: &'a Waiting, naming: &'a Naming, names: &'a Names) -> Seen<'a> {
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
fn order<T>(swapped: bool, [local, remote]: [T; 2]) -> [T; 2] {
    if swapped { [remote, local] } else { [local, remote] }
}
