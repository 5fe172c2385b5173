//! The question mark of the API's URLs: whatever stands behind it is read or refused with one line, and what was read is written so
//! that it is read again.

use std::fmt::Debug;
use steth_query::Error;
use steth_query::ask::{self, Question};

const NOW: u64 = 1_700_000_000_000;

/// The first byte chooses the question.
pub fn run(input: &[u8]) {
    let Some((choice, query)) = input.split_first() else { return };
    let query = String::from_utf8_lossy(query);
    match choice % 8 {
        0 => round::<ask::Map>(&query),
        1 => round::<ask::Series>(&query),
        2 => round::<ask::Top>(&query),
        3 => round::<ask::Heatmap>(&query),
        4 => round::<ask::Requests>(&query),
        5 => round::<ask::Entity>(&query),
        6 => round::<ask::Entities>(&query),
        _ => round::<ask::Dns>(&query),
    }
}

fn round<Q: Question + PartialEq + Debug>(query: &str) {
    match Q::parse(query, NOW) {
        Ok(question) => {
            let written = question.to_query();
            assert_eq!(Q::parse(&written, NOW).as_ref(), Ok(&question), "{written}");
        }
        Err(Error::Question(text)) => {
            assert!(!text.is_empty() && text.len() < 2000 && !text.chars().any(char::is_control), "{text:?}");
        }
        Err(error) => panic!("{error}"),
    }
}
