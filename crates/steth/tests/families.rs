//! The same traffic, observed by every family of hooks that attaches here and with every fall-back: the same exchanges, and the
//! books add up each time. docs/kernels.md has the table of other kernels, from runs of this test on them.

mod lab;
#[path = "families/ways.rs"]
mod ways;

use lab::{MariaDb, RedisServer, Seen, Steth, alone, wait_until};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use steth_probe::{Fallbacks, Family, Probe, Rung, Settings};
use ways::{EACH, WAYS, Way, crowd, cut, dns, has_tls, http, prime};

fn redis(server: &RedisServer) {
    for n in 0..EACH {
        assert_eq!(server.ask(&["SET", "key", &n.to_string()]), "+OK");
        assert_eq!(server.ask(&["GET", "key"]), n.to_string());
    }
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).expect("redis accepts");
    stream.write_all(&b"*1\r\n$4\r\nPING\r\n".repeat(100)).expect("redis reads");
    stream.read_exact(&mut [0; 700]).expect("redis answers");
}

fn mysql(server: &MariaDb) {
    server.ask("CREATE TABLE IF NOT EXISTS shop.t (a INT); INSERT INTO shop.t VALUES (1), (2); SELECT a FROM shop.t; DROP TABLE shop.t");
}

/// What is to be the same of an exchange.
fn told(exchange: &Value) -> String {
    let fields = ["protocol", "side", "operation", "status", "outcome", "request_bytes", "response_bytes", "truncated"];
    fields.map(|field| exchange[field].to_string()).join(" | ")
}

/// Everything is accounted for, and nothing is lost but what the ledger says was missed, because the kernel did not run a program. Returns
/// that: exchanges that were given up, and runs.
fn balanced(seen: &Seen, name: &str) -> (u64, u64) {
    let ledger = &seen.ledger;
    let number =
        |path: &str| ledger.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} in {ledger}"));
    assert!(seen.status.success(), "{name}: {}", seen.errors);
    let missed = number("/records/hook_runs_missed") + number("/chunks/lost_by/crowded");
    assert_eq!(number("/chunks/lost"), number("/chunks/lost_by/crowded"), "{name}: {ledger}");
    let lost = number("/exchanges/lost");
    assert!(lost == 0 || missed > 0, "{name}: {ledger}");
    assert_eq!(number("/exchanges/reported"), seen.exchanges.len() as u64, "{name}: {ledger}");
    let accounted = ["reported", "l4_only", "pending", "lost"].map(|state| number(&format!("/chunks/{state}")));
    assert_eq!(number("/chunks/seen"), accounted.iter().sum::<u64>(), "{name}: every chunk is accounted for: {ledger}");
    for what in ["chunks", "bytes"] {
        let (received, reported) = (number(&format!("/{what}/received")), number(&format!("/{what}/reported")));
        assert_eq!(received, reported, "{name}: {what}: what went into the ring came out: {ledger}");
    }
    (lost, missed)
}

/// A family with a fall-back, and an agent that observes by it.
struct Variant {
    family: Family,
    name: String,
    /// Some of its runs may be missed, by what the agent takes the kernel for.
    may_miss: bool,
    steth: Steth,
}

/// Hands on each family with each fall-back, of those that are wanted, of which a rung holds here, one after another. Returns their names.
fn each_variant(wanted: impl Fn(&str) -> bool, mut each: impl FnMut(Variant)) -> Vec<String> {
    let mut names = Vec::new();
    // Both ends of what is said here, and the clients' of what the servers are asked: others talk on this machine, too.
    let me = std::process::id().to_string();
    let preempted = Fallbacks::default().here().steady;
    for family in Family::ALL {
        for (without, words) in [
            (Fallbacks::default(), ""),
            (Fallbacks { plain: true, ..Fallbacks::default() }, "socket-storage"),
            (Fallbacks { ring_buffer: true, ..Fallbacks::default() }, "ring-buffer"),
            (Fallbacks { types: true, ..Fallbacks::default() }, "types"),
            (Fallbacks { trampolines: true, ..Fallbacks::default() }, "trampolines"),
            (Fallbacks { steady: true, ..Fallbacks::default() }, "preemption-off"),
            (Fallbacks { steady: true, events: true, ..Fallbacks::default() }, "preemption-off,perf-events"),
        ] {
            if !wanted(words) {
                continue;
            }
            if without.trampolines && family != Family::Function || without.steady && family != Family::Tracepoint {
                continue;
            }
            // That family has the plain core in any case.
            if without.plain && family == Family::Syscall {
                continue;
            }
            // Where that is so anyway, the first is no other, and with that core alone perf has it.
            if preempted && family == Family::Tracepoint && (without.plain || without.steady && !without.events) {
                continue;
            }
            // To have each rung verified beforehand would take as long once more.
            let start = || Steth::watch_with(&["--hooks", family.name(), "--pid", &me], &[("STETH_WITHOUT", words)]);
            let Ok(steth) = catch_unwind(start) else { continue };
            // It writes a line piece by piece.
            wait_until("it has said so", Duration::from_secs(5), || steth.errors().ends_with('\n'));
            let said = steth.errors();
            let is_taken = |rung: &Rung| said.contains(&format!(" hooks ({rung});"));
            let rung = Rung::ladder(Some(family), without.here()).find(is_taken).expect("it says what it has taken");
            let name = format!("{rung} without '{words}'");
            names.push(name.clone());
            each(Variant { family, name, may_miss: rung.may_miss(without.here()), steth });
        }
    }
    names
}

