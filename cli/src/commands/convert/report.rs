//! What a conversion did, for people and for programs.

use crate::console::Console;
use crate::report::{bytes, count, count_of};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::PathBuf;
use tessera_engine::datasets::convert::{CutOff, Report};
use tessera_engine::datasets::scene::FloaterReport;
use tessera_engine::verify::Verification;

/// So much of a scene is hardly made of floaters.
const MUCH: f64 = 0.2;

/// What was measured, and what was demanded.
pub struct Verified {
    pub measured: Verification,
    pub at_least: f64,
}

/// What was done with a scene.
pub struct Outcome {
    pub inputs: Vec<PathBuf>,
    /// Nothing when it was only tried out.
    pub output: Option<PathBuf>,
    pub format: Option<&'static str>,
    pub bytes: u64,
    pub losses: Vec<String>,
    pub report: Report,
    pub floaters_to: Option<PathBuf>,
    pub verified: Option<Verified>,
    pub seconds: f64,
}

impl Outcome {
    /// Tells it.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn tell(&self, as_json: bool, console: &Console) -> Result<()> {
        if self.report.floaters.is_some_and(|found| found.share_of_cover > MUCH) {
            console.warn(
                "that is much for floaters; look at them with --dry-run --floaters-to FILE, or lower the strength",
            );
        }
        if as_json {
            return console.result(serde_json::to_string_pretty(&self.json()).context("the report is no JSON")?);
        }
        let Some(output) = &self.output else {
            let mut lines = self.lines();
            lines.push("nothing was written, because of --dry-run".to_owned());
            return console.result(lines.join("\n"));
        };
        self.lines().iter().for_each(|line| console.note(line));
        console.result(format_args!("{} ({})", output.display(), bytes(self.bytes)))
    }

    fn lines(&self) -> Vec<String> {
        let report = &self.report;
        let splats = |n: u64| count_of(n as usize, "splat", "splats");
        let mut lines = Vec::new();
        if report.written != report.read {
            lines.push(format!("{} read", splats(report.read)));
        }
        let mut gone = |n: u64, why: &str| {
            if n > 0 {
                lines.push(format!("{} removed: {why}", splats(n)));
            }
        };
        gone(report.invalid, "with numbers that are not finite");
        gone(report.outside, "outside of the box or sphere");
        gone(report.unseen, "seen by too few cameras");
        lines.extend(report.floaters.iter().map(floaters_text));
        if let Some(file) = &self.floaters_to {
            lines.push(format!("floaters written to {}", file.display()));
        }
        if report.too_faint > 0 {
            lines.push(format!("{} removed: too transparent", splats(report.too_faint)));
        }
        if report.sh_degree < report.sh_degree_read {
            let (from, to) = (report.sh_degree_read, report.sh_degree);
            lines.push(format!("spherical harmonics of degree {from} cut to degree {to}"));
        }
        if let Some(from) = report.merged_from {
            lines.push(format!("{} merged into {}", splats(from), count(report.written)));
        }
        let CutOff { colours, scales, harmonics } = report.cut_off;
        let format = self.format.unwrap_or_default();
        for (n, what) in [(colours, "colours"), (scales, "scales"), (harmonics, "spherical harmonics")] {
            if n > 0 {
                lines.push(format!("{} had {what} beyond what {format} holds, which are cut off", splats(n)));
            }
        }
        lines.push(splats(report.written));
        if let Some(Verified { measured, .. }) = &self.verified {
            let (psnr, worst, views) = (measured.psnr, measured.worst, measured.views);
            lines.push(format!("verified: PSNR {psnr:.2} dB over {views} views, {worst:.2} dB in the worst"));
        }
        lines
    }

    fn json(&self) -> Value {
        let verified = self.verified.as_ref().map(|Verified { measured, at_least }| {
            json!({"psnr": measured.psnr, "worst": measured.worst, "views": measured.views, "at_least": at_least})
        });
        json!({
            "inputs": self.inputs, "output": self.output, "format": self.format, "bytes": self.bytes,
            "splats": self.report.written, "report": self.report, "losses": self.losses,
            "floaters_to": self.floaters_to, "verified": verified, "seconds": self.seconds,
        })
    }
}

fn floaters_text(found: &FloaterReport) -> String {
    let (floaters, examined) = (count(found.floaters), count(found.examined));
    let clusters = count_of(found.clusters as usize, "cluster", "clusters");
    format!(
        "{floaters} floaters removed of {examined} splats (strength {}): {} isolated, {} in {clusters}, {} of haze; \
         {:.2} % of what the scene covers",
        found.strength,
        count(found.isolated),
        count(found.in_clusters),
        count(found.haze),
        100.0 * found.share_of_cover
    )
}
