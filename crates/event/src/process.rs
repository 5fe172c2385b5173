//! What is known of a process: at once from the kernel's records, and completely once /proc was read.

use crate::kind;
use crate::metadata::json_record;
use serde::{Deserialize, Serialize};

/// A process, identified by its id and its start: ids are reused, the pair is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Process {
    /// Thread-group id in the agent's pid namespace.
    pub pid: u32,
    /// Start of the process, nanoseconds of CLOCK_BOOTTIME; 0 when unknown.
    pub started: u64,
    /// Short name: the executable's file name, else the kernel's `comm`.
    pub name: String,
    /// What it is called as a service (`service.name`): what the process declares, its unit, the program that an interpreter
    /// runs, or its name.
    pub service: String,
    /// It is the process itself that says so: nothing but a rule knows better.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub declared: bool,
    /// Path of the executable; empty when it could not be read.
    pub executable: String,
    /// Arguments, joined with spaces, at most [`Process::COMMAND_LINE`] bytes.
    pub command_line: String,
    /// Container id, from the cgroup path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// systemd unit, from the cgroup path; none in containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Whether more is to come.
    #[serde(skip_serializing_if = "LookUp::is_done")]
    pub look_up: LookUp,
}

/// How far the look at a process has come. The kernel's own records name most processes at once; /proc tells the rest, and
/// may take its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LookUp {
    /// This is the last word. Without a name: the process was gone before anybody could tell.
    #[default]
    Done,
    /// /proc is being read; another record of this process follows.
    UnderWay,
    /// Too many others were waiting to be looked up: this is what the kernel's records told. It is tried again when the
    /// process is seen another time.
    Refused,
}

impl LookUp {
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
    /// Whether nothing more is to come.
    #[must_use]
    pub fn is_done(&self) -> bool {
        *self == Self::Done
    }
}

impl Process {
    /// Most bytes of a command line that are kept.
    pub const COMMAND_LINE: usize = 512;

    /// The name as a service. Recordings of before there was one have the process's name only.
    #[must_use]
    pub fn service_name(&self) -> &str {
        if self.service.is_empty() { &self.name } else { &self.service }
    }

    /// The record that a recording keeps: eight bytes (the kind, then zeros), then JSON.
    #[must_use]
    pub fn to_record(&self) -> Vec<u8> {
        json_record(kind::PROCESS, self)
    }
}
