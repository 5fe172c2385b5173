//! Exchanges wait here, for 50 ms at most, while it is found out who their processes are.
//!
//! The first record of a process comes with what the kernel told ([`LookUp::UnderWay`]); what /proc says follows, usually
//! before the next tick. So do exchanges whose other end is on this host and has not been heard of ([`crate::strangers`]).
//! All times are those of the stream, so a replay waits exactly as the live agent did.

use crate::listeners::Listeners;
use crate::pipeline::address;
use crate::sockets::Sockets;
use crate::strangers::Strangers;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use steth_event::{Books, CONTAINER_ID, Container, LookUp, Open, Process};
use steth_flow::{Rewritten, Tuple};
use steth_identity::{Beyond, Party, Processes, ServiceRules, container_text};
use steth_wire::{Exchange, Side};

/// From the first tick that sees the exchange. The tick after that releases it; the drain makes one every 25 ms or sooner.
const PATIENCE: u64 = 25_000_000;
/// More do not wait: they go on with what is known.
const PLACES: usize = 4096;

/// An exchange that waits, with what was known around it.
pub(crate) struct Waiting {
    pub(crate) exchange: Exchange,
    pub(crate) accept_wait: Option<u64>,
    pub(crate) side: Side,
    pub(crate) connection: u64,
    pub(crate) open: Option<Open>,
    /// What the kernel's books of the connection said last.
    pub(crate) books: Option<Box<Books>>,
    pub(crate) reversed: bool,
    pub(crate) client_pid: u32,
    pub(crate) server_pid: u32,
    /// Who is behind the two addresses, if no process here is.
    pub(crate) client_beyond: Option<Beyond>,
    pub(crate) server_beyond: Option<Beyond>,
    pub(crate) clock: u64,
    /// Where its client went, if that is not the server's own address and port.
    pub(crate) asked: Option<([u8; 16], u16)>,
    /// The other end, if it has not been heard of yet but may be.
    pub(crate) stranger: Option<Tuple>,
    /// Connection tracking is being asked where it leads.
    pub(crate) translating: bool,
    /// The first tick that saw it; `None` as yet.
    pub(crate) since: Option<u64>,
}

fn under_way(party: Option<&Arc<Party>>) -> bool {
    party.is_some_and(|party| party.look_up == LookUp::UnderWay)
}

/// Who the processes are, and what waits for knowing better.
pub(crate) struct Naming {
    processes: Processes,
    waiting: VecDeque<Waiting>,
    strangers: Strangers,
    sockets: Sockets,
    /// Who waits for connections, and where.
    pub(crate) listeners: Listeners,
    /// Processes that are being looked up: never fewer; more, once one of them was evicted.
    under_way: u64,
    refused: u64,
    late: u64,
    untranslated: u64,
}

impl Naming {
    /// Remembers so many processes.
    pub(crate) fn new(processes: usize, rules: ServiceRules) -> Self {
        Self {
            processes: Processes::new(processes, rules),
            waiting: VecDeque::new(),
            strangers: Strangers::default(),
            sockets: Sockets::default(),
            listeners: Listeners::default(),
            under_way: 0,
            refused: 0,
            late: 0,
            untranslated: 0,
        }
    }

