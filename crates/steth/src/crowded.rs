//! What found no room in a table of a fixed size, for health and metrics: it is counted, and known less finely.

use crate::account::Account;
use crate::agent::Agent;
use crate::windows;
use steth_judge::Counts;
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
    /// What was judged by the rules, and what could not be.
    pub(crate) judged: Counts,
}

impl Crowded {
    pub(crate) fn of(agent: &Agent) -> Self {
        Self {
            processes_forgotten: agent.processes_forgotten(),
            destinations: agent.probe().sent_without_room(),
            hosts: agent.surroundings().hosts_left_out(),
            judged: agent.judged(),
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
            ("provisional_addresses", observer.unnamed_counts().no_room),
            ("processes", self.processes_forgotten),
            ("selected_processes", self.judged.processes_no_room),
            ("judgements", self.judged.refused),
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
        let unjudged = [
            ("unreadable", self.judged.unreadable),
            ("unsettled", self.judged.unsettled),
            ("unlisted", self.judged.unlisted),
        ];
        let unjudged = unjudged.map(|(why, value)| Counter {
            name: "steth_unjudged_total",
            help: "Looks at running processes that could not be judged by the rules and so are not observed (unreadable, unlisted), and \
                   looks at all of them that came to no end because others were forked as fast (unsettled).",
            kind: Kind::Counter,
            labels: vec![("why", why.to_owned())],
            value: value as f64,
        });
        let undecided = Counter {
            name: "steth_undecided_containers",
            help: "Containers of which it is not known yet what they are called: while there are rules for that, nothing in them is observed.",
            kind: Kind::Gauge,
            labels: vec![],
            value: self.judged.containers_undecided as f64,
        };
        let images = Counter {
            name: "steth_undecided_total",
            help: "Times that a process began in a container, or was put into one, before the rules could be applied to it, and so was not \
                   observed at first.",
            kind: Kind::Counter,
            labels: vec![],
            value: account.undecided as f64,
        };
        totals.into_iter().chain([hosts]).chain(unjudged).chain([undecided, images]).collect()
    }
}
