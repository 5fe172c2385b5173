//! Answers as kernels give them (6.18, x86-64), and whatever else bytes may be.

use super::*;
use proptest::prelude::*;

const SEQUENCE: u32 = 7;

/// 10.0.0.1:40000 went to 10.99.99.99:80, and a rule sends that on to 10.0.0.1:8080.
const REWRITTEN: &str = "d40000000001020007000000967a0000020000003400018014000180080001000a000001080002000a6363631c0002800500010006000000060002009c4000000600030000500000\
3400028014000180080001000a000001080002000a0000011c0002800500010006000000060002001f900000060003009c40000008000300000001ae080008000000000008000c00507c55c5\
08000b00000000020800070000069780300004802c0001800500010003000000050002000a000000050003000a00000006000400230000000600050023000000";
/// [fd00::1]:40002 to [fd99::99]:80, which is [fd00::1]:8080.
const REWRITTEN_IPV6: &str = "040100000001020007000000967a00000a0000004c0001802c00018014000300fd00000000000000000000000000000114000400fd990000000000000000000000000099\
1c0002800500010006000000060002009c42000006000300005000004c0002802c00018014000300fd00000000000000000000000000000114000400fd000000000000000000000000000001\
1c0002800500010006000000060002001f900000060003009c42000008000300000001ae080008000000000008000c009cbc40d108000b00000000020800070000069780300004802c000180\
0500010003000000050002000a000000050003000a00000006000400230000000600050023000000";
/// UDP from 10.0.0.1:40003 to 10.99.99.99:53, which is 10.0.0.1:5353.
const REWRITTEN_UDP: &str = "a40000000001020007000000967a0000020000003400018014000180080001000a000001080002000a6363631c0002800500010011000000060002009c4300000600030000350000\
3400028014000180080001000a000001080002000a0000011c00028005000100110000000600020014e90000060003009c43000008000300000001a8080008000000000008000c008add05ac\
08000b0000000002080007000000001e";
/// 127.0.0.1:40005 to 127.0.0.1:8081, and there it is.
const PLAIN: &str = "d40000000001020007000000967a0000020000003400018014000180080001007f000001080002007f0000011c0002800500010006000000060002009c45000006000300\
1f9100003400028014000180080001007f000001080002007f0000011c0002800500010006000000060002001f910000060003009c4500000800030000\
00018e080008000000000008000c00bc4157c908000b00000000020800070000069780300004802c0001800500010003000000050002000a000000050003000a00000006000400230000000600050023000000";
/// There is no such entry, and: who asks may not.
const NONE: &str = "5c0000000200000007000000967a0000feffffff48000000010101000700000000000000020000003400018014000180080001000a000001080002000a6363631c\
000280050001000600000006000200000100000600030000500000";
const DENIED: &str = "5c0000000200000007000000967a0000ffffffff48000000010101000700000000000000020000003400018014000180080001000a000001080002000a6363631c\
000280050001000600000006000200000100000600030000500000";

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn tuple(transport: Transport, client: &str, server: &str) -> Tuple {
    let end = |text: &str| text.parse().expect("an address");
    Tuple { transport, client: end(client), server: end(server) }
}

fn web() -> Tuple {
    tuple(Transport::Tcp, "10.0.0.1:40000", "10.99.99.99:80")
}

fn rewritten(server: &str, client: &str) -> Answer {
    Answer::Rewritten { server: server.parse().expect("an address"), client: client.parse().expect("an address") }
}

#[test]
fn an_entry_says_where_a_connection_leads() {
    let v6 = tuple(Transport::Tcp, "[fd00::1]:40002", "[fd99::99]:80");
    let udp = tuple(Transport::Udp, "10.0.0.1:40003", "10.99.99.99:53");
    let plain = tuple(Transport::Tcp, "127.0.0.1:40005", "127.0.0.1:8081");
    for (hex, asked, expected) in [
        (REWRITTEN, web(), rewritten("10.0.0.1:8080", "10.0.0.1:40000")),
        (REWRITTEN_IPV6, v6, rewritten("[fd00::1]:8080", "[fd00::1]:40002")),
        (REWRITTEN_UDP, udp, rewritten("10.0.0.1:5353", "10.0.0.1:40003")),
        (PLAIN, plain, Answer::AsItIs),
        (NONE, web(), Answer::Untracked),
    ] {
        assert_eq!(answer(&bytes(hex), SEQUENCE, &asked), Ok(Some(expected)), "{asked:?}");
    }
    assert_eq!(answer(&bytes(DENIED), SEQUENCE, &web()), Err(NotPermitted));
}

