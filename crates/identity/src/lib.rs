//! Who is behind a process id, or an address.
//!
//! ```text
//! drain --[ tgid ]--> Resolver (/proc, exec records) --[ Process record ]--> recording, Processes --> exchange
//! wire --[ answers of DNS ]--> Hosts --> exchange
//! ```
//!
//! [`Resolver`] works next to the drain and looks at the live machine, once per process; what it finds becomes a record of
//! the stream, so that a replay knows the same. [`Processes`] is the table that the later stages ask. [`Hosts`] knows the
//! names of addresses, as DNS answers told them; it names the peers that no process here is behind.
//!
//! ```
//! use steth_identity::Resolver;
//! let mut resolver = Resolver::new(100);
//! let me = resolver.first_sight(std::process::id(), None).expect("seen for the first time");
//! assert!(!me.name.is_empty());
//! assert!(resolver.first_sight(std::process::id(), None).is_none(), "known by now");
//! ```

mod cgroup;
mod hosts;
mod procfs;
mod resolver;
mod table;

pub use cgroup::container_id;
pub use hosts::Hosts;
pub use resolver::Resolver;
pub use table::Processes;
