//! `tessera eval`: a scene against photos.

use crate::args::{Eval, Photos};
use crate::console::{Console, UsageError};
use crate::fields::LearnedField;
use crate::inputs::{Run, Scene, open_capture, scene_file};
use crate::pictures::{compare, file_name};
use crate::progress::Progress;
use crate::report::{Facts, Table, borders_text, duration};
use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use std::path::Path;
use tessera_engine::blocks::{BorderReport, PLAN_FILE, Plan, evaluate_borders};
use tessera_engine::datasets::capture::Capture;
use tessera_engine::datasets::format::read_mesh;
use tessera_engine::datasets::image::save_png;
use tessera_engine::datasets::scene::Mesh;
use tessera_engine::evaluate::{EvalOptions, EvalReport, evaluate_splats};
use tessera_engine::frames::{FrameSet, Split};
use tessera_engine::metrics::dtu::{DtuReference, cut_to_masks};
use tessera_engine::metrics::geometry;
use tessera_engine::render::SplatPainter;

/// Runs the command.
///
/// # Errors
/// When scene or capture cannot be read, or there are no such photos.
pub fn run(args: &Eval, console: &Console) -> Result<()> {
    if let Some(reference) = &args.reference {
        return against_reference(args, reference, console);
    }
    if let Some((folder, scan)) = args.dtu.as_ref().zip(args.scan) {
        return against_dtu(args, folder, scan, console);
    }
    if let Some(mut field) = LearnedField::open(&args.scene)? {
        return of_field(args, &mut field, console);
    }
    let scene = Scene::open(&args.scene)?;
    let capture = open(args, scene.run.as_ref(), console)?;
    let options = options(&scene, &args.photos, args.background);
    let report = evaluate(&scene, &capture, &options, console)?;
    if let Some(folder) = &args.pictures {
        write_pictures(&scene, &capture, &options, folder, console)?;
    }
    let borders = borders(args, &scene, &capture, &options, console)?;
    show(args, &report, borders.as_ref(), console)
}

fn show(args: &Eval, report: &EvalReport, borders: Option<&BorderReport>, console: &Console) -> Result<()> {
    if args.json {
        let mut json = serde_json::to_value(report).context("the report is no JSON")?;
        if let Some(borders) = borders {
            json["borders"] = serde_json::to_value(borders).context("the report is no JSON")?;
        }
        return console.result(serde_json::to_string_pretty(&json).context("the report is no JSON")?);
    }
    console.result(table(report))?;
    if let Some(borders) = borders {
        console.result(borders_text(borders))?;
    }
    console.note(format_args!("{} per image", duration(report.seconds / report.images.max(1) as f64)));
    Ok(())
}

/// The error along the borders between blocks, of the plan that is asked for or of the run's own.
fn borders(
    args: &Eval,
    scene: &Scene,
    capture: &Capture,
    options: &EvalOptions,
    console: &Console,
) -> Result<Option<BorderReport>> {
    let of_run = scene.run.as_ref().map(|run| run.folder.join(PLAN_FILE)).filter(|plan| plan.is_file());
    let asked = args.plan.as_ref().map(|plan| if plan.is_dir() { plan.join(PLAN_FILE) } else { plan.clone() });
    let Some(path) = asked.or(of_run) else { return Ok(None) };
    let plan = Plan::read(&path)?;
    let mut painter = SplatPainter::new(&scene.cloud, &capture.scene_from_world, options.background);
    let mut progress = Progress::new(console, "looking at borders");
    let mut show = |done, total| progress.count(done, total);
    Ok(evaluate_borders(&mut painter, &plan, capture, options, &mut show)?)
}

/// The mesh that is measured, and the run that it is of.
fn mesh_to_measure(args: &Eval, console: &Console) -> Result<(Mesh, Option<Run>)> {
    let run = Run::find(&args.scene)?;
    if run.as_ref().is_some_and(|run| !run.is_surface()) {
        bail!("{}: holds no mesh; only meshes are measured with --reference and --dtu", args.scene.display());
    }
    Ok((read_with_warnings(&scene_file(&args.scene, run.is_some())?, console)?, run))
}

fn read_with_warnings(path: &Path, console: &Console) -> Result<Mesh> {
    let read = read_mesh(path)?;
    read.warnings.iter().for_each(|warning| console.warn(format_args!("{}: {warning}", path.display())));
    Ok(read.mesh)
}

/// The capture as the run prepared it, and its photos to train on and those that were held out.
fn photos(args: &Eval, run: Option<&Run>, console: &Console) -> Result<(Capture, [FrameSet; 2])> {
    let opened = open(args, run, console)?;
    let all = Split { test_every: 0, resolution: 0, image_cache_mb: 1 };
    let (capture, split) = match run {
        Some(run) => (run.settings.prepared(opened), run.settings.photos(1)),
        None => (opened, all),
    };
    let (train, test) = FrameSet::split(&capture, &split)?;
    Ok((capture, [train, test]))
}

