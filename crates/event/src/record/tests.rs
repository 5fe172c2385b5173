//! Every record is read as itself, and refused when it is cut.

use super::*;
use proptest::prelude::*;

fn filled(kind: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    bytes[0] = kind;
    bytes
}

fn chunk(length: u32, captured: u16, data: &[u8]) -> Vec<u8> {
    let head = Chunk { kind: kind::CHUNK, length, captured, ..Chunk::default() };
    [head.as_bytes(), data].concat()
}

fn exec(executable_length: u16, command_line_length: u16, strings: &[u8]) -> Vec<u8> {
    let head = Exec { kind: kind::EXEC, executable_length, command_line_length, ..Exec::default() };
    [head.as_bytes(), strings].concat()
}

const FIXED: [(u8, usize); 9] = [
    (kind::SHUTDOWN, size_of::<Shutdown>()),
    (kind::LISTEN, size_of::<Listen>()),
    (kind::FORK, size_of::<Fork>()),
    (kind::EXIT, size_of::<Exit>()),
    (kind::CGROUP, size_of::<Cgroup>()),
    (kind::CLOCK, size_of::<Clock>()),
    (kind::TICK, size_of::<Tick>()),
    (kind::SENT, size_of::<Sent>()),
    (kind::TRANSLATION, size_of::<Translation>()),
];

/// The kind that the variant stands for.
fn kind_of(event: &Event<'_>) -> u8 {
    match event {
        Event::Open(_) => kind::OPEN,
        Event::Chunk(..) => kind::CHUNK,
        Event::Shutdown(_) => kind::SHUTDOWN,
        Event::Close(_) => kind::CLOSE,
        Event::Progress(_) => kind::PROGRESS,
        Event::Exec(..) => kind::EXEC,
        Event::Fork(_) => kind::FORK,
        Event::Exit(_) => kind::EXIT,
        Event::Cgroup(_) => kind::CGROUP,
        Event::Listen(_) => kind::LISTEN,
        Event::Clock(_) => kind::CLOCK,
        Event::Sent(_) => kind::SENT,
        Event::Translation(_) => kind::TRANSLATION,
        Event::Tick(_) => kind::TICK,
        Event::Process(_) => kind::PROCESS,
        Event::Container(_) => kind::CONTAINER,
        Event::Peer(_) => kind::PEER,
        Event::Counters(_) => kind::COUNTERS,
    }
}

#[test]
fn each_kind_is_read_as_itself_and_refused_when_cut() {
    let fixed = FIXED.map(|(kind, size)| filled(kind, size));
    let process = Process { pid: 1, name: "a".to_owned(), ..Process::default() }.to_record();
    let strings = exec(3, 2, b"/ba\0b");
    for whole in fixed.into_iter().chain([chunk(9, 2, b"he"), strings]) {
        assert_eq!(Event::parse(&whole).map(|event| kind_of(&event)), Ok(whole[0]));
        let padded = [&whole[..], &[0; 7]].concat();
        assert_eq!(Event::parse(&padded).map(|event| kind_of(&event)), Ok(whole[0]), "a frame's padding");
        for end in 1..whole.len() {
            let short = RecordError::Short { kind: whole[0], length: end };
            assert_eq!(Event::parse(&whole[..end]).map(|_| ()), Err(short));
        }
    }
    assert!(matches!(Event::parse(&process), Ok(Event::Process(p)) if p.pid == 1 && p.name == "a"));
    assert!((1..process.len()).all(|end| Event::parse(&process[..end]).is_err()));
}

#[test]
fn fields_come_from_their_places() {
    let mut bytes = filled(kind::SHUTDOWN, size_of::<Shutdown>());
    bytes[1] = RECEIVE;
    bytes[8..16].copy_from_slice(&7u64.to_le_bytes());
    bytes[16..24].copy_from_slice(&8u64.to_le_bytes());
    bytes[24..32].copy_from_slice(&u64::MAX.to_le_bytes());
    let Ok(Event::Shutdown(shutdown)) = Event::parse(&bytes) else { panic!("a shutdown") };
    assert_eq!((shutdown.direction, shutdown.connection), (RECEIVE, 7));
    assert_eq!((shutdown.time, shutdown.offset), (8, u64::MAX));
}

