//! Who the two ends of a connection are, as entities.

use super::{Counter, network};
use crate::pipeline::{self, Seen};
use std::fmt::Write as _;
use steth_event::Open;
use steth_identity::{Beyond, Party};
use steth_window::{EntityId, Kind};

/// The two ends of a connection, as they were named last, and what that followed from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) client: EntityId,
    pub(super) server: EntityId,
    pub(super) server_port: u16,
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

/// Names are good for so long: far less than [`steth_window::Entities::IDLE`].
const GOOD: u64 = 10_000_000_000;

impl Ends {
    pub(super) fn hold(&self, seen: &Seen<'_>, now: u64) -> bool {
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

/// Where the address is a service's, the port behind it.
fn server_port(seen: &Seen<'_>, open: &Open) -> u16 {
    if is_swapped(seen) {
        return open.local_port;
    }
    seen.server_beyond.and_then(Beyond::port).filter(|_| seen.server().is_none()).unwrap_or(open.remote_port)
}

impl Counter {
    /// The entity of an end: its process, or who is behind its address, or the address.
    pub(super) fn entity(&mut self, end: &End<'_>, open: Option<&Open>) -> EntityId {
        if let Some(party) = end.party {
            return self.party(party);
        }
        if let Some(beyond) = end.beyond {
            return self.named(beyond, end.port);
        }
        let Some(ip) = open.and_then(|open| pipeline::address(open, &end.address)) else {
            return self.entities.intern_as(Kind::Other, "unknown", self.latest);
        };
        self.text.clear();
        // A client's port is its own invention; a server's names the service.
        let _ = match end.port {
            0 => write!(self.text, "{ip}"),
            port => write!(self.text, "{ip}:{port}"),
        };
        match end.far {
            true => self.unnamed(ip, end.port, end.at),
            false => self.entities.intern_address(&self.text, || network(ip, end.port), self.latest),
        }
    }

    #[cold]
    pub(super) fn ends(&mut self, seen: &Seen<'_>) -> Ends {
        let (local, remote) = match seen.open {
            Some(open) => ((open.local_address, open.local_port), (open.remote_address, open.remote_port)),
            None => (([0; 16], 0), ([0; 16], 0)),
        };
        let swapped = is_swapped(seen);
        let (client, server) = if swapped { (remote, local) } else { (local, remote) };
        let network = seen.side == steth_wire::Side::Network;
        let at = seen.exchange.end.wrapping_add(seen.clock);
        let (of_client, of_server) = (seen.client_beyond(), seen.server_beyond());
        let end = |party, beyond, address, port, far| End { party, beyond, address, port, far, at };
        Ends {
            client: self.entity(&end(seen.client(), of_client, client.0, 0, swapped || network), seen.open),
            server: self.entity(&end(seen.server(), of_server, server.0, server.1, !swapped || network), seen.open),
            server_port: seen.open.map_or(0, |open| server_port(seen, open)),
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

/// One end, as far as it is known.
pub(super) struct End<'a> {
    pub(super) party: Option<&'a Party>,
    pub(super) beyond: Option<&'a Beyond>,
    pub(super) address: [u8; 16],
    /// Of a client 0.
    pub(super) port: u16,
    /// Not the observed one.
    pub(super) far: bool,
    /// When it was talked to, nanoseconds since 1970.
    pub(super) at: u64,
}
