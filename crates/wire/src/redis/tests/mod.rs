//! What a connection gives, message by message. Bytes marked "captured" were recorded from redis-server 7.0.15.

mod contract;
mod gaps;
mod kit;
mod limits;
mod property;
mod pushes;

use super::*;
use kit::{Kit, command};

/// `requests` in one piece, then `replies` in one piece, then an orderly close.
fn talk(requests: &[u8], replies: &[u8]) -> Kit {
    let mut kit = Kit::default();
    kit.request(requests);
    kit.response(replies);
    kit.close(End::Closed);
    kit
}

#[test]
fn every_type_of_reply_is_one_reply() {
    let nested = [b"*1\r\n".repeat(31), b"*1\r\n:1\r\n".to_vec()].concat();
    let replies: &[(&[u8], &str)] = &[
        (b"+OK\r\n", "OK"),
        (b"+\r\n", "OK"),
        (b":1000\r\n", "OK"),
        (b":-1\r\n", "OK"),
        (b"$5\r\nhello\r\n", "OK"),
        (b"$0\r\n\r\n", "OK"),
        (b"$-1\r\n", "OK"),
        (b"$12\r\na\r\n+OK\r\n-ERR\r\n", "OK"),
        (b"*0\r\n", "OK"),
        (b"*-1\r\n", "OK"),
        (b"*2\r\n$3\r\nfoo\r\n$-1\r\n", "OK"),
        (b"*2\r\n*2\r\n:1\r\n-ERR inner\r\n*-1\r\n", "OK"),
        (b"_\r\n", "OK"),
        (b"#t\r\n", "OK"),
        (b",1.23\r\n", "OK"),
        (b",-inf\r\n", "OK"),
        (b"(3492890328409238509324850943850943825024385\r\n", "OK"),
        (b"=15\r\ntxt:Some string\r\n", "OK"),
        (b"%2\r\n+a\r\n:1\r\n+b\r\n%1\r\n+c\r\n*0\r\n", "OK"),
        (b"%0\r\n", "OK"),
        (b"~3\r\n+a\r\n+b\r\n#f\r\n", "OK"),
        (b"|1\r\n+ttl\r\n:3600\r\n$3\r\nfoo\r\n", "OK"),
        (b"|1\r\n+key-popularity\r\n%1\r\n$1\r\na\r\n,0.19\r\n-ERR no\r\n", "ERR"),
        (b"*2\r\n|1\r\n+ttl\r\n:3600\r\n:1\r\n:2\r\n", "OK"),
        (b"|0\r\n+OK\r\n", "OK"),
        (b"|?\r\n+a\r\n:1\r\n.\r\n+OK\r\n", "OK"),
        (b"$?\r\n;4\r\nHell\r\n;1\r\no\r\n;0\r\n", "OK"),
        (b"$?\r\n;0\r\n", "OK"),
        (b"*?\r\n:1\r\n*?\r\n.\r\n$?\r\n;1\r\nx\r\n;0\r\n.\r\n", "OK"),
        (b"%?\r\n+a\r\n:1\r\n.\r\n", "OK"),
        (b"*1\r\n*?\r\n.\r\n", "OK"),
        (b"-ERR unknown command 'foo', with args beginning with: \r\n", "ERR"),
        (b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", "WRONGTYPE"),
        (b"-MOVED 3999 127.0.0.1:6381\r\n", "MOVED"),
        (b"-NOAUTH Authentication required.\r\n", "NOAUTH"),
        (b"-My own error\r\n", "ERR"),
        (b"-\r\n", "ERR"),
        (b"-OK this is an error all the same\r\n", "ERR"),
        (b"!21\r\nSYNTAX invalid syntax\r\n", "SYNTAX"),
        (b"!5\r\nlower\r\n", "ERR"),
        (&nested, "OK"),
    ];
    for (reply, status) in replies {
        for split in 0..reply.len() {
            let mut kit = Kit::default();
            kit.request(b"*1\r\n$1\r\nX\r\n*1\r\n$1\r\nY\r\n");
            kit.response(&reply[..split]);
            kit.response(&reply[split..]);
            kit.response(b"+OK\r\n");
            let text = format!("{} at {split}", reply.escape_ascii());
            assert_eq!(kit.brief(), format!("X {status}, Y OK"), "{text}");
            assert_eq!((kit.out[0].response_bytes, kit.out[0].response_offset), (reply.len() as u64, 0), "{text}");
            assert_eq!(kit.count.lost(), 0);
        }
    }
}

#[test]
fn commands_are_named_and_containers_with_their_sub_command() {
    for (request, operation, sent) in [
        (command(&["GET", "key"]), "GET", "GET"),
        (command(&["get", "key"]), "GET", "get"),
        (command(&["GeT", "key"]), "GET", "GET"),
        (command(&["CONFIG", "GET", "*"]), "CONFIG GET", "CONFIG GET"),
        (command(&["config", "set", "requirepass", "hunter2"]), "CONFIG SET", "config set"),
        (command(&["CONFIG", "get", "*"]), "CONFIG GET", "CONFIG get"),
        (command(&["ACL", "SETUSER", "bob", ">hunter2"]), "ACL SETUSER", "ACL SETUSER"),
        (command(&["CONFIG", "s3cret!"]), "CONFIG", "CONFIG"),
        (command(&["COMMAND"]), "COMMAND", "COMMAND"),
        (command(&["JSON.GET", "doc"]), "JSON.GET", "JSON.GET"),
        (command(&["ft.search", "i", "q"]), "FT.SEARCH", "ft.search"),
        (command(&["what is\x01this"]), "*", ""),
        (command(&[""]), "*", ""),
        (command(&["ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG"]), "*", ""),
        (command(&[&"Z".repeat(5000)]), "*", ""),
        (b"PING\r\n".to_vec(), "PING", "PING"),
        (b"ping\n".to_vec(), "PING", "ping"),
        (b"\r\n\n  set  key value \r\n".to_vec(), "SET", "set"),
        (b"config get maxmemory\r\n".to_vec(), "CONFIG GET", "config get"),
    ] {
        let kit = talk(&request, b"+OK\r\n");
        let text = request.escape_ascii().to_string();
        assert_eq!(kit.brief(), format!("{operation} OK"), "{text}");
        assert_eq!(kit.attribute(0, "db.operation.name").unwrap_or_default(), sent, "{text}");
        assert_eq!(kit.count.lost(), 0, "{text}");
    }
}

#[test]
fn secrets_never_leave_the_parser() {
    for request in [
        command(&["AUTH", "hunter2"]),
        command(&["auth", "bob", "hunter2"]),
        command(&["HELLO", "3", "AUTH", "bob", "hunter2"]),
        command(&["ACL", "SETUSER", "bob", "on", ">hunter2"]),
        command(&["MIGRATE", "h", "1", "k", "0", "5", "AUTH", "hunter2"]),
        command(&["MIGRATE", "h", "1", "k", "0", "5", "AUTH2", "bob", "hunter2"]),
        command(&["CONFIG", "SET", "masterauth", "hunter2"]),
        b"AUTH hunter2\r\n".to_vec(),
    ] {
        let kit = talk(&request, b"+OK\r\n");
        assert_eq!(kit.out.len(), 1);
        let all = format!("{:?}{:?}{:?}", kit.out, kit.names, kit.session);
        assert!(!all.contains("hunter2") && !all.contains("bob"), "{}", request.escape_ascii());
    }
}

#[test]
fn empty_lines_and_empty_arrays_are_no_commands() {
    // Captured: "*0\r\n*-1\r\nPING\r\n" is answered once.
    let kit = talk(b"\r\n\n*0\r\n*-1\r\nPING\r\n", b"+PONG\r\n");
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("PING OK", 0));
}

