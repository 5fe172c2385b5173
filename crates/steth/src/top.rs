//! `steth top`: services, operations and edges of a running agent, as a table.

mod row;
mod screen;

use crate::ask::{Agent, Place};
use crate::stop::{self, Stop};
use row::Look;
use screen::Screen;
use serde::Serialize;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What is shown, and how.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  steth top --by operation --sort p99\n  \
    steth top --by edge --once --json | jq -r '.rows[] | [.client, .server, .rate] | @tsv'")]
pub(crate) struct Args {
    /// What a row is: a service, one of its operations, or what one entity asks of another
    #[arg(long, value_enum, default_value = "service")]
    by: By,
    /// What the first row has most of
    #[arg(long, value_enum, default_value = "rate")]
    sort: Sort,
    /// How often the agent is asked again (1s, 500ms)
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// Of the last so many seconds, in steps of ten: 10 to 3600
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..=3600))]
    seconds: u64,
    /// Print once and stop
    #[arg(long)]
    once: bool,
    /// One JSON object each time, instead of a table
    #[arg(long)]
    json: bool,
    /// Where the agent is
    #[arg(long, value_name = "URL", default_value = Place::USUAL)]
    connect: Place,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum By {
    Service,
    Operation,
    Edge,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Sort {
    Rate,
    /// The share of failed ones
    Errors,
    P50,
    P95,
    P99,
    /// p95 of the time between the arrival at the server and the read
    Queue,
    /// p95 of the time between the read and the answer
    Service,
    Name,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(args.interval >= Duration::from_millis(100), "--interval is too short; 100ms or more");
    let stop = stop::on_signals()?;
    let agent = Agent::at(&args.connect);
    let mut screen = Screen::new(args.once, args.json);
    // The first answer must come; later on the agent may be away for a while.
    let mut look = Ok(Look::at(&agent, args.by, args.sort, args.seconds)?);
    while screen.show(&look)? && !args.once && wait(args.interval, &stop) {
        look = Look::at(&agent, args.by, args.sort, args.seconds);
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether to go on after a while.
fn wait(interval: Duration, stop: &Stop) -> bool {
    let until = Instant::now() + interval;
    while !stop.requested() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
    false
}
