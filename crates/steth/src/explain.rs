//! `steth doctor --explain`: whether the rules select a process, and which of them decides.

use crate::configuration::Configuration;
use crate::selection::{of, rows};
use anyhow::Context as _;
use steth_identity::{Image, Parts, Unseen, container_bytes, container_text};
use steth_judge::Id;
use steth_verdict::{ContainerFacts, Judgement, Row, Rows, Rules};

/// What is known of the process.
struct Known {
    image: Image,
    container: Option<Id>,
    facts: Option<ContainerFacts>,
}

impl Known {
    fn judge(&self, rules: &Rules) -> Judgement {
        let Image { executable, command_line, environment } = &self.image;
        let judgement = rules.judge(&steth_verdict::Image { executable, command_line, environment });
        match (&self.container, &self.facts) {
            _ if !judgement.selected => judgement,
            (None, _) => rules.judge_outside(),
            (Some(_), Some(facts)) => rules.judge_container(facts),
            (Some(_), None) => Judgement { selected: true, refused_by: None },
        }
    }

    /// Of the expressions of a row the first that is found: each alone, because the tables do not tell which of them it was.
    fn finds<'a>(&self, row: Row, patterns: &'a [String]) -> Option<&'a str> {
        let alone = |pattern: &&String| {
            let mut alone = Rows::default();
            alone.of_mut(row).include = vec![(*pattern).clone()];
            Rules::new(&alone).is_ok_and(|rules| self.judge(&rules).selected)
        };
        patterns.iter().find(alone).map(String::as_str)
    }
}

/// Whether the rules select a process, and which of them decides; a line for people, and one for the connections it may have.
/// `facts`: what is known of its container.
pub(crate) fn explain(
    configuration: &Configuration,
    pid: u32,
    facts: impl Fn(&Id) -> Option<ContainerFacts>,
) -> anyhow::Result<String> {
    let image = Image::look(pid, Parts { command_line: true, environment: true }, Rules::TEXT).map_err(|unseen| {
        match unseen {
            Unseen::NoImage => anyhow::anyhow!("there is no process {pid}, or it is a kernel thread, which has no image"),
            Unseen::Unreadable(error) => anyhow::Error::from(error).context(format!(
                "process {pid} cannot be looked at; run this as root. An agent that could not read it would not observe it"
            )),
        }
    })?;
    let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup"));
    let container = container_bytes(&cgroup.with_context(|| format!("cannot read the cgroups of process {pid}"))?);
    let known = Known { image, facts: container.as_ref().and_then(facts), container };
    let (rows, selection) = (rows(configuration), of(configuration)?);
    let rules = &selection.rules;
    let outside = if container.is_none() { "; it is in no container" } else { "" };
    let decided = match known.judge(rules).refused_by {
        None if rules.have_containers() && container.is_some() && known.facts.is_none() => format!(
            "is not selected while nobody knows what its container {} is called: there are rows for containers, and those of \
             processes are not against it",
            container.as_ref().map(container_text).unwrap_or_default()
        ),
        None => {
            let mut text = "is selected: no row of the rules is against it".to_owned();
            for row in Row::ALL {
                if let Some(pattern) = known.finds(row, &rows.of(row).include) {
                    text += &format!("; selection.{}.include has '{pattern}'", row.name());
                }
            }
            text
        }
        Some((row, false)) => {
            let outside = if row.is_of_containers() { outside } else { "" };
            let include = &rows.of(row).include;
            format!("is not selected: selection.{}.include has nothing for it, of {include:?}{outside}", row.name())
        }
        Some((row, true)) => {
            let which = known.finds(row, &rows.of(row).exclude).unwrap_or_default();
            format!("is not selected: selection.{}.exclude has '{which}'", row.name())
        }
    };
    let name = String::from_utf8_lossy(&known.image.executable);
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
