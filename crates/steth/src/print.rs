//! An exchange as a line: JSON for programs, text for people.

use crate::pipeline::{Seen, address};
use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use steth_event::{Open, Process};
use steth_wire::{Side, Status, Value};

/// Writes `{"type":"exchange",…}` and a newline.
pub(crate) fn json(seen: &Seen<'_>, to: &mut Vec<u8>) {
    let e = seen.exchange;
    let _ = write!(
        to,
        r#"{{"type":"exchange","time":"{}","protocol":"{}","side":"{}","client":"#,
        wall(e.start.wrapping_add(seen.clock)),
        e.protocol().name(),
        seen.side.name(),
    );
    let (client, server) = ends(seen);
    end(to, &client, seen.client_pid, seen.client(), seen.client_name());
    to.extend_from_slice(br#","server":"#);
    end(to, &server, seen.server_pid, seen.server(), seen.server_name());
    to.extend_from_slice(br#","operation":"#);
    text(to, seen.names.get(e.operation));
    to.extend_from_slice(br#","status":"#);
    match e.status {
        Status::Unknown => to.extend_from_slice(b"null"),
        Status::Code(code) => drop(write!(to, "{code}")),
        Status::Word(word) => text(to, seen.names.get(word)),
    }
    let error = e.error_type(seen.side, seen.names).is_some();
    let _ = write!(
        to,
        r#","error":{error},"outcome":"{}","duration_ns":{},"first_byte_ns":"#,
        e.outcome.name(),
        e.end.saturating_sub(e.start)
    );
    number(to, (e.first_byte != 0).then(|| e.first_byte.saturating_sub(e.start)));
    to.extend_from_slice(br#","queue_ns":"#);
    number(to, e.queue(seen.side));
    to.extend_from_slice(br#","service_ns":"#);
    number(to, e.service(seen.side));
    let _ = write!(
        to,
        r#","request_bytes":{},"response_bytes":{},"connection":{},"request_seq":{},"response_seq":"#,
        e.request_bytes, e.response_bytes, seen.connection, e.request_offset as u32
    );
    number(to, (e.first_byte != 0).then_some((e.response_offset as u32).into()));
    if e.truncated {
        to.extend_from_slice(br#","truncated":true"#);
    }
    if e.blocking {
        to.extend_from_slice(br#","blocking":true"#);
    }
    to.extend_from_slice(br#","attributes":{"#);
    let mut first = true;
    e.attributes(seen.side, seen.names, &mut |key, value| {
        if !std::mem::take(&mut first) {
            to.push(b',');
        }
        text(to, key);
        to.push(b':');
        match value {
            Value::Text(value) => text(to, &value),
            Value::Number(value) => drop(write!(to, "{value}")),
            // Strings always serialise.
            Value::List(list) => drop(serde_json::to_writer(&mut *to, &list)),
        }
    });
    to.extend_from_slice(b"}}\n");
}

/// One end's address, as far as it is known.
pub(crate) struct Address {
    pub(crate) ip: Option<String>,
    pub(crate) port: Option<u16>,
}

/// Client's and server's address.
pub(crate) fn ends(seen: &Seen<'_>) -> (Address, Address) {
    let Some(open) = seen.open else {
        return (Address { ip: None, port: None }, Address { ip: None, port: None });
    };
    let local = Address { ip: ip(open, &open.local_address), port: port(open, open.local_port) };
    let remote = Address { ip: ip(open, &open.remote_address), port: port(open, open.remote_port) };
    if seen.side == Side::Server || seen.reversed { (remote, local) } else { (local, remote) }
}

fn port(open: &Open, port: u16) -> Option<u16> {
    // A UDP socket that is not connected has no other end.
    (open.family != 1 && (open.transport != 17 || port != 0)).then_some(port)
}

/// The address as text.
pub(crate) fn ip(open: &Open, bytes: &[u8; 16]) -> Option<String> {
    address(open, bytes).map(|address| address.to_string())
}

fn end(to: &mut Vec<u8>, address: &Address, pid: u32, process: Option<&Process>, name: Option<&Arc<str>>) {
    to.extend_from_slice(br#"{"ip":"#);
    match &address.ip {
        Some(ip) => text(to, ip),
        None => to.extend_from_slice(b"null"),
    }
    to.extend_from_slice(br#","port":"#);
    match address.port {
        Some(port) => drop(write!(to, "{port}")),
        None => to.extend_from_slice(b"null"),
    }
    to.extend_from_slice(br#","pid":"#);
    if pid == 0 {
        to.extend_from_slice(b"null");
    } else {
        let _ = write!(to, "{pid}");
    }
    to.extend_from_slice(br#","process":"#);
    match process {
        Some(process) => text(to, &process.name),
        None => to.extend_from_slice(b"null"),
    }
    to.extend_from_slice(br#","service":"#);
    match process {
        Some(process) => text(to, process.service_name()),
        None => to.extend_from_slice(b"null"),
    }
    to.extend_from_slice(br#","container":"#);
    match process.and_then(|process| process.container.as_deref()) {
        Some(container) => text(to, container),
        None => to.extend_from_slice(b"null"),
    }
    if let Some(name) = name {
        to.extend_from_slice(br#","name":"#);
        text(to, name);
    }
    to.push(b'}');
}

fn number(to: &mut Vec<u8>, number: Option<u64>) {
    match number {
        Some(number) => drop(write!(to, "{number}")),
        None => to.extend_from_slice(b"null"),
    }
}

fn text(to: &mut Vec<u8>, text: &str) {
    // A string always serialises.
    let _ = serde_json::to_writer(to, text);
}

fn wall(nanoseconds: u64) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_nanos(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds))
}

/// Writes one line for people:
/// `12:00:00.123456 server  nginx:80 <- wrk  GET /x  200  1.2ms  40/850 B`.
pub(crate) fn line(seen: &Seen<'_>, colour: bool, to: &mut Vec<u8>) {
    let e = seen.exchange;
    let time = wall(e.start.wrapping_add(seen.clock)).to_string();
    let (client, server) = ends(seen);
    let name = |process: Option<&Process>, host: Option<&Arc<str>>, address: &Address, pid: u32| {
        let mut name = match (process, host) {
            (Some(process), _) => process.service_name().to_owned(),
            (None, Some(host)) => host.to_string(),
            (None, None) => {
                address.ip.clone().unwrap_or_else(|| if pid == 0 { "?".into() } else { format!("pid {pid}") })
            }
        };
        if let Some(port) = address.port {
            let _ = write!(name, ":{port}");
        }
        name
    };
    let client = name(seen.client(), seen.client_name(), &client, seen.client_pid);
    let server = name(seen.server(), seen.server_name(), &server, seen.server_pid);
    let status = match e.status {
        Status::Unknown => e.outcome.name().to_owned(),
        Status::Code(code) => code.to_string(),
        Status::Word(word) => seen.names.get(word).to_owned(),
    };
    let failed = e.error_type(seen.side, seen.names).is_some();
    let (on, off) = match (colour, failed) {
        (false, _) => ("", ""),
        (true, true) => ("\x1b[31m", "\x1b[0m"),
        (true, false) => ("\x1b[32m", "\x1b[0m"),
    };
    // Names come from programs and peers: nothing of them may steer the terminal.
    let clean = |text: &str| text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect::<String>();
    let _ = writeln!(
        to,
        "{} {:<7} {:<5} {} -> {}  {}  {on}{}{}{off}  {}  {}/{} B",
        time.get(11..26).unwrap_or(&time),
        seen.side.name(),
        e.protocol().name(),
        clean(&client),
        clean(&server),
        clean(seen.names.get(e.operation)),
        clean(&status),
        if failed { " !" } else { "" },
        Rounded(e.end.saturating_sub(e.start)),
        e.request_bytes,
        e.response_bytes,
    );
}

/// A duration with three significant digits.
struct Rounded(u64);

impl std::fmt::Display for Rounded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ns = self.0 as f64;
        let (value, unit) = match self.0 {
            0..1_000 => (ns, "ns"),
            1_000..1_000_000 => (ns / 1e3, "µs"),
            1_000_000..1_000_000_000 => (ns / 1e6, "ms"),
            _ => (ns / 1e9, "s"),
        };
        let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
        write!(f, "{value:.digits$}{unit}")
    }
}
