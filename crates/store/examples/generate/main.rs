//! Writes a store of realistic size, the same each time, and says what it costs to write and to ask:
//! `cargo run --release -p steth-store --example generate -- DIRECTORY [SERVICES] [HOURS] [SERIES]`.
//! What answers cost as the page gets them, over HTTP, is the section `store` of `make bench`.
//!
//! `SERVICES` (100) call one another for `HOURS` (24) with two operations on each edge; then windows of `SERIES` (10,000) rows are
//! written to a directory beside it, to see what ingest costs, and removed. A directory that is there already is only asked.

mod windows;

use std::path::Path;
use std::time::{Duration, Instant};
use steth_query::{Dimension, EdgeScan, Engine, Filter, Range, Scan, Tier};
use steth_window::EntityId;
use windows::{T, window, write};

fn median(what: &str, mut ask: impl FnMut() -> usize) {
    let (mut times, mut cpu) = (Vec::new(), Vec::new());
    let mut groups = 0;
    for _ in 0..9 {
        let (since, before) = (Instant::now(), thread_nanos());
        groups = ask();
        times.push(since.elapsed());
        cpu.push(Duration::from_nanos(thread_nanos() - before));
    }
    times.sort();
    cpu.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let (median, least, most) = (ms(times[4]), ms(times[0]), ms(times[8]));
    println!("{what}: {median:.1} ms ({least:.1} to {most:.1}), of it {:.1} ms of CPU; {groups} groups", ms(cpu[4]));
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let directory = args.next().ok_or("generate DIRECTORY [SERVICES] [HOURS] [SERIES]")?;
    let mut number = |usual: u64| args.next().map_or(Ok(usual), |arg| arg.parse());
    let (services, hours, series) = (number(100)?, number(24)?, number(10_000)?);
    let directory = Path::new(&directory);

    let different: Vec<_> = (1..=8).map(|seed| window(seed, services, 2)).collect();
    println!("{} rows and {} edges a window", different[0].rows.len(), different[0].edges.len());
    // What was written by the same command before is asked again.
    let there = directory.join("ledger.db").exists();
    let store = write(directory, if there { 0 } else { hours * 360 }, &different)?;
    let status = store.status();
    let per = |total: u64, of: u64| total as f64 / of.max(1) as f64;
    let busy = per(status.busy_ns, status.written) / 1e6;
    println!(
        "{} windows written, {busy:.1} ms each with all roll-ups; {:.0} MiB in {} files",
        status.written,
        per(status.bytes, 1 << 20),
        status.partitions
    );

    let all = Range { from_ms: T * 1000, to_ms: (T + hours * 3600) * 1000 };
    let deadline = || Instant::now() + Duration::from_secs(60);
    use Dimension::{
        Client, Operation, Port, Protocol as By, Server, Side as BySide, Status as Code, Transport as Carrier,
    };
    let exchanges = |tier, range, step_ms, filter, by: &[Dimension]| {
        let scan = Scan { tier, range, step_ms, filter, by, sketches: true, limit: 1 << 20, deadline: deadline() };
        store.exchanges(&scan).expect("an answer").len()
    };
    let books = |tier, range, filter, by: &[Dimension]| {
        let scan = EdgeScan { tier, range, step_ms: None, filter, by, limit: 1 << 20, deadline: deadline() };
        store.edges(&scan).expect("an answer").len()
    };
    let edge = [Client, Server, Port, BySide, By];
    let map = || {
        exchanges(Tier::Minutes10, all, None, Filter::default(), &edge)
            + books(Tier::Minutes10, all, Filter::default(), &[Client, Server, Port, BySide, Carrier])
    };
    median("map of all hours (exchanges and books, with sketches)", map);
    let last = |seconds: u64| Range { from_ms: all.to_ms - seconds * 1000, to_ms: all.to_ms };
    median("map of the last 15 minutes (at 1 minute)", || {
        exchanges(Tier::Minute, last(900), None, Filter::default(), &edge)
    });
    median("map of the last 5 minutes (at 10 seconds)", || {
        exchanges(Tier::Seconds10, last(300), None, Filter::default(), &edge)
    });
    let of = Filter { entity: Some(EntityId::of("shop/service-7")), ..Filter::default() };
    let page = |tier, range, step| {
        exchanges(tier, range, None, of, &edge)
            + exchanges(tier, range, None, Filter { server: of.entity, entity: None, ..of }, &[Operation, BySide, Code])
            + exchanges(tier, range, Some(step), of, &[BySide])
            + books(tier, range, of, &[Client, Server, Port, BySide, Carrier])
    };
    median("page of a service, the last hour (edges, operations, a series, books)", || {
        page(Tier::Minute, last(3600), 60_000)
    });
    median("page of a service, all hours", || page(Tier::Minutes10, all, 600_000));
    drop(store);

    let beside = directory.with_extension("ingest");
    let large = [window(1, 125, series.div_ceil(1000)), window(2, 125, series.div_ceil(1000))];
    let (windows, before) = (120, cpu_seconds());
    let status = write(&beside, windows, &large)?.status();
    let seconds = cpu_seconds() - before;
    println!(
        "ingest of {} rows a window: {:.1} ms, {:.0} KiB a window; {:.2} % of a core, roll-ups included",
        large[0].rows.len(),
        per(status.busy_ns, windows) / 1e6,
        per(status.bytes, windows) / 1024.0,
        seconds / windows as f64 / 10.0 * 100.0
    );
    std::fs::remove_dir_all(&beside)?;
    Ok(())
}

/// CPU time of the thread that asks: other work on the machine does not count.
fn thread_nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}

/// CPU time of this process, which includes the copies of windows that are made here.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
