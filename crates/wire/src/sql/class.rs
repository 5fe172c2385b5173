//! What a byte can begin, and whether a word goes on with it. Both dialects: a byte above 0x7f is a letter.

/// What a byte can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// White space; control characters count as such.
    Space,
    Letter,
    Digit,
    /// `'`
    Single,
    /// `"`
    Double,
    /// A backtick.
    Backtick,
    /// `$`
    Dollar,
    Dot,
    /// `-`
    Minus,
    Slash,
    Star,
    Hash,
    At,
    Colon,
    Open,
    Close,
    Comma,
    Semicolon,
    /// `?`
    Question,
    Other,
}

const fn class(byte: u8) -> Class {
    match byte {
        0..=b' ' | 0x7f => Class::Space,
        b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80..=0xff => Class::Letter,
        b'0'..=b'9' => Class::Digit,
        b'\'' => Class::Single,
        b'"' => Class::Double,
        b'`' => Class::Backtick,
        b'$' => Class::Dollar,
        b'.' => Class::Dot,
        b'-' => Class::Minus,
        b'/' => Class::Slash,
        b'*' => Class::Star,
        b'#' => Class::Hash,
        b'@' => Class::At,
        b':' => Class::Colon,
        b'(' => Class::Open,
        b')' => Class::Close,
        b',' => Class::Comma,
        b';' => Class::Semicolon,
        b'?' => Class::Question,
        _ => Class::Other,
    }
}

const CLASSES: [Class; 256] = {
    let mut all = [Class::Other; 256];
    let mut byte = 0;
    while byte < 256 {
        all[byte] = class(byte as u8);
        byte += 1;
    }
    all
};

/// What this byte can begin.
#[inline]
pub(super) fn of(byte: u8) -> Class {
    CLASSES[byte as usize]
}

pub(super) const WORD: [bool; 256] = {
    let mut all = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        all[byte] = matches!(class(byte as u8), Class::Letter | Class::Digit | Class::Dollar);
        byte += 1;
    }
    all
};

/// Whether a word goes on with this byte.
#[inline]
pub(super) fn in_word(byte: u8) -> bool {
    WORD[byte as usize]
}
