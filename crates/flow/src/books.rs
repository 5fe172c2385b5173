//! What the kernel's books of a connection say beyond what they said last.

use crate::Connection;
use steth_event::{
    Books, CLOSE_RESET_BY_PEER, CLOSE_RESET_BY_US, CLOSE_TIMED_OUT, Open, ROLE_CLIENT, ROLE_NETWORK, kind,
};

/// `IPPROTO_TCP`.
const TCP: u8 = 6;

/// Why a connection was never established, by the error that the kernel keeps for the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Somebody answered that nobody listens there (`ECONNREFUSED`).
    Refused,
    /// Nobody answered at all (`ETIMEDOUT`).
    TimedOut,
    /// A router, or this host, said that there is no way (`EHOSTUNREACH`, `ENETUNREACH`, `ENETDOWN`).
    Unreachable,
    /// No error: the application closed the socket while it was waiting, as with a time limit of its own.
    Abandoned,
    /// Another error.
    Other,
}

/// How a connection that had been established ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// In order.
    Closed,
    /// The peer sent a reset.
    ResetByPeer,
    /// The observed end sent one: it was closed with bytes unread, or without lingering.
    ResetByUs,
    /// The kernel gave up on the peer.
    TimedOut,
}

/// What is new in the books of a connection. All counts are since the last books of it, the first ones since its beginning or,
/// where it is older than the agent, since the agent came: added up, they are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// It was established under the agent's eyes, and these are its first books.
    pub opened: bool,
    /// From the SYN to the establishment, nanoseconds; with the first books of a client's connection.
    pub connect_ns: Option<u64>,
    /// From the establishment to the return of `accept()`, nanoseconds; with the first books of a server's connection that know it.
    pub accept_ns: Option<u64>,
    /// It was never established, and this is its end.
    pub failure: Option<Failure>,
    /// It had been established, and this is its end.
    pub ending: Option<Ending>,
    /// Bytes that the application sent.
    pub sent: u64,
    /// Bytes that the application read.
    pub received: u64,
    /// Bytes of it that the peer's kernel has confirmed.
    pub acked: u64,
    /// Segments of TCP, datagrams of UDP, calls on unix sockets.
    pub segments_out: u64,
    /// The same, the other way.
    pub segments_in: u64,
    /// Segments that were sent again.
    pub retransmitted: u64,
    /// Bytes that were sent again.
    pub retransmitted_bytes: u64,
    /// Times that segments were found out of order.
    pub reordered: u64,
    /// Segments that were taken for lost.
    pub lost: u64,
    /// Segments that had arrived twice.
    pub duplicates: u64,
    /// Microseconds in which something was on its way or waiting to be.
    pub busy_us: u64,
    /// Of them, those in which the peer's window let no more out.
    pub receive_window_us: u64,
    /// Of them, those in which the send buffer held no more.
    pub send_buffer_us: u64,
    /// Smoothed round-trip time, microseconds, if a segment has come in since; 0 otherwise.
    pub rtt_us: u32,
    /// The least round-trip time of the last minutes, microseconds; 0 if there was no sample.
    pub rtt_min_us: u32,
}

impl Delta {
    /// Whether the connection is over.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.failure.is_some() || self.ending.is_some()
    }
}

/// Whether the first books of a connection say only where the count begins.
fn is_older(open: &Open) -> bool {
    open.transport == TCP && open.family != 1 && open.established == 0 && open.connect_started == 0
}

fn failure(error: u32) -> Failure {
    match error {
        111 => Failure::Refused,
        110 => Failure::TimedOut,
        100 | 101 | 113 => Failure::Unreachable,
        0 => Failure::Abandoned,
        _ => Failure::Other,
    }
}

fn ending(flags: u8) -> Ending {
    if flags & CLOSE_TIMED_OUT != 0 {
        Ending::TimedOut
    } else if flags & CLOSE_RESET_BY_PEER != 0 {
        Ending::ResetByPeer
    } else if flags & CLOSE_RESET_BY_US != 0 {
        Ending::ResetByUs
    } else {
        Ending::Closed
    }
}

