//! What holds for any conversation, however it is split and whatever is missing.

use super::kit::{Talk, talk};
use crate::by_hand::{Conversation, Fate, end, fate, properties};
use crate::http1::Session;
use crate::{Bytes, Direction, End};
use proptest::prelude::*;

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

/// Rounds of this many requests and their responses.
fn conversation() -> impl Strategy<Value = Conversation> {
    (prop::collection::vec(both(), 1..10), 1..4usize).prop_map(|(pairs, pipeline)| rounds(&pairs, pipeline))
}

fn rounds(pairs: &[Both], pipeline: usize) -> Conversation {
    let both = |(n, pair): (usize, &Both)| {
        let response = pair.response.replace("STATUS", &(400 + n).to_string());
        (pair.request.clone().into_bytes(), response.into_bytes())
    };
    let pairs: Vec<_> = pairs.iter().enumerate().map(both).collect();
    Conversation::pipelined(&pairs.chunks(pipeline).map(<[_]>::to_vec).collect::<Vec<_>>())
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
        t.feed(direction, fate.of(piece));
    }
}

properties!(Session, conversation(), noise());

proptest! {
    /// Told by what the responses say, not by what a session makes of them: the n-th is the n-th request's.
    #[test]
    fn each_request_has_its_own_response(pairs in prop::collection::vec(both(), 1..10), pipeline in 1..4usize) {
        let told = rounds(&pairs, pipeline).whole::<Session>();
        let mut offset = 0;
        for (n, (told, pair)) in told.iter().zip(&pairs).enumerate() {
            prop_assert_eq!((told.request.0, &told.status), (offset, &(400 + n).to_string()));
            offset += pair.request.len() as u64;
        }
        prop_assert_eq!(told.len(), pairs.len());
    }

    #[test]
    fn interleaving_changes_nothing(
        pairs in prop::collection::vec(both(), 1..8),
        steps in prop::collection::vec((any::<bool>(), 1..100usize), 1..30),
    ) {
        let mut mixed = talk();
        let steps: Vec<_> = steps.iter().map(|(ask, size)| (*ask, *size, Fate::Captured)).collect();
        interleave(&mut mixed, &pairs, &steps);
        prop_assert_eq!(rounds(&pairs, 1).whole::<Session>(), mixed.exchanges());
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
