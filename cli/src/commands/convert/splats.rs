//! Splats to splats.

use super::progress::ConversionProgress;
use super::report::{Outcome, Verified};
use crate::args::{Convert, Skipping};
use crate::console::{Console, UsageError};
use crate::inputs::{Run, open_capture, size_of_scene};
use crate::interrupt;
use anyhow::{Result, bail};
use nalgebra::{Translation3, UnitQuaternion};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tessera_engine::datasets::camera::Similarity;
use tessera_engine::datasets::capture::Capture;
use tessera_engine::datasets::convert::{self, Conversion, Edits, Progress};
use tessera_engine::datasets::format::stream::SplatHeader;
use tessera_engine::datasets::format::{self, Existing, SplatFormat, Staged, WriteOptions};
use tessera_engine::datasets::scene::SplatCloud;
use tessera_engine::verify::ReferenceViews;

/// Converts, and tells what was done.
///
/// # Errors
/// When an input cannot be read, an output is in the way or cannot be written, or it does not look like the scene.
pub fn convert(inputs: &[PathBuf], args: &Convert, existing: Existing, console: &Console) -> Result<()> {
    let started = Instant::now();
    let seen_by = args.seen_by.as_deref().map(|path| open_capture(path, Skipping::default(), console)).transpose()?;
    let edits = edits(args, seen_by.as_ref())?;
    let capture = if args.verify { seen_by.or_else(|| capture_of_run(&args.input)) } else { None };
    let mut progress = ConversionProgress::new(console);
    let done = interrupt::stoppable(|stop| {
        let job = Job { inputs, args, edits: &edits, capture: capture.as_ref(), existing };
        job.run(&mut progress, stop, console)
    })?;
    progress.finish();
    let Some(mut outcome) = done else {
        return Err(tessera_engine::Error::Interrupted("nothing was written".to_owned()).into());
    };
    outcome.seconds = started.elapsed().as_secs_f64();
    outcome.tell(args.json, console)
}

struct Job<'a> {
    inputs: &'a [PathBuf],
    args: &'a Convert,
    edits: &'a Edits,
    /// Whose cameras look at the scene when it is verified.
    capture: Option<&'a Capture>,
    existing: Existing,
}

impl Job<'_> {
    /// Nothing when the user wanted no more.
    fn run(&self, progress: &mut ConversionProgress, stop: &AtomicBool, console: &Console) -> Result<Option<Outcome>> {
        let Self { inputs, args, edits, capture, existing } = *self;
        let mut watch = |now: Progress| {
            progress.show(now);
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let target = args.output.as_deref().map(SplatFormat::to_write).transpose()?;
        let conversion = Conversion::open(inputs, edits)?;
        let header = conversion.header().clone();
        let options = write_options(args, target)?;
        let losses = target.map_or_else(Vec::new, |target| target.losses(&header, &options));
        if let Some(target) = target {
            losses.iter().for_each(|loss| console.note(format_args!("{} holds {loss}", target.name())));
        }
        let place = args.output.as_deref().filter(|_| !args.dry_run);
        let staged = place.filter(|_| args.verify);
        let staged = staged.map(|place| Staged::new(place, existing)).transpose()?;
        let path = staged.as_ref().map(Staged::path).or_else(|| place.map(Path::to_owned));
        let create = |path: &Path, header: &SplatHeader| format::create_splats(path, header, &options, existing);
        let sink = path.as_deref().map_or_else(|| Ok(convert::nowhere()), |path| create(path, &header))?;
        let rejects = args.floaters_to.as_deref().map(|path| create(path, conversion.source_header())).transpose()?;
        let Some(report) = conversion.run(sink, rejects, &mut watch)? else { return Ok(None) };
        let verified = match path.as_deref().filter(|_| args.verify) {
            Some(path) => {
                let Some(reference) = convert::load(inputs, &edits.selection(), &mut watch)? else { return Ok(None) };
                Some(verify(path, reference, &header, capture, args)?)
            }
            None => None,
        };
        if let Some(staged) = staged {
            staged.commit()?;
        }
        let bytes = place.zip(target).map_or(0, |(place, format)| size_of_scene(place, format));
        Ok(Some(Outcome {
            inputs: inputs.to_vec(),
            output: place.map(Path::to_owned),
            format: target.map(SplatFormat::name),
            bytes,
            losses,
            report,
            floaters_to: args.floaters_to.clone(),
            verified,
            seconds: 0.0,
        }))
    }
}

