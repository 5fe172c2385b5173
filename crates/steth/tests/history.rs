//! What was seen is there afterwards: over a new start, a `kill -9`, a full disk, and without an agent.

use crate::lab;
use crate::lab::{Agent, RedisServer, alone, redis_benchmark, together, wait_until};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::Duration;

const LOAD: u64 = 2000;
/// A window, its grace and a moment.
const SOON: Duration = Duration::from_secs(40);

/// GETs that the map says the server at this port has answered.
fn answered(agent: &Agent, port: u16, parameters: &str) -> u64 {
    let top = agent.json(&format!("/api/v1/top?by=operations&side=server&port={port}&last=1h{parameters}"));
    let mut operations = top["data"]["operations"].as_array().into_iter().flatten();
    let get = operations.find(|operation| operation["operation"] == "GET");
    get.map_or(0, |operation| operation["signals"]["server"]["count"].as_u64().expect("a count"))
}

/// Of the map, by the edge to this port.
fn on_the_map(agent: &Agent, port: u16) -> u64 {
    let map = agent.json("/api/v1/map?last=1h");
    let mut edges = map["data"]["edges"].as_array().expect("edges").iter().filter(|edge| edge["port"] == port);
    edges.next().map_or(0, |edge| edge["signals"]["server"]["count"].as_u64().unwrap_or(0))
}

fn load(redis: &RedisServer) {
    redis_benchmark(redis.port, "get", LOAD, 4, 1);
}

#[test]
fn a_new_start_and_a_kill_lose_nothing_that_was_there_and_say_what_is_missing() {
    root_or_skip!();
    let _alone = alone();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let data = data.to_str().expect("text");
    let redis = RedisServer::start();
    let agent = Agent::with(&["--data", data]);
    load(&redis);
    wait_until("it is on the map", SOON, || answered(&agent, redis.port, "") == LOAD);
    let before = on_the_map(&agent, redis.port);
    let started = agent.json("/api/v1/map?last=1h")["meta"]["started_ms"].as_u64().expect("known");
    agent.kill();

    let agent = Agent::with(&["--data", data]);
    assert_eq!((answered(&agent, redis.port, ""), on_the_map(&agent, redis.port)), (LOAD, before), "after kill -9");
    load(&redis);
    wait_until("both are there", SOON, || answered(&agent, redis.port, "") == 2 * LOAD);
    let meta = &agent.json("/api/v1/map?last=1h")["meta"];
    let why: Vec<&str> =
        meta["missing"].as_array().expect("a list").iter().filter_map(|it| it["why"].as_str()).collect();
    assert!(why.contains(&"the agent did not run, or could not write"), "{meta:#}");
    // The agents before this test are no loss.
    assert!(why.contains(&"the agent had not started") && meta["started_ms"] == started, "{meta:#}");
    // Whoever asks meanwhile needs no agent.
    let beside = lab::steth(&["top", "--data", data, "--seconds", "3600", "--by", "operations", "--once", "--json"]);
    let beside: Value = serde_json::from_slice(&beside.stdout).expect("JSON");
    assert!(of_get(&beside, redis.port) >= 2 * LOAD, "{beside:#}");
    agent.finish();

    let agent = Agent::with(&["--data", data]);
    assert_eq!(answered(&agent, redis.port, ""), 2 * LOAD, "after a usual end");
    agent.finish();
    let files = || -> Vec<_> {
        let mut files: Vec<_> = (fs::read_dir(data).expect("the directory").flatten())
            .map(|entry| (entry.file_name(), fs::read(entry.path()).expect("readable")))
            .filter(|(name, _)| name.to_str().is_some_and(|name| name.ends_with(".db")))
            .collect();
        files.sort();
        files
    };
    let there = files();
    let alone = lab::steth(&["top", "--data", data, "--seconds", "3600", "--by", "operations", "--once", "--json"]);
    let alone: Value = serde_json::from_slice(&alone.stdout).expect("JSON");
    assert!(of_get(&alone, redis.port) >= 2 * LOAD, "{alone:#}");
    assert!(files() == there, "it was only looked at");
    let nowhere = lab::steth(&["top", "--data", dir.path().to_str().expect("text"), "--once"]);
    let said = String::from_utf8_lossy(&nowhere.stderr).into_owned();
    assert!(!nowhere.status.success() && said.contains("is no data directory of steth"), "{said}");
}

