//! From exchanges to windows: names the two ends and counts.

mod edges;

use crate::naming::Naming;
use crate::pipeline::{Counted, Observer, Seen, Tables};
use crate::print;
use crate::requests::Requests;
use crate::slow::Thresholds;
use std::fmt::Write as _;
use std::sync::Arc;
use steth_event::Open;
use steth_identity::{Beyond, Party};
use steth_window::{
    Entities, EntityId, Key, Kind, Limits, Listener, Observation, Opened, Protocol, Side, Status, Transport, Window,
    Windows,
};
use steth_wire::Names;

/// Numbers from here on are of the observer's own table of names.
const OWN: u32 = 1 << 31;

/// Counts exchanges in windows.
pub(crate) struct Counter {
    windows: Windows,
    entities: Entities,
    /// Names that the parsers do not have: `error.type` of HTTP is a number as text.
    words: Names,
    text: String,
    latest: u64,
    slow: Thresholds,
    /// Those that are kept one by one, if any are.
    requests: Option<Requests>,
    /// Who is counted under a provisional name: the entity, and whose it is.
    pending: Vec<(EntityId, Pid)>,
}

/// Process id and start.
type Pid = (u32, u64);

/// More are counted for good under the name that they have at first.
const PENDING: usize = 4096;

impl Counter {
    pub(crate) fn new(now: u64, limits: Limits, slow: Thresholds) -> Self {
        Self {
            windows: Windows::new(limits, now),
            entities: Entities::default(),
            words: Names::default(),
            text: String::new(),
            latest: now,
            slow,
            requests: None,
            pending: Vec::new(),
        }
    }

    /// The same, and some requests are kept one by one; which ones, chance from `seed` has a part in.
    pub(crate) fn with_requests(self, seed: u64) -> Self {
        Self { requests: Some(Requests::new(seed)), ..self }
    }

    /// The windows whose time is up, oldest first.
    pub(crate) fn roll(&mut self, now: u64, Tables { names, naming }: Tables<'_>) -> Option<Arc<Window>> {
        self.latest = now;
        self.settle(naming);
        if self.windows.is_due(now) {
            self.listen(naming);
        }
        let words = &self.words;
        self.windows.roll(now, &mut self.entities, &|number| resolve(names, words, number))
    }

    /// The window in progress, so far.
    pub(crate) fn snapshot(&mut self, now: u64, Tables { names, naming }: Tables<'_>) -> Arc<Window> {
        self.settle(naming);
        self.listen(naming);
        let words = &self.words;
        self.windows.snapshot(now, &self.entities, &|number| resolve(names, words, number))
    }

    /// The window in progress, before its time: the agent stops.
    pub(crate) fn close(&mut self, Tables { names, naming }: Tables<'_>) -> Option<Arc<Window>> {
        self.settle(naming);
        self.listen(naming);
        let words = &self.words;
        self.windows.close(&mut self.entities, &|number| resolve(names, words, number))
    }

    /// What is known of late is joined while the window is open: whoever was counted provisionally gets his name.
    fn settle(&mut self, naming: &Naming) {
        if self.pending.is_empty() {
            return;
        }
        let Self { pending, entities, latest, requests, .. } = self;
        pending.retain(|(id, (pid, started))| {
            // Another process with this id by now: of the one that was counted nothing more will be known.
            let party = naming.get(*pid).filter(|party| party.started == *started || *started == 0);
            let Some(party) = party.filter(|party| !party.under_way()) else {
                return party.is_some();
            };
            let is = entities.intern_in(party.namespace().unwrap_or_default(), party.service(), *latest);
            entities.settle(*id, is);
            if let Some(requests) = requests {
                requests.settle(*id, is, entities);
            }
            false
        });
    }

    /// Windows have who waits for connections as of their end.
    fn listen(&mut self, naming: &Naming) {
        let mut listeners = Vec::new();
        for listen in naming.listeners.all() {
            let service = match naming.get(listen.tgid) {
                Some(party) => self.party(party),
                None => self.entities.intern_as(Kind::Other, "unknown", self.latest),
            };
            listeners.push(Listener {
                service,
                port: listen.port,
                transport: Transport::Tcp,
                waiting: listen.backlog.into(),
                room: u64::from(listen.backlog_max) + 1,
                drops: listen.drops.into(),
            });
        }
        self.windows.listen(listeners);
    }

