//! A text without what a digest does not show of it, by a quick look: what is left tells one digest from another.
//!
//! Most texts that were never seen before differ from one that was in their literals only. So the table of known texts holds
//! their skeletons: whole numbers in digits are `0`, plain strings are empty. That is all, and only where nothing is in doubt: from a
//! byte on that may open quotes of another kind, a comment or an escape, the text is taken as it is. What is left out is one
//! token in any dialect and any session, and what stands for it is a token of the same kind; so two texts with one
//! skeleton have the same digest. A property test reads both.

use super::class;
use memchr::memchr2;

/// What a byte means to a quick look. The first two mean nothing for themselves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
    /// Digits behind it are a number.
    Free,
    /// Digits and quotes behind it, or it behind digits, may be something else.
    Bound,
    Digit,
    Quote,
    Minus,
    /// A parameter's number may follow; else quotes begin.
    Dollar,
    /// Quotes, comments, escapes.
    Stop,
}

const SORTS: [Sort; 256] = {
    let mut all = [Sort::Free; 256];
    let mut byte = 0;
    while byte < 256 {
        all[byte] = match byte as u8 {
            b'0'..=b'9' => Sort::Digit,
            b'\'' => Sort::Quote,
            b'-' => Sort::Minus,
            b'$' => Sort::Dollar,
            b'"' | b'`' | b'/' | b'#' | b'\\' => Sort::Stop,
            b'.' | b'@' | b':' => Sort::Bound,
            word if class::WORD[word as usize] => Sort::Bound,
            _ => Sort::Free,
        };
        byte += 1;
    }
    all
};

fn sort(text: &[u8], at: usize) -> Option<Sort> {
    text.get(at).map(|byte| SORTS[usize::from(*byte)])
}

/// Writes the skeleton of `text`.
pub(super) fn write(text: &[u8], out: &mut Vec<u8>) {
    out.clear();
    // What is before `copied` has been dealt with.
    let (mut at, mut copied, mut bound) = (0, 0, false);
    while let Some(sort_here) = sort(text, at) {
        match sort_here {
            Sort::Free | Sort::Bound => {
                let rest = text.get(at..).unwrap_or_default();
                let plain = rest.iter().take_while(|byte| SORTS[usize::from(**byte)] <= Sort::Bound).count();
                at += plain;
                bound = sort(text, at - 1) == Some(Sort::Bound);
            }
            Sort::Digit if bound => at += 1,
            Sort::Digit => {
                let rest = text.get(at..).unwrap_or_default();
                let end = at + rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                bound = matches!(sort(text, end), Some(Sort::Bound | Sort::Dollar));
                if !bound {
                    out.extend_from_slice(text.get(copied..at).unwrap_or_default());
                    out.push(b'0');
                    copied = end;
                }
                at = end;
            }
            Sort::Quote if !bound => {
                let rest = text.get(at + 1..).unwrap_or_default();
                let Some(length) = memchr2(b'\'', b'\\', rest).filter(|length| rest.get(*length) == Some(&b'\''))
                else {
                    break;
                };
                let end = at + 1 + length + 1;
                if text.get(end) == Some(&b'\'') {
                    break;
                }
                out.extend_from_slice(text.get(copied..=at).unwrap_or_default());
                out.push(b'\'');
                (at, copied) = (end, end);
            }
            Sort::Minus if text.get(at + 1) != Some(&b'-') => (at, bound) = (at + 1, false),
            Sort::Dollar if sort(text, at + 1) == Some(Sort::Digit) => (at, bound) = (at + 1, true),
            Sort::Quote | Sort::Minus | Sort::Dollar | Sort::Stop => break,
        }
    }
    out.extend_from_slice(text.get(copied..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_literals_are_left_out_and_nothing_else() {
        for (text, expected) in [
            ("SELECT c FROM sbtest1 WHERE id=50123", "SELECT c FROM sbtest1 WHERE id=0"),
            ("IN (1,22, 333) LIMIT 10", "IN (0,0, 0) LIMIT 0"),
            ("a = 'x y' AND b='' AND c = 7", "a = '' AND b='' AND c = 0"),
            ("1.5 2e3 0x1F 12abc t2 a.5 $12 :7 @8 _9", "1.5 2e3 0x1F 12abc t2 a.5 $12 :7 @8 _9"),
            ("-5 - 6 5-7", "-0 - 0 0-0"),
            // A quote within, an escape, a prefix: from there on nothing is left out.
            ("1 'it''s' 2", "0 'it''s' 2"),
            ("1 'a\\'' 2", "0 'a\\'' 2"),
            ("1 E'a' 2", "0 E'a' 2"),
            ("1 \"a 2\" 3", "0 \"a 2\" 3"),
            ("1 `a 2` 3", "0 `a 2` 3"),
            ("1 /* 2 */ 3", "0 /* 2 */ 3"),
            ("1 -- 2\n3", "0 -- 2\n3"),
            ("1 # 2\n3", "0 # 2\n3"),
            ("1 $$ 2 $$ 3", "0 $$ 2 $$ 3"),
            ("1 'open 2", "0 'open 2"),
            ("5'a'6", "0''0"),
            ("5$ 6", "5$ 6"),
            ("", ""),
        ] {
            let mut out = b"from before".to_vec();
            write(text.as_bytes(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected, "{text}");
        }
    }
}
