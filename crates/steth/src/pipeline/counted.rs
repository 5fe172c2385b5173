//! flow --> identity: what the kernel's books say of a connection, with who its ends are.

use super::parse::Parse;
use super::seen::{Observer, address, order};
use super::talk::{Talk, UDP};
use crate::listeners::Listeners;
use crate::naming::Naming;
use steth_event::{Open, ROLE_CLIENT, ROLE_SERVER};
use steth_flow::{Connection, Delta, Flow, Tuple};
use steth_identity::{Beyond, Party};

/// New books of a connection, and everything that is known around it.
pub(crate) struct Counted<'a> {
    pub(crate) delta: &'a Delta,
    pub(crate) open: &'a Open,
    /// The observed end is the server.
    pub(crate) served: bool,
    /// Nobody has seen who connected to whom.
    pub(crate) guessed: bool,
    pub(crate) processes: &'a Naming,
    pub(crate) client_pid: u32,
    pub(crate) server_pid: u32,
    pub(crate) client_beyond: Option<&'a Beyond>,
    pub(crate) server_beyond: Option<&'a Beyond>,
}

impl Counted<'_> {
    pub(crate) fn client(&self) -> Option<&Party> {
        self.processes.get(self.client_pid).map(AsRef::as_ref)
    }

    pub(crate) fn server(&self) -> Option<&Party> {
        self.processes.get(self.server_pid).map(AsRef::as_ref)
    }
}

/// The last books of a connection that ended before its other end was announced, which is on this host and will be.
pub(super) struct Late<M> {
    open: Open,
    tgid: u32,
    role: u8,
    delta: Delta,
    peers: [Option<Beyond>; 2],
    memo: M,
    time: u64,
}

/// More are counted without the process at the other end.
const LATE: usize = 4096;
/// So long, in nanoseconds: records of both ends come with one drain, or with the next.
const PATIENCE: u64 = 100_000_000;

impl<O: Observer> Parse<O> {
    /// The kernel's books of a connection have something to add.
    pub(super) fn count(&mut self, connection: &mut Connection<Talk<O::Memo>>, delta: &Delta) {
        let Some(open) = connection.open else { return };
        let time = connection.last_time().max(open.time);
        if !self.remotes.is_empty() {
            self.name_ends(connection, &open, time);
        }
        let mut peer = connection.peer_tgid;
        if peer == 0 && open.transport == UDP {
            peer = self.naming.datagram_peer(&open);
        }
        let late = Late {
            open,
            tgid: connection.tgid,
            role: connection.role,
            delta: *delta,
            peers: connection.state.peers.clone(),
            memo: std::mem::take(&mut connection.state.memo),
            time,
        };
        if peer == 0 && delta.ending.is_some() && self.late.len() < LATE && self.is_here(&open) {
            self.late.push(late);
            return;
        }
        connection.state.memo = self.tell(late, peer);
    }

    /// Whether the other end is, or may be, a socket of this host.
    fn is_here(&self, open: &Open) -> bool {
        const TCP: u8 = 6;
        open.transport == TCP
            && address(open, &open.remote_address).is_some_and(|there| there.is_loopback() || self.naming.is_own(there))
    }

    /// Who the ends are that no process here is behind.
    fn name_ends(&mut self, connection: &mut Connection<Talk<O::Memo>>, open: &Open, time: u64) {
        let pid = connection.peer_tgid;
        let peer = &mut connection.state.peers[1];
        if peer.is_none() && self.naming.get(pid).is_none() {
            // A client's port is its own invention.
            let port = if connection.role == ROLE_SERVER { 0 } else { open.remote_port };
            *peer = address(open, &open.remote_address).and_then(|address| self.remotes.who(address, port, time));
        }
    }

    fn tell(&mut self, mut late: Late<O::Memo>, mut peer: u32) -> O::Memo {
        let open = &late.open;
        let (served, guessed) = role(&self.naming.listeners, open, late.role);
        if peer == 0 && !served && self.is_here(open) {
            peer = self.naming.listeners.at(open.netns, open.remote_port).unwrap_or(0);
        }
        let [local, remote] = &late.peers;
        let [client_pid, server_pid] = order(served, [late.tgid, peer]);
        let [client_beyond, server_beyond] = order(served, [local.as_ref(), remote.as_ref()]);
        let counted = Counted {
            delta: &late.delta,
            open,
            served,
            guessed,
            processes: &self.naming,
            client_pid,
            server_pid,
            client_beyond,
            server_beyond,
        };
        self.observer.counted(&counted, &mut late.memo);
        late.memo
    }

    /// Those whose other end is known by now, or will not be; at the end, all of them.
    pub(super) fn settle_late(&mut self, flow: &Flow<Talk<O::Memo>>, now: u64, all: bool) {
        for late in std::mem::take(&mut self.late) {
            let peer = Tuple::of(&late.open).and_then(|tuple| flow.process_at(tuple.reversed())).unwrap_or(0);
            if peer == 0 && !all && now.saturating_sub(late.time) < PATIENCE {
                self.late.push(late);
                continue;
            }
            let mut memo = self.tell(late, peer);
            self.observer.gone(&mut memo);
        }
    }
}

/// Whether the observed end is the server, and whether that is a guess.
fn role(listeners: &Listeners, open: &Open, role: u8) -> (bool, bool) {
    match role {
        ROLE_CLIENT => return (false, false),
        ROLE_SERVER => return (true, false),
        _ => {}
    }
    if open.transport == UDP {
        // Of a socket that is not connected, the port is all there is: those from here on are given to clients.
        const FIRST_OF_CLIENTS: u16 = 32_768;
        let there = if open.remote_port == 0 { FIRST_OF_CLIENTS } else { open.remote_port };
        return (open.local_port < there, true);
    }
    if listeners.at(open.netns, open.local_port).is_some() {
        return (true, false);
    }
    let here = address(open, &open.remote_address).is_some_and(|there| there.is_loopback());
    if here && listeners.at(open.netns, open.remote_port).is_some() {
        return (false, false);
    }
    (open.local_port < open.remote_port, true)
}
