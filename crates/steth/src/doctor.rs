//! `steth doctor`: what this kernel allows, what would be chosen and why, and what fixes the rest.
//!
//! One line a finding, the verdict last, all of it on standard output: it is what was asked for.

use crate::configuration::Configuration;
use crate::hooks::Hooks;
use crate::{explain, say, surroundings};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use steth_probe::doctor::{self, State};
use steth_probe::{Probe, Rung, Settings};

/// What is asked.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  sudo steth doctor\n  sudo steth doctor --hooks syscall\n  sudo steth doctor --explain 4711 --config steth.yaml"
)]
pub(crate) struct Args {
    /// Whether the rules of the configuration select this process, and which of them decides
    #[arg(long, value_name = "PID")]
    explain: Option<u32>,
    #[command(flatten)]
    hooks: Hooks,
    /// Configuration file (YAML), for --explain
    #[arg(long, requires = "explain")]
    config: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(pid) = args.explain {
        let configuration = args.config.as_deref().map_or_else(|| Ok(Configuration::default()), Configuration::read)?;
        say::print(
            explain::explain(&configuration, pid, |id| surroundings::facts_of(&configuration.identity, id))?.as_bytes(),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let settings = args.hooks.choose(Settings { ring_bytes: 64 * 1024, ..Settings::default() })?;
    let (mut text, mut missing) = (String::new(), 0);
    for check in doctor::checks(&settings) {
        missing += u32::from(check.state == State::Missing);
        line(&mut text, check.state, check.name, &check.found, &check.fix);
    }
    if missing > 0 {
        let _ = match missing {
            1 => writeln!(text, "\nsteth cannot watch this machine yet: fix what is MISSING above"),
            _ => writeln!(text, "\nsteth cannot watch this machine yet: fix the {missing} that are MISSING above"),
        };
        say::print(text.as_bytes())?;
        return Ok(ExitCode::FAILURE);
    }
    let others = doctor::agents();
    let found = match &others[..] {
        [] => "none".to_owned(),
        pids => {
            let pids: Vec<_> = pids.iter().map(u32::to_string).collect();
            format!("process {}; each sees everything, and each costs", pids.join(", "))
        }
    };
    line(&mut text, if others.is_empty() { State::Ok } else { State::Note }, "other agents", &found, "");
    say::print(text.as_bytes())?;
    text.clear();
    // The only proof that it attaches is to attach. Each rung of the ladder: the first that holds is taken.
    let mut taken = None;
    for rung in Rung::ladder(settings.hooks, settings.without.here()) {
        let name = format!("hooks: {}", rung.family.name());
        match Probe::attach_rung(&settings, rung) {
            Ok(probe) => {
                let state = if taken.is_none() { "taken" } else { "would do" };
                let mut found = format!("{rung}: {state}; {}", attached(&probe));
                if !probe.unseen().is_empty() {
                    let _ = write!(found, "; this kernel shows nothing of: {}", probe.unseen().join("; "));
                }
                line(&mut text, State::Ok, &name, &found, "");
                if let Some(cause) = probe.uring_refused() {
                    line(&mut text, State::Note, &name, &format!("{rung}: requests of io_uring: {cause}"), "");
                }
                if taken.is_none() && !probe.same_pids() {
                    line(&mut text, State::Note, "process ids", crate::agent::OTHER_PIDS, "");
                }
                taken.get_or_insert(rung);
            }
            Err(error) => line(&mut text, State::Note, &name, &format!("{rung}: does not attach: {error}"), ""),
        }
        say::print(text.as_bytes())?;
        text.clear();
    }
    let code = if taken.is_some() {
        let _ = writeln!(text, "\nsteth can watch this machine: sudo steth watch");
        ExitCode::SUCCESS
    } else {
        let fix = "STETH_BPF_LOG=1 steth doctor shows all that the kernel said; please report it";
        line(&mut text, State::Missing, "hooks", "none of them attaches", fix);
        let _ = writeln!(text, "\nsteth cannot watch this machine: its programs do not attach, see MISSING above");
        ExitCode::FAILURE
    };
    say::print(text.as_bytes())?;
    Ok(code)
}

/// What there is to say of a kernel side that holds.
fn attached(probe: &Probe) -> String {
    let programs = probe.statistics();
    let largest = programs.iter().max_by_key(|program| program.verified_instructions);
    largest.map_or_else(
        || "all programs load and attach (and are gone again)".to_owned(),
        |largest| {
            format!(
                "all programs load and attach (and are gone again), by at most {} of the {VERIFIER_LIMIT} steps that the verifier \
                 allows ({})",
                largest.verified_instructions, largest.name
            )
        },
    )
}

/// Instructions that the verifier follows before it gives up (`BPF_COMPLEXITY_LIMIT_INSNS`).
const VERIFIER_LIMIT: u32 = 1_000_000;

fn line(text: &mut String, state: State, name: &str, found: &str, fix: &str) {
    let mark = match state {
        State::Ok => "ok",
        State::Note => "note",
        State::Missing => "MISSING",
        State::Unknown => "?",
    };
    // Writing into a string cannot fail.
    let _ = writeln!(text, "{mark:<8}{name:<24}{found}");
    if !fix.is_empty() {
        let _ = writeln!(text, "{:<8}{:<24}-> {fix}", "", "");
    }
}
