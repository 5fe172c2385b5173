//! The compressed protocol: frames of seven bytes of header and a payload that is compressed, or is not if it is small
//! ("Compressed Packets"). What is in them is a stream of packets whose borders are not the frames'.
//!
//! A frame is unpacked while it comes in, up to [`LIMIT`]; what is not unpacked, because it was not captured or makes no sense,
//! is passed on as a gap of its exact length, which the header tells. What stands in a frame stands, for all that matters
//! here, where the frame begins on the wire, and ends where it ends.

use super::Session;
use super::packet::Run;
use crate::{Bytes, Context, Cut, Direction};
use flate2::{Decompress, FlushDecompress, Status};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::Read;
use steth_ledger::Lost;

/// Most bytes unpacked of one frame. A frame may hold 2^24.
const LIMIT: u32 = 256 * 1024;

/// Most bytes kept of a frame that has to be whole before it can be unpacked.
const WHOLE: usize = 64 * 1024;

/// Largest window of a Zstandard frame, which is what unpacking it takes. That of the level servers take if nobody says otherwise.
const WINDOW: u64 = 2 << 20;

/// The first byte of a Zstandard stream, which no zlib stream of a server begins with.
const ZSTD: u8 = 0x28;

/// More than any message has: a gap of unknown length.
const UNKNOWN: u64 = 1 << 48;

/// The connection's frames.
#[derive(Debug)]
pub(super) struct Frames {
    /// Rather than zlib; `None` if the login was not seen: then each frame tells.
    zstd: Option<bool>,
    ways: [Way; 2],
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    header: [u8; 7],
    have: u8,
    /// Payload still to come.
    left: u32,
    /// It is Zstandard's; known with its first byte.
    zstd: Option<bool>,
    /// Length of what is packed in it; 0: it is not compressed.
    unpacked: u32,
    /// How much of that has been passed on.
    passed: u32,
    /// Where the frame begins.
    run: Run,
    /// Part of the frame is missing, or makes no sense.
    cut: Option<Cut>,
    /// Where the next frame begins is not known.
    lost: bool,
    inflate: Option<Decompress>,
    kept: Vec<u8>,
}

impl Frames {
    pub(super) fn zlib() -> Self {
        Frames { zstd: Some(false), ways: Default::default() }
    }

    pub(super) fn unknown() -> Self {
        Frames { zstd: None, ways: Default::default() }
    }

    pub(super) fn zstd() -> Self {
        Frames { zstd: Some(true), ways: Default::default() }
    }

    /// The next bytes of one direction.
    pub(super) fn feed(
        &mut self,
        direction: Direction,
        bytes: Bytes<'_>,
        run: Run,
        session: &mut Session,
        cx: &mut Context<'_>,
    ) {
        let zstd = self.zstd;
        let Some(way) = self.ways.get_mut(direction as usize) else { return };
        match bytes {
            Bytes::Captured(bytes) => way.read(direction, bytes, run, zstd, session, cx),
            Bytes::Skipped(n) => way.miss(direction, n, Cut::Skipped, run, session, cx),
            Bytes::Lost(n) => way.miss(direction, n, Cut::Lost, run, session, cx),
        }
    }
}

impl Way {
    fn read(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        run: Run,
        zstd: Option<bool>,
        session: &mut Session,
        cx: &mut Context<'_>,
    ) {
        if self.lost && !self.begins(direction, bytes, run.turn) {
            return;
        }
        let mut rest = bytes;
        loop {
            if self.left == 0 && !self.take_header(&mut rest, bytes, run) {
                return;
            }
            let (part, behind) = rest.split_at(rest.len().min(self.left as usize));
            rest = behind;
            self.left -= part.len() as u32;
            self.run.time = run.time;
            if let (None, Some(first)) = (self.zstd, part.first()) {
                self.zstd = Some(zstd.unwrap_or(*first == ZSTD));
            }
            if self.unpacked == 0 {
                self.pass_on(direction, Bytes::Captured(part), session, cx);
            } else if self.cut.is_none() && self.zstd == Some(true) {
                self.unzstd(direction, part, session, cx);
            } else if self.cut.is_none() {
                self.inflate(direction, part, session, cx);
            }
            if self.left > 0 {
                return;
            }
            self.end(direction, session, cx);
            if rest.is_empty() {
                return;
            }
        }
    }

    /// Whether a frame begins with these bytes, behind a gap. Only a turn tells.
    fn begins(&mut self, direction: Direction, bytes: &[u8], turn: bool) -> bool {
        // A command's first frame has number 0.
        let first = direction == Direction::Response || bytes.get(3).is_none_or(|&sequence| sequence == 0);
        self.lost = !(turn && first);
        !self.lost
    }

    /// Reads on in a header. Whether it is complete.
    fn take_header(&mut self, rest: &mut &[u8], bytes: &[u8], run: Run) -> bool {
        if self.have == 0 && !rest.is_empty() {
            let at = bytes.len() - rest.len();
            self.run = Run { offset: run.offset + at as u64, turn: run.turn && at == 0, ..run };
        }
        for (to, from) in self.header.iter_mut().skip(self.have.into()).zip(rest.iter()) {
            *to = *from;
        }
        let n = rest.len().min(7 - usize::from(self.have));
        *rest = rest.get(n..).unwrap_or_default();
        self.have += n as u8;
        if self.have < 7 {
            return false;
        }
        let [a, b, c, _, d, e, f] = self.header;
        self.have = 0;
        self.left = u32::from_le_bytes([a, b, c, 0]);
        self.unpacked = u32::from_le_bytes([d, e, f, 0]);
        (self.passed, self.cut, self.zstd) = (0, None, None);
        self.run.frame_end = Some(self.run.offset + 7 + u64::from(self.left));
        self.kept.clear();
        if let Some(inflate) = &mut self.inflate {
            inflate.reset(true);
        }
        true
    }

