//! Sees every service on a Linux host talk.
fn main() {}
