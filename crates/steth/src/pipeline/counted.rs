//! flow --> identity: what the kernel's books say of a connection, with who its ends are.

use super::datagrams::Ended;
use super::parse::Parse;
use super::seen::{Observer, address, order};
use super::talk::{Talk, UDP};
use crate::listeners::Listeners;
use crate::naming::Naming;
use steth_event::{Open, ROLE_CLIENT, ROLE_SERVER};
use steth_flow::{Connection, Delta, Flow, Rewritten};
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
    /// When the connection began, as far as is known; nanoseconds since 1970. Of datagrams, when their socket was asked.
    pub(crate) began: u64,
}

impl Counted<'_> {
    pub(crate) fn client(&self) -> Option<&Party> {
        self.processes.get(self.client_pid).map(AsRef::as_ref)
    }

    pub(crate) fn server(&self) -> Option<&Party> {
        self.processes.get(self.server_pid).map(AsRef::as_ref)
    }
}

/// Books whose other end was not announced before them, and is on this host and will be: the last ones of a connection that ended at once,
/// the first ones of one whose server was looked at before its client, and those of UDP sockets, which a sweep announces one after the other.
pub(super) struct Late<M> {
    open: Open,
    tgid: u32,
    role: u8,
    delta: Delta,
    /// It is not known that what was received came from there.
    guessed: bool,
    peers: [Option<Beyond>; 2],
    memo: M,
    time: u64,
    /// The connection does, and what is kept of it stays with it.
    goes_on: bool,
    /// Its other end is waited for, and not only where it leads.
    stranger: bool,
}

impl<M> Late<M> {
    /// Whether they are of this connection.
    pub(super) fn is(&self, connection: u64) -> bool {
        self.open.connection == connection
    }

    /// Its server is somewhere else than where its client went.
    pub(super) fn rewrite(&mut self, to: &Rewritten) {
        to.resolve(&mut self.open);
        self.peers[1] = None;
    }
}

/// More are counted without the process at the other end.
const LATE: usize = 4096;
/// So long, in nanoseconds: records of both ends come with one drain, or with the next. What is on this host by its address is waited for
/// longer: its process may be put off its CPU before it closes its end.
const PATIENCE: u64 = 100_000_000;
const PATIENCE_HERE: u64 = 500_000_000;

impl<O: Observer> Parse<O> {
    /// The kernel's books of a connection have something to add.
    pub(super) fn count(&mut self, connection: &mut Connection<Talk<O::Memo>>, delta: &Delta) {
        let Some(open) = connection.open else { return };
        if let Some(books) = connection.books.as_deref() {
            self.observer.looked(connection.id, books, self.clock);
        }
        let time = connection.last_time().max(open.time);
        if open.transport == UDP && open.remote_port == 0 {
            return self.count_datagrams(connection, &open, delta, time);
        }
        if !self.remotes.is_empty() {
            self.name_ends(connection, &open, time);
        }
        let mut peer = connection.peer_tgid;
        if peer == 0 && open.transport == UDP {
            peer = self.naming.datagram_peer(&open);
        }
        let mut late = Late {
            open,
            tgid: connection.tgid,
            role: connection.role,
            delta: *delta,
            guessed: false,
            peers: connection.state.peers.clone(),
            memo: std::mem::take(&mut connection.state.memo),
            time,
            goes_on: false,
            stranger: false,
        };
        let first_look = delta.opened && !delta.is_end() && late.role == ROLE_SERVER;
        late.stranger = peer == 0 && first_look && self.is_here(&open);
        if peer == 0 && (late.stranger || self.translations.are_asked(connection.id)) {
            if !delta.is_end() {
                late.goes_on = true;
                connection.state.memo = std::mem::take(&mut late.memo);
            }
            if let Some(mut late) = self.wait(late) {
                if late.goes_on {
                    late.memo = std::mem::take(&mut connection.state.memo);
                }
                connection.state.memo = self.tell(late, 0);
            }
            return;
        }
        if peer == 0 && delta.ending.is_some() && (self.is_here(&open) || is_seen_from_its_beginning(&open)) {
            if let Some(late) = self.wait(late) {
                connection.state.memo = self.tell(late, 0);
            }
            return;
        }
        if peer == 0 && open.transport == UDP && self.is_here(&open) {
            // The connection goes on, and what is kept of it stays with it.
            connection.state.memo = std::mem::take(&mut late.memo);
            if let Some(late) = self.wait(late) {
                self.tell_and_forget(late, 0);
            }
            return;
        }
        connection.state.memo = self.tell(late, peer);
    }

    /// Puts it to those that wait; gives it back if there is no room.
    fn wait(&mut self, late: Late<O::Memo>) -> Option<Late<O::Memo>> {
        if self.late.len() >= LATE {
            self.late_no_room += 1;
            return Some(late);
        }
        self.late.push(late);
        None
    }

    fn tell_and_forget(&mut self, late: Late<O::Memo>, peer: u32) {
        let mut memo = self.tell(late, peer);
        self.observer.gone(&mut memo);
    }

    /// The books of a socket that is not connected: a part for each of those it has sent something to. The last ones wait: what was sent
    /// where is read once a window.
    fn count_datagrams(&mut self, connection: &mut Connection<Talk<O::Memo>>, open: &Open, delta: &Delta, time: u64) {
        let mut books = Ended {
            connection: connection.id,
            open: *open,
            tgid: connection.tgid,
            role: connection.role,
            delta: *delta,
            time,
            accounts: connection.state.accounts.take().unwrap_or_default(),
        };
        if delta.ending.is_some() && delta.segments_out > 0 {
            if let Some(mut books) = self.sent_to.park(books) {
                self.split_datagrams(&mut books);
            }
            return;
        }
        self.split_datagrams(&mut books);
        connection.state.accounts = Some(books.accounts);
    }