/// Takes the books in. `None`: they are of packets in a capture, which the kernel has no books of, or the announcement, and with it who
/// it is, was lost.
pub(crate) fn take<S>(connection: &mut Connection<S>, now: &Books) -> Option<Delta> {
    let open = connection.open.as_ref().filter(|_| connection.role != ROLE_NETWORK)?;
    let first = connection.books.is_none();
    let established = if now.established == 0 { open.established } else { now.established };
    let failed = open.connect_started != 0 && established == 0;
    // Where nothing is known of before, these are what later ones are compared with.
    let last = match &mut connection.books {
        Some(books) => books,
        none => none.insert(Box::new(if is_older(open) { *now } else { Books::default() })),
    };
    // A segment may arrive in the middle of a look: what a count loses by that, it has again at the next one.
    macro_rules! since {
        ($field:ident) => {{
            let passed = u64::from(now.$field.saturating_sub(last.$field));
            last.$field = last.$field.max(now.$field);
            passed
        }};
    }
    let mut delta = Delta {
        opened: first && established != 0,
        connect_ns: None,
        accept_ns: None,
        failure: None,
        ending: None,
        sent: since!(bytes_sent),
        received: since!(bytes_received),
        acked: since!(bytes_acked),
        segments_out: since!(segments_out),
        segments_in: since!(segments_in),
        retransmitted: since!(retransmitted),
        retransmitted_bytes: since!(retransmitted_bytes),
        reordered: since!(reordered),
        lost: since!(lost),
        duplicates: since!(duplicates),
        busy_us: since!(busy_us),
        receive_window_us: since!(receive_window_us),
        send_buffer_us: since!(send_buffer_us),
        rtt_us: 0,
        rtt_min_us: now.rtt_min_us,
    };
    // Of what is no count, the last look is what there is to say.
    last.time = now.time;
    (last.srtt_us, last.rtt_deviation_us, last.rtt_min_us) = (now.srtt_us, now.rtt_deviation_us, now.rtt_min_us);
    (last.unacked, last.unread, last.send_window) = (now.unacked, now.unread, now.send_window);
    last.congestion = now.congestion;
    if delta.segments_in > 0 && !failed {
        delta.rtt_us = now.srtt_us;
    }
    if delta.opened && open.role == ROLE_CLIENT && open.connect_started != 0 {
        delta.connect_ns = Some(established.saturating_sub(open.connect_started));
    }
    if last.accepted == 0 && now.accepted != 0 && established != 0 {
        last.accepted = now.accepted;
        delta.accept_ns = Some(now.accepted.saturating_sub(established));
    }
    if now.kind == kind::CLOSE {
        if failed {
            delta.failure = Some(failure(now.error));
        } else {
            delta.ending = Some(ending(now.flags));
        }
    }
    Some(delta)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn connection(open: Open) -> Connection<()> {
        let mut connection = Connection::new(1);
        connection.open = Some(Open { transport: TCP, family: 2, ..open });
        connection
    }

    fn fresh() -> Open {
        Open { role: ROLE_CLIENT, connect_started: 1_000, established: 4_000, ..Open::default() }
    }

    fn progress(bytes_sent: u64, retransmitted: u32) -> Books {
        Books { kind: kind::PROGRESS, bytes_sent, retransmitted, ..Books::default() }
    }

    #[test]
    fn a_connection_that_was_there_before_counts_from_when_it_was_found() {
        let mut old = connection(Open::default());
        let first = take(&mut old, &progress(1_000, 5)).expect("known");
        assert_eq!(first, Delta::default());
        let next = take(&mut old, &progress(1_007, 6)).expect("known");
        assert_eq!((next.sent, next.retransmitted, next.opened), (7, 1, false));
    }

    #[test]
    fn a_fresh_connection_counts_from_its_beginning() {
        let mut fresh = connection(fresh());
        let first = take(&mut fresh, &progress(1_000, 5)).expect("known");
        assert_eq!((first.sent, first.opened, first.connect_ns), (1_000, true, Some(3_000)));
        let next = take(&mut fresh, &Books { kind: kind::CLOSE, ..progress(1_000, 5) }).expect("known");
        assert_eq!(next, Delta { ending: Some(Ending::Closed), ..Delta::default() });
    }

    #[test]
    fn failures_are_told_apart_and_a_short_connection_is_none() {
        let connecting = || connection(Open { established: 0, ..fresh() });
        for (error, expected) in [
            (111, Failure::Refused),
            (110, Failure::TimedOut),
            (113, Failure::Unreachable),
            (101, Failure::Unreachable),
            (0, Failure::Abandoned),
            (99, Failure::Other),
        ] {
            let end = Books { kind: kind::CLOSE, error, ..Books::default() };
            let delta = take(&mut connecting(), &end).expect("known");
            assert_eq!((delta.failure, delta.ending, delta.opened), (Some(expected), None, false));
        }
        let end = Books { kind: kind::CLOSE, ..Books::default() };
        let delta = take(&mut connection(fresh()), &end).expect("known");
        assert_eq!((delta.failure, delta.ending, delta.opened), (None, Some(Ending::Closed), true));
    }

    #[test]
    fn the_wait_for_accept_is_told_once() {
        let mut served = connection(Open { established: 4_000, ..Open::default() });
        let books = |accepted| Books { accepted, ..progress(1, 0) };
        let waits = [0, 4_500, 4_500].map(|accepted| take(&mut served, &books(accepted)).expect("known").accept_ns);
        assert_eq!(waits, [None, Some(500), None]);
    }

    #[test]
    fn the_last_look_is_kept_as_it_was_and_counts_never_go_back() {
        let mut fresh = connection(fresh());
        assert_eq!(fresh.books, None);
        let look = |time, unacked, retransmitted| Books { time, unacked, congestion: 10, ..progress(1, retransmitted) };
        for books in [look(5, 100, 2), look(9, 7, 1)] {
            take(&mut fresh, &books).expect("known");
        }
        let last = fresh.books.as_deref().expect("two looks");
        assert_eq!((last.time, last.unacked, last.retransmitted, last.congestion), (9, 7, 2, 10));
    }

    #[test]
    fn captures_and_the_unannounced_have_no_books() {
        let mut network = connection(fresh());
        network.role = ROLE_NETWORK;
        assert_eq!(take(&mut network, &progress(1, 1)), None);
        assert_eq!(take(&mut Connection::<()>::new(1), &progress(1, 1)), None);
    }

    proptest! {
        #[test]
        fn deltas_add_up_to_the_highest_count_whatever_a_look_missed(counts in prop::collection::vec(0..1_000_000u64, 1..20)) {
            let mut fresh = connection(fresh());
            let total: u64 = counts.iter().filter_map(|count| take(&mut fresh, &progress(*count, 0))).map(|d| d.sent).sum();
            prop_assert_eq!(Some(&total), counts.iter().max());
        }
    }
}
