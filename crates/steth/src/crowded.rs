//! What found no room in a table of a fixed size, for health and metrics: it is counted, and known less finely.

use crate::account::Account;
use crate::agent::Agent;
use crate::windows;
use steth_server::{Counter, Kind};

/// What the live agent's own tables say, beside the pipeline's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Crowded {
    /// Processes of which something was forgotten before they were looked up.
    pub(crate) processes_forgotten: u64,
    /// Datagrams whose destination found no room in the kernel side's table.
    pub(crate) destinations: u64,
    /// Addresses of the hosts file, as it is now.
    pub(crate) hosts: u64,
    /// What was said of containers that are gone.
    pub(crate) containers_late: u64,
    /// Containers that were forgotten because nothing runs in them, and the table was nearly full.
    pub(crate) containers_purged: u64,
}

impl Crowded {
    pub(crate) fn of(agent: &Agent) -> Self {
        Self {
            processes_forgotten: agent.processes_forgotten(),
            destinations: agent.probe().sent_without_room(),
            hosts: agent.surroundings().hosts_left_out(),
            containers_late: agent.containers().late(),
            containers_purged: agent.containers().purged(),
        }
    }

    pub(crate) fn counters(&self, account: &Account, observer: &windows::Counter) -> Vec<Counter> {
        let (misplaced, _) = observer.limits();
        let help = "What found no room in a table of a fixed size: it is counted, and known less finely.";
        let totals = [
            ("last_books", account.last_books_no_room),
            ("listening_sockets", account.listeners_no_room),
            ("listening_sockets_of_windows", misplaced.listeners_left_out),
            ("sockets", account.sockets_no_room),
            ("datagram_destinations", self.destinations + account.destinations_unclaimed),
            ("provisional_names", observer.not_pending()),
            ("processes", self.processes_forgotten),
        ];
        let totals = totals.map(|(what, value)| Counter {
            name: "steth_no_room_total",
            help,
            kind: Kind::Counter,
            labels: vec![("what", what.to_owned())],
            value: value as f64,
        });
        let hosts = Counter {
            name: "steth_hosts_file_left_out",
            help: "Addresses of the hosts file that are not known, because they are too many.",
            kind: Kind::Gauge,
            labels: vec![],
            value: self.hosts as f64,
        };
        totals.into_iter().chain([hosts]).collect()
    }
}
