//! Routes of conversations: the user's rules, and a service's share of names.

use super::kit::{Talk, talk};
use crate::http1::{Routing, Rules, Session};
use crate::parser::Begin as _;
use crate::{End, Names, ShareOf, Side};
use std::sync::Arc;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn routed(rules: &[&str], routes_per_service: u32) -> Talk {
    let mut t = talk();
    let routing = Arc::new(Routing { rules: Rules::parse(rules).expect("rules"), routes_per_service });
    t.session = Session::to_service(crate::Transport::Stream, b"shop", &routing, &mut t.names);
    t
}

fn operations(t: &Talk) -> Vec<&str> {
    t.out.iter().map(|e| t.names.get(e.operation)).collect()
}

#[test]
fn a_rule_wins_over_the_built_in_templates_and_the_host_decides_between_rules() {
    let rules = ["shop.example/p/{product}", "other.example/p/*", "/p/{thing}", "/q/{x}"];
    let requests = "GET /p/abc HTTP/1.1\r\nHost: Shop.example:80\r\n\r\n\
        PURGE /p/abc/d HTTP/1.1\r\nhost: other.example\r\n\r\n\
        GET /p/abc HTTP/1.1\r\n\r\n\
        GET /p/42/d HTTP/1.1\r\nHost: shop.example\r\n\r\n\
        GET http://shop.example/p/abc?q=1 HTTP/1.1\r\nHost: other.example\r\n\r\n\
        POST /q/abc HTTP/1.1\r\nHost: shop.example\r\n\r\n\
        CONNECT shop.example:443 HTTP/1.1\r\n\r\n";
    let expected = [
        "GET /p/{product}",
        "HTTP /p/*",
        "GET /p/{thing}",
        "GET /p/{id}/d",
        "GET /p/{product}",
        "POST /q/{x}",
        "CONNECT",
    ];
    for size in [requests.len(), 1, 7] {
        let mut t = routed(&rules, 100);
        requests.as_bytes().chunks(size).for_each(|piece| _ = t.request(piece));
        t.response(OK.repeat(7)).close(End::Closed);
        assert_eq!(operations(&t)[..6], expected[..6], "{size}");
        assert!(t.attributes(0, Side::Server).contains(&"http.route=/p/{product}".to_owned()));
    }
}

#[test]
fn a_rule_names_a_head_that_was_cut_or_answered_too_early() {
    let mut t = routed(&["shop.example/p/{product}", "/p/{thing}"], 100);
    t.request("GET /p/1 HTTP/1.1\r\nHost: shop.example\r\nX: ").request_skips(10).response(OK);
    t.close(End::Closed);
    assert_eq!(t.told(), ["GET /p/{product} 200 answered!"]);
    let mut t = routed(&["shop.example/p/{product}", "/p/{thing}"], 100);
    t.request("GET /p/1 HTTP/1.1\r\nX: ").request_skips(10).response(OK).close(End::Closed);
    assert_eq!(t.told(), ["GET /p/{thing} 200 answered!"], "no host was seen");
    let mut t = routed(&["shop.example/p/{product}"], 100);
    t.request("GET /p/1 HTTP/1.1\r\nX: y").response("HTTP/1.1 431 Large\r\nContent-Length: 0\r\n\r\n");
    t.request("y\r\nHost: shop.example\r\n\r\n").close(End::Closed);
    assert_eq!(t.told(), ["GET /p/{product} 431 answered"]);
}

#[test]
fn routes_and_hosts_beyond_a_services_share_have_no_name() {
    let mut t = routed(&[], 3);
    for path in ["/a", "/b", "/a", "/c", "/d", "/a", "/e?x", "/c"] {
        t.request(format!("GET {path} HTTP/1.1\r\n\r\n")).response(OK);
    }
    t.request("PUT /a HTTP/1.1\r\n\r\nOPTIONS * HTTP/1.1\r\n\r\n").response(OK.repeat(2)).close(End::Closed);
    let expected = ["GET /a", "GET /b", "GET /a", "GET /c", "GET *", "GET /a", "GET *", "GET /c", "PUT *", "OPTIONS *"];
    assert_eq!(operations(&t), expected);
    assert_eq!(t.names.folded_within(ShareOf::Routes), 4, "OPTIONS * is a route of its own, and one too many");

    let mut t = routed(&[], 3);
    let before = t.names.share(ShareOf::Clients, b"shop", 0);
    for n in 0..50_000 {
        t.request(format!("GET / HTTP/1.1\r\nHost: h{n}\r\n\r\n")).response(OK);
    }
    t.close(End::Closed);
    let address = |n: usize| t.attributes(n, Side::Server).into_iter().find(|a| a.starts_with("server.address"));
    assert_eq!((address(0), address(49_999)), (Some("server.address=h0".to_owned()), None), "not known is left out");
    assert!(t.names.folded_within(ShareOf::Clients) > 49_000);
    assert_eq!(before, t.names.share(ShareOf::Clients, b"shop", 0));
    assert_ne!(t.names.intern(b"somebody else's"), crate::Name::OTHER);
}

#[test]
fn connections_to_one_service_share() {
    let mut names = Names::default();
    let routing = Arc::new(Routing { rules: Rules::default(), routes_per_service: 2 });
    for (path, expected) in [("/a", "GET /a"), ("/b", "GET /b"), ("/c", "GET *"), ("/b", "GET /b")] {
        let mut t = talk();
        t.names = names;
        t.session = Session::to_service(crate::Transport::Stream, b"shop", &routing, &mut t.names);
        t.request(format!("GET {path} HTTP/1.1\r\n\r\n")).response(OK).close(End::Closed);
        assert_eq!(operations(&t), [expected]);
        names = t.names;
    }
}

proptest::proptest! {
    /// What a connection remembers of the request before changes nothing.
    #[test]
    fn a_target_has_the_same_route_whatever_was_asked_for_before(
        targets in proptest::collection::vec(("GET|POST|get", "(http://h)?(/(a|users|7|x;y=z|~|[*])){0,3}([?#][a/]{0,2})?"), 1..12),
    ) {
        let requests = |targets: &[(String, String)]| -> String {
            targets.iter().map(|(method, target)| format!("{method} {target}a HTTP/1.1\r\n\r\n")).collect()
        };
        let ask = |targets: &[(String, String)]| {
            let mut t = routed(&[], 100);
            t.request(requests(targets)).response(OK.repeat(targets.len())).close(End::Closed);
            operations(&t).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let alone: Vec<String> = targets.chunks(1).flat_map(ask).collect();
        proptest::prop_assert_eq!(alone.len(), targets.len());
        proptest::prop_assert_eq!(ask(&targets), alone);
    }
}
