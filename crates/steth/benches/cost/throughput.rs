//! How fast one core takes each protocol: records to windows, the stages of `steth run`.
//!
//! What is replayed is what real clients and servers have said here a moment ago, at both ends. Statements of SQL come in three
//! kinds: prepared ones, whose text comes once; texts of which there are a hundred; and texts with literals of a hundred
//! thousand values, so that hardly one was seen before.

use crate::Plan;
use crate::captured;
use crate::databases::ROWS;
use crate::recording::{self, Talk};
use crate::replay::{Books, replay};
use crate::report::{Report, Target};
use crate::servers::{Server, Workload};
use anyhow::Context as _;
use std::path::Path;

/// What an exchange may take: `≤ 0.5 µs`.
const TARGET: Target = Target::AtMost(500.0);

/// Its name on the command line, its title, what is asked; those of one server behind one another.
const CAPTURED: [(&str, &str, Workload); 11] = [
    ("redis-pipeline", "Redis, GET, 16 in a pipeline", Workload::RedisPipeline),
    ("mysql", "MySQL, point selects, prepared", point(true, ROWS)),
    ("mysql-known", "MySQL, point selects, 100 texts", point(false, 100)),
    ("mysql-new", "MySQL, point selects, texts never seen before", point(false, ROWS)),
    ("mysql-write", "MySQL, reads and writes, prepared", read_write(true)),
    ("mysql-write-new", "MySQL, reads and writes, texts never seen before", read_write(false)),
    ("postgresql", "PostgreSQL, point selects, prepared", pgbench("prepared", true)),
    ("postgresql-new", "PostgreSQL, point selects, texts never seen before", pgbench("simple", true)),
    ("postgresql-tpcb", "PostgreSQL, TPC-B, prepared", pgbench("prepared", false)),
    ("postgresql-tpcb-new", "PostgreSQL, TPC-B, texts never seen before", pgbench("simple", false)),
    ("dns", "DNS, A over UDP", Workload::Dns),
];

const fn point(prepared: bool, rows: u32) -> Workload {
    Workload::Mysql { test: "oltp_point_select", prepared, rows }
}

const fn read_write(prepared: bool) -> Workload {
    Workload::Mysql { test: "oltp_read_write", prepared, rows: ROWS }
}

const fn pgbench(mode: &'static str, select: bool) -> Workload {
    Workload::Postgresql { mode, select }
}

/// Names of the conversations that [`write`] can record.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    CAPTURED.iter().map(|(name, ..)| *name)
}

/// Measures all five protocols.
pub(crate) fn measure(report: &mut Report, plan: &Plan) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("recording");
    report.section("Records to windows on one core");
    recording::write(&path, Talk::Http, plan.recorded / 2)?;
    time(report, plan, "HTTP", &path, Some(plan.recorded / 2))?;
    recording::write(&path, Talk::Redis, plan.recorded / 2)?;
    time(report, plan, "Redis, GET", &path, Some(plan.recorded / 2))?;
    for conversations in CAPTURED.chunk_by(|(.., one), (.., other)| one.name() == other.name()) {
        let Some((.., first)) = conversations.first() else { continue };
        let (mut server, mut means) = (Server::start(*first)?, Vec::new());
        for (_, title, workload) in conversations {
            server.workload = *workload;
            let reported = capture(&server, plan.recorded / 2, &path)?;
            means.push(time(report, plan, title, &path, Some(reported))?);
        }
        if let (Some((_, title, _)), 2..) = (conversations.first(), means.len()) {
            // On average for each protocol: every load counts alike, round by round.
            let protocol = title.split(',').next().unwrap_or_default();
            let rounds = means.iter().map(Vec::len).min().unwrap_or(0);
            let mean = |n| means.iter().filter_map(|each| each.get(n)).sum::<f64>() / means.len() as f64;
            report.row(
                &format!("{protocol}, on average"),
                "ns/exchange",
                &(0..rounds).map(mean).collect::<Vec<_>>(),
                Some(TARGET),
            );
        }
    }
    Ok(())
}

/// Records the conversation of this name, for a profiler: so many exchanges or a few more. How many there are.
pub(crate) fn write(name: &str, exchanges: u64, path: &Path) -> anyhow::Result<u64> {
    let (.., workload) = CAPTURED.iter().find(|(known, ..)| *known == name).context("no such conversation")?;
    capture(&Server::start(*workload)?, exchanges, path)
}

/// About a second of what the server and its tool say, over and over. How many exchanges there are.
fn capture(server: &Server, exchanges: u64, path: &Path) -> anyhow::Result<u64> {
    let dir = tempfile::tempdir()?;
    let once = dir.path().join("once");
    captured::record(server, 1.0, &once)?;
    let books = replay(&once, &["--summary", "--json"])?;
    anyhow::ensure!(books.reported > 0, "nothing was recorded of {:?}", server.workload);
    let copies = exchanges.div_ceil(books.reported);
    captured::repeat(&once, copies, path)?;
    Ok(copies * books.reported)
}

/// Wall time of the whole process, for each exchange and round, start included; the file is in the page cache.
fn time(report: &mut Report, plan: &Plan, name: &str, path: &Path, expected: Option<u64>) -> anyhow::Result<Vec<f64>> {
    let windows = tempfile::tempdir()?;
    let data = windows.path().display().to_string();
    let options = ["--summary", "--json", "--data", &data];
    let mut each = Vec::new();
    for round in 0..=plan.rounds.min(5) {
        let Books { reported, lost, seconds } = replay(path, &options)?;
        anyhow::ensure!(lost == 0, "{lost} of {reported} exchanges are lost: {name}");
        anyhow::ensure!(expected.is_none_or(|expected| expected == reported), "{reported} of {expected:?} exchanges");
        // The first reads the file into the page cache.
        if round > 0 {
            each.push(seconds / reported as f64 * 1e9);
        }
    }
    report.row(name, "ns/exchange", &each, Some(TARGET));
    let rates: Vec<f64> = each.iter().map(|ns| 1e9 / ns).collect();
    report.row(&format!("{name}: rate"), "exchanges/s", &rates, None);
    Ok(each)
}
