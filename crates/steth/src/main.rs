//! `steth` sees every service on a Linux host talk.
//!
//! The binary joins the stages (`pipeline`), gives them a source (`agent`: the live kernel; `replay`: a file) and an
//! observer (`watch`: lines; `run`: windows, metrics and a page; `record`: a file). `top` and `map` ask a running agent.

mod account;
mod agent;
mod ask;
mod configuration;
mod crowded;
mod deadlines;
mod doctor;
mod explain;
mod hooks;
mod listeners;
mod losses;
mod map;
mod naming;
mod pipeline;
mod print;
mod processes;
mod record;
mod remote;
mod replay;
mod requests;
mod run;
mod say;
mod selection;
mod slow;
mod sockets;
mod stop;
mod store;
mod strangers;
mod surroundings;
mod table;
mod top;
mod watch;
mod windows;

use clap::Parser;
use std::process::ExitCode;

/// Sees every service on this host talk: who calls whom, how often, how fast, with which errors.
#[derive(Parser, Debug)]
#[command(name = "steth", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// The agent: windows, /metrics and a live page on 127.0.0.1:7117 (needs root)
    Run(run::Args),
    /// Live exchanges on the terminal or as JSON lines (needs root)
    Watch(watch::Args),
    /// Services, edges, operations, connections, DNS and requests of a running agent, on a full screen
    Top(top::Args),
    /// Who talks to whom, of a running agent, for Graphviz or as JSON
    Map(map::Args),
    /// Raw events to a file (needs root)
    Record(record::Args),
    /// A recording, a pcap or a pcapng, offline
    Replay(replay::Args),
    /// What this kernel allows, and what fixes the rest
    Doctor(doctor::Args),
}

fn main() -> ExitCode {
    steth_probe::lookups::built_in_only();
    let result = match &Cli::parse().command {
        Command::Run(args) => run::run(args),
        Command::Watch(args) => watch::run(args),
        Command::Top(args) => top::run(args),
        Command::Map(args) => map::run(args),
        Command::Record(args) => record::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Doctor(args) => doctor::run(args),
    };
    result.unwrap_or_else(|error| {
        crate::say::say!("{error:#}");
        ExitCode::FAILURE
    })
}

/// Parses a ring size in KiB.
fn ring_kib(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(kib) if kib.is_power_of_two() && (4..=1 << 20).contains(&kib) => Ok(kib),
        _ => Err("a power of two from 4 to 1048576".to_owned()),
    }
}