#[test]
fn hundreds_in_one_piece_pair_in_order() {
    let mut requests = Vec::new();
    let mut replies = Vec::new();
    for n in 0..500 {
        requests.extend(command(&[if n % 2 == 0 { "GET" } else { "INCR" }, &format!("key{n}")]));
        replies.extend(
            if n % 2 == 0 { format!("${}\r\n{n}\r\n", n.to_string().len()) } else { "-ERR x\r\n".into() }.bytes(),
        );
    }
    let kit = talk(&requests, &replies);
    assert_eq!(kit.out.len(), 500);
    assert!(kit.brief().starts_with("GET OK, INCR ERR, GET OK"));
    assert_eq!(kit.out.iter().map(|e| e.request_bytes).sum::<u64>(), requests.len() as u64);
    assert_eq!(kit.out.iter().map(|e| e.response_bytes).sum::<u64>(), replies.len() as u64);
    assert_eq!(kit.out[1].request_offset, kit.out[0].request_bytes);
    assert_eq!(kit.out[1].response_offset, kit.out[0].response_bytes);
}

#[test]
fn times_are_those_of_the_pieces() {
    let mut kit = Kit { time: 10, lag: Some(3), ..Kit::default() };
    kit.request(b"*1\r\n$4\r\nPI"); // at 11
    kit.request(b"NG\r\n"); // at 12
    kit.response(b"$4\r\nPO"); // at 13
    kit.response(b"NG\r\n"); // at 14
    let e = &kit.out[0];
    assert_eq!((e.start, e.arrival, e.request_end, e.first_byte, e.end), (11, 8, 12, 13, 14));
    assert_eq!((e.request_bytes, e.response_bytes, e.outcome), (14, 10, Outcome::Answered));
}

