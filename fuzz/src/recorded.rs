//! Seeds out of recordings: what real servers and clients said, as scripts ([`conversation`](crate::conversation)).

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::Path;
use steth_event::{Event, SEND};
use steth_pcap::{FileError, Limits, replay};
use steth_wire::infer::{Guess, infer, infer_datagram};
use steth_wire::{Direction, Protocol};

/// Bytes of a script, about.
const LONGEST: usize = 4096;
/// Conversations of one recording that become a seed, of each protocol.
const MOST: usize = 8;
/// `transport` of a connection over UDP.
const UDP: u8 = 17;

/// A conversation that is made into a script.
#[derive(Default)]
struct Talk {
    datagrams: bool,
    known: Option<Protocol>,
    /// Who is called the client of the connection is not.
    reversed: bool,
    script: Vec<u8>,
}

/// The conversations of a capture: the folder under `seeds`, and the script. The same ones each time.
pub fn seeds(capture: &[u8]) -> Result<Vec<(&'static str, Vec<u8>)>, FileError> {
    let mut talks = BTreeMap::<u64, Talk>::new();
    replay(capture, &Limits::default(), &mut |record| match Event::parse(record) {
        Ok(Event::Open(open)) => {
            talks.entry(open.connection).or_default().datagrams = open.transport == UDP;
        }
        Ok(Event::Chunk(chunk, data)) => {
            talks.entry(chunk.connection).or_default().add(chunk.direction == SEND, data);
        }
        _ => {}
    })?;
    let (mut counts, mut seen, mut seeds) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
    for mut talk in talks.into_values() {
        let Some(protocol) = talk.known else { continue };
        // One of odd length would have been in use before.
        if talk.script.len() % 2 == 1 {
            talk.script.push(0);
        }
        let count = counts.entry(protocol).or_insert(0);
        if *count < MOST && seen.insert(talk.script.clone()) {
            *count += 1;
            seeds.push((folder(protocol), talk.script));
        }
    }
    Ok(seeds)
}

fn folder(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http1 => "http1",
        other => other.name(),
    }
}

impl Talk {
    fn add(&mut self, sent: bool, data: &[u8]) {
        if self.known.is_none() {
            let guess = if self.datagrams { infer_datagram(data, data.len()) } else { infer(data) };
            let Guess::Is { protocol, request } = guess else { return };
            (self.known, self.reversed) = (Some(protocol), request != sent);
        }
        let direction = if sent != self.reversed { Direction::Request } else { Direction::Response };
        // What is one datagram is one step.
        if self.datagrams && data.len() > 255 {
            return;
        }
        for part in data.chunks(255) {
            if self.script.len() + part.len() > LONGEST {
                return;
            }
            self.script.extend([direction as u8, part.len() as u8]);
            self.script.extend(part);
        }
    }
}

/// A seed: its folder under `seeds`, its name, and the script.
pub type Seed = (&'static str, String, Vec<u8>);

/// The seeds of all captures in a folder.
pub fn of_all(recordings: &Path) -> Result<Vec<Seed>, Box<dyn Error>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(recordings)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "pcap" || extension == "pcapng") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().replace('-', "_");
        let seeds = seeds(&fs::read(&path)?)?;
        all.extend(
            seeds.into_iter().enumerate().map(|(n, (folder, script))| (folder, format!("recorded_{stem}_{n}"), script)),
        );
    }
    Ok(all)
}
