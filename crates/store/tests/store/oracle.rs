//! The same answers from windows in memory, the simple way.

use crate::kit::{deadline, range};
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use steth_query::{Dimension, EdgeGroup, EdgeScan, Engine, EntityScan, Filter, Folded, Key, Range, Scan, Sums, Tier};
use steth_store::Store;
use steth_window::{EdgeRow, EdgeTotals, EntityId, Kind, Protocol, Row, Side, Transport, Window};

fn inside(at_ms: u64, range: Range, tier: Tier) -> bool {
    (range.from_ms..range.to_ms).contains(&(at_ms - at_ms % tier.step_ms()))
}

fn at(step_ms: Option<u64>, window: &Window) -> Option<u64> {
    step_ms.map(|step| window.start / 1_000_000 / step * step)
}

fn key(row: &Row, by: &[Dimension], at_ms: Option<u64>) -> Key {
    let (labels, mut key) = (&row.labels, Key { at_ms, ..Key::default() });
    for dimension in by {
        match dimension {
            Dimension::Client => key.client = Some(labels.key.client),
            Dimension::Server => key.server = Some(labels.key.server),
            Dimension::Port => key.port = Some(labels.key.server_port),
            Dimension::Side => key.side = Some(labels.key.side),
            Dimension::Protocol => key.protocol = Some(labels.key.protocol),
            Dimension::Operation => {
                key.operation = Some((*labels.operation).into());
                key.summary = Some(labels.summary.as_deref().unwrap_or_default().into());
                key.namespace = Some((*labels.namespace).into());
            }
            Dimension::Status => key.status = Some((*labels.status).into()),
            Dimension::ErrorType => key.error_type = Some((*labels.error_type).into()),
            Dimension::Transport => {}
        }
    }
    key
}

fn ends(filter: &Filter<'_>, client: EntityId, server: EntityId, port: u16, side: Side) -> bool {
    filter.entity.is_none_or(|entity| entity == client || entity == server)
        && filter.client.is_none_or(|wanted| wanted == client)
        && filter.server.is_none_or(|wanted| wanted == server)
        && filter.port.is_none_or(|wanted| wanted == port)
        && filter.side.is_none_or(|wanted| wanted == side)
}

fn fits(filter: &Filter<'_>, row: &Row) -> bool {
    let (labels, key) = (&row.labels, &row.labels.key);
    ends(filter, key.client, key.server, key.server_port, key.side)
        && filter.protocol.is_none_or(|protocol| protocol.name() == key.protocol.name())
        && filter.operation.is_none_or(|operation| operation == &*labels.operation)
        && filter.status.is_none_or(|status| status == &*labels.status)
        && filter.failed.is_none_or(|failed| failed == key.failed())
}

pub(crate) fn exchanges(windows: &[Arc<Window>], scan: &Scan<'_>) -> HashMap<Key, Sums> {
    let mut groups: HashMap<Key, Sums> = HashMap::new();
    for window in windows.iter().filter(|window| inside(window.start / 1_000_000, scan.range, scan.tier)) {
        for row in window.rows.iter().filter(|row| fits(&scan.filter, row)) {
            let (sums, totals) = (groups.entry(key(row, scan.by, at(scan.step_ms, window))).or_default(), &row.totals);
            sums.count += totals.count;
            sums.errors += if row.labels.key.failed() { totals.count } else { 0 };
            sums.blocking += totals.blocking;
            sums.slow += totals.slow;
            sums.request_bytes += totals.request_bytes;
            sums.response_bytes += totals.response_bytes;
            sums.duration_sum_ns += totals.duration_sum;
            if scan.sketches {
                sums.duration.merge(&totals.duration);
                sums.first_byte.merge(&totals.first_byte);
                totals.queue().into_iter().for_each(|queue| sums.queue.merge(queue));
            }
        }
    }
    groups
}

type Line = (EntityId, EntityId, u16, Side, Transport);
type Place = (Option<u64>, Option<EntityId>, Option<EntityId>, Option<u16>, Option<Side>, Option<Transport>);

