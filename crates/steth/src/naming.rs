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
mod tests {
    use super::*;
    use crate::pipeline::{Limits, Observer, Pipeline, Seen, Selected};
    use steth_event::{CHUNK_TURN, Chunk, IntoBytes as _, Listen, RECEIVE, ROLE_SERVER, SEND, Tick, kind};

    const SERVER: u32 = 70;

    #[derive(Default)]
    struct Names(Vec<Option<String>>);

    impl Observer for Names {
        type Memo = ();

        fn exchange(&mut self, seen: &Seen<'_>, (): &mut ()) {
            self.0.push(seen.server().map(|process| process.name.clone()));
        }
    }

    fn process(name: &str, look_up: LookUp) -> Vec<u8> {
        Process { pid: SERVER, name: name.to_owned(), look_up, ..Process::default() }.to_record()
    }

    fn tick(milliseconds: u64) -> Vec<u8> {
        Tick { kind: kind::TICK, time: milliseconds * 1_000_000, ..Tick::default() }.as_bytes().to_vec()
    }

    /// One exchange, seen at the server's end.
    fn exchange(connection: u64) -> [Vec<u8>; 3] {
        let open = Open { kind: kind::OPEN, role: ROLE_SERVER, tgid: SERVER, connection, ..Open::default() };
        let chunk = |direction, bytes: &[u8], opposite| {
            let chunk = Chunk {
                kind: kind::CHUNK,
                direction,
                protocol: 1,
                flags: CHUNK_TURN,
                tgid: SERVER,
                connection,
                time: 1,
                opposite,
                length: bytes.len() as u32,
                captured: bytes.len() as u16,
                role: ROLE_SERVER,
                ..Chunk::default()
            };
            [chunk.as_bytes(), bytes].concat()
        };
        let (request, response) = (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n");
        [open.as_bytes().to_vec(), chunk(RECEIVE, request, 0), chunk(SEND, response, request.len() as u64)]
    }

    fn play(records: impl IntoIterator<Item = Vec<u8>>) -> (Pipeline<Names>, Vec<Option<String>>) {
        let mut pipeline = Pipeline::new(&Limits::default(), Selected::ALL, Names::default());
        records.into_iter().for_each(|record| pipeline.record(&record));
        let names = pipeline.observer().0.clone();
        (pipeline, names)
    }

    fn name(name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    #[test]
    fn an_exchange_waits_for_the_name_that_is_being_looked_up() {
        let begin = [vec![process("MainThread", LookUp::UnderWay)], exchange(1).into(), vec![tick(100)]].concat();
        let (_, names) = play(begin.clone());
        assert_eq!(names, []);
        let (_, names) = play([begin.clone(), vec![process("node", LookUp::Done), tick(110)]].concat());
        assert_eq!(names, [name("node")]);
        let (pipeline, names) = play([begin.clone(), vec![tick(110), tick(124)]].concat());
        assert_eq!((names, pipeline.account().named_late), (vec![], 0));
        let (pipeline, names) = play([begin.clone(), vec![tick(110), tick(125)]].concat());
        assert_eq!((names, pipeline.account().named_late), (vec![name("MainThread")], 1), "not for ever");
        let (mut pipeline, _) = play(begin);
        pipeline.finish();
        assert_eq!(pipeline.observer().0, [name("MainThread")], "nothing is lost at the end");
    }

    /// The server's end of a connection on this host, an exchange on it, and the client's end, announced last.
    fn strange() -> [Vec<Vec<u8>>; 2] {
        const CLIENT: u32 = 71;
        let end = |connection, role, tgid, local_port, remote_port| {
            let mut open = Open {
                kind: kind::OPEN,
                family: 2,
                transport: 6,
                role,
                tgid,
                connection,
                local_port,
                remote_port,
                time: 1,
                ..Open::default()
            };
            for address in [&mut open.local_address, &mut open.remote_address] {
                address[..4].copy_from_slice(&[127, 0, 0, 1]);
            }
            open.as_bytes().to_vec()
        };
        let mut server = exchange(1).to_vec();
        server[0] = end(1, ROLE_SERVER, SERVER, 80, 40_000);
        let ab = Process { pid: CLIENT, name: "ab".to_owned(), look_up: LookUp::Done, ..Process::default() };
        let client = vec![ab.to_record(), end(2, steth_event::ROLE_CLIENT, CLIENT, 40_000, 80)];
        [server, client]
    }

    #[test]
    fn a_client_on_this_host_that_is_announced_behind_the_answer_is_named() {
        #[derive(Default)]
        struct Clients(Vec<Option<String>>);
        impl Observer for Clients {
            type Memo = ();
            fn exchange(&mut self, seen: &Seen<'_>, (): &mut ()) {
                self.0.push(seen.client().map(|process| process.name.clone()));
            }
        }
        let play = |records: Vec<Vec<u8>>| {
            let mut pipeline = Pipeline::new(&Limits::default(), Selected::ALL, Clients::default());
            records.into_iter().for_each(|record| pipeline.record(&record));
            (std::mem::take(&mut pipeline.observer().0), pipeline.account().named_late)
        };
        let [server, client] = strange();
        assert_eq!(play([server.clone(), client.clone(), vec![tick(10)]].concat()), (vec![name("ab")], 0));
        assert_eq!(
            play([server.clone(), vec![tick(10)], client.clone(), vec![tick(20)]].concat()),
            (vec![name("ab")], 0)
        );
        assert_eq!(play([client.clone(), server.clone()].concat()), (vec![name("ab")], 0), "nothing to wait for");
        assert_eq!(play([server, vec![tick(10), tick(34)]].concat()), (vec![], 0));
        let [server, _] = strange();
        assert_eq!(play([server, vec![tick(10), tick(35)]].concat()), (vec![None], 0), "not for ever");
    }

    #[test]
    fn who_is_known_or_never_will_be_does_not_wait() {
        for (first, expected) in [
            (process("nginx", LookUp::Done), name("nginx")),
            (process("nginx", LookUp::Refused), name("nginx")),
            (process("", LookUp::Done), None),
            (tick(1), None),
        ] {
            let (_, names) = play([vec![first], exchange(1).into()].concat());
            assert_eq!(names, [expected]);
        }
    }

    #[test]
    fn a_new_image_does_not_name_the_exchanges_of_the_old_one() {
        let old = [vec![process("sh", LookUp::UnderWay)], exchange(1).into()].concat();
        let new = [vec![process("curl", LookUp::UnderWay)], exchange(2).into()].concat();
        let (_, names) = play([old, new, vec![process("curl", LookUp::Done), tick(5)]].concat());
        assert_eq!(names, [name("sh"), name("curl")]);
    }

    /// A server that lives on while 20,000 clients, more than are remembered, talk to it and end.
    #[test]
    fn a_server_is_named_however_many_processes_have_come_and_gone() {
        use steth_event::Exit;
        let mut records = vec![process("postgres", LookUp::Done)];
        for pid in 1000..21_000 {
            let short = Process { pid, name: "psql".to_owned(), look_up: LookUp::Done, ..Process::default() };
            let exit = Exit { kind: kind::EXIT, tgid: pid, ..Exit::default() };
            records.extend([short.to_record(), exit.as_bytes().to_vec()]);
        }
        records.extend(exchange(1));
        let (pipeline, names) = play(records);
        assert_eq!((names, pipeline.account().processes_evicted), (vec![name("postgres")], 0));
    }

    #[test]
    fn more_than_there_is_place_for_go_on_with_what_is_known() {
        let mut records = vec![process("sh", LookUp::UnderWay)];
        let more = 10;
        records.extend((0..PLACES as u64 + more).flat_map(exchange));
        let (mut pipeline, names) = play(records);
        assert_eq!(names.len() as u64, more);
        assert_eq!(pipeline.account().named_late, more);
        pipeline.finish();
        assert_eq!(pipeline.observer().0.len() as u64, PLACES as u64 + more);
    }

    /// A pod and its host both listen on port 80, and the pod calls its host.
    #[test]
    fn who_listens_is_looked_for_where_the_address_is() {
        const HOST: ([u8; 4], u32) = ([10, 0, 0, 1], 1);
        const POD: ([u8; 4], u32) = ([10, 0, 0, 9], 9);
        let mapped = |[a, b, c, d]: [u8; 4]| [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let open = |(local, netns), remote| Open {
            family: 2,
            transport: 6,
            netns,
            local_address: mapped(local),
            remote_address: mapped(remote),
            local_port: 40_000,
            remote_port: 80,
            ..Open::default()
        };
        let mut naming = Naming::new(10, ServiceRules::default());
        for (tgid, (_, netns)) in [(100, HOST), (900, POD)] {
            naming.listeners.told(&Listen { connection: tgid.into(), port: 80, tgid, netns, ..Listen::default() });
        }
        let call = open(POD, HOST.0);
        assert_eq!(naming.listener(&call), None, "nobody has been seen at that address yet");
        naming.announced(&open(HOST, [192, 0, 2, 1]));
        assert_eq!(naming.listener(&call), Some(100));
        assert_eq!(naming.listener(&open(POD, [127, 0, 0, 1])), Some(900));
        // The same address in two namespaces tells nothing.
        naming.announced(&open((HOST.0, 2), [192, 0, 2, 1]));
        assert_eq!(naming.listener(&call), None);
    }
}
