//! Who is behind a process id, or an address.
//!
//! ```text
//! drain --[ tgid, exec, exit ]--> Resolver --[ Process record, at once: what the kernel has told ]--> recording, Processes
//!                                  |    ^
//!                            queue '-> thread, /proc --[ Process record, later: all that is known ]--> the same
//! ```
//!
//! [`Resolver`] works next to the drain and looks at the live machine, once per process; what it finds becomes a record of
//! the stream, so that a replay knows the same. [`Processes`] is the table that the later stages ask. [`Remotes`] knows who
//! is behind addresses that no process here has: what the cluster says, what DNS answered, what is in `/etc/hosts`.
//!
//! ```
//! use std::time::Duration;
//! use steth_event::LookUp;
//! use steth_identity::Resolver;
//! let mut resolver = Resolver::start(100)?;
//! let mut me = resolver.first_sight(std::process::id(), None).expect("seen for the first time");
//! assert!(resolver.first_sight(std::process::id(), None).is_none(), "asked by now");
//! if me.look_up == LookUp::UnderWay {
//!     me = resolver.answer(Duration::from_secs(10)).expect("an answer");
//! }
//! assert!(me.look_up == LookUp::Done && !me.name.is_empty());
//! # Ok::<(), std::io::Error>(())
//! ```

mod cgroup;
mod hosts;
mod hosts_file;
mod image;
mod locality;
mod party;
mod procfs;
mod program;
mod reader;
mod remotes;
mod resolver;
mod scan;
mod service;
mod service_rules;
mod table;
mod workload;

pub use cgroup::{container_bytes, container_bytes_of, container_id, container_text, unit};
pub use hosts::{Hosts, News};
pub use hosts_file::HostsFile;
pub use image::{Image, Parts, Unseen, Which, which};
pub use locality::Locality;
pub use party::Party;
pub use remotes::{Beyond, Remotes};
pub use resolver::Resolver;
pub use service::declared_by;
pub use service_rules::{ServiceRule, ServiceRuleError, ServiceRules};
pub use table::Processes;
pub use workload::{job_owner, workload_of_container, workload_of_pod};
