//! What one asks of another: its exchanges, and its books.

use super::{
    Numbers, bytes, count, curve, durations, failed, mishaps, named, nothing, numbers, parts, rate, side, throughput,
    time,
};
use crate::print::{Rounded, clean};
use crate::table::Cell;
use serde::Serialize;
use steth_query::tell::{Edge, State};
use steth_query::{Books, BooksBySide, SideName, Signals};

/// The server's name, with its port. The name of an address has its port already.
pub(super) fn server(edge: &Edge) -> String {
    match edge.port {
        0 => edge.server_name.clone(),
        port if edge.server_name.ends_with(&format!(":{port}")) => edge.server_name.clone(),
        port => format!("{}:{port}", edge.server_name),
    }
}

fn both_ways(books: &Books) -> u64 {
    books.bytes_to_server.saturating_add(books.bytes_to_client)
}

/// The protocol, or what the bytes travel in.
fn speaks(edge: &Edge) -> Cell {
    named(edge.protocol.as_deref().or(edge.transport.as_deref()).unwrap_or("-"))
}

fn of<T>(books: Option<&Books>, cell: impl FnOnce(&Books) -> T) -> T
where
    T: Default,
{
    books.map(cell).unwrap_or_default()
}

fn dash(books: Option<&Books>, cell: impl FnOnce(&Books) -> Cell) -> Cell {
    books.map_or_else(|| Cell::from(nothing()), cell)
}

fn rtt(books: Option<&Books>) -> Cell {
    time(books.and_then(|books| books.rtt).map(|rtt| rtt.p95_ns))
}

pub(super) fn cells(edge: &Edge, seconds: f64) -> Vec<Cell> {
    let (signals, books) = (edge.signals.shown(), edge.books.shown());
    let mut cells = vec![named(&edge.client_name), named(&server(edge)), speaks(edge), rate(signals), failed(signals)];
    cells.extend(durations(signals));
    cells.extend(parts(signals));
    cells.extend([
        dash(books, |books| throughput(both_ways(books), seconds)),
        rtt(books),
        dash(books, |books| mishaps(books.retransmitted_segments)),
        dash(books, |books| mishaps(books.failed_connects())),
        side(edge.signals.preferred.or(edge.books.preferred)),
        curve(&edge.curve),
    ]);
    cells
}

pub(super) fn of_books(edge: &Edge, seconds: f64) -> Vec<Cell> {
    let books = edge.books.shown();
    vec![
        named(&edge.client_name),
        named(&server(edge)),
        named(edge.transport.as_deref().unwrap_or("-")),
        dash(books, |books| count(books.open)),
        dash(books, |books| count(books.opened)),
        dash(books, |books| throughput(both_ways(books), seconds)),
        dash(books, |books| throughput(books.bytes_to_server, seconds)),
        dash(books, |books| throughput(books.bytes_to_client, seconds)),
        rtt(books),
        dash(books, |books| mishaps(books.retransmitted_segments)),
        dash(books, |books| mishaps(books.failed_connects())),
        side(edge.books.preferred),
    ]
}

/// As a neighbour of whom is looked at.
pub(super) fn neighbour(arrow: &'static str, who: &str, edge: &Edge) -> Vec<Cell> {
    let (signals, books) = (edge.signals.shown(), edge.books.shown());
    let [queue, _] = parts(signals);
    let mut cells = vec![Cell::from(arrow.to_owned()), named(who), speaks(edge), rate(signals), failed(signals)];
    cells.extend(durations(signals));
    cells.extend([
        queue,
        rtt(books),
        dash(books, |books| mishaps(books.failed_connects())),
        side(edge.signals.preferred.or(edge.books.preferred)),
    ]);
    cells
}

/// What its two ends tell, each for itself.
pub(super) fn says(edge: &Edge) -> (State, String) {
    let of_end = |end: &str, signals: &Option<Signals>| {
        let Some(signals) = signals else { return String::new() };
        let mut says = format!("Its {end} saw {} requests", signals.count);
        if let Some(duration) = signals.duration {
            says += &format!(", p95 {}", Rounded(duration.p95_ns as u64));
        }
        if let Some(queue) = signals.queue.filter(|queue| queue.p95_ns >= 1e6) {
            says += &format!(" after {} in the queue", Rounded(queue.p95_ns as u64));
        }
        if signals.errors > 0 {
            says += &format!(", {} failed", signals.errors);
        }
        says + ". "
    };
    let signals = &edge.signals;
    let mut says = of_end("client", &signals.client) + &of_end("server", &signals.server);
    if let (Some(network), true) = (&signals.network, says.is_empty()) {
        says = format!("On the network there were {} requests. ", network.count);
    }
    let connects = of(edge.books.shown(), failures);
    if !connects.is_empty() {
        says += &format!("Connects that failed: {connects}.");
    }
    if says.is_empty() {
        says = books_say(edge);
    }
    (edge.state, says.trim_end().to_owned())
}

/// How connects failed: `3 refused, 1 timed out`.
fn failures(books: &Books) -> String {
    let causes = [
        (books.refused, "refused"),
        (books.connect_timed_out, "timed out"),
        (books.unreachable, "unreachable"),
        (books.failed_otherwise, "otherwise"),
    ];
    let causes = causes.iter().filter(|(count, _)| *count > 0).map(|(count, cause)| format!("{count} {cause}"));
    causes.collect::<Vec<_>>().join(", ")
}

