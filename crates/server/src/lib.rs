//! Serves `/metrics`, the API and the page, from a thread of its own: on loopback, or with a token and TLS.
//!
//! The data path leaves snapshots in [`Shared`] by replacing pointers. Everything else (adding windows up, writing the
//! text) happens in the server's thread, so nobody who asks can slow down what is being watched.
//!
//! ```text
//!   data path --- publish_finished, 10 s ---> Shared --> Cumulative --> GET /metrics
//!             --- publish_current,   1 s ---> Shared ----'
//!             --- publish_samples,   1 s ---> Shared --,
//!   agent     --- ask_for_processes, once --> Shared ---+-> answers -> GET /api/v1/{map,top,series,...}
//!   store     --- answer_from,     once ----> Shared --'   (threads of their own)
//!   agent     --- publish_health,    1 s ---> Shared --------------> GET /api/v1/health
//! ```
//!
//! It answers GET, to those who ask for this machine by name (a page of a stranger cannot, even if its name resolves to
//! 127.0.0.1) and who know the token where there is one, within limits on time, size and number of connections.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::sync::Arc;
//! use steth_server::{Health, Retention, Server, Shared};
//!
//! let shared = Arc::new(Shared::new(1_700_000_000_000_000_000, Retention::default()));
//! let server = Server::start("127.0.0.1:0".parse::<std::net::SocketAddr>()?, shared.clone())?;
//! shared.publish_health(Health { version: "0.1.0".to_owned(), memory_bytes: 30_000_000, ..Health::default() });
//!
//! let mut scrape = std::net::TcpStream::connect(server.address())?;
//! scrape.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
//! let mut text = String::new();
//! scrape.read_to_string(&mut text)?;
//! assert!(text.contains("\nprocess_memory_usage_bytes 30000000\n"));
//!
//! let refused = Server::start("0.0.0.0:7117".parse::<std::net::SocketAddr>()?, shared).unwrap_err();
//! assert!(refused.to_string().contains("needs a token and TLS"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
mod api;
mod edges;
mod exposition;
mod guard;
mod health;
mod listener;
mod metrics;
mod page;
mod rate;
mod routes;
mod session;
mod settings;
mod shared;
mod tls;

pub use access::{Audit, Look, Token, TokenError};
pub use health::{Counter, Cpu, Health, Hook, Kind, openapi};
pub use listener::{Handle, Server, ServerError};
pub use settings::Settings;
pub use shared::{Retention, Shared, TellUnkept};
pub use tls::{Tls, TlsError};
