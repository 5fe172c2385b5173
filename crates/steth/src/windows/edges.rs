//! From the kernel's books to the rows of edges.

use super::ends::End;
use super::{Counter, Memo};
use crate::pipeline::Counted;
use steth_flow::{Delta, Ending, Failure};
use steth_identity::Beyond;
use steth_window::{EdgeKey, EdgeSeen, EdgeSums, Side, Transport};

const UNIX: u8 = 1;
const UDP: u8 = 17;

impl Counter {
    pub(super) fn edge(&mut self, counted: &Counted<'_>, memo: &mut Memo) {
        let open = counted.open;
        let local = (open.local_address, open.local_port);
        let remote = (open.remote_address, open.remote_port);
        let (client, server) = if counted.served { (remote, local) } else { (local, remote) };
        let (at, served) = (counted.began, counted.served);
        let end = |party, beyond, address, port, far| End { party, beyond, address, port, far, at };
        let port_behind = counted.server_beyond.and_then(Beyond::port).filter(|_| counted.server().is_none());
        let of_client = end(counted.client(), counted.client_beyond, client.0, 0, served);
        let of_server = end(counted.server(), counted.server_beyond, server.0, server.1, !served);
        let key = EdgeKey {
            client: self.entity(&of_client, Some(open)),
            server: self.entity(&of_server, Some(open)),
            server_port: port_behind.unwrap_or(server.1),
            side: if counted.served { Side::Server } else { Side::Client },
            transport: match (open.family, open.transport) {
                (UNIX, _) => Transport::Unix,
                (_, UDP) => Transport::Udp,
                _ => Transport::Tcp,
            },
            guessed: counted.guessed,
        };
        let mut seen = seen(counted.delta, counted.served);
        if key.transport != Transport::Tcp {
            // Nobody has opened these.
            seen.sums.closed = 0;
        }
        self.windows.edge(&key, &seen, &mut memo.opened);
    }
}

/// What is new, put as client and server in place of here and there.
fn seen(delta: &Delta, served: bool) -> EdgeSeen {
    let order = |out: u64, back: u64| if served { (back, out) } else { (out, back) };
    let (bytes_to_server, bytes_to_client) = order(delta.sent, delta.received);
    let (segments_to_server, segments_to_client) = order(delta.segments_out, delta.segments_in);
    let ended = |ending| u64::from(delta.ending == Some(ending));
    let (resets_by_client, resets_by_server) = order(ended(Ending::ResetByUs), ended(Ending::ResetByPeer));
    let failed = |failure| u64::from(delta.failure == Some(failure));
    let sums = EdgeSums {
        opened: delta.opened.into(),
        closed: delta.ending.is_some().into(),
        bytes_to_server,
        bytes_to_client,
        segments_to_server,
        segments_to_client,
        retransmitted_segments: delta.retransmitted,
        retransmitted_bytes: delta.retransmitted_bytes,
        acked_bytes: delta.acked,
        lost_segments: delta.lost,
        reordered: delta.reordered,
        duplicate_segments: delta.duplicates,
        busy_us: delta.busy_us,
        receive_window_us: delta.receive_window_us,
        send_buffer_us: delta.send_buffer_us,
        refused: failed(Failure::Refused),
        connect_timed_out: failed(Failure::TimedOut),
        unreachable: failed(Failure::Unreachable),
        abandoned: failed(Failure::Abandoned),
        failed_otherwise: failed(Failure::Other),
        resets_by_client,
        resets_by_server,
        timed_out: ended(Ending::TimedOut),
    };
    let nanoseconds = |us: u32| (us != 0).then_some(u64::from(us) * 1000);
    EdgeSeen {
        sums,
        connect_ns: delta.connect_ns,
        accept_ns: delta.accept_ns,
        rtt_ns: nanoseconds(delta.rtt_us),
        rtt_min_ns: nanoseconds(delta.rtt_min_us),
        open: !delta.is_end(),
    }
}

#[cfg(test)]
mod tests {
    use crate::pipeline::{self, Pipeline, Selected};
    use crate::slow::Thresholds;
    use crate::windows::Counter;
    use std::sync::Arc;
    use steth_event::{
        Books, IntoBytes as _, LISTEN_BEGINS, Listen, Open, Process, ROLE_CLIENT, ROLE_SERVER, Tick, kind,
    };
    use steth_window::{EdgeRow, Limits, Side, Window};

