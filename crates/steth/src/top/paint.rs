//! Draws the screen.

use super::app::{App, Over};
use super::item::state_name;
use super::look::Look;
use super::view::View;
use crate::print::clean;
use crate::table::{self, Cell, Fit};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::widgets::{Block, Clear, Widget as _};
use steth_query::tell::State;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// From this size on there is a table.
const LEAST: (u16, u16) = (40, 10);

/// Every key, for the help.
const KEYS: [(&str, &str); 14] = [
    ("1 … 6, Tab", "services, edges, operations, connections, DNS, requests"),
    ("arrows, j k", "choose a row; also PgUp PgDn, g G"),
    ("Enter", "what is behind it"),
    ("Esc", "back"),
    ("/", "only rows with a text in their names; Esc takes it away"),
    ("s S", "sort by the next number, by the one before"),
    ("r", "the least first, the most first"),
    ("+ -", "a longer time, a shorter one"),
    ("Space, p", "let time stand still, let it go on"),
    ("?", "this"),
    ("Ctrl-Z", "to the shell; fg leads back"),
    ("q, Ctrl-C", "quit"),
    ("", ""),
    ("SIDE", "the end of the connection that tells these numbers"),
];

/// How things look. Without colours, by their weight alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    pub(super) colour: bool,
}

impl Paint {
    fn bad(self) -> Style {
        if self.colour { Style::new().fg(Color::Red) } else { Style::new().add_modifier(Modifier::BOLD) }
    }

    fn state(self, state: State) -> Style {
        match state {
            State::Failing => self.bad(),
            State::Degraded if self.colour => Style::new().fg(Color::Yellow),
            State::Degraded => self.bad(),
            State::Healthy | State::Idle => Style::new(),
        }
    }

    fn faint(self) -> Style {
        if self.colour { Style::new().fg(Color::DarkGray) } else { Style::new() }
    }

    fn title(self) -> Style {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        if self.colour { bold.fg(Color::Cyan) } else { bold }
    }

    /// Draws all of it. `now_ms` is for the age of what is shown.
    pub(super) fn screen(self, frame: &mut Frame<'_>, app: &mut App, now_ms: u64) {
        let area = frame.area();
        let buffer = frame.buffer_mut();
        if area.width < LEAST.0 || area.height < LEAST.1 {
            line(buffer, area, 0, "too small", Style::new());
            return;
        }
        self.head(buffer, area, app, now_ms);
        self.tabs(buffer, area, app);
        self.table(buffer, area, app);
        self.foot(buffer, area, app);
        match &app.over {
            Over::Nothing | Over::Filter(_) => {}
            Over::Help => self.help(buffer, area),
            Over::Lines { title, lines, first } => {
                let inside = self.over(buffer, area, title);
                let lines = wrapped(lines, usize::from(inside.width));
                for (row, text) in lines.iter().skip(*first).take(usize::from(inside.height)).enumerate() {
                    line(buffer, inside, row as u16, text, Style::new());
                }
                (app.room, app.lines) = (usize::from(inside.height), lines.len());
            }
        }
    }

    /// Whom it asks, and how old what is shown is.
    fn head(self, buffer: &mut Buffer, area: Rect, app: &App, now_ms: u64) {
        line(buffer, area, 0, &format!("steth top  {}", clean(&app.agent)), self.title());
        let look = app.shown();
        let age = look.and_then(|look| look.meta.newest_ms).map(|newest| now_ms.saturating_sub(newest) / 1000);
        let mut right = match age {
            _ if look.is_none() => "asking …".to_owned(),
            None => "nothing is kept yet".to_owned(),
            Some(seconds) => format!("newest {seconds} s ago"),
        };
        if let Some(look) = look {
            right = format!("steps of {}, {right}", look.meta.tier.name());
        }
        if app.paused.is_some() {
            right += "  PAUSED";
        }
        flush_right(buffer, area, 0, &right, if app.paused.is_some() { self.title() } else { Style::new() });
    }

