//! What holds for any conversation, however it is split and whatever is missing.

use super::talk::{Talk, talk};
use crate::parser::Parser as _;
use crate::{Bytes, Direction, End, Exchange, State, Status};
use proptest::prelude::*;
use steth_ledger::Lost;

/// How a body is framed.
#[derive(Clone, Copy, Debug)]
enum Body {
    None,
    Length(usize),
    Chunked(usize),
}

impl Body {
    fn write(self, head: &mut String) {
        match self {
            Body::None => head.push_str("Content-Length: 0\r\n\r\n"),
            Body::Length(n) => *head += &format!("Content-Length: {n}\r\n\r\n{}", "b".repeat(n)),
            Body::Chunked(n) => {
                head.push_str("Transfer-Encoding: chunked\r\n\r\n");
                for _ in 0..n {
                    head.push_str("4\r\nGET \r\n");
                }
                head.push_str("0\r\nTrailer: 1\r\n\r\n");
            }
        }
    }
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![Just(Body::None), (1..80usize).prop_map(Body::Length), (0..6usize).prop_map(Body::Chunked)]
}

/// A request and its response as they are written. The n-th has status 400 + n, so a wrong pair shows.
#[derive(Clone, Debug)]
struct Both {
    request: String,
    response: String,
}

fn both() -> impl Strategy<Value = Both> {
    (body(), body(), 0..3usize, 0..4usize, any::<bool>()).prop_map(|(upload, download, interim, method, pad)| {
        let method = ["GET", "POST", "HEAD", "PROPFIND"][method];
        let mut request = format!("{method} /a/b HTTP/1.1\r\nHost: example.org\r\n");
        if pad {
            request += "X-Folded: a\r\n b\r\n";
        }
        upload.write(&mut request);
        let mut response = "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n".repeat(interim);
        response += "HTTP/1.1 STATUS Reason\r\n";
        let download = if method == "HEAD" { Body::None } else { download };
        download.write(&mut response);
        Both { request, response }
    })
}

/// What happens to the bytes of one piece.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Captured,
    Skipped,
    Lost,
}

/// Feeds a conversation: `pipeline` requests at a time, then their responses, in pieces of these sizes and fates.
/// Gives the true response status for the offset of each request.
fn converse(t: &mut Talk, pairs: &[Both], pipeline: usize, cuts: &[(usize, Fate)]) -> Vec<(u64, u16)> {
    let mut cuts = cuts.iter().copied().cycle();
    let (mut truth, mut offset, mut status) = (Vec::new(), 0, 400);
    for group in pairs.chunks(pipeline) {
        let (mut requests, mut responses) = (String::new(), String::new());
        for pair in group {
            truth.push((offset, status));
            offset += pair.request.len() as u64;
            requests += &pair.request;
            responses += &pair.response.replace("STATUS", &status.to_string());
            status += 1;
        }
        for (direction, bytes) in [(Direction::Request, requests), (Direction::Response, responses)] {
            let mut rest = bytes.as_bytes();
            while !rest.is_empty() {
                let (size, fate) = cuts.next().unwrap_or((usize::MAX, Fate::Captured));
                let (piece, behind) = rest.split_at(size.min(rest.len()));
                rest = behind;
                let n = piece.len() as u64;
                t.feed(
                    direction,
                    match fate {
                        Fate::Captured => Bytes::Captured(piece),
                        Fate::Skipped => Bytes::Skipped(n),
                        Fate::Lost => Bytes::Lost(n),
                    },
                );
            }
        }
    }
    truth
}

