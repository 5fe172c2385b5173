//! Chunks of threads that use one socket at once, and what comes too late.

use crate::{Connection, Content, Counts, End, Flow, Segment, Sink};
use proptest::prelude::*;
use steth_event::{Books, CHUNK_MISSED, CHUNK_UNREAD, Chunk, Open, RECEIVE, ROLE_CLIENT, ROLE_SERVER, SEND};

/// What the sink was told, a line each.
#[derive(Default)]
struct Told(Vec<String>, Vec<bool>);

impl Sink for Told {
    type State = ();

    fn segment(&mut self, _: &mut Connection<()>, direction: u8, segment: &Segment<'_>) {
        let way = ["sent", "received"][usize::from(direction)];
        self.1.push(segment.turn);
        self.0.push(match segment.content {
            Content::Captured(bytes) => format!("{way} {}", String::from_utf8_lossy(bytes)),
            Content::Skipped(n) => format!("{way} skipped {n}"),
            Content::Lost(n) => format!("{way} lost {n}"),
        });
    }

    fn late(&mut self, _: &mut Connection<()>, direction: u8, segment: &Segment<'_>) {
        let Content::Captured(bytes) = segment.content else { return };
        self.0.push(format!(
            "{} late {}",
            ["sent", "received"][usize::from(direction)],
            String::from_utf8_lossy(bytes)
        ));
    }

    fn shutdown(&mut self, _: &mut Connection<()>, _: u8, _: u64) {}

    fn closed(&mut self, _: &mut Connection<()>, _: End, _: u64) {
        self.0.push("closed".into());
    }
}

/// One connection, both of whose directions begin at 0.
struct Kit {
    flow: Flow<()>,
    told: Told,
}

impl Kit {
    fn new(role: u8) -> Self {
        let mut kit = Self { flow: Flow::new(10), told: Told::default() };
        kit.flow.open(&Open { connection: 1, role, transport: 6, family: 2, ..Open::default() }, &mut kit.told);
        kit
    }

    fn chunk(&mut self, direction: u8, offset: u64, opposite: u64, time: u64, text: &str) -> &mut Self {
        let length = text.len() as u32;
        self.record(Chunk { direction, offset, opposite, time, length, ..Chunk::default() }, text.as_bytes())
    }

    /// What a call says of the bytes before it, for which no hook ran.
    fn missed(&mut self, direction: u8, offset: u64, opposite: u64, time: u64, length: u32) -> &mut Self {
        let flags = CHUNK_UNREAD | CHUNK_MISSED;
        self.record(Chunk { direction, offset, opposite, time, length, flags, ..Chunk::default() }, &[])
    }

    fn record(&mut self, chunk: Chunk, data: &[u8]) -> &mut Self {
        let chunk = Chunk { connection: 1, captured: data.len() as u16, protocol: 1, ..chunk };
        self.flow.chunk(&chunk, data, &mut self.told);
        self
    }

    fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told.0)
    }

    fn counts(&self) -> Counts {
        self.flow.counts()
    }
}

/// One thread sends and another one receives. The sender is told of what it sent only once the answer has been read, so
/// that each chunk says that the other one was before it.
#[test]
fn of_two_that_wait_for_each_other_the_request_comes_first() {
    for (role, request, response) in [(ROLE_CLIENT, SEND, RECEIVE), (ROLE_SERVER, RECEIVE, SEND)] {
        for request_first in [true, false] {
            let mut kit = Kit::new(role);
            // Whatever the clock says: the times are taken where the positions are.
            if request_first {
                kit.chunk(request, 0, 6, 20, "ask").chunk(response, 0, 3, 10, "answer");
            } else {
                kit.chunk(response, 0, 3, 10, "answer").chunk(request, 0, 6, 20, "ask");
            }
            let told: Vec<_> =
                kit.told().iter().map(|line| line.split(' ').nth(1).unwrap_or_default().into()).collect();
            let told: Vec<String> = told;
            assert_eq!(told, ["ask", "answer"], "{role} {request_first}");
            assert_eq!((kit.counts().holes, kit.counts().late_bytes), (0, 0));
        }
    }
}

