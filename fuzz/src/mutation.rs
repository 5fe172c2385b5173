//! Random changes to an input: no coverage, but the same operators that libFuzzer begins with.

/// splitmix64: small, and the same sequence for the same seed everywhere.
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.bits() % end as u64).expect("below a usize")
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// Inputs grow no longer than this.
pub const LONGEST: usize = 64 * 1024;

const BYTES: [u8; 14] = [0, 1, 9, b'\n', b'\r', b' ', b'$', b'*', b'-', b'0', b':', 0x7f, 0x80, 0xff];
const NUMBERS: [u64; 14] =
    [0, 1, 7, 8, 255, 256, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, u64::MAX >> 1, u64::MAX];
const TEXTS: [&[u8]; 26] = [
    b"0",
    b"-1",
    b"00000000000000000001",
    b"4294967296",
    b"9223372036854775807",
    b"18446744073709551616",
    b"\r\n",
    b"\r\n\r\n",
    b"HTTP/1.1 ",
    b"GET / HTTP/1.1\r\n",
    b"Content-Length: ",
    b"Transfer-Encoding: chunked\r\n",
    b"*1\r\n$4\r\nPING\r\n",
    b"$-1\r\n",
    b"%2\r\n",
    b">3\r\n",
    b"\\'",
    b"''",
    b"E'",
    b"$$",
    b"$tag$",
    b"/*!",
    b"*/",
    b"-- ",
    b" IN (1, ",
    b"VALUES (",
];

/// Makes a new input out of `input`, with parts of `other`.
pub fn mutate(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..1 << random.below(4) {
        once(input, other, random);
    }
    input.truncate(LONGEST);
}

fn once(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let length = input.len();
    let at = random.below(length + 1);
    let some = (1 + random.below(16)).min(length - at);
    match random.below(13) {
        0 if at < length => input[at] ^= 1 << random.below(8),
        1 if at < length => input[at] = random.pick(&BYTES),
        2 if at < length => input[at] = random.bits().to_le_bytes()[0],
        3 => drop(input.drain(at..at + some)),
        4 => drop(input.drain(at..at + random.below(length - at + 1))),
        5 => input.truncate(at),
        6 => insert(input, at, random.pick(&TEXTS)),
        7 => insert(input, at, &vec![random.pick(&BYTES); random.below(40)]),
        8 => {
            let from = random.below(length + 1);
            let part = input[from..(from + random.below(200)).min(length)].to_vec();
            insert(input, at, &part);
        }
        9 => {
            let from = random.below(other.len() + 1);
            let part = &other[from..(from + random.below(400)).min(other.len())];
            insert(input, at, part);
        }
        10 => {
            let width = random.pick(&[2, 4, 8]);
            let number = random.pick(&NUMBERS);
            let bytes = if random.below(2) == 0 {
                number.to_le_bytes()
            } else {
                number.rotate_left(64 - 8 * width).to_be_bytes()
            };
            let end = (at + width as usize).min(length);
            input[at..end].copy_from_slice(&bytes[..end - at]);
        }
        11 => digit(input, at, random),
        _ if at < length => input[at] = input[at].wrapping_add(random.pick(&[1, 255, 16, 240])),
        _ => input.push(random.pick(&BYTES)),
    }
}

/// Changes the next number written in digits.
fn digit(input: &mut [u8], at: usize, random: &mut Random) {
    if let Some(digit) = input[at..].iter_mut().find(|byte| byte.is_ascii_digit()) {
        *digit = b'0' + u8::try_from(random.below(10)).expect("below 10");
    }
}

fn insert(input: &mut Vec<u8>, at: usize, part: &[u8]) {
    input.splice(at..at, part.iter().copied());
}