#[test]
fn books_of_old_recordings_are_read_and_books_that_are_cut_are_not() {
    for kind in [kind::CLOSE, kind::PROGRESS] {
        let whole = Books { kind, connection: 7, srtt_us: 8, bytes_sent: 9, send_window: 10, ..Books::default() };
        let bytes = whole.as_bytes();
        for (length, expected) in [
            (size_of::<Books>(), Some(whole)),
            (Books::OLD[0], Some(Books { bytes_sent: 0, send_window: 0, ..whole })),
            (Books::OLD[0] - 1, None),
            (Books::OLD[0] + 8, None),
            (size_of::<Books>() - 1, None),
        ] {
            let read = match Event::parse(&bytes[..length]) {
                Ok(Event::Close(books) | Event::Progress(books)) => Some(books),
                other => {
                    assert!(matches!(other, Err(RecordError::Short { .. })), "{other:?}");
                    None
                }
            };
            assert_eq!(read, expected, "{length} bytes");
        }
    }
}

#[test]
fn counters_of_an_old_recording_are_read() {
    let whole = Counters { kind: kind::COUNTERS, missed: 1, values: [2; COUNTERS], ..Counters::default() };
    let until = |values| size_of::<Counters>() - 8 * (COUNTERS - values);
    let (older, old, now) = (until(counter::CROWDED_CHUNKS), until(counter::ENDS_MISSED), until(COUNTERS));
    for (length, expected) in
        [(now, Some([2, 2])), (old, Some([2, 0])), (older, Some([0, 0])), (older - 1, None), (older + 8, None)]
    {
        let read = match Event::parse(&whole.as_bytes()[..length]) {
            Ok(Event::Counters(counters)) => {
                let late = [counter::CROWDED_RUNS, counter::ENDS_MISSED].map(|which| counters.values[which]);
                Some((counters.missed, counters.values[counter::SEEN_CHUNKS], late))
            }
            _ => None,
        };
        assert_eq!(read, expected.map(|late| (1, 2, late)), "{length} bytes");
    }
}

#[test]
fn an_announcement_of_an_old_recording_is_read() {
    let whole = Open { kind: kind::OPEN, connection: 7, comm: [8; 16], accepted: 9, began_sent: 5, ..Open::default() };
    let old = Open::OLD;
    let lengths =
        [(size_of::<Open>(), Some((9, 5))), (old[1], Some((9, 0))), (old[0], Some((0, 0))), (old[0] - 1, None)];
    for (length, expected) in lengths {
        let read = match Event::parse(&whole.as_bytes()[..length]) {
            Ok(Event::Open(open)) => Some(open),
            _ => None,
        };
        assert_eq!(
            read,
            expected.map(|(accepted, began_sent)| Open { accepted, began_sent, ..whole }),
            "{length} bytes"
        );
    }
}

#[test]
fn strings_of_an_exec_are_told_apart() {
    let bytes = exec(4, 5, b"/bina\0b c and more");
    assert!(matches!(Event::parse(&bytes), Ok(Event::Exec(_, b"/bin", b"a\0b c"))));
    assert!(matches!(Event::parse(&exec(0, 0, b"")), Ok(Event::Exec(_, b"", b""))));
}

#[test]
fn the_container_of_an_exec_is_behind_its_strings() {
    let mut bytes = exec(4, 5, b"/bina\0b c");
    let Ok(Event::Exec(old, ..)) = Event::parse(&bytes) else { panic!("an exec of an old recording") };
    assert_eq!(old.container(&bytes), None);
    bytes[1] = CONTAINER_ID as u8;
    assert!(Event::parse(&bytes).is_err(), "an id that is cut");
    bytes.extend_from_slice(&[7; CONTAINER_ID]);
    let Ok(Event::Exec(new, b"/bin", b"a\0b c")) = Event::parse(&bytes) else { panic!("an exec") };
    assert_eq!(new.container(&bytes), Some([7; CONTAINER_ID]));
}

