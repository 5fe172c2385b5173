//! Who is observed: the rules of the configuration, applied to what is running. New images are judged in the kernel.

use crate::configuration::Configuration;
use crate::container_rules::{ContainerRules, Id};
use anyhow::Context as _;
use foldhash::fast::FixedState;
use hashbrown::HashSet;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use steth_probe::{Probe, Selection, Settings};
use steth_verdict::{Connections, ContainerFacts, Image, Judgement, Rows, Rules};

/// What the configuration selects.
pub(crate) fn of(configuration: &Configuration) -> anyhow::Result<Selection> {
    let section = &configuration.selection;
    let connections = Connections::new(section.port.clone(), section.remote.clone(), section.sampling)?;
    Ok(Selection {
        rules: Rules::new(&rows(configuration)).context("in the section selection")?,
        connections,
        protocols: configuration.protocols()?.0,
        skip_unix: !section.unix,
        skip_local: !section.local,
    })
}

fn rows(configuration: &Configuration) -> Rows {
    let section = configuration.selection.clone();
    Rows {
        executable: section.executable,
        command_line: section.command_line,
        environment: section.environment,
        container: section.container,
        image: section.image,
        pod: section.pod,
        namespace: section.namespace,
        label: section.label,
    }
}

/// Attaches the kernel side and judges who is running: from here on it observes whom the settings select.
pub(crate) fn attach(settings: &Settings) -> anyhow::Result<(Probe, ContainerRules)> {
    let rules = &settings.selection.rules;
    let mut probe = Probe::attach(settings)?;
    crate::hooks::say_refusals(&probe);
    anyhow::ensure!(
        rules.is_empty() || probe.same_pids(),
        "rules of the section selection would judge strangers: {}",
        crate::agent::OTHER_PIDS
    );
    let containers = ContainerRules::new(rules.clone());
    judge_running(&mut probe, rules, &containers)?;
    Ok((probe, containers))
}

/// Judges every process that is running. The programs are attached and have the rules by now, so whoever starts meanwhile is
/// judged there.
pub(crate) fn judge_running(probe: &mut Probe, rules: &Rules, containers: &ContainerRules) -> anyhow::Result<()> {
    // Processes that were selected by other rules.
    for pid in probe.selected() {
        if rules.is_empty() || !selected(rules, containers, pid) {
            probe.judge(pid, false)?;
        }
    }
    let no_room = if rules.is_empty() { 0 } else { select_running(probe, rules, containers, |_| true)? };
    probe.judged();
    say_no_room(no_room);
    Ok(())
}

/// Judges the processes of one container.
pub(crate) fn judge_running_in(
    probe: &mut Probe,
    rules: &Rules,
    containers: &ContainerRules,
    id: &Id,
) -> anyhow::Result<()> {
    let within = |pid| container_of(pid).as_ref() == Some(id);
    let no_room = if containers.select(Some(id)) {
        select_running(probe, rules, containers, within)?
    } else {
        for pid in probe.selected().into_iter().filter(|pid| within(*pid)) {
            probe.judge(pid, false)?;
        }
        0
    };
    probe.judged();
    say_no_room(no_room);
    Ok(())
}

/// Judges a process that was put into this container, or into none.
pub(crate) fn judge_one(
    probe: &mut Probe,
    containers: &ContainerRules,
    pid: u32,
    id: Option<&Id>,
) -> anyhow::Result<()> {
    let rules = containers.rules();
    // What is said no to is not observed by now: the kernel side has seen to that.
    if containers.select(id) && selected(rules, containers, pid) {
        let full = probe.judge(pid, true).is_err();
        if !full && !selected(rules, containers, pid) {
            probe.judge(pid, false)?;
        }
        probe.judged();
        say_no_room(full.into());
    }
    Ok(())
}

/// Selects of the running processes `among` which the rules select. How many of them found no room.
fn select_running(
    probe: &mut Probe,
    rules: &Rules,
    containers: &ContainerRules,
    among: impl Fn(u32) -> bool,
) -> anyhow::Result<u64> {
    let mut no_room = 0;
    for entry in fs::read_dir("/proc").context("cannot list /proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if among(pid) && selected(rules, containers, pid) {
            if probe.judge(pid, true).is_err() {
                no_room += 1;
                continue;
            }
            // It may have become another image between the look and the verdict, which has undone the kernel's own. What it
            // becomes from here on, the kernel side judges after this.
            if !selected(rules, containers, pid) {
                probe.judge(pid, false)?;
            }
        }
    }
    Ok(no_room)
}