#[test]
fn every_family_and_fall_back_sees_the_same() {
    root_or_skip!();
    let _alone = alone();
    let (redis_server, maria) = (RedisServer::start(), MariaDb::start());
    let more = || {
        redis(&redis_server);
        mysql(&maria);
    };
    compare(more, &[("PING", 100..=100), ("mysql", 5..=usize::MAX)]);
}

/// For machines with little else and with little time: `scripts/kernels/test` takes this test to other kernels.
#[test]
#[ignore = "the one above has all of it"]
fn every_family_and_fall_back_sees_the_same_on_another_kernel() {
    root_or_skip!();
    let _alone = alone();
    let redis_server = RedisServer::start();
    compare(|| redis(&redis_server), &[("PING", 100..=100)]);
}

/// What the kernel throws away on the way to the caller (`MSG_TRUNC`) is not read from where it would have been.
#[test]
fn what_was_put_nowhere_is_not_read() {
    root_or_skip!();
    let _alone = alone();
    // How the hooks know of the bytes makes the difference, and not what is behind them.
    let wanted = |without: &str| ["", "trampolines", "preemption-off"].contains(&without);
    each_variant(wanted, |Variant { name, steth, .. }| {
        cut();
        steth.settle(Duration::from_millis(600));
        let seen = steth.finish();
        let exchanges: Vec<_> = seen.exchanges.iter().map(told).collect();
        let asked = |what: &str| exchanges.iter().filter(|line| line.contains(what)).count();
        let lies = [asked("500"), asked("wrong.test")];
        assert_eq!(lies, [0, 0], "{name}: {exchanges:#?}");
        let truths = [asked("\"server\" | \"GET /Recv"), asked("\"client\" | \"A whole.test")];
        assert_eq!(truths, [1, 1], "{name}: {exchanges:#?} {}", seen.ledger);
    });
}

/// More threads wait in a receive than the kernel keeps places for calls that are under way, where it is asked for ends of functions by their names: of
/// some ends it does not tell. They are declared.
#[test]
fn calls_whose_ends_are_missed_are_declared() {
    root_or_skip!();
    let _alone = alone();
    let wanted = |without: &str| ["", "trampolines"].contains(&without);
    each_variant(wanted, |Variant { name, steth, .. }| crowd_is_declared(&name, steth));
}

/// The same by kprobes alone: to have the other rungs verified takes half a minute each there.
#[test]
#[ignore = "the one above has all of it"]
fn calls_whose_ends_are_missed_are_declared_on_another_kernel() {
    root_or_skip!();
    let _alone = alone();
    let me = std::process::id().to_string();
    let arguments = ["--hooks", "function", "--pid", &me];
    let steth = Steth::watch_with(&arguments, &[("STETH_WITHOUT", "trampolines")]);
    wait_until("it has said so", Duration::from_secs(5), || steth.errors().contains(" hooks (function by kprobes)"));
    crowd_is_declared("function by kprobes", steth);
}

