//! How the agent itself is doing: published by the agent every second, shown by `/api/v1/health`, `/metrics` and the page.

use serde::Serialize;
use std::collections::BTreeMap;
use steth_ledger::{Exchanges, Lost};

/// A snapshot of the agent's own state.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Health {
    /// Version of the agent.
    pub version: String,
    /// Version of the kernel, as `uname -r` says it.
    pub kernel: String,
    /// How long the agent has been running.
    pub uptime_seconds: f64,
    /// What was hooked, and what could not be.
    pub hooks: Vec<Hook>,
    /// Capabilities that the agent has kept after attaching, by the names of capabilities(7).
    pub capabilities: Vec<String>,
    /// CPU time used by the agent.
    pub cpu: Cpu,
    /// Resident memory of the agent in bytes.
    pub memory_bytes: u64,
    /// The ledger, per protocol.
    pub exchanges: BTreeMap<&'static str, Exchanges>,
    /// Further numbers, which `/metrics` shows as they are: records of the kernel, limits hit.
    pub counters: Vec<Counter>,
}

impl Health {
    /// The ledger of all protocols together.
    #[must_use]
    pub fn ledger(&self) -> Exchanges {
        let mut all = Exchanges::default();
        self.exchanges.values().for_each(|exchanges| all.add(exchanges));
        all
    }

    /// Whether everything is hooked and nothing was lost.
    #[must_use]
    pub fn status(&self) -> &'static str {
        if self.hooks.iter().any(|hook| !hook.attached) {
            "hooks missing"
        } else if self.ledger().lost() > 0 {
            "exchanges lost"
        } else {
            "ok"
        }
    }
}

/// One hook in the kernel.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Hook {
    /// Its name: `sock_send_length`.
    pub name: String,
    /// Whether it is attached.
    pub attached: bool,
    /// Why not, or what it is for.
    pub note: String,
}

/// CPU time.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Cpu {
    /// In user space, since the start.
    pub user_seconds: f64,
    /// In the kernel on the agent's own behalf, since the start.
    pub system_seconds: f64,
    /// In the agent's programs inside the kernel, on behalf of what it watches; `None` if that is not measured.
    pub bpf_seconds: Option<f64>,
    /// Of one core, lately, in percent, all of the above together.
    pub percent: f64,
}

/// What a [`Counter`] may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It only grows. The name ends in `_total`.
    #[default]
    Counter,
    /// It goes up and down.
    Gauge,
}

/// One more number about the agent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counter {
    /// Name of the metric: `steth_records_total`. Only `[a-z0-9_]`.
    pub name: &'static str,
    /// What it means, one sentence.
    pub help: &'static str,
    /// What it may do.
    pub kind: Kind,
    /// Labels, names of `[a-z0-9_]`.
    pub labels: Vec<(&'static str, String)>,
    /// Its value.
    pub value: f64,
}

/// The reasons for losses with their explanations, for the page and for help texts.
pub(crate) fn reasons() -> BTreeMap<&'static str, &'static str> {
    Lost::ALL.iter().map(|reason| (reason.name(), reason.help())).collect()
}
