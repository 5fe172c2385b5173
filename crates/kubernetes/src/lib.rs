//! Whose address is this, in a Kubernetes cluster.
//!
//! ```text
//! API server --[ list, watch ]--> Follower, one for each resource --> Cluster --> Directory: resolve(ip, at), pod_by_uid, …
//!                                 (one thread, current-thread runtime)            (any thread, never waits for the network)
//! ```
//!
//! [`Watcher`] keeps a bounded picture of pods, services, EndpointSlices, nodes and of what controls ReplicaSets and Jobs;
//! [`Directory`] answers from it. Without a cluster it says [`State::Absent`] and does nothing. What is asked for, what rights
//! that needs and what is kept stands in `docs/kubernetes.md`.
//!
//! ```
//! use std::time::Duration;
//! use steth_kubernetes::{Access, Limits, Scope, State, Watcher};
//! let watcher = Watcher::start(Access::Url("http://127.0.0.1:1".into()), Scope::Cluster, Limits::default())?;
//! let directory = watcher.directory();
//! assert_eq!(directory.resolve("10.1.0.5".parse()?, 1_764_324_000_000_000_000), None);
//! assert_eq!(directory.state(), State::Starting);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
mod ask;
mod backoff;
mod behind;
mod claims;
mod cluster;
mod connection;
mod directory;
mod follow;
mod id;
mod index;
mod intern;
mod limits;
mod object;
mod owner;
mod read;
mod resource;
mod state;
#[cfg(test)]
mod tenancy;
mod watcher;

pub use access::{Access, AccessError};
pub use behind::Behind;
pub use directory::Directory;
pub use id::{ContainerId, Uid};
pub use limits::{Counters, Limits};
pub use owner::{
    Container, Controller, Evidence, HostPort, Node, Owner, Pod, PodOwner, Service, ServicePort, Transport, Workload,
};
pub use state::{Following, ResourceState, State};
pub use watcher::{Scope, Watcher};
