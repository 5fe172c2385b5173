//! Standard output whose reader has left (`steth … | head -1`) or that cannot be written to.

use crate::lab::process::command;
use crate::lab::{Nginx, ab, alone};
use std::fs::File;
use std::io::BufRead;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn steth(arguments: &[&str]) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_steth"));
    command.args(arguments);
    command
}

/// Runs it with a standard output that nobody reads.
fn unread(arguments: &[&str]) -> Output {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    steth(arguments).stdout(writer).stderr(Stdio::piped()).output().expect("it runs")
}

fn full(arguments: &[&str]) -> Output {
    let full = File::options().write(true).open("/dev/full").expect("every Linux has it");
    steth(arguments).stdout(full).stderr(Stdio::piped()).output().expect("it runs")
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A capture with something in it.
fn capture() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recordings/http-keepalive.pcapng");
    file.to_str().expect("text").to_owned()
}

#[test]
fn a_reader_that_has_left_ends_the_command_quietly() {
    let file = capture();
    for arguments in [
        &["run", "--print-config"][..],
        &["replay", &file],
        &["replay", "--json", &file],
        &["replay", "--summary", &file],
        &["--help"],
        &["--version"],
        &["watch", "--help"],
    ] {
        let output = unread(arguments);
        assert!(output.status.success(), "{arguments:?}: {} {}", output.status, errors(&output));
        assert_eq!(errors(&output), "", "{arguments:?}");
    }
}

#[test]
fn a_reader_that_has_left_ends_the_live_commands_too() {
    root_or_skip!();
    let _alone = alone();
    let output = unread(&["doctor"]);
    assert!(output.status.success(), "doctor: {} {}", output.status, errors(&output));
    assert_eq!(errors(&output), "", "doctor");

    let nginx = Nginx::start();
    let mut watch = steth(&["watch", "--port", &nginx.port.to_string()]);
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut said = String::new();
    let mut messages = std::io::BufReader::new(watch.stderr.take().expect("a pipe"));
    messages.read_line(&mut said).expect("its first line");
    assert!(said.contains("watching"), "{said}");
    drop(watch.stdout.take());
    assert_eq!(ab(nginx.port, "/", 50, 1, true).requests, 50);
    let begun = Instant::now();
    let status = loop {
        match watch.try_wait().expect("a child of ours") {
            Some(status) => break status,
            None if begun.elapsed() > Duration::from_secs(10) => {
                let _ = watch.kill();
                panic!("it goes on for nobody");
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    assert!(status.success(), "{status}");
}

#[test]
fn an_output_that_cannot_be_written_is_an_error_that_says_so() {
    let file = &capture();
    for arguments in [&["run", "--print-config"][..], &["replay", file], &["replay", "--json", file]] {
        let output = full(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(errors(&output).contains("No space left"), "{arguments:?}: {}", errors(&output));
    }
}
