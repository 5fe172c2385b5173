//! Who is let in, over real sockets: token and session, TLS, hosts and origins, slow clients, the audit.

mod bench;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use steth_server::{Handle, Look, Retention, Server, Settings, Shared, Tls, Token};

const SECRET: &str = "correct-horse-battery";

struct Guarded {
    server: Handle,
    looks: Arc<Mutex<Vec<Look>>>,
}

impl Guarded {
    fn start(change: impl FnOnce(Settings) -> Settings) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("token");
        std::fs::write(&path, format!("{SECRET}\n")).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("set");
        let looks: Arc<Mutex<Vec<Look>>> = Arc::default();
        let audit = looks.clone();
        let settings = Settings {
            token: Some(Token::read(&path).expect("a token")),
            audit: Some(Arc::new(move |look: &Look| audit.lock().expect("no panic").push(look.clone()))),
            ..SocketAddr::from(([127, 0, 0, 1], 0)).into()
        };
        let shared = Arc::new(Shared::new(bench::T, Retention::default()));
        Self { server: Server::start(change(settings), shared).expect("starts"), looks }
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
        let mut stream = TcpStream::connect(self.server.address()).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            request += &format!("Host: {}\r\n", self.server.address());
        }
        headers.iter().for_each(|(name, value)| request += &format!("{name}: {value}\r\n"));
        if !body.is_empty() {
            request +=
                &format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", body.len());
        }
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).expect("sent");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    fn status(&self, path: &str, headers: &[(&str, &str)]) -> u16 {
        code(&self.send("GET", path, headers, ""))
    }
}

fn code(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no status: {answer}"))
}

#[test]
fn without_the_token_nothing_is_told() {
    let guarded = Guarded::start(|settings| settings);
    for path in ["/metrics", "/api/v1/health", "/api/v1/map", "/api/v1/requests", "/api/v1/openapi.json", "/nothing"] {
        let answer = guarded.send("GET", path, &[], "");
        assert!(code(&answer) == 401 && answer.contains("www-authenticate: Bearer"), "{path}: {answer}");
    }
    let page = guarded.send("GET", "/", &[], "");
    assert!(code(&page) == 401 && page.contains("name=\"token\"") && !page.contains("<script"), "{page}");
    let bearer = format!("Bearer {SECRET}");
    assert_eq!(guarded.status("/metrics", &[("Authorization", &bearer)]), 200);
    assert_eq!(guarded.status("/metrics", &[("Authorization", "Bearer correct-horse-batterx")]), 401);
    assert_eq!(guarded.status("/metrics", &[("Authorization", SECRET)]), 401);
}

#[test]
fn the_token_gives_a_session_for_this_hosts_own_pages_only() {
    let guarded = Guarded::start(|settings| settings);
    let form = format!("token={SECRET}");
    let answer = guarded.send("POST", "/api/v1/session", &[], &form);
    assert_eq!(code(&answer), 303, "{answer}");
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains("Secure"),
        "{cookie}"
    );
    assert!(answer.contains("location: ../../"), "{answer}");
    let session = cookie.split(';').next().expect("its value");
    assert_eq!(guarded.status("/api/v1/map", &[("Cookie", &format!("a=b; {session}"))]), 200);
    assert_eq!(guarded.status("/", &[("Cookie", session)]), 200);
    let forged = format!("{}0", &session[..session.len() - 1]);
    let forged = if forged == session { format!("{}1", &session[..session.len() - 1]) } else { forged };
    assert_eq!(guarded.status("/api/v1/map", &[("Cookie", &forged)]), 401);
    // From a page of a stranger the right token is of no use.
    for headers in
        [&[("Origin", "http://evil.example")][..], &[("Origin", "null")], &[("Sec-Fetch-Site", "cross-site")]]
    {
        assert_eq!(code(&guarded.send("POST", "/api/v1/session", headers, &form)), 403, "{headers:?}");
    }
    let own = format!("http://{}", guarded.server.address());
    assert_eq!(code(&guarded.send("POST", "/api/v1/session", &[("Origin", &own)], &form)), 303);
    assert_eq!(guarded.status("/api/v1/session", &[]), 405);
    assert_eq!(code(&guarded.send("POST", "/api/v1/map", &[], &form)), 405);
    assert_eq!(code(&guarded.send("POST", "/api/v1/session", &[], &"x".repeat(5000))), 413);
    for _ in 0..10 {
        assert_eq!(code(&guarded.send("POST", "/api/v1/session", &[], "token=guess")), 401);
    }
    let answer = guarded.send("POST", "/api/v1/session", &[], &form);
    assert!(code(&answer) == 429 && answer.contains("retry-after: 60"), "{answer}");
}

