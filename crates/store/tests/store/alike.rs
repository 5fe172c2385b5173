//! The same questions to the store and to windows in memory.

use crate::kit::{self, T, open, range, window};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use steth_query::ask::{self, Question};
use steth_query::{Answer, Answers, Api, Both, Engine, Error, Recent, Tier, Unkept};
use steth_store::Store;
use steth_window::Window;

/// What was asked for, and what was folded, as text. What an answer says of its tiers and gaps is about what keeps the windows.
fn told<T: Serialize>(answer: Result<Answer<T>, Error>) -> String {
    let answer = answer.expect("an answer");
    serde_json::to_string(&(answer.data, answer.meta.folded, answer.meta.step_ms)).expect("it can be written")
}

fn ask<Q: Question>(query: &str) -> Q {
    Q::parse(query, T * 1000).unwrap_or_else(|error| panic!("{query}: {error}"))
}

fn asked(api: &impl Api, from: u64, to: u64) -> Vec<(String, String)> {
    let time = format!("from={}&to={}", from * 1000, to * 1000);
    let mut all = Vec::new();
    macro_rules! each {
        ($method:ident, $question:ident, [$($more:expr),*]) => { $(
            let query = format!("{time}{}", $more);
            all.push((query.clone(), told(api.$method(&ask::<ask::$question>(&query)))));
        )* };
    }
    each!(map, Map, ["", "&namespace=shop", "&entity=client-0", "&limit=3"]);
    each!(
        series,
        Series,
        [
            "&points=20",
            "&points=7&by=server",
            "&by=operation&limit=2&points=20",
            "&what=books&points=9",
            "&namespace=shop&by=client&points=20"
        ]
    );
    each!(series, Series, ["&by=status&failed=true&points=20", "&side=server&protocol=mysql&points=20"]);
    each!(
        top,
        Top,
        [
            "&by=services&curve=10",
            "&by=edges&sort=p99&curve=7&limit=2",
            "&by=operations&sort=time&curve=5",
            "&by=connections&curve=4&limit=3"
        ]
    );
    each!(
        top,
        Top,
        ["&by=operations&text=cart&server=shop/server-1", "&by=edges&sort=retransmits&ascending=true&limit=4"]
    );
    each!(
        top,
        Top,
        ["&by=services&namespace=shop&curve=9", "&by=operations&namespace=nowhere", "&by=edges&namespace=shop"]
    );
    each!(heatmap, Heatmap, ["", "&namespace=shop", "&side=client&columns=13", "&server=shop/server-2"]);
    each!(entity, Entity, ["&id=shop/server-0", "&id=client-1"]);
    each!(dns, Dns, ["", "&namespace=shop", "&text=cart"]);
    all
}

fn alike(store: &Store, windows: &[Arc<Window>], from: u64, to: u64) {
    // Nobody knows of the time before the first one.
    let recent = Recent::new(windows.to_vec(), Arc::default(), range(T + 10, T + 410));
    let pairs = asked(&Answers::new(store.clone()), from, to).into_iter().zip(asked(&Answers::new(recent), from, to));
    for ((query, stored), (_, remembered)) in pairs {
        assert_eq!(stored, remembered, "{query}");
    }
}

#[test]
fn the_store_answers_as_memory_does() {
    let dir = tempfile::tempdir().unwrap();
    let windows: Vec<_> = (1..=40).filter(|n| n % 9 != 0).map(|n| window(n, T + 10 * n)).collect();
    let (store, feed) = open(dir.path());
    windows.iter().for_each(|window| feed.window_in_time(window.clone()));
    feed.close(None, None);
    for (from, to) in [(T, T + 410), (T + 100, T + 200), (T + 35, T + 46)] {
        alike(&store, &windows, from, to);
    }
}