/// GETs of Redis servers.
fn of_get(top: &Value, _port: u16) -> u64 {
    let rows = top["rows"].as_array().expect("rows").iter();
    rows.filter(|row| row["operation"] == "GET").filter_map(|row| row["count"].as_u64()).sum()
}

/// A small file system, for the thread that mounts it and all that it starts; it goes with the last of them.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(at: &'a Path) -> Self {
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_FS).expect("root may");
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).expect("root may");
        mount(Some("steth"), at, Some("tmpfs"), MsFlags::empty(), Some("size=12m")).expect("root may");
        Self(at)
    }

    /// Somebody else takes all the room that is left.
    fn fill(&self) {
        let (ballast, mut bytes) = (self.0.join("ballast"), 12 << 20);
        while bytes > 0 {
            match fs::write(&ballast, vec![1; bytes]) {
                Ok(()) => break,
                Err(_) => bytes = fs::metadata(&ballast).map_or(0, |there| there.len() as usize).min(bytes - 4096),
            }
        }
    }
}

#[test]
fn on_a_full_disk_the_agent_says_so_and_answers_from_memory() {
    root_or_skip!();
    let _together = together();
    std::thread::spawn(full_disk).join().expect("the test");
}

fn full_disk() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let small = Small::mount(dir.path());
    let data = dir.path().join("data");
    let redis = RedisServer::start();
    let agent = Agent::with(&["--data", data.to_str().expect("text")]);
    let status = || agent.json("/api/v1/health");
    load(&redis);
    wait_until("the first of it is kept", SOON, || answered(&agent, redis.port, "") == LOAD);
    assert_eq!(status()["store_trouble"], Value::Null);
    small.fill();
    load(&redis);
    wait_until("health says so", SOON, || status()["status"] == "store in trouble");
    assert!(status()["store_trouble"].as_str().is_some_and(|why| why.contains("full")), "{}", status());
    assert!(agent.metric("steth_store_trouble", &[]) == 1.0);
    // What is not written is answered nevertheless, by every question, and is not missing.
    wait_until("all of it is answered", SOON, || answered(&agent, redis.port, "") == 2 * LOAD);
    assert!(on_the_map(&agent, redis.port) >= 2 * LOAD);
    let full = |meta: &Value| {
        let missing = meta["missing"].as_array().expect("a list").iter();
        missing.filter(|it| it["why"].as_str().is_some_and(|why| why.contains("full"))).count()
    };
    let map = agent.json("/api/v1/map?last=1h");
    assert_eq!(full(&map["meta"]), 0, "{:#}", map["meta"]);
    for question in ["series?by=server", "heatmap?", "requests?sort=duration", "dns?", "entity?id=redis-server"] {
        let answer = agent.json(&format!("/api/v1/{question}&last=1h").replace("?&", "?"));
        assert!(answer["meta"]["newest_ms"].is_u64(), "{question}: {answer}");
    }
    // There is room again: it goes on by itself, and what was only in memory still is answered.
    fs::remove_file(dir.path().join("ballast")).expect("it was there");
    load(&redis);
    wait_until("health says that all is well", SOON, || status()["store_trouble"] == Value::Null);
    wait_until("all of it is answered", SOON, || answered(&agent, redis.port, "") == 3 * LOAD);
    agent.kill();
    // Now it is missing, and declared.
    let agent = Agent::with(&["--data", data.to_str().expect("text")]);
    assert_eq!(answered(&agent, redis.port, ""), 2 * LOAD);
    let meta = &agent.json("/api/v1/map?last=1h")["meta"];
    assert!(full(meta) > 0, "{meta:#}");
    agent.finish();
}