pub(super) fn books_say(edge: &Edge) -> String {
    let Some(books) = edge.books.shown() else { return "No books of it.".to_owned() };
    let mut says = format!("{} open, {} opened, {} closed.", books.open, books.opened, books.closed);
    let failures = failures(books);
    if !failures.is_empty() {
        says += &format!(" Connects that failed: {failures}.");
    }
    if books.retransmitted_segments > 0 {
        let sent = books.segments_to_server.saturating_add(books.segments_to_client);
        says += &format!(" Of {sent} segments {} were sent again.", books.retransmitted_segments);
    }
    if edge.guessed {
        says += " Nobody saw who connected to whom.";
    }
    says
}

/// All that the books of both ends tell.
pub(super) fn lines(edge: &Edge) -> Vec<String> {
    let BooksBySide { client, server, .. } = &edge.books;
    let number = |number: u64| number.to_string();
    let size = |size: u64| bytes(size as f64);
    let time = |us: u64| if us == 0 { us.to_string() } else { Rounded(us.saturating_mul(1000)).to_string() };
    let p95 = |times: Option<steth_query::Quantiles>| {
        times.map_or_else(nothing, |it| format!("{} / {}", Rounded(it.p50_ns as u64), Rounded(it.p95_ns as u64)))
    };
    type Tells<'a> = (&'static str, &'a dyn Fn(&Books) -> String);
    let rows: [Tells<'_>; 23] = [
        ("open", &|books| number(books.open)),
        ("opened", &|books| number(books.opened)),
        ("closed", &|books| number(books.closed)),
        ("bytes to server", &|books| size(books.bytes_to_server)),
        ("bytes to client", &|books| size(books.bytes_to_client)),
        ("segments to server", &|books| number(books.segments_to_server)),
        ("segments to client", &|books| number(books.segments_to_client)),
        ("sent again: segments", &|books| number(books.retransmitted_segments)),
        ("sent again: bytes", &|books| size(books.retransmitted_bytes)),
        ("held lost: segments", &|books| number(books.lost_segments)),
        ("reordered", &|books| number(books.reordered)),
        ("duplicates received", &|books| number(books.duplicate_segments)),
        ("busy sending", &|books| time(books.busy_us)),
        ("peer's window was full", &|books| time(books.receive_window_us)),
        ("own buffer was full", &|books| time(books.send_buffer_us)),
        ("connects that failed", &|books| Some(failures(books)).filter(|it| !it.is_empty()).unwrap_or("0".into())),
        ("given up connecting", &|books| number(books.abandoned)),
        ("reset by client", &|books| number(books.resets_by_client)),
        ("reset by server", &|books| number(books.resets_by_server)),
        ("timed out", &|books| number(books.timed_out)),
        ("round trip p50 / p95", &|books| p95(books.rtt)),
        ("connect p50 / p95", &|books| p95(books.connect)),
        ("wait for accept p50 / p95", &|books| p95(books.accept_wait)),
    ];
    let mut lines = vec![
        format!(
            "over {}{}",
            clean(edge.transport.as_deref().unwrap_or("?")),
            if edge.guessed { ", ends guessed" } else { "" }
        ),
        String::new(),
        format!("{:<26} {:>20} {:>20}", "", "client's kernel", "server's kernel"),
    ];
    lines.extend(rows.iter().map(|(title, tells)| {
        let of = |books: &Option<Books>| books.as_ref().map_or_else(nothing, tells);
        format!("{title:<26} {:>20} {:>20}", of(client), of(server))
    }));
    lines
}

/// With `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    client: &'a str,
    server: &'a str,
    client_id: &'a str,
    server_id: &'a str,
    protocol: Option<&'a str>,
    transport: Option<&'a str>,
    port: Option<u16>,
    /// Where the numbers were observed.
    side: Option<SideName>,
    state: State,
    #[serde(flatten)]
    numbers: Option<Numbers>,
    /// What the kernel of one end says of the connections, its own or the other's.
    books: Option<&'a Books>,
    books_side: Option<SideName>,
}

pub(super) fn line(edge: &Edge) -> Line<'_> {
    Line {
        client: &edge.client_name,
        server: &edge.server_name,
        client_id: &edge.client,
        server_id: &edge.server,
        protocol: edge.protocol.as_deref(),
        transport: edge.transport.as_deref(),
        port: (edge.port != 0).then_some(edge.port),
        side: edge.signals.preferred,
        state: edge.state,
        numbers: numbers(&edge.signals),
        books: edge.books.shown(),
        books_side: edge.books.preferred,
    }
}

/// With `--json`, of connections.
#[derive(Debug, Serialize)]
pub(super) struct BookLine<'a> {
    client: &'a str,
    server: &'a str,
    client_id: &'a str,
    server_id: &'a str,
    transport: Option<&'a str>,
    port: Option<u16>,
    guessed: bool,
    side: Option<SideName>,
    #[serde(flatten)]
    books: Option<&'a Books>,
}

pub(super) fn book_line(edge: &Edge) -> BookLine<'_> {
    BookLine {
        client: &edge.client_name,
        server: &edge.server_name,
        client_id: &edge.client,
        server_id: &edge.server,
        transport: edge.transport.as_deref(),
        port: (edge.port != 0).then_some(edge.port),
        guessed: edge.guessed,
        side: edge.books.preferred,
        books: edge.books.shown(),
    }
}
