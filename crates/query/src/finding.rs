//! What is wrong with somebody, in sentences. The thresholds are [`Limits`], and docs/api.md tells them.

use crate::engine::Listener;
use crate::signals::BySide;
use crate::tell::{Finding, Health, State};
use std::fmt::Write as _;
use steth_window::EdgeTotals;

/// From which numbers on something is said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Share of requests that fail, 0 to 1: degraded.
    pub errors_degraded: f64,
    /// Share of requests that fail, 0 to 1: failing.
    pub errors_failing: f64,
    /// Fewer failed ones, or failed connects, say nothing.
    pub least_failures: u64,
    /// Fewer exchanges say nothing about their times.
    pub least_exchanges: u64,
    /// Less time in one place is nothing to speak of, nanoseconds.
    pub least_time_ns: f64,
    /// Share of the time in one place, 0 to 1.
    pub share_of_time: f64,
    /// So many times slower than before.
    pub slower: f64,
    /// Share of connects that fail, 0 to 1, degraded; if none succeeds, failing.
    pub connects: f64,
    /// Share of segments sent again, 0 to 1.
    pub retransmits: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            errors_degraded: 0.01,
            errors_failing: 0.05,
            least_failures: 2,
            least_exchanges: 10,
            least_time_ns: 20e6,
            share_of_time: 0.5,
            slower: 2.0,
            connects: 0.01,
            retransmits: 0.02,
        }
    }
}

/// What is known of somebody who answers, or of one edge to him.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// What is asked of him.
    pub answers: Option<&'a BySide>,
    /// What was asked of him in the range before, as long.
    pub before: Option<&'a BySide>,
    /// Failed requests of the preferred side by `error.type`, in any order.
    pub errors: &'a [(String, u64)],
    /// The books of connections to him, at their clients.
    pub by_clients: Option<&'a EdgeTotals>,
    /// The same at himself.
    pub by_himself: Option<&'a EdgeTotals>,
    /// Where he waits for connections.
    pub listening: &'a [Listener],
}

/// How he fares.
#[must_use]
pub fn health(evidence: &Evidence<'_>, limits: &Limits) -> Health {
    let judges = [errors, connects, dropped, time, slower, retransmits];
    let mut findings: Vec<Finding> = judges.iter().filter_map(|judge| judge(evidence, limits)).collect();
    // Stable: of equally bad ones in the order above.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.state));
    let asked = evidence.answers.and_then(BySide::shown).is_some();
    let connected = |books: Option<&EdgeTotals>| books.is_some_and(|books| books.open + books.sums.opened > 0);
    let idle = !asked && !connected(evidence.by_clients) && !connected(evidence.by_himself);
    let fine = if idle { State::Idle } else { State::Healthy };
    Health { state: findings.first().map_or(fine, |finding| finding.state), findings }
}

fn errors(evidence: &Evidence<'_>, limits: &Limits) -> Option<Finding> {
    let signals = evidence.answers?.shown()?;
    let state = match signals.error_ratio {
        ratio if ratio > limits.errors_failing => State::Failing,
        ratio if ratio > limits.errors_degraded => State::Degraded,
        _ => return None,
    };
    if signals.errors < limits.least_failures {
        return None;
    }
    let mut sentence = format!("{} of {} requests fail", percent(signals.error_ratio), number(signals.count));
    let most = evidence.errors.iter().max_by(|(a, x), (b, y)| x.cmp(y).then_with(|| b.cmp(a)));
    if let Some((kind, count)) = most.filter(|(kind, _)| !kind.is_empty()) {
        let most = if *count >= signals.errors { "all" } else { "most" };
        let _ = write!(sentence, ", {most} of them with {kind}");
    }
    sentence.push('.');
    let detail = match evidence.errors.len() {
        0 | 1 => String::new(),
        kinds => format!("{} failures of {kinds} kinds.", number(signals.errors)),
    };
    Some(Finding { about: "errors".to_owned(), state, sentence, detail })
}

fn connects(evidence: &Evidence<'_>, limits: &Limits) -> Option<Finding> {
    let sums = &evidence.by_clients?.sums;
    // Who hung up while connecting did not fail.
    let causes = [
        (sums.refused, "refused"),
        (sums.connect_timed_out, "not answered"),
        (sums.unreachable, "unreachable"),
        (sums.failed_otherwise, "failed otherwise"),
    ];
    let failed: u64 = causes.iter().map(|(count, _)| count).sum();
    let all = failed + sums.opened;
    if failed < limits.least_failures || failed as f64 <= all as f64 * limits.connects {
        return None;
    }
    let state = if sums.opened == 0 { State::Failing } else { State::Degraded };
    let told =
        causes.iter().filter(|(count, _)| *count > 0).map(|(count, cause)| format!("{} {cause}", number(*count)));
    let causes: Vec<String> = told.collect();
    let sentence = match sums.opened {
        0 => format!("Nobody can connect: {}.", causes.join(", ")),
        _ => format!("{} of {} connects fail: {}.", number(failed), number(all), causes.join(", ")),
    };
    let detail = if sums.refused == failed { "Nobody listens at that port, or its queue is full." } else { "" };
    Some(Finding { about: "connects".to_owned(), state, sentence, detail: detail.to_owned() })
}

