//! `tessera demo`: a made scene from its pictures to a reconstruction, with everything to look at.

use crate::args::{Demo, Photos, Skipping, SplitName};
use crate::commands::helpers::Workers;
use crate::commands::{eval, export, reconstruct, render, synth};
use crate::console::{Console, INTERRUPTED};
use crate::inputs::Scene;
use crate::pictures::{below, compare, sheet};
use crate::published::Look;
use crate::report::{Facts, count, duration};
use crate::settings::Settings;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::ExitCode;
use tessera_engine::datasets::capture::Capture;
use tessera_engine::datasets::format;
use tessera_engine::datasets::image::save_png;
use tessera_engine::datasets::synthetic::{Options, SceneKind};
use tessera_engine::evaluate::EvalReport;
use tessera_engine::render::{Painter, SplatPainter, scene_of_cloud, to_image};
use tessera_engine::splats::SplatsConfig;
use tessera_engine::train::{Existing, Outcome, RunFolder};
use tessera_viewer::export::write_single_file;

/// Every so many photos are held out and never trained on.
const TEST_EVERY: usize = 8;
/// Splats that are enough for this scene.
const MAX_SPLATS: usize = 40_000;
/// Held-out photos that are shown.
const COMPARED: usize = 3;
/// Pictures around the scene, and how many of them stand in a row.
const ORBIT: (u32, usize) = (12, 4);

/// Pictures in the web page for browsers that cannot draw.
const PAGE_PICTURES: u32 = 24;

/// Runs the command.
///
/// # Errors
/// When something cannot be written, or training fails.
pub fn run(args: &Demo, console: &Console) -> Result<ExitCode> {
    let [capture_folder, run_folder] = ["capture", "run"].map(|name| args.output.join(name));
    console.note("1. A still life is photographed from all sides.");
    if !capture_folder.join("transforms.json").is_file() {
        synth::write(SceneKind::StillLife, &Options::default(), &capture_folder, false, console)?;
    }
    console.note("2. The photos become a scene of Gaussian splats; one in eight is held out for testing.");
    let config = SplatsConfig {
        steps: args.steps,
        max_splats: MAX_SPLATS,
        test_every: TEST_EVERY,
        checkpoint_every: args.steps.div_ceil(2),
        preview_every: args.steps.div_ceil(3),
        ..SplatsConfig::default()
    };
    let existing = if RunFolder::is_at(&run_folder) { Existing::Replace } else { Existing::Refuse };
    let job = reconstruct::Job {
        skipping: Skipping::default(),
        capture: &capture_folder,
        output: &run_folder,
        existing,
        workers: Workers::default(),
        settings: &Settings::Splats(config),
        device: None,
        json: false,
    };
    let Outcome::Finished { seconds, .. } = job.train(console)? else {
        console.note("stopped; start the demo again when you like");
        return Ok(ExitCode::from(INTERRUPTED));
    };
    console.note("3. The scene is compared with the photos that it has never seen.");
    let scene = Scene::open(&run_folder)?;
    let capture = Capture::open(&capture_folder)?;
    let report = look(&args.output, &scene, &capture, console)?;
    web_page(&args.output, &run_folder, console)?;
    let (photos, splats) = (capture.frames.len(), scene.cloud.len());
    summary(args, photos, splats, seconds, &report, console)?;
    Ok(ExitCode::SUCCESS)
}

/// Measures, and writes `comparison.png` and `orbit.png`.
fn look(folder: &Path, scene: &Scene, capture: &Capture, console: &Console) -> Result<EvalReport> {
    let photos = Photos { split: SplitName::Test, test_every: None, resolution: None, skipping: Skipping::default() };
    let options = eval::options(scene, &photos, None);
    let report = eval::evaluate(scene, capture, &options, console)?;
    let mut compared = Vec::new();
    compare(scene, capture, &options, COMPARED, &mut |comparison| {
        compared.push(comparison.image);
        Ok(())
    })?;
    save_png(folder.join("comparison.png"), &below(&compared))?;

    let size =
        capture.frames.first().map(|f| [f.camera.width, f.camera.height]).context("the capture has no photos")?;
    let mut painter = SplatPainter::new(&scene.cloud, &scene_of_cloud(&scene.cloud), scene.background());
    let mut around = Vec::new();
    for camera in render::orbit_cameras(scene, ORBIT.0, size, console) {
        let view = painter.view(&camera.camera, &camera.camera_from_world)?;
        around.push(to_image(painter.paint(&view)));
    }
    save_png(folder.join("orbit.png"), &sheet(&around, ORBIT.1))?;
    Ok(report)
}

/// Writes `scene.html`.
fn web_page(folder: &Path, run: &Path, console: &Console) -> Result<()> {
    let look = Look { title: Some("Still life".to_owned()), ..Look::default() };
    let (bundle, _files) = export::bundle(run, &look, PAGE_PICTURES, console)?;
    Ok(write_single_file(&bundle, &folder.join("scene.html"), format::Existing::Replace)?)
}

fn summary(
    args: &Demo,
    photos: usize,
    splats: usize,
    seconds: f64,
    report: &EvalReport,
    console: &Console,
) -> Result<()> {
    let folder = args.output.display();
    let mut facts = Facts::default();
    facts.add("photos", format!("{photos} made ones, {} of them held out", report.images));
    let (steps, splats) = (count(args.steps), count(splats as u128));
    facts.add("training", format!("{steps} steps in {}, {splats} splats", duration(seconds)));
    facts.add("held-out photos", format!("PSNR {:.2} dB, SSIM {:.4}", report.psnr, report.ssim));
    facts.add("capture", format!("{folder}/capture"));
    facts.add("scene", format!("{folder}/run/scene.ply (opens in any viewer of Gaussian splats)"));
    facts.add("photo | scene | error", format!("{folder}/comparison.png"));
    facts.add("web page", format!("{folder}/scene.html (opens in a browser by a double click)"));
    facts.add("around the scene", format!("{folder}/orbit.png"));
    console.result(&facts)?;
    let mut next = Facts::default();
    let video = format!("  tessera render {folder}/run --orbit 120 -o {folder}/orbit.mp4");
    next.add(video, "a video around the scene (needs ffmpeg)");
    next.add(format!("  tessera info {folder}/run"), "what is in the run");
    next.add("  tessera reconstruct YOUR_PHOTOS --preset fast", "your own photos (needs COLMAP for the poses)");
    next.add("  tessera doctor", "what is installed");
    console.note(format_args!("\nTry next:\n{next}"));
    Ok(())
}