/// Feeds the same conversation as full pipelining would have it: a response comes at any time behind its request, and
/// the next requests come at any time.
fn interleave(t: &mut Talk, pairs: &[Both], steps: &[(bool, usize, Fate)]) {
    let requests: String = pairs.iter().map(|pair| pair.request.as_str()).collect();
    let (mut allowed, mut responses) = (Vec::new(), String::new());
    let mut end = 0;
    for (n, pair) in pairs.iter().enumerate() {
        end += pair.request.len();
        responses += &pair.response.replace("STATUS", &(400 + n).to_string());
        allowed.push((end, responses.len()));
    }
    let (mut sent, mut answered) = (0, 0);
    for (ask, size, fate) in steps.iter().copied().cycle() {
        let limit = allowed.iter().rev().find(|(end, _)| *end <= sent).map_or(0, |(_, limit)| *limit);
        let (direction, bytes, at, limit) = match (sent < requests.len(), answered < limit) {
            (false, false) => break,
            (true, false) => (Direction::Request, &requests, &mut sent, requests.len()),
            (true, true) if ask => (Direction::Request, &requests, &mut sent, requests.len()),
            _ => (Direction::Response, &responses, &mut answered, limit),
        };
        let piece = &bytes.as_bytes()[*at..limit.min(*at + size)];
        *at += piece.len();
        let n = piece.len() as u64;
        t.feed(
            direction,
            match fate {
                Fate::Captured => Bytes::Captured(piece),
                Fate::Skipped => Bytes::Skipped(n),
                Fate::Lost => Bytes::Lost(n),
            },
        );
    }
}

/// An exchange without its times.
fn timeless(e: &Exchange) -> String {
    let e = Exchange { start: 0, arrival: 0, request_end: 0, first_byte: 0, end: 0, ..*e };
    format!("{e:?}")
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Closed), Just(End::Reset), Just(End::TimedOut), Just(End::Evicted)]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![8 => Just(Fate::Captured), 1 => Just(Fate::Skipped), 1 => Just(Fate::Lost)]
}