/// How a file is written, as far as its format leaves a choice.
fn write_options(args: &Convert, target: Option<SplatFormat>) -> Result<WriteOptions> {
    let is_other = |format: SplatFormat| target.is_some_and(|target| target != format);
    if let Some(version) = args.spz_version.filter(|_| is_other(SplatFormat::Spz)) {
        return Err(UsageError(format!("--spz-version {} is for .spz files", version.number())).into());
    }
    if let Some(version) = args.sog_version.filter(|_| is_other(SplatFormat::Sog)) {
        let number = version.number();
        return Err(UsageError(format!("--sog-version {number} is for .sog files and meta.json")).into());
    }
    Ok(WriteOptions {
        keep_order: args.keep_order,
        spz_version: args.spz_version.unwrap_or_default(),
        sog_version: args.sog_version.unwrap_or_default(),
        ..WriteOptions::default()
    })
}

/// Reads what was written, and compares views of it with those of the scene.
fn verify(
    path: &Path,
    reference: SplatCloud,
    header: &SplatHeader,
    capture: Option<&Capture>,
    args: &Convert,
) -> Result<Verified> {
    let views = ReferenceViews::new(reference, capture)?;
    let mut written = format::read_splats(path)?;
    // Where a format cannot say this, it is among its losses; pictures are compared where the scene is.
    written.scene_from_world = header.scene_from_world;
    let measured = views.compare(written)?;
    if measured.psnr < args.min_psnr {
        let place = args.output.as_deref().unwrap_or(path).display();
        bail!(
            "{place}: is not written, because it does not look like the scene: {:.1} dB PSNR between their pictures, less than {} dB; \
             choose another format, milder limits, or a lower --min-psnr",
            measured.psnr,
            args.min_psnr
        );
    }
    Ok(Verified { measured, at_least: args.min_psnr })
}

/// The photos that a run was trained on, if the input is one and they are within reach.
fn capture_of_run(input: &Path) -> Option<Capture> {
    Run::find(input).ok().flatten()?.open_capture().ok()
}

fn edits(args: &Convert, seen_by: Option<&Capture>) -> Result<Edits> {
    let seen_by = match seen_by {
        Some(capture) => {
            let cameras = capture.frames.iter().map(|frame| (frame.camera, frame.camera_from_world));
            let cameras: Vec<_> = cameras.collect();
            let at_least = args.seen_at_least as usize;
            if at_least > cameras.len() {
                let message = format!("--seen-at-least {at_least} is more than the capture's {} photos", cameras.len());
                return Err(UsageError(message).into());
            }
            Some((cameras, at_least))
        }
        None => None,
    };
    Ok(Edits {
        crop: args.crop,
        crop_ball: args.crop_sphere,
        seen_by,
        floaters: args.drop_floaters,
        min_opacity: args.min_opacity,
        sh_degree: args.sh_degree,
        max_splats: args.max_splats,
        movement: movement(args),
        morton: args.morton,
        drop_invalid: args.drop_invalid,
    })
}

/// The rotation and scale that were asked for, about the origin, then the translation.
pub fn movement(args: &Convert) -> Similarity {
    let [x, y, z] = args.rotate.unwrap_or_default().map(f64::to_radians);
    let rotation = UnitQuaternion::from_euler_angles(x, y, z);
    let translation = Translation3::from(args.translate.unwrap_or_default());
    Similarity::from_parts(translation, rotation, args.scale.unwrap_or(1.0))
}
