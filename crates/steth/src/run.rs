//! `steth run`: the agent with its windows, `/metrics`, the health API and the page.

mod health;

use crate::agent::Agent;
use crate::configuration::Configuration;
use crate::crowded::Crowded;
use crate::hooks::Hooks;
use crate::pipeline::{Pipeline, Selected};
use crate::processes::Board;
use crate::store;
use crate::windows::Counter;
use crate::{losses, selection, stop};
use health::{Shown, Usage, health};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use steth_event::{Peer, Remote};
use steth_probe::{Selection, Settings};
use steth_server::{Retention, Server, Shared};
use steth_store::Feed;
use steth_window::Windows;

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
    own(server.address()).for_each(|own| pipeline.record(&own.to_record()));
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

/// Nobody watches the agent, so that who asks for its page or its metrics would ask an address.
fn own(listen: SocketAddr) -> impl Iterator<Item = Peer> {
    let at = match listen.ip().is_unspecified() {
        true => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        false => vec![listen.ip()],
    };
    let (port, since) = (listen.port(), Some(now()));
    // Other network namespaces have a loopback of their own. Which one is this can always be read of oneself; if not, it stays an address.
    let here = std::fs::metadata("/proc/self/ns/net").ok().map(|namespace| namespace.ino() as u32);
    let who = || Some(Remote::Process { name: "steth".to_owned() });
    at.into_iter().filter_map(move |address| {
        let netns = if address.is_loopback() { here? } else { 0 };
        Some(Peer { address, port, netns, who: who(), since })
    })
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

/// Nanoseconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}
