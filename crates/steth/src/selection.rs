//! Who is observed: the rules of the configuration, applied to what is running. New images are judged in the kernel.

use crate::configuration::Configuration;
use anyhow::Context as _;
use steth_judge::Judging;
use steth_probe::{Probe, Selection, Settings};
use steth_verdict::{Connections, Rows, Rules};

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

pub(crate) fn rows(configuration: &Configuration) -> Rows {
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
pub(crate) fn attach(settings: &Settings) -> anyhow::Result<(Probe, Judging)> {
    let rules = &settings.selection.rules;
    let mut probe = Probe::attach(settings)?;
    crate::hooks::say_refusals(&probe);
    anyhow::ensure!(
        rules.is_empty() || probe.same_pids(),
        "rules of the section selection would judge strangers: {}",
        crate::agent::OTHER_PIDS
    );
    let judging = Judging::begin(&mut probe, rules)?;
    let no_room = judging.counts().processes_no_room;
    if no_room > 0 {
        say_no_room(no_room);
    }
    Ok((probe, judging))
}

/// Says that so many are not observed.
pub(crate) fn say_no_room(processes: u64) {
    crate::say::say!("{processes} of the selected processes found no room in the kernel's table and are not observed");
}
