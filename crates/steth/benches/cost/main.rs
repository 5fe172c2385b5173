//! What the agent costs: `make bench` (root).
//!
//! ```text
//! cost [--quick] [--write] [SECTION…]      of SECTIONS below; none: all
//! cost recording NAME EXCHANGES FILE       http, redis, or of those that throughput::CAPTURED lists
//! ```
//!
//! `--write` puts the figures into `docs/performance.md`, which also says how each is measured; `--quick` takes fewer and
//! shorter rounds, for development.

mod agent;
mod captured;
mod databases;
mod families;
mod fleet;
mod generator;
mod hooks;
mod l4;
mod live;
mod load;
mod many_processes;
mod memory;
mod process;
mod recording;
mod replay;
mod report;
mod rewritten;
mod servers;
mod short_lived;
mod stages;
mod store;
mod surroundings;
mod throughput;
mod tools;
mod untouched;

use load::Pace;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use report::Report;
use servers::{Server, Workload};

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Rounds of every figure.
    rounds: usize,
    /// Length of one load.
    seconds: f64,
    /// Connections of the memory figures.
    connections: &'static [usize],
    /// Exchanges of a recording.
    recorded: u64,
}

const FULL: Plan = Plan { rounds: 7, seconds: 1.2, connections: &[5_000, 10_000], recorded: 2_000_000 };
const QUICK: Plan = Plan { rounds: 2, seconds: 0.6, connections: &[5_000], recorded: 400_000 };

const SECTIONS: [&str; 16] = [
    "http",
    "file",
    "redis",
    "mysql",
    "postgresql",
    "dns",
    "throughput",
    "stages",
    "families",
    "untouched",
    "l4",
    "processes",
    "visit",
    "memory",
    "replay",
    "store",
];

/// What is asked of the databases: point selects by statements that come once, and by new texts; and MySQL's reads and writes,
/// which have the longest answers.
const DATABASES: [(&str, &[Workload]); 3] = [
    (
        "mysql",
        &[
            Workload::Mysql { test: "oltp_point_select", prepared: true, rows: databases::ROWS },
            Workload::Mysql { test: "oltp_point_select", prepared: false, rows: databases::ROWS },
            Workload::Mysql { test: "oltp_read_write", prepared: true, rows: databases::ROWS },
        ],
    ),
    (
        "postgresql",
        &[
            Workload::Postgresql { mode: "prepared", select: true },
            Workload::Postgresql { mode: "simple", select: true },
        ],
    ),
    ("dns", &[Workload::Dns]),
];

fn main() -> anyhow::Result<()> {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    raise_file_limit();
    if let [first, rest @ ..] = &arguments[..]
        && first == generator::COMMAND
    {
        return generator::main(rest);
    }
    if let [first, rest @ ..] = &arguments[..]
        && first == recording::COMMAND
    {
        return recording::main(rest);
    }
    let (options, sections): (Vec<_>, Vec<_>) = arguments.iter().partition(|argument| argument.starts_with("--"));
    for argument in &arguments {
        let known = ["--quick", "--write"].contains(&argument.as_str()) || SECTIONS.contains(&argument.as_str());
        anyhow::ensure!(known, "unknown argument {argument}; --quick, --write, or of {SECTIONS:?}");
    }
    let given = |name: &str| options.iter().any(|option| *option == name);
    let plan = if given("--quick") { QUICK } else { FULL };
    let wanted = |name: &str| sections.is_empty() || sections.iter().any(|section| *section == name);
    anyhow::ensure!(!given("--write") || sections.is_empty(), "--write needs all sections");

    let mut report = Report::begin(&plan);
    for (section, workload) in [("http", Workload::Http), ("file", Workload::File), ("redis", Workload::Redis)] {
        if wanted(section) {
            let server = Server::start(workload)?;
            for pace in [Pace::Highest, Pace::Fixed(20_000)] {
                live::measure(&mut report, &plan, &server, pace)?;
            }
        }
    }
    for (section, workloads) in DATABASES {
        if wanted(section) {
            let mut server = Server::start(workloads[0])?;
            for workload in workloads {
                server.workload = *workload;
                live::measure(&mut report, &plan, &server, Pace::Highest)?;
            }
        }
    }
    if wanted("throughput") {
        throughput::measure(&mut report, &plan)?;
    }
    if wanted("stages") {
        for workload in [Workload::Http, Workload::Redis] {
            let server = Server::start(workload)?;
            for pace in [Pace::Highest, Pace::Fixed(20_000)] {
                stages::measure(&mut report, &plan, &server, pace)?;
            }
        }
    }
    if wanted("families") {
        let rungs = families::rungs();
        for workload in [Workload::Http, Workload::Redis] {
            families::measure(&mut report, &plan, &rungs, &Server::start(workload)?, Pace::Highest)?;
        }
        families::untouched(&mut report, &plan, &rungs)?;
    }
    if wanted("untouched") {
        untouched::measure(&mut report, &plan)?;
    }
    if wanted("l4") {
        l4::measure(&mut report, &plan)?;
        rewritten::measure(&mut report, &plan)?;
    }
    if wanted("processes") {
        short_lived::measure(&mut report, &plan)?;
        short_lived::program(&mut report, &plan)?;
        many_processes::turnover(&mut report, &plan)?;
        many_processes::crowd(&mut report, &plan)?;
        many_processes::reloads(&mut report, &plan)?;
    }
    if wanted("visit") {
        many_processes::visit(&mut report, &plan)?;
    }
    if wanted("memory") {
        memory::measure(&mut report, &plan)?;
    }
    if wanted("replay") {
        replay::measure(&mut report, &plan)?;
    }
    if wanted("store") {
        store::measure(&mut report, &plan)?;
    }
    report.end();
    if given("--write") {
        report.write(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/performance.md"))?;
    }
    Ok(())
}

/// Thousands of connections need as many descriptors, here and in the servers, which inherit the limit.
fn raise_file_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