/// Connections that did not fit into a queue for `accept()`.
fn dropped(evidence: &Evidence<'_>, limits: &Limits) -> Option<Finding> {
    let worst = evidence.listening.iter().max_by_key(|listener| (listener.drops, std::cmp::Reverse(listener.port)))?;
    if worst.drops < limits.least_failures {
        return None;
    }
    let (times, port) = (number(worst.drops), worst.port);
    let sentence = format!("The accept queue at port {port} was full: connections were dropped {times} times.");
    let detail = format!(
        "{} wait now, and {} may. A client tries again after a second, then after longer and longer.",
        number(worst.waiting),
        number(worst.room)
    );
    Some(Finding { about: "queue".to_owned(), state: State::Degraded, sentence, detail })
}

/// Where the time goes that is not the server's own.
fn time(evidence: &Evidence<'_>, limits: &Limits) -> Option<Finding> {
    let answers = evidence.answers?;
    let enough = |count: u64| count >= limits.least_exchanges;
    let server = answers.server.as_ref()?.duration.filter(|times| enough(times.count))?;
    let client = answers.client.as_ref().and_then(|signals| signals.duration).filter(|times| enough(times.count));
    let queue = answers.server.as_ref().and_then(|signals| signals.queue).filter(|times| enough(times.count));
    let queue_ns = queue.map_or(0.0, |queue| queue.p95_ns);
    // What a client waits for; where none is watched, what the server knows of it.
    let total = client.map_or(server.p95_ns + queue_ns, |client| client.p95_ns).max(queue_ns);
    let much = |part: f64| part >= limits.least_time_ns && part >= total * limits.share_of_time;
    let finding = |about: &str, sentence: String, detail: String| {
        Some(Finding { about: about.to_owned(), state: State::Degraded, sentence, detail })
    };
    let wait = evidence.by_himself.and_then(|books| books.accept_wait.quantile(0.95)).unwrap_or(0.0);
    if much(queue_ns) {
        let sentence =
            format!("{} of {} is spent before the server reads the request.", time_of(queue_ns), time_of(total));
        let mut detail = format!("The server itself takes {} (p95).", time_of(server.p95_ns));
        if wait >= limits.least_time_ns {
            let _ = write!(detail, " Connections wait {} for accept() (p95).", time_of(wait));
        }
        return finding("queue", sentence, detail);
    }
    let client = client?;
    let between = client.p95_ns - server.p95_ns - queue_ns;
    if much(wait) && wait > between * limits.share_of_time {
        let sentence = format!("Connections wait {} until the server accepts them (p95).", time_of(wait));
        return finding("queue", sentence, format!("Its clients wait {} for an answer (p95).", time_of(client.p95_ns)));
    }
    if much(between) {
        let sentence =
            format!("{} of {} is spent between client and server.", time_of(between), time_of(client.p95_ns));
        let rtt = evidence.by_clients.or(evidence.by_himself).and_then(|books| books.rtt.quantile(0.95));
        let detail = rtt.map_or_else(String::new, |rtt| format!("A round trip takes {} (p95).", time_of(rtt)));
        return finding("network", sentence, detail);
    }
    None
}

fn slower(evidence: &Evidence<'_>, limits: &Limits) -> Option<Finding> {
    let (now, before) = (evidence.answers?.shown()?.duration?, evidence.before?.shown()?.duration?);
    let enough = now.count >= limits.least_exchanges && before.count >= limits.least_exchanges;
    let more = now.p95_ns - before.p95_ns;
    if !enough || now.p95_ns < before.p95_ns * limits.slower || more < limits.least_time_ns {
        return None;
    }
    let sentence = format!("95 % take up to {}; before, it was {}.", time_of(now.p95_ns), time_of(before.p95_ns));
    let detail = format!("The median is {}; it was {}.", time_of(now.p50_ns), time_of(before.p50_ns));
    Some(Finding { about: "service".to_owned(), state: State::Degraded, sentence, detail })
}

