//! Prints every record for a few seconds: a look at the kernel side alone.
use std::time::{Duration, Instant};
use steth_event::Event;
use steth_probe::{Probe, Settings};

fn main() -> Result<(), steth_probe::ProbeError> {
    let mut probe = Probe::attach(&Settings::default())?;
    eprintln!("attached");
    let until = Instant::now() + Duration::from_secs(std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(5));
    while Instant::now() < until {
        probe.wait(Duration::from_millis(20));
        probe.drain(|record| match Event::parse(record) {
            Ok(Event::Chunk(chunk, data)) => println!("{chunk:?} {}", data[..data.len().min(60)].escape_ascii()),
            Ok(other) => println!("{other:?}"),
            Err(error) => println!("{error}"),
        });
    }
    println!("{:?}", probe.counters());
    for program in probe.statistics() {
        println!("{program:?}");
    }
    Ok(())
}