/// A request that was told of late says no more than that its response may begin where nothing of it had been read.
#[test]
fn a_request_that_waits_for_its_response_is_answered_by_it() {
    struct Opposite(Vec<(u8, u64)>);
    impl Sink for Opposite {
        type State = ();
        fn segment(&mut self, _: &mut Connection<()>, direction: u8, segment: &Segment<'_>) {
            self.0.push((direction, segment.opposite));
        }
        fn shutdown(&mut self, _: &mut Connection<()>, _: u8, _: u64) {}
        fn closed(&mut self, _: &mut Connection<()>, _: End, _: u64) {}
    }
    let (mut flow, mut told) = (Flow::new(10), Opposite(Vec::new()));
    flow.open(&Open { connection: 1, role: ROLE_CLIENT, transport: 6, family: 2, ..Open::default() }, &mut told);
    let chunk = |direction, opposite| Chunk {
        connection: 1,
        direction,
        opposite,
        length: 3,
        captured: 3,
        protocol: 1,
        ..Chunk::default()
    };
    flow.chunk(&chunk(RECEIVE, 3), b"yes", &mut told);
    flow.chunk(&chunk(SEND, 3), b"may", &mut told);
    assert_eq!(told.0, [(SEND, 0), (RECEIVE, 3)]);
}

/// The kernel did not run the program at a response: it saw one turn where there were two. What comes next begins one all the same, or a
/// response that begins exactly there would be nobody's.
#[test]
fn what_follows_a_message_that_was_missed_begins_a_turn() {
    let mut kit = Kit::new(ROLE_SERVER);
    kit.chunk(RECEIVE, 0, 0, 10, "ask").chunk(RECEIVE, 3, 6, 20, "more").chunk(SEND, 6, 7, 30, "answer");
    kit.flow.tick(1_000_000_000, false, &mut kit.told);
    assert_eq!(kit.told(), ["received ask", "sent lost 6", "received more", "sent answer"]);
    assert_eq!(kit.told.1, [false, false, true, false]);
    // Where something of its own direction is missing, too, it may begin in the middle.
    kit.chunk(RECEIVE, 9, 18, 40, "rest");
    kit.flow.tick(2_000_000_000, false, &mut kit.told);
    assert_eq!(kit.told(), ["sent lost 6", "received lost 2", "received rest"]);
    assert_eq!(kit.told.1.last(), Some(&false));
}

/// A send takes its time from the socket's clock, which may have been read before the request that it answers was taken. It waits for that
/// all the same.
#[test]
fn behind_a_missed_message_a_response_waits_for_its_request_whatever_the_clock_says() {
    let mut kit = Kit::new(ROLE_SERVER);
    kit.chunk(RECEIVE, 0, 0, 10, "ask").chunk(SEND, 6, 7, 15, "answer").chunk(RECEIVE, 3, 6, 20, "more");
    kit.flow.tick(1_000_000_000, false, &mut kit.told);
    assert_eq!(kit.told(), ["received ask", "sent lost 6", "received more", "sent answer"]);
    assert_eq!(kit.told.1, [false, false, true, false]);
}

/// The send behind it tells of a response for which no program ran, and that the next request had come by then. That says that the response
/// had moved before it, and goes behind it.
#[test]
fn a_missed_response_goes_before_the_request_that_follows_it() {
    let mut kit = Kit::new(ROLE_SERVER);
    kit.chunk(RECEIVE, 0, 0, 10, "ask").chunk(RECEIVE, 3, 6, 20, "more").missed(SEND, 0, 7, 30, 6);
    kit.chunk(SEND, 6, 7, 30, "answer");
    assert_eq!(kit.told(), ["received ask", "sent skipped 6", "received more", "sent answer"]);
    assert_eq!(kit.told.1, [false, false, true, true], "each but the first is of a turn of its own");
    assert_eq!(kit.counts().holes, 0);
}

/// As above at a client, whose responses were spliced out of the socket; the first of them that was read tells of all.
#[test]
fn missed_responses_go_between_the_requests_that_say_where_they_ended() {
    let mut kit = Kit::new(ROLE_CLIENT);
    kit.chunk(SEND, 0, 0, 10, "one").chunk(SEND, 3, 6, 20, "two").chunk(SEND, 6, 10, 30, "three");
    kit.missed(RECEIVE, 0, 11, 40, 10).chunk(RECEIVE, 10, 11, 40, "answer");
    let told = kit.told();
    assert_eq!(
        told,
        ["sent one", "received skipped 6", "sent two", "received skipped 4", "sent three", "received answer"]
    );
    assert_eq!(kit.told.1, [false, false, true, true, true, true]);
    assert_eq!(kit.counts().holes, 0);
}

/// A request for which no program ran. Its response was told of before it.
#[test]
fn a_missed_request_goes_before_its_response() {
    let mut kit = Kit::new(ROLE_SERVER);
    kit.chunk(RECEIVE, 0, 0, 10, "ask").chunk(SEND, 0, 3, 15, "answer").chunk(SEND, 6, 7, 20, "more");
    kit.missed(RECEIVE, 3, 10, 30, 4).chunk(RECEIVE, 7, 10, 30, "again");
    let told = kit.told();
    assert_eq!(told, ["received ask", "sent answer", "received skipped 4", "sent more", "received again"]);
    assert_eq!(kit.counts().holes, 0);
}