fn retransmits(evidence: &Evidence<'_>, limits: &Limits) -> Option<Finding> {
    let sent = |books: Option<&EdgeTotals>, to_server: bool| {
        let sums = books?.sums;
        let sent = if to_server { sums.segments_to_server } else { sums.segments_to_client };
        Some((sums.retransmitted_segments, sent))
    };
    let ends = [(sent(evidence.by_clients, true), "its clients send"), (sent(evidence.by_himself, false), "it sends")];
    let share = |again: u64, sent: u64| again as f64 / sent.max(1) as f64;
    let bad = |(end, who): (Option<(u64, u64)>, &'static str)| {
        let (again, sent) = end?;
        (again >= 10 && share(again, sent) > limits.retransmits).then_some((again, sent, who))
    };
    let worst = ends.into_iter().filter_map(bad).max_by(|a, b| share(a.0, a.1).total_cmp(&share(b.0, b.1)))?;
    let (again, sent, who) = worst;
    let sentence = format!("{} of the segments that {who} are sent again.", percent(share(again, sent)));
    let detail = format!("{} of {}.", number(again), number(sent));
    Some(Finding { about: "network".to_owned(), state: State::Degraded, sentence, detail })
}

/// Nanoseconds as a person says them: `1.4 s`, `20 ms`.
fn time_of(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns >= 999.5e6 => (ns / 1e9, "s"),
        ns if ns >= 999.5e3 => (ns / 1e6, "ms"),
        ns if ns >= 999.5 => (ns / 1e3, "µs"),
        ns => (ns, "ns"),
    };
    if value < 9.95 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent < 9.95 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

