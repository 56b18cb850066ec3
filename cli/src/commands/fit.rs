//! `tessera fit`: pictures and shapes as fields of radial basis functions.

use crate::args::{Fit, FitImage, FitOptions, FitSdf};
use crate::commands::reconstruct::chosen;
use crate::console::{Console, UsageError};
use crate::interrupt;
use crate::progress::Progress;
use crate::report::{Facts, bytes, count, count_of, duration};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tessera_engine::config::Config;
use tessera_engine::datasets::format::{Existing, read_mesh};
use tessera_engine::rbf::field::DecoderKind;
use tessera_engine::rbf::file::RbfFile;
use tessera_engine::rbf::image::{self, ImageConfig};
use tessera_engine::rbf::shape::{self, ShapeConfig, Target};
use tessera_kernels::device::{Device, Request};

/// Runs the command.
///
/// # Errors
/// When the input cannot be read, or the output cannot be written.
pub fn run(args: &Fit, console: &Console) -> Result<()> {
    match args {
        Fit::Image(args) => fit_image(args, console),
        Fit::Sdf(args) => fit_shape(args, console),
    }
}

fn fit_image(args: &FitImage, console: &Console) -> Result<()> {
    let (Some(input), Some(output)) = (&args.input, output(&args.options)?) else {
        return console.result(ImageConfig::help());
    };
    let config: ImageConfig = settings(&args.options, image::preset(args.options.preset.name())?)?;
    config.check().map_err(|e| UsageError(e.to_string()))?;
    let device = device(&args.options, config.decoder, console)?;
    let mut progress = Progress::new(console, "fitting");
    let start = Instant::now();
    let report = interrupt::stoppable(|stop| {
        let out = (output.as_path(), existing(&args.options));
        image::fit_on(device.as_ref(), (input, args.crop), &config, out, stop, &mut |p| {
            progress.update(p.step, p.steps, || steps(p.step, p.steps, start, &format!("PSNR {:.2} dB", p.psnr)));
        })
    })?;
    drop(progress);
    let mut facts = Facts::default();
    facts.add("picture", format!("{}x{}, {}", report.width, report.height, count_of(report.tiles, "tile", "tiles")));
    facts.add("PSNR", format!("{:.2} dB", report.psnr));
    add_costs(&mut facts, report.seconds, report.parameters, report.operations, report.bytes);
    let mut json = serde_json::to_value(report).context("the report is no JSON")?;
    json["device"] = json!(name_of(device.as_ref()));
    finish(&args.options, &output, facts, &json, console)
}

fn fit_shape(args: &FitSdf, console: &Console) -> Result<()> {
    let (Some(input), Some(output)) = (&args.input, output(&args.options)?) else {
        return console.result(ShapeConfig::help());
    };
    let config: ShapeConfig = settings(&args.options, shape::preset(args.options.preset.name())?)?;
    config.check().map_err(|e| UsageError(e.to_string()))?;
    let device = device(&args.options, config.decoder, console)?;
    let mesh = read_mesh(input)?.mesh;
    let start = Instant::now();
    let target = Target::new(&mesh).with_context(|| format!("{}: cannot be fitted", input.display()))?;
    if target.degenerate() > 0 {
        let left_out = count_of(target.degenerate(), "triangle has", "triangles have");
        console.warn(format_args!("{}: {left_out} no area and did not count", input.display()));
    }
    let mut progress = Progress::new(console, "fitting");
    let fitted = interrupt::stoppable(|stop| {
        let fitted = target.fit_on(device.as_ref(), &config, stop, &mut |p| {
            progress.update(p.step, p.steps, || steps(p.step, p.steps, start, &format!("loss {:.4}", p.loss)));
        });
        if stop.load(std::sync::atomic::Ordering::Relaxed) {
            bail!("interrupted; nothing was written");
        }
        Ok(fitted?)
    })?;
    drop(progress);
    let fitted = fitted.write(&output, existing(&args.options))?;
    let seconds = start.elapsed().as_secs_f64();
    console.note("comparing the shape with the mesh");
    let report = target.measure(&fitted).with_context(|| format!("{}: cannot be compared", output.display()))?;
    let size = std::fs::metadata(&output).map_or(0, |m| m.len());
    let mut facts = Facts::default();
    facts.add("IoU", format!("{:.4}", report.iou));
    facts.add("normals differ by", format!("{:.2} degrees", report.normal_error_deg));
    facts.add("distance", format!("{:.4} % of the size of the mesh", 100.0 * report.chamfer));
    add_costs(&mut facts, seconds, report.parameters, report.operations, size);
    let mut json = serde_json::to_value(report).context("the report is no JSON")?;
    json["seconds"] = json!(seconds);
    json["bytes"] = json!(size);
    json["device"] = json!(name_of(device.as_ref()));
    finish(&args.options, &output, facts, &json, console)
}

/// Where to compute; `None` is the CPU. Networks are there to compare with, and have no kernels for GPUs.
fn device(options: &FitOptions, decoder: DecoderKind, console: &Console) -> Result<Option<Device>> {
    match (decoder, options.device) {
        (DecoderKind::Network, Request::Cuda(_)) => {
            let message = "networks are fitted on the CPU only; leave --device out, or use --set decoder=rbf";
            Err(UsageError(message.to_owned()).into())
        }
        (DecoderKind::Network, _) => Ok(None),
        (DecoderKind::Rbf, request) => chosen(request, console),
    }
}

/// What the report calls the device.
fn name_of(device: Option<&Device>) -> String {
    device.map_or_else(|| "cpu".to_owned(), |device| device.properties().name.clone())
}

/// The settings of a fit: defaults, then the preset, the file and the flags.
fn settings<C: Config>(options: &FitOptions, preset: &str) -> Result<C> {
    let mut config = C::default();
    config.apply_toml(preset, "preset")?;
    options.chosen.apply(options.steps.map(|steps| format!("steps={steps}")), &mut config)?;
    Ok(config)
}

/// Where to write; nowhere when settings are only listed.
fn output(options: &FitOptions) -> Result<Option<PathBuf>> {
    if options.chosen.help_settings {
        return Ok(None);
    }
    let Some(path) = &options.output else { return Ok(None) };
    if !RbfFile::is_named(path) {
        bail!("{}: fits are written to .rbf files; give the output that extension", path.display());
    }
    if path.exists() && !options.force {
        bail!("{}: exists already; replace it with --force", path.display());
    }
    Ok(Some(path.clone()))
}

fn existing(options: &FitOptions) -> Existing {
    if options.force { Existing::Replace } else { Existing::Keep }
}

fn steps(done: u64, all: u64, start: Instant, metric: &str) -> String {
    let left = start.elapsed().as_secs_f64() * (all - done) as f64 / done.max(1) as f64;
    let ending = if done == all { "done".to_owned() } else { format!("{} left", duration(left)) };
    format!("{}/{}, {metric}, {ending}", count(done), count(all))
}

fn add_costs(facts: &mut Facts, seconds: f64, parameters: usize, operations: usize, size: u64) {
    facts.add("time", duration(seconds));
    facts.add("parameters", count(parameters as u128));
    facts.add("operations", format!("{} for one place", count(operations as u128)));
    facts.add("file", bytes(size));
}

fn finish(options: &FitOptions, output: &Path, facts: Facts, report: &Value, console: &Console) -> Result<()> {
    if options.json {
        return console.result(report);
    }
    console.note(&facts);
    console.result(output.display())
}