#[test]
fn transactions_are_one_exchange_for_each_command() {
    let requests = [command(&["MULTI"]), command(&["INCR", "a"]), command(&["EXEC"])].concat();
    let kit = talk(&requests, b"+OK\r\n+QUEUED\r\n*1\r\n-WRONGTYPE no\r\n");
    assert_eq!(kit.brief(), "MULTI OK, INCR QUEUED, EXEC WRONGTYPE");
    let kit = talk(&requests, b"+OK\r\n-ERR syntax\r\n-EXECABORT Transaction discarded\r\n");
    assert_eq!(kit.brief(), "MULTI OK, INCR ERR, EXEC EXECABORT");
}

#[test]
fn blocking_commands_are_marked() {
    for (words, blocking) in [
        (&["BLPOP", "k", "0"][..], true),
        (&["brpop", "k", "0"], true),
        (&["BLMOVE", "a", "b", "LEFT", "LEFT", "0"], true),
        (&["BRPOPLPUSH", "a", "b", "0"], true),
        (&["BZPOPMIN", "k", "0"], true),
        (&["BZPOPMAX", "k", "0"], true),
        (&["BLMPOP", "0", "1", "k", "LEFT"], true),
        (&["BZMPOP", "0", "1", "k", "MIN"], true),
        (&["WAIT", "1", "0"], true),
        (&["WAITAOF", "1", "1", "0"], true),
        (&["LPOP", "k"], false),
        (&["XREAD", "COUNT", "2", "BLOCK", "0", "STREAMS", "s", "$"], true),
        (&["XREAD", "block", "0", "streams", "s", "$"], true),
        (&["XREAD", "COUNT", "2", "STREAMS", "BLOCK", "$"], false),
        (&["XREADGROUP", "GROUP", "g", "c", "NOACK", "BLOCK", "5", "STREAMS", "s", ">"], true),
        (&["XREADGROUP", "GROUP", "BLOCK", "BLOCK", "STREAMS", "s", ">"], false),
    ] {
        let kit = talk(&command(words), b"*-1\r\n");
        assert_eq!(kit.out[0].blocking, blocking, "{words:?}");
    }
}

#[test]
fn the_database_is_known_once_select_was_answered() {
    let mut kit = Kit::default();
    let mut ask = |words: &[&str], reply: &[u8]| {
        kit.request(command(words));
        kit.response(reply);
        kit.attribute(kit.out.len() - 1, "db.namespace")
    };
    assert_eq!(ask(&["GET", "a"], b"$-1\r\n"), None);
    assert_eq!(ask(&["SELECT", "12"], b"+OK\r\n").as_deref(), Some("12"));
    assert_eq!(ask(&["SELECT", "99"], b"-ERR DB index is out of range\r\n").as_deref(), Some("12"));
    assert_eq!(ask(&["GET", "a"], b"$-1\r\n").as_deref(), Some("12"));
    assert_eq!(ask(&["SELECT", "0"], b"+OK\r\n").as_deref(), Some("0"));
    assert_eq!(ask(&["SELECT", "1"], b"+QUEUED\r\n"), None);
}

#[test]
fn attributes_have_their_opentelemetry_names() {
    let kit = talk(&command(&["fcall", "my_func", "1", "k"]), b"-WRONGTYPE x\r\n");
    let mut all = Vec::new();
    kit.out[0].attributes(crate::Side::Client, &kit.names, &mut |key, value| all.push(format!("{key}={value:?}")));
    assert_eq!(
        all,
        [
            "db.system.name=Text(\"redis\")",
            "db.operation.name=Text(\"fcall\")",
            "db.stored_procedure.name=Text(\"my_func\")",
            "db.response.status_code=Text(\"WRONGTYPE\")",
            "error.type=Text(\"WRONGTYPE\")",
        ]
    );
    let kit = talk(&command(&["EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "0"]), b":1\r\n");
    assert_eq!(
        kit.attribute(0, "db.stored_procedure.name").as_deref(),
        Some("e0e1f9fabfc9d4800c877a703b823ac0578ff8db")
    );
    assert_eq!(kit.out[0].error_type(crate::Side::Client, &kit.names), None);
}
