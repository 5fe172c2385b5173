//! More than one scan may give: operations, edges and connections by the thousand, each with its curve.

use std::sync::Arc;
use steth_query::ask::Question;
use steth_query::{Answers, Api, Range, Recent, tell};
use steth_window::{
    EdgeKey, EdgeSeen, EdgeSums, Entities, Key, Limits, Observation, Opened, Protocol, Side, Status, Transport, Window,
    Windows,
};

const SECOND: u64 = 1_000_000_000;
/// The beginning of a ten-minute step.
const T: u64 = 1_700_000_400;
const WINDOWS: u64 = 30;
const SERVERS: u64 = 50;
const OPERATIONS: u64 = 40;

/// 2,000 operations in each, seen at both ends: one is asked for once, the others twice.
fn window(number: u64) -> Arc<Window> {
    let at = (T + 10 * number) * SECOND;
    let limits = Limits { rows: 1 << 20, rows_per_service: 1 << 20, ..Limits::default() };
    let (mut entities, mut windows) = (Entities::default(), Windows::new(limits, at));
    for server in 0..SERVERS {
        let [client, server] = [format!("client-{server}"), format!("server-{server}")];
        let [client, server] = [client, server].map(|name| entities.intern_in("shop", &name, at));
        for side in [Side::Client, Side::Server] {
            for operation in 0..OPERATIONS {
                let key = Key {
                    client,
                    server,
                    operation: operation as u32,
                    summary: None,
                    namespace: 0,
                    status: Status::code(200),
                    error_type: 0,
                    server_port: 80,
                    side,
                    protocol: Protocol::Http,
                };
                for _ in 0..if operation == 0 { 1 } else { 2 } {
                    windows.record(at, &key, &Observation { duration_ns: 1_000_000, ..Observation::default() });
                }
            }
            // As many connections as operations: by their ports.
            for port in 0..OPERATIONS as u16 {
                let key =
                    EdgeKey { client, server, server_port: 80 + port, side, transport: Transport::Tcp, guessed: false };
                let sums = EdgeSums { bytes_to_server: 7, ..EdgeSums::default() };
                windows.edge(&key, &EdgeSeen { sums, ..EdgeSeen::default() }, &mut Opened::default());
            }
        }
    }
    let name = |number: u32| format!("GET /{number}").leak() as &str;
    windows.close(&mut entities, &name).expect("it is not empty")
}

fn answers() -> Answers<Recent> {
    let windows = (0..WINDOWS).map(window).collect();
    let known = Range { from_ms: T * 1000, to_ms: (T + 10 * WINDOWS) * 1000 };
    Answers::new(Recent::new(windows, Arc::default(), known)).within(std::time::Duration::from_secs(600))
}

fn ask<Q: Question>(query: &str) -> Q {
    let (from, to) = (T * 1000, (T + 10 * WINDOWS) * 1000);
    Q::parse(&format!("from={from}&to={to}&{query}"), to).expect("a question")
}

#[test]
fn what_is_shown_has_its_curve_however_much_there_is() {
    let answers = answers();
    let top = |query: &str| -> tell::Top { answers.top(&ask(query)).expect("an answer").data };
    let all = top("by=operations&curve=30&limit=1000&side=server");
    assert_eq!((all.total, all.operations.len()), (2000, 1000));
    assert!(all.operations.iter().all(|operation| operation.curve == [2; 30]), "{:?}", all.operations[0]);
    let last = top("by=operations&curve=10&sort=rate&ascending=true&limit=3");
    assert!(last.operations.iter().all(|operation| operation.curve == [3; 10]), "{:?}", last.operations);
    let connections = top("by=connections&curve=30&limit=300");
    assert_eq!((connections.total, connections.edges.len()), (2000, 300));
    assert!(connections.edges.iter().all(|edge| edge.curve == [7; 30]), "{:?}", connections.edges[0]);
    let edges = top("by=edges&curve=30");
    assert!(edges.edges.iter().all(|edge| edge.protocol.is_none() || edge.curve == [79; 30]), "{:?}", edges.edges[0]);
    let services = top("by=services&curve=30&text=server-1");
    assert_eq!(services.total, 11);
    assert!(services.services.iter().all(|service| service.curve == [79; 30]), "{:?}", services.services[0]);
}

#[test]
fn series_are_the_busiest_ones_and_all_others_together() {
    let answers = answers();
    let series: tell::Series = answers.series(&ask("by=operation&points=30&limit=5")).expect("an answer").data;
    assert_eq!((series.total, series.series.len()), (40, 2 * 6));
    let counts = |line: &tell::Line| line.exchanges.as_ref().expect("exchanges").count.clone();
    for line in &series.series {
        let each = if line.name == "other" { 34 * 100 + 50 } else { 100 };
        assert_eq!(counts(line), [each; 30], "{}", line.name);
    }
    let books: tell::Series = answers.series(&ask("what=books&by=server&points=30&limit=2")).expect("an answer").data;
    let bytes = |line: &tell::Line| line.books.as_ref().expect("books").bytes_to_server.clone();
    assert_eq!(books.series.iter().filter(|line| line.name == "other").map(bytes).next(), Some(vec![7 * 40 * 48; 30]));
}
