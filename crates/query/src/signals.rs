//! Sums in the form in which they are shown.

use crate::engine::Sums;
use serde::{Deserialize, Serialize};
use steth_window::{Side, Sketch};
use utoipa::ToSchema;

/// Exchanges of one side, as they are shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Signals {
    /// Exchanges.
    pub count: u64,
    /// Exchanges per second of what was kept of the range.
    pub rate: f64,
    /// Of these: failed.
    pub errors: u64,
    /// Share of exchanges that failed, 0 to 1.
    pub error_ratio: f64,
    /// Of these: slow.
    pub slow: u64,
    /// Of these: waited by design (`BLPOP`, an event stream); not part of the quantiles.
    pub blocking: u64,
    /// Bytes of all requests.
    pub request_bytes: u64,
    /// Bytes of all responses.
    pub response_bytes: u64,
    /// Sum of all durations in nanoseconds: with it, shares of time can be compared.
    pub time_ns: u64,
    /// From a request's first byte to its response's last; `None` if all of them waited by design.
    pub duration: Option<Quantiles>,
    /// From the arrival in the server's socket to the read; at the server's side, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Quantiles>,
    /// From the read to the response's first byte; at the server's side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Quantiles>,
}

/// How times are distributed; nanoseconds. Quantiles are wrong by less than one bucket of the sketch (9.1 %).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Quantiles {
    /// Of how many.
    pub count: u64,
    /// Mean, exactly.
    pub mean_ns: f64,
    /// Half of them took at most that long.
    pub p50_ns: f64,
    /// 95 % of them.
    pub p95_ns: f64,
    /// 99 % of them.
    pub p99_ns: f64,
    /// The longest, exactly.
    pub max_ns: u64,
}

impl Quantiles {
    /// Of a sketch; `None` if it is empty.
    #[must_use]
    pub fn of(sketch: &Sketch) -> Option<Self> {
        Some(Self {
            count: sketch.count(),
            mean_ns: sketch.sum() as f64 / sketch.count() as f64,
            p50_ns: sketch.quantile(0.5)?,
            p95_ns: sketch.quantile(0.95)?,
            p99_ns: sketch.quantile(0.99)?,
            max_ns: sketch.max()?,
        })
    }
}

impl Signals {
    /// What groups of one side add up to, over so many seconds. `None` if there was nothing.
    #[must_use]
    pub fn of(sums: &Sums, side: Side, seconds: f64) -> Option<Self> {
        let server = side == Side::Server;
        (sums.count > 0).then(|| Self {
            count: sums.count,
            rate: if seconds > 0.0 { sums.count as f64 / seconds } else { 0.0 },
            errors: sums.errors,
            error_ratio: sums.errors as f64 / sums.count as f64,
            slow: sums.slow,
            blocking: sums.blocking,
            request_bytes: sums.request_bytes,
            response_bytes: sums.response_bytes,
            time_ns: sums.duration_sum_ns,
            duration: Quantiles::of(&sums.duration),
            queue: server.then(|| Quantiles::of(&sums.queue)).flatten(),
            service: server.then(|| Quantiles::of(&sums.first_byte)).flatten(),
        })
    }
}

/// What each end tells of the same exchanges. The sides are never summed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BySide {
    /// The one to show where one number is wanted: the server's if it is watched, since it has all clients' requests.
    pub preferred: Option<SideName>,
    /// As clients saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Signals>,
    /// As the server saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Signals>,
    /// As it was seen on the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Signals>,
}

/// A side, in answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // see steth_window::Side
pub enum SideName {
    Client,
    Server,
    Network,
}

impl SideName {
    /// As it is written in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Network => "network",
        }
    }
}

impl From<Side> for SideName {
    fn from(side: Side) -> Self {
        match side {
            Side::Client => Self::Client,
            Side::Server => Self::Server,
            Side::Network => Self::Network,
        }
    }
}

impl From<SideName> for Side {
    fn from(side: SideName) -> Self {
        match side {
            SideName::Client => Self::Client,
            SideName::Server => Self::Server,
            SideName::Network => Self::Network,
        }
    }
}

impl BySide {
    /// Of one sum per side (client, server, network), over so many seconds.
    #[must_use]
    pub fn of(sums: &[Sums; 3], seconds: f64) -> Self {
        let [client, server, network] =
            [Side::Client, Side::Server, Side::Network].map(|side| Signals::of(&sums[side as usize], side, seconds));
        let preferred = [(&server, SideName::Server), (&client, SideName::Client), (&network, SideName::Network)]
            .into_iter()
            .find_map(|(signals, side)| signals.as_ref().map(|_| side));
        Self { preferred, client, server, network }
    }

    /// What the preferred side tells; `None` if there is nothing at all.
    #[must_use]
    pub fn shown(&self) -> Option<&Signals> {
        self.server.as_ref().or(self.client.as_ref()).or(self.network.as_ref())
    }
}