/// A mesh against a mesh or a point cloud.
fn against_reference(args: &Eval, reference: &Path, console: &Console) -> Result<()> {
    let (mesh, run) = mesh_to_measure(args, console)?;
    let report = if args.seen {
        let (capture, [train, _]) = photos(args, run.as_ref(), console)?;
        let views: Vec<_> = train.views().copied().collect();
        let cameras = geometry::Cameras { views: &views, scene_from_world: &capture.scene_from_world };
        geometry::compare(&mesh, &read_with_warnings(reference, console)?, args.threshold, Some(cameras))?
    } else {
        geometry::compare(&mesh, &read_with_warnings(reference, console)?, args.threshold, None)?
    };
    if args.json {
        return console.result(serde_json::to_string_pretty(&report).context("the report is no JSON")?);
    }
    let percent = |length: f64| {
        format!("{length:.6} ({:.3} % of the reference's diagonal)", 100.0 * length / report.reference_size)
    };
    let mut facts = Facts::default();
    facts.add("Chamfer distance", percent(report.chamfer));
    facts.add("mesh to reference", percent(report.accuracy));
    facts.add("reference to mesh", percent(report.completeness));
    facts.add("F-score", format!("{:.4} at {}", report.f_score, percent(report.threshold)));
    facts.add_some("normals differ by", report.normal_degrees.map(|degrees| format!("{degrees:.2} degrees")));
    console.result(&facts)
}

/// A mesh against what DTU's scanner saw.
fn against_dtu(args: &Eval, folder: &Path, scan: u32, console: &Console) -> Result<()> {
    let reference = DtuReference::open(folder, scan)?;
    let (mut mesh, run) = mesh_to_measure(args, console)?;
    let mut cut = 0;
    if run.is_some() || args.capture.is_some() {
        let (capture, sets) = photos(args, run.as_ref(), console)?;
        for frames in &sets {
            cut += cut_to_masks(&mut mesh, frames, &capture.scene_from_world)?;
        }
    }
    let report = reference.compare(&mesh)?;
    if args.json {
        return console.result(serde_json::to_string_pretty(&report).context("the report is no JSON")?);
    }
    let mut facts = Facts::default();
    facts.add("Chamfer distance", format!("{:.4} mm", report.chamfer));
    facts.add("mesh to scan", format!("{:.4} mm, {} points", report.accuracy, report.points[0]));
    facts.add("scan to mesh", format!("{:.4} mm, {} points", report.completeness, report.points[1]));
    facts.add(
        "cut by",
        if cut > 0 { format!("masks of {cut} photos") } else { "nothing: no photos with masks".to_owned() },
    );
    console.result(&facts)
}

fn of_field(args: &Eval, field: &mut LearnedField, console: &Console) -> Result<()> {
    if args.pictures.is_some() || args.plan.is_some() {
        return Err(UsageError("--pictures and --plan compare splats only; leave them out".to_owned()).into());
    }
    let capture = open(args, field.run.as_ref(), console)?;
    let background = args.background.unwrap_or_else(|| field.background());
    let options = options_of(field.run.as_ref().map(|run| &run.settings), &args.photos, background);
    let mut progress = Progress::new(console, "evaluating");
    let report = field.evaluate(&capture, &options, &mut |done, total| progress.count(done, total))?;
    drop(progress);
    show(args, &report, None, console)
}

/// The capture that the user names, else that of the run; of that what the run left out is left out.
fn open(args: &Eval, run: Option<&Run>, console: &Console) -> Result<Capture> {
    let of_run = || run.map(Run::capture);
    let missing = || UsageError("name the capture: a scene file does not know from which one it was made".to_owned());
    let path = args.capture.clone().or_else(of_run).ok_or_else(missing)?;
    open_capture(&path, args.photos.skipping.or_of(run.map(|run| &run.config)), console)
}

/// What is evaluated: as the user says, else as the run did, else as is usual.
pub fn options(scene: &Scene, photos: &Photos, background: Option<[f32; 3]>) -> EvalOptions {
    options_of(scene.settings(), photos, background.unwrap_or_else(|| scene.background()))
}

/// [`options`] by the settings of a run, if there is one.
pub fn options_of(settings: Option<&Settings>, photos: &Photos, background: [f32; 3]) -> EvalOptions {
    let nonzero = |size: u32| (size > 0).then_some(size);
    EvalOptions {
        split: photos.split.into(),
        test_every: photos.test_every.or(settings.map(Settings::test_every)).filter(|&every| every > 0),
        max_side: photos.resolution.or(settings.map(Settings::resolution)).and_then(nonzero),
        background,
    }
}

/// Evaluates with progress.
///
/// # Errors
/// As [`evaluate_splats`].
pub fn evaluate(scene: &Scene, capture: &Capture, options: &EvalOptions, console: &Console) -> Result<EvalReport> {
    let mut progress = Progress::new(console, "evaluating");
    Ok(evaluate_splats(&scene.cloud, capture, options, &mut |done, total| progress.count(done, total))?)
}

fn write_pictures(
    scene: &Scene,
    capture: &Capture,
    options: &EvalOptions,
    folder: &Path,
    console: &Console,
) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let mut progress = Progress::new(console, "comparing");
    compare(scene, capture, options, usize::MAX, &mut |comparison| {
        save_png(folder.join(file_name(&comparison.name)), &comparison.image)?;
        progress.count(comparison.done, comparison.total);
        Ok(())
    })
}

/// Every image, and the means below.
pub fn table(report: &EvalReport) -> Table {
    let mut table = Table::new(["image", "PSNR [dB]", "SSIM", "colour-corrected PSNR [dB]"]);
    let mut row = |name: &str, psnr: f64, ssim: f64, cc_psnr: f64| {
        table.row([name.to_owned(), format!("{psnr:.2}"), format!("{ssim:.4}"), format!("{cc_psnr:.2}")]);
    };
    for image in &report.per_image {
        row(&image.name, image.metrics.psnr, image.metrics.ssim, image.metrics.cc_psnr);
    }
    let mean = format!("mean of {} ({})", report.images, report.split);
    row(&mean, report.psnr, report.ssim, report.cc_psnr);
    table
}