#[test]
fn two_agents_at_one_name_do_not_end_each_others_sessions() {
    let [one, two] = [(); 2].map(|()| Guarded::start(|settings| settings));
    // As a browser: one jar for all ports of a host.
    let cookies: Vec<String> = [&one, &two]
        .map(|guarded| guarded.send("POST", "/api/v1/session", &[], &format!("token={SECRET}")))
        .iter()
        .map(|answer| {
            let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
            cookie.split(';').next().expect("its value").to_owned()
        })
        .collect();
    let names: Vec<_> = cookies.iter().filter_map(|cookie| cookie.split_once('=')).map(|(name, _)| name).collect();
    assert!(names[0] != names[1] && names[0].starts_with("steth-"), "{names:?}");
    let jar = cookies.join("; ");
    for guarded in [&one, &two] {
        assert_eq!(guarded.status("/api/v1/map", &[("Cookie", &jar)]), 200);
    }
}

#[test]
fn a_browser_with_a_wrong_token_is_asked_again() {
    let guarded = Guarded::start(|settings| settings);
    let navigates = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Site", "same-origin")];
    let answer = guarded.send("POST", "/api/v1/session", &navigates, "token=guess");
    assert!(code(&answer) == 401 && answer.contains("content-type: text/html"), "{answer}");
    assert!(answer.contains("That is another token.") && answer.contains("action=\"session\""), "{answer}");
    for _ in 0..9 {
        guarded.send("POST", "/api/v1/session", &navigates, "token=guess");
    }
    let answer = guarded.send("POST", "/api/v1/session", &navigates, "token=guess");
    assert!(code(&answer) == 429 && answer.contains("retry-after: 60") && answer.contains("in a minute"), "{answer}");
    let page = guarded.send("GET", "/", &[], "");
    assert!(page.contains("action=\"api/v1/session\"") && !page.contains("another token"), "{page}");
    let script = Guarded::start(|settings| settings).send("POST", "/api/v1/session", &[], "token=guess");
    assert!(script.contains("content-type: text/plain"), "{script}");
}

#[test]
fn who_asks_too_much_is_told_to_wait_and_counted() {
    let guarded = Guarded::start(|settings| Settings { token: None, questions_per_second: 1, ..settings });
    let statuses: Vec<u16> = (0..30).map(|_| guarded.status("/api/v1/map", &[])).collect();
    // How many are answered depends on how long that takes.
    assert!(statuses[0] == 200 && statuses.ends_with(&[429]), "{statuses:?}");
    let answer = guarded.send("GET", "/api/v1/map", &[], "");
    assert!(code(&answer) == 429 && answer.contains("\r\nretry-after: "), "{answer}");
    // What costs nothing is not counted.
    assert_eq!([guarded.status("/", &[]), guarded.status("/metrics", &[])], [200, 200]);
    let health = guarded.send("GET", "/api/v1/health", &[], "");
    assert!(health.contains("steth_questions_over_rate_total"), "{health}");
    let metrics = guarded.send("GET", "/metrics", &[], "");
    let refused = metrics.lines().find_map(|line| line.strip_prefix("steth_questions_over_rate_total "));
    assert!(refused.and_then(|count| count.parse::<f64>().ok()) >= Some(1.0), "{metrics}");
}

