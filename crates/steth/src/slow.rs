//! When an exchange is slow.
//!
//! What waits by design (BLPOP, an event stream) is never called slow: how long it takes says nothing about the server.

use std::str::FromStr;
use std::time::Duration;
use steth_event::PROTOCOLS;
use steth_wire::{Exchange, Protocol};

/// From how long on an exchange is slow, for each protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thresholds([u64; PROTOCOLS]);

impl Thresholds {
    /// What `of` says for each protocol.
    pub(crate) fn new(of: impl Fn(Protocol) -> Duration) -> Self {
        let mut nanoseconds = [u64::MAX; PROTOCOLS];
        for protocol in Protocol::ALL {
            nanoseconds[protocol as usize] = u64::try_from(of(protocol).as_nanos()).unwrap_or(u64::MAX);
        }
        Self(nanoseconds)
    }

    /// Whether it took at least so long, and was not meant to.
    #[inline]
    pub(crate) fn call_slow(&self, exchange: &Exchange) -> bool {
        !exchange.blocking && exchange.end.saturating_sub(exchange.start) >= self.0[exchange.protocol() as usize]
    }
}

/// The value of `--slow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slow {
    /// The thresholds of the configuration.
    Auto,
    /// The same for all protocols.
    Than(Duration),
}

impl Slow {
    /// What it means, where `configured` is what the configuration says.
    pub(crate) fn thresholds(self, configured: Thresholds) -> Thresholds {
        match self {
            Slow::Auto => configured,
            Slow::Than(duration) => Thresholds::new(|_| duration),
        }
    }
}

impl FromStr for Slow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Slow::Auto);
        }
        match humantime::parse_duration(text) {
            Ok(duration) => Ok(Slow::Than(duration)),
            Err(error) => Err(format!("{error}; a duration (100ms, 2s) or auto")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_is_a_duration_or_what_the_configuration_says() {
        let configured = Thresholds::new(|protocol| Duration::from_millis(protocol as u64));
        assert_eq!("auto".parse::<Slow>().unwrap().thresholds(configured), configured);
        let same = "2s".parse::<Slow>().unwrap().thresholds(configured);
        assert_eq!(same, Thresholds::new(|_| Duration::from_secs(2)));
        assert!("fast".parse::<Slow>().unwrap_err().contains("auto"));
    }
}
