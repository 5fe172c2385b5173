//! `steth top` on a real terminal, before a live agent: keys are pressed in tmux, and what it shows is looked at.

use crate::lab::process::{command, run};
use crate::lab::{Agent, Process, curl, free_port, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(15);
const VISITS: u64 = 30;
/// The service that is looked at.
const NAME: &str = "looked-at";

/// A tmux server with one window: a shell. It ends with the test.
struct Tmux {
    _server: Process,
    dir: TempDir,
}

impl Tmux {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut server = command("tmux");
        // In front, so that it is this test's child.
        server.args(["-f", "/dev/null", "-D"]).arg("-S").arg(dir.path().join("socket")).env_remove("TMUX");
        let server = Process::spawn("tmux", &mut server, dir.path());
        let socket = dir.path().join("socket");
        server.wait_for("its socket was there", SOON, || socket.exists());
        let tmux = Self { _server: server, dir };
        tmux.say(&[
            "new-session",
            "-d",
            "-x",
            "80",
            "-y",
            "24",
            "env -u NO_COLOR PS1='ready$ ' bash --norc --noprofile",
        ]);
        tmux.wait_for(&["ready$"], &[]);
        tmux
    }

    fn say(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.env_remove("TMUX").arg("-S").arg(self.socket()).args(arguments);
        run("tmux", &mut command, SOON).0
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    fn press(&self, keys: &[&str]) {
        self.say(&[&["send-keys", "--"], keys].concat());
    }

    fn screen(&self) -> String {
        self.say(&["capture-pane", "-p"])
    }

    /// Until the screen shows some texts, and others no more.
    fn wait_for(&self, shown: &[&str], gone: &[&str]) -> String {
        let mut screen = String::new();
        let begun = std::time::Instant::now();
        loop {
            screen.clone_from(&self.screen());
            if shown.iter().all(|text| screen.contains(text)) && !gone.iter().any(|text| screen.contains(text)) {
                return screen;
            }
            assert!(begun.elapsed() < SOON, "{shown:?} without {gone:?}:\n{screen}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn format(&self, format: &str) -> String {
        self.say(&["display-message", "-p", format]).trim().to_owned()
    }

    /// The shell reads again, on the usual screen, of a terminal that is as it was.
    fn is_as_before(&self, marker: &str) {
        // Before that, what is typed would be the other program's, which leaves without having looked at it.
        wait_until("the shell is in front", SOON, || self.format("#{pane_current_command}") == "bash");
        let typed = format!("stty -a | grep -o ' icanon\\| echo ' | tr -d '\\n'; echo {marker}");
        self.press(&[&typed, "Enter"]);
        self.wait_for(&[&format!(" icanon echo {marker}")], &[]);
        assert_eq!(self.format("#{alternate_on} #{cursor_flag}"), "0 1", "{}", self.screen());
        self.press(&["clear", "Enter"]);
        self.wait_for(&["ready$"], &[marker]);
    }

    /// What runs in front of the shell.
    fn child(&self) -> Pid {
        let shell = self.format("#{pane_pid}");
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).expect("/proc");
        let child = children.split_whitespace().next().expect("a child");
        Pid::from_raw(child.parse().expect("a number"))
    }
}

#[test]
fn on_a_terminal_keys_lead_from_services_to_a_request_and_the_terminal_is_given_back() {
    root_or_skip!();
    // Under a name that nobody else on this machine has.
    let (dir, port) = (tempfile::tempdir().expect("a temporary directory"), free_port());
    let mut server = command("python3");
    server.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]).current_dir(dir.path());
    let server = Process::spawn("server", server.env("OTEL_SERVICE_NAME", NAME), dir.path());
    server.wait_for_port(port);
    let agent = Agent::start();
    for _ in 0..VISITS {
        assert_eq!(curl(&[&format!("http://127.0.0.1:{port}/")]).status, 200);
    }
    // The window in which they were has ended.
    wait_until("it is there", Duration::from_secs(30), || {
        let top = agent.asked_by(&["top", "--once", "--json", "--seconds", "600", "--filter", NAME], &[]);
        let top: Value = serde_json::from_str(&top).expect("JSON");
        top["rows"].as_array().expect("rows").iter().any(|row| row["server"] == NAME && row["count"] == VISITS)
    });

    // The other views, as scripts get them.
    for (by, key) in
        [("operations", "server"), ("connections", "server"), ("edges", "server"), ("requests", "exchange")]
    {
        let top = agent.asked_by(&["top", "--by", by, "--once", "--json", "--seconds", "600", "--filter", NAME], &[]);
        let top: Value = serde_json::from_str(&top).expect("JSON");
        let rows = top["rows"].as_array().expect("rows");
        assert!(top["by"] == by && !rows.is_empty(), "{top:#}");
        assert!(rows.iter().all(|row| row[key].to_string().contains(NAME)), "{top:#}");
    }
    let requests = ["top", "--by", "requests", "--sort", "duration", "--once", "--json", "--seconds", "600"];
    let requests: Value = serde_json::from_str(&agent.asked_by(&requests, &[])).expect("JSON");
    let rows = requests["rows"].as_array().expect("rows").iter();
    let durations: Vec<u64> = rows.filter_map(|row| row["exchange"]["duration_ns"].as_u64()).collect();
    assert!(!durations.is_empty() && durations.is_sorted_by(|a, b| a >= b), "the longest first: {durations:?}");
    let dns = agent.asked_by(&["top", "--by", "dns", "--once", "--json", "--seconds", "600"], &[]);
    assert_eq!(serde_json::from_str::<Value>(&dns).expect("JSON")["by"], "dns");

    let tmux = Tmux::start();
    let start = format!(
        "{} top --seconds 600 --interval 300ms --connect http://127.0.0.1:{}",
        env!("CARGO_BIN_EXE_steth"),
        agent.port
    );
    tmux.press(&[&start, "Enter"]);
    let screen = tmux.wait_for(&["1 Services", "newest", "q quit"], &["ready$"]);
    assert!(screen.lines().count() <= 24, "{screen}");
    assert_eq!(tmux.format("#{alternate_on}"), "1");
    // Down to a request.
    tmux.press(&["/", NAME, "Enter"]);
    tmux.wait_for(&["/looked-at", "1 of 1 services"], &[]);
    tmux.press(&["Enter"]);
    tmux.wait_for(&["neighbours of looked-at", "<-", "curl"], &[]);
    tmux.press(&["3"]);
    tmux.wait_for(&["operations asked of looked-at", "GET"], &[]);
    tmux.press(&["Enter"]);
    tmux.wait_for(&["requests of looked-at GET"], &[]);
    tmux.press(&["Enter"]);
    tmux.wait_for(&["operation  GET", "kept as", "client     curl"], &[]);
    tmux.press(&["G"]);
    tmux.wait_for(&["network.protocol.version"], &["kept as"]);
    tmux.press(&["Escape"]);
    tmux.wait_for(&["requests of looked-at GET"], &["network.protocol.version"]);
    // The size changes.
    tmux.say(&["resize-window", "-x", "132", "-y", "40"]);
    tmux.wait_for(&["requests of looked-at GET", "QUEUE"], &[]);
    tmux.press(&["2"]);
    tmux.wait_for(&["edges of looked-at GET", "SERVICE95"], &[]);
    tmux.say(&["resize-window", "-x", "80", "-y", "24"]);
    tmux.wait_for(&["edges of looked-at GET"], &["SERVICE95"]);
    tmux.press(&["?"]);
    tmux.wait_for(&["Keys", "let time stand still"], &[]);
    tmux.press(&["?", "Space"]);
    tmux.wait_for(&["PAUSED"], &["Keys"]);

    // To the shell and back, with the key and with signals.
    tmux.press(&["C-z"]);
    tmux.wait_for(&["Stopped", "ready$"], &["1 Services"]);
    tmux.is_as_before("suspended");
    tmux.press(&["fg", "Enter"]);
    tmux.wait_for(&["PAUSED", "1 Services"], &["ready$"]);
    kill(tmux.child(), Signal::SIGTSTP).expect("it runs");
    tmux.wait_for(&["Stopped", "ready$"], &["1 Services"]);
    tmux.is_as_before("stopped");
    tmux.press(&["fg", "Enter"]);
    tmux.wait_for(&["PAUSED", "1 Services"], &["ready$"]);
    kill(tmux.child(), Signal::SIGTERM).expect("it runs");
    tmux.wait_for(&["ready$"], &["1 Services"]);
    tmux.is_as_before("terminated");
    for (keys, marker) in [("C-c", "interrupted"), ("q", "quit")] {
        tmux.press(&[&format!("{start} --by edges --no-color"), "Enter"]);
        tmux.wait_for(&["2 Edges", "CLIENT"], &["ready$"]);
        tmux.press(&[keys]);
        tmux.wait_for(&["ready$"], &["2 Edges"]);
        tmux.is_as_before(marker);
    }

    // Connections, sorted by the next number and the other way round, and what both ends say of one; and DNS.
    tmux.press(&[&format!("{start} --by connections --filter {NAME}"), "Enter"]);
    tmux.wait_for(&["4 Connections", NAME, "by bytes downwards"], &["ready$"]);
    tmux.press(&["s"]);
    tmux.wait_for(&[NAME, "by retransmits"], &["by bytes"]);
    tmux.press(&["S", "r"]);
    tmux.wait_for(&[NAME, "by bytes upwards"], &[]);
    tmux.press(&["Enter"]);
    tmux.wait_for(&["over tcp", "bytes to server", "server's kernel"], &[]);
    tmux.press(&["Escape"]);
    tmux.wait_for(&[NAME, "by bytes upwards"], &["bytes to server"]);
    tmux.press(&["5"]);
    tmux.wait_for(&["5 DNS", "questions"], &[]);
    tmux.press(&["q"]);
    tmux.is_as_before("connections");

    // Without an agent it stays where it was and says so; one that goes away is told of on the screen.
    tmux.press(&[&start, "Enter"]);
    tmux.wait_for(&["1 Services"], &["ready$"]);
    agent.finish();
    tmux.wait_for(&["no agent answers at"], &[]);
    tmux.press(&["q"]);
    tmux.is_as_before("alone");
    tmux.press(&[&start, "Enter"]);
    // What comes behind it may be cut at the edge of the screen.
    tmux.wait_for(&["steth: no agent answers at", "start one with"], &[]);
    assert_eq!(tmux.format("#{alternate_on}"), "0");
}

#[test]
fn it_ends_with_its_terminal() {
    root_or_skip!();
    let (agent, tmux) = (Agent::start(), Tmux::start());
    let start = format!("{} top --connect http://127.0.0.1:{}", env!("CARGO_BIN_EXE_steth"), agent.port);
    tmux.press(&[&start, "Enter"]);
    tmux.wait_for(&["q quit"], &["ready$"]);
    let child = tmux.child();
    drop(tmux);
    wait_until("it has ended", SOON, || kill(child, None).is_err());
}
