//! What waits for a name, how long, and what it is called then.

use super::*;
use crate::pipeline::{Limits, Observer, Pipeline, Seen, Selected};
use steth_event::{CHUNK_TURN, Chunk, IntoBytes as _, Listen, RECEIVE, ROLE_SERVER, SEND, Tick, kind};

const SERVER: u32 = 70;

#[derive(Default)]
struct Names(Vec<Option<String>>);

impl Observer for Names {
    type Memo = ();

    fn exchange(&mut self, seen: &Seen<'_>, (): &mut ()) {
        self.0.push(seen.server().map(|process| process.name.clone()));
    }
}

fn process(name: &str, look_up: LookUp) -> Vec<u8> {
    Process { pid: SERVER, name: name.to_owned(), look_up, ..Process::default() }.to_record()
}

fn tick(milliseconds: u64) -> Vec<u8> {
    Tick { kind: kind::TICK, time: milliseconds * 1_000_000, ..Tick::default() }.as_bytes().to_vec()
}

/// One exchange, seen at the server's end.
fn exchange(connection: u64) -> [Vec<u8>; 3] {
    let open = Open { kind: kind::OPEN, role: ROLE_SERVER, tgid: SERVER, connection, ..Open::default() };
    let chunk = |direction, bytes: &[u8], opposite| {
        let chunk = Chunk {
            kind: kind::CHUNK,
            direction,
            protocol: 1,
            flags: CHUNK_TURN,
            tgid: SERVER,
            connection,
            time: 1,
            opposite,
            length: bytes.len() as u32,
            captured: bytes.len() as u16,
            role: ROLE_SERVER,
            ..Chunk::default()
        };
        [chunk.as_bytes(), bytes].concat()
    };
    let (request, response) = (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n");
    [open.as_bytes().to_vec(), chunk(RECEIVE, request, 0), chunk(SEND, response, request.len() as u64)]
}

fn play(records: impl IntoIterator<Item = Vec<u8>>) -> (Pipeline<Names>, Vec<Option<String>>) {
    let mut pipeline = Pipeline::new(&Limits::default(), Selected::ALL, Names::default());
    records.into_iter().for_each(|record| pipeline.record(&record));
    let names = pipeline.observer().0.clone();
    (pipeline, names)
}

fn name(name: &str) -> Option<String> {
    Some(name.to_owned())
}

#[test]
fn an_exchange_waits_for_the_name_that_is_being_looked_up() {
    let begin = [vec![process("MainThread", LookUp::UnderWay)], exchange(1).into(), vec![tick(100)]].concat();
    let (_, names) = play(begin.clone());
    assert_eq!(names, []);
    let (_, names) = play([begin.clone(), vec![process("node", LookUp::Done), tick(110)]].concat());
    assert_eq!(names, [name("node")]);
    let (pipeline, names) = play([begin.clone(), vec![tick(110), tick(124)]].concat());
    assert_eq!((names, pipeline.account().named_late), (vec![], 0));
    let (pipeline, names) = play([begin.clone(), vec![tick(110), tick(125)]].concat());
    assert_eq!((names, pipeline.account().named_late), (vec![name("MainThread")], 1), "not for ever");
    let (mut pipeline, _) = play(begin);
    pipeline.finish();
    assert_eq!(pipeline.observer().0, [name("MainThread")], "nothing is lost at the end");
}

/// The server's end of a connection on this host, an exchange on it, and the client's end, announced last.
fn strange() -> [Vec<Vec<u8>>; 2] {
    const CLIENT: u32 = 71;
    let end = |connection, role, tgid, local_port, remote_port| {
        let mut open = Open {
            kind: kind::OPEN,
            family: 2,
            transport: 6,
            role,
            tgid,
            connection,
            local_port,
            remote_port,
            time: 1,
            ..Open::default()
        };
        for address in [&mut open.local_address, &mut open.remote_address] {
            address[..4].copy_from_slice(&[127, 0, 0, 1]);
        }
        open.as_bytes().to_vec()
    };
    let mut server = exchange(1).to_vec();
    server[0] = end(1, ROLE_SERVER, SERVER, 80, 40_000);
    let ab = Process { pid: CLIENT, name: "ab".to_owned(), look_up: LookUp::Done, ..Process::default() };
    let client = vec![ab.to_record(), end(2, steth_event::ROLE_CLIENT, CLIENT, 40_000, 80)];
    [server, client]
}

#[test]
fn a_client_on_this_host_that_is_announced_behind_the_answer_is_named() {
    #[derive(Default)]
    struct Clients(Vec<Option<String>>);
    impl Observer for Clients {
        type Memo = ();
        fn exchange(&mut self, seen: &Seen<'_>, (): &mut ()) {
            self.0.push(seen.client().map(|process| process.name.clone()));
        }
    }
    let play = |records: Vec<Vec<u8>>| {
        let mut pipeline = Pipeline::new(&Limits::default(), Selected::ALL, Clients::default());
        records.into_iter().for_each(|record| pipeline.record(&record));
        (std::mem::take(&mut pipeline.observer().0), pipeline.account().named_late)
    };
    let [server, client] = strange();
    assert_eq!(play([server.clone(), client.clone(), vec![tick(10)]].concat()), (vec![name("ab")], 0));
    assert_eq!(play([server.clone(), vec![tick(10)], client.clone(), vec![tick(20)]].concat()), (vec![name("ab")], 0));
    assert_eq!(play([client.clone(), server.clone()].concat()), (vec![name("ab")], 0), "nothing to wait for");
    assert_eq!(play([server, vec![tick(10), tick(34)]].concat()), (vec![], 0));
    let [server, _] = strange();
    assert_eq!(play([server, vec![tick(10), tick(35)]].concat()), (vec![None], 0), "not for ever");
}

#[test]
fn who_is_known_or_never_will_be_does_not_wait() {
    for (first, expected) in [
        (process("nginx", LookUp::Done), name("nginx")),
        (process("nginx", LookUp::Refused), name("nginx")),
        (process("", LookUp::Done), None),
        (tick(1), None),
    ] {
        let (_, names) = play([vec![first], exchange(1).into()].concat());
        assert_eq!(names, [expected]);
    }
}

#[test]
fn a_new_image_does_not_name_the_exchanges_of_the_old_one() {
    let old = [vec![process("sh", LookUp::UnderWay)], exchange(1).into()].concat();
    let new = [vec![process("curl", LookUp::UnderWay)], exchange(2).into()].concat();
    let (_, names) = play([old, new, vec![process("curl", LookUp::Done), tick(5)]].concat());
    assert_eq!(names, [name("sh"), name("curl")]);
}

/// A server that lives on while 20,000 clients, more than are remembered, talk to it and end.
#[test]
fn a_server_is_named_however_many_processes_have_come_and_gone() {
    use steth_event::Exit;
    let mut records = vec![process("postgres", LookUp::Done)];
    for pid in 1000..21_000 {
        let short = Process { pid, name: "psql".to_owned(), look_up: LookUp::Done, ..Process::default() };
        let exit = Exit { kind: kind::EXIT, tgid: pid, ..Exit::default() };
        records.extend([short.to_record(), exit.as_bytes().to_vec()]);
    }
    records.extend(exchange(1));
    let (pipeline, names) = play(records);
    assert_eq!((names, pipeline.account().processes_evicted), (vec![name("postgres")], 0));
}

#[test]
fn more_than_there_is_place_for_go_on_with_what_is_known() {
    let mut records = vec![process("sh", LookUp::UnderWay)];
    let more = 10;
    records.extend((0..PLACES as u64 + more).flat_map(exchange));
    let (mut pipeline, names) = play(records);
    assert_eq!(names.len() as u64, more);
    assert_eq!(pipeline.account().named_late, more);
    pipeline.finish();
    assert_eq!(pipeline.observer().0.len() as u64, PLACES as u64 + more);
}

/// A pod and its host both listen on port 80, and the pod calls its host.
#[test]
fn who_listens_is_looked_for_where_the_address_is() {
    const HOST: ([u8; 4], u32) = ([10, 0, 0, 1], 1);
    const POD: ([u8; 4], u32) = ([10, 0, 0, 9], 9);
    let mapped = |[a, b, c, d]: [u8; 4]| [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let open = |(local, netns), remote| Open {
        family: 2,
        transport: 6,
        netns,
        local_address: mapped(local),
        remote_address: mapped(remote),
        local_port: 40_000,
        remote_port: 80,
        ..Open::default()
    };
    let mut naming = Naming::new(10, ServiceRules::default());
    for (tgid, (_, netns)) in [(100, HOST), (900, POD)] {
        naming.listeners.told(&Listen { connection: tgid.into(), port: 80, tgid, netns, ..Listen::default() });
    }
    let call = open(POD, HOST.0);
    assert_eq!(naming.listener(&call), None, "nobody has been seen at that address yet");
    naming.announced(&open(HOST, [192, 0, 2, 1]));
    assert_eq!(naming.listener(&call), Some(100));
    assert_eq!(naming.listener(&open(POD, [127, 0, 0, 1])), Some(900));
    // The same address in two namespaces tells nothing.
    naming.announced(&open((HOST.0, 2), [192, 0, 2, 1]));
    assert_eq!(naming.listener(&call), None);
}
