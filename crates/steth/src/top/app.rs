//! What the screen shows, and what keys do to it. Nothing here asks, draws or waits.

use super::item::Behind;
use super::look::{Look, Question};
use super::scope::Scope;
use super::view::{Sort, View};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use steth_query::Range;

/// Lengths of time that `+` and `-` go through, seconds.
const LENGTHS: [u64; 9] = [10, 60, 300, 900, 1800, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600];
/// Steps back that are remembered. More than that nobody goes; the oldest go first.
const DEPTH: usize = 32;
/// Longest filter, characters.
const LONGEST_TEXT: usize = 200;

/// One table on the way down.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) view: View,
    pub(super) scope: Scope,
    pub(super) sort: Sort,
    pub(super) ascending: bool,
    pub(super) text: String,
    /// The key of the row that is chosen, and where it was.
    chosen: Option<String>,
    pub(super) at: usize,
    /// The first row that is shown.
    pub(super) first: usize,
}

impl Place {
    fn new(view: View, scope: Scope) -> Self {
        let sort = view.sorts()[0];
        Self { view, scope, sort, ascending: false, text: String::new(), chosen: None, at: 0, first: 0 }
    }
}

/// What lies over the table, or takes the keys.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Over {
    Nothing,
    /// The filter is being written; what it was before.
    Filter(String),
    Help,
    /// All that is known of one thing.
    Lines {
        title: String,
        lines: Vec<String>,
        first: usize,
    },
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Nothing that shows.
    Nothing,
    /// To be drawn again.
    Draw,
    /// To ask the agent, since something else is wanted.
    Ask,
    Quit,
    /// Give the terminal back to the shell until it is wanted again.
    Suspend,
}

/// The screen.
#[derive(Debug)]
pub(super) struct App {
    /// The table that is shown, behind it those that Esc leads back to.
    places: Vec<Place>,
    pub(super) seconds: u64,
    /// The end of the range, as long as time stands still; milliseconds since 1970.
    pub(super) paused: Option<u64>,
    pub(super) look: Option<Look>,
    /// Why the last question had no answer.
    pub(super) error: Option<String>,
    pub(super) over: Over,
    /// Rows of the table that fit; the painter knows.
    pub(super) room: usize,
    /// Lines that lie over the table, as they are drawn.
    pub(super) lines: usize,
    /// Whom it asks.
    pub(super) agent: String,
}

impl App {
    pub(super) fn new(view: View, sort: Option<Sort>, filter: &str, seconds: u64, agent: String) -> Self {
        let mut place = Place::new(view, Scope::All);
        filter.clone_into(&mut place.text);
        place.sort = sort.unwrap_or(place.sort);
        let (paused, look, error) = (None, None, None);
        Self { places: vec![place], seconds, paused, look, error, over: Over::Nothing, room: 1, lines: 0, agent }
    }

    pub(super) fn place(&self) -> &Place {
        // There is always one.
        &self.places[self.places.len() - 1]
    }

    fn place_mut(&mut self) -> &mut Place {
        let last = self.places.len() - 1;
        &mut self.places[last]
    }

    /// How many tables Esc leads back to.
    pub(super) fn depth(&self) -> usize {
        self.places.len() - 1
    }

    /// What is asked now.
    pub(super) fn question(&self, now_ms: u64) -> Question {
        let Place { view, scope, sort, ascending, text, .. } = self.place().clone();
        let to_ms = self.paused.unwrap_or(now_ms);
        let range = Range { from_ms: to_ms.saturating_sub(self.seconds * 1000), to_ms };
        Question { view, scope, sort, ascending, text, range, people: true }
    }

    /// An answer has come, to a question that may be an old one. Whether there is one that has to be asked now.
    pub(super) fn told(&mut self, question: &Question, answer: Result<Look, String>) -> bool {
        let wanted = self.question(question.range.to_ms);
        let same = Question { range: wanted.range, ..question.clone() } == wanted
            && question.range.length_ms() == wanted.range.length_ms();
        if !same {
            return true;
        }
        match answer {
            Ok(look) => {
                self.look = Some(look);
                self.error = None;
                self.find();
            }
            // What was there stays; its age shows.
            Err(error) => self.error = Some(error),
        }
        false
    }

