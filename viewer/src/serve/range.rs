//! Byte ranges of HTTP (RFC 9110, section 14), single ones.

use std::ops::Range;

/// What a `Range` header asks of a file of `length` bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of it: no range, several, or none that is understood, which a server may ignore.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes that are not there.
    Outside,
}

pub(super) fn parse(header: Option<&str>, length: u64) -> Asked {
    match header.and_then(|header| single(header.trim())) {
        None => Asked::Whole,
        Some((None, Some(last))) if last > 0 && length > 0 => Asked::Part(length.saturating_sub(last)..length),
        Some((Some(start), end)) if start < length => {
            Asked::Part(start..end.map_or(length, |end| end.saturating_add(1).min(length)))
        }
        Some(_) => Asked::Outside,
    }
}

/// First and last byte of the one range in the header, or the number of last bytes.
fn single(header: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, range) = header.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    match (first, last) {
        (None, None) => None,
        (Some(first), Some(last)) if last < first => None,
        both => Some(both),
    }
}

/// The number, or `Some(None)` where there is none. Numbers beyond all files are the largest there is.
fn number(digits: &str) -> Option<Option<u64>> {
    if digits.is_empty() {
        return Some(None);
    }
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| Some(digits.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_standard() {
        for (header, asked) in [
            ("bytes=0-0", Asked::Part(0..1)),
            ("bytes=0-9", Asked::Part(0..10)),
            ("bytes=3-", Asked::Part(3..10)),
            ("bytes=-4", Asked::Part(6..10)),
            ("bytes=-99", Asked::Part(0..10)),
            ("bytes=9-99999999999999999999999", Asked::Part(9..10)),
            ("Bytes= 2-3 ", Asked::Part(2..4)),
            ("bytes=10-", Asked::Outside),
            ("bytes=10-12", Asked::Outside),
            ("bytes=-0", Asked::Outside),
            ("bytes=99999999999999999999999-", Asked::Outside),
            ("bytes=5-4", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=1-2,4-5", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("items=1-2", Asked::Whole),
            ("", Asked::Whole),
        ] {
            assert_eq!(parse(Some(header), 10), asked, "{header}");
        }
        assert_eq!(parse(None, 10), Asked::Whole);
        assert_eq!(parse(Some("bytes=0-"), 0), Asked::Outside);
        assert_eq!(parse(Some("bytes=-1"), 0), Asked::Outside);
    }
}
