//! Without a screen: a table or a line of JSON each time, into a pipe or onto the terminal.

use super::look::Look;
use crate::print::clean;
use crate::table;
use std::io::{IsTerminal, Write};

/// Standard output.
pub(super) struct Plain {
    terminal: bool,
    colour: bool,
    json: bool,
    shown: bool,
}

impl Plain {
    pub(super) fn new(json: bool, colour: bool) -> Self {
        let terminal = std::io::stdout().is_terminal();
        Self { terminal, colour: terminal && colour, json, shown: false }
    }

    /// Shows it; false if nobody looks any more.
    pub(super) fn show(&mut self, look: &anyhow::Result<Look>) -> anyhow::Result<bool> {
        let text = match look {
            Err(error) => {
                crate::say::say!("{}", clean(&format!("{error:#}")));
                return Ok(true);
            }
            Ok(look) if self.json => serde_json::to_string(&look.to_json()?)? + "\n",
            Ok(look) => self.table(look),
        };
        self.shown = true;
        let mut out = std::io::stdout().lock();
        crate::say::written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
    }

    fn table(&self, look: &Look) -> String {
        let size = terminal_size::terminal_size_of(std::io::stdout()).filter(|_| self.terminal);
        let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|width| *width > 0);
        // Into a pipe nothing is cut, unless it was asked for.
        let width = asked.or(size.map(|(width, _)| usize::from(width.0)));
        let apart = if self.shown { "\n" } else { "" };
        format!("{apart}{}\n", lines(look, width, self.colour).join("\n"))
    }
}

/// A line above, and the table.
pub(super) fn lines(look: &Look, width: Option<usize>, colour: bool) -> Vec<String> {
    let mut lines = vec![look.title(look.items.len())];
    lines.extend(look.above.iter().map(|cell| cell.text.clone()));
    lines.extend(table::lines(look.columns(), &look.cells, width, colour));
    if look.items.is_empty() {
        lines.push("nothing was seen in this time".to_owned());
    }
    if let Some(width) = width {
        for line in lines.iter_mut().filter(|line| !line.contains('\x1b')) {
            *line = table::cut(line, width);
        }
    }
    lines
}
