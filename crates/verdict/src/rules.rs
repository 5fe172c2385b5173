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

/// What a row looks at. The numbers are those of `enum steth_row` in `bpf/selection.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// Path of the executable, in its mount namespace.
    Executable = 0,
    /// Arguments, joined with spaces.
    CommandLine = 1,
    /// Variables, each a text of its own: `NAME=VALUE`.
    Environment = 2,
}

/// Rows that there are.
pub const ROWS: usize = 3;

impl Row {
    const ALL: [Row; ROWS] = [Row::Executable, Row::CommandLine, Row::Environment];

    /// As it is written in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Row::Executable => "executable",
            Row::CommandLine => "command_line",
            Row::Environment => "environment",
        }
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
    tables: [[Option<Box<Automaton>>; 2]; ROWS],
}

impl Rules {
    /// Bytes of a command line, and of an environment, that are looked at: `STETH_TEXT_MAX` of `bpf/selection.h`.
    pub const TEXT: usize = 16_384;
    /// Bytes of a path that are looked at: `STETH_PATH_MAX` of `bpf/selection.h`.
    pub const PATH: usize = 4096;

    /// Rules of these rows. An expression of the environment is `NAME=VALUE`: the name matches as a whole, the value anywhere.
    ///
    /// # Errors
    /// When an expression is malformed, or a row makes too large a table.
    pub fn new(executable: &Patterns, command_line: &Patterns, environment: &Patterns) -> Result<Self, RuleError> {
        let mut rules = Self::default();
        for (row, patterns) in Row::ALL.into_iter().zip([executable, command_line, environment]) {
            for (table, patterns) in rules.tables[row as usize].iter_mut().zip([&patterns.include, &patterns.exclude]) {
                if !patterns.is_empty() {
                    let patterns = match row {
                        Row::Environment => &patterns.iter().map(|p| variable(p)).collect::<Result<Vec<_>, _>>()?,
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

    /// The tables in the order of the kernel side's map: of each row what it includes, then what it excludes.
    pub fn tables(&self) -> impl Iterator<Item = Option<&Automaton>> {
        self.tables.iter().flatten().map(Option::as_deref)
    }

    /// Whether this process is observed. The rows are asked in order, and every one must agree.
    #[must_use]
    pub fn judge(&self, image: &Image<'_>) -> Judgement {
        for row in Row::ALL {
            for (table, excludes) in self.tables[row as usize].iter().zip([false, true]) {
                if table.as_deref().is_some_and(|table| finds(table, row, image) == excludes) {
                    return Judgement { selected: false, refused_by: Some((row, excludes)) };
                }
            }
        }
        Judgement { selected: true, refused_by: None }
    }
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
