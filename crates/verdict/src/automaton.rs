//! Regular expressions as one table of transitions, small enough for the kernel side and simple enough for its verifier.
//!
//! A state is the place of its row in the table. 0 never matches, 1 has matched; both are final and have no row. The end of the
//! text is a class of its own, behind those of the bytes, because `$` and `\b` look at it.

use crate::RuleError;
use regex_automata::Anchored;
use regex_automata::dfa::{Automaton as _, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::{primitives::StateID, start, syntax};
use std::collections::BTreeMap;

/// Transitions that a table may have: `STETH_TRANSITIONS` of `bpf/selection.h`.
pub const TRANSITIONS: usize = 16_384;
/// Bytes that building one may take, and so time.
const BUILD_BYTES: usize = 4 << 20;

const NEVER: u16 = 0;
const MATCHED: u16 = 1;
/// The number of the first state that is not final, while states are numbered and not placed.
const FIRST: u16 = 2;
/// The place of its row.
const FIRST_ROW: usize = 2;

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Automaton {
    /// The state before the first byte.
    start: u16,
    /// The class of the end of the text.
    end: u16,
    /// The class of each byte.
    class: [u8; 256],
    next: Vec<u16>,
}

impl Automaton {
    /// A table that finds any of these expressions anywhere in a text.
    ///
    /// # Errors
    /// When an expression is malformed, or all of them together make too large a table.
    pub fn new(patterns: &[String]) -> Result<Self, RuleError> {
        let syntax = syntax::Config::new().unicode(false).utf8(false).dot_matches_new_line(true);
        // Each alone first: the message of a malformed one then names it.
        for pattern in patterns {
            if let Err(error) = thompson::Compiler::new().syntax(syntax).build(pattern) {
                return Err(RuleError::Malformed { pattern: pattern.clone(), cause: innermost(&error) });
            }
        }
        let config = dense::Config::new()
            .dfa_size_limit(Some(BUILD_BYTES))
            .determinize_size_limit(Some(BUILD_BYTES))
            .start_kind(regex_automata::dfa::StartKind::Unanchored);
        let mut builder = dense::Builder::new();
        builder.configure(config).syntax(syntax).thompson(thompson::Config::new().utf8(false));
        let too_large = || RuleError::TooLarge { patterns: patterns.to_vec() };
        let dfa = builder.build_many(patterns).map_err(|_| too_large())?;
        Self::of(&dfa).ok_or_else(too_large)
    }

    /// `None`: too many states.
    fn of(dfa: &dense::DFA<Vec<u32>>) -> Option<Self> {
        const BYTES: usize = 256;
        let start = dfa.start_state(&start::Config::new().anchored(Anchored::No)).ok()?;
        let mut states = Numbers::default();
        let first = states.number(dfa, start)?;
        let mut rows: Vec<Vec<u16>> = vec![vec![NEVER; BYTES + 1], vec![MATCHED; BYTES + 1]];
        while let Some(state) = states.todo.pop() {
            let mut row = Vec::with_capacity(BYTES + 1);
            for byte in 0..=u8::MAX {
                row.push(states.number(dfa, dfa.next_state(state, byte))?);
            }
            row.push(states.number(dfa, dfa.next_eoi_state(state))?);
            let number = usize::from(states.known[&state]);
            rows.resize_with(rows.len().max(number + 1), Vec::new);
            rows[number] = row;
        }
        // Bytes between which no state makes a difference share a class. The end's column is kept apart.
        let mut classes: BTreeMap<Vec<u16>, u8> = BTreeMap::new();
        let mut class = [0; BYTES];
        let mut columns: Vec<usize> = Vec::new();
        for byte in 0..BYTES {
            let column: Vec<u16> = rows.iter().map(|row| row[byte]).collect();
            let next = u8::try_from(columns.len()).ok()?;
            class[byte] = *classes.entry(column).or_insert_with(|| {
                columns.push(byte);
                next
            });
        }
        columns.push(BYTES);
        let place = |state: u16| match state {
            NEVER | MATCHED => usize::from(state),
            state => FIRST_ROW + usize::from(state - FIRST) * columns.len(),
        };
        let mut next = vec![NEVER; FIRST_ROW];
        for row in &rows[usize::from(FIRST)..] {
            for column in &columns {
                next.push(u16::try_from(place(row[*column])).ok()?);
            }
        }
        let (start, end) = (u16::try_from(place(first)).ok()?, u16::try_from(columns.len() - 1).ok()?);
        if next.len() > TRANSITIONS {
            return None;
        }
        next.resize(TRANSITIONS, NEVER);
        Some(Self { start, end, class, next })
    }

    /// Whether any of the expressions is found in the text.
    #[must_use]
    pub fn finds(&self, text: impl IntoIterator<Item = u8>) -> bool {
        let mut state = self.start;
        for byte in text {
            state = self.step(state, self.class[usize::from(byte)].into());
            if state <= MATCHED {
                return state == MATCHED;
            }
        }
        self.step(state, self.end) == MATCHED
    }

    fn step(&self, state: u16, class: u16) -> u16 {
        self.next[usize::from(state) + usize::from(class)]
    }

    /// The bytes of `struct steth_automaton`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(260 + 2 * TRANSITIONS);
        bytes.extend_from_slice(&self.start.to_ne_bytes());
        bytes.extend_from_slice(&self.end.to_ne_bytes());
        bytes.extend_from_slice(&self.class);
        bytes.extend(self.next.iter().flat_map(|next| next.to_ne_bytes()));
        bytes
    }
}

/// States as they are found.
#[derive(Default)]
struct Numbers {
    known: BTreeMap<StateID, u16>,
    todo: Vec<StateID>,
}

impl Numbers {
    fn number(&mut self, dfa: &dense::DFA<Vec<u32>>, state: StateID) -> Option<u16> {
        if dfa.is_match_state(state) {
            return Some(MATCHED);
        }
        if dfa.is_dead_state(state) {
            return Some(NEVER);
        }
        if let Some(number) = self.known.get(&state) {
            return Some(*number);
        }
        // A row has at least two columns.
        let number =
            u16::try_from(self.known.len() + usize::from(FIRST)).ok().filter(|n| usize::from(*n) < TRANSITIONS / 2)?;
        self.known.insert(state, number);
        self.todo.push(state);
        Some(number)
    }
}

/// What a chain of errors ends with: the outer ones say only that something could not be built.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