    /// All processes that are known.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Party>> {
        self.processes.all().filter(|party| !party.name.is_empty())
    }

    /// Who this is, as far as is known by now.
    #[inline]
    pub(crate) fn get(&self, pid: u32) -> Option<&Arc<Party>> {
        self.processes.get(pid).filter(|party| !party.name.is_empty())
    }

    /// Changes with every change of what is known.
    #[inline]
    pub(crate) fn version(&self) -> u64 {
        self.processes.version()
    }

    /// Whether an exchange between these two is to wait.
    #[inline]
    pub(crate) fn wait_for(&self, pids: [u32; 2]) -> bool {
        // Nearly always it is: whoever has talked a while is known.
        (self.under_way > 0 || self.processes.containers_under_way())
            && pids.into_iter().any(|pid| self.processes.get(pid).is_some_and(|party| party.under_way()))
    }

    /// A socket of this host is announced.
    pub(crate) fn announced(&mut self, open: &Open) {
        self.strangers.announced(open);
        self.sockets.announced(open);
    }

    /// A socket of this host is gone.
    pub(crate) fn closed(&mut self, open: &Open) {
        self.sockets.closed(open);
    }

    /// All sockets have been asked for their books.
    pub(crate) fn swept(&mut self) {
        self.sockets.swept();
    }

    /// The process at the other end of this datagram socket; 0 if none is known there.
    pub(crate) fn datagram_peer(&self, open: &Open) -> u32 {
        self.sockets.peer(open)
    }

    /// Whether a socket of this host was seen at this address.
    pub(crate) fn is_own(&self, address: IpAddr) -> bool {
        self.strangers.is_own(address)
    }

    /// The process that listens where this socket leads: on loopback in its own network namespace, else in the one in which
    /// the address is. There may be another one at the same port of each.
    pub(crate) fn listener(&self, open: &Open) -> Option<u32> {
        let there = address(open, &open.remote_address)?;
        let namespace = if there.is_loopback() { open.netns } else { self.strangers.namespace(there)? };
        self.listeners.at(namespace, open.remote_port)
    }

    /// The other end of this socket, if it has not been heard of yet but may be. No process is known there.
    pub(crate) fn stranger(&self, open: &Open, now: u64) -> Option<Tuple> {
        self.strangers.beyond(open, now)
    }

    /// Holds an exchange back; gives it back at once if there is no place.
    pub(crate) fn hold(&mut self, waiting: Waiting) -> Option<Waiting> {
        if self.waiting.len() >= PLACES {
            self.late += u64::from(!waiting.translating);
            self.untranslated += u64::from(waiting.translating);
            return Some(waiting);
        }
        if let Some(stranger) = waiting.stranger {
            self.strangers.wait(stranger);
        }
        self.waiting.push_back(waiting);
        None
    }

    /// Connection tracking has answered of this connection: exchanges on it lead there, or to the other end that it has met meanwhile.
    pub(crate) fn translated(&mut self, connection: u64, to: Option<&Rewritten>, now: Option<(u32, Option<Open>)>) {
        let of_it = |waiting: &&mut Waiting| waiting.translating && waiting.connection == connection;
        for waiting in self.waiting.iter_mut().filter(of_it) {
            waiting.translating = false;
            let (pid, beyond) = match waiting.side {
                Side::Client => (&mut waiting.server_pid, &mut waiting.server_beyond),
                _ => (&mut waiting.client_pid, &mut waiting.client_beyond),
            };
            let (peer, open) = now.unwrap_or_default();
            let before = waiting.open.map(|open| (open.remote_address, open.remote_port));
            if *pid == 0 && peer != 0 {
                (*pid, waiting.open) = (peer, open);
            } else if let (Some(to), Some(open)) = (to, &mut waiting.open) {
                to.resolve(open);
            }
            if before != waiting.open.map(|open| (open.remote_address, open.remote_port)) {
                *beyond = None;
                waiting.asked = waiting.asked.or(before);
            }
        }
    }

    /// What has to go on before this record of a process counts: a new life of an id must not name the old one's exchanges.
    pub(crate) fn before(&mut self, process: &Process) -> Vec<Waiting> {
        if process.look_up == LookUp::Done || self.waiting.is_empty() {
            return Vec::new();
        }
        let pid = process.pid;
        self.take(|waiting| waiting.client_pid == pid || waiting.server_pid == pid)
    }

    /// A process was looked up, or is being looked up.
    pub(crate) fn insert(&mut self, process: Process) {
        self.refused += u64::from(process.look_up == LookUp::Refused);
        match (process.look_up == LookUp::UnderWay, under_way(self.processes.get(process.pid))) {
            (true, false) => self.under_way += 1,
            (false, true) => self.under_way -= 1,
            _ => {}
        }
        self.processes.insert(process);
    }

    /// A process has ended.
    pub(crate) fn end(&mut self, pid: u32) {
        self.processes.end(pid);
    }

    /// A container has ended.
    pub(crate) fn end_container(&mut self, id: &[u8; CONTAINER_ID]) {
        self.processes.end_container(&container_text(id));
    }

    /// A container was looked up, or is being looked up.
    pub(crate) fn insert_container(&mut self, container: Container) {
        self.processes.insert_container(container);
    }

    /// What need not wait any longer, or has waited long enough.
    pub(crate) fn tick(&mut self, time: u64) -> Vec<Waiting> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        for waiting in self.waiting.iter_mut().rev().take_while(|waiting| waiting.since.is_none()) {
            waiting.since = Some(time);
        }
        self.take(|waiting| waiting.since.is_some_and(|since| time.saturating_sub(since) >= PATIENCE))
    }

    /// Everything: the stream has ended.
    pub(crate) fn finish(&mut self) -> Vec<Waiting> {
        self.take(|_| true)
    }

    /// Takes out what is known by now, and what `also` names; in the order in which it came.
    fn take(&mut self, also: impl Fn(&Waiting) -> bool) -> Vec<Waiting> {
        let (mut out, mut stay) = (Vec::new(), VecDeque::new());
        for mut waiting in std::mem::take(&mut self.waiting) {
            if let Some(pid) = waiting.stranger.and_then(|stranger| self.strangers.process(&stranger)) {
                waiting.stranger = None;
                let unknown = if waiting.client_pid == 0 { &mut waiting.client_pid } else { &mut waiting.server_pid };
                *unknown = pid;
            }
            let under_way = self.wait_for([waiting.client_pid, waiting.server_pid]);
            if !under_way && waiting.stranger.is_none() && !waiting.translating {
                out.push(waiting);
            } else if also(&waiting) {
                // A stranger who never comes is nothing late: nobody may be watching there.
                self.late += u64::from(under_way);
                self.untranslated += u64::from(waiting.translating);
                out.push(waiting);
            } else {
                stay.push_back(waiting);
            }
        }
        if stay.iter().all(|waiting| waiting.stranger.is_none()) {
            self.strangers.none_awaited();
        }
        self.waiting = stay;
        out
    }

    /// Announcements of sockets that found no room.
    pub(crate) fn sockets_no_room(&self) -> u64 {
        self.sockets.no_room()
    }

    /// Processes and containers that made room for others.
    pub(crate) fn evicted(&self) -> u64 {
        self.processes.evicted()
    }

    /// Look-ups that found the queue full.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Exchanges that went on before connection tracking had answered.
    pub(crate) fn untranslated(&self) -> u64 {
        self.untranslated
    }

    /// Exchanges that went on before the look-up of one of their processes had ended.
    pub(crate) fn late(&self) -> u64 {
        self.late
    }
}

#[cfg(test)]
mod tests;
