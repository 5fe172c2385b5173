//! Who is observed: the rules of the configuration, applied to what is running. New images are judged in the kernel.

use crate::configuration::Configuration;
use anyhow::Context as _;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use steth_probe::{Probe, Selection};
use steth_verdict::{Image, Patterns, Row, Rules};

/// What the configuration selects.
pub(crate) fn of(configuration: &Configuration) -> anyhow::Result<Selection> {
    let section = &configuration.selection;
    let rules = Rules::new(&section.executable, &section.command_line, &section.environment);
    Ok(Selection {
        rules: rules.context("in the section selection")?,
        skip_unix: !section.unix,
        skip_local: !section.local,
    })
}

/// Judges every process that is running. The programs are attached and have the rules by now, so whoever starts meanwhile is
/// judged there.
pub(crate) fn judge_running(probe: &mut Probe, rules: &Rules) -> anyhow::Result<()> {
    // Processes that were selected by other rules.
    for pid in probe.selected() {
        if rules.is_empty() || !selected(rules, pid) {
            probe.judge(pid, false)?;
        }
    }
    let mut no_room = 0_u64;
    if !rules.is_empty() {
        for entry in fs::read_dir("/proc").context("cannot list /proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if selected(rules, pid) {
                if probe.judge(pid, true).is_err() {
                    no_room += 1;
                    continue;
                }
                // It may have become another image between the look and the verdict, which has undone the kernel's own. What
                // it becomes from here on, the kernel side judges after this.
                if !selected(rules, pid) {
                    probe.judge(pid, false)?;
                }
            }
        }
    }
    probe.judged();
    if no_room > 0 {
        crate::say::say!(
            "{no_room} of the selected processes found no room in the kernel's table and are not observed"
        );
    }
    Ok(())
}

fn selected(rules: &Rules, pid: u32) -> bool {
    Process::read(pid).is_some_and(|process| rules.judge(&process.image()).selected)
}

/// Whether the rules select a process, and which of them decides; a line for people.
pub(crate) fn explain(configuration: &Configuration, pid: u32) -> anyhow::Result<String> {
    let process = Process::read(pid).with_context(|| {
        format!(
            "process {pid} cannot be looked at: there is none with this id, it is a kernel thread, or it takes root"
        )
    })?;
    let name = String::from_utf8_lossy(&process.executable).into_owned();
    let judgement = of(configuration)?.rules.judge(&process.image());
    let Some((row, excludes)) = judgement.refused_by else {
        return Ok(format!("process {pid} ({name}) is selected: no row of the rules is against it\n"));
    };
    let section = &configuration.selection;
    let patterns = match row {
        Row::Executable => &section.executable,
        Row::CommandLine => &section.command_line,
        Row::Environment => &section.environment,
    };
    let row = row.name();
    if !excludes {
        let include = &patterns.include;
        return Ok(format!(
            "process {pid} ({name}) is not selected: selection.{row}.include has nothing for it, of {include:?}\n"
        ));
    }
    // Each alone: the tables do not tell which of them it was.
    let alone = |pattern: &&String| {
        let exclude = Patterns { exclude: vec![(*pattern).clone()], ..Patterns::default() };
        let none = Patterns::default();
        let [mut e, mut c, mut v] = [&none, &none, &none];
        match judgement.refused_by {
            Some((Row::Executable, _)) => e = &exclude,
            Some((Row::CommandLine, _)) => c = &exclude,
            _ => v = &exclude,
        }
        Rules::new(e, c, v).is_ok_and(|rules| !rules.judge(&process.image()).selected)
    };
    let which = patterns.exclude.iter().find(alone).map_or("", String::as_str);
    Ok(format!("process {pid} ({name}) is not selected: selection.{row}.exclude has '{which}'\n"))
}

/// A process as the rules see it.
struct Process {
    executable: Vec<u8>,
    command_line: Vec<u8>,
    environment: Vec<u8>,
}

impl Process {
    /// `None` if it is not there, or has no image (kernel threads).
    fn read(pid: u32) -> Option<Self> {
        let process = Path::new("/proc").join(pid.to_string());
        let executable = fs::read_link(process.join("exe")).ok()?.into_os_string().into_encoded_bytes();
        let executable = executable.strip_suffix(b" (deleted)").unwrap_or(&executable).to_vec();
        Some(Self {
            executable,
            command_line: head(&process.join("cmdline")),
            environment: head(&process.join("environ")),
        })
    }

    fn image(&self) -> Image<'_> {
        Image { executable: &self.executable, command_line: &self.command_line, environment: &self.environment }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // There are secrets in it.
        self.environment.fill(0);
        std::hint::black_box(&self.environment);
    }
}

fn head(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = fs::File::open(path) {
        let _ = file.take(Rules::TEXT as u64).read_to_end(&mut bytes);
    }
    bytes
}
