//! From exchanges to windows: names the two ends and counts.

use crate::pipeline::{Observer, Seen};
use crate::print;
use crate::slow::Thresholds;
use std::fmt::Write as _;
use std::sync::Arc;
use steth_event::{Open, Process};
use steth_window::{Entities, EntityId, Key, Limits, Observation, Protocol, Side, Status, Window, Windows};
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
}

impl Counter {
    pub(crate) fn new(now: u64, limits: Limits, slow: Thresholds) -> Self {
        Self {
            windows: Windows::new(limits, now),
            entities: Entities::default(),
            words: Names::default(),
            text: String::new(),
            latest: now,
            slow,
        }
    }

    /// The windows whose time is up, oldest first.
    pub(crate) fn roll(&mut self, now: u64, names: &Names) -> Option<Arc<Window>> {
        self.latest = now;
        let words = &self.words;
        self.windows.roll(now, &mut self.entities, &|number| resolve(names, words, number))
    }

    /// The window in progress, so far.
    pub(crate) fn snapshot(&mut self, now: u64, names: &Names) -> Arc<Window> {
        let words = &self.words;
        self.windows.snapshot(now, &self.entities, &|number| resolve(names, words, number))
    }

    /// The window in progress, before its time: the agent stops.
    pub(crate) fn close(&mut self, names: &Names) -> Option<Arc<Window>> {
        let words = &self.words;
        self.windows.close(&mut self.entities, &|number| resolve(names, words, number))
    }

    /// Observations that were folded or late, and entities that were folded.
    pub(crate) fn limits(&self) -> (steth_window::Misplaced, u64) {
        (self.windows.misplaced(), self.entities.folded())
    }
}

fn resolve<'a>(names: &'a Names, words: &'a Names, number: u32) -> &'a str {
    if number & OWN == 0 { names.by_number(number) } else { words.by_number(number & !OWN) }
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
    /// Whether DNS had named them: a name, once known, stays.
    hosts: (bool, bool),
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
            && self.hosts == (seen.client_name.is_some(), seen.server_name.is_some())
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
    #[cold]
    fn ends(&mut self, seen: &Seen<'_>) -> Ends {
        let (local, remote) = match seen.open {
            Some(open) => ((open.local_address, open.local_port), (open.remote_address, open.remote_port)),
            None => (([0; 16], 0), ([0; 16], 0)),
        };
        let (client, server) = if is_swapped(seen) { (remote, local) } else { (local, remote) };
        let mut name = |process: Option<&Process>, host: Option<&Arc<str>>, address: &[u8; 16], port: u16| {
            if let Some(process) = process {
                return self.entities.intern(process.service_name(), self.latest);
            }
            self.text.clear();
            match (host, seen.open.and_then(|open| print::ip(open, address))) {
                (Some(host), _) => self.text.push_str(host),
                (None, Some(ip)) => self.text.push_str(&ip),
                (None, None) => self.text.push_str("unknown"),
            }
            // A client's port is its own invention; a server's names the service.
            if port != 0 && self.text != "unknown" {
                let _ = write!(self.text, ":{port}");
            }
            self.entities.intern(&self.text, self.latest)
        };
        Ends {
            client: name(seen.client(), seen.client_name(), &client.0, 0),
            server: name(seen.server(), seen.server_name(), &server.0, server.1),
            server_port: server.1,
            remote: remote.0,
            announced: seen.open.is_some(),
            hosts: (seen.client_name.is_some(), seen.server_name.is_some()),
            side: seen.side,
            reversed: seen.reversed,
            pids: (seen.client_pid, seen.server_pid),
            processes: seen.processes.version(),
            named: self.latest,
        }
    }
}

impl Observer for Counter {
    type Memo = Option<Ends>;

    fn exchange(&mut self, seen: &Seen<'_>, memo: &mut Option<Ends>) {
        let e = seen.exchange;
        let end = e.end.wrapping_add(seen.clock);
        let ends = match memo {
            Some(ends) if ends.hold(seen, self.latest) => *ends,
            _ => {
                let ends = self.ends(seen);
                // A name that did not fit is asked for, and counted, every time.
                let folded = [ends.client, ends.server].contains(&EntityId::OTHER);
                *memo = (!folded).then_some(ends);
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
            request_bytes: e.request_bytes,
            response_bytes: e.response_bytes,
            blocking: e.blocking,
            slow: self.slow.call_slow(e),
        };
        self.windows.record(end, &key, &observation);
    }
}
