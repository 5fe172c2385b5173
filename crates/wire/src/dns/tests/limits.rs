//! What stays bounded, and what is folded or counted for it.

use super::kit::{A, Kit, address, answer, header, query, question};
use crate::dns::Session;
use crate::http1::Routing;
use crate::parser::{Begin as _, Parser as _};
use crate::{ById, Domains, Transport};
use std::sync::Arc;
use steth_ledger::Lost;

#[test]
fn too_many_lookups_at_once_are_counted_and_their_answers_are_nobodys() {
    let mut kit = Kit::udp();
    let most = ById::<(), ()>::MAX as u16;
    for id in 0..most + 10 {
        kit.request(query(id, "a", A));
    }
    assert_eq!(kit.lost(), [(Lost::Evicted, 10)]);
    for id in 0..most + 10 {
        kit.response(answer(id, "a", A, 0, &[]));
    }
    assert_eq!((kit.count.reported, kit.count.lost()), (most.into(), 10));
    assert_eq!(kit.session.pending(), 0);
}

#[test]
fn names_beyond_the_limit_are_one() {
    let mut kit = Kit::udp();
    for n in 0..Domains::MAX + 5 {
        kit.request(query(n as u16, &format!("n{n}.example"), A));
        kit.response(answer(n as u16, &format!("n{n}.example"), A, 0, &[address("192.0.2.1", 1)]));
    }
    let last = kit.out.len() - 1;
    assert_eq!(kit.names.get(kit.out[last].operation), "A *");
    assert_eq!((kit.attribute(last, "dns.question.name"), kit.domains.folded()), (None, 5));
    kit.request(query(1, "n0.example", A));
    kit.response(answer(1, "n0.example", A, 0, &[]));
    assert_eq!(kit.names.get(kit.out[last + 1].operation), "A n0.example");
    // Peers get their names all the same, as far as they are taken.
    let learnt = kit.learnt();
    assert_eq!((learnt.len(), kit.domains.unlearnt()), (Domains::MAX_LEARNT, (Domains::MAX + 5 - learnt.len()) as u64));
    kit.request(query(1, "new.example", A));
    kit.response(answer(1, "new.example", A, 0, &[address("192.0.2.1", 1)]));
    assert_eq!(kit.learnt(), ["new.example 192.0.2.1 1"]);
}

#[test]
fn types_beyond_the_limit_have_no_number() {
    let mut kit = Kit::udp();
    for kind in 1000..1010 + Domains::MAX as u16 {
        kit.request(query(1, "a", kind));
        kit.response(answer(1, "a", kind, 0, &[]));
    }
    let names: Vec<_> = kit.out.iter().map(|e| kit.names.get(e.operation)).collect();
    assert_eq!((names[0], *names.last().unwrap()), ("TYPE1000 a", "TYPE *"));
}

#[test]
fn more_addresses_than_are_shown_are_all_learnt() {
    let mut kit = Kit::udp();
    kit.request(query(1, "many", A));
    let records: Vec<_> = (0..20).map(|n| address(&format!("192.0.2.{n}"), 1)).collect();
    kit.response(answer(1, "many", A, 0, &records));
    assert_eq!(kit.attribute(0, "dns.answers").unwrap().split(' ').count(), 8);
    assert_eq!(kit.attribute(0, "steth.dns.answer_count").as_deref(), Some("20"));
    assert_eq!(kit.learnt().len(), 20);
}

/// A thousand questions in one message, each a pointer to a long name: looked at are eight.
#[test]
fn many_questions_do_not_make_much_work() {
    let long = vec!["x".repeat(60); 4].join(".");
    let mut wire = [header(1, 0x0100, [10_000, 0, 0, 0]), question(&long, A)].concat();
    (1..10_000).for_each(|_| wire.extend([0xc0, 12, 0, 1, 0, 1]));
    let mut kit = Kit::udp();
    let begun = std::time::Instant::now();
    (0..100).for_each(|_| _ = kit.request(&wire));
    assert!(begun.elapsed().as_millis() < 2000, "{:?}", begun.elapsed());
    assert_eq!(kit.session.pending(), 1);
}

/// Aliases in a circle, and records that announce more than there is.
#[test]
fn hostile_answers_come_to_an_end() {
    let mut kit = Kit::udp();
    kit.request(query(1, "a", A));
    let circle: Vec<_> = (0..2000).map(|_| super::record(&[0xc0, 12], 5, 1, &[0xc0, 12])).collect();
    kit.response(answer(1, "a", A, 0, &circle));
    kit.request(query(2, "a", A));
    let mut cut = answer(2, "a", A, 0, &[address("192.0.2.1", 1)]);
    cut.truncate(cut.len() - 1);
    kit.response(&cut);
    kit.tick();
    assert_eq!((kit.count.reported, kit.count.lost()), (2, 0));
}

#[test]
fn one_who_asks_for_too_many_names_leaves_the_others_theirs() {
    let mut kit = Kit::udp();
    let session = |kit: &mut Kit, who: &[u8]| {
        let routing = Arc::new(Routing::default());
        kit.session = Session::to_service(Transport::Datagrams, who, &routing, &mut kit.names);
    };
    let ask = |kit: &mut Kit, name: &str| {
        kit.request(query(1, name, A));
        kit.response(answer(1, name, A, 0, &[]));
        kit.names.get(kit.out[kit.out.len() - 1].operation).to_owned()
    };
    session(&mut kit, b"busy");
    let named = (0..Domains::MAX).filter(|n| ask(&mut kit, &format!("n{n}.example")) != "A *").count();
    assert_eq!(named, 1000);
    session(&mut kit, b"quiet");
    assert_eq!(ask(&mut kit, "quiet.example"), "A quiet.example");
    session(&mut kit, b"busy");
    assert_eq!((ask(&mut kit, "more.example").as_str(), ask(&mut kit, "n1.example").as_str()), ("A *", "A n1.example"));
}

#[test]
fn answers_that_nobody_asked_for_take_one_room_on_all_sockets_together() {
    use crate::dns::early::ROOM;
    let mut kit = Kit::udp();
    let long = [answer(7, "a", A, 0, &[address("192.0.2.1", 1)]), vec![0; 4000]].concat();
    let mut sockets = Vec::new();
    for _ in 0..100 {
        (0..4).for_each(|_| _ = kit.response(&long[..]));
        assert!(kit.domains.early <= ROOM);
        sockets.push(std::mem::replace(&mut kit.session, Kit::udp().session));
    }
    assert!(kit.domains.early > ROOM - long.len(), "{}", kit.domains.early);
    let refused = kit.count.lost_by(Lost::Orphan);
    assert_eq!(refused, 400 - (ROOM / long.len()) as u64);
    for session in sockets {
        kit.session = session;
        kit.close(crate::End::Closed);
    }
    assert_eq!((kit.domains.early, kit.count.lost_by(Lost::Orphan)), (0, 400));
}
