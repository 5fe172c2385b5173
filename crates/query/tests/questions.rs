//! Questions in URLs: what is written is read again, limits are kept, and no text whatever makes it panic.

use proptest::prelude::*;
use steth_query::ask::{self, Form, Question, parameters};
use steth_query::{Error, Order, Range};
use steth_window::EntityId;

const NOW: u64 = 1_700_000_000_000;

fn back<Q: Question + PartialEq + std::fmt::Debug>(question: &Q) {
    let query = question.to_query();
    assert_eq!(&Q::parse(&query, NOW).unwrap_or_else(|error| panic!("{query}: {error}")), question);
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        from_ms in 0..NOW, length in 1..34_000_000_000u64, id in any::<u64>(), port in any::<u16>(),
        text in "\\PC{1,40}", failed in any::<bool>(), limit in 1..100usize, least_ns in 0..10_000_000_000u64,
    ) {
        let range = Range { from_ms, to_ms: from_ms + length };
        let of = ask::Of {
            entity: Some(EntityId(id)), port: Some(port), operation: Some(text.clone()), failed: Some(failed),
            namespace: Some(text.clone()), ..ask::Of::default()
        };
        back(&ask::Map { range, entity: Some(EntityId(id)), namespace: Some(text.clone()), limit });
        back(&ask::Series { range, of: of.clone(), by: ask::SeriesBy::ErrorType, what: ask::What::Books, points: limit, limit });
        back(&ask::Top {
            range, of: of.clone(), by: ask::TopBy::Connections, text: Some(text.clone()), sort: ask::Sort::FailedConnects,
            ascending: failed, limit, curve: limit,
        });
        back(&ask::Heatmap { range, of: of.clone(), columns: limit });
        let asked = ask::Of { server: Some(EntityId(id)), operation: Some(text.clone()), failed: Some(failed), ..ask::Of::default() };
        back(&ask::Requests {
            range, of: asked, service: Some(text.clone()), why: Some("error".to_owned()), least_ns, below_ns: u64::MAX,
            text: Some(text.clone()), sort: Order::Duration, limit,
        });
        back(&ask::Entity { range, id: EntityId(id) });
        back(&ask::Entities { text: text.clone(), limit });
        back(&ask::Dns { range, of, text: Some(text), limit });
    }

    #[test]
    fn no_text_makes_it_panic(query in ".{0,200}", names in prop::collection::vec((0..22usize, ".{0,20}"), 0..6)) {
        let mut known = String::new();
        let all = ["from", "to", "last", "limit", "points", "curve", "columns", "id", "entity", "port", "side", "protocol",
            "operation", "failed", "by", "what", "sort", "min_ms", "max_ms", "why", "namespace", "text"];
        for (name, value) in names {
            known += &format!("{}={value}&", all[name]);
        }
        for query in [query, known] {
            let _ = ask::Map::parse(&query, NOW);
            let _ = ask::Series::parse(&query, NOW);
            let _ = ask::Top::parse(&query, NOW);
            let _ = ask::Heatmap::parse(&query, NOW);
            let _ = ask::Requests::parse(&query, NOW);
            let _ = ask::Entity::parse(&query, NOW);
            let _ = ask::Entities::parse(&query, NOW);
            let _ = ask::Dns::parse(&query, NOW);
        }
    }
}

/// Of each parameter what is at its bounds, and beyond.
fn bounds<Q: Question>(required: &str) {
    for parameter in parameters::<Q>() {
        let (good, bad): (Vec<String>, Vec<String>) = match &parameter.form {
            Form::Number { least, most } if *most < u64::MAX => (
                vec![least.to_string(), most.to_string()],
                vec![
                    least.checked_sub(1).map_or_else(|| "-1".to_owned(), |n| n.to_string()),
                    (most + 1).to_string(),
                    "x".to_owned(),
                ],
            ),
            Form::Number { .. } => (vec![], vec!["-1".to_owned(), "1.5".to_owned(), u128::MAX.to_string()]),
            Form::Milliseconds => {
                (vec!["0".into(), "0.5".into(), "1e300".into()], vec!["-1".into(), "NaN".into(), "inf".into()])
            }
            Form::Flag => (vec!["true".into(), "0".into()], vec!["yes".into()]),
            Form::Word(words) => (words.iter().map(|word| (*word).to_owned()).collect(), vec!["another".into()]),
            Form::Text => (vec!["x".repeat(4096)], vec!["x".repeat(4097)]),
            Form::Entity => (vec!["0123456789abcdef".into(), "shop/cart".into()], vec![]),
            Form::Length => {
                (vec!["10s".into(), "400d".into()], vec!["9s".into(), "401d".into(), "1w".into(), "s".into()])
            }
        };
        let name = parameter.name;
        let rest = if required.starts_with(name) { "" } else { required };
        for value in good {
            let read = Q::parse(&format!("{name}={value}&{rest}"), NOW);
            assert!(read.is_ok(), "{}?{name}={value}: {:?}", Q::PATH, read.err());
        }
        for value in bad {
            let read = Q::parse(&format!("{name}={value}&{rest}"), NOW).err();
            let told =
                matches!(&read, Some(Error::Question(text)) if text.starts_with(name) && text.contains("must be"));
            assert!(told, "{}?{name}={value}: {read:?}", Q::PATH);
        }
    }
}

#[test]
fn every_parameter_is_what_the_document_says() {
    bounds::<ask::Map>("");
    bounds::<ask::Series>("");
    bounds::<ask::Top>("");
    bounds::<ask::Heatmap>("");
    bounds::<ask::Requests>("");
    bounds::<ask::Entity>("id=x");
    bounds::<ask::Entities>("");
    bounds::<ask::Dns>("");
}

#[test]
fn a_range_is_from_and_to_or_the_last_of_it() {
    let range = |query: &str| ask::Map::parse(query, NOW).map(|map| map.range);
    let is = |from_ms, to_ms| Ok(Range { from_ms, to_ms });
    assert_eq!(range(""), is(NOW - 1_800_000, NOW));
    assert_eq!(range("last=1h"), is(NOW - 3_600_000, NOW));
    assert_eq!(range("from=5&to=9"), is(5, 9));
    assert_eq!(range(&format!("from={}", NOW - 9)), is(NOW - 9, NOW));
    assert_eq!(range("to=1800001"), is(1, 1_800_001));
    for (query, cause) in [
        ("from=9&to=9", "before"),
        ("from=1", "400 days"),
        ("last=1h&to=5", "either last"),
        ("to=0", "before"),
        ("form=1", "there is no parameter"),
    ] {
        let error = range(query).expect_err(query).to_string();
        assert!(error.contains(cause), "{query}: {error}");
    }
}
