//! What the container runtimes of this host know: name, image, labels and pod of a container id.
//!
//! ```text
//! cgroup of a process --[ container id ]--> Runtimes --> queue -> thread: desk --> worker, CRI    --> containerd, CRI-O
//!                                              ^                   |  |  `-------> worker, Docker --> docker, podman
//!                                              `---- Answers ------'  memory
//! ```
//!
//! [`Runtimes`] asks all runtimes that it finds, at once, from a thread of its own; the caller never waits for one. A
//! runtime that hangs, restarts or answers nonsense delays nobody but itself. All that is kept of an answer is a
//! [`Container`], within bounds; of its environment only what the [`Settings`] name.
//!
//! ```
//! use std::time::Duration;
//! use steth_containers::{Names, Runtimes, Settings};
//! let environment = Names::exact(["OTEL_SERVICE_NAME"]);
//! let endpoints = vec!["cri:/nowhere/containerd.sock".parse()?];
//! let pauses = vec![Duration::from_millis(1)];
//! let mut runtimes = Runtimes::start(Settings { environment, endpoints, pauses, ..Settings::default() })?;
//! assert!(!runtimes.ask("4711"), "no container id");
//! assert!(runtimes.ask(&"0a".repeat(32)));
//! let answer = runtimes.answer(Duration::from_secs(10)).expect("an answer");
//! assert_eq!(answer.container, None, "nobody here knows it");
//! assert_eq!((runtimes.counters().unknown, runtimes.counters().refused), (1, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod container;
mod counters;
mod cri;
mod desk;
mod discovery;
mod docker;
mod environment;
mod grpc;
mod http;
mod memory;
mod protobuf;
mod runtimes;
mod settings;
mod trouble;
mod wiped;
mod worker;

pub use container::{Container, KEY_BYTES, NAME_BYTES, PAIRS, PAIRS_BYTES, Pairs, Pod, VALUE_BYTES};
pub use counters::Counters;
pub use environment::Names;
pub use runtimes::{Answer, EndpointState, Runtimes};
pub use settings::{Api, Endpoint, EndpointError, Settings};