    /// What was sent where has been read.
    pub(super) fn settle_datagrams(&mut self) {
        for mut ended in self.sent_to.take_ended() {
            self.split_datagrams(&mut ended);
        }
    }

    fn split_datagrams(&mut self, books: &mut Ended) {
        let sent = self.sent_to.take(books.connection);
        let time = books.time;
        for part in books.accounts.split(&books.open, &books.delta, &sent) {
            let open = &part.open;
            let peer = self.naming.datagram_peer(open);
            let (served, _) = role(&self.naming.listeners, open, books.role);
            let port = if served { 0 } else { open.remote_port };
            let there = address(open, &open.remote_address).filter(|_| self.naming.get(peer).is_none());
            let late = Late {
                open: *open,
                tgid: books.tgid,
                role: books.role,
                delta: part.delta,
                guessed: part.guessed,
                peers: [None, there.and_then(|address| self.remotes.who(address, port, open.netns, time))],
                memo: O::Memo::default(),
                time,
                goes_on: false,
                stranger: false,
            };
            let waits = peer == 0 && self.is_here(open);
            if let Some(late) = if waits { self.wait(late) } else { Some(late) } {
                self.tell_and_forget(late, peer);
            }
        }
    }

    /// Whether the other end is, or may be, a socket of this host.
    fn is_here(&self, open: &Open) -> bool {
        const TCP: u8 = 6;
        (open.transport == TCP || open.transport == UDP)
            && address(open, &open.remote_address).is_some_and(|there| there.is_loopback() || self.naming.is_own(there))
    }

    /// Who the ends are that no process here is behind.
    fn name_ends(&mut self, connection: &mut Connection<Talk<O::Memo>>, open: &Open, time: u64) {
        let pid = connection.peer_tgid;
        let peer = &mut connection.state.peers[1];
        if peer.is_none() && self.naming.get(pid).is_none() {
            // A client's port is its own invention.
            let port = if connection.role == ROLE_SERVER { 0 } else { open.remote_port };
            *peer = address(open, &open.remote_address)
                .and_then(|address| self.remotes.who(address, port, open.netns, time));
        }
    }

    fn tell(&mut self, mut late: Late<O::Memo>, mut peer: u32) -> O::Memo {
        let open = &late.open;
        let (served, guessed) = role(&self.naming.listeners, open, late.role);
        if peer == 0 && !served && open.transport != UDP {
            peer = self.naming.listener(open).unwrap_or(0);
        }
        let began = match open.transport {
            UDP => late.time,
            _ => began(open),
        };
        if late.peers[1].is_none() && !self.remotes.is_empty() && self.naming.get(peer).is_none() {
            // It may have been learnt while they waited.
            let port = if served { 0 } else { open.remote_port };
            let there = address(open, &open.remote_address);
            late.peers[1] = there.and_then(|there| self.remotes.who_was(there, port, open.netns, began, self.clock));
        }
        let [local, remote] = &late.peers;
        let [client_pid, server_pid] = order(served, [late.tgid, peer]);
        let [client_beyond, server_beyond] = order(served, [local.as_ref(), remote.as_ref()]);
        let counted = Counted {
            delta: &late.delta,
            open,
            served,
            guessed: guessed || late.guessed,
            processes: &self.naming,
            client_pid,
            server_pid,
            client_beyond,
            server_beyond,
            began: began.wrapping_add(self.clock),
        };
        self.observer.counted(&counted, &mut late.memo);
        late.memo
    }

    /// Those whose other end is known by now, or will not be; at the end, all of them.
    pub(super) fn settle_late(&mut self, flow: &mut Flow<Talk<O::Memo>>, now: u64, all: bool) {
        for mut late in std::mem::take(&mut self.late) {
            let peer = match late.open.transport {
                UDP => self.naming.datagram_peer(&late.open),
                _ => flow.other_end(&late.open).map_or(0, |end| {
                    end.resolve(&mut late.open);
                    end.tgid
                }),
            };
            let asked = self.translations.are_asked(late.open.connection);
            let led = late.goes_on && !late.stranger;
            let known = peer != 0 || (led && !asked);
            let patience = if self.is_here(&late.open) && !led { PATIENCE_HERE } else { PATIENCE };
            if !known && !all && now.saturating_sub(late.time) < patience {
                self.late.push(late);
                continue;
            }
            if asked && peer == 0 {
                self.translations.is_late();
            }
            match flow.find(late.open.connection).filter(|_| late.goes_on) {
                Some(connection) => {
                    late.memo = std::mem::take(&mut connection.state.memo);
                    connection.state.memo = self.tell(late, peer);
                }
                None => self.tell_and_forget(late, peer),
            }
        }
    }
}

/// When a connection began, as far as is known; a time of the records.
fn began(open: &Open) -> u64 {
    let times = [open.connect_started, open.established, open.time];
    times.into_iter().filter(|time| *time != 0).min().unwrap_or(0)
}

/// Whether its other end may be found by sequence numbers though its address is another host's: behind NAT, or a service's.
fn is_seen_from_its_beginning(open: &Open) -> bool {
    open.established != 0 && (open.began_sent, open.began_received) != (0, 0)
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
