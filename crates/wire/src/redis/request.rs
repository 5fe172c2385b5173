//! What is kept of a command until its reply comes.

use super::kind::Named;
use crate::Name;

/// A command, complete or in progress.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) named: Named,
    /// Script or function.
    pub(super) procedure: Name,
    /// SELECT's index; the number of channels of a pub/sub command.
    pub(super) argument: u32,
    pub(super) blocking: bool,
    pub(super) truncated: bool,
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
    pub(super) const NONE: Request = Request {
        named: Named::OTHER,
        procedure: Name::EMPTY,
        argument: u32::MAX,
        blocking: false,
        truncated: false,
        turn: false,
        not_before: 0,
        start: 0,
        arrival: 0,
        end: 0,
        offset: 0,
        bytes: 0,
    };
}

/// CLIENT REPLY's argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    On,
    Off,
    Skip,
}

/// A database index. Redis has 16 of them unless configured otherwise.
pub(super) fn index(word: &[u8]) -> Option<u32> {
    if word.is_empty() || word.len() > 5 {
        return None;
    }
    word.iter().try_fold(0, |n, byte| byte.is_ascii_digit().then(|| n * 10 + u32::from(byte - b'0')))
}