    const SECOND: u64 = 1_000_000_000;

    struct Bench(Pipeline<Counter>);

    impl Bench {
        fn new() -> Self {
            let counter = Counter::new(0, Limits::default(), Thresholds::new(|_| std::time::Duration::from_secs(1)));
            let mut bench = Self(Pipeline::new(&pipeline::Limits::default(), Selected::ALL, counter));
            for (pid, name) in [(10, "web"), (20, "shop")] {
                bench.0.record(&Process { pid, name: name.into(), ..Process::default() }.to_record());
            }
            bench
        }

        fn tick(&mut self, milliseconds: u64) {
            let tick = Tick { kind: kind::TICK, time: milliseconds * 1_000_000, ..Tick::default() };
            self.0.record(tick.as_bytes());
        }

        fn roll(&mut self, seconds: u64) -> Arc<Window> {
            let (counter, tables) = self.0.observer_and_tables();
            counter.roll(seconds * SECOND, tables).expect("a window")
        }
    }

    fn open(connection: u64, role: u8, tgid: u32, (local_port, remote_port): (u16, u16)) -> Open {
        let mut open = Open {
            kind: kind::OPEN,
            family: 2,
            transport: 6,
            role,
            counted: 1,
            tgid,
            netns: 1,
            connection,
            time: SECOND,
            established: 500,
            connect_started: if role == ROLE_CLIENT { 200 } else { 0 },
            local_port,
            remote_port,
            ..Open::default()
        };
        open.local_address[..4].copy_from_slice(&[127, 0, 0, 1]);
        open.remote_address[..4].copy_from_slice(&[127, 0, 0, 1]);
        open
    }

    fn books(kind: u8, connection: u64, bytes_sent: u64) -> Books {
        Books { kind, connection, time: SECOND, bytes_sent, segments_in: 1, srtt_us: 40, ..Books::default() }
    }

    fn edge(window: &Window, side: Side) -> &EdgeRow {
        let mut rows = window.edges.iter().filter(|row| row.side == side);
        let row = rows.next().expect("a row");
        assert!(rows.next().is_none(), "one edge: {:?}", window.edges);
        row
    }

    #[test]
    fn a_connection_that_is_over_at_once_still_has_both_its_ends() {
        let mut bench = Bench::new();
        let server = open(2, ROLE_SERVER, 20, (80, 40_000));
        bench.0.record(server.as_bytes());
        bench.0.record(books(kind::CLOSE, 2, 7).as_bytes());
        bench.0.record(open(1, ROLE_CLIENT, 10, (40_000, 80)).as_bytes());
        bench.0.record(books(kind::CLOSE, 1, 5).as_bytes());
        bench.tick(1_300);
        bench.tick(1_600);
        let window = bench.roll(11);
        for side in [Side::Client, Side::Server] {
            let row = edge(&window, side);
            assert_eq!((&*row.client, &*row.server, row.server_port, row.guessed), ("web", "shop", 80, false));
            assert_eq!((row.totals.sums.opened, row.totals.sums.closed, row.totals.open), (1, 1, 0));
        }
        let sums = |side| edge(&window, side).totals.sums;
        assert_eq!((sums(Side::Client).bytes_to_server, sums(Side::Server).bytes_to_client), (5, 7));
        assert_eq!(edge(&window, Side::Client).totals.connect.max(), Some(300));
        assert_eq!(edge(&window, Side::Server).totals.rtt.max(), Some(40_000));
        assert_eq!(bench.0.account().flow.holes, 0, "nothing was read, so nothing is missing");
    }

