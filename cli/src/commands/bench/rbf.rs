//! `tessera bench rbf`: what fields of radial basis functions reach, and the same grids with a network behind them.

use crate::args::{Bench, RbfSubject};
use crate::console::Console;
use crate::interrupt;
use crate::progress::Progress;
use crate::report::{Facts, Table, bytes, count, duration};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tessera_engine::config::Config;
use tessera_engine::datasets::capture::Capture;
use tessera_engine::datasets::format::{Existing, read_mesh};
use tessera_engine::rbf::image::{self, Crop, ImageConfig};
use tessera_engine::rbf::radiance::{RadianceConfig, RadianceTraining};
use tessera_engine::rbf::shape::{ShapeConfig, Target};
use tessera_engine::train::Method;

/// Where the data is unless it is said, as tests look for it.
const DATA: &str = "../shared/data";
/// The middle of the picture.
const CROP: Crop = Crop { x: 256, y: 256, width: 512, height: 512 };
/// A network of two hidden layers of 64 units wants other rates than Gaussians: those with which it does best.
const NETWORK: [&str; 3] =
    ["decoder=\"network\"", "decoder=\"network\"\nrate=0.02", "decoder=\"network\"\nrate=0.01\ndecoder_rate=0.002"];
const COMPACT: &str = "compact";

/// What one fit reached.
#[derive(Debug)]
struct Row {
    subject: &'static str,
    decoder: &'static str,
    quality: String,
    seconds: f64,
    parameters: usize,
    operations: usize,
    bytes: u64,
}

impl Row {
    fn to_json(&self) -> Value {
        let Self { subject, decoder, quality, seconds, parameters, operations, bytes } = self;
        json!({
            "subject": subject, "decoder": decoder, "quality": quality, "seconds": seconds, "parameters": parameters,
            "operations": operations, "bytes": bytes,
        })
    }
}

/// Runs the command.
///
/// # Errors
/// When there is no data, or a fit fails.
pub fn run(args: &Bench, console: &Console) -> Result<()> {
    let data = args.data.clone().or_else(|| std::env::var_os("TESSERA_DATA").map(PathBuf::from));
    let data = data.unwrap_or_else(|| PathBuf::from(DATA));
    let folder = tempfile::tempdir().context("there is no room for temporary files")?;
    let out = folder.path().join("fit.rbf");
    let mut rows = Vec::new();
    for subject in [RbfSubject::Image, RbfSubject::Shape, RbfSubject::Radiance] {
        if args.only.is_some_and(|only| only != subject) {
            continue;
        }
        let input = data.join(subject.file());
        if !input.exists() {
            console.warn(format_args!(
                "{}: is not there, so this is left out; name the data with --data",
                input.display()
            ));
            continue;
        }
        interrupt::stoppable(|stop| measure(subject, &input, &out, &mut rows, stop, console))?;
    }
    if rows.is_empty() {
        bail!(
            "{}: holds none of the data that is measured; name its folder with --data or TESSERA_DATA",
            data.display()
        );
    }
    if args.json {
        let rows: Value = rows.iter().map(Row::to_json).collect();
        return console.result(serde_json::to_string_pretty(&rows).context("the report is no JSON")?);
    }
    let mut table = Table::new(["subject", "decoder", "quality", "time", "parameters", "operations a place", "file"]);
    for row in &rows {
        let (parameters, operations) = (count(row.parameters as u128), count(row.operations as u128));
        let Row { subject, decoder, quality, seconds, .. } = row;
        let texts = [*subject, decoder, quality].map(str::to_owned);
        let [subject, decoder, quality] = texts;
        table.row([subject, decoder, quality, duration(*seconds), parameters, operations, bytes(row.bytes)]);
    }
    let mut facts = Facts::default();
    facts.add("threads", rayon::current_num_threads().to_string());
    console.note(&facts);
    console.result(table)
}

