//! The rows of the rules, and how they combine.

use crate::{Automaton, RuleError};
use serde::{Deserialize, Serialize};

/// Regular expressions of one row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Patterns {
    /// At least one of these must be found, if there are any.
    pub include: Vec<String>,
    /// None of these may be found. Beats `include`.
    pub exclude: Vec<String>,
}

/// The expressions of every row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Of [`Row::Executable`].
    pub executable: Patterns,
    /// Of [`Row::CommandLine`].
    pub command_line: Patterns,
    /// Of [`Row::Environment`]: `NAME=VALUE`.
    pub environment: Patterns,
    /// Of [`Row::Container`].
    pub container: Patterns,
    /// Of [`Row::Image`].
    pub image: Patterns,
    /// Of [`Row::Pod`].
    pub pod: Patterns,
    /// Of [`Row::Namespace`].
    pub namespace: Patterns,
    /// Of [`Row::Label`]: `KEY=VALUE`.
    pub label: Patterns,
}

impl Rows {
    /// The expressions of one row.
    #[must_use]
    pub fn of(&self, row: Row) -> &Patterns {
        match row {
            Row::Executable => &self.executable,
            Row::CommandLine => &self.command_line,
            Row::Environment => &self.environment,
            Row::Container => &self.container,
            Row::Image => &self.image,
            Row::Pod => &self.pod,
            Row::Namespace => &self.namespace,
            Row::Label => &self.label,
        }
    }

    /// The same, to be changed.
    pub fn of_mut(&mut self, row: Row) -> &mut Patterns {
        match row {
            Row::Executable => &mut self.executable,
            Row::CommandLine => &mut self.command_line,
            Row::Environment => &mut self.environment,
            Row::Container => &mut self.container,
            Row::Image => &mut self.image,
            Row::Pod => &mut self.pod,
            Row::Namespace => &mut self.namespace,
            Row::Label => &mut self.label,
        }
    }
}

/// What a row looks at. The first [`ROWS`] are judged in the kernel and have the numbers of `enum steth_row` in
/// `bpf/selection.h`; the others are of a container, and are judged once for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// Path of the executable, in its mount namespace.
    Executable = 0,
    /// Arguments, joined with spaces.
    CommandLine = 1,
    /// Variables, each a text of its own: `NAME=VALUE`.
    Environment = 2,
    /// Name of the container, as its pod or its runtime has it.
    Container = 3,
    /// Image that the container was made from.
    Image = 4,
    /// Name of the pod.
    Pod = 5,
    /// The pod's namespace.
    Namespace = 6,
    /// Labels, each a text of its own: `KEY=VALUE`.
    Label = 7,
}

/// Rows of processes, which the kernel side judges.
pub const ROWS: usize = 3;

impl Row {
    /// All rows, in the order in which they are asked.
    pub const ALL: [Row; 8] = [
        Row::Executable,
        Row::CommandLine,
        Row::Environment,
        Row::Container,
        Row::Image,
        Row::Pod,
        Row::Namespace,
        Row::Label,
    ];

    /// As it is written in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Row::Executable => "executable",
            Row::CommandLine => "command_line",
            Row::Environment => "environment",
            Row::Container => "container",
            Row::Image => "image",
            Row::Pod => "pod",
            Row::Namespace => "namespace",
            Row::Label => "label",
        }
    }

    /// Whether it looks at the container of a process and not at the process.
    #[must_use]
    pub fn is_of_containers(self) -> bool {
        self as usize >= ROWS
    }
}

/// What is judged: a process's image as the kernel keeps it. Arguments and environment are separated by NUL.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// Path of the executable.
    pub executable: &'a [u8],
    /// `/proc/PID/cmdline`.
    pub command_line: &'a [u8],
    /// `/proc/PID/environ`.
    pub environment: &'a [u8],
}

/// What is known of a container. What it does not have (a container without a pod) nothing can include and nothing exclude.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerFacts {
    /// Its name.
    pub name: Option<String>,
    /// Its image, as it was asked for.
    pub image: Option<String>,
    /// Its pod.
    pub pod: Option<String>,
    /// The namespace of its pod.
    pub namespace: Option<String>,
    /// Its labels and its pod's: key and value.
    pub labels: Vec<(String, String)>,
}

/// Whether a process is observed, and by which row that was decided; `None`: no row had anything against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// It is observed.
    pub selected: bool,
    /// The row that refused it, and whether by what it excludes.
    pub refused_by: Option<(Row, bool)>,
}

/// All rows, as tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    tables: [[Option<Box<Automaton>>; 2]; Row::ALL.len()],
}

impl Rules {
    /// Bytes of a command line, and of an environment, that are looked at: `STETH_TEXT_MAX` of `bpf/selection.h`.
    pub const TEXT: usize = 16_384;
    /// Bytes of a path that are looked at: `STETH_PATH_MAX` of `bpf/selection.h`.
    pub const PATH: usize = 4096;

    /// Bytes of a fact of a container that are looked at.
    pub const FACT: usize = 4096;
    /// Labels of a container that are looked at.
    pub const LABELS: usize = 1024;