    /// The entity of a process.
    fn party(&mut self, party: &Party) -> EntityId {
        if !party.under_way() || self.pending.len() >= PENDING {
            return self.entities.intern_in(party.namespace().unwrap_or_default(), party.service(), self.latest);
        }
        let token = party.started ^ u64::from(party.pid) << 40;
        let id = self.entities.provisional(party.service(), token, self.latest);
        if !self.pending.iter().any(|(pending, _)| *pending == id) {
            self.pending.push((id, (party.pid, party.started)));
        }
        id
    }

    /// The requests that are kept one by one, if any are. `now` is nanoseconds since 1970.
    pub(crate) fn requests(&mut self, now: u64) -> Option<&mut Requests> {
        let requests = self.requests.as_mut()?;
        requests.roll(now);
        Some(requests)
    }

    /// Observations that were folded or late, and entities that were folded.
    pub(crate) fn limits(&self) -> (steth_window::Misplaced, u64) {
        (self.windows.misplaced(), self.entities.folded())
    }
}

fn resolve<'a>(names: &'a Names, words: &'a Names, number: u32) -> &'a str {
    if number & OWN == 0 { names.by_number(number) } else { words.by_number(number & !OWN) }
}

/// What is kept of a connection.
#[derive(Default)]
pub(crate) struct Memo {
    ends: Option<Ends>,
    opened: Opened,
}

/// The two ends of a connection, as they were named last, and what that followed from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    client: EntityId,
    server: EntityId,
    server_port: u16,
    /// A datagram socket may talk to one and then to another.
    remote: [u8; 16],
    announced: bool,
    /// Whether it was known who is behind their addresses: a name, once known, stays.
    beyond: (bool, bool),
    side: steth_wire::Side,
    reversed: bool,
    pids: (u32, u32),
    processes: u64,
    /// When they were named: an entity that is not named for long may be forgotten.
    named: u64,
}

/// Names are good for so long: far less than [`Entities::IDLE`].
const GOOD: u64 = 10_000_000_000;

impl Ends {
    fn hold(&self, seen: &Seen<'_>, now: u64) -> bool {
        self.pids == (seen.client_pid, seen.server_pid)
            && self.processes == seen.processes.version()
            && self.announced == seen.open.is_some()
            && self.beyond == (seen.client_beyond.is_some(), seen.server_beyond.is_some())
            && (self.side, self.reversed) == (seen.side, seen.reversed)
            && seen
                .open
                .is_none_or(|open| self.remote == open.remote_address && self.server_port == server_port(seen, open))
            && now.abs_diff(self.named) < GOOD
    }
}

fn is_swapped(seen: &Seen<'_>) -> bool {
    seen.side == steth_wire::Side::Server || seen.reversed
}

fn server_port(seen: &Seen<'_>, open: &Open) -> u16 {
    if is_swapped(seen) { open.local_port } else { open.remote_port }
}

impl Counter {
    /// The entity of an end: its process, or who is behind its address, or the address.
    fn entity(
        &mut self,
        party: Option<&Party>,
        beyond: Option<&Beyond>,
        open: Option<&Open>,
        address: &[u8; 16],
        port: u16,
    ) -> EntityId {
        if let Some(party) = party {
            return self.party(party);
        }
        if let Some(service) = beyond.filter(|beyond| beyond.is_service()) {
            let namespace = service.namespace().unwrap_or_default();
            return self.entities.intern_in(namespace, service.name(), self.latest);
        }
        self.text.clear();
        match (beyond, open.and_then(|open| print::ip(open, address))) {
            (Some(beyond), _) => self.text.push_str(beyond.name()),
            (None, Some(ip)) => self.text.push_str(&ip),
            (None, None) => return self.entities.intern_as(Kind::Other, "unknown", self.latest),
        }
        // A client's port is its own invention; a server's names the service.
        if port != 0 {
            let _ = write!(self.text, ":{port}");
        }
        self.entities.intern_as(Kind::External, &self.text, self.latest)
    }

    #[cold]
    fn ends(&mut self, seen: &Seen<'_>) -> Ends {
        let (local, remote) = match seen.open {
            Some(open) => ((open.local_address, open.local_port), (open.remote_address, open.remote_port)),
            None => (([0; 16], 0), ([0; 16], 0)),
        };
        let (client, server) = if is_swapped(seen) { (remote, local) } else { (local, remote) };
        Ends {
            client: self.entity(seen.client(), seen.client_beyond(), seen.open, &client.0, 0),
            server: self.entity(seen.server(), seen.server_beyond(), seen.open, &server.0, server.1),
            server_port: server.1,
            remote: remote.0,
            announced: seen.open.is_some(),
            beyond: (seen.client_beyond.is_some(), seen.server_beyond.is_some()),
            side: seen.side,
            reversed: seen.reversed,
            pids: (seen.client_pid, seen.server_pid),
            processes: seen.processes.version(),
            named: self.latest,
        }
    }
}

