//! The pictures that ffmpeg writes into a pipe: binary PGM and PPM, one after the other.

use std::io::{self, BufRead};

/// One picture with 8 bits per channel.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// 1 (grey) or 3 (red, green, blue).
    pub(crate) channels: usize,
    /// `[height, width, channels]`
    pub(crate) data: Vec<u8>,
}

/// The next picture of a stream; `None` at its end.
///
/// # Errors
/// When the stream ends within a picture, holds something else, or a picture is longer than `longest_side`.
pub(crate) fn read_picture(stream: &mut impl BufRead, longest_side: usize) -> io::Result<Option<Picture>> {
    let mut numbers = Vec::new();
    let mut magic = [0; 2];
    if stream.fill_buf()?.is_empty() {
        return Ok(None);
    }
    stream.read_exact(&mut magic)?;
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a damaged picture from ffmpeg");
    let channels = match &magic {
        b"P5" => 1,
        b"P6" => 3,
        _ => return Err(damaged()),
    };
    let mut number = String::new();
    while numbers.len() < 3 {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        if byte[0].is_ascii_digit() && number.len() < 6 {
            number.push(char::from(byte[0]));
        } else if !byte[0].is_ascii_whitespace() {
            return Err(damaged());
        } else if !number.is_empty() {
            numbers.push(std::mem::take(&mut number).parse::<usize>().map_err(|_| damaged())?);
        }
    }
    match numbers[..] {
        [width, height, 255] if width.max(height) <= longest_side => {
            let mut data = vec![0; width * height * channels];
            stream.read_exact(&mut data)?;
            Ok(Some(Picture { width, height, channels, data }))
        }
        _ => Err(damaged()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_taken_from_a_stream_until_its_end() {
        let bytes = b"P5\n2 1\n255\n\x01\x02P6 1 1 255 \x09\x08\x07";
        let mut stream = bytes.as_slice();
        let first = read_picture(&mut stream, 8).expect("first").expect("not the end");
        assert_eq!((first.width, first.height, first.channels, first.data), (2, 1, 1, vec![1, 2]));
        assert_eq!(read_picture(&mut stream, 8).expect("second").expect("not the end").data, [9, 8, 7]);
        assert!(read_picture(&mut stream, 8).expect("end").is_none());
        for bad in ["P4\n1 1\n255\n", "P5\n9 9\n255\n", "P5\n2 2\n255\nab", "P6\n1 1\n255\nab", "P5\n1234567 1 255 "] {
            assert!(read_picture(&mut bad.as_bytes(), 8).is_err(), "{bad}");
        }
    }
}