    /// The rows of the table, if they are those of this place.
    pub(super) fn rows(&self) -> usize {
        self.shown().map_or(0, |look| look.items.len())
    }

    /// The last answer, if it is one to what is looked at now.
    pub(super) fn shown(&self) -> Option<&Look> {
        let place = self.place();
        self.look.as_ref().filter(|look| look.question.view == place.view && look.question.scope == place.scope)
    }

    /// The chosen row is where it is now: rows move, the choice stays with its row.
    fn find(&mut self) {
        let keys = |look: &Look| look.items.iter().map(super::item::Item::key).collect::<Vec<_>>();
        let Some(keys) = self.shown().map(keys) else { return };
        let place = self.place_mut();
        let found = place.chosen.as_ref().and_then(|chosen| keys.iter().position(|key| key == chosen));
        place.at = found.unwrap_or(place.at.min(keys.len().saturating_sub(1)));
        self.scroll();
    }

    /// The chosen row is one that is shown.
    pub(super) fn scroll(&mut self) {
        let (rows, room) = (self.rows(), self.room.max(1));
        let place = self.place_mut();
        place.first = place.first.min(place.at).max((place.at + 1).saturating_sub(room)).min(rows.saturating_sub(1));
    }

    fn choose(&mut self, at: usize) -> Act {
        let at = at.min(self.rows().saturating_sub(1));
        let key = self.shown().and_then(|look| look.items.get(at)).map(super::item::Item::key);
        let first = at == 0;
        let place = self.place_mut();
        place.at = at;
        // Who stays at the top wants to see what is at the top.
        place.chosen = key.filter(|_| !first);
        self.scroll();
        Act::Draw
    }

