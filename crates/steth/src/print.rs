//! An exchange as a line: JSON for programs, text for people.

use crate::naming::Naming;
use crate::pipeline::{Seen, address};
use std::fmt::Write as _;
use std::io::Write;
use std::time::{Duration, SystemTime};
use steth_event::{Open, Pod, Remote, Workload};
use steth_identity::{Beyond, Locality, Party};
use steth_wire::{Side, Status, Value};

/// Writes `{"type":"exchange",…}` and a newline.
pub(crate) fn json(seen: &Seen<'_>, to: &mut Vec<u8>) {
    let e = seen.exchange;
    let _ = write!(
        to,
        r#"{{"type":"exchange","time":"{}","protocol":"{}","side":"{}","client":"#,
        Wall(e.start.wrapping_add(seen.clock)),
        e.protocol().name(),
        seen.side.name(),
    );
    let (client, server) = ends(seen);
    end(to, &client, seen.client_pid, seen.client(), seen.client_beyond(), seen.processes);
    to.push(b'}');
    to.extend_from_slice(br#","server":"#);
    end(to, &server, seen.server_pid, seen.server(), seen.server_beyond(), seen.processes);
    if let Some(asked) = asked(seen) {
        member(to, "asked", &asked);
    }
    to.push(b'}');
    to.extend_from_slice(br#","locality":"#);
    or_null(to, seen.locality().map(Locality::name));
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
    to.extend_from_slice(br#","accept_wait_ns":"#);
    number(to, seen.accept_wait);
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

/// One end, but for the brace that closes it.
fn end(
    to: &mut Vec<u8>,
    address: &Address,
    pid: u32,
    party: Option<&Party>,
    beyond: Option<&Beyond>,
    processes: &Naming,
) {
    let service = match (party, beyond) {
        (Some(party), _) => Some(party.service()),
        (None, Some(beyond)) => beyond.is_service().then(|| beyond.name()),
        (None, None) => None,
    };
    to.extend_from_slice(br#"{"ip":"#);
    or_null(to, address.ip.as_deref());
    to.extend_from_slice(br#","port":"#);
    number(to, address.port.map(u64::from));
    to.extend_from_slice(br#","pid":"#);
    number(to, (pid != 0).then_some(pid.into()));
    to.extend_from_slice(br#","process":"#);
    or_null(to, party.map(|party| &*party.name));
    to.extend_from_slice(br#","service":"#);
    or_null(to, service);
    to.extend_from_slice(br#","container":"#);
    or_null(to, party.and_then(|party| party.container.as_deref()));
    match (party, beyond) {
        (Some(party), _) => {
            listening(to, processes.listeners.ports(pid));
            whereabouts(to, party);
        }
        (None, Some(Beyond::Told(remote))) => match &**remote {
            Remote::Pod { pod, workload, .. } => of_pod(to, Some(pod), Some(workload)),
            Remote::Service { namespace, name, workload, .. } => {
                member(to, "namespace", namespace);
                member(to, "kubernetes_service", name);
                of_pod(to, None, workload.as_ref());
            }
            Remote::Node { name } => member(to, "node", name),
            Remote::Host { name } | Remote::Process { name } => member(to, "name", name),
        },
        (None, Some(Beyond::Dns(name))) => member(to, "name", name),
        (None, None) => {}
    }
}

/// The address and the port that the client went to, where they are not the server's own.
fn asked(seen: &Seen<'_>) -> Option<String> {
    let (bytes, port) = seen.asked?;
    let address = address(seen.open.filter(|_| seen.side == Side::Client)?, &bytes)?;
    Some(std::net::SocketAddr::new(address, port).to_string())
}

/// Where the process waits for connections, if it does: the lowest ports.
fn listening(to: &mut Vec<u8>, ports: impl Iterator<Item = u16>) {
    const MOST: usize = 16;
    let mut before = br#","listening":["#.as_slice();
    for port in ports.take(MOST) {
        to.extend_from_slice(before);
        let _ = write!(to, "{port}");
        before = b",";
    }
    if before == b"," {
        to.push(b']');
    }
}

/// What is only there where it is known.
fn whereabouts(to: &mut Vec<u8>, party: &Party) {
    if let Some(unit) = &party.unit {
        member(to, "unit", unit);
    }
    if let Some(container) = party.container() {
        member(to, "container_name", &container.name);
        member(to, "image", &container.image);
        of_pod(to, container.pod.as_ref(), container.workload.as_ref());
    }
}

fn of_pod(to: &mut Vec<u8>, pod: Option<&Pod>, workload: Option<&Workload>) {
    if let Some(pod) = pod {
        member(to, "pod", &pod.name);
        member(to, "namespace", &pod.namespace);
        member(to, "node", &pod.node);
    }
    if let Some(workload) = workload {
        member(to, "workload", &workload.name);
        member(to, "workload_kind", &workload.kind);
    }
}

fn member(to: &mut Vec<u8>, key: &str, value: &str) {
    if !value.is_empty() {
        let _ = write!(to, r#","{key}":"#);
        text(to, value);
    }
}

fn or_null(to: &mut Vec<u8>, value: Option<&str>) {
    match value {
        Some(value) => text(to, value),
        None => to.extend_from_slice(b"null"),
    }
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

/// Nanoseconds since 1970, written as RFC 3339.
pub(crate) struct Wall(pub(crate) u64);

impl std::fmt::Display for Wall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        humantime::format_rfc3339_nanos(SystemTime::UNIX_EPOCH + Duration::from_nanos(self.0)).fmt(f)
    }
}

/// Writes one line for people:
/// `12:00:00.123456 server  nginx:80 <- wrk  GET /x  200  1.2ms  40/850 B`.
pub(crate) fn line(seen: &Seen<'_>, colour: bool, to: &mut Vec<u8>) {
    let e = seen.exchange;
    let time = Wall(e.start.wrapping_add(seen.clock)).to_string();
    let (client, server) = ends(seen);
    let name = |party: Option<&Party>, beyond: Option<&Beyond>, address: &Address, pid: u32| {
        let (namespace, name) = match (party, beyond) {
            (Some(party), _) => (party.namespace(), party.service()),
            (None, Some(beyond)) => (beyond.namespace(), beyond.name()),
            (None, None) => (None, address.ip.as_deref().unwrap_or_default()),
        };
        let mut name = match (namespace, name) {
            (_, "") if pid == 0 => "?".to_owned(),
            (_, "") => format!("pid {pid}"),
            (Some(namespace), name) => format!("{namespace}/{name}"),
            (None, name) => name.to_owned(),
        };
        if let Some(port) = address.port {
            let _ = write!(name, ":{port}");
        }
        name
    };
    let client = name(seen.client(), seen.client_beyond(), &client, seen.client_pid);
    let server = name(seen.server(), seen.server_beyond(), &server, seen.server_pid);
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
    let _ = writeln!(
        to,
        "{} {:<7} {:<5} {} -> {}  {}  {on}{}{}{off}  {}{}  {}/{} B",
        time.get(11..26).unwrap_or(&time),
        seen.side.name(),
        e.protocol().name(),
        clean(&client),
        clean(&server),
        clean(seen.names.get(e.operation)),
        clean(&status),
        if failed { " !" } else { "" },
        Rounded(e.end.saturating_sub(e.start)),
        Waits { queue: e.queue(seen.side), accept: seen.accept_wait },
        e.request_bytes,
        e.response_bytes,
    );
}

/// A name for a terminal. Names come from programs and peers: nothing of them may steer it, or turn the order of what stands beside
/// them.
pub(crate) fn clean(text: &str) -> String {
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    };
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// What a request has waited for before the server read it, as it is put behind the duration, which does not hold it: `(queue 1.93s,
/// accept 1.90s)`. Less than a millisecond is not worth the room. The wait for `accept()` may lie in the queue.
struct Waits {
    queue: Option<u64>,
    accept: Option<u64>,
}

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut begun = false;
        for (name, wait) in [("queue", self.queue), ("accept", self.accept)] {
            let Some(wait) = wait.filter(|wait| *wait >= 1_000_000) else { continue };
            f.write_str(if begun { ", " } else { " (" })?;
            write!(f, "{name} {}", Rounded(wait))?;
            begun = true;
        }
        if begun { f.write_str(")") } else { Ok(()) }
    }
}

/// A duration with three significant digits.
pub(crate) struct Rounded(pub(crate) u64);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_a_request_has_waited_for_if_it_is_worth_the_room() {
        let text = |queue, accept| Waits { queue, accept }.to_string();
        assert_eq!(text(Some(1_930_000_000), Some(1_900_000_000)), " (queue 1.93s, accept 1.90s)");
        assert_eq!(text(Some(12_300_000), Some(999_999)), " (queue 12.3ms)");
        assert_eq!(text(Some(999_999), Some(2_000_000)), " (accept 2.00ms)");
        assert_eq!([text(None, None), text(Some(0), None)], ["", ""]);
    }
}