proptest! {
    #[test]
    fn splitting_changes_nothing(
        pairs in prop::collection::vec(both(), 1..8),
        pipeline in 1..4usize,
        sizes in prop::collection::vec(1..40usize, 1..20),
    ) {
        let (mut whole, mut split) = (talk(), talk());
        let cuts: Vec<_> = sizes.iter().map(|n| (*n, Fate::Captured)).collect();
        let truth = converse(&mut whole, &pairs, pipeline, &[(usize::MAX, Fate::Captured)]);
        converse(&mut split, &pairs, pipeline, &cuts);
        prop_assert_eq!(whole.out.len(), pairs.len());
        for (e, (offset, status)) in whole.out.iter().zip(truth) {
            prop_assert_eq!((e.request_offset, e.status), (offset, Status::Code(status)));
        }
        let told = |t: &Talk| t.out.iter().map(timeless).collect::<Vec<_>>();
        prop_assert_eq!(told(&whole), told(&split));
        for t in [&mut whole, &mut split] {
            t.close(End::Closed);
            prop_assert_eq!(t.count.lost(), 0);
        }
    }

    /// Every request that began is reported or counted as lost, once; and what is reported is true.
    #[test]
    fn gaps_keep_the_ledger_and_never_pair_wrongly(
        pairs in prop::collection::vec(both(), 1..10),
        pipeline in 1..4usize,
        cuts in prop::collection::vec((1..60usize, fate()), 1..30),
        end in end(),
    ) {
        let mut t = talk();
        let truth = converse(&mut t, &pairs, pipeline, &cuts);
        t.close(end);
        prop_assert!(t.out.len() <= pairs.len());
        let mut seen = Vec::new();
        for e in &t.out {
            let found = truth.iter().find(|(offset, _)| *offset == e.request_offset);
            prop_assert!(found.is_some(), "no request begins at {}", e.request_offset);
            prop_assert!(!seen.contains(&e.request_offset));
            seen.push(e.request_offset);
            prop_assert!(e.end >= e.start && (e.first_byte == 0 || e.end >= e.first_byte));
            if let (Status::Code(status), Some((_, expected))) = (e.status, found) {
                prop_assert_eq!(status, *expected, "a wrong pair: {:?}", e);
            }
        }
    }

    #[test]
    fn interleaving_changes_nothing(
        pairs in prop::collection::vec(both(), 1..8),
        steps in prop::collection::vec((any::<bool>(), 1..100usize), 1..30),
    ) {
        let (mut whole, mut mixed) = (talk(), talk());
        converse(&mut whole, &pairs, 1, &[(usize::MAX, Fate::Captured)]);
        let steps: Vec<_> = steps.iter().map(|(ask, size)| (*ask, *size, Fate::Captured)).collect();
        interleave(&mut mixed, &pairs, &steps);
        let told = |t: &Talk| t.out.iter().map(timeless).collect::<Vec<_>>();
        prop_assert_eq!(told(&whole), told(&mixed));
        mixed.close(End::Closed);
        prop_assert_eq!(mixed.count.lost(), 0);
    }

    /// The identity holds even where requests that nobody saw are answered between those that were seen.
    #[test]
    fn gaps_in_full_pipelining_keep_the_ledger(
        pairs in prop::collection::vec(both(), 1..8),
        steps in prop::collection::vec((any::<bool>(), 1..100usize, fate()), 1..30),
        end in end(),
    ) {
        let mut t = talk();
        interleave(&mut t, &pairs, &steps);
        t.close(end);
    }

    /// Without pipelining, and with all heads captured, nothing is lost at all.
    #[test]
    fn skipped_bodies_cost_nothing(
        sizes in prop::collection::vec((0..200_000u64, 1..200_000u64, any::<bool>()), 1..20),
    ) {
        let mut t = talk();
        for (upload, download, lost) in &sizes {
            t.request(format!("POST /a HTTP/1.1\r\nContent-Length: {upload}\r\n\r\n"));
            let gap = |n| if *lost { Bytes::Lost(n) } else { Bytes::Skipped(n) };
            if *upload > 0 {
                t.feed(Direction::Request, gap(*upload));
            }
            t.response(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{download:x}\r\n"));
            t.feed(Direction::Response, gap(*download));
            t.response("\r\n0\r\n\r\n");
        }
        prop_assert_eq!(t.out.len(), sizes.len());
        t.close(End::Closed);
        prop_assert_eq!(t.count.lost(), 0);
    }

    #[test]
    fn any_bytes_are_survived(
        pieces in prop::collection::vec((any::<bool>(), fate(), noise()), 0..40),
        end in end(),
    ) {
        let mut t = talk();
        for (request, fate, bytes) in &pieces {
            let direction = if *request { Direction::Request } else { Direction::Response };
            t.feed(direction, match fate {
                Fate::Captured => Bytes::Captured(bytes),
                Fate::Skipped => Bytes::Skipped(bytes.len() as u64),
                Fate::Lost => Bytes::Lost(bytes.len() as u64 * 1_000_000_000),
            });
            if t.session.state() == State::Parsing && bytes.len() == 7 {
                t.shutdown(direction);
            }
        }
        t.close(end);
        prop_assert!(t.count.lost_by(Lost::RingFull) == 0);
    }
}

/// Bytes at random, or something that looks like HTTP.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop::sample::select(vec![
        "GET /a HTTP/1.1\r\n",
        "POST /b HTTP/1.0\r\n",
        "HEAD / HTTP/1.1\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\n\r\n",
        "G",
        "\r\n",
        "\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 103 X\r\n\r\n",
        "HTTP/1.1 101 X\r\n",
        "HTTP/1.1 204 X\r\n\r\n",
        "H",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Expect: 100-continue\r\n",
        "5\r\nabcde\r\n",
        "0\r\n",
        "\r\n\r\n",
        " folded\r\n",
        "hello",
        "Content-Length: 18446744073709551615\r\n",
        "fffffffffffffff\r\n",
        "Host: a@b@c\r\n",
    ]);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 1..40),
        prop::collection::vec(fragment, 1..8).prop_map(|parts| parts.concat().into_bytes()),
    ]
}
