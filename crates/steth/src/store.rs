//! Where windows are kept: the store, as the agent opens it and tells of it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use steth_probe::privileges::{Capability, effective_user};
use steth_server::{Counter, Kind};
use steth_store::{OpenError, Options, Status, Store, Writer};

/// Opens the store. `now` is nanoseconds since 1970 for windows as they happen, `None` for those of a recording.
pub(crate) fn open(directory: &Path, bytes: u64, now: Option<u64>) -> Result<(Store, Writer), OpenError> {
    Store::open(directory, Options { bytes, now, say: Box::new(|what| crate::say::say!("{what}")) })
}

/// What writing will need once privileges are given up. Root's own directory needs nothing.
pub(crate) fn needs(directory: &Path) -> &'static [Capability] {
    let foreign = fs::metadata(directory).is_ok_and(|directory| directory.uid() != effective_user());
    if foreign { &[Capability::DacOverride] } else { &[] }
}

/// For `/metrics` and health.
pub(crate) fn counters(status: &Status) -> Vec<Counter> {
    let mut counters = Vec::new();
    let mut add = |name, help, kind, label: Option<(&'static str, &str)>, value: f64| {
        let labels = label.map(|(name, value)| (name, value.to_owned())).into_iter().collect();
        counters.push(Counter { name, help, kind, labels, value });
    };
    let windows = [
        ("written", status.written),
        ("dropped", status.dropped),
        ("failed", status.failed),
        ("out_of_order", status.out_of_order),
    ];
    for (outcome, value) in windows {
        let help = "Finished windows: written, dropped because too many waited, failed to be written; written, but of a time before the newest.";
        add("steth_store_windows_total", help, Kind::Counter, Some(("outcome", outcome)), value as f64);
    }
    for (outcome, value) in [("written", status.samples), ("failed", status.samples_failed)] {
        let help = "Requests that are kept one by one, and those that could not be written.";
        add("steth_store_samples_total", help, Kind::Counter, Some(("outcome", outcome)), value as f64);
    }
    for (why, value) in [("room", status.unlinked), ("damaged", status.damaged)] {
        let help = "Files of the store that were removed to make room, or were damaged and set aside.";
        add("steth_store_files_removed_total", help, Kind::Counter, Some(("why", why)), value as f64);
    }
    let rolled = "Steps of one minute, ten minutes and an hour that were added up.";
    add("steth_store_rolled_up_total", rolled, Kind::Counter, None, status.rolled_up as f64);
    let busy = "Time that writing to the store took, seconds.";
    add("steth_store_busy_seconds_total", busy, Kind::Counter, None, status.busy_ns as f64 / 1e9);
    let bytes = "Bytes of all files of the store.";
    add("steth_store_bytes", bytes, Kind::Gauge, None, status.bytes as f64);
    add("steth_store_budget_bytes", "Bytes that they may take (store.bytes).", Kind::Gauge, None, status.budget as f64);
    add("steth_store_files", "Partition files of the store.", Kind::Gauge, None, status.partitions as f64);
    let trouble = "1 while windows cannot be kept.";
    add("steth_store_trouble", trouble, Kind::Gauge, None, f64::from(u8::from(status.trouble.is_some())));
    counters
}
