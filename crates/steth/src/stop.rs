//! Signals: SIGINT and SIGTERM stop, SIGHUP asks for the configuration to be read again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Becomes true on the first signal. A second one ends the process at once.
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// From now on, SIGINT and SIGTERM ask to stop.
pub(crate) fn on_signals() -> std::io::Result<Stop> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // Order matters: the second registration of a signal acts on what the first has set before.
        signal_hook::flag::register_conditional_shutdown(signal, 1, flag.clone())?;
        signal_hook::flag::register(signal, flag.clone())?;
    }
    Ok(Stop(flag))
}

/// Becomes true on SIGHUP, until it is asked.
pub(crate) struct Reload(Arc<AtomicBool>);

impl Reload {
    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// From now on, SIGHUP asks for a reload.
pub(crate) fn reload_on_signal() -> std::io::Result<Reload> {
    let flag = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGHUP, flag.clone())?;
    Ok(Reload(flag))
}
