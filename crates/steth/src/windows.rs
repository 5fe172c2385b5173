//! From exchanges to windows: names the two ends and counts.

mod edges;
mod ends;
mod unnamed;

use crate::naming::Naming;
use crate::pipeline::{Counted, Observer, Seen, Tables};
use crate::requests::Requests;
use crate::slow::Thresholds;
use ends::Ends;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use steth_event::{Books, LISTEN_ENDS, PROTOCOLS};
use steth_identity::{Beyond, Party};
use steth_window::{
    Entities, EntityId, Key, Kind, Limits, Listener, Observation, Opened, Protocol, Side, Status, Transport, Window,
    Windows,
};
use steth_wire::Names;
use unnamed::Unnamed;

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
    /// Whose far ends are counted under their addresses.
    unnamed: Unnamed,
    /// By socket, what it had dropped when the last window ended.
    dropped: HashMap<u64, u32, FixedState>,
    /// Times that somebody was named for good, whose name may turn out to be wrong.
    not_pending: u64,
    /// By the parsers' numbers.
    protocols: [Protocol; PROTOCOLS],
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
            unnamed: Unnamed::new(),
            dropped: HashMap::with_hasher(FixedState::with_seed(0x6472_6f70)),
            not_pending: 0,
            protocols: protocols(),
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
            self.dropped.clear();
            self.dropped.extend(naming.listeners.all().map(|(listen, _)| (listen.connection, listen.drops)));
        }
        let words = &self.words;
        let due = self.windows.is_due(now);
        let window = self.windows.roll(now, &mut self.entities, &|number| resolve(names, words, number));
        if due {
            self.unnamed.turn();
        }
        window
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
        for (listen, first) in naming.listeners.all() {
            let before = self.dropped.get(&listen.connection).copied().unwrap_or(first);
            let service = match naming.get(listen.tgid) {
                Some(party) => self.party(party),
                None => self.entities.intern_as(Kind::Other, "unknown", self.latest),
            };
            listeners.push(Listener {
                service,
                port: listen.port,
                transport: Transport::Tcp,
                waiting: listen.backlog.into(),
                room: if listen.change == LISTEN_ENDS { 0 } else { u64::from(listen.backlog_max) + 1 },
                // It is a number of the kernel's, of 32 bits.
                drops: listen.drops.wrapping_sub(before).into(),
            });
        }
        self.windows.listen(listeners);
    }

    /// The entity of a process.
    fn party(&mut self, party: &Party) -> EntityId {
        let full = party.under_way() && self.pending.len() >= PENDING;
        self.not_pending += u64::from(full);
        if !party.under_way() || full {
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

    /// Times that an address was counted as its network.
    pub(crate) fn in_networks(&self) -> u64 {
        self.entities.in_networks()
    }

    /// What became of far ends that were counted under their address.
    pub(crate) fn unnamed_counts(&self) -> unnamed::Counts {
        self.unnamed.counts()
    }

    /// Times that somebody was named for good though more was about to be known of him, because too many were waiting for that.
    pub(crate) fn not_pending(&self) -> u64 {
        self.not_pending
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

/// The network of an address, as one is given to a site: 24 bits of IPv4, 48 of IPv6.
fn network(ip: IpAddr, port: u16) -> String {
    let mut name = match ip {
        IpAddr::V4(ip) => format!("{}/24", Ipv4Addr::from(u32::from(ip) & !0xff)),
        IpAddr::V6(ip) => format!("{}/48", Ipv6Addr::from(u128::from(ip) & !(u128::MAX >> 48))),
    };
    if port != 0 {
        let _ = write!(name, ":{port}");
    }
    name
}

/// What windows call the parsers' protocols, by number.
fn protocols() -> [Protocol; PROTOCOLS] {
    // No exchange has number 0.
    let mut by_number = [Protocol::Http; PROTOCOLS];
    for protocol in steth_wire::Protocol::ALL {
        by_number[protocol as usize] = Protocol::named(protocol.name()).expect("windows know what is parsed");
    }
    by_number
}

impl Observer for Counter {
    type Memo = Memo;

    fn counted(&mut self, counted: &Counted<'_>, memo: &mut Memo) {
        self.edge(counted, memo);
    }

    fn looked(&mut self, connection: u64, books: &Books, clock: u64) {
        if let Some(requests) = &mut self.requests {
            requests.looked(connection, books, clock);
        }
    }

    fn learnt(&mut self, address: IpAddr, port: u16, who: &dyn Fn() -> Beyond, since: Option<u64>) {
        self.join(address, port, who, since);
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
            protocol: match database {
                Some(steth_wire::Database { system: steth_wire::System::Mariadb, .. }) => Protocol::Mariadb,
                _ => self.protocols[e.protocol() as usize],
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
mod tests;
