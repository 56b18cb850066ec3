//! Numbers that could not be computed. Python writes them into JSON as `NaN` and `Infinity`, which JSON does not have.

use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// What Python writes, the longer words before those that they end with.
const WORDS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// JSON in which such words are strings, so that the rest of it can be read.
pub(super) fn quoted(json: &[u8]) -> Cow<'_, [u8]> {
    if !holds_any(json) {
        return Cow::Borrowed(json);
    }
    let mut out = Vec::with_capacity(json.len() + 64);
    let (mut rest, mut in_string) = (json, false);
    while let Some((&byte, after)) = rest.split_first() {
        let word = WORDS.into_iter().find(|word| !in_string && rest.starts_with(word.as_bytes()));
        if let Some(word) = word {
            out.extend(format!("\"{word}\"").bytes());
            rest = &rest[word.len()..];
            continue;
        }
        out.push(byte);
        rest = after;
        match (byte, after.split_first()) {
            (b'"', _) => in_string = !in_string,
            (b'\\', Some((&escaped, behind))) if in_string => {
                out.push(escaped);
                rest = behind;
            }
            _ => {}
        }
    }
    Cow::Owned(out)
}

/// Whether the text holds such words anywhere.
pub(super) fn holds_any(json: &[u8]) -> bool {
    WORDS[1..].iter().any(|word| json.windows(word.len()).any(|w| w == word.as_bytes()))
}

/// A number in JSON, or one that could not be computed, as [`quoted`] leaves it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Number(pub(super) f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a number")]
        enum Stated {
            Finite(f64),
            Other(Word),
        }
        #[derive(Deserialize)]
        enum Word {
            #[serde(rename = "NaN", alias = "Infinity", alias = "-Infinity")]
            NotFinite,
        }
        match Stated::deserialize(deserializer)? {
            Stated::Finite(value) => Ok(Self(value)),
            Stated::Other(Word::NotFinite) => Ok(Self(f64::NAN)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_does_not_have_are_read_and_strings_stay_as_they_are() {
        let json = br#"{"a\"NaN": [1, NaN, -Infinity, 2e3], "Infinity\\": Infinity}"#;
        let read: std::collections::BTreeMap<String, serde_json::Value> =
            serde_json::from_slice(&quoted(json)).expect("JSON");
        assert_eq!(read.keys().collect::<Vec<_>>(), ["Infinity\\", "a\"NaN"]);
        let numbers: Vec<Number> = serde_json::from_value(read["a\"NaN"].clone()).expect("numbers");
        let finite: Vec<Option<f64>> = numbers.iter().map(|n| Some(n.0).filter(|v| v.is_finite())).collect();
        assert_eq!(finite, [Some(1.0), None, None, Some(2000.0)]);
        assert!(serde_json::from_str::<Number>("\"soon\"").is_err());
    }

    #[test]
    fn other_json_is_not_copied() {
        assert!(matches!(quoted(b"{\"a\": 1}"), Cow::Borrowed(_)));
    }
}
