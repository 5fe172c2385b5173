//! Which hooks tell of transfers: `--hooks`, and what is done without for a test.

use std::path::PathBuf;
use steth_probe::{Fallbacks, Family, Probe, Settings};

/// Fall-backs that are taken though the kernel has better, separated by commas: for tests (docs/kernels.md).
pub(crate) const WITHOUT: &str = "STETH_WITHOUT";

/// The option.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Hooks {
    /// Which hooks tell of transfers: those that cost least of all that attach here, or only those of one family
    #[arg(long, value_name = "auto|tracepoint|function|syscall", default_value = "auto", value_parser = family, hide_default_value = true)]
    hooks: Choice,
    /// The running kernel's type information, where it has none itself (docs/kernels.md): a file, or a folder with RELEASE.btf
    #[arg(long, value_name = "FILE")]
    btf: Option<PathBuf>,
}

/// None: all of them may be tried.
#[derive(Clone, Copy, Debug)]
struct Choice(Option<Family>);

fn family(text: &str) -> Result<Choice, String> {
    if text == "auto" {
        return Ok(Choice(None));
    }
    let family = Family::ALL.into_iter().find(|family| family.name() == text);
    family.map(|family| Choice(Some(family))).ok_or_else(|| "auto, tracepoint, function or syscall".to_owned())
}

impl Hooks {
    /// The same settings, with these hooks.
    pub(crate) fn choose(&self, settings: Settings) -> anyhow::Result<Settings> {
        Ok(Settings { hooks: self.hooks.0, without: without()?, btf: self.btf.clone(), ..settings })
    }
}

fn without() -> anyhow::Result<Fallbacks> {
    let words = std::env::var(WITHOUT).unwrap_or_default();
    let mut without = Fallbacks::default();
    for word in words.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word {
            "socket-storage" => without.plain = true,
            "ring-buffer" => without.ring_buffer = true,
            "sock-tracepoints" => without.tracepoints = true,
            "trampolines" => without.trampolines = true,
            "types" => without.types = true,
            "perf-events" => without.events = true,
            "preemption-off" => without.steady = true,
            "scratches" => without.scratches = true,
            "io-uring" => without.uring = true,
            _ => anyhow::bail!("{WITHOUT} has an unknown word: {word}"),
        }
    }
    Ok(without)
}

/// Says which rungs of the ladder do not hold here, a line each, and what the one that does cannot see.
pub(crate) fn say_refusals(probe: &Probe) {
    if !probe.unseen().is_empty() {
        crate::say::say!(
            "hooks: {}: this kernel shows nothing of: {}",
            probe.rung().family.name(),
            probe.unseen().join("; ")
        );
    }
    if let Some(cause) = probe.uring_refused() {
        let text = cause.to_string();
        crate::say::say!(
            "hooks: {}: requests of io_uring: {}",
            probe.rung().family.name(),
            text.lines().next().unwrap_or_default()
        );
    }
    if let Some(what) = probe.preempted() {
        crate::say::say!(
            "hooks: {}: this kernel preempts programs on tracepoints; {what} (docs/kernels.md)",
            probe.rung()
        );
    }
    for refusal in probe.refusals() {
        let text = refusal.to_string();
        // What the verifier has said is for `steth doctor`.
        let first = text.lines().next().unwrap_or_default();
        crate::say::say!("hooks: {first}; trying the next");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_named_as_the_option_says() {
        for one in Family::ALL {
            assert_eq!(family(one.name()).map(|choice| choice.0), Ok(Some(one)));
        }
        assert_eq!(family("auto").map(|choice| choice.0), Ok(None));
        assert!(family("kprobe").is_err());
    }
}