    /// A frame is over: what was not unpacked is passed on as missing.
    fn end(&mut self, direction: Direction, session: &mut Session, cx: &mut Context<'_>) {
        let missing = u64::from(self.unpacked.saturating_sub(self.passed));
        let [_, _, _, sequence, ..] = self.header;
        let unread =
            direction == Direction::Request && self.passed == 0 && sequence == 0 && self.cut != Some(Cut::Lost);
        if missing > 0 && !(unread && session.unread_command(&self.run, cx)) {
            let gap = if self.cut == Some(Cut::Lost) { Bytes::Lost(missing) } else { Bytes::Skipped(missing) };
            self.pass_on(direction, gap, session, cx);
        }
        self.unpacked = 0;
    }

    fn miss(&mut self, direction: Direction, n: u64, cut: Cut, run: Run, session: &mut Session, cx: &mut Context<'_>) {
        let inside = n.min(self.left.into());
        self.left -= inside as u32;
        self.run.time = run.time;
        if inside > 0 {
            if self.unpacked == 0 {
                let gap = if cut == Cut::Lost { Bytes::Lost(inside) } else { Bytes::Skipped(inside) };
                self.pass_on(direction, gap, session, cx);
            } else if self.cut != Some(Cut::Lost) {
                self.cut = Some(cut);
            }
            if self.left == 0 {
                self.end(direction, session, cx);
            }
        }
        if n == inside {
            return;
        }
        if self.have > 0 && direction == Direction::Request {
            // A command has begun, of which nothing else is known.
            cx.lose(if cut == Cut::Lost { Lost::Hole } else { Lost::Truncated });
            #[cfg(test)]
            session.count_begun();
        }
        (self.have, self.lost) = (0, true);
        let gap = if cut == Cut::Lost { Bytes::Lost(UNKNOWN) } else { Bytes::Skipped(UNKNOWN) };
        self.run = Run { frame_end: Some(run.offset + n), ..run };
        self.pass_on(direction, gap, session, cx);
    }

    fn pass_on(&mut self, direction: Direction, bytes: Bytes<'_>, session: &mut Session, cx: &mut Context<'_>) {
        session.pass_on(direction, bytes, &self.run, cx);
        self.run.turn &= matches!(bytes, Bytes::Captured([]));
    }

    fn inflate(&mut self, direction: Direction, part: &[u8], session: &mut Session, cx: &mut Context<'_>) {
        let mut inflate = self.inflate.take().unwrap_or_else(|| Decompress::new(true));
        let mut room = [0u8; 4096];
        let mut rest = part;
        let limit = self.unpacked.min(LIMIT);
        while self.passed < limit {
            let want = room.len().min((limit - self.passed) as usize);
            let Some(to) = room.get_mut(..want) else { break };
            let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
            let status = inflate.decompress(rest, to, FlushDecompress::None);
            let read = (inflate.total_in() - before_in) as usize;
            let made = (inflate.total_out() - before_out) as usize;
            rest = rest.get(read..).unwrap_or_default();
            self.passed += made as u32;
            if let Some(made) = to.get(..made).filter(|made| !made.is_empty()) {
                self.pass_on(direction, Bytes::Captured(made), session, cx);
            }
            match status {
                Ok(Status::StreamEnd) => break,
                Ok(_) if made > 0 || (read > 0 && !rest.is_empty()) => {}
                Ok(_) => break,
                Err(_) => {
                    self.cut = Some(Cut::Skipped);
                    break;
                }
            }
        }
        self.inflate = Some(inflate);
    }

    /// Zstandard is unpacked when all of the frame is there. A few bytes of it can stand for gigabytes: so it is refused before
    /// anything of it is unpacked if it wants a larger window, and given up once it is more than its header says.
    fn unzstd(&mut self, direction: Direction, part: &[u8], session: &mut Session, cx: &mut Context<'_>) {
        if self.kept.len() + part.len() + self.left as usize > WHOLE {
            self.cut = Some(Cut::Skipped);
            return;
        }
        self.kept.extend_from_slice(part);
        if self.left > 0 {
            return;
        }
        let kept = std::mem::take(&mut self.kept);
        let mut packed = kept.as_slice();
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        // Of what is not finished, a window's bytes are held back. A block is 128 KiB at most.
        let most = if self.unpacked <= LIMIT { self.unpacked + 1 } else { LIMIT + WINDOW as u32 };
        let whole = decoder
            .init(&mut packed)
            .and_then(|()| decoder.decode_blocks(&mut packed, BlockDecodingStrategy::UptoBytes(most as usize)));
        if !whole.is_ok_and(|whole| whole || self.unpacked > LIMIT) {
            self.cut = Some(Cut::Skipped);
            return;
        }
        let mut room = [0u8; 4096];
        let limit = self.unpacked.min(LIMIT);
        while self.passed < limit {
            let want = room.len().min((limit - self.passed) as usize);
            let Some(to) = room.get_mut(..want) else { break };
            let Ok(made @ 1..) = decoder.read(to) else { break };
            self.passed += made as u32;
            self.pass_on(direction, Bytes::Captured(to.get(..made).unwrap_or_default()), session, cx);
        }
    }
}
