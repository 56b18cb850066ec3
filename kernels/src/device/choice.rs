//! Which device the user wants, and which one there is.

use super::cuda::{self, Findings};
use super::{Device, DeviceError};
use std::fmt;
use std::str::FromStr;

/// What `--device` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Request {
    /// The first GPU if everything that it needs is there, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU with this number.
    Cuda(usize),
}

impl FromStr for Request {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
        let request = match text {
            "auto" => Some(Self::Auto),
            "cpu" => Some(Self::Cpu),
            "cuda" => Some(Self::Cuda(0)),
            _ => text.strip_prefix("cuda:").and_then(number).map(Self::Cuda),
        };
        request
            .ok_or_else(|| "a device is auto, cpu, cuda or cuda:N with the number of a GPU, such as cuda:1".to_owned())
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

/// Where the work will be done.
#[derive(Debug)]
pub enum Choice {
    /// On the CPU.
    Cpu {
        /// Why not on a GPU, for the user; nothing when the CPU was asked for.
        because: Option<Reason>,
    },
    /// On a GPU.
    Gpu {
        /// It, opened.
        device: Device,
        /// What it is, for the user.
        found: String,
    },
}

/// Why `auto` is the CPU.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// What is missing, and how to get it.
    pub error: DeviceError,
    /// There is a GPU that could be used: worth a warning. Without one it is worth a remark at most.
    pub is_warning: bool,
}

/// Opens the device that is asked for. `auto` always finds one.
///
/// # Errors
/// When a GPU is asked for and cannot be used.
pub fn choose(request: Request) -> Result<Choice, DeviceError> {
    match request {
        Request::Cpu => Ok(Choice::Cpu { because: None }),
        Request::Cuda(ordinal) => open(ordinal, &cuda::look()),
        Request::Auto => {
            let findings = cuda::look();
            Ok(open(0, &findings).unwrap_or_else(|error| fallback(error, &findings)))
        }
    }
}

fn open(ordinal: usize, findings: &Findings) -> Result<Choice, DeviceError> {
    let found = findings.usable(ordinal)?.to_string();
    Ok(Choice::Gpu { device: cuda::open_found(ordinal, findings)?, found })
}

fn fallback(error: DeviceError, findings: &Findings) -> Choice {
    let is_warning = findings.driver.as_ref().is_ok_and(|driver| !driver.gpus.is_empty());
    Choice::Cpu { because: Some(Reason { error, is_warning }) }
}

#[cfg(test)]
mod tests {
    use super::super::cuda::{Driver, Gpu, Version};
    use super::*;

    #[test]
    fn requests_are_read_and_written() {
        for (text, request) in [
            ("auto", Request::Auto),
            ("cpu", Request::Cpu),
            ("cuda:0", Request::Cuda(0)),
            ("cuda:12", Request::Cuda(12)),
        ] {
            assert_eq!(text.parse(), Ok(request));
            assert_eq!(request.to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(Request::Cuda(0)));
        for wrong in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:+1", "CUDA", "cuda:99999999999999999999999"] {
            assert!(wrong.parse::<Request>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn auto_falls_back_to_the_cpu_and_warns_only_when_there_is_a_gpu() {
        let compiler = Err(DeviceError::NoCompiler("looked everywhere".to_owned()));
        let missing = Err(DeviceError::NoDriver("libcuda.so.1 is not found".to_owned()));
        let findings = Findings { driver: missing, compiler: compiler.clone() };
        let error = findings.usable(0).expect_err("no driver");
        let Choice::Cpu { because: Some(reason) } = fallback(error, &findings) else { panic!("not the CPU") };
        assert!(!reason.is_warning);

        let gpu = Gpu { ordinal: 0, name: "A GPU".to_owned(), compute_capability: (8, 9), memory: 1 << 34 };
        let driver = Driver { version: Version { major: 13, minor: 0 }, gpus: vec![gpu] };
        let findings = Findings { driver: Ok(driver), compiler };
        let error = findings.usable(0).expect_err("no compiler");
        let Choice::Cpu { because: Some(reason) } = fallback(error, &findings) else { panic!("not the CPU") };
        assert!(reason.is_warning && reason.error.to_string().contains("pip install nvidia-cuda-nvrtc"));
    }
}
