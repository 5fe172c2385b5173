//! Who is behind a process id, or an address.
//!
//! ```text
//! drain --[ tgid, exec, exit ]--> Resolver --[ Process record, at once: what the kernel has told ]--> recording, Processes
//!                                  |    ^
//!                            queue '-> thread, /proc --[ Process record, later: all that is known ]--> the same
//! ```
//!
//! [`Resolver`] works next to the drain and looks at the live machine, once per process; what it finds becomes a record of
//! the stream, so that a replay knows the same. [`Processes`] is the table that the later stages ask. [`Hosts`] knows the
//! names of addresses, as DNS answers told them; it names the peers that no process here is behind.
//!
//! ```
//! use std::time::Duration;
//! use steth_event::LookUp;
//! use steth_identity::Resolver;
//! let mut resolver = Resolver::start(100)?;
//! let me = resolver.first_sight(std::process::id(), None).expect("seen for the first time");
//! assert_eq!(me.look_up, LookUp::UnderWay);
//! assert!(resolver.first_sight(std::process::id(), None).is_none(), "asked by now");
//! let me = resolver.answer(Duration::from_secs(10)).expect("an answer");
//! assert!(me.look_up == LookUp::Done && !me.name.is_empty());
//! # Ok::<(), std::io::Error>(())
//! ```

mod cgroup;
mod hosts;
mod procfs;
mod program;
mod reader;
mod resolver;
mod service;
mod table;

pub use cgroup::{container_bytes, container_id, container_text, unit};
pub use hosts::Hosts;
pub use resolver::Resolver;
pub use table::Processes;
