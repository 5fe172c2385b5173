//! Replies that are not one for each command: pushes, pub/sub, MONITOR, PSYNC, CLIENT REPLY.

use super::*;

#[test]
fn pushes_answer_nobody() {
    let kit = talk(
        &[command(&["GET", "a"]), command(&["GET", "b"])].concat(),
        b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nx\r\n$1\r\n1\r\n>4\r\n+pubsub\r\n+message\r\n+c\r\n+m\r\n-ERR b\r\n",
    );
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("GET OK, GET ERR", 0));
}

#[test]
fn subscriptions_in_resp2() {
    // Captured, with a message put in.
    let mut kit = Kit::default();
    kit.request(command(&["SUBSCRIBE", "a", "b"]));
    kit.response(b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n");
    kit.request(command(&["PING"]));
    kit.response(b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    kit.request([command(&["UNSUBSCRIBE"]), command(&["PUNSUBSCRIBE"])].concat());
    kit.response(b"*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:1\r\n*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n");
    kit.response(b"*3\r\n$12\r\npunsubscribe\r\n$-1\r\n:0\r\n");
    kit.request(command(&["LRANGE", "l", "0", "-1"]));
    kit.response(b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n");
    assert_eq!(kit.brief(), "SUBSCRIBE OK, PING OK, UNSUBSCRIBE OK, PUNSUBSCRIBE OK, LRANGE OK");
    assert_eq!((kit.count.lost(), kit.session.pending()), (0, 0));
}

#[test]
fn subscriptions_in_resp3() {
    // Captured, pipelined with ordinary commands.
    let requests = [
        command(&["HELLO", "3"]),
        command(&["SUBSCRIBE", "a", "b"]),
        command(&["GET", "k"]),
        command(&["UNSUBSCRIBE"]),
        command(&["PING"]),
    ];
    let kit = talk(
        &requests.concat(),
        b"%1\r\n$5\r\nproto\r\n:3\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n\
          >3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nm\r\n-WRONGTYPE x\r\n\
          >3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:1\r\n>3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n+PONG\r\n",
    );
    assert_eq!(kit.brief(), "HELLO OK, SUBSCRIBE OK, GET WRONGTYPE, UNSUBSCRIBE OK, PING OK");
    assert_eq!(kit.count.lost(), 0);
}

#[test]
fn messages_of_a_subscription_older_than_the_agent_are_pushes() {
    let mut kit = Kit::default();
    kit.response(b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n");
    kit.request(command(&["PING"]));
    kit.response(b"*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\na\r\n$2\r\nhi\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("PING OK", 0));
}

#[test]
fn a_refused_subscription_and_one_inside_a_transaction() {
    let kit = talk(&[command(&["SUBSCRIBE", "a"]), command(&["PING"])].concat(), b"-NOPERM no\r\n+PONG\r\n");
    assert_eq!(kit.brief(), "SUBSCRIBE NOPERM, PING OK");
    // Captured: the array of EXEC has one element, and the second confirmation follows it.
    let requests = [command(&["MULTI"]), command(&["SUBSCRIBE", "a", "b"]), command(&["EXEC"]), command(&["PING"])];
    let kit = talk(
        &requests.concat(),
        b"+OK\r\n+QUEUED\r\n*1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n",
    );
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("MULTI OK, SUBSCRIBE QUEUED, EXEC OK, PING OK", 0));
}

#[test]
fn what_monitor_shows_are_pushes() {
    // Captured: replies go on between the lines.
    let mut kit = Kit::default();
    kit.request(command(&["MONITOR"]));
    kit.response(b"+OK\r\n");
    kit.request(command(&["PING"]));
    kit.response(b"+PONG\r\n+1795478266.045955 [0 127.0.0.1:56524] \"PING\"\r\n");
    kit.request(command(&["RESET"]));
    kit.response(b"+1795478266.1 [0 127.0.0.1:1] \"GET\" \"x\"\r\n+RESET\r\n");
    kit.request(command(&["ECHO", "1"]));
    kit.response(b"+1\r\n");
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("MONITOR OK, PING OK, RESET OK, ECHO OK", 0));
}

#[test]
fn psync_makes_the_connection_opaque() {
    for (request, reply) in [
        // Captured.
        (
            command(&["PSYNC", "?", "-1"]),
            &b"\n\n+FULLRESYNC 3e1510188e60159af2f0cc873456da3d3a18b5a6 0\r\n$172\r\nREDIS0010\xfa"[..],
        ),
        (command(&["PSYNC", "x", "5"]), b"+CONTINUE\r\n*1\r\n$4\r\nPING\r\n"),
        (command(&["SYNC"]), b"\n$172\r\nREDIS0010\xfa\tredis-ver"),
        (command(&["SYNC"]), b"$EOF:0123456789012345678901234567890123456789\r\nREDIS"),
    ] {
        let mut kit = Kit::default();
        kit.request([command(&["REPLCONF", "listening-port", "1"]), request].concat());
        kit.response(b"+OK\r\n");
        kit.response(reply);
        assert_eq!((kit.out[1].outcome, kit.session.state()), (Outcome::Upgraded, State::Opaque));
        kit.response(b"whatever");
        kit.close(End::Closed);
        assert_eq!((kit.out.len(), kit.count.lost()), (2, 0));
    }
    let mut kit = talk(&command(&["PSYNC", "?", "-1"]), b"-NOMASTERLINK Can't SYNC\r\n");
    assert_eq!((kit.brief().as_str(), kit.session.state()), ("PSYNC NOMASTERLINK", State::Parsing));
    kit.close(End::Closed);
}

#[test]
fn client_reply_off_and_skip() {
    // Captured, but for RESET.
    let kit = talk(
        b"CLIENT REPLY OFF\r\nPING\r\nCLIENT REPLY SKIP\r\nCLIENT REPLY ON\r\nclient reply skip\r\nPING\r\nECHO x\r\n",
        b"+OK\r\n$1\r\nx\r\n",
    );
    let outcomes: Vec<_> = kit.out.iter().map(|e| (kit.names.get(e.operation), e.outcome)).collect();
    let (oneway, answered) = (Outcome::OneWay, Outcome::Answered);
    assert_eq!(
        outcomes,
        [
            ("CLIENT REPLY", oneway),
            ("PING", oneway),
            ("CLIENT REPLY", oneway),
            ("CLIENT REPLY", oneway),
            ("PING", oneway),
            ("CLIENT REPLY", answered),
            ("ECHO", answered),
        ]
    );
    assert_eq!(kit.count.lost(), 0);
    let kit = talk(b"CLIENT REPLY OFF\r\nRESET\r\nPING\r\n", b"+RESET\r\n+PONG\r\n");
    assert_eq!(kit.out.iter().filter(|e| e.outcome == Outcome::Answered).count(), 2);
}
