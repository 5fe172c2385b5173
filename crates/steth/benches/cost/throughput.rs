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
use std::path::Path;

/// What an exchange may take: `≤ 0.5 µs`.
const TARGET: Target = Target::AtMost(500.0);

const MYSQL: [(&str, Workload); 5] = [
    ("MySQL, point selects, prepared", point(true, ROWS)),
    ("MySQL, point selects, 100 texts", point(false, 100)),
    ("MySQL, point selects, texts never seen before", point(false, ROWS)),
    ("MySQL, reads and writes, prepared", Workload::Mysql { test: "oltp_read_write", prepared: true, rows: ROWS }),
    (
        "MySQL, reads and writes, texts never seen before",
        Workload::Mysql { test: "oltp_read_write", prepared: false, rows: ROWS },
    ),
];

const POSTGRESQL: [(&str, Workload); 4] = [
    ("PostgreSQL, point selects, prepared", Workload::Postgresql { mode: "prepared", select: true }),
    ("PostgreSQL, point selects, texts never seen before", Workload::Postgresql { mode: "simple", select: true }),
    ("PostgreSQL, TPC-B, prepared", Workload::Postgresql { mode: "prepared", select: false }),
    ("PostgreSQL, TPC-B, texts never seen before", Workload::Postgresql { mode: "simple", select: false }),
];

const fn point(prepared: bool, rows: u32) -> Workload {
    Workload::Mysql { test: "oltp_point_select", prepared, rows }
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
    for conversations in [
        &[("Redis, GET, 16 in a pipeline", Workload::RedisPipeline)][..],
        &MYSQL,
        &POSTGRESQL,
        &[("DNS, A over UDP", Workload::Dns)],
    ] {
        let mut server = Server::start(conversations[0].1)?;
        for (name, workload) in conversations {
            server.workload = *workload;
            captured(report, plan, name, &server, dir.path())?;
        }
    }
    Ok(())
}

fn captured(report: &mut Report, plan: &Plan, name: &str, server: &Server, dir: &Path) -> anyhow::Result<()> {
    let (once, path) = (dir.join("once"), dir.join("recording"));
    captured::record(server, 1.0, &once)?;
    let books = replay(&once, &["--summary", "--json"])?;
    anyhow::ensure!(books.reported > 0, "nothing was recorded of {name}");
    let copies = (plan.recorded / 2).div_ceil(books.reported);
    captured::repeat(&once, copies, &path)?;
    time(report, plan, name, &path, Some(copies * books.reported))
}

/// Wall time of the whole process, start included; the file is in the page cache.
fn time(report: &mut Report, plan: &Plan, name: &str, path: &Path, expected: Option<u64>) -> anyhow::Result<()> {
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
    Ok(())
}
