//! The kernel side's reading of where a client's message ends.

use steth_infer::command;
use steth_wire::Protocol::{Mysql, Postgresql};

/// What is copied of a command behind a turn's budget.
const COMMAND: u32 = 1024;

#[test]
fn a_message_tells_its_length_and_whether_it_asks_for_something() {
    for (protocol, header, expected) in [
        // "Protocol::Packet": three bytes of length, the lowest first, and a number.
        (Mysql, *b"\x01\0\0\0\x0e", (Some(5), COMMAND)),
        (Mysql, *b"\x01\x02\x03\0\x18", (Some(0x03_0201 + 4), COMMAND)),
        (Mysql, *b"\xff\xff\xff\0\x18", (Some(0xff_ffff + 4), COMMAND)),
        (Mysql, *b"\xff\xff\xff\x01x", (Some(0xff_ffff + 4), 4)),
        (Mysql, *b"\0\0\0\x02\0", (Some(4), 4)),
        // "Message Formats": a letter, and a length that counts itself and not the letter.
        (Postgresql, *b"S\0\0\0\x04", (Some(5), COMMAND)),
        (Postgresql, *b"B\0\x0f\x42\x40", (Some(1_000_001), COMMAND)),
        (Postgresql, *b"d\0\0\x10\0", (Some(4097), 5)),
        (Postgresql, *b"B\x7f\xff\xff\xff", (Some(0x8000_0000), COMMAND)),
        (Postgresql, *b"B\x80\0\0\0", (None, COMMAND)),
        (Postgresql, *b"B\0\0\0\x03", (None, COMMAND)),
        // StartupMessage, SSLRequest: no letter.
        (Postgresql, *b"\0\0\0\x08\x04", (Some(8), COMMAND)),
        (Postgresql, *b"\0\0\0\0\0", (None, COMMAND)),
    ] {
        assert_eq!(command(protocol, header), expected, "{protocol:?} {}", header.escape_ascii());
    }
}