    /// Rules of these rows. An expression of the environment is `NAME=VALUE`: the name matches as a whole, the value anywhere. So
    /// is one of a label.
    ///
    /// # Errors
    /// When an expression is malformed, or a row makes too large a table.
    pub fn new(rows: &Rows) -> Result<Self, RuleError> {
        let mut rules = Self::default();
        for row in Row::ALL {
            let patterns = rows.of(row);
            for (table, patterns) in rules.tables[row as usize].iter_mut().zip([&patterns.include, &patterns.exclude]) {
                if !patterns.is_empty() {
                    let patterns = match row {
                        Row::Environment | Row::Label => {
                            &patterns.iter().map(|p| variable(p)).collect::<Result<Vec<_>, _>>()?
                        }
                        _ => patterns,
                    };
                    *table = Some(Box::new(Automaton::new(patterns)?));
                }
            }
        }
        Ok(rules)
    }

    /// Whether every process is selected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.iter().flatten().all(Option::is_none)
    }

    /// The tables of the rows of processes in the order of the kernel side's map: of each row what it includes, then what it
    /// excludes.
    pub fn tables(&self) -> impl Iterator<Item = Option<&Automaton>> {
        self.tables[..ROWS].iter().flatten().map(Option::as_deref)
    }

    /// Whether this row is in force.
    #[must_use]
    pub fn have(&self, row: Row) -> bool {
        self.tables[row as usize].iter().any(Option::is_some)
    }

    /// Whether any row of processes is in force.
    #[must_use]
    pub fn have_processes(&self) -> bool {
        self.tables().any(|table| table.is_some())
    }

    /// Whether any row looks at containers.
    #[must_use]
    pub fn have_containers(&self) -> bool {
        self.tables[ROWS..].iter().flatten().any(Option::is_some)
    }

    /// Whether this process is observed, so far as the rows of processes say. They are asked in order, and every one must agree.
    #[must_use]
    pub fn judge(&self, image: &Image<'_>) -> Judgement {
        self.ask(false, |table, row| finds(table, row, image))
    }

    /// The same of all processes of a container, by the rows of containers.
    #[must_use]
    pub fn judge_container(&self, facts: &ContainerFacts) -> Judgement {
        self.ask(true, |table, row| has(table, row, facts))
    }

    /// The same of a process that is in no container: it has nothing that could be included or excluded.
    #[must_use]
    pub fn judge_outside(&self) -> Judgement {
        self.ask(true, |_, _| false)
    }

    fn ask(&self, of_containers: bool, found: impl Fn(&Automaton, Row) -> bool) -> Judgement {
        for row in Row::ALL.into_iter().filter(|row| row.is_of_containers() == of_containers) {
            for (table, excludes) in self.tables[row as usize].iter().zip([false, true]) {
                if table.as_deref().is_some_and(|table| found(table, row) == excludes) {
                    return Judgement { selected: false, refused_by: Some((row, excludes)) };
                }
            }
        }
        Judgement { selected: true, refused_by: None }
    }
}

fn has(table: &Automaton, row: Row, facts: &ContainerFacts) -> bool {
    let fact = match row {
        Row::Container => &facts.name,
        Row::Image => &facts.image,
        Row::Pod => &facts.pod,
        Row::Namespace => &facts.namespace,
        Row::Label => {
            return facts
                .labels
                .iter()
                .take(Rules::LABELS)
                .any(|(key, value)| table.finds(key.bytes().chain([b'=']).chain(value.bytes()).take(Rules::FACT)));
        }
        Row::Executable | Row::CommandLine | Row::Environment => return false,
    };
    fact.as_ref().is_some_and(|fact| table.finds(fact.bytes().take(Rules::FACT)))
}

fn finds(table: &Automaton, row: Row, image: &Image<'_>) -> bool {
    let cut = |text: &[u8], most: usize| text.len().min(most);
    match row {
        Row::Executable => table.finds(image.executable[..cut(image.executable, Rules::PATH)].iter().copied()),
        Row::CommandLine => {
            let text = &image.command_line[..cut(image.command_line, Rules::TEXT)];
            let text = text.strip_suffix(b"\0").unwrap_or(text);
            table.finds(text.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }))
        }
        Row::Environment => {
            let text = &image.environment[..cut(image.environment, Rules::TEXT)];
            let text = text.strip_suffix(b"\0").unwrap_or(text);
            text.split(|byte| *byte == 0).any(|variable| table.finds(variable.iter().copied()))
        }
        Row::Container | Row::Image | Row::Pod | Row::Namespace | Row::Label => false,
    }
}

/// `NAME=VALUE` as one expression over a variable. Each part must be an expression by itself, or a parenthesis could open in
/// the one and close in the other.
fn variable(pattern: &str) -> Result<String, RuleError> {
    let (name, value) = pattern.split_once('=').ok_or_else(|| RuleError::NoVariable(pattern.to_owned()))?;
    for part in [name, value] {
        Automaton::new(&[part.to_owned()])?;
    }
    // The value's own ^ and $ are those of the value.
    let name = name.strip_prefix('^').unwrap_or(name);
    let name = name.strip_suffix('$').unwrap_or(name);
    Ok(match value.strip_prefix('^') {
        Some(value) => format!("^(?:{name})=(?:{value})"),
        None => format!("^(?:{name})=.*(?:{value})"),
    })
}