    /// Does what a key says.
    pub(super) fn key(&mut self, key: KeyEvent) -> Act {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Act::Quit,
                KeyCode::Char('z') => Act::Suspend,
                KeyCode::Char('u') if matches!(self.over, Over::Filter(_)) => self.write(String::new()),
                KeyCode::Char('l') => Act::Draw,
                _ => Act::Nothing,
            };
        }
        match &self.over {
            Over::Nothing => self.table_key(key.code),
            Over::Filter(_) => self.filter_key(key.code),
            Over::Help => self.close(),
            Over::Lines { .. } => self.lines_key(key.code),
        }
    }

    fn close(&mut self) -> Act {
        self.over = Over::Nothing;
        Act::Draw
    }

    fn table_key(&mut self, key: KeyCode) -> Act {
        let (at, page) = (self.place().at, self.room.saturating_sub(1).max(1));
        match key {
            KeyCode::Char('q') => Act::Quit,
            KeyCode::Up | KeyCode::Char('k') => self.choose(at.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.choose(at + 1),
            KeyCode::PageUp => self.choose(at.saturating_sub(page)),
            KeyCode::PageDown => self.choose(at + page),
            KeyCode::Home | KeyCode::Char('g') => self.choose(0),
            KeyCode::End | KeyCode::Char('G') => self.choose(usize::MAX),
            KeyCode::Char(digit @ '1'..='6') => self.go(View::ALL[digit as usize - '1' as usize]),
            KeyCode::Tab | KeyCode::Right => self.beside(1),
            KeyCode::BackTab | KeyCode::Left => self.beside(View::ALL.len() - 1),
            KeyCode::Enter => self.down(),
            KeyCode::Esc | KeyCode::Backspace => self.back(),
            KeyCode::Char('/') => {
                self.over = Over::Filter(self.place().text.clone());
                Act::Draw
            }
            KeyCode::Char('s') => self.sort(1),
            KeyCode::Char('S') => self.sort(self.place().view.sorts().len() - 1),
            KeyCode::Char('r') => {
                let place = self.place_mut();
                place.ascending = !place.ascending;
                Act::Ask
            }
            KeyCode::Char('+') | KeyCode::Char('=') => self.lengthen(LENGTHS.into_iter().find(|it| *it > self.seconds)),
            KeyCode::Char('-') => self.lengthen(LENGTHS.into_iter().rev().find(|it| *it < self.seconds)),
            KeyCode::Char(' ') | KeyCode::Char('p') => {
                self.paused = match self.paused {
                    Some(_) => None,
                    // What is seen is what stands still.
                    None => Some(self.look.as_ref().map_or(0, |look| look.question.range.to_ms)).filter(|to| *to > 0),
                };
                if self.paused.is_some() { Act::Draw } else { Act::Ask }
            }
            KeyCode::Char('?') | KeyCode::Char('h') => {
                self.over = Over::Help;
                Act::Draw
            }
            _ => Act::Nothing,
        }
    }

    fn filter_key(&mut self, key: KeyCode) -> Act {
        let Over::Filter(before) = &self.over else { return Act::Nothing };
        let mut text = self.place().text.clone();
        match key {
            KeyCode::Enter => self.close(),
            KeyCode::Esc => {
                let before = before.clone();
                self.over = Over::Nothing;
                self.write(before)
            }
            KeyCode::Backspace => {
                text.pop();
                self.write(text)
            }
            KeyCode::Char(character) if !character.is_control() && text.chars().count() < LONGEST_TEXT => {
                text.push(character);
                self.write(text)
            }
            _ => Act::Nothing,
        }
    }

    /// The filter is another one.
    fn write(&mut self, text: String) -> Act {
        let place = self.place_mut();
        if place.text == text {
            return Act::Draw;
        }
        place.text = text;
        (place.at, place.first, place.chosen) = (0, 0, None);
        Act::Ask
    }

    fn lines_key(&mut self, key: KeyCode) -> Act {
        let (room, lines) = (self.room, self.lines);
        let Over::Lines { first, .. } = &mut self.over else { return Act::Nothing };
        let last = lines.saturating_sub(room.max(1));
        let page = room.saturating_sub(1).max(1);
        *first = match key {
            KeyCode::Up | KeyCode::Char('k') => first.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => *first + 1,
            KeyCode::PageUp => first.saturating_sub(page),
            KeyCode::PageDown | KeyCode::Char(' ') => *first + page,
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => last,
            KeyCode::Esc | KeyCode::Enter | KeyCode::Backspace | KeyCode::Char('q') => return self.close(),
            _ => return Act::Nothing,
        }
        .min(last);
        Act::Draw
    }

    /// To a view: of the same, if it can show that, else of everybody.
    fn go(&mut self, view: View) -> Act {
        if self.place().view == view {
            return Act::Nothing;
        }
        let scope = self.place().scope.clone();
        if scope.fits(view) {
            *self.place_mut() = Place::new(view, scope);
        } else {
            self.places = vec![Place::new(view, Scope::All)];
        }
        Act::Ask
    }

    fn beside(&mut self, steps: usize) -> Act {
        let here = View::ALL.iter().position(|view| *view == self.place().view).unwrap_or(0);
        self.go(View::ALL[(here + steps) % View::ALL.len()])
    }

    fn down(&mut self) -> Act {
        let at = self.place().at;
        match self.shown().and_then(|look| look.items.get(at)).and_then(super::item::Item::behind) {
            Some(Behind::View(view, scope)) => {
                if self.places.len() == DEPTH {
                    self.places.remove(0);
                }
                self.places.push(Place::new(view, scope));
                Act::Ask
            }
            Some(Behind::Lines(title, lines)) => {
                self.over = Over::Lines { title, lines, first: 0 };
                Act::Draw
            }
            None => Act::Nothing,
        }
    }

    /// The filter goes first, then the way back.
    fn back(&mut self) -> Act {
        if !self.place().text.is_empty() {
            return self.write(String::new());
        }
        match self.places.len() {
            1 if self.place().scope != Scope::All => *self.place_mut() = Place::new(self.place().view, Scope::All),
            1 => return Act::Nothing,
            _ => drop(self.places.pop()),
        }
        Act::Ask
    }

    fn sort(&mut self, steps: usize) -> Act {
        let place = self.place_mut();
        let sorts = place.view.sorts();
        let here = sorts.iter().position(|sort| *sort == place.sort).unwrap_or(0);
        place.sort = sorts[(here + steps) % sorts.len()];
        place.ascending = false;
        // Another order is looked at from its beginning.
        (place.at, place.first, place.chosen) = (0, 0, None);
        Act::Ask
    }

    fn lengthen(&mut self, seconds: Option<u64>) -> Act {
        let Some(seconds) = seconds else { return Act::Nothing };
        self.seconds = seconds;
        Act::Ask
    }
}