/// With a comma between thousands.
fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Sums;
    use steth_window::{EdgeSums, Sketch};

    fn sketch(times: &[u64]) -> Sketch {
        let mut sketch = Sketch::default();
        times.iter().for_each(|ms| sketch.record(ms * 1_000_000));
        sketch
    }

    /// Twenty exchanges that took so many milliseconds, of which so many failed, after so long a wait in the server's socket.
    fn sums(ms: u64, errors: u64, queue_ms: u64) -> Sums {
        let queue = if queue_ms > 0 { sketch(&[queue_ms; 20]) } else { Sketch::default() };
        Sums { count: 20, errors, duration: sketch(&[ms; 20]), queue, ..Sums::default() }
    }

    fn sides(client: Option<Sums>, server: Option<Sums>) -> BySide {
        BySide::of(&[client.unwrap_or_default(), server.unwrap_or_default(), Sums::default()], 60.0)
    }

    fn books(sums: EdgeSums) -> EdgeTotals {
        let mut totals = EdgeTotals::default();
        (totals.sums, totals.rtt) = (sums, sketch(&[40]));
        totals
    }

    fn judged(evidence: &Evidence<'_>) -> (State, Vec<String>) {
        let health = health(evidence, &Limits::default());
        (health.state, health.findings.into_iter().map(|finding| finding.sentence).collect())
    }

    #[test]
    fn where_the_time_goes_is_said_in_one_sentence() {
        for (client, server, sentence) in [
            // The story that started this: the server's own numbers are fine.
            (
                Some(sums(1800, 0, 0)),
                Some(sums(400, 0, 1400)),
                Some("1.4 s of 1.8 s is spent before the server reads the request."),
            ),
            (None, Some(sums(400, 0, 1400)), Some("1.4 s of 1.8 s is spent before the server reads the request.")),
            (
                Some(sums(1000, 0, 0)),
                Some(sums(100, 0, 1)),
                Some("899 ms of 1.0 s is spent between client and server."),
            ),
            // The server itself is slow, as it always was.
            (Some(sums(410, 0, 0)), Some(sums(400, 0, 5)), None),
            // Half of very little.
            (Some(sums(18, 0, 0)), Some(sums(2, 0, 15)), None),
            (Some(sums(1800, 0, 0)), None, None),
        ] {
            let answers = sides(client, server);
            let (state, sentences) = judged(&Evidence { answers: Some(&answers), ..Evidence::default() });
            assert_eq!(sentences, sentence.into_iter().collect::<Vec<_>>());
            assert_eq!(state, if sentence.is_some() { State::Degraded } else { State::Healthy });
        }
    }

    #[test]
    fn failures_are_told_with_their_main_kind() {
        let kinds = [("503".to_owned(), 2), ("timeout".to_owned(), 1)];
        for (errors, state, sentence) in [
            (0, State::Healthy, None),
            (1, State::Healthy, None),
            (3, State::Failing, Some("15 % of 20 requests fail, most of them with 503.")),
        ] {
            let answers = sides(None, Some(sums(5, errors, 0)));
            let evidence = Evidence { answers: Some(&answers), errors: &kinds, ..Evidence::default() };
            assert_eq!(judged(&evidence), (state, sentence.map(str::to_owned).into_iter().collect()));
        }
        let many = Sums { count: 1_204, errors: 24, ..Sums::default() };
        let answers = sides(None, Some(many));
        let evidence = Evidence { answers: Some(&answers), errors: &[("500".to_owned(), 24)], ..Evidence::default() };
        let sentence = "2.0 % of 1,204 requests fail, all of them with 500.".to_owned();
        assert_eq!(judged(&evidence), (State::Degraded, vec![sentence]));
    }

    #[test]
    fn connects_that_fail_are_told_by_cause() {
        for (sums, state, sentence) in [
            (EdgeSums { opened: 9, ..EdgeSums::default() }, State::Healthy, None),
            (EdgeSums::default(), State::Idle, None),
            (EdgeSums { refused: 1, ..EdgeSums::default() }, State::Idle, None),
            (EdgeSums { abandoned: 9, ..EdgeSums::default() }, State::Idle, None),
            (EdgeSums { refused: 40, ..EdgeSums::default() }, State::Failing, Some("Nobody can connect: 40 refused.")),
            (
                EdgeSums { opened: 48, refused: 1, connect_timed_out: 1, ..EdgeSums::default() },
                State::Degraded,
                Some("2 of 50 connects fail: 1 refused, 1 not answered."),
            ),
        ] {
            let books = books(sums);
            let evidence = Evidence { by_clients: Some(&books), ..Evidence::default() };
            assert_eq!(judged(&evidence), (state, sentence.map(str::to_owned).into_iter().collect()));
        }
    }

    #[test]
    fn a_full_accept_queue_is_told_with_its_port() {
        let at = |port, drops| Listener {
            service: steth_window::EntityId::OTHER,
            port,
            transport: steth_window::Transport::Tcp,
            waiting: 129,
            room: 129,
            drops,
        };
        for (drops, sentence) in
            [(1, None), (1_204, Some("The accept queue at port 80 was full: connections were dropped 1,204 times."))]
        {
            let listening = [at(81, 0), at(80, drops)];
            let (state, sentences) = judged(&Evidence { listening: &listening, ..Evidence::default() });
            assert_eq!(sentences, sentence.map(str::to_owned).into_iter().collect::<Vec<_>>());
            assert_eq!(state, if sentence.is_some() { State::Degraded } else { State::Idle });
        }
    }

    #[test]
    fn segments_that_are_sent_again_are_told_by_their_sender() {
        let bad =
            books(EdgeSums { opened: 1, segments_to_client: 1000, retransmitted_segments: 40, ..EdgeSums::default() });
        let few =
            books(EdgeSums { opened: 1, segments_to_server: 100, retransmitted_segments: 9, ..EdgeSums::default() });
        let evidence = Evidence { by_himself: Some(&bad), by_clients: Some(&few), ..Evidence::default() };
        assert_eq!(
            judged(&evidence),
            (State::Degraded, vec!["4.0 % of the segments that it sends are sent again.".to_owned()])
        );
    }

    #[test]
    fn who_has_become_slower_is_told_what_it_was() {
        let (now, before) = (sides(None, Some(sums(400, 0, 0))), sides(None, Some(sums(100, 0, 0))));
        let evidence = Evidence { answers: Some(&now), before: Some(&before), ..Evidence::default() };
        assert_eq!(
            judged(&evidence),
            (State::Degraded, vec!["95 % take up to 400 ms; before, it was 100 ms.".to_owned()])
        );
        let evidence = Evidence { answers: Some(&before), before: Some(&now), ..Evidence::default() };
        assert_eq!(judged(&evidence), (State::Healthy, vec![]));
    }

    #[test]
    fn the_worst_comes_first() {
        let answers = sides(Some(sums(1800, 0, 0)), Some(sums(400, 19, 1400)));
        let (state, sentences) = judged(&Evidence { answers: Some(&answers), ..Evidence::default() });
        assert_eq!(state, State::Failing);
        assert!(sentences[0].contains("fail") && sentences[1].contains("before the server reads"), "{sentences:?}");
    }

    #[test]
    fn times_and_numbers_are_as_people_say_them() {
        let times = [
            (12.0, "12 ns"),
            (1_500.0, "1.5 µs"),
            (999_400.0, "999 µs"),
            (999_600.0, "1.0 ms"),
            (20e6, "20 ms"),
            (61e9, "61 s"),
        ];
        times.iter().for_each(|(ns, text)| assert_eq!(time_of(*ns), *text));
        assert_eq!([0, 999, 1000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"].map(str::to_owned));
        assert_eq!([0.0123, 0.123, 1.0].map(percent), ["1.2 %", "12 %", "100 %"].map(str::to_owned));
    }
}