fn measure(
    subject: RbfSubject,
    input: &Path,
    out: &Path,
    rows: &mut Vec<Row>,
    stop: &AtomicBool,
    console: &Console,
) -> Result<()> {
    let mut add = |decoder: &'static str, row: Result<Row>| -> Result<()> {
        rows.push(Row { decoder, ..row? });
        Ok(())
    };
    match subject {
        RbfSubject::Image => {
            add("Gaussians", of_image(input, &with(&[])?, out, stop, console))?;
            add("Gaussians, compact", of_image(input, &with(&[image::preset(COMPACT)?])?, out, stop, console))?;
            add("network", of_image(input, &with(&[NETWORK[0]])?, out, stop, console))
        }
        RbfSubject::Shape => {
            add("Gaussians", of_shape(input, &with(&[])?, out, stop, console))?;
            add("network", of_shape(input, &with(&[NETWORK[1]])?, out, stop, console))
        }
        RbfSubject::Radiance => {
            add("Gaussians", of_radiance(input, &with(&[])?, out, stop, console))?;
            add("network", of_radiance(input, &with(&[NETWORK[2]])?, out, stop, console))
        }
    }
}

/// Defaults with some settings.
fn with<C: Config>(settings: &[&str]) -> Result<C> {
    let mut config = C::default();
    settings.iter().try_for_each(|toml| config.apply_toml(toml, "bench"))?;
    Ok(config)
}

fn of_image(input: &Path, config: &ImageConfig, out: &Path, stop: &AtomicBool, console: &Console) -> Result<Row> {
    let mut progress = Progress::new(console, "picture");
    let mut show = |p: image::ImageProgress| progress.count(p.step as usize, p.steps as usize);
    let report = image::fit(input, Some(CROP), config, (out, Existing::Replace), stop, &mut show)?;
    Ok(Row {
        subject: "picture",
        decoder: "",
        quality: format!("{:.2} dB", report.psnr),
        seconds: report.seconds,
        parameters: report.parameters,
        operations: report.operations,
        bytes: report.bytes,
    })
}

fn of_shape(input: &Path, config: &ShapeConfig, out: &Path, stop: &AtomicBool, console: &Console) -> Result<Row> {
    let mesh = read_mesh(input)?.mesh;
    let start = Instant::now();
    let target = Target::new(&mesh)?;
    let mut progress = Progress::new(console, "shape");
    let shape = target.fit(config, stop, &mut |p| progress.count(p.step as usize, p.steps as usize))?;
    drop(progress);
    go_on(stop)?;
    let shape = shape.write(out, Existing::Replace)?;
    let seconds = start.elapsed().as_secs_f64();
    let report = target.measure(&shape)?;
    Ok(Row {
        subject: "shape",
        decoder: "",
        quality: format!("IoU {:.4}, {:.2} degrees", report.iou, report.normal_error_deg),
        seconds,
        parameters: report.parameters,
        operations: report.operations,
        bytes: size(out),
    })
}

fn of_radiance(input: &Path, config: &RadianceConfig, out: &Path, stop: &AtomicBool, console: &Console) -> Result<Row> {
    let capture = Capture::open(input)?;
    let start = Instant::now();
    let mut training = RadianceTraining::new(&capture, config)?;
    let mut progress = Progress::new(console, "radiance");
    for step in 0..config.steps {
        training.step(step)?;
        progress.count(step as usize + 1, config.steps as usize);
        go_on(stop)?;
    }
    drop(progress);
    training.radiance().write(out, Existing::Replace)?;
    let seconds = start.elapsed().as_secs_f64();
    let report = training.evaluate()?.context("the capture holds out no photos")?;
    let field = &training.radiance().field;
    Ok(Row {
        subject: "radiance",
        decoder: "",
        quality: format!("{:.2} dB, SSIM {:.4}", report.psnr, report.ssim),
        seconds,
        parameters: field.learned(),
        operations: field.operations(),
        bytes: size(out),
    })
}

fn go_on(stop: &AtomicBool) -> Result<()> {
    if stop.load(Ordering::Relaxed) { bail!("interrupted") } else { Ok(()) }
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |m| m.len())
}