fn crowd_is_declared(name: &str, steth: Steth) {
    const ALL: usize = 2 * 64;
    crowd(64, 2);
    steth.settle(Duration::from_millis(600));
    let seen = steth.finish();
    let (_, missed) = balanced(&seen, name);
    let asked = |side: &str| {
        let told = |e: &&Value| e["operation"] == "A crowd.test" && e["outcome"] == "answered";
        seen.side(side).filter(told).count()
    };
    let ends = ["client", "server"].map(asked);
    eprintln!("{name}: {ends:?} of {ALL} at client and server, {missed} ends missed");
    assert!(ends.iter().all(|told| *told <= ALL), "{name}: {ends:?}");
    assert!(ends[0] + ends[1] + missed as usize >= 2 * ALL, "{name}: {ends:?}, {missed}: {}", seen.ledger);
    assert_eq!(missed > 0, name.contains("by kprobes"), "{name}: {missed}");
}

/// As many programs are preempted on a CPU as there are scratches for them: what comes then is declared, and nothing else is told in its place.
#[test]
fn what_finds_no_scratch_is_declared_lost() {
    root_or_skip!();
    let _alone = alone();
    let me = std::process::id().to_string();
    let without = [("STETH_WITHOUT", "preemption-off,perf-events,scratches")];
    let steth = Steth::watch_with(&["--hooks", "tracepoint", "--pid", &me], &without);
    http();
    let seen = steth.finish();
    let number = |path: &str| seen.ledger.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    for what in ["chunks", "bytes"] {
        let [all, lost, crowded] = ["seen", "lost", "lost_by/crowded"].map(|one| number(&format!("/{what}/{one}")));
        assert!(all > 0 && lost == all && crowded == all, "{what}: {}", seen.ledger);
    }
    assert!(seen.exchanges.is_empty() && number("/records/hook_runs_crowded") > 0, "{}", seen.ledger);
}

/// What the kernel refuses is said in a line, and the next rung is taken: functions, by one way or another, and then system calls.
#[test]
fn without_tracepoints_of_sockets_the_next_rung_that_holds_is_taken() {
    root_or_skip!();
    let _alone = alone();
    let without = Fallbacks { tracepoints: true, ..Fallbacks::default() };
    let settings = Settings { ring_bytes: 1 << 20, without, ..Settings::default() };
    let probe = Probe::attach(&settings).expect("system calls are everywhere");
    let (taken, refused) = (probe.rung(), probe.refusals().len());
    drop(probe);
    let ladder: Vec<_> = Rung::ladder(None, without).map(|rung| rung.to_string()).collect();
    assert_eq!(ladder.get(refused), Some(&taken.to_string()), "{ladder:?}");
    let steth = Steth::watch_with(&["--port", "1"], &[("STETH_WITHOUT", "sock-tracepoints")]);
    let errors = steth.finish().errors;
    for rung in &ladder[..refused] {
        let said = errors.lines().find(|line| line.contains(&format!("hooks: {rung}: "))).unwrap_or_default();
        assert!(said.ends_with("; trying the next"), "{rung}: {errors}");
    }
    assert_eq!(errors.lines().filter(|line| line.contains("trying the next")).count(), refused, "{errors}");
}