#[test]
fn what_the_store_could_not_keep_is_answered_from_memory_as_if_it_had() {
    let dir = tempfile::tempdir().unwrap();
    let windows: Vec<_> = (1..=40).map(|n| window(n, T + 10 * n)).collect();
    let is_unkept = |window: &&Arc<Window>| window.sequence.is_multiple_of(3) || window.sequence > 35;
    let (store, feed) = open(dir.path());
    windows.iter().filter(|window| !is_unkept(window)).for_each(|window| feed.window_in_time(window.clone()));
    feed.close(None, Some((T + 410) * 1_000_000_000));
    let unkept = Unkept {
        windows: windows.iter().filter(is_unkept).map(|window| window.sequence).collect(),
        ..Unkept::default()
    };
    let both = Answers::new(Both::new(store, windows.clone(), &[], &unkept));
    let recent = Answers::new(Recent::new(windows, Arc::default(), range(T + 10, T + 410)));
    for (from, to) in [(T, T + 410), (T + 100, T + 200), (T + 345, T + 410)] {
        let pairs = asked(&both, from, to).into_iter().zip(asked(&recent, from, to));
        for ((query, both), (_, remembered)) in pairs {
            assert_eq!(both, remembered, "{query}");
        }
    }
}

#[test]
fn who_listened_last_is_who_listens() {
    let dir = tempfile::tempdir().unwrap();
    let windows: Vec<_> = (1..=130).map(|n| window(n, T + 10 * n)).collect();
    let (store, feed) = open(dir.path());
    windows.iter().for_each(|window| feed.window_in_time(window.clone()));
    kit::settled(&store, windows.len() as u64);
    let in_window = |window: &Arc<Window>| {
        let recent = Recent::new(vec![window.clone()], Arc::default(), range(T, T + 3600));
        let mut all = recent.listeners(Tier::Seconds10, range(T, T + 3600)).expect("an answer");
        all.sort_by_key(|listener| (listener.service, listener.port));
        assert_eq!(all.len(), 2);
        all.iter_mut().for_each(|listener| listener.drops = 0);
        all
    };
    let of = |end: u64| in_window(windows.iter().rfind(|window| window.start / 1_000_000_000 < end).expect("one"));
    // One that comes late, of a minute that was added up before: the newest window of that minute is another one.
    let others = [of(T + 120), of(T + 600)];
    let late = (1000..).map(|n| window(n, T + 65)).find(|window| !others.contains(&in_window(window))).expect("one");
    feed.window_in_time(late.clone());
    feed.close(None, None);
    let listening = |tier, from, to| {
        let mut all = store.listeners(tier, range(from, to)).expect("an answer");
        all.sort_by_key(|listener| (listener.service, listener.port));
        all.iter_mut().for_each(|listener| listener.drops = 0);
        all
    };
    assert_eq!(listening(Tier::Seconds10, T, T + 305), of(T + 305));
    assert_eq!(listening(Tier::Minute, T, T + 300), of(T + 300));
    assert_eq!(listening(Tier::Minute, T, T + 120), of(T + 120), "the late one changes nothing");
    assert_eq!(listening(Tier::Minutes10, T, T + 600), of(T + 600), "nor here");
    assert_eq!(listening(Tier::Minute, T + 3000, T + 3600), []);
    // What was dropped adds up, the late one's too.
    let recent = Recent::new(windows.iter().cloned().chain([late]).collect(), Arc::default(), range(T, T + 3600));
    let dropped = |all: Vec<steth_query::Listener>| {
        all.iter()
            .map(|listener| ((listener.service, listener.port), listener.drops))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let expected = dropped(recent.listeners(Tier::Seconds10, range(T, T + 600)).expect("an answer"));
    assert!(expected.values().any(|drops| *drops > 5), "{expected:?}");
    for tier in [Tier::Seconds10, Tier::Minute, Tier::Minutes10] {
        assert_eq!(dropped(store.listeners(tier, range(T, T + 600)).expect("an answer")), expected, "{tier:?}");
    }
}

#[test]
fn an_answer_that_takes_too_long_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let (store, feed) = open(dir.path());
    feed.window_in_time(window(1, T + 10));
    feed.close(None, None);
    let query = format!("from={}&to={}", T * 1000, (T + 60) * 1000);
    let answers = Answers::new(store).within(Duration::ZERO);
    assert!(matches!(answers.map(&ask(&query)), Err(Error::TooLong { ms: 0 })));
}
