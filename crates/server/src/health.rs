//! How the agent itself is doing: published by the agent every second, shown by `/api/v1/health`, `/metrics` and the page.

use serde::Serialize;
use std::collections::BTreeMap;
use steth_ledger::{Exchanges, Lost};
use utoipa::ToSchema;

/// A snapshot of the agent's own state.
#[derive(Clone, Debug, Default)]
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
    /// Why windows cannot be kept, while they cannot; `None` if all is well, or if none are to be kept.
    pub store_trouble: Option<String>,
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

    /// Whether everything is hooked, windows are kept, and nothing was lost; the worst of it.
    #[must_use]
    pub fn status(&self) -> &'static str {
        if self.hooks.iter().any(|hook| !hook.attached) {
            "hooks missing"
        } else if self.store_trouble.is_some() {
            "store in trouble"
        } else if self.ledger().lost() > 0 {
            "exchanges lost"
        } else {
            "ok"
        }
    }
}

/// One hook in the kernel.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Hook {
    /// Its name: `sock_send_length`.
    pub name: String,
    /// Whether it is attached.
    pub attached: bool,
    /// Why not, or what it is for.
    pub note: String,
}

/// CPU time.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It only grows. The name ends in `_total`.
    #[default]
    Counter,
    /// It goes up and down.
    Gauge,
}

/// One more number about the agent.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Counter {
    /// Name of the metric: `steth_records_total`. Only `[a-z0-9_]`.
    #[schema(value_type = String)]
    pub name: &'static str,
    /// What it means, one sentence.
    #[schema(value_type = String)]
    pub help: &'static str,
    /// What it may do.
    pub kind: Kind,
    /// Labels, names of `[a-z0-9_]`.
    #[schema(value_type = Vec<(String, String)>)]
    pub labels: Vec<(&'static str, String)>,
    /// Its value.
    pub value: f64,
}

/// What `/api/v1/health` answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AgentHealth {
    /// `hooks missing`, `store in trouble`, `exchanges lost`, or `ok`: the first of them that is so.
    #[schema(value_type = String)]
    status: &'static str,
    /// Version of the agent.
    version: String,
    /// Version of the kernel, as `uname -r` says it.
    kernel: String,
    /// How long the agent has been running.
    uptime_seconds: f64,
    /// What was hooked, and what could not be.
    hooks: Vec<Hook>,
    /// Capabilities that the agent has kept after attaching.
    capabilities: Vec<String>,
    /// CPU time used by the agent.
    cpu: Cpu,
    /// Resident memory of the agent in bytes.
    memory_bytes: u64,
    /// Why windows cannot be kept, while they cannot; `null` if all is well, or if none are to be kept. Answers have them from memory
    /// meanwhile, up to an hour of them.
    store_trouble: Option<String>,
    /// The ledger, per protocol.
    #[schema(value_type = BTreeMap<String, OfLedger>)]
    exchanges: BTreeMap<&'static str, Exchanges>,
    /// The ledger of all protocols together.
    #[schema(value_type = OfLedger)]
    ledger: Exchanges,
    /// Further numbers, which `/metrics` shows as they are.
    counters: Vec<Counter>,
    /// Anyone who reaches the address may read what it shows, or listen to it.
    insecure: bool,
    /// Why exchanges are lost: what each reason means.
    #[schema(value_type = BTreeMap<String, String>)]
    reasons: BTreeMap<&'static str, &'static str>,
}

/// Exchanges, as the ledger tells of them.
#[derive(ToSchema)]
#[allow(dead_code)] // it only says how Exchanges are written
struct OfLedger {
    /// Became a record.
    reported: u64,
    /// Lost for any reason.
    lost: u64,
    /// Lost, by reason; every reason is there.
    lost_by: BTreeMap<String, u64>,
}

impl AgentHealth {
    pub(crate) fn of(health: Health, insecure: bool) -> Self {
        let (status, ledger) = (health.status(), health.ledger());
        let reasons = Lost::ALL.iter().map(|reason| (reason.name(), reason.help())).collect();
        let Health {
            version,
            kernel,
            uptime_seconds,
            hooks,
            capabilities,
            cpu,
            memory_bytes,
            store_trouble,
            exchanges,
            counters,
        } = health;
        Self {
            status,
            version,
            kernel,
            uptime_seconds,
            hooks,
            capabilities,
            cpu,
            memory_bytes,
            store_trouble,
            exchanges,
            ledger,
            counters,
            insecure,
            reasons,
        }
    }
}

/// What can be asked over HTTP, and what is answered: the OpenAPI document.
#[must_use]
pub fn openapi() -> String {
    steth_query::openapi::document::<AgentHealth>()
}
