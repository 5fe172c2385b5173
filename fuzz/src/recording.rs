//! Recordings: the frames of a file, and each frame's record.
//!
//! The input is the file. Whatever it holds, reading comes to an end, an error is the last thing read, and a record that
//! can be read survives being written again.

use steth_event::recording::{Reader, Writer};
use steth_event::{Event, kind};

/// Reads the file and each of its records.
pub fn run(file: &[u8]) {
    record(file); // the same bytes as one record: the ring's own reader sees no frames
    let Ok(reader) = Reader::new(file) else { return };
    let mut frames = Vec::new();
    let mut failed = false;
    for frame in reader {
        assert!(!failed, "a frame after the error");
        match frame {
            Ok(bytes) => {
                record(bytes);
                frames.push(bytes);
            }
            Err(_) => failed = true,
        }
    }
    let mut copy = Vec::new();
    let mut writer = Writer::new(&mut copy).expect("memory takes everything");
    frames.iter().for_each(|frame| writer.write(frame).expect("a frame that was read can be written"));
    let again: Vec<_> = Reader::new(&copy).expect("our own header").map(|f| f.expect("our own frame")).collect();
    assert_eq!(again, frames);
}

fn record(bytes: &[u8]) {
    match Event::parse(bytes) {
        Ok(Event::Chunk(chunk, data)) => {
            assert_eq!(data.len(), usize::from(chunk.captured));
            assert!(data.len() <= chunk.length as usize);
        }
        Ok(Event::Process(process)) => {
            let again = process.to_record();
            assert_eq!(again[0], kind::PROCESS);
            assert!(matches!(Event::parse(&again), Ok(Event::Process(p)) if p == process));
        }
        Ok(_) | Err(_) => {}
    }
}