fn say_no_room(no_room: u64) {
    if no_room > 0 {
        crate::say::say!(
            "{no_room} of the selected processes found no room in the kernel's table and are not observed"
        );
    }
}

fn selected(rules: &Rules, containers: &ContainerRules, pid: u32) -> bool {
    let contained = !rules.have_containers() || containers.select(container_of(pid).as_ref());
    contained && Process::read(pid).is_some_and(|process| rules.judge(&process.image()).selected)
}

/// The containers in which something runs.
pub(crate) fn containers_running() -> HashSet<Id, FixedState> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(container_of).collect()
}

/// The container of a running process.
fn container_of(pid: u32) -> Option<Id> {
    steth_identity::container_bytes(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)
}

/// Whether the rules select a process, and which of them decides; a line for people, and one for the connections it may have.
/// `facts`: what is known of its container.
pub(crate) fn explain(
    configuration: &Configuration,
    pid: u32,
    facts: impl Fn(&Id) -> Option<ContainerFacts>,
) -> anyhow::Result<String> {
    let process = Process::read(pid).with_context(|| {
        format!(
            "process {pid} cannot be looked at: there is none with this id, it is a kernel thread, or it takes root"
        )
    })?;
    let name = String::from_utf8_lossy(&process.executable).into_owned();
    let (rows, selection) = (rows(configuration), of(configuration)?);
    let container = container_of(pid);
    let known = container.as_ref().and_then(facts);
    let of_containers = |rules: &Rules| match (&container, &known) {
        (None, _) => rules.judge_outside(),
        (Some(_), Some(facts)) => rules.judge_container(facts),
        (Some(_), None) => Judgement { selected: true, refused_by: None },
    };
    let judge = |rules: &Rules| {
        let judgement = rules.judge(&process.image());
        if judgement.selected { of_containers(rules) } else { judgement }
    };
    let judgement = judge(&selection.rules);
    let outside = if container.is_none() { "; it is in no container" } else { "" };
    let decided = match judgement.refused_by {
        None => match container.filter(|_| selection.rules.have_containers() && known.is_none()) {
            None => "is selected: no row of the rules is against it".to_owned(),
            Some(id) => format!(
                "is not selected while nobody knows what its container {} is called: there are rows for containers, and \
                 those of processes are not against it",
                steth_identity::container_text(&id)
            ),
        },
        Some((row, false)) => {
            let outside = if row.is_of_containers() { outside } else { "" };
            let include = &rows.of(row).include;
            format!("is not selected: selection.{}.include has nothing for it, of {include:?}{outside}", row.name())
        }
        Some((row, true)) => {
            // Each alone: the tables do not tell which of them it was.
            let alone = |pattern: &&String| {
                let mut alone = Rows::default();
                alone.of_mut(row).exclude = vec![(*pattern).clone()];
                Rules::new(&alone).is_ok_and(|rules| !judge(&rules).selected)
            };
            let which = rows.of(row).exclude.iter().find(alone).map_or("", String::as_str);
            format!("is not selected: selection.{}.exclude has '{which}'", row.name())
        }
    };
    Ok(format!("process {pid} ({name}) {decided}\n{}", connection_rows(configuration)))
}

/// The rows of connections that are in force, which say nothing about a process; a line.
fn connection_rows(configuration: &Configuration) -> String {
    let section = &configuration.selection;
    let mut rows = Vec::new();
    let mut list = |name: &str, entries: Vec<String>| {
        if !entries.is_empty() {
            rows.push(format!("selection.{name} [{}]", entries.join(", ")));
        }
    };
    list("port.include", section.port.include.iter().map(ToString::to_string).collect());
    list("port.exclude", section.port.exclude.iter().map(ToString::to_string).collect());
    list("remote.include", section.remote.include.iter().map(ToString::to_string).collect());
    list("remote.exclude", section.remote.exclude.iter().map(ToString::to_string).collect());
    if section.sampling < 1.0 {
        rows.push(format!("selection.sampling {}", section.sampling));
    }
    for (name, observed) in [("unix", section.unix), ("local", section.local)] {
        if !observed {
            rows.push(format!("selection.{name} false"));
        }
    }
    if configuration.capture.protocols.is_empty() {
        rows.push("capture.protocols [], so nothing is analysed".to_owned());
    }
    let rows = if rows.is_empty() { "none".to_owned() } else { rows.join("; ") };
    format!("rows in force for connections: {rows}\n")
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
