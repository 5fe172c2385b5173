//! What health and `/metrics` say: the pipeline's books, what was asked beside it, and what the agent itself takes.

use super::now;
use crate::account::Account;
use crate::crowded::Crowded;
use crate::pipeline::Pipeline;
use crate::store;
use crate::windows::Counter;
use std::time::Instant;
use steth_event::counter;
use steth_probe::privileges::{Capabilities, Capability};
use steth_server::{Cpu, Health, Hook, Kind};
use steth_store::Store;
use steth_wire::Protocol;

/// What health says beside the pipeline's own numbers.
pub(super) struct Shown {
    pub(super) hooks: Vec<String>,
    /// The rung of the ladder that they are.
    pub(super) rung: String,
    pub(super) usage: Usage,
    pub(super) started: Instant,
    /// Where windows are kept, if they are.
    pub(super) store: Option<Store>,
    /// Of connections, those that are observed: `selection.sampling`.
    pub(super) share: f64,
    /// What was asked of container runtimes.
    pub(super) containers: steth_containers::Counters,
    /// What became of following the cluster.
    pub(super) cluster: steth_kubernetes::Counters,
    /// What was asked of connection tracking, if it is asked.
    pub(super) translations: Option<steth_conntrack::Counters>,
    pub(super) unconfirmed: u64,
    /// What found no room in the agent's own tables.
    pub(super) crowded: Crowded,
}

/// Everything that health says now.
pub(super) fn health(pipeline: &mut Pipeline<Counter>, shown: &mut Shown) -> Health {
    let account = pipeline.account();
    let mut counters = counters(&account);
    let (misplaced, entities) = pipeline.observer().limits();
    if let Some(requests) = pipeline.observer().requests(now()) {
        counters.extend(requests.counters());
    }
    counters.extend(shown.crowded.counters(&account, pipeline.observer()));
    let mut add = |name, help, labels: Vec<(&'static str, String)>, value: u64| {
        counters.push(steth_server::Counter { name, help, kind: Kind::Counter, labels, value: value as f64 });
    };
    add(
        "steth_hook_runs_missed_total",
        "Program runs that the kernel skipped: events lost unseen.",
        vec![],
        account.hook_runs_missed,
    );
    add(
        "steth_hook_runs_crowded_total",
        "Program runs other than transfers that found no room to work in, because others were preempted there: events lost.",
        vec![],
        account.kernel[counter::CROWDED_RUNS],
    );
    add(
        "steth_containers_undecided_total",
        "Containers that were not judged by the rules, and so are not observed, because there was no room for them.",
        vec![],
        shown.crowded.judged.containers_no_room,
    );
    let asked = shown.containers;
    for (outcome, value) in [
        ("asked", asked.asked),
        ("found", asked.found),
        ("unknown", asked.unknown),
        ("failed", asked.failed),
        ("refused", asked.refused),
        ("truncated", asked.truncated),
        ("news", asked.news),
        ("unheard", asked.unheard),
        ("evicted", asked.evicted),
        ("ignored", asked.ignored),
        ("out_of_reach", asked.out_of_reach),
        ("late", shown.crowded.judged.containers_late),
        ("purged", shown.crowded.judged.containers_purged),
    ] {
        let help = "What was asked of container runtimes, and what came of it.";
        add("steth_containers_total", help, vec![("outcome", outcome.into())], value);
    }
    let followed = &shown.cluster;
    for (outcome, value) in [
        ("refused", followed.refused),
        ("forgotten_early", followed.forgotten_early),
        ("claims_displaced", followed.claims_displaced),
        ("unusable", followed.unusable),
        ("oversized", followed.oversized),
        ("lists", followed.lists),
        ("watches", followed.watches),
        ("events", followed.events),
        ("gone", followed.gone),
        ("failures", followed.failures),
        ("unconfirmed", shown.unconfirmed),
    ] {
        let help = "What was read of the Kubernetes API, and what was left out.";
        add("steth_kubernetes_total", help, vec![("outcome", outcome.into())], value);
    }
    let asked = shown.translations.unwrap_or_default();
    for (outcome, value) in [
        ("asked", asked.asked),
        ("rewritten", asked.rewritten),
        ("as_it_is", asked.as_it_is),
        ("untracked", asked.untracked),
        ("failed", asked.failed),
        ("refused", asked.refused),
        ("forgotten", asked.forgotten),
        ("late", account.translations_late),
    ] {
        let help = "Connections of which connection tracking was asked where they lead, and what came of it.";
        add("steth_conntrack_total", help, vec![("outcome", outcome.into())], value);
    }
    let folded = "Exchanges or names that were folded to stay within a limit.";
    add(
        "steth_folded_total",
        folded,
        vec![("what", "window rows".into())],
        misplaced.folded_rows + misplaced.folded_operations,
    );
    add("steth_folded_total", folded, vec![("what", "edge rows".into())], misplaced.folded_edges);
    add("steth_folded_total", folded, vec![("what", "entities".into())], entities);
    add("steth_folded_total", folded, vec![("what", "addresses".into())], pipeline.observer().in_networks());
    add("steth_folded_total", folded, vec![("what", "names".into())], account.names_folded);
    add("steth_folded_total", folded, vec![("what", "HTTP routes".into())], account.routes_folded);
    add("steth_folded_total", folded, vec![("what", "DNS names".into())], account.domains_folded);
    add("steth_folded_total", folded, vec![("what", "digests".into())], account.digests_folded);
    add(
        "steth_look_ups_refused_total",
        "Processes that were not looked up in /proc when first seen, because too many others were waiting.",
        vec![],
        account.look_ups_refused,
    );
    add(
        "steth_named_late_total",
        "Exchanges that went on before the look-up of one of their processes had ended.",
        vec![],
        account.named_late,
    );
    let unnamed = pipeline.observer().unnamed_counts();
    for (outcome, value) in [("joined", unnamed.joined), ("before", unnamed.before)] {
        let help = "Remote addresses that were counted without a name and of whom somebody was learnt before their window was over: those \
                    that got the name (joined), and those that were counted before that one had the address (before).";
        add("steth_addresses_named_late_total", help, vec![("outcome", outcome.into())], value);
    }
    counters.push(steth_server::Counter {
        name: "steth_sampling_ratio",
        help: "Share of connections that is observed (selection.sampling). All counts are of those, not scaled up.",
        kind: Kind::Gauge,
        labels: vec![],
        value: shown.share,
    });
    let kept = shown.store.as_ref().map(Store::status);
    counters.extend(kept.iter().flat_map(store::counters));
    let (cpu, memory_bytes) = shown.usage.read();
    Health {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
        uptime_seconds: shown.started.elapsed().as_secs_f64(),
        hooks: shown
            .hooks
            .iter()
            .map(|name| Hook { name: name.clone(), attached: true, note: shown.rung.clone() })
            .collect(),
        capabilities: match shown.translations {
            Some(_) => Capabilities::held().with(Capability::NetAdmin).names(),
            None => Capabilities::held().names(),
        },
        cpu,
        memory_bytes,
        store_trouble: kept.and_then(|status| status.trouble),
        exchanges: Protocol::ALL.iter().map(|protocol| (protocol.name(), account.of(*protocol))).collect(),
        counters,
    }
}