    fn tabs(self, buffer: &mut Buffer, area: Rect, app: &App) {
        let mut x = 0;
        for (number, view) in View::ALL.iter().enumerate() {
            let here = *view == app.place().view;
            let style = if here { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
            // 80 columns hold all of them.
            let text = format!("{} {}", number + 1, view.title());
            let left = area.width.saturating_sub(x);
            buffer.set_stringn(area.x + x, area.y + 1, &text, usize::from(left), style);
            x = x.saturating_add(text.width() as u16 + 2);
        }
    }

    fn table(self, buffer: &mut Buffer, area: Rect, app: &mut App) {
        let above = app.shown().map_or(0, |look| look.above.len()).min(usize::from(area.height) / 3);
        // Head, tabs, title, lines above, titles of columns; below, what the row says, and the keys.
        let top = 4 + above as u16;
        app.room = usize::from(area.height.saturating_sub(top + 1 + sentence_lines(area))).max(1);
        app.scroll();
        let place = app.place();
        let Some(look) = app.shown() else { return };
        self.caption(buffer, area, app, look);
        for (row, cell) in look.above.iter().take(above).enumerate() {
            let style = if cell.bad { self.bad() } else { Style::new() };
            line(buffer, area, 3 + row as u16, &cell.text, style);
        }
        let columns = look.columns();
        let fitted = table::fitted(columns, &look.cells, Some(usize::from(area.width)));
        let mut x = area.x;
        for (at, width) in &fitted {
            let column = &columns[*at];
            let sorted = !column.title.is_empty() && place.sort.column() == column.title;
            let style =
                Style::new().add_modifier(if sorted { Modifier::BOLD | Modifier::UNDERLINED } else { Modifier::BOLD });
            put(buffer, (x, area.y + top - 1), column.title, *width, column.fit, style);
            x = x.saturating_add(*width as u16 + 1);
        }
        if look.items.is_empty() {
            line(buffer, area, top, self.nothing(look), self.faint());
        }
        for (row, at) in (place.first..look.cells.len()).take(app.room).enumerate() {
            let y = area.y + top + row as u16;
            let chosen = at == place.at;
            if chosen {
                buffer.set_style(Rect { y, height: 1, ..area }, Style::new().add_modifier(Modifier::REVERSED));
            }
            let mut x = area.x;
            for (column, width) in &fitted {
                let empty = Cell::default();
                let cell = look.cells[at].get(*column).unwrap_or(&empty);
                let style = if cell.bad { self.bad() } else { Style::new() };
                put(buffer, (x, y), &cell.text, *width, columns[*column].fit, style);
                x = x.saturating_add(*width as u16 + 1);
            }
        }
    }

    fn nothing(self, look: &Look) -> &'static str {
        if look.question.text.is_empty() {
            "nothing was seen in this time"
        } else {
            "nothing has this text in its name"
        }
    }

    /// How many rows of whom, and how they are sorted.
    fn caption(self, buffer: &mut Buffer, area: Rect, app: &App, look: &Look) {
        let place = app.place();
        let mut text = look.title(look.items.len());
        let order = if place.ascending { "upwards" } else { "downwards" };
        text += &format!(", by {} {order}", place.sort.name());
        if let Some(folded) = look.folded() {
            text += &format!(", {folded}");
        }
        line(buffer, area, 2, &text, Style::new());
        if !place.text.is_empty() || matches!(app.over, Over::Filter(_)) {
            let cursor = if matches!(app.over, Over::Filter(_)) { "_" } else { "" };
            let text = format!(" /{}{cursor}", clean(&place.text));
            flush_right(buffer, area, 2, &text, self.title());
        }
    }

