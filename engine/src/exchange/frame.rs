//! What goes over a connection: frames of a kind, a length, a checksum and that many bytes.

use std::io::{self, ErrorKind, Read, Write};

/// The first bytes of every frame; the number grows when frames change.
const MAGIC: [u8; 4] = *b"TSR1";
/// Nobody sends more: a picture's Gaussians are some tens of megabytes.
const MAX_BYTES: usize = 1 << 30;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Who wants to take part.
    Hello = 1,
    /// Who takes part.
    Welcome = 2,
    /// What ranks have to say.
    Message = 3,
    /// A sign of life.
    Pulse = 4,
    /// Why the sender gives up.
    GiveUp = 5,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        [Self::Hello, Self::Welcome, Self::Message, Self::Pulse, Self::GiveUp]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// Sends a frame.
pub(super) fn write(out: &mut impl Write, kind: Kind, bytes: &[u8]) -> io::Result<()> {
    if bytes.len() > MAX_BYTES {
        return Err(io::Error::new(ErrorKind::InvalidInput, "a message is too long"));
    }
    let mut frame = Vec::with_capacity(13 + bytes.len());
    frame.extend(MAGIC);
    frame.push(kind as u8);
    frame.extend((bytes.len() as u32).to_le_bytes());
    frame.extend(crc32fast::hash(bytes).to_le_bytes());
    frame.extend_from_slice(bytes);
    out.write_all(&frame)
}

/// Takes the next frame.
pub(super) fn read(from: &mut impl Read) -> io::Result<(Kind, Vec<u8>)> {
    let damaged = |what: &str| io::Error::new(ErrorKind::InvalidData, what.to_owned());
    let mut head = [0; 13];
    from.read_exact(&mut head)?;
    let [m0, m1, m2, m3, kind, l0, l1, l2, l3, c0, c1, c2, c3] = head;
    if [m0, m1, m2, m3] != MAGIC {
        return Err(damaged("what came is not from tessera"));
    }
    let kind = Kind::of(kind).ok_or_else(|| damaged("what came is of another version of tessera"))?;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if length > MAX_BYTES {
        return Err(damaged("what came is too long"));
    }
    // Memory grows with what has really come.
    let mut bytes = Vec::with_capacity(length.min(1 << 20));
    from.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    if crc32fast::hash(&bytes) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Err(damaged("what came was damaged on the way"));
    }
    Ok((kind, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_and_damage_is_noticed() {
        let mut sent = Vec::new();
        write(&mut sent, Kind::Message, b"gradient").expect("it fits");
        let (kind, bytes) = read(&mut &sent[..]).expect("whole");
        assert_eq!((kind, &bytes[..]), (Kind::Message, &b"gradient"[..]));
        for at in 0..sent.len() {
            let mut spoilt = sent.clone();
            spoilt[at] ^= 0x40;
            // A longer or shorter frame ends early or has another checksum.
            assert!(read(&mut &spoilt[..]).is_err(), "byte {at} was changed and nobody noticed");
            assert!(read(&mut &sent[..at]).is_err(), "{at} bytes are not a frame");
        }
    }
}
