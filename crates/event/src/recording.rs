//! A recording: the drained records, one frame each, in a file.
//!
//! ```text
//! "STETHREC" u32 version u32 reserved, then per record: u32 length, u32 zero, record bytes, zeros up to a multiple of 8
//! ```
//!
//! Frames are aligned so that a mapped file can be read in place. A file whose writer was killed ends in half a frame;
//! [`Reader::next`] then says so after every whole frame has been read.

use std::io::{self, Write};

/// First bytes of every recording.
pub const MAGIC: &[u8; 8] = b"STETHREC";
/// The version this code writes, and the only one it reads.
pub const VERSION: u32 = 2;
const HEADER: usize = 16;
const FRAME: usize = 8;
/// No record is longer: the largest capture is 16 KiB, a process description less.
pub const MAX_RECORD: usize = 64 * 1024;

/// Why a recording cannot be read (further).
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RecordingError {
    /// Not a recording at all.
    #[error("not a steth recording: it does not begin with STETHREC")]
    Magic,
    /// Written by another version.
    #[error("recording of version {0}; this steth reads version {VERSION}")]
    Version(u32),
    /// The file ends inside a frame: its writer was killed, or the copy is incomplete.
    #[error("the recording ends inside a frame, {0} bytes from its end; everything before it was read")]
    Cut(usize),
    /// A frame's length cannot be true.
    #[error("frame at byte {at} claims {length} bytes; the file is damaged from here on")]
    Length {
        /// Where the frame begins.
        at: usize,
        /// What it claims.
        length: u32,
    },
}

/// Writes frames.
#[derive(Debug)]
pub struct Writer<W: Write> {
    to: W,
}

impl<W: Write> Writer<W> {
    /// Begins a recording.
    ///
    /// # Errors
    /// When the header cannot be written.
    pub fn new(mut to: W) -> io::Result<Self> {
        to.write_all(MAGIC)?;
        to.write_all(&VERSION.to_le_bytes())?;
        to.write_all(&[0; 4])?;
        Ok(Self { to })
    }

    /// Appends one record.
    ///
    /// # Errors
    /// When it cannot be written; the file then ends in a cut frame at worst.
    pub fn write(&mut self, record: &[u8]) -> io::Result<()> {
        let length = u32::try_from(record.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.to.write_all(&u64::from(length).to_le_bytes())?;
        self.to.write_all(record)?;
        self.to.write_all(&[0; 7][..padding(record.len())])
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    /// When the sink below cannot.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Reads the records of a recording that is in memory.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Checks the header.
    ///
    /// # Errors
    /// When this is not a recording, or not of this version.
    pub fn new(bytes: &'a [u8]) -> Result<Self, RecordingError> {
        if bytes.len() < HEADER || &bytes[..8] != MAGIC {
            return Err(RecordingError::Magic);
        }
        let version = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        if version != VERSION {
            return Err(RecordingError::Version(version));
        }
        Ok(Self { bytes, at: HEADER })
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<&'a [u8], RecordingError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.bytes[self.at..];
        if rest.is_empty() {
            return None;
        }
        let cut = Some(Err(RecordingError::Cut(rest.len())));
        if rest.len() < FRAME {
            self.at = self.bytes.len();
            return cut;
        }
        let length = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]);
        if length == 0 || length as usize > MAX_RECORD {
            let at = self.at;
            self.at = self.bytes.len();
            return Some(Err(RecordingError::Length { at, length }));
        }
        let length = length as usize;
        if rest.len() < FRAME + length {
            self.at = self.bytes.len();
            return cut;
        }
        self.at = (self.at + FRAME + length + padding(length)).min(self.bytes.len());
        Some(Ok(&rest[FRAME..FRAME + length]))
    }
}

fn padding(length: usize) -> usize {
    length.wrapping_neg() & 7
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A seed of another version would attack nothing but the version check. `fuzz/make_seeds.py` makes it anew.
    #[test]
    fn the_fuzz_seed_is_a_recording_of_this_version() {
        let seed = include_bytes!("../../../fuzz/seeds/recording/conversation");
        let records = Reader::new(seed).unwrap().map(|frame| crate::Event::parse(frame.unwrap()).map(drop));
        assert_eq!(records.collect::<Result<Vec<()>, _>>().map(|all| all.len()), Ok(11));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..20)) {
            let mut file = Vec::new();
            let mut writer = Writer::new(&mut file).unwrap();
            for record in &records {
                writer.write(record).unwrap();
            }
            let read: Vec<_> = Reader::new(&file).unwrap().map(|r| r.unwrap().to_vec()).collect();
            prop_assert_eq!(read, records);
        }

        #[test]
        fn a_file_cut_anywhere_gives_its_whole_frames_and_says_so(cut in 16usize..200) {
            let mut file = Vec::new();
            let mut writer = Writer::new(&mut file).unwrap();
            for n in 1..10u8 {
                writer.write(&vec![n; usize::from(n) * 3]).unwrap();
            }
            let cut = cut.min(file.len());
            let mut whole = 0;
            for frame in Reader::new(&file[..cut]).unwrap() {
                match frame {
                    Ok(record) => {
                        whole += 1;
                        prop_assert_eq!(record, &vec![whole; usize::from(whole) * 3][..]);
                    }
                    Err(error) => prop_assert!(matches!(error, RecordingError::Cut(_))),
                }
            }
        }
    }

    #[test]
    fn an_impossible_length_is_named_with_its_place() {
        let mut file = Vec::new();
        Writer::new(&mut file).unwrap().write(b"x").unwrap();
        file[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
        let errors: Vec<_> = Reader::new(&file).unwrap().collect();
        assert_eq!(errors, [Err(RecordingError::Length { at: 16, length: u32::MAX })]);
        assert_eq!(Reader::new(b"PK").unwrap_err(), RecordingError::Magic);
    }
}