    /// The client goes to a service's address, and somebody on the way sends it to the server's: 10.0.0.9:80 is 127.0.0.1:8080.
    #[test]
    fn ends_that_know_each_other_by_other_addresses_meet_by_their_sequence_numbers() {
        for counted in [0, 1] {
            let mut bench = Bench::new();
            let mut client = Open { began_sent: 70, began_received: 90, ..open(1, ROLE_CLIENT, 10, (40_000, 80)) };
            client.remote_address[..4].copy_from_slice(&[10, 0, 0, 9]);
            let mut server = Open { began_sent: 90, began_received: 70, ..open(2, ROLE_SERVER, 20, (8080, 1024)) };
            server.remote_address[..4].copy_from_slice(&[172, 17, 0, 1]);
            for one in [&mut client, &mut server] {
                one.counted = counted;
            }
            if counted == 0 {
                bench.0.record(client.as_bytes());
                bench.0.record(server.as_bytes());
                bench.0.record(books(kind::PROGRESS, 1, 5).as_bytes());
                bench.0.record(books(kind::PROGRESS, 2, 7).as_bytes());
            } else {
                bench.0.record(client.as_bytes());
                bench.0.record(books(kind::CLOSE, 1, 5).as_bytes());
                bench.tick(1_050);
                bench.0.record(server.as_bytes());
                bench.0.record(books(kind::CLOSE, 2, 7).as_bytes());
                bench.tick(1_300);
            }
            let window = bench.roll(11);
            for side in [Side::Client, Side::Server] {
                let row = edge(&window, side);
                assert_eq!((&*row.client, &*row.server, row.server_port), ("web", "shop", 8080), "{side:?} {counted}");
            }
        }
    }

    /// A sweep looks at sockets one after the other, and a client that has not said anything yet is announced by it.
    #[test]
    fn a_server_that_is_looked_at_before_its_client_waits_for_it() {
        for (announced, client) in [(true, "web"), (false, "127.0.0.1")] {
            let mut bench = Bench::new();
            bench.0.record(open(2, ROLE_SERVER, 20, (80, 40_000)).as_bytes());
            bench.0.record(books(kind::PROGRESS, 2, 7).as_bytes());
            bench.tick(1_050);
            if announced {
                bench.0.record(open(1, ROLE_CLIENT, 10, (40_000, 80)).as_bytes());
            }
            bench.tick(1_600);
            let first = bench.roll(11);
            bench.0.record(books(kind::PROGRESS, 2, 9).as_bytes());
            let second = bench.roll(21);
            for (window, opened, bytes) in [(first, 1, 7), (second, 0, 2)] {
                let row = edge(&window, Side::Server);
                assert_eq!((&*row.client, &*row.server), (client, "shop"));
                let sums = row.totals.sums;
                assert_eq!((sums.opened, sums.bytes_to_client, row.totals.open), (opened, bytes, 1), "{client}");
            }
        }
    }

    #[test]
    fn what_is_told_in_one_window_is_not_told_in_the_next() {
        let mut bench = Bench::new();
        bench.0.record(open(1, ROLE_CLIENT, 10, (40_000, 80)).as_bytes());
        bench.0.record(books(kind::PROGRESS, 1, 1_000).as_bytes());
        let first = bench.roll(11);
        bench.0.record(books(kind::PROGRESS, 1, 1_001).as_bytes());
        let second = bench.roll(21);
        let bytes = |window: &Window| edge(window, Side::Client).totals.sums.bytes_to_server;
        assert_eq!((bytes(&first), bytes(&second)), (1_000, 1));
        assert_eq!((edge(&first, Side::Client).totals.open, edge(&second, Side::Client).totals.open), (1, 1));
    }

    #[test]
    fn who_listens_is_the_server_and_without_anybody_the_lower_port_is_a_guess() {
        let old = |connection, ports| Open { established: 0, connect_started: 0, ..open(connection, 0, 20, ports) };
        for (listens, expected) in [(true, (40_000, Side::Server, false)), (false, (80, Side::Client, true))] {
            let mut bench = Bench::new();
            let listen = Listen {
                kind: kind::LISTEN,
                change: LISTEN_BEGINS,
                tgid: 20,
                netns: 1,
                port: 40_000,
                ..Listen::default()
            };
            if listens {
                bench.0.record(listen.as_bytes());
            }
            bench.0.record(old(1, (40_000, 80)).as_bytes());
            bench.0.record(books(kind::PROGRESS, 1, 1_000).as_bytes());
            let window = bench.roll(11);
            let row = &window.edges[0];
            assert_eq!((row.server_port, row.side, row.guessed), expected);
            assert_eq!((row.totals.sums.bytes_to_client, row.totals.sums.bytes_to_server), (0, 0), "a baseline");
        }
    }
}