/// What the kernel's own message quotes of the question (behind the error) is what was asked.
#[test]
fn a_question_is_what_the_kernel_understands() {
    let asked = tuple(Transport::Tcp, "10.0.0.1:1", "10.99.99.99:80");
    let message = question(SEQUENCE, &asked).expect("of one family");
    assert_eq!(message.len(), 72);
    let quoted = &bytes(NONE)[20..];
    // The kernel looks at the nested attributes' type alone.
    assert_eq!(message, quoted);
    assert_eq!(entry(&[&message[20..], &reply(&message[20..])].concat(), &asked), Some(Answer::AsItIs));
    assert_eq!(question(1, &tuple(Transport::Tcp, "10.0.0.1:1", "[::1]:80")), None, "ends of two families");
}

/// The other tuple of an entry that is as it was asked.
fn reply(original: &[u8]) -> Vec<u8> {
    let asked = tuple_of(original);
    let back = Tuple { client: asked.server, server: asked.client, ..asked };
    let mut message = question(0, &back).expect("of one family").split_off(20);
    message[2] = TUPLE_REPLY as u8;
    message
}

fn tuple_of(attributes: &[u8]) -> Tuple {
    super::tuple(find(attributes, TUPLE_ORIGINAL).expect("there")).expect("whole")
}

#[test]
fn an_answer_to_something_else_is_none() {
    let good = bytes(REWRITTEN);
    assert_eq!(answer(&good, SEQUENCE + 1, &web()), Ok(None), "a late one");
    for other in [
        tuple(Transport::Tcp, "10.0.0.1:40001", "10.99.99.99:80"),
        tuple(Transport::Tcp, "10.0.0.2:40000", "10.99.99.99:80"),
        tuple(Transport::Tcp, "10.0.0.1:40000", "10.99.99.99:81"),
        tuple(Transport::Udp, "10.0.0.1:40000", "10.99.99.99:80"),
    ] {
        assert_eq!(answer(&good, SEQUENCE, &other), Ok(Some(Answer::Failed)), "{other:?}");
    }
}

#[test]
fn an_answer_that_is_cut_short_or_lies_about_a_length_says_nothing_wrong() {
    let good = bytes(REWRITTEN);
    let whole = Ok(Some(rewritten("10.0.0.1:8080", "10.0.0.1:40000")));
    for length in 0..good.len() {
        let said = answer(&good[..length], SEQUENCE, &web());
        assert_eq!(said, Ok(Some(Answer::Failed)), "{length} bytes of it");
        // The head may say so too.
        let mut short = good[..length].to_vec();
        if length >= 4 {
            short[..4].copy_from_slice(&(length as u32).to_ne_bytes());
        }
        let said = answer(&short, SEQUENCE, &web());
        assert!(said == Ok(Some(Answer::Failed)) || said == whole, "{length} bytes: {said:?}");
    }
    for at in 0..good.len() {
        for byte in [0, 1, 3, 4, 0x7f, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] = byte;
            // Nobody but the kernel writes these, and what it says of the ends is believed: anything else may only fail.
            let said = answer(&bad, SEQUENCE, &web());
            if let Ok(Some(Answer::Rewritten { server, client })) = said {
                assert!(server.is_ipv4() && client.is_ipv4(), "byte {at} is {byte:#x}: {said:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_or_none(mut message in prop::collection::vec(any::<u8>(), 0..300), honest in any::<bool>()) {
        if honest && message.len() >= 16 {
            let length = message.len() as u32;
            message[..4].copy_from_slice(&length.to_ne_bytes());
            message[4..6].copy_from_slice(&NEW.to_ne_bytes());
            message[8..12].copy_from_slice(&SEQUENCE.to_ne_bytes());
        }
        let _ = answer(&message, SEQUENCE, &web());
    }

    #[test]
    fn what_is_asked_is_understood(v6 in any::<bool>(), udp in any::<bool>(), ends in any::<([u8; 16], u16, [u8; 16], u16)>()) {
        let address = |bytes: [u8; 16]| if v6 { IpAddr::from(bytes) } else { IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]]) };
        let (client, client_port, server, server_port) = ends;
        let asked = Tuple {
            transport: if udp { Transport::Udp } else { Transport::Tcp },
            client: SocketAddr::new(address(client), client_port),
            server: SocketAddr::new(address(server), server_port),
        };
        let message = question(SEQUENCE, &asked).expect("of one family");
        prop_assert_eq!(message.len() as u32, u32::from_ne_bytes([message[0], message[1], message[2], message[3]]));
        prop_assert_eq!(tuple_of(&message[20..]), asked);
    }
}