#[test]
fn lengths_that_cannot_be_true_are_refused() {
    for (bytes, why) in [
        (chunk(4, 5, b"12345"), "more captured than moved"),
        (chunk(9, 5, b"1234"), "more captured than there is"),
        (chunk(0, u16::MAX, b""), "much more"),
        (exec(2, 0, b"a"), "an executable that is cut"),
        (exec(1, 2, b"ab"), "a command line that is cut"),
        (exec(u16::MAX, u16::MAX, b"ab"), "both"),
    ] {
        let short = RecordError::Short { kind: bytes[0], length: bytes.len() };
        assert_eq!(Event::parse(&bytes).map(|_| ()), Err(short), "{why}");
    }
    assert!(matches!(Event::parse(&chunk(5, 5, b"12345")), Ok(Event::Chunk(_, b"12345"))));
    assert!(matches!(Event::parse(&chunk(u32::MAX, 0, b"")), Ok(Event::Chunk(_, b""))));
}

#[test]
fn what_is_no_record_is_named() {
    assert_eq!(Event::parse(b"").map(|_| ()), Err(RecordError::Short { kind: 0, length: 0 }));
    let known = FIXED.map(|(kind, _)| kind);
    let with_strings =
        [kind::OPEN, kind::CLOSE, kind::PROGRESS, kind::CHUNK, kind::EXEC, kind::PROCESS, kind::CONTAINER, kind::PEER];
    // Of which there are shorter ones from before.
    let is_known = |kind: &u8| known.contains(kind) || with_strings.contains(kind) || *kind == kind::COUNTERS;
    for kind in (0..=u8::MAX).filter(|kind| !is_known(kind)) {
        assert_eq!(Event::parse(&filled(kind, 512)).map(|_| ()), Err(RecordError::Kind(kind)));
    }
    let process = [&filled(kind::PROCESS, 8)[..], b"{\"pid\":\"x\"}"].concat();
    assert!(matches!(Event::parse(&process), Err(RecordError::Json { kind: kind::PROCESS, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn any_bytes_are_a_record_or_an_error(kind in 0..24u8, mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Some(first) = bytes.first_mut() {
            *first = kind;
        }
        let in_place = Chunk::in_place(&bytes).map(|(chunk, data)| (*chunk, data));
        match Event::parse(&bytes) {
            Ok(Event::Chunk(chunk, data)) => {
                // A vector of bytes may lie anywhere, though it hardly ever does.
                let aligned = bytes.as_ptr().cast::<Chunk>().is_aligned();
                prop_assert_eq!(in_place, aligned.then_some((chunk, data)));
                prop_assert_eq!(data.len(), usize::from(chunk.captured));
                prop_assert!(data.len() <= chunk.length as usize);
            }
            other => {
                prop_assert_eq!(in_place, None);
                prop_assert!(other.is_err() || other.is_ok_and(|event| kind_of(&event) == kind));
            }
        }
    }

    #[test]
    fn a_chunk_is_read_exactly_when_its_lengths_agree(
        length in prop_oneof![0..40u32, any::<u32>()], captured in 0..40u16, there in 0..40usize,
    ) {
        let bytes = chunk(length, captured, &vec![b'x'; there]);
        let agree = usize::from(captured) <= there && u32::from(captured) <= length;
        prop_assert_eq!(Event::parse(&bytes).is_ok(), agree);
    }

    #[test]
    fn a_chunk_survives_being_written(bytes in any::<[u8; size_of::<Chunk>()]>()) {
        let chunk = zerocopy::transmute!(bytes);
        let chunk = Chunk { kind: kind::CHUNK, captured: 0, ..chunk };
        let read = Event::parse(chunk.as_bytes()).map(|event| matches!(event, Event::Chunk(c, b"") if c == chunk));
        prop_assert_eq!(read, Ok(true));
    }
}
