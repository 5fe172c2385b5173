//! The lab: real servers, real load tools and the built agent, as values that clean up after themselves.
//!
//! ```text
//! let _alone = lab::alone();                       one heavy test at a time on this machine; lab::together(): several light ones
//! let nginx = Nginx::start();                      a server, on a free port, killed on drop
//! let steth = Steth::watch(&["--port", "8080"]);   the agent, hooks attached when this returns
//! let sent = wrk(&WrkPlan::new(nginx.port, "/"));  what the load tool says it did
//! let seen = steth.finish();                       exchanges and ledger, after SIGTERM
//! ```
//!
//! Every program runs in a process group of its own, which is killed when its guard is dropped, on a failing test too.
//! What a test may skip, and when, is in `docs/testing.md`.
#![allow(dead_code, unreachable_pub, unused_imports)] // every integration test uses another part of it

pub mod agent;
pub mod case;
pub mod cgroup;
pub mod dns;
pub mod dns_servers;
pub mod kept;
pub mod load;
pub mod mariadb;
pub mod mysql;
#[macro_use]
pub mod policy;
pub mod postgresql;
pub mod process;
pub mod redis;
pub mod runtimes;
pub mod selection;
pub mod servers;
pub mod steth;
pub use dns::{Dnsperf, Unbound, dig, dnsperf, dnsperf_at};
pub use dns_servers::{Dnsmasq, Named, resolved_by_libc};

pub use agent::{Agent, steth};
pub use case::Case;
pub use kept::kept;
pub use load::{Ab, Curl, RedisBenchmark, Wrk, WrkPlan, ab, curl, redis_benchmark, redis_benchmark_of, wrk};
pub use mariadb::MariaDb;
pub use policy::{Held, alone, together};
pub use postgresql::{PgbenchLoad, PostgresqlClient, PostgresqlServer, pgbench, pgbench_tables};
pub use process::{Process, established, free_port, wait_until};
pub use redis::RedisServer;
pub use runtimes::{Go, Java, Node, Python};
pub use servers::{Nginx, NginxPlan};
pub use steth::{Seen, Steth};
