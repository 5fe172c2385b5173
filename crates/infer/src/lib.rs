//! The kernel side's inference and capture policy, compiled natively.
//!
//! ```text
//! bpf/infer.h, policy.h --clang--> BPF object (what runs in the kernel)
//!                       `--cc----> this crate --differential tests--> steth_wire::infer
//!                                             `--fuzz target infer--'
//! ```
//!
//! For tests only: the verifier proves that the BPF code is safe, these prove that it is right. [`infer`] has a twin in
//! Rust, which must answer alike for all bytes; [`scan`] and [`body`] decide which bodies are not copied,
//! [`frames`] what is behind them.
//!
//! ```
//! use steth_infer::{ALL, body, infer, scan};
//! use steth_wire::infer::Guess;
//! assert_eq!(infer(b"\x16\x03\x01", ALL), Guess::No);
//! let response = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
//! assert_eq!(scan(response), (38, Some(7)));
//! assert_eq!(body(response, false, false), Some(7));
//! assert_eq!(body(response, false, true), None); // it may answer a HEAD
//! ```

use steth_wire::Protocol;
use steth_wire::infer::Guess;

unsafe extern "C" {
    fn steth_native_infer(bytes: *const u8, length: u32, enabled: u32) -> u32;
    fn steth_native_infer_datagram(bytes: *const u8, length: u32, total: u32, enabled: u32) -> u32;
    fn steth_native_scan(bytes: *const u8, length: u32, value: *mut u64) -> u32;
    fn steth_native_frames(frames: *mut RawFrames, bytes: *const u8);
    fn steth_native_frame_budget(frames: *const RawFrames) -> u32;
    fn steth_native_body(bytes: *const u8, length: u32, request: bool, heads: bool) -> u64;
}

/// Bytes of a head that are scanned at most (`STETH_SCAN_MAX`).
pub const SCAN_MAX: usize = 1024;

/// Every protocol enabled.
pub const ALL: u32 = u32::MAX;

/// What the kernel side guesses from the first bytes of a message; `enabled` has a bit per protocol number.
///
/// # Panics
/// When the answer is none that user space knows.
#[must_use]
pub fn infer(bytes: &[u8], enabled: u32) -> Guess {
    // SAFETY: the function reads at most `length` bytes behind the pointer.
    let guess = unsafe { steth_native_infer(bytes.as_ptr(), length(bytes), enabled) };
    told(guess)
}

/// The same of a datagram of `total` bytes, from its first ones.
///
/// # Panics
/// When the answer is none that user space knows.
#[must_use]
pub fn infer_datagram(bytes: &[u8], total: u32, enabled: u32) -> Guess {
    // SAFETY: the function reads at most `length` bytes behind the pointer.
    let guess = unsafe { steth_native_infer_datagram(bytes.as_ptr(), length(bytes), total, enabled) };
    told(guess)
}

fn told(guess: u32) -> Guess {
    let [kind, number, request, rest] = guess.to_le_bytes();
    match (kind, Protocol::from_number(number)) {
        (0, None) if guess == 0 => Guess::No,
        (1, None) if guess == 1 => Guess::More,
        (2, Some(protocol)) if request <= 1 && rest == 0 => Guess::Is { protocol, request: request == 1 },
        _ => panic!("the kernel side answers {guess:#x}"),
    }
}

/// What the kernel side reads out of a response's head: its length (0 without an end) and Content-Length.
#[must_use]
pub fn scan(head: &[u8]) -> (u32, Option<u64>) {
    let mut value = 0;
    // SAFETY: the function reads at most `length` bytes behind the pointer and writes the one value.
    let found = unsafe { steth_native_scan(head.as_ptr(), length(head), &raw mut value) };
    (found, (value != u64::MAX).then_some(value))
}

/// Length of the body behind a head, so far as the head tells. `heads`: HEAD is used on the connection.
#[must_use]
pub fn body(head: &[u8], request: bool, heads: bool) -> Option<u64> {
    // SAFETY: the function reads at most `length` bytes behind the pointer.
    let body = unsafe { steth_native_body(head.as_ptr(), length(head), request, heads) };
    (body != u64::MAX).then_some(body)
}

/// `struct steth_frames`.
#[repr(C)]
#[derive(Default)]
struct RawFrames {
    at: u64,
    length: u32,
    asked: u32,
    header: u32,
    contents: u32,
    size: u64,
    state: u32,
    protocol: u8,
    reserved: [u8; 3],
}

/// What the kernel side knows of a client's bytes, the first of which begins a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frames {
    /// Where the next frame begins, within the bytes or behind them.
    pub end: u64,
    /// The bytes end in the middle of that frame's head.
    pub cut: bool,
    /// One of the frames asks for something; the others are contents.
    pub asked: bool,
    /// Bytes that are wanted of the last frame, should it begin behind a turn's budget.
    pub wanted: u32,
}

/// Steps over the frames of a client; `None` where bytes begin no frame.
#[must_use]
pub fn frames(protocol: Protocol, bytes: &[u8]) -> Option<Frames> {
    // A head is read from a buffer that goes on behind the bytes; what is there must not matter.
    let mut padded = bytes.to_vec();
    padded.extend([0xa5; 16]);
    let mut raw = RawFrames { length: length(bytes), protocol: protocol as u8, ..RawFrames::default() };
    // SAFETY: the function reads at most 16 bytes behind those that there are, and writes the one struct.
    unsafe { steth_native_frames(&raw mut raw, padded.as_ptr()) };
    // SAFETY: the function reads the one struct.
    let wanted = unsafe { steth_native_frame_budget(&raw const raw) };
    (raw.state < 2).then_some(Frames { end: raw.at, cut: raw.state == 1, asked: raw.asked != 0, wanted })
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
