//! Protocol Buffers, the little that the CRI needs: fields of a message one by one, in place.
//!
//! Nothing is copied and nothing is kept, so a message of millions of empty entries costs no memory, and a secret that
//! is not asked for stays where it can be overwritten. <https://protobuf.dev/programming-guides/encoding/>

/// A field's value as it is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// Integers, enumerations, booleans.
    Number(u64),
    /// Strings, bytes, messages, entries of maps.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    pub(crate) fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(_) => &[],
        }
    }
}

/// The fields of a message, in the order in which they were written. Ends early, and says so, where the bytes are none.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    malformed: bool,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Self { rest: message, malformed: false }
    }

    /// Whether what has been read so far was a message.
    pub(crate) fn malformed(&self) -> bool {
        self.malformed
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Number(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Number(u32::from_le_bytes(self.take(4)?.try_into().ok()?).into()),
            _ => return None, // groups are not in proto3
        };
        Some((key >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.malformed = true;
            self.rest = &[];
        }
        field
    }
}

/// The last value of a field, as protobuf wants it of a field that is not repeated. Empty if there is none.
pub(crate) fn bytes(message: &[u8], number: u64) -> &[u8] {
    let named = Fields::of(message).filter(|(field, _)| *field == number);
    named.last().map_or(&[], |(_, value)| value.bytes())
}

/// Appends a field of bytes. An empty one is not written: it is the default.
pub(crate) fn put(message: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        message.push(number << 3 | 2);
        let mut length = bytes.len();
        while length > 0x7f {
            message.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(bytes);
    }
}

/// Appends a field that is true.
pub(crate) fn put_true(message: &mut Vec<u8>, number: u8) {
    message.extend_from_slice(&[number << 3, 1]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use prost::Message;

    #[derive(Clone, PartialEq, Message)]
    struct Oracle {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(uint64, tag = "2")]
        count: u64,
        #[prost(bytes = "vec", repeated, tag = "3")]
        parts: Vec<Vec<u8>>,
        #[prost(fixed32, tag = "4")]
        small: u32,
        #[prost(fixed64, tag = "700")]
        large: u64,
    }

    proptest! {
        #[test]
        fn what_another_codec_writes_is_read(
            name in ".*", count: u64, parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..4),
            small: u32, large: u64,
        ) {
            let message = Oracle { name, count, parts, small, large };
            let encoded = message.encode_to_vec();
            let mut read = Oracle::default();
            let mut fields = Fields::of(&encoded);
            for (number, value) in &mut fields {
                match (number, value) {
                    (1, value) => read.name = String::from_utf8(value.bytes().to_vec()).unwrap(),
                    (2, Value::Number(n)) => read.count = n,
                    (3, value) => read.parts.push(value.bytes().to_vec()),
                    (4, Value::Number(n)) => read.small = n as u32,
                    (700, Value::Number(n)) => read.large = n,
                    other => panic!("{other:?}"),
                }
            }
            prop_assert!(!fields.malformed());
            prop_assert_eq!(read, message);
        }

        #[test]
        fn another_codec_reads_what_is_written(name in ".{0,400}") {
            let mut written = Vec::new();
            put(&mut written, 1, name.as_bytes());
            put_true(&mut written, 2);
            let read = Oracle::decode(&*written).unwrap();
            prop_assert_eq!((read.name, read.count), (name, 1));
        }

        #[test]
        fn any_bytes_end(message in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Fields::of(&message).count() <= message.len());
        }
    }

    #[test]
    fn what_is_cut_is_malformed() {
        for message in [&[0x0a, 5, b'a'][..], &[0x08], &[0x08, 0x80], &[0x0b], &[0x09, 1], &[0x0a], &[0xff; 12]] {
            let mut fields = Fields::of(message);
            assert_eq!(fields.by_ref().count(), 0, "{message:?}");
            assert!(fields.malformed(), "{message:?}");
        }
    }
}