#[derive(Default)]
struct Books {
    guessed: bool,
    totals: EdgeTotals,
    /// Of the newest step.
    newest: (u64, usize),
    open: BTreeMap<String, u64>,
}

fn place(row: &EdgeRow, by: &[Dimension], at_ms: Option<u64>) -> Place {
    let has = |dimension| by.contains(&dimension);
    let key = &row.key;
    (
        at_ms,
        has(Dimension::Client).then_some(key.client),
        has(Dimension::Server).then_some(key.server),
        has(Dimension::Port).then_some(key.server_port),
        has(Dimension::Side).then_some(key.side),
        has(Dimension::Transport).then_some(key.transport),
    )
}

fn books(windows: &[Arc<Window>], scan: &EdgeScan<'_>) -> HashMap<Place, String> {
    let mut windows: Vec<_> = windows.iter().enumerate().collect();
    windows.sort_by_key(|(arrival, window)| (window.start, *arrival));
    let mut groups: HashMap<Place, Books> = HashMap::new();
    for (arrival, window) in
        windows.into_iter().filter(|(_, window)| inside(window.start / 1_000_000, scan.range, scan.tier))
    {
        let start = window.start / 1_000_000;
        let step =
            if scan.tier == Tier::Seconds10 { (start, arrival) } else { (start - start % scan.tier.step_ms(), 0) };
        for row in &window.edges {
            let line: Line = (row.key.client, row.key.server, row.key.server_port, row.key.side, row.key.transport);
            let wanted = ends(&scan.filter, line.0, line.1, line.2, line.3)
                && scan.filter.transport.is_none_or(|transport| transport == line.4);
            if !wanted {
                continue;
            }
            let books = groups.entry(place(row, scan.by, at(scan.step_ms, window))).or_default();
            if books.newest != step {
                (books.newest, books.open) = (step, BTreeMap::new());
            }
            books.open.insert(format!("{line:?}"), row.totals.open);
            books.guessed |= row.guessed;
            books.totals.merge(&row.totals);
        }
    }
    let told = |(place, books): (Place, Books)| {
        let mut totals = books.totals;
        totals.open = books.open.values().sum();
        (place, tell(books.guessed, &totals))
    };
    groups.into_iter().map(told).collect()
}

/// All of it but the classic buckets, which are not kept.
fn tell(guessed: bool, totals: &EdgeTotals) -> String {
    let EdgeTotals { open, sums, connect, accept_wait, rtt, rtt_min_ns, .. } = totals;
    format!("{guessed} {open} {sums:?} {connect:?} {accept_wait:?} {rtt:?} {rtt_min_ns:?}")
}

fn told(group: &EdgeGroup) -> (Place, String) {
    let place = (group.at_ms, group.client, group.server, group.port, group.side, group.transport);
    (place, tell(group.guessed, &group.totals))
}

/// Asks both a lot of questions about a time, and wants the same answers.
pub(crate) fn same_answers(store: &Store, windows: &[Arc<Window>], from: u64, to: u64) {
    same(store, windows, from, to, true);
}

/// The same of windows that came in any order. Of one that comes into a step that was added up before, coarser tiers do not tell how
/// many connections were open then.
pub(crate) fn same_answers_in_any_order(store: &Store, windows: &[Arc<Window>], from: u64, to: u64) {
    same(store, windows, from, to, false);
}

