//! A buffer for answers that hold secrets: bounded, and overwritten before its memory is given back.

use zeroize::Zeroize;

/// Bytes of an answer. Has neither `Debug` nor `Clone`: it may hold what nobody may see.
pub(crate) struct Wiped {
    bytes: Vec<u8>,
    maximum: usize,
}

impl Wiped {
    /// Holds `maximum` bytes at most.
    pub(crate) fn new(maximum: usize) -> Self {
        Self { bytes: Vec::new(), maximum }
    }

    /// False if they do not fit: then nothing was added.
    #[must_use]
    pub(crate) fn extend(&mut self, more: &[u8]) -> bool {
        let length = self.bytes.len() + more.len();
        if length > self.maximum {
            return false;
        }
        if length > self.bytes.capacity() {
            // Vec would move its bytes and leave a copy of them in the old place.
            let mut larger = Vec::with_capacity(length.next_power_of_two().clamp(4096, self.maximum.max(4096)));
            larger.extend_from_slice(&self.bytes);
            self.bytes.zeroize();
            self.bytes = larger;
        }
        self.bytes.extend_from_slice(more);
        true
    }

    /// Overwrites the first `count` bytes and takes them out.
    pub(crate) fn consume(&mut self, count: usize) {
        let length = self.bytes.len();
        let count = count.min(length);
        self.bytes.copy_within(count.., 0);
        self.bytes[length - count..].zeroize();
        self.bytes.truncate(length - count);
    }
}

impl std::ops::Deref for Wiped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::Wiped;

    #[test]
    fn what_is_consumed_is_overwritten_and_what_is_too_much_is_refused() {
        let mut buffer = Wiped::new(10_000);
        assert!(buffer.extend(b"secret-rest") && buffer.extend(&[b'x'; 9_000]));
        buffer.consume(7);
        assert_eq!(&buffer[..5], b"restx");
        assert_eq!(buffer.len(), 9_004);
        assert!(!buffer.extend(&[0; 997]), "beyond the maximum");
        assert!(buffer.extend(&[b'y'; 996]));
        buffer.consume(usize::MAX);
        assert!(buffer.is_empty());
    }
}
