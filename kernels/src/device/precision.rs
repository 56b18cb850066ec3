//! In which numbers matrices are multiplied.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// In which numbers an operation multiplies matrices on a device. Its buffers hold `f32` either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Numbers of single precision, multiplied and added in one rounding, as on the CPU.
    #[default]
    Single,
    /// Inputs are rounded to bf16, which has 8 bits of mantissa and the range of single precision, multiplied by the tensor cores and summed in
    /// single precision.
    #[serde(rename = "bf16")]
    Brain,
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "single" => Ok(Self::Single),
            "bf16" => Ok(Self::Brain),
            _ => Err("a precision is single or bf16".to_owned()),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single => "single",
            Self::Brain => "bf16",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_everywhere() {
        for precision in [Precision::Single, Precision::Brain] {
            let name = precision.to_string();
            assert_eq!(name.parse(), Ok(precision));
            assert_eq!(serde_json::to_value(precision).expect("a name"), serde_json::json!(name));
        }
        assert!("double".parse::<Precision>().is_err(), "there is no other");
    }
}
