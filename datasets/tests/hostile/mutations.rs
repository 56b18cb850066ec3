//! Damage by chance, the same for the same seed: flipped bits, numbers that files do not mean, lost, doubled and added bytes.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg32;

/// Numbers at the borders of types.
const NUMBERS: [u64; 12] = [
    0,
    1,
    2,
    0x7f,
    0xff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7f80_0000, // infinity
    0x7fc0_0000, // not a number
    u64::MAX,
];
const TEXTS: [&str; 14] = [
    "",
    "0",
    "-1",
    "1",
    "255",
    "65536",
    "4294967295",
    "18446744073709551615",
    "1e308",
    "-1e-308",
    "nan",
    "inf",
    "\"",
    "{",
];

pub struct Mutations(Pcg32);

impl Mutations {
    pub fn new(seed: u64) -> Self {
        Self(Pcg32::seed_from_u64(seed))
    }

    /// The bytes after one to five accidents, most of them near the beginning, where headers are.
    pub fn of(&mut self, good: &[u8]) -> Vec<u8> {
        let mut bytes = good.to_vec();
        for _ in 0..self.0.random_range(1..=5) {
            self.accident(&mut bytes);
        }
        bytes
    }

    fn accident(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            bytes.push(self.0.random());
        }
        let at = self.place(bytes.len());
        let length = self.0.random_range(0..=64.min(bytes.len() - at));
        match self.0.random_range(0..10) {
            0 | 1 => bytes[at] ^= 1 << self.0.random_range(0..8),
            2 => bytes[at] = self.0.random(),
            3 | 4 => self.number(bytes, at),
            5 => self.digits(bytes, at),
            6 => bytes.truncate(at),
            7 => drop(bytes.drain(at..at + length)),
            8 => {
                let added: Vec<u8> = (0..length).map(|_| self.0.random()).collect();
                bytes.splice(at..at, added);
            }
            _ => {
                // A piece of it comes again, somewhere else.
                let piece = bytes[at..at + length].to_vec();
                let to = self.place(bytes.len());
                bytes.splice(to..to, piece);
            }
        }
    }

    fn place(&mut self, length: usize) -> usize {
        let near = if self.0.random_bool(0.5) { length.min(256) } else { length };
        self.0.random_range(0..near)
    }

    /// A number of 2, 4 or 8 bytes, in either order of bytes, becomes another one.
    fn number(&mut self, bytes: &mut [u8], at: usize) {
        let size = [2, 4, 8][self.0.random_range(0..3)].min(bytes.len() - at);
        let near = [bytes.len() as u64, self.0.random_range(0..1 << 20)];
        let choice = self.0.random_range(0..NUMBERS.len() + 4);
        let value = NUMBERS.get(choice).copied().unwrap_or_else(|| near[choice % 2].wrapping_add(choice as u64 % 3));
        let (little, big) = (value.to_le_bytes(), value.to_be_bytes());
        let value = if self.0.random_bool(0.8) { &little[..size] } else { &big[8 - size..] };
        bytes[at..at + size].copy_from_slice(value);
    }

    /// The next number in text becomes another one.
    fn digits(&mut self, bytes: &mut Vec<u8>, at: usize) {
        let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|offset| at + offset) else { return };
        let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = TEXTS[self.0.random_range(0..TEXTS.len())];
        bytes.splice(start..start + length, text.bytes());
    }
}
