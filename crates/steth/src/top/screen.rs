//! Where it is shown: a terminal that is painted over, or a pipe.

use super::row::Look;
use crate::print::clean;
use std::io::{IsTerminal, Write};

/// Standard output.
pub(super) struct Screen {
    terminal: bool,
    colour: bool,
    once: bool,
    json: bool,
    shown: bool,
}

impl Screen {
    pub(super) fn new(once: bool, json: bool) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { terminal, colour: terminal && !plain, once, json, shown: false }
    }

    /// Shows it; false if nobody looks any more.
    pub(super) fn show(&mut self, look: &anyhow::Result<Look>) -> anyhow::Result<bool> {
        let text = match look {
            Err(error) if self.json || !self.terminal => {
                crate::say::say!("{error:#}");
                return Ok(true);
            }
            Ok(look) if self.json => serde_json::to_string(look)? + "\n",
            look => self.table(look),
        };
        self.shown = true;
        let mut out = std::io::stdout().lock();
        crate::say::written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
    }

    fn table(&self, look: &anyhow::Result<Look>) -> String {
        let size = terminal_size::terminal_size_of(std::io::stdout()).filter(|_| self.terminal);
        let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|width| *width > 0);
        // Into a pipe nothing is cut, unless it was asked for.
        let width = asked.or(size.map(|(width, _)| usize::from(width.0)));
        let repaints = self.terminal && !self.once;
        let height = size.filter(|_| repaints).map(|(_, height)| usize::from(height.0));
        let lines = match look {
            Ok(look) => look.lines(width, height, self.colour),
            Err(error) => vec![clean(&format!("{error:#}"))],
        };
        if !repaints {
            let apart = if self.shown { "\n" } else { "" };
            return format!("{apart}{}\n", lines.join("\n"));
        }
        // Painted over, not cleared: nothing flickers.
        let clear = if self.shown { "" } else { "\x1b[2J" };
        format!("{clear}\x1b[H{}\x1b[K\n\x1b[J", lines.join("\x1b[K\n"))
    }
}
