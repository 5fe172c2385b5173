//! Runtimes that misbehave on demand, on unix sockets in a temporary folder.
#![allow(dead_code, unreachable_pub)] // every integration test uses another part of it

pub mod cri;
pub mod docker;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use steth_containers::{Answer, Container, Runtimes};

pub const LIMIT: Duration = Duration::from_secs(20);

/// A container id made of one number.
pub fn id(number: u64) -> String {
    format!("{number:064x}")
}

/// What a fake does, changed while it runs.
#[derive(Debug, Default)]
pub struct Shared<T>(Arc<Mutex<T>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Shared<T> {
    pub fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(value)))
    }

    pub fn with<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        change(&mut self.0.lock().expect("nobody panicked with it"))
    }
}

/// The answer to a question about this id; news may come before.
pub fn answer_about(runtimes: &mut Runtimes, id: &str) -> Answer {
    next(runtimes, |answer| answer.asked && &*answer.id == id)
}

/// Asks, and waits for the answer.
pub fn ask(runtimes: &mut Runtimes, id: &str) -> Option<Arc<Container>> {
    assert!(runtimes.ask(id), "there is room");
    answer_about(runtimes, id).container
}

/// The next answer of this kind; others are dropped.
pub fn next(runtimes: &mut Runtimes, mut is: impl FnMut(&Answer) -> bool) -> Answer {
    let until = Instant::now() + LIMIT;
    while Instant::now() < until {
        if let Some(answer) = runtimes.answer(Duration::from_millis(50))
            && is(&answer)
        {
            return answer;
        }
    }
    panic!("no such answer: {:?} {:?}", runtimes.counters(), runtimes.endpoints());
}

/// Waits for a condition.
pub fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let until = Instant::now() + LIMIT;
    while !is() {
        assert!(Instant::now() < until, "not within {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
