//! The kernel side's reading of where a client's messages end.

use proptest::prelude::*;
use steth_infer::{Frames, frames};
use steth_wire::Protocol::{Mysql, Postgresql, Redis};

/// What is copied of a command behind a turn's budget.
const COMMAND: u32 = 1024;

const fn known(end: u64, asked: bool, wanted: u32) -> Option<Frames> {
    Some(Frames { end, cut: false, asked, wanted })
}

#[test]
fn a_frame_tells_its_length_and_whether_it_asks_for_something() {
    for (protocol, bytes, expected) in [
        // "Protocol::Packet": three bytes of length, the lowest first, and a number.
        (Mysql, &b"\x01\0\0\0\x0e"[..], known(5, true, COMMAND)),
        (Mysql, b"\x01\x02\x03\0\x18", known(0x03_0201 + 4, true, COMMAND)),
        (Mysql, b"\xff\xff\xff\0\x18", known(0xff_ffff + 4, true, COMMAND)),
        (Mysql, b"\xff\xff\xff\x01x", known(0xff_ffff + 4, false, 4)),
        (Mysql, b"\0\0\0\x02", known(4, false, 4)),
        // "Message Formats": a letter, and a length that counts itself and not the letter.
        (Postgresql, b"S\0\0\0\x04", known(5, true, COMMAND)),
        (Postgresql, b"B\0\x0f\x42\x40", known(1_000_001, true, COMMAND)),
        (Postgresql, b"d\0\0\x10\0", known(4097, false, 5)),
        (Postgresql, b"d\0\0\0\x10", known(17, false, 0)),
        (Postgresql, b"B\x7f\xff\xff\xff", known(0x8000_0000, true, COMMAND)),
        (Postgresql, b"B\x80\0\0\0", None),
        (Postgresql, b"B\0\0\0\x03", None),
        // StartupMessage, SSLRequest: no letter.
        (Postgresql, b"\0\0\0\x08\x04", known(8, true, COMMAND)),
        (Postgresql, b"\0\0\0\0\0", None),
        // "RESP protocol description", "Bulk strings": the length, and a line end behind the value.
        (Redis, b"*3\r\n", known(4, true, COMMAND)),
        (Redis, b"$5\r\nhello\r\n", known(11, true, COMMAND)),
        (Redis, b"$0\r\n\r\n", known(6, true, COMMAND)),
        (Redis, b"$536870912\r\n", known(536_870_912 + 14, true, COMMAND)),
        (Redis, b"$9999999999\r\n", known(9_999_999_999 + 15, true, COMMAND)),
        (Redis, b"$10000000000\r\n", None),
        (Redis, b"$-1\r\n", None),
        (Redis, b"$\r\n", None),
        (Redis, b"$5\n", None),
        (Redis, b"$5\rx", None),
        (Redis, b"PING\r\n", None),
        (Redis, b"+OK\r\n", None),
    ] {
        assert_eq!(frames(protocol, bytes), expected, "{protocol:?} {}", bytes.escape_ascii());
    }
}

#[test]
fn a_head_may_be_cut_anywhere() {
    for (protocol, head) in
        [(Mysql, &b"\x05\0\0\0"[..]), (Postgresql, b"Q\0\0\0\x09"), (Redis, b"*1\r\n"), (Redis, b"$9999999999\r\n")]
    {
        for length in 1..head.len() {
            let cut = head.get(..length).expect("within the head");
            let expected = Some(Frames { end: 0, cut: true, asked: false, wanted: COMMAND });
            assert_eq!(frames(protocol, cut), expected, "{protocol:?} {}", cut.escape_ascii());
        }
    }
}

proptest! {
    /// Whatever a pipeline has in it, and wherever the bytes end: the next frame begins where it begins.
    #[test]
    fn commands_of_redis(sizes in prop::collection::vec(prop::collection::vec(0_usize..40, 1..4), 1..8), end in 0.0..1.0) {
        let mut bytes = Vec::new();
        let mut heads = Vec::new();
        for arguments in sizes {
            heads.push(bytes.len());
            bytes.extend(format!("*{}\r\n", arguments.len()).into_bytes());
            for size in arguments {
                heads.push(bytes.len());
                bytes.extend(format!("${size}\r\n{}\r\n", "*".repeat(size)).into_bytes());
            }
        }
        heads.push(bytes.len());
        let there = 1 + ((bytes.len() - 1) as f64 * end) as usize;
        let found = frames(Redis, bytes.get(..there).expect("less than all")).expect("frames");
        // A head that is cut is the last one that began; else the next one is behind all bytes.
        let next = if found.cut { heads.iter().rfind(|&&head| head < there) } else { heads.iter().find(|&&head| head >= there) };
        prop_assert_eq!(Some(found.end as usize), next.copied());
    }
}