impl Observer for Counter {
    type Memo = Memo;

    fn counted(&mut self, counted: &Counted<'_>, memo: &mut Memo) {
        self.edge(counted, memo);
    }

    fn gone(&mut self, memo: &mut Memo) {
        self.windows.shut(&mut memo.opened);
    }

    fn exchange(&mut self, seen: &Seen<'_>, memo: &mut Memo) {
        let e = seen.exchange;
        let end = e.end.wrapping_add(seen.clock);
        let ends = match &memo.ends {
            Some(ends) if ends.hold(seen, self.latest) => *ends,
            _ => {
                let ends = self.ends(seen);
                // A name that did not fit is asked for, and counted, every time.
                let folded = [ends.client, ends.server].contains(&EntityId::OTHER);
                memo.ends = (!folded).then_some(ends);
                ends
            }
        };
        let error_type = match e.error_type(seen.side, seen.names) {
            Some(error) => self.words.intern(error.as_bytes()).number() | OWN,
            None => 0,
        };
        let database = e.database();
        let key = Key {
            client: ends.client,
            server: ends.server,
            operation: e.operation.number(),
            summary: e.summary().map(steth_wire::Name::number),
            namespace: match database {
                Some(database) if database.namespace != steth_wire::Name::OTHER => database.namespace.number(),
                _ => 0,
            },
            status: match e.status {
                steth_wire::Status::Unknown => Status::NONE,
                steth_wire::Status::Code(code) => Status::code(code),
                steth_wire::Status::Word(word) => Status::word(word.number()),
            },
            error_type,
            server_port: ends.server_port,
            side: match seen.side {
                steth_wire::Side::Client => Side::Client,
                steth_wire::Side::Server => Side::Server,
                steth_wire::Side::Network => Side::Network,
            },
            protocol: match e.protocol() {
                steth_wire::Protocol::Http1 => Protocol::Http,
                steth_wire::Protocol::Redis => Protocol::Redis,
                steth_wire::Protocol::Mysql if database.is_some_and(|of| of.system == steth_wire::System::Mariadb) => {
                    Protocol::Mariadb
                }
                steth_wire::Protocol::Mysql => Protocol::Mysql,
                steth_wire::Protocol::Postgresql => Protocol::Postgresql,
                steth_wire::Protocol::Dns => Protocol::Dns,
            },
        };
        let observation = Observation {
            duration_ns: e.end.saturating_sub(e.start),
            first_byte_ns: (e.first_byte != 0).then(|| e.first_byte.saturating_sub(e.start)),
            queue_ns: e.queue(seen.side),
            request_bytes: e.request_bytes,
            response_bytes: e.response_bytes,
            blocking: e.blocking,
            slow: self.slow.call_slow(e),
        };
        self.windows.record(end, &key, &observation);
        if let Some(requests) = &mut self.requests {
            requests.exchange(seen, &key, observation.duration_ns, &self.entities);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{self, Pipeline, Selected};
    use steth_event::{
        CHUNK_TURN, Chunk, Container, IntoBytes as _, LookUp, Pod, Process, RECEIVE, ROLE_SERVER, SEND, Tick, Workload,
        kind,
    };

    const SECOND: u64 = 1_000_000_000;

    /// One exchange at a server that is a process in a container.
    fn exchange(connection: u64, tgid: u32) -> [Vec<u8>; 3] {
        let open = Open { kind: kind::OPEN, role: ROLE_SERVER, tgid, connection, ..Open::default() };
        let chunk = |direction, bytes: &[u8], opposite| {
            let (length, captured) = (bytes.len() as u32, bytes.len() as u16);
            let head = Chunk {
                kind: kind::CHUNK,
                direction,
                protocol: 1,
                flags: CHUNK_TURN,
                tgid,
                connection,
                ..Chunk::default()
            };
            let chunk = Chunk { time: 1, opposite, length, captured, role: ROLE_SERVER, ..head };
            [chunk.as_bytes(), bytes].concat()
        };
        let (request, response) = (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n");
        [open.as_bytes().to_vec(), chunk(RECEIVE, request, 0), chunk(SEND, response, request.len() as u64)]
    }

    fn process(pid: u32, container: &str) -> Vec<u8> {
        Process { pid, name: "nginx".into(), container: Some(container.into()), ..Process::default() }.to_record()
    }

    fn container(id: &str, look_up: LookUp) -> Vec<u8> {
        let known = look_up == LookUp::Done;
        let pod = Pod { name: "web-1".into(), namespace: "shop".into(), ..Pod::default() };
        let workload = Workload { kind: "Deployment".into(), name: "web".into() };
        let container = Container { id: id.into(), look_up, ..Container::default() };
        Container { pod: known.then_some(pod), workload: known.then_some(workload), ..container }.to_record()
    }

    fn tick(milliseconds: u64) -> Vec<u8> {
        Tick { kind: kind::TICK, time: milliseconds * 1_000_000, ..Tick::default() }.as_bytes().to_vec()
    }

    #[test]
    fn what_the_runtime_says_late_is_joined_before_the_window_closes() {
        let counter = Counter::new(0, Limits::default(), Thresholds::new(|_| std::time::Duration::from_secs(1)));
        let mut pipeline = Pipeline::new(&pipeline::Limits::default(), Selected::ALL, counter.with_requests(1));
        let records = |pipeline: &mut Pipeline<Counter>, records: Vec<Vec<u8>>| {
            records.iter().for_each(|record| pipeline.record(record));
        };
        // Two containers, of which one stays unknown; the first exchanges do not wait for ever.
        records(&mut pipeline, vec![container("c", LookUp::UnderWay), process(7, "c")]);
        records(&mut pipeline, vec![container("d", LookUp::UnderWay), process(8, "d")]);
        records(&mut pipeline, exchange(1, 7).into());
        records(&mut pipeline, exchange(2, 8).into());
        records(&mut pipeline, vec![tick(100), tick(200)]);
        let servers = |window: &Window| {
            let mut all: Vec<_> = window
                .rows
                .iter()
                .map(|row| (row.labels.server.to_string(), row.totals.count, row.labels.provisional))
                .collect();
            all.sort();
            all
        };
        let (counter, tables) = pipeline.observer_and_tables();
        let so_far = counter.snapshot(SECOND, tables);
        assert_eq!(servers(&so_far), [("nginx".to_owned(), 1, true), ("nginx".to_owned(), 1, true)]);
        let kept = |counter: &mut Counter, service: &str| {
            let kept = counter.requests(SECOND).and_then(Requests::snapshot).expect("some are new");
            kept.iter().filter(|kept| kept.sample.is_of(service)).count()
        };
        assert_eq!(kept(counter, "nginx"), 2);
        records(&mut pipeline, vec![container("c", LookUp::Done)]);
        records(&mut pipeline, exchange(3, 7).into());
        records(&mut pipeline, vec![tick(300)]);
        let (counter, tables) = pipeline.observer_and_tables();
        let window = counter.roll(11 * SECOND, tables).expect("a window");
        assert_eq!(kept(counter, "web"), 2, "that of before it was known, too");
        assert_eq!(servers(&window), [("nginx".to_owned(), 1, false), ("shop/web".to_owned(), 2, false)]);
        let ids = |row: &steth_window::Row| row.labels.key.server == EntityId::of(&row.labels.server);
        assert!(window.rows.iter().all(ids), "the id is that of the name");
    }
    #[test]
    fn a_request_that_is_kept_is_json_whatever_the_names_are() {
        let counter = Counter::new(0, Limits::default(), Thresholds::new(|_| std::time::Duration::from_secs(1)));
        let mut pipeline = Pipeline::new(&pipeline::Limits::default(), Selected::ALL, counter.with_requests(1));
        let name = "ng\"inx\\\n\u{1b}[2J";
        let process = Process { pid: 7, name: name.into(), look_up: LookUp::Done, ..Process::default() };
        pipeline.record(&process.to_record());
        exchange(1, 7).iter().chain(&exchange(2, 7)).for_each(|record| pipeline.record(record));
        pipeline.finish();
        let requests = pipeline.observer().requests(SECOND).expect("it keeps some");
        let kept = requests.snapshot().expect("some are new");
        let first = &kept.last().expect("the first is the slowest, and one by chance").sample;
        assert_eq!((&*first.operation, first.side, first.failed), ("GET /", Side::Server, false));
        let json: serde_json::Value =
            serde_json::from_str(&format!("{{{}}}", first.json)).expect("members of an object");
        assert_eq!(json["exchange"]["server"]["process"], name);
        assert_eq!(json["exchange"]["accept_wait_ns"], serde_json::Value::Null);
        assert_eq!(json["instants"]["end"], "1970-01-01T00:00:00.000000001Z");
        assert!(requests.snapshot().is_none(), "nothing new");
        assert!(
            requests.counters().iter().any(|counter| counter.name == "steth_request_samples" && counter.value >= 1.0)
        );
    }
}
