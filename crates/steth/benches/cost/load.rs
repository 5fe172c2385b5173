//! The load as the benchmark sees it: a process of its own, for the agent does not observe the process that attaches it,
//! and neither do the hooks that the benchmark attaches itself.

use crate::generator;
use crate::process::{CLIENT_CPU, Guarded, pinned};
use crate::report::number;
use crate::servers::{Server, Workload};
use crate::tools;
use serde::{Deserialize, Serialize};
use std::io::Read as _;
use std::process::Stdio;

/// How fast to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// The next request of a connection follows the answer.
    Highest,
    /// So many a second over all connections, each due at its own time.
    Fixed(u32),
}

impl Pace {
    pub(crate) fn title(self) -> String {
        match self {
            Pace::Highest => "the highest rate".to_owned(),
            Pace::Fixed(rate) => format!("{} exchanges/s", number(f64::from(rate))),
        }
    }
}

/// What a load did.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Done {
    /// Exchanges, those that warmed up included: what an agent can have seen at each end.
    pub(crate) exchanges: u64,
    /// Exchanges a second in the measured time.
    pub(crate) rate: f64,
    /// Microseconds that 99 of 100 exchanges took at most, from the time at which each was due to the last byte of its
    /// answer; or their mean ([`crate::servers::Workload::latency`]).
    pub(crate) latency: f64,
}

/// Loads the server from another process.
pub(crate) fn run(server: &Server, pace: Pace, seconds: f64) -> anyhow::Result<Done> {
    if !Workload::GENERATED.contains(&server.workload) {
        return tools::run(server, pace, seconds);
    }
    let rate = match pace {
        Pace::Highest => 0,
        Pace::Fixed(rate) => rate,
    };
    let mut command = pinned(CLIENT_CPU, std::env::current_exe()?);
    command.args([generator::COMMAND, server.workload.name()]);
    command.args([server.port.to_string(), rate.to_string(), seconds.to_string()]).stdout(Stdio::piped());
    let mut process = Guarded::spawn(&mut command)?;
    let mut out = String::new();
    if let Some(mut pipe) = process.0.stdout.take() {
        pipe.read_to_string(&mut out)?;
    }
    let status = process.0.wait()?;
    anyhow::ensure!(status.success(), "the load generator ended with {status}");
    Ok(serde_json::from_str(&out)?)
}
