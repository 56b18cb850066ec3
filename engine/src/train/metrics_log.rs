//! `metrics.jsonl`: one JSON object a line, appended as training goes.

use super::durable;
use crate::evaluate::EvalReport;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;

/// A longer line was not written by us.
const MAX_LINE_BYTES: u64 = 1 << 16;

/// One line. Steps have `loss` and its company, evaluations have `psnr`, `ssim` and `cc_psnr` under `eval`.
#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    pub step: u64,
    /// Seconds of training so far, those before a resume included.
    pub seconds: f64,
    #[serde(flatten)]
    pub content: Content<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Content<'a> {
    Step {
        loss: f64,
        psnr: f64,
        count: u64,
    },
    Evaluation {
        eval: Summary<'a>,
    },
    /// What a method adds to that.
    Facts(serde_json::Value),
}

/// The means of a report, without the single images.
#[derive(Debug, Serialize)]
pub(crate) struct Summary<'a> {
    psnr: f64,
    ssim: f64,
    cc_psnr: f64,
    images: usize,
    split: &'a str,
}

impl<'a> From<&'a EvalReport> for Summary<'a> {
    fn from(report: &'a EvalReport) -> Self {
        let EvalReport { psnr, ssim, cc_psnr, images, .. } = *report;
        Self { psnr, ssim, cc_psnr, images, split: &report.split }
    }
}

/// The open log.
#[derive(Debug)]
pub(crate) struct MetricsLog {
    path: PathBuf,
    file: File,
}

impl MetricsLog {
    /// Opens the log at `path` for appending, after the lines of the first `step` steps: what a killed program wrote
    /// after its last checkpoint is written again, and must not be there twice.
    pub(crate) fn open(path: PathBuf, step: u64) -> Result<Self> {
        let kept = match File::open(&path) {
            Ok(file) => kept_lines(file, step).map_err(|e| Error::read(&path, &e))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(Error::read(&path, &e)),
        };
        durable::write(&path, |out| out.write_all(&kept))?;
        let file = OpenOptions::new().append(true).open(&path).map_err(|e| Error::write(&path, &e))?;
        Ok(Self { path, file })
    }

    /// Appends a line.
    pub(crate) fn append(&mut self, line: &Line<'_>) -> Result<()> {
        let mut text = serde_json::to_string(line).map_err(|e| Error::write(&self.path, &e.into()))?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).map_err(|e| Error::write(&self.path, &e))
    }
}

/// The lines up to `step`; a torn or foreign line ends them.
fn kept_lines(file: File, step: u64) -> std::io::Result<Vec<u8>> {
    #[derive(Deserialize)]
    struct Start {
        step: u64,
    }
    let mut kept = Vec::new();
    let mut reader = BufReader::new(file);
    loop {
        let mut line = Vec::new();
        (&mut reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
        let start = serde_json::from_slice::<Start>(&line);
        if line.last() != Some(&b'\n') || !start.is_ok_and(|start| start.step <= step) {
            return Ok(kept);
        }
        kept.extend(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_after_the_resumed_step_and_torn_lines_are_dropped() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("metrics.jsonl");
        let line = |step| Line { step, seconds: 0.5, content: Content::Step { loss: 0.25, psnr: 20.0, count: 3 } };
        let mut log = MetricsLog::open(path.clone(), 0).expect("new");
        for step in [10, 20, 30] {
            log.append(&line(step)).expect("writable");
        }
        std::fs::OpenOptions::new().append(true).open(&path).expect("there").write_all(b"{\"step\":31,").expect("torn");
        let mut log = MetricsLog::open(path.clone(), 20).expect("resumed");
        log.append(&line(25)).expect("writable");
        let text = std::fs::read_to_string(&path).expect("readable");
        let steps: Vec<u64> = text
            .lines()
            .map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON")["step"].as_u64().expect("a step"))
            .collect();
        assert_eq!(steps, [10, 20, 25], "{text}");
        assert!(text.starts_with("{\"step\":10,\"seconds\":0.5,\"loss\":0.25,\"psnr\":20.0,\"count\":3}\n"), "{text}");
    }
}
