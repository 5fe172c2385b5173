//! What holds secrets is overwritten: a process that has asked a runtime is searched for them, all of its memory.

mod fakes;

use fakes::docker::{FakeDocker, reply, well_behaved};
use fakes::{ask, id};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use steth_containers::{Api, Endpoint, Names, Runtimes, Settings};

/// So that the one who looks for it does not have it itself.
const MASK: u8 = 0x55;
const SOCKET: &str = "STETH_TEST_SOCKET";
const NEEDLE: &str = "STETH_TEST_NEEDLE";

#[test]
fn no_secret_that_docker_told_is_left_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("docker.sock");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    // Of letters that no hash or address is made of; `&` is escaped by Go's encoder, and so takes another way.
    let secret: String = now.to_string().bytes().map(|digit| char::from(b'g' + digit - b'0')).collect();
    let (plain, escaped) = (secret.clone(), secret.chars().rev().collect::<String>());
    let (told, told_escaped) = (plain.clone(), escaped.clone());
    let _docker = FakeDocker::start(&socket, move |target, stream| {
        if target.starts_with("/containers/0") {
            // Long enough to come in pieces and to be moved while it grows; so short that its memory stays the process's.
            let padding = "x".repeat(9_000);
            let body = format!(
                r#"{{"Id":"{}","Name":"/cart","Config":{{"Env":["PAD={padding}","PASSWORD={told}","TEAM=shop",
                "KEY=\u0026{told_escaped}","PAD2={padding}"],"Image":"i"}}}}"#,
                id(1)
            );
            reply(stream, 200, body.as_bytes());
        } else {
            well_behaved(target, stream, &[]);
        }
    });
    let child = |needles: String| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "asks_and_searches_itself", "--ignored", "--nocapture"])
            .env(SOCKET, &socket)
            .env(NEEDLE, needles)
            .output()
            .expect("the child starts")
    };
    let masked = |text: &str| text.bytes().map(|byte| format!("{:02x}", byte ^ MASK)).collect::<String>();
    let output = child(format!("{},{}", masked(&plain), masked(&escaped)));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("found 0 times") && !said.contains(&plain), "{said}");
    // That the search finds what is there: the variable that was asked for.
    let output = child(masked("shop"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("found ") && !said.contains("found 0 times"), "{said}");
}

/// Run by the test above, in a process of its own.
#[test]
#[ignore = "a part of no_secret_that_docker_told_is_left_in_memory"]
fn asks_and_searches_itself() {
    let socket = PathBuf::from(std::env::var_os(SOCKET).expect("run by the other test"));
    let needles = std::env::var(NEEDLE).unwrap();
    let needles: Vec<Vec<u8>> = (needles.split(','))
        .map(|hex| (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect())
        .collect();
    let endpoints = vec![Endpoint { api: Api::Docker, path: socket }];
    let mut runtimes =
        Runtimes::start(Settings { endpoints, environment: Names::exact(["TEAM"]), ..Settings::default() }).unwrap();
    let container = ask(&mut runtimes, &id(1)).expect("known");
    assert_eq!(container.environment.get("TEAM"), Some("shop"));
    println!("found {} times", needles.iter().map(|needle| times_in_memory(needle)).sum::<usize>());
    drop((runtimes, container));
}

/// How often what the needle masks stands in this process's writable memory.
fn times_in_memory(masked: &[u8]) -> usize {
    let memory = File::open("/proc/self/mem").expect("one's own memory");
    let maps = fs::read_to_string("/proc/self/maps").expect("one's own maps");
    let mut buffer = vec![0; 1 << 20];
    let mut times = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (range, _) = line.split_once(' ').expect("a range");
        let (begin, end) = range.split_once('-').expect("a range");
        let (mut at, end) = (u64::from_str_radix(begin, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        while at < end {
            let wanted = usize::try_from(end - at).unwrap().min(buffer.len());
            let Ok(read @ 1..) = memory.read_at(&mut buffer[..wanted], at) else { break };
            let here = |window: &&[u8]| window.iter().zip(masked).all(|(byte, masked)| byte ^ MASK == *masked);
            times += buffer[..read].windows(masked.len()).filter(here).count();
            buffer[..read].fill(0); // else it is found here once more
            at += (read as u64).saturating_sub(if at + (read as u64) < end { masked.len() as u64 } else { 0 }).max(1);
        }
    }
    times
}
