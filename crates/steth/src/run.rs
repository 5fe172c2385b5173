//! `steth run`: the agent with its windows, `/metrics`, the health API and the page.

use crate::account::Account;
use crate::agent::Agent;
use crate::configuration::Configuration;
use crate::crowded::Crowded;
use crate::hooks::Hooks;
use crate::pipeline::{Pipeline, Selected};
use crate::processes::Board;
use crate::store;
use crate::windows::Counter;
use crate::{losses, selection, stop};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use steth_event::counter;
use steth_probe::privileges::{Capabilities, Capability};
use steth_probe::{Selection, Settings};
use steth_server::{Cpu, Health, Hook, Kind, Retention, Server, Shared};
use steth_store::{Feed, Store};
use steth_window::Windows;
use steth_wire::Protocol;

/// Where from, where to.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  sudo steth run\n  steth run --print-config > steth.yaml && sudo steth run --config steth.yaml"
)]
pub(crate) struct Args {
    /// Configuration file (YAML); every key is optional
    #[arg(long)]
    config: Option<PathBuf>,
    /// Address of /metrics, the API and the page; beyond loopback it takes a token and TLS
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Listen beyond loopback also without token and TLS: anyone who reaches the address can look
    #[arg(long)]
    insecure_listen: bool,
    /// Directory for finished windows
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    hooks: Hooks,
    /// Print the whole configuration with its defaults and stop
    #[arg(long)]
    print_config: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let configuration = args.configuration()?;
    if args.print_config {
        crate::say::print(configuration.print().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    observe(args, &configuration)
}

impl Args {
    /// The file, and what the command line says against it.
    fn configuration(&self) -> anyhow::Result<Configuration> {
        let mut configuration = Configuration::read_or_default(self.config.as_deref())?;
        if let Some(listen) = self.listen {
            configuration.server.listen = listen;
        }
        configuration.server.insecure_listen |= self.insecure_listen;
        if let Some(data) = &self.data {
            configuration.store.data.clone_from(data);
        }
        Ok(configuration)
    }
}

fn observe(args: &Args, configuration: &Configuration) -> anyhow::Result<ExitCode> {
    let stop = stop::on_signals()?;
    let reload = stop::reload_on_signal()?;
    let mut protocols = configuration.protocols()?;
    let shared = Arc::new(Shared::new(now(), Retention::default()));
    // The address first: it fails for reasons that a person can mend at once.
    let settings = configuration.server.settings()?;
    let tls = settings.tls.is_some();
    if !settings.listen.ip().is_loopback() && (settings.token.is_none() || !tls) && settings.insecure {
        crate::say::say!("INSECURE: anyone who reaches {} can read what is observed here", settings.listen);
    }
    let server = Server::bind(settings)?;
    let data = &configuration.store.data;
    let kept = !data.as_os_str().is_empty();
    // Before anything is attached: a directory that is in use, or of a newer version, is for a person to decide.
    let opened = kept.then(|| store::open(data, configuration.store.bytes, Some(now()))).transpose()?;
    let selection = selection::of(configuration)?;
    let (probe, judging) = selection::attach(&args.hooks.choose(Settings {
        ring_bytes: configuration.capture.ring_kib * 1024,
        capture_head: configuration.capture.head,
        selection: selection.clone(),
        ..Settings::default()
    })?)?;
    let more = if kept { store::needs(data) } else { &[] };
    let mut agent = Agent::start(probe, &configuration.identity, judging, more)?;
    // Threads have the privileges of whoever starts them, so this one starts now.
    let server = server.serve(shared.clone())?;
    let (store, feed) =
        opened.map(|(store, writer)| Ok::<_, std::io::Error>((store, writer.start()?))).transpose()?.unzip();
    if let Some(store) = &store {
        let asked = store.clone();
        shared.answer_from(Arc::new(store.clone()), Arc::new(move || asked.unkept()));
    }
    let limits = configuration.pipeline()?;
    let counter = Counter::new(now(), configuration.windows(), configuration.thresholds()).with_requests(now());
    let mut pipeline = Pipeline::new(&limits, protocols, counter);
    let mut shown = Shown {
        hooks: agent.probe().hooks().collect(),
        rung: agent.probe().rung().to_string(),
        usage: Usage::default(),
        started: Instant::now(),
        store,
        share: selection.connections.share(),
        containers: steth_containers::Counters::default(),
        cluster: steth_kubernetes::Counters::default(),
        translations: agent.surroundings().translation_counters(),
        unconfirmed: 0,
        crowded: Crowded::default(),
    };
    let board = Board::default();
    let asked = board.clone();
    shared.ask_for_processes(Arc::new(move |entity| asked.of(entity)));
    let mut left: Option<Instant> = None;
    let mut published: Option<Instant> = None;
    let mut losses = losses::Log::default();
    // Rules that are in force for whoever starts, while those that run are judged.
    let mut reloading: Option<Selection> = None;
    // Whoever reads the line below and asks gets an answer with something in it.
    shared.publish_health(health(&mut pipeline, &mut shown));
    let scheme = if tls { "https" } else { "http" };
    crate::say::say!(
        "watching with {} hooks ({}); {scheme}://{}/",
        shown.hooks.len(),
        agent.probe().rung(),
        server.address()
    );

    while !stop.requested() {
        agent.turn(&mut |record| pipeline.record(record));
        agent.demote(pipeline.take_demotions());
        losses.look(|| pipeline.account());
        if reload.take() {
            let read = args.configuration().and_then(|configuration| selection_of(&agent, &configuration));
            match read.and_then(|selection| agent.select(&selection).map(|()| selection)) {
                Ok(selection) => {
                    // While the kernel side changes over, records come for the protocols of both.
                    let before = protocols.0 | reloading.take().map_or(0, |selection: Selection| selection.protocols);
                    pipeline.select(Selected(before | selection.protocols));
                    protocols = Selected(before);
                    reloading = Some(selection);
                }
                Err(error) => crate::say::say!("the selection stays as it was: {error:#}"),
            }
        } else if let Some(selection) = reloading.take_if(|_| agent.is_judged()) {
            agent.turn(&mut |record| pipeline.record(record));
            protocols = Selected(selection.protocols);
            pipeline.select(protocols);
            shown.share = selection.connections.share();
            crate::say::say!("the selection was read again");
        }
        if published.is_some_and(|at| at.elapsed() < Duration::from_secs(1)) {
            continue;
        }
        published = Some(Instant::now());
        let now = now();
        let (counter, tables) = pipeline.observer_and_tables();
        while let Some(window) = counter.roll(now, tables) {
            if let Some(feed) = &feed {
                feed.window(window.clone());
            }
            shared.publish_finished(window);
        }
        if left.is_none_or(|at| at.elapsed() >= Duration::from_secs(10)) {
            left = Some(Instant::now());
            board.put(tables.naming);
        }
        if let Some(feed) = &feed {
            let over = now.saturating_sub(Windows::GRACE);
            feed.reached(over - over % Windows::LENGTH);
        }
        shared.publish_current(counter.snapshot(now, tables));
        if let Some(requests) = counter.requests(now)
            && let Some(samples) = requests.snapshot()
        {
            if let Some(feed) = &feed {
                feed.samples(samples.clone(), requests.forgotten());
            }
            shared.publish_samples(samples);
        }
        shown.containers = agent.surroundings().container_counters();
        shown.cluster = agent.surroundings().cluster_counters();
        shown.translations = agent.surroundings().translation_counters();
        shown.unconfirmed = agent.surroundings().unconfirmed();
        shown.crowded = Crowded::of(&agent);
        shared.publish_health(health(&mut pipeline, &mut shown));
    }
    agent.finish(&mut |record| pipeline.record(record));
    pipeline.finish();
    if let Some(feed) = feed {
        close(feed, &mut pipeline);
    }
    let account = pipeline.account().to_json();
    server.stop();
    crate::say::say!(
        "stopped; {} exchanges reported, {} lost",
        account["exchanges"]["reported"],
        account["exchanges"]["lost"]
    );
    Ok(ExitCode::SUCCESS)
}

/// The windows and requests that are left, and that this is all of it until now.
fn close(feed: Feed, pipeline: &mut Pipeline<Counter>) {
    let now = now();
    let (counter, tables) = pipeline.observer_and_tables();
    while let Some(window) = counter.close(tables) {
        feed.window_in_time(window);
    }
    let requests = counter.requests(now);
    let samples = requests.and_then(|requests| Some((requests.snapshot()?, requests.forgotten())));
    feed.close(samples, Some(now));
}

fn selection_of(agent: &Agent, configuration: &Configuration) -> anyhow::Result<Selection> {
    let selection = selection::of(configuration)?;
    anyhow::ensure!(
        selection.rules.is_empty() || agent.probe().same_pids(),
        "rules of the section selection would judge strangers: {}",
        crate::agent::OTHER_PIDS
    );
    Ok(selection)
}

/// What health says beside the pipeline's own numbers.
struct Shown {
    hooks: Vec<String>,
    /// The rung of the ladder that they are.
    rung: String,
    usage: Usage,
    started: Instant,
    /// Where windows are kept, if they are.
    store: Option<Store>,
    /// Of connections, those that are observed: `selection.sampling`.
    share: f64,
    /// What was asked of container runtimes.
    containers: steth_containers::Counters,
    /// What became of following the cluster.
    cluster: steth_kubernetes::Counters,
    /// What was asked of connection tracking, if it is asked.
    translations: Option<steth_conntrack::Counters>,
    unconfirmed: u64,
    /// What found no room in the agent's own tables.
    crowded: Crowded,
}

fn health(pipeline: &mut Pipeline<Counter>, shown: &mut Shown) -> Health {
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
struct Usage {
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

/// Nanoseconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}
