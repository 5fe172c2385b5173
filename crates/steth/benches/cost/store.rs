//! The store and the API before it: what ingest takes, and how long answers take as the page gets them, JSON over HTTP.
//!
//! The store is the one of `crates/store/examples/generate`: services that call four others each, both ends watched, two operations on
//! each edge, for 24 hours. 30 of them are what a busy machine has: 480 rows of exchanges and 240 of books in each window, three times as
//! much as the usual room holds for that long. 100 are more than one machine will have. It is written first, which takes some minutes.

#[path = "../../../store/examples/generate/windows.rs"]
mod windows;

use crate::Plan;
use crate::report::{Report, Target};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use steth_server::{Retention, Server, Settings, Shared};
use windows::{T, window, write};

/// How many services, and whether there are targets.
const SIZES: [(u64, bool); 2] = [(30, true), (100, false)];
/// Windows of one hour.
const HOUR: u64 = 360;
/// One service among many, and what its page asks when it is opened.
const ID: &str = "shop/service-7";
const PAGE: [&str; 4] = [
    "entity?id=shop/service-7",
    "series?server=shop/service-7&points=180",
    "heatmap?server=shop/service-7&side=server&columns=160",
    "top?by=operations&server=shop/service-7&limit=300&curve=40",
];

/// Hours that are kept.
fn hours(plan: &Plan) -> u64 {
    if plan.rounds >= crate::FULL.rounds { 24 } else { 2 }
}

pub(crate) fn measure(report: &mut Report, plan: &Plan) -> anyhow::Result<()> {
    ingest(report, plan, tempfile::tempdir()?.path())?;
    SIZES.into_iter().try_for_each(|(services, targets)| answers(report, plan, services, targets))
}

fn answers(report: &mut Report, plan: &Plan, services: u64, targets: bool) -> anyhow::Result<()> {
    let (dir, hours) = (tempfile::tempdir()?, hours(plan));
    let failed = |error: Box<dyn std::error::Error>| anyhow::anyhow!("{error}");
    let different: Vec<_> = (1..=8).map(|seed| window(seed, services, 2)).collect();
    let store = write(&dir.path().join("data"), hours * HOUR, &different).map_err(failed)?;
    let status = store.status();
    let rows = different[0].rows.len();
    report.section(&format!(
        "Answers of a store: {services} services, {rows} rows a window, {hours} hours, {:.0} MiB",
        status.bytes as f64 / f64::from(1 << 20)
    ));
    let shared = Arc::new(Shared::new(T * 1_000_000_000, Retention::default()));
    shared.answer_from(Arc::new(store), Arc::new(Default::default));
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::start(Settings { questions_per_second: 1_000_000, ..listen.into() }, shared)?;
    let end = T + hours * 3600;
    let range = |seconds: u64| format!("from={}&to={}", (end - seconds) * 1000, end * 1000);
    let page = |seconds: u64| PAGE.map(|question| format!("{question}&{}", range(seconds)));
    let (all, hour) = (hours * 3600, 3600);
    let figures: [(String, Vec<String>, Option<f64>); 8] = [
        (format!("map of {hours} hours"), vec![format!("map?{}", range(all))], Some(100.0)),
        ("map of the last hour".into(), vec![format!("map?{}", range(hour))], None),
        (format!("page of a service, {hours} hours: {} questions", PAGE.len()), page(all).into(), Some(50.0)),
        ("page of a service, the last hour".into(), page(hour).into(), Some(50.0)),
        (format!("{ID} alone (entity), {hours} hours"), vec![page(all)[0].clone()], None),
        (
            "services with curves, the last hour".into(),
            vec![format!("top?by=services&limit=300&curve=40&{}", range(hour))],
            None,
        ),
        (
            "operations with curves, the last hour".into(),
            vec![format!("top?by=operations&limit=300&curve=40&{}", range(hour))],
            None,
        ),
        ("series by server, the last hour".into(), vec![format!("series?by=server&points=180&{}", range(hour))], None),
    ];
    for (name, questions, limit) in figures {
        let mut times = Vec::with_capacity(plan.rounds);
        // The first round opens files that then stay open.
        for round in 0..=plan.rounds {
            let since = Instant::now();
            for question in &questions {
                get(server.address(), &format!("/api/v1/{question}"))?;
            }
            if round > 0 {
                times.push(since.elapsed().as_secs_f64() * 1e3);
            }
        }
        report.row(&name, "ms", &times, limit.filter(|_| targets).map(Target::AtMost));
    }
    server.stop();
    Ok(())
}

/// 125 services with ten operations on each of their edges.
fn ingest(report: &mut Report, plan: &Plan, directory: &std::path::Path) -> anyhow::Result<()> {
    let large = [window(1, 125, 10), window(2, 125, 10)];
    report.section(&format!("Ingest of {} rows a window, roll-ups included", large[0].rows.len()));
    let (mut busy, mut bytes) = (Vec::new(), Vec::new());
    for round in 0..plan.rounds {
        let directory = directory.join(round.to_string());
        std::fs::create_dir_all(&directory)?;
        let before = cpu_seconds();
        let windows = 60;
        let status = write(&directory, windows, &large).map_err(|error| anyhow::anyhow!("{error}"))?.status();
        anyhow::ensure!(status.written == windows, "{status:?}");
        busy.push((cpu_seconds() - before) / (windows * 10) as f64 * 100.0);
        bytes.push(status.bytes as f64 / windows as f64 / 1024.0);
        std::fs::remove_dir_all(&directory)?;
    }
    report.row("of a core, where a window is ten seconds", "%", &busy, Some(Target::AtMost(5.0)));
    report.row("on disk, all tiers", "KiB a window", &bytes, None);
    Ok(())
}

/// An answer, read to its end.
fn get(address: SocketAddr, path: &str) -> anyhow::Result<usize> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let ok = answer.starts_with(b"HTTP/1.1 200");
    anyhow::ensure!(ok, "{path}: {}", String::from_utf8_lossy(&answer[..answer.len().min(500)]));
    Ok(answer.len())
}

/// CPU time of this process: nothing else runs in it meanwhile, but for the copies of windows that are made here.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