#[test]
fn other_names_and_pages_of_strangers_are_refused() {
    let guarded =
        Guarded::start(|settings| Settings { token: None, names: vec!["steth.example".to_owned()], ..settings });
    let status = |headers: &[(&str, &str)]| guarded.status("/api/v1/map", headers);
    assert_eq!(status(&[]), 200);
    assert_eq!(status(&[("Host", "steth.example")]), 200);
    // The name of an attacker that leads to 127.0.0.1 by now.
    assert_eq!(status(&[("Host", "evil.example")]), 403);
    assert_eq!(status(&[("Origin", "https://evil.example")]), 403);
    assert_eq!(status(&[("Origin", "https://steth.example")]), 200);
    assert_eq!(status(&[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")]), 403);
    assert_eq!(status(&[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")]), 200, "a link is followed");
    let answer = guarded.send("GET", "/api/v1/map", &[("Origin", "https://steth.example")], "");
    assert!(!answer.to_lowercase().contains("access-control-allow"), "{answer}");
}

#[test]
fn each_look_at_request_records_is_told() {
    let guarded = Guarded::start(|settings| settings);
    let bearer = format!("Bearer {SECRET}");
    assert_eq!(guarded.status("/api/v1/map", &[("Authorization", &bearer)]), 200);
    assert_eq!(guarded.status("/api/v1/requests?service=pay&why=error", &[("Authorization", &bearer)]), 200);
    assert_eq!(guarded.status("/api/v1/requests?service=pay", &[]), 401);
    let looks = guarded.looks.lock().expect("no panic").clone();
    assert_eq!(looks.len(), 1, "{looks:?}");
    assert_eq!((&*looks[0].session, &*looks[0].filter), ("token", "service=pay&why=error"));
    assert!(looks[0].peer.ip().is_loopback() && looks[0].peer.port() > 0);
    let metrics = guarded.send("GET", "/metrics", &[("Authorization", &bearer)], "");
    assert!(metrics.contains("\nsteth_request_looks_total 1\n"), "{metrics}");
}

#[test]
fn beyond_loopback_a_token_and_tls_are_asked_for_unless_somebody_insists() {
    let shared = || Arc::new(Shared::new(bench::T, Retention::default()));
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let error = Server::start(everywhere, shared()).expect_err("refused").to_string();
    assert!(error.contains("server.token_file") && error.contains("ssh -L"), "{error}");
    let settings = Settings { insecure: true, ..everywhere.into() };
    let server = Server::start(settings, shared()).expect("somebody insists");
    let port = server.address().port();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    stream.write_all(b"GET /api/v1/health HTTP/1.1\r\nHost: 192.0.2.7\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    assert!(answer.contains("\"insecure\":true"), "{answer}");
}

/// A certificate that nobody has signed but itself.
fn certificate(dir: &Path) -> Tls {
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| dir.join(name));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Tls::read(&certificate, &key).expect("usable")
}

#[test]
fn over_tls_all_is_the_same_and_cookies_are_for_tls_only() {
    let dir = tempfile::tempdir().expect("a directory");
    let tls = certificate(dir.path());
    let guarded = Guarded::start(|settings| Settings { tls: Some(tls), ..settings });
    let url = |path: &str| format!("https://localhost:{}{path}", guarded.server.address().port());
    let curl = |arguments: &[&str]| {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--include", "--noproxy", "*", "--max-time", "20", "--cacert"])
            .arg(dir.path().join("cert.pem"))
            .args(["--resolve", &format!("localhost:{}:127.0.0.1", guarded.server.address().port())])
            .args(arguments)
            .output()
            .expect("curl runs");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let answer = curl(&["--header", &format!("Authorization: Bearer {SECRET}"), &url("/api/v1/health")]);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"insecure\":false"), "{answer}");
    assert!(
        !answer.to_lowercase().contains("strict-transport-security"),
        "other ports of this name are not ours: {answer}"
    );
    let answer = curl(&["--data", &format!("token={SECRET}"), &url("/api/v1/session")]);
    assert!(answer.starts_with("HTTP/1.1 303") && answer.contains("; Secure"), "{answer}");
    assert!(curl(&["--tls-max", "1.1", &url("/")]).contains("curl:"), "nobody speaks that any more");
    // Who speaks no TLS gets nothing, and others do not wait for it.
    let mut plain = TcpStream::connect(guarded.server.address()).expect("connects");
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1"), "{answer:?}");
}

#[test]
fn a_certificate_with_another_key_is_refused() {
    let [one, other] = [(), ()].map(|()| tempfile::tempdir().expect("a directory"));
    for dir in [&one, &other] {
        certificate(dir.path());
    }
    let error = Tls::read(&one.path().join("cert.pem"), &other.path().join("key.pem")).expect_err("refused");
    assert!(error.to_string().contains("cannot be used"), "{error}");
    let error = Tls::read(&one.path().join("none.pem"), &other.path().join("key.pem")).expect_err("refused");
    assert!(error.to_string().contains("cannot read the certificate"), "{error}");
}

#[test]
fn a_head_is_bounded_in_lines_and_in_bytes() {
    let guarded = Guarded::start(|settings| Settings { token: None, ..settings });
    let lines = |count: usize, length: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("X-{n}")).collect();
        let value = "v".repeat(length);
        let headers: Vec<(&str, &str)> = names.iter().map(|name| (&**name, &*value)).collect();
        guarded.status("/", &headers)
    };
    assert_eq!((lines(60, 1), lines(80, 1), lines(3, 10_000)), (200, 431, 431));
}

#[test]
fn slow_heads_do_not_keep_others_out_for_long() {
    let guarded = Guarded::start(|settings| settings);
    // Fewer than there are places: whoever comes now is answered at once, although they go on and on.
    let mut slow: Vec<TcpStream> =
        (0..40).map(|_| TcpStream::connect(guarded.server.address()).expect("connects")).collect();
    for stream in &mut slow {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: loc").expect("sent");
    }
    assert_eq!(guarded.status("/", &[]), 401);
    // After ten seconds their places are free, however many letters they send.
    let mut gone = 0;
    for _ in 0..30 {
        std::thread::sleep(Duration::from_millis(500));
        gone = slow.iter_mut().filter_map(|stream| stream.write_all(b"a").err()).count();
        if gone == slow.len() {
            break;
        }
    }
    assert_eq!(gone, slow.len());
}
