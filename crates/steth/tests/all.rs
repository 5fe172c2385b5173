//! The agent's tests as one program: as many programs as files would each compile and link the lab anew. But for `families`, which other
//! kernels run by itself.

#[macro_use]
mod lab;

mod agent;
mod cases;
mod cluster;
mod coalesced;
mod containers;
mod datagrams;
mod demo;
mod dissector;
mod dns;
mod dns_servers;
mod doctor;
mod drivers;
mod guarded;
mod history;
mod house;
mod identity;
mod io_uring;
mod kernels;
mod l4;
mod l4_agent;
mod l4_datagrams;
mod late_join;
mod latency;
mod latency_of_many;
mod load_tools;
mod loads;
mod map;
mod metrics;
mod mysql;
mod mysql_recordings;
mod options;
mod oracle_mysql;
mod postgresql;
mod privileges;
mod readers;
mod release;
mod routes;
mod selection;
mod selection_connections;
mod selection_containers;
mod selection_matrix;
mod slow;
mod top;
mod types;
