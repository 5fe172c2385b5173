//! The kernel side's inference code, compiled natively.
//!
//! ```text
//! bpf/infer.h, policy.h --clang--> BPF object (what runs in the kernel)
//!                       `--cc----> this crate --differential tests--> steth_wire::infer
//! ```
//!
//! For tests only: the verifier proves that the BPF code is safe, these prove that it is right.
//!
//! ```
//! use steth_wire::infer::Guess;
//! assert_eq!(steth_infer::infer(b"\x16\x03\x01"), Guess::No);
//! assert_eq!(steth_infer::scan(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"), (38, Some(7)));
//! ```

use steth_wire::Protocol;
use steth_wire::infer::Guess;

unsafe extern "C" {
    fn steth_native_infer(bytes: *const u8, length: u32) -> u32;
    fn steth_native_scan(bytes: *const u8, length: u32, value: *mut u64) -> u32;
}

/// What the kernel side guesses from the first bytes of a message.
#[must_use]
pub fn infer(bytes: &[u8]) -> Guess {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    // SAFETY: the function reads at most `length` bytes behind the pointer.
    let guess = unsafe { steth_native_infer(bytes.as_ptr(), length) };
    match (guess & 0xff, Protocol::from_number((guess >> 8 & 0xff) as u8)) {
        (0, _) => Guess::No,
        (1, _) => Guess::More,
        (_, Some(protocol)) => Guess::Is { protocol, request: guess >> 16 & 1 == 1 },
        (_, None) => Guess::No,
    }
}

/// What the kernel side reads out of a response's head: its length (0 without an end) and Content-Length.
#[must_use]
pub fn scan(head: &[u8]) -> (u32, Option<u64>) {
    let mut value = 0;
    let length = u32::try_from(head.len()).unwrap_or(u32::MAX);
    // SAFETY: the function reads at most `length` bytes behind the pointer and writes the one value.
    let found = unsafe { steth_native_scan(head.as_ptr(), length, &raw mut value) };
    (found, (value != u64::MAX).then_some(value))
}
