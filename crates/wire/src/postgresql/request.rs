//! What is kept of a request until its reply comes.

use super::prepared::Key;
use crate::sql::Statement;

/// What kind of reply a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A simple query: a reply for each of its statements, then ReadyForQuery.
    Query,
    /// Parse, Bind, Describe and Close of one statement that is not executed, or not yet.
    Prepare,
    /// The same, and the Execute they lead to.
    Execute,
    /// ReadyForQuery.
    Sync,
    /// A Sync within COPY FROM STDIN: the server ignores it.
    Ignored,
    /// A function call: its result, then ReadyForQuery.
    Function,
    /// The startup message: authentication, then ReadyForQuery.
    Startup,
    /// SSLRequest or GSSENCRequest: one byte.
    Encryption,
    /// CancelRequest: none.
    Cancel,
}

/// What leads to an Execute, and answers by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preparation {
    Parse = 0,
    Bind = 1,
    Describe = 2,
    Close = 3,
}

/// A request. Of the extended protocol, all messages of one execution are one.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) kind: Kind,
    /// Name of the statement.
    pub(super) key: Key,
    /// `None` if its text was not seen. Of a query with several statements, its whole text.
    pub(super) statement: Option<Statement>,
    /// The statements, if there are several.
    pub(super) several: Option<Box<[Statement]>>,
    /// Replies that belong to statements, so far.
    pub(super) replied: u32,
    /// Two bits for each [`Preparation`].
    preparations: u64,
    prepared: u8,
    /// How many of them were answered.
    pub(super) done: u8,
    /// Part of what it says was not seen.
    pub(super) truncated: bool,
    /// The Execute that these preparations lead to was counted as lost.
    pub(super) counted: bool,
    /// See [`crate::Fifo::push`].
    pub(super) turn: bool,
    pub(super) not_before: u64,
    pub(super) start: u64,
    pub(super) arrival: u64,
    pub(super) end: u64,
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

impl Request {
    pub(super) fn new(kind: Kind, key: Key, statement: Option<Statement>) -> Self {
        Request {
            kind,
            key,
            statement,
            several: None,
            replied: 0,
            preparations: 0,
            prepared: 0,
            done: 0,
            truncated: false,
            counted: false,
            turn: false,
            not_before: 0,
            start: 0,
            arrival: 0,
            end: 0,
            offset: 0,
            bytes: 0,
        }
    }

    /// Adds a preparation, if it has room.
    #[inline]
    pub(super) fn prepare(&mut self, preparation: Preparation) -> bool {
        if self.prepared >= 32 {
            return false;
        }
        self.preparations |= (preparation as u64) << (2 * self.prepared);
        self.prepared += 1;
        true
    }

    /// The preparation whose answer comes next.
    #[inline]
    pub(super) fn next(&self) -> Option<Preparation> {
        if self.done >= self.prepared {
            return None;
        }
        Some(match self.preparations >> (2 * self.done) & 3 {
            0 => Preparation::Parse,
            1 => Preparation::Bind,
            2 => Preparation::Describe,
            _ => Preparation::Close,
        })
    }

    /// Whether a Parse among its preparations was not answered: the statement may not exist.
    pub(super) fn is_parsing(&self) -> bool {
        (self.done..self.prepared).any(|at| self.preparations >> (2 * at) & 3 == 0)
    }

    /// Its last byte so far is before this position.
    #[inline]
    pub(super) fn extend(&mut self, end: u64, time: u64) {
        (self.end, self.bytes) = (time, end.saturating_sub(self.offset));
    }

    /// Exchanges whose end is outstanding. Of a query, as many as it has statements, though the first error ends it.
    pub(super) fn outstanding(&self) -> u32 {
        match self.kind {
            Kind::Execute | Kind::Startup => 1,
            Kind::Function => 1 - self.replied.min(1),
            Kind::Query => self.statements().saturating_sub(self.replied),
            Kind::Prepare | Kind::Sync | Kind::Ignored | Kind::Encryption | Kind::Cancel => 0,
        }
    }

    /// How many statements there are.
    pub(super) fn statements(&self) -> u32 {
        self.several.as_ref().map_or(1, |several| several.len() as u32)
    }

    /// The statement that the next reply is about.
    pub(super) fn current(&self) -> Option<Statement> {
        match &self.several {
            None if self.kind != Kind::Query || self.replied == 0 => self.statement,
            None => None,
            Some(several) => several.get(self.replied as usize).copied(),
        }
    }
}