    /// What the chosen row says, or what went wrong; and the keys.
    fn foot(self, buffer: &mut Buffer, area: Rect, app: &App) {
        let says = app.shown().and_then(|look| look.items.get(app.place().at)).map(super::item::Item::says);
        let (text, style) = match (&app.error, says) {
            (Some(error), _) => (error.clone(), self.bad()),
            (None, Some((state @ (State::Degraded | State::Failing), says))) => {
                (format!("{}: {says}", state_name(state)), self.state(state))
            }
            (None, Some((state, says))) => (says, self.state(state)),
            (None, None) => (String::new(), Style::new()),
        };
        let most = sentence_lines(area);
        let mut lines = wrapped(&[clean(&text)], usize::from(area.width));
        if lines.len() > usize::from(most) {
            // What does not fit is seen to be missing.
            let rest = lines.split_off(usize::from(most) - 1).join(" ");
            lines.push(rest);
        }
        let first = area.height - 1 - most;
        for (row, text) in lines.iter().enumerate() {
            line(buffer, area, first + row as u16, text, style);
        }
        let keys = area.height - 1;
        let text = match &app.over {
            Over::Filter(_) => "type a part of a name   Enter keep   Esc take it back",
            Over::Help => "any key closes this",
            Over::Lines { .. } => "arrows scroll   Esc back",
            Over::Nothing if app.depth() > 0 => {
                "Esc back  Enter down  / filter  s sort  r reverse  + - time  Space pause  ?  q"
            }
            Over::Nothing => "Enter down  / filter  s sort  r reverse  + - time  Space pause  ? help  q quit",
        };
        line(buffer, area, keys, text, self.faint());
    }

    fn help(self, buffer: &mut Buffer, area: Rect) {
        let inside = self.over(buffer, area, "Keys");
        for (row, (keys, what)) in KEYS.iter().enumerate() {
            line(buffer, inside, row as u16, &format!("{keys:<13} {what}"), Style::new());
        }
    }

    /// A frame over all but the head and the keys; returns what it leaves.
    fn over(self, buffer: &mut Buffer, area: Rect, title: &str) -> Rect {
        let area = Rect { y: area.y + 1, height: area.height - 2, ..area };
        Clear.render(area, buffer);
        let block = Block::bordered().title(clean(&format!(" {title} "))).border_style(self.faint());
        let inside = block.inner(area);
        block.render(area, buffer);
        Rect { x: inside.x + 1, width: inside.width.saturating_sub(2), ..inside }
    }
}

/// Lines that a sentence about a row may take.
fn sentence_lines(area: Rect) -> u16 {
    if area.height < 20 { 1 } else { 2 }
}

/// Long lines go on below, from a space on if there is one in their second half.
fn wrapped(lines: &[String], width: usize) -> Vec<String> {
    let mut all = Vec::new();
    for line in lines {
        let mut part = String::new();
        for character in line.chars() {
            if part.width() + character.width().unwrap_or(0) > width && !part.is_empty() {
                let space = part.rfind(' ').filter(|at| *at >= part.len() / 2 && character != ' ');
                let rest = space.map_or_else(String::new, |at| part.split_off(at + 1));
                all.push(std::mem::replace(&mut part, rest));
            }
            part.push(character);
        }
        all.push(part);
    }
    all
}

/// A line of text at this row of an area, cut if it is too long.
fn line(buffer: &mut Buffer, area: Rect, row: u16, text: &str, style: Style) {
    if row < area.height {
        let text = table::cut(text, usize::from(area.width));
        buffer.set_stringn(area.x, area.y + row, text, usize::from(area.width), style);
    }
}

fn flush_right(buffer: &mut Buffer, area: Rect, row: u16, text: &str, style: Style) {
    let text = table::cut(text, usize::from(area.width));
    let x = area.x + area.width.saturating_sub(text.width() as u16);
    buffer.set_stringn(x, area.y + row, text, usize::from(area.width), style);
}

/// A cell.
fn put(buffer: &mut Buffer, (x, y): (u16, u16), text: &str, width: usize, fit: Fit, style: Style) {
    let area = buffer.area;
    if x >= area.right() {
        return;
    }
    let text = table::cut(text, width);
    let padding = if fit == Fit::Number { width.saturating_sub(text.width()) } else { 0 };
    let x = x.saturating_add(padding as u16);
    buffer.set_stringn(x, y, text, usize::from(area.right().saturating_sub(x)), style);
}
