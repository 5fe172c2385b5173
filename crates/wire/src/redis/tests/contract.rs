//! What the contract asks for and no other test says.

use super::*;

/// Everything that can leave: exchanges, their attributes, names.
fn all(kit: &Kit) -> String {
    let mut all = format!("{:?}{:?}", kit.out, kit.names);
    for e in &kit.out {
        e.attributes(crate::Side::Client, &kit.names, &mut |key, value| all += &format!("{key}={value:?}"));
    }
    all
}

#[test]
fn secrets_never_leave_wherever_a_piece_ends_and_whatever_is_answered() {
    let requests = [
        command(&["AUTH", "bob", "hunter2"]),
        command(&["hello", "3", "AUTH", "bob", "hunter2", "SETNAME", "hunter2"]),
        command(&["ACL", "SETUSER", "bob", "on", ">hunter2", "#hunter2"]),
        command(&["MIGRATE", "h", "1", "", "0", "5", "COPY", "AUTH2", "bob", "hunter2", "KEYS", "hunter2"]),
        command(&["CONFIG", "SET", "requirepass", "hunter2"]),
        command(&["SET", "hunter2", "hunter2"]),
        b"AUTH bob hunter2\r\n".to_vec(),
        b"ACL SETUSER bob >hunter2\r\n".to_vec(),
    ];
    let replies: [&[u8]; 5] = [
        b"+OK\r\n",
        b"-ERR unknown command 'AUTH', with args beginning with: 'bob' 'hunter2' \r\n",
        b"-WRONGPASS hunter2\r\n",
        b"!21\r\nERR 'bob' 'hunter2' x\r\n",
        b"%1\r\n+requirepass\r\n$7\r\nhunter2\r\n",
    ];
    for request in &requests {
        for reply in replies {
            for at in 0..request.len() {
                let mut kit = Kit::default();
                for part in [&request[..at], &request[at..]] {
                    kit.request(part);
                }
                for part in [&reply[..at.min(reply.len())], &reply[at.min(reply.len())..]] {
                    kit.response(part);
                }
                let all = all(&kit);
                assert_eq!(kit.out.len(), 1, "{} at {at}", request.escape_ascii());
                assert!(!all.contains("hunter2") && !all.contains("bob"), "{all}");
            }
        }
    }
    // What MONITOR shows of others.
    let mut kit = talk(&command(&["MONITOR"]), b"+OK\r\n");
    kit.response(b"+1795478266.045955 [0 127.0.0.1:1] \"SET\" \"hunter2\" \"x\"\r\n");
    assert!(!all(&kit).contains("hunter2"));
}

#[test]
fn a_transaction_that_is_aborted_or_discarded_pairs_like_any_other() {
    let commands = |words: &[&str]| words.iter().flat_map(|word| command(&[word])).collect::<Vec<u8>>();
    // A watched key has changed: the null array is EXEC's reply; and, in RESP3, the null.
    let kit = talk(
        &commands(&["WATCH", "MULTI", "INCR", "EXEC", "MULTI", "GET", "EXEC", "MULTI", "DISCARD", "PING"]),
        b"+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n+OK\r\n+QUEUED\r\n_\r\n+OK\r\n+OK\r\n+PONG\r\n",
    );
    assert_eq!(
        kit.brief(),
        "WATCH OK, MULTI OK, INCR QUEUED, EXEC OK, MULTI OK, GET QUEUED, EXEC OK, MULTI OK, DISCARD OK, PING OK"
    );
    // What went wrong inside shows at EXEC, which says it; what was queued is neither well nor ill.
    let kit = talk(
        &commands(&["MULTI", "INCR", "BLPOP", "EXEC", "PING"]),
        b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n-WRONGTYPE no\r\n*2\r\n$1\r\nk\r\n$1\r\nv\r\n+PONG\r\n",
    );
    assert_eq!(
        (kit.brief().as_str(), kit.count.lost()),
        ("MULTI OK, INCR QUEUED, BLPOP QUEUED, EXEC WRONGTYPE, PING OK", 0)
    );
    let errors = |n| kit.attribute(n, "error.type");
    assert_eq!((errors(1), errors(3).as_deref()), (None, Some("WRONGTYPE")));
    assert_eq!(kit.attribute(3, "redis.exec.errors").as_deref(), Some("1"));
    // An array with an error in it is no error of another command, and what is deeper is none of EXEC's.
    let kit =
        talk(&commands(&["FCALL", "MULTI", "EXEC"]), b"*1\r\n-ERR in a value\r\n+OK\r\n*1\r\n*1\r\n-ERR deeper\r\n");
    assert_eq!(kit.brief(), "FCALL OK, MULTI OK, EXEC OK");
}

#[test]
fn an_error_is_its_first_word_whatever_the_side() {
    for word in
        ["ERR", "WRONGTYPE", "MOVED", "ASK", "NOAUTH", "NOPERM", "LOADING", "BUSY", "READONLY", "OOM", "NOSCRIPT"]
    {
        let kit = talk(&command(&["GET", "k"]), format!("-{word} 3999 127.0.0.1:6381\r\n").as_bytes());
        assert_eq!(kit.brief(), format!("GET {word}"));
        for side in [crate::Side::Client, crate::Side::Server, crate::Side::Network] {
            assert_eq!(kit.out[0].error_type(side, &kit.names).as_deref(), Some(word));
        }
        assert_eq!(kit.attribute(0, "db.response.status_code").as_deref(), Some(word));
        assert_eq!(kit.attribute(0, "error.type").as_deref(), Some(word));
    }
}

/// A word in one case, then in the other, then a container's: the shortcut for repeated commands changes nothing.
#[test]
fn repeated_commands_are_named_as_single_ones() {
    let words: [&[&str]; 8] = [
        &["GET", "a"],
        &["GET", "b"],
        &["get", "b"],
        &["CONFIG", "GET", "x"],
        &["CONFIG", "SET", "x", "y"],
        &["GET", "c"],
        &["BLPOP", "k", "1"],
        &["BLPOP", "k", "1"],
    ];
    let kit = talk(&words.iter().flat_map(|words| command(words)).collect::<Vec<u8>>(), &b"+OK\r\n".repeat(8));
    assert_eq!(kit.brief(), "GET OK, GET OK, GET OK, CONFIG GET OK, CONFIG SET OK, GET OK, BLPOP OK, BLPOP OK");
    let sent: Vec<_> = (0..8).filter_map(|n| kit.attribute(n, "db.operation.name")).collect();
    assert_eq!(sent, ["GET", "GET", "get", "CONFIG GET", "CONFIG SET", "GET", "BLPOP", "BLPOP"]);
    assert_eq!(kit.out.iter().map(|e| e.blocking).collect::<Vec<_>>()[5..], [false, true, true]);
}