/// A thread that was interrupted behind its send, while another one goes on receiving what others ask for.
#[test]
fn thousands_of_short_chunks_wait_for_one() {
    let mut kit = Kit::new(ROLE_CLIENT);
    kit.chunk(SEND, 3, 0, 1, "two");
    for n in 1..3000 {
        kit.chunk(SEND, 3 + 3 * n, 0, 1 + n, "and");
    }
    assert_eq!((kit.told().len(), kit.counts().holes), (0, 0));
    kit.chunk(SEND, 0, 0, 3001, "one");
    let told = kit.told();
    assert_eq!((told.len(), &told[0], &told[1], kit.counts().holes), (3001, &"sent one".into(), &"sent two".into(), 0));
}

/// What turns up behind its hole is told of once; what has been handed on is not.
#[test]
fn what_comes_after_it_was_given_up_is_told_as_late() {
    let mut kit = Kit::new(ROLE_CLIENT);
    kit.chunk(SEND, 0, 0, 1, "one").chunk(SEND, 6, 0, 2, "three");
    kit.flow.tick(1_000_000_000, false, &mut kit.told);
    assert_eq!(kit.told(), ["sent one", "sent lost 3", "sent three"]);
    kit.chunk(SEND, 3, 0, 3, "two");
    assert_eq!(kit.told(), ["sent late two"]);
    kit.chunk(SEND, 3, 0, 3, "two").chunk(SEND, 0, 0, 1, "one");
    assert_eq!(kit.told(), [""; 0]);
    assert_eq!((kit.counts().lost_bytes, kit.counts().late_bytes), (3, 9));
}

/// Found at a send, while what a receive had just taken was not told of yet.
#[test]
fn what_comes_from_before_the_first_position_is_told_as_late() {
    let mut kit = Kit { flow: Flow::new(10), told: Told::default() };
    let open =
        Open { connection: 1, role: ROLE_CLIENT, transport: 6, family: 2, sent: 10, received: 6, ..Open::default() };
    kit.flow.open(&open, &mut kit.told);
    kit.chunk(SEND, 10, 6, 5, "ask").chunk(RECEIVE, 0, 13, 6, "before").chunk(RECEIVE, 6, 13, 7, "answer");
    assert_eq!(kit.told(), ["sent ask", "received late before", "received answer"]);
}

/// An end that comes before the last chunks does not overtake them.
#[test]
fn the_end_waits_for_two_that_wait_for_each_other() {
    let mut kit = Kit::new(ROLE_CLIENT);
    kit.chunk(RECEIVE, 0, 3, 1, "answer");
    kit.flow.close(&Books { connection: 1, sent: 3, received: 6, time: 3, ..Books::default() }, &mut kit.told);
    kit.chunk(SEND, 0, 6, 2, "ask");
    assert_eq!(kit.told(), ["sent ask", "received answer", "closed"]);
}

proptest! {
    /// Two threads at one socket, each of whose chunks is told of some time after it moved: positions of the other direction
    /// are those of that later moment. Every byte comes once and in order, and no response before its request.
    #[test]
    fn what_two_threads_do_is_put_in_order(
        delays in prop::collection::vec((0u64..40, 0u64..40), 1..60),
        behind in 0u64..20,
    ) {
        // (told at, direction, offset) of requests at 10 n and their responses at 10 n + 3; a thread tells in order.
        let mut moves = Vec::new();
        let mut told_until = [0u64; 2];
        for (n, (asks, answers)) in (0u64..).zip(&delays) {
            for (direction, moved, delay) in [(SEND, 10 * n, asks), (RECEIVE, 10 * n + 3, answers)] {
                let until = &mut told_until[usize::from(direction)];
                *until = (moved + delay).max(*until + 1);
                moves.push((*until, direction, n));
            }
        }
        let count = delays.len() as u64;
        let positions = |time: u64| [(time / 10 + 1).min(count), ((time + 7) / 10).min(count)];
        // Records of two threads go by two rings, of which one may be read later.
        moves.sort_by_key(|(told, direction, _)| told + behind * u64::from(*direction == SEND));
        let mut kit = Kit::new(ROLE_CLIENT);
        for (told, direction, n) in &moves {
            let opposite = positions(*told)[usize::from(1 - direction)];
            kit.chunk(*direction, *n, opposite, *told, "x");
        }
        let mut seen = [0u64; 2];
        for line in kit.told() {
            let direction = usize::from(line.starts_with("received"));
            prop_assert!(line.ends_with(" x"), "{}", line);
            seen[direction] += 1;
            prop_assert!(seen[1] <= seen[0], "a response before its request");
        }
        prop_assert_eq!(seen, [count, count]);
        prop_assert_eq!((kit.counts().holes, kit.counts().late_bytes), (0, 0));
    }
}