/// The ways in and out, and what else is said, of which there are so many exchanges; observed by each variant. All of them are tried: on a
/// kernel that nobody has at hand, which ones differ is half of the answer.
fn compare(more: impl Fn(), expected_more: &[(&str, RangeInclusive<usize>)]) {
    let mut first: Option<(String, Vec<String>)> = None;
    let mut failed = Vec::new();
    let names = each_variant(
        |_| true,
        |variant| {
            let (name, family, may_miss) = (variant.name.clone(), variant.family, variant.may_miss);
            let observe = || {
                let (exchanges, lost, missed) = observed(variant, &more, expected_more);
                if let Some((reference, expected)) = &first {
                    let told = |line: &&String| may_be_told(family, may_miss, line);
                    let expected: Vec<_> = expected.iter().filter(told).cloned().collect();
                    let (missing, more) = (difference(&expected, &exchanges), difference(&exchanges, &expected));
                    if missed == 0 {
                        assert!(
                            missing.is_empty() && more.is_empty(),
                            "{name} against {reference}: missing {missing:#?}, more {more:#?}"
                        );
                    } else {
                        eprintln!("{name}: {missed} runs missed, {lost} exchanges lost, {} missing", missing.len());
                        declared(&missing, &more, lost + missed, &name);
                    }
                }
                (exchanges, missed)
            };
            // Nothing of what it holds is looked at again once it has failed.
            match catch_unwind(AssertUnwindSafe(observe)) {
                Ok((exchanges, missed)) => {
                    eprintln!("{name}: {} exchanges", exchanges.len());
                    if missed == 0 {
                        first.get_or_insert((name, exchanges));
                    }
                }
                Err(_) => failed.push(name),
            }
        },
    );
    for without in ["", "ring-buffer", "types"] {
        let name = format!("syscall without '{without}'");
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert!(failed.is_empty(), "not the same: {failed:?}, see above");
}

/// What is missing was declared, and what is said in its place is of the same exchange, and says that it is not all.
fn declared(missing: &[String], more: &[String], declared: u64, name: &str) {
    assert!(missing.len() as u64 <= declared, "{name}: {declared} declared; missing {missing:#?}, more {more:#?}");
    let what = |line: &String| line.split(" | ").take(3).collect::<Vec<_>>().join(" ");
    let invented =
        difference(&more.iter().map(what).collect::<Vec<_>>(), &missing.iter().map(what).collect::<Vec<_>>());
    assert!(invented.is_empty(), "{name}: {invented:#?}: missing {missing:#?}, more {more:#?}");
    let whole: Vec<_> = more.iter().filter(|line| line.contains("\"answered\"") && !line.ends_with("true")).collect();
    assert!(whole.is_empty(), "{name}: not as it was: {whole:#?}");
}

/// Where runs may be missed, which of the messages of one call a transfer is about cannot be told, unless the hook has the message.
fn may_be_told(family: Family, may_miss: bool, line: &str) -> bool {
    !(may_miss && family == Family::Tracepoint && (line.contains("A many") || line.contains("/Recvmmsg/")))
}

/// What one variant reports, without what only some can; exchanges that were lost, and runs that were missed.
fn observed(
    variant: Variant,
    more: impl Fn(),
    expected_more: &[(&str, RangeInclusive<usize>)],
) -> (Vec<String>, u64, u64) {
    let Variant { family, name, may_miss, steth, .. } = variant;
    let unread = steth.errors().contains("payloads of io_uring");
    let follows = family == Family::Tracepoint && !unread;
    // Where runs may be missed, the first may be one of those.
    wait_until("it follows io_uring", Duration::from_secs(10), || {
        prime();
        !follows || steth.errors().contains("its payloads are read from now on")
    });
    http();
    dns();
    more();
    steth.settle(Duration::from_millis(600));
    let seen = steth.finish();
    let (lost, missed) = balanced(&seen, &name);
    let mut exchanges: Vec<_> = seen.exchanges.iter().map(told).collect();
    exchanges.sort();
    if missed == 0 {
        let asked = |what: &str| exchanges.iter().filter(|line| line.contains(what)).count();
        let there = |way: &Way| *way != Way::IoUring && (*way != Way::Tls || has_tls());
        for way in WAYS.into_iter().filter(|way| there(way) && may_be_told(family, may_miss, &format!("/{way:?}/"))) {
            assert!(asked(&format!("GET /{way:?}/")) >= 2 * EACH, "{name}: {way:?}: {exchanges:#?}");
        }
        let datagrams = ["A many", "A one.test", "A six.test"].map(asked);
        let many = if may_be_told(family, may_miss, "A many") { 2 * 32 } else { 0 };
        assert_eq!(datagrams, [many, 2 * EACH, 2 * EACH], "{name}: {exchanges:#?}");
        // The bytes of the client, who uses io_uring, can be read where the message is in the hook's hands, or something tells of its requests,
        // for which the kernel's own types are needed.
        assert!(
            !unread || name.contains("types") || !requests_have_types(),
            "{name}: what io_uring moves can be read here"
        );
        let readable = if unread { 1 } else { 2 };
        assert_eq!(asked("GET /IoUring"), readable * EACH, "{name}: {exchanges:#?}");
        for (what, count) in expected_more {
            assert!(count.contains(&asked(what)), "{name}: {what}: {exchanges:#?}");
        }
    }
    exchanges.retain(|line| !(line.contains("GET /IoUring") && line.contains("client")));
    (exchanges, lost, missed)
}

/// Whether the kernel hands over requests of io_uring with their type: since Linux 6.0.
fn requests_have_types() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("it has a release");
    release.split('.').next().and_then(|major| major.parse().ok()).is_some_and(|major: u32| major >= 6)
}

/// What of these is not among those.
fn difference(these: &[String], those: &[String]) -> Vec<String> {
    let mut left = these.to_vec();
    for one in those {
        if let Some(at) = left.iter().position(|other| other == one) {
            left.swap_remove(at);
        }
    }
    left
}
