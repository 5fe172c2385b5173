//! The kernel's books of connections, against what the applications themselves say and what was configured.

use crate::lab;
use crate::lab::process::{Process, command, wait_until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use steth_event::{
    Books, CLOSE_REFUSED, CLOSE_RESET_BY_PEER, CLOSE_RESET_BY_US, CLOSE_TIMED_OUT, Event, LISTEN_BEGINS, LISTEN_ENDS,
    Listen, Open, ROLE_CLIENT, ROLE_SERVER,
};
use steth_flow::{Connection, Delta, Flow, Segment, Sink};
use steth_probe::{Fallbacks, Probe, Selection, Settings};

/// What the ring has said of one connection.
struct Told {
    open: Open,
    /// Where the count begins: the first books of a connection that was there before.
    baseline: Option<Books>,
    last: Option<Books>,
    closes: u32,
}

/// The kernel side with analysis switched off, and the books that have come out of it.
struct Watched {
    probe: Probe,
    connections: BTreeMap<u64, Told>,
    listens: Vec<Listen>,
    chunks: usize,
}

impl Watched {
    fn attach(protocols: u32, without: Fallbacks) -> Self {
        let selection = Selection { protocols, ..Selection::default() };
        let btf = without.types.then(|| "/sys/kernel/btf/vmlinux".into());
        let settings = Settings { selection, without, btf, ..Settings::default() };
        let probe = Probe::attach(&settings).expect("root may attach");
        Self { probe, connections: BTreeMap::new(), listens: Vec::new(), chunks: 0 }
    }

    fn drain(&mut self) {
        let Self { probe, connections, listens, chunks } = self;
        while probe.drain(|record| match Event::parse(record).expect("a good record") {
            Event::Open(open) => {
                let told = Told { open, baseline: None, last: None, closes: 0 };
                connections.entry(open.connection).or_insert(told);
            }
            Event::Close(books) | Event::Progress(books) => {
                let told = connections.get_mut(&books.connection).expect("announced before");
                let kind = steth_event::kind::CLOSE;
                if told.last.is_none() && books.kind != kind && told.open.established == 0 {
                    told.baseline = Some(books);
                }
                told.closes += u32::from(books.kind == kind);
                told.last = Some(books);
            }
            Event::Listen(listen) => listens.push(listen),
            Event::Chunk(..) => *chunks += 1,
            _ => {}
        }) > 0
        {}
    }

    /// The two ends of the connection whose client has this port, in the network namespace of a process.
    fn ends(&self, netns: u32, port: u16) -> (Option<&Told>, Option<&Told>) {
        let here = || self.connections.values().filter(|told| told.open.netns == netns && told.open.transport == 6);
        let client = here().find(|told| told.open.local_port == port && told.open.role != ROLE_SERVER);
        let server = here().find(|told| told.open.remote_port == port && told.open.role != ROLE_CLIENT);
        (client, server)
    }
}

impl Told {
    fn bytes(&self) -> (u64, u64) {
        let (last, first) = (self.last.unwrap_or_default(), self.baseline.unwrap_or_default());
        (last.bytes_sent - first.bytes_sent, last.bytes_received - first.bytes_received)
    }

    fn flags(&self) -> u8 {
        self.last.unwrap_or_default().flags
    }
}

fn netns(pid: u32) -> u32 {
    let link = std::fs::read_link(format!("/proc/{pid}/ns/net")).expect("a process has a namespace");
    let text = link.to_string_lossy();
    text.trim_start_matches("net:[").trim_end_matches(']').parse().expect("an inode")
}

fn python(dir: &Path, script: &str) -> Process {
    python_with(dir, script, &[])
}

fn python_with(dir: &Path, script: &str, more: &[&str]) -> Process {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers").join(script);
    let mut unshare = command("unshare");
    unshare.arg("--net").arg("python3").arg(path).arg(dir.join("go")).args(more);
    Process::spawn(script, &mut unshare, dir)
}

fn pair(value: &Value) -> Option<(u64, u64)> {
    Some((value[0].as_u64()?, value[1].as_u64()?))
}

/// Whatever the protocols: of none of these connections any is known.
fn every_connection_is_in_the_books(protocols: u32, without: Fallbacks) {
    // It says how long connections wait.
    let _alone = lab::alone();
    let dir = tempfile::tempdir().expect("a directory");
    let run = python(dir.path(), "l4.py");
    run.wait_for("the old connections", Duration::from_secs(20), || run.output().contains("ready"));
    let mut watched = Watched::attach(protocols, without);
    watched.probe.visit().expect("a visit");
    watched.drain();
    let (pid, space) = (run.pid(), netns(run.pid()));
    std::fs::write(dir.path().join("go"), "").expect("a file");
    wait_until("everything has happened", Duration::from_secs(60), || run.output().contains("done"));
    watched.probe.sweep(true).expect("a sweep");
    watched.drain();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for line in run.output().lines().filter(|line| line.starts_with('{')) {
        let said: Value = serde_json::from_str(line).expect("JSON");
        let (name, port) = (said["name"].as_str().expect("a name"), said["port"].as_u64().expect("a port") as u16);
        let (client, server) = watched.ends(space, port);
        for (side, expected, told) in
            [("client", pair(&said["client"]), client), ("server", pair(&said["server"]), server)]
        {
            let Some(expected) = expected else {
                assert!(told.is_none(), "{name}: nobody answered");
                continue;
            };
            let Some(told) = told else {
                wrong.push(format!("{name}, {side}: not in the books"));
                continue;
            };
            seen += 1;
            if told.bytes() != expected || told.closes != 1 || told.open.tgid != pid {
                let (bytes, closes, tgid) = (told.bytes(), told.closes, told.open.tgid);
                wrong.push(format!(
                    "{name}, {side}: {bytes:?} not {expected:?}, {closes} ends, process {tgid} of {pid}"
                ));
            }
        }
        let resets =
            |told: Option<&Told>| told.map_or(0, |told| told.flags() & (CLOSE_RESET_BY_PEER | CLOSE_RESET_BY_US));
        let expected = match name.split(' ').next() {
            Some("reset") => (CLOSE_RESET_BY_US, CLOSE_RESET_BY_PEER),
            Some("unread") => (CLOSE_RESET_BY_PEER, CLOSE_RESET_BY_US),
            Some("refused") => (CLOSE_RESET_BY_PEER, 0),
            _ => (0, 0),
        };
        if (resets(client), resets(server)) != expected {
            wrong.push(format!("{name}: reset by {:?} not {expected:?}", (resets(client), resets(server))));
        }
        if let Some(books) = server.and_then(|told| told.last).filter(|_| !name.starts_with("old")) {
            let waited = books.accepted.saturating_sub(books.established) / 1_000_000;
            if books.accepted < books.established || (waited >= 50) != name.starts_with("late") {
                wrong.push(format!(
                    "{name}: waited {waited} ms for accept(), {} to {}",
                    books.established, books.accepted
                ));
            }
        }
        let refused = client.is_some_and(|told| told.flags() & CLOSE_REFUSED != 0 && told.open.established == 0);
        if refused != name.starts_with("refused") {
            wrong.push(format!("{name}: refused is {refused}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen >= 45, "{seen} ends");
    assert_eq!(watched.chunks, if protocols == 0 { 0 } else { watched.chunks }, "nothing was read");
    let books = |transport: u8| {
        let of = |told: &&Told| told.open.tgid == pid && told.open.transport == transport;
        let mut all: Vec<_> = watched.connections.values().filter(of).filter_map(|told| told.last).collect();
        all.sort_by_key(|books| books.bytes_received);
        all.iter()
            .map(|books| (books.bytes_sent, books.bytes_received, books.segments_out, books.segments_in))
            .collect::<Vec<_>>()
    };
    assert_eq!(books(17), [(15, 0, 5, 0), (0, 15, 0, 5)], "bytes and datagrams of UDP");
    let unix: Vec<_> = books(0).iter().map(|(sent, received, ..)| (*sent, *received)).collect();
    assert_eq!(unix, [(12_345, 0), (0, 12_345)], "bytes of unix sockets");
    let listens =
        |change| watched.listens.iter().filter(|listen| listen.netns == space && listen.change == change).count();
    assert!(listens(LISTEN_BEGINS) >= 18 && listens(LISTEN_BEGINS) == listens(LISTEN_ENDS));
}

/// What the books of each connection have had to add, look after look.
#[derive(Default)]
struct Sums {
    moved: BTreeMap<u64, (u64, u64)>,
    looks: BTreeMap<u64, u32>,
}

impl Sink for Sums {
    type State = ();
    fn segment(&mut self, _: &mut Connection<()>, _: u8, _: &Segment<'_>) {}
    fn shutdown(&mut self, _: &mut Connection<()>, _: u8, _: u64) {}
    fn books(&mut self, connection: &mut Connection<()>, delta: &Delta) {
        let (sent, received) = self.moved.entry(connection.id).or_default();
        (*sent, *received) = (*sent + delta.sent, *received + delta.received);
        *self.looks.entry(connection.id).or_default() += 1;
    }
    fn closed(&mut self, _: &mut Connection<()>, _: steth_flow::End, _: u64) {}
}

/// The kernel is asked all the time, also in the middle of a send, of a connection that ends, and of one that has moved more bytes than
/// 32 bits count: what each look adds is, added up, what the applications moved.
#[test]
fn what_each_look_adds_is_in_all_what_the_applications_moved() {
    root_or_skip!();
    let _alone = lab::alone();
    let dir = tempfile::tempdir().expect("a directory");
    let run = python_with(dir.path(), "l4.py", &["big"]);
    run.wait_for("the old connections", Duration::from_secs(20), || run.output().contains("ready"));
    let settings = Settings { selection: Selection { protocols: 0, ..Selection::default() }, ..Settings::default() };
    let mut probe = Probe::attach(&settings).expect("root may attach");
    let (mut flow, mut sums, mut opens) = (Flow::new(1 << 16), Sums::default(), BTreeMap::new());
    let mut drain = |probe: &mut Probe| {
        while probe.drain(|record| match Event::parse(record).expect("a good record") {
            Event::Open(open) => {
                opens.entry(open.connection).or_insert(open);
                flow.open(&open, &mut sums);
            }
            Event::Close(books) => flow.close(&books, &mut sums),
            Event::Progress(books) => flow.progress(&books, &mut sums),
            _ => {}
        }) > 0
        {}
    };
    probe.visit().expect("a visit");
    drain(&mut probe);
    let space = netns(run.pid());
    std::fs::write(dir.path().join("go"), "").expect("a file");
    let begun = std::time::Instant::now();
    while !run.output().contains("done") {
        assert!(begun.elapsed() < Duration::from_secs(120), "{}{}", run.output(), run.errors());
        probe.sweep(true).expect("a sweep");
        drain(&mut probe);
        std::thread::sleep(Duration::from_millis(20));
    }
    drain(&mut probe);
    let (mut seen, mut often) = (0, 0);
    for line in run.output().lines().filter(|line| line.starts_with('{')) {
        let said: Value = serde_json::from_str(line).expect("JSON");
        let port = said["port"].as_u64().expect("a port") as u16;
        let here = || opens.values().filter(|open| open.netns == space && open.transport == 6);
        let client = here().find(|open| open.local_port == port && open.role != ROLE_SERVER);
        let server = here().find(|open| open.remote_port == port && open.role != ROLE_CLIENT);
        for (side, expected, open) in [("client", &said["client"], client), ("server", &said["server"], server)] {
            let Some(expected) = pair(expected) else { continue };
            let id = open.unwrap_or_else(|| panic!("not told of: {line}")).connection;
            assert_eq!(sums.moved.get(&id), Some(&expected), "{side}: {line}");
            (seen, often) = (seen + 1, often + u32::from(sums.looks[&id] >= 4));
        }
    }
    assert!(seen >= 50 && often >= 8, "{seen} ends, {often} of them looked at again and again");
}

#[test]
fn bytes_are_the_applications_own_with_analysis_switched_off() {
    root_or_skip!();
    every_connection_is_in_the_books(0, Fallbacks::default());
}

#[test]
fn bytes_are_the_applications_own_where_no_protocol_is_known() {
    root_or_skip!();
    every_connection_is_in_the_books(u32::MAX, Fallbacks::default());
}

/// Each socket is looked at by a call of its own, at the start and at a sweep.
#[test]
fn bytes_are_the_applications_own_where_there_are_no_iterators() {
    root_or_skip!();
    every_connection_is_in_the_books(0, Fallbacks { types: true, ..Fallbacks::default() });
}

/// No tracepoints of sockets, no trampolines, no ring buffer, no socket storage, no types: what is left are exits of system calls.
#[test]
fn bytes_are_the_applications_own_where_nothing_is_there_but_system_calls() {
    root_or_skip!();
    let (types, ring_buffer, tracepoints, trampolines) = (true, true, true, true);
    every_connection_is_in_the_books(
        u32::MAX,
        Fallbacks { types, ring_buffer, tracepoints, trampolines, ..Fallbacks::default() },
    );
}

#[test]
fn a_network_that_delays_and_loses_is_as_configured_and_as_the_kernels_own_tools_say() {
    root_or_skip!();
    let _alone = lab::alone();
    // All at once: each has a network of its own.
    let runs = ["ipv4", "ipv6", "mapped"].map(|family| {
        let dir = tempfile::tempdir().expect("a directory");
        let run = python_with(dir.path(), "l4_network.py", &[family]);
        (family, run, dir)
    });
    let spaces = runs.each_ref().map(|(_, run, _)| {
        run.wait_for("the network", Duration::from_secs(20), || run.output().contains("ready"));
        netns(run.pid())
    });
    let mut watched = Watched::attach(0, Fallbacks::default());
    watched.probe.visit().expect("a visit");
    watched.drain();
    for (_, _, dir) in &runs {
        std::fs::write(dir.path().join("go"), "").expect("a file");
    }
    for ((family, run, _), space) in runs.iter().zip(spaces) {
        run.wait_for("its end", Duration::from_secs(90), || run.output().contains("\"done\""));
        watched.drain();
        as_configured_and_as_the_kernel_says(&watched, family, run, space);
    }
}

fn as_configured_and_as_the_kernel_says(watched: &Watched, family: &str, run: &Process, space: u32) {
    let (mut there, mut seen) = (0, 0);
    let (mut retransmitted, mut bytes_only) = (0, 0);
    for line in run.output().lines().filter(|line| line.starts_with('{')) {
        let said: Value = serde_json::from_str(line).expect("JSON");
        let (what, said, port) =
            (said["name"].as_str().expect("a name"), &said["said"], said["port"].as_u64().unwrap_or(0));
        let name = format!("{family}, {what}");
        match what {
            "there" => there = said.as_u64().expect("a namespace") as u32,
            "nstat" => assert_eq!(said.as_u64(), Some(retransmitted), "{name}: segments sent again"),
            _ => {}
        }
        let download = what == "download";
        let ends = watched.ends(if download { there } else { space }, port as u16);
        let Some(told) = (if download { ends.1 } else { ends.0 }) else {
            assert_eq!(port, 0, "{name}: not in the books");
            continue;
        };
        let (open, books) = (told.open, told.last.expect("an end"));
        if download {
            let client = watched.ends(space, port as u16).0.and_then(|told| told.last).expect("its client is here");
            retransmitted += u64::from(client.retransmitted);
        } else {
            // Of one that was there before, and bound to an address, nobody has seen who connected.
            let role = if what == "old" { open.role } else { ROLE_CLIENT };
            assert_eq!((told.closes, open.tgid, open.role), (1, run.pid(), role), "{name}");
            retransmitted += u64::from(books.retransmitted);
        }
        let ended = books.flags & (CLOSE_TIMED_OUT | CLOSE_RESET_BY_US | CLOSE_RESET_BY_PEER);
        match what {
            "left early" => {
                assert_eq!(ended, CLOSE_RESET_BY_US, "{name}");
                continue;
            }
            "old" | "idle" | "reset" => {
                let ended_by = if what == "reset" { CLOSE_RESET_BY_US } else { 0 };
                assert_eq!((pair(said), ended), (Some(told.bytes()), ended_by), "{name}");
                assert_eq!(told.baseline.is_some(), what == "old", "{name}: whether it was there before");
                bytes_only += 1;
                continue;
            }
            "cut silently" | "cut with a word" => {
                let error = if what == "cut silently" { 110 } else { 113 };
                assert_eq!(
                    (ended, said.as_u64(), u64::from(books.error)),
                    (CLOSE_TIMED_OUT, Some(error), error),
                    "{name}"
                );
                continue;
            }
            _ => {}
        }
        let error = match what {
            "refused" => 111,
            "timed out" => 110,
            "unreachable" => 113,
            _ => 0,
        };
        let failed = error != 0 || what == "abandoned";
        assert_eq!((books.error, books.established == 0), (error, failed), "{name}");
        assert_eq!(said.as_u64().unwrap_or(0), u64::from(error), "{name}: what the application was told");
        if failed {
            continue;
        }
        // There and back, 10 ms each; a busy machine adds to it and nothing takes away.
        let connect = books.established.saturating_sub(open.connect_started) as f64 / 1e6;
        assert!(download || (20.0..35.0).contains(&connect), "{name}: {connect} ms to connect");
        if what == "hang up" {
            continue;
        }
        let number = |field: &str| said[field].as_f64().unwrap_or(0.0);
        // `ss` was asked before the FIN was acknowledged, which is one sample more, and counts for an eighth.
        let one_more = (7.0 * number("rtt") + number("minrtt")) / 8.0;
        let srtt = f64::from(books.srtt_us) / 1e3;
        // Whoever has received much and out of order may put its acknowledgement off (TCP_DELACK_MAX, 200 ms): that is in the sample then.
        // The FIN is sent again then, as a tail loss probe (RFC 8985, 7.3), which has no byte.
        let (put_off, probe) = if what == "loss" || download { (200.0, 1.0) } else { (0.0, 0.0) };
        // The FIN itself may be lost, and is sent again when the timer says so (200 ms and what the round trips vary by).
        let fin_lost = if what == "loss" { 300.0 } else { 0.0 };
        let (least, most) = (one_more - 2.0, number("rtt") + (number("rtt") - number("minrtt") + put_off) / 8.0 + 2.0);
        assert!((least..=most).contains(&srtt), "{name}, srtt: {srtt}, but ss says {}", number("rtt"));
        for (field, ours, theirs, tolerance) in [
            ("segments sent again", f64::from(books.retransmitted), number("retrans"), probe),
            ("bytes sent again", books.retransmitted_bytes as f64, number("bytes_retrans"), 0.0),
            // A client's SYN is among them; the last byte of a download is sent behind the look.
            (
                "confirmed bytes",
                books.bytes_acked as f64,
                number("bytes_acked") + if download { 1.0 } else { -1.0 },
                0.0,
            ),
            ("duplicates", f64::from(books.duplicates), number("dsack_dups"), probe),
            ("reordered", f64::from(books.reordered), number("reord_seen"), 0.0),
            // FINs and what confirms them.
            ("segments out", f64::from(books.segments_out), number("segs_out"), 3.0),
            ("segments in", f64::from(books.segments_in), number("segs_in"), 3.0),
            ("limited by the peer's window", books.receive_window_us as f64 / 1e3, number("rwnd_limited"), 12.0),
            ("limited by the send buffer", books.send_buffer_us as f64 / 1e3, number("sndbuf_limited"), 12.0),
        ] {
            assert!((ours - theirs).abs() <= tolerance, "{name}, {field}: {ours}, but ss says {theirs}");
        }
        // The FIN's way and back, and a jiffy each time a chronograph stops; what ss has said already is in it.
        let (busy, before) = (books.busy_us as f64 / 1e3, number("busy"));
        let longest = before + 60.0 + put_off + fin_lost;
        assert!((before - 60.0..=longest).contains(&busy), "{name}, busy: {busy}, but ss says {before}");
        // The FIN's confirmation is one more sample, and may be the least: never more than before, nor less than is configured.
        let least = f64::from(books.rtt_min_us) / 1e3;
        let before = number("minrtt");
        assert!(
            before < 30.0 && (20.0..=before + 0.01).contains(&least),
            "{name}: least {least}, but ss says {before}"
        );
        let moved = match what {
            "short" => (1, 1),
            "loss" => (3_000_000, 1),
            "sleeping reader" => (3_000_000, 1),
            "small buffer" => (300_000, 1),
            "detours" => (1_000_000, 1),
            "download" => (300_001, 2),
            _ => (100_000, 1),
        };
        assert_eq!((books.bytes_sent, books.bytes_received), moved, "{name}");
        // What comes late may be taken for lost; so may be what a shut window holds back.
        if !["detours", "sleeping reader"].contains(&what) {
            assert_eq!(books.retransmitted > 0, what == "loss" || download, "{name}");
        }
        assert_eq!(books.reordered > 0, what == "detours", "{name}");
        assert_eq!(
            books.receive_window_us >= 500_000,
            what == "sleeping reader",
            "{name}: {}",
            books.receive_window_us
        );
        seen += 1;
    }
    assert_eq!((seen, bytes_only), (7, 3), "{family}: {}", run.output());
}