fn same(store: &Store, windows: &[Arc<Window>], from: u64, to: u64, in_order: bool) {
    let (client, server) = (EntityId::of("client-1"), EntityId::of("shop/server-1"));
    let filters = [
        Filter::default(),
        Filter { entity: Some(client), ..Filter::default() },
        Filter { entity: Some(server), side: Some(Side::Server), ..Filter::default() },
        Filter { client: Some(client), server: Some(server), ..Filter::default() },
        Filter { port: Some(81), protocol: Some(Protocol::Mysql), ..Filter::default() },
        Filter { operation: Some("GET /cart/{id}"), ..Filter::default() },
        Filter { status: Some("200"), failed: Some(false), ..Filter::default() },
        Filter { failed: Some(true), transport: Some(Transport::Udp), ..Filter::default() },
        Filter { operation: Some("nobody asks this"), transport: Some(Transport::Tcp), ..Filter::default() },
    ];
    use Dimension::{
        Client, ErrorType, Operation, Port, Protocol as By, Server, Side as BySide, Status, Transport as Carrier,
    };
    let bys: [&[Dimension]; 6] = [
        &[],
        &[Client, Server, Port, BySide, By, Carrier],
        &[Operation],
        &[Server, Status, ErrorType],
        &[BySide],
        &[By],
    ];
    for tier in Tier::ALL {
        let range = range(from, to).aligned(tier.step_ms());
        for step_ms in [None, Some(tier.step_ms()), Some(3_600_000)] {
            for (filter, by) in filters.iter().flat_map(|filter| bys.iter().map(move |by| (*filter, *by))) {
                let sketches = by.len() < 6 || step_ms.is_none();
                let question =
                    Scan { tier, range, step_ms, filter, by, sketches, limit: 1 << 20, deadline: deadline() };
                let answer = store.exchanges(&question).expect("an answer");
                let count = answer.len();
                let answer: HashMap<_, _> = answer.into_iter().map(|group| (group.key, group.sums)).collect();
                assert_eq!(answer.len(), count, "a group comes twice: {question:?}");
                assert!(answer == exchanges(windows, &question), "{question:?}");
                // Of coarser steps those that are open are told line by line.
                if tier != Tier::Seconds10 && (by.len() < 6 || !in_order) {
                    continue;
                }
                let question = EdgeScan { tier, range, step_ms, filter, by, limit: 1 << 20, deadline: deadline() };
                let answer = store.edges(&question).expect("an answer");
                let count = answer.len();
                let answer: HashMap<_, _> = answer.iter().map(told).collect();
                assert_eq!(answer.len(), count, "a group comes twice: {question:?}");
                assert!(answer == books(windows, &question), "{question:?}");
            }
        }
        let mut folded = Folded::default();
        for window in windows.iter().filter(|window| inside(window.start / 1_000_000, range, tier)) {
            let misplaced = window.misplaced;
            folded.add(&Folded {
                operations: misplaced.folded_operations,
                rows: misplaced.folded_rows,
                edges: misplaced.folded_edges,
                misdated: misplaced.late + misplaced.early,
            });
        }
        assert_eq!(store.folded(tier, range), Ok(folded));
    }
    same_entities(store, windows);
}

fn same_entities(store: &Store, windows: &[Arc<Window>]) {
    let mut all: BTreeMap<EntityId, (String, String, Kind, Range)> = BTreeMap::new();
    for window in windows {
        let range = Range { from_ms: window.start / 1_000_000, to_ms: window.end / 1_000_000 };
        let rows = window.rows.iter().map(|row| &row.labels);
        let rows = rows.flat_map(|labels| {
            let client = (labels.key.client, labels.client_parts(), labels.client_kind);
            [client, (labels.key.server, labels.server_parts(), labels.server_kind)]
        });
        let edges = window.edges.iter().flat_map(|row| {
            let client = (row.key.client, row.client_parts(), row.client_kind);
            [client, (row.key.server, row.server_parts(), row.server_kind)]
        });
        let listeners = window.listeners.iter().map(|row| (row.service_id, row.service_parts(), row.service_kind));
        for (id, (namespace, name), kind) in rows.chain(edges).chain(listeners) {
            let who = all.entry(id).or_insert_with(|| (name.to_owned(), namespace.to_owned(), kind, range));
            who.2 = who.2.min(kind);
            who.3.from_ms = who.3.from_ms.min(range.from_ms);
            who.3.to_ms = who.3.to_ms.max(range.to_ms);
        }
    }
    let found = store.entities(&EntityScan { limit: 1000, ..EntityScan::default() }).expect("an answer");
    let found = found.iter().map(|who| (who.id, (who.name.to_string(), who.namespace.to_string(), who.kind, who.seen)));
    assert_eq!(found.collect::<BTreeMap<_, _>>(), all);
}