fn counters(account: &Account) -> Vec<steth_server::Counter> {
    let k = |index: usize| account.kernel[index];
    let rows = [
        (
            "steth_chunks_total",
            "Sends and receives, by what became of them.",
            "state",
            vec![
                ("seen", k(counter::SEEN_CHUNKS) + k(counter::CROWDED_CHUNKS)),
                ("reported", k(counter::REPORTED_CHUNKS)),
                ("l4_only", k(counter::L4_CHUNKS)),
                ("pending", k(counter::PENDING_CHUNKS)),
                ("unread", k(counter::UNREAD_CHUNKS)),
                ("ring_full", k(counter::DROPPED_CHUNKS)),
                ("map_full", k(counter::MAP_FULL)),
                ("crowded", k(counter::CROWDED_CHUNKS)),
                ("unselected", k(counter::UNSELECTED)),
                ("other_sockets", k(counter::OTHER_CHUNKS)),
            ],
        ),
        (
            "steth_bytes_total",
            "Bytes sent and received, by what became of them.",
            "state",
            vec![
                ("seen", k(counter::SEEN_BYTES) + k(counter::CROWDED_BYTES)),
                ("crowded", k(counter::CROWDED_BYTES)),
                ("captured", account.flow.captured),
                ("skipped", k(counter::SKIPPED_BYTES)),
                ("unread", k(counter::UNREAD_BYTES)),
                ("l4_only", k(counter::L4_BYTES)),
                ("ring_full", k(counter::DROPPED_BYTES)),
                ("holes", account.flow.lost_bytes),
                ("late", account.flow.late_bytes),
            ],
        ),
        (
            "steth_records_total",
            "Records of the ring that were lost or made no sense.",
            "state",
            vec![("dropped", k(counter::DROPPED_RECORDS)), ("malformed", account.malformed_records)],
        ),
        (
            "steth_connections_total",
            "Connections, by what became of them.",
            "state",
            vec![
                ("seen", account.flow.connections),
                ("evicted", account.flow.evicted),
                ("vanished", account.flow.vanished),
                ("unended", account.flow.unended),
            ],
        ),
    ];
    let mut counters: Vec<_> = (rows.into_iter())
        .flat_map(|(name, help, label, values)| {
            values.into_iter().map(move |(state, value): (&str, u64)| steth_server::Counter {
                name,
                help,
                kind: Kind::Counter,
                labels: vec![(label, state.to_owned())],
                value: value as f64,
            })
        })
        .collect();
    counters.push(steth_server::Counter {
        name: "steth_connections_open",
        help: "Connections whose state is kept.",
        kind: Kind::Gauge,
        labels: vec![],
        value: account.open_connections as f64,
    });
    counters
}

/// CPU time and memory of this process.
#[derive(Default)]
pub(super) struct Usage {
    last: Option<(Instant, f64)>,
}

impl Usage {
    fn read(&mut self) -> (Cpu, u64) {
        let (user_seconds, system_seconds) = cpu_seconds();
        let total = user_seconds + system_seconds;
        let now = Instant::now();
        let percent =
            self.last.map_or(0.0, |(at, before)| (total - before) / (now - at).as_secs_f64().max(1e-3) * 100.0);
        self.last = Some((now, total));
        (Cpu { user_seconds, system_seconds, bpf_seconds: None, percent }, resident())
    }
}

#[allow(unsafe_code)]
fn cpu_seconds() -> (f64, f64) {
    // SAFETY: all-zero is a valid value of this plain C struct, and the kernel fills it in.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    (seconds(usage.ru_utime), seconds(usage.ru_stime))
}

/// Resident bytes (`VmRSS`, proc(5)).
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse().ok());
    kib.map_or(0, |kib: u64| kib * 1024)
}
