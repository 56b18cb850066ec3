//! `tessera info`: what a capture, run folder, scene file or mesh holds.

mod blocks;
mod fitted;
mod mesh;
mod moving;
mod rig;
mod sequence;

use crate::args::Info;
use crate::console::Console;
use crate::inputs::{RUN_SCENE, Run, size_of_scene};
use crate::report::{Facts, bytes, count, count_of, duration};
use crate::sequences;
use crate::settings::Settings;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use tessera_engine::datasets::camera::LensModel;
use tessera_engine::datasets::capture::{Capture, Frame, MaskKind, Split};
use tessera_engine::datasets::format::volumetric::is_video_scene_name;
use tessera_engine::datasets::format::{self, Contents, MeshSequence, SplatFormat};
use tessera_engine::datasets::scene::SplatCloud;
use tessera_engine::rbf::file::RbfFile;
use tessera_engine::rbf::radiance::RADIANCE_FILE;
use tessera_engine::surface::{MESH_FILE, SURFACE_FILE};
use tessera_engine::volumetric_video::MOVING_SCENE;

/// Runs the command.
///
/// # Errors
/// When there is nothing at the path that we know.
pub fn run(args: &Info, console: &Console) -> Result<()> {
    let (facts, json) = if let Some(run) = Run::find(&args.path)? {
        about_run(&run)?
    } else if RbfFile::is_named(&args.path) {
        fitted::about(&args.path)?
    } else if is_video_scene_name(&args.path) && args.path.is_file() {
        moving::about(&args.path)?
    } else if let Some(sequence) = MeshSequence::find(&args.path)? {
        sequence::about(&sequence, console)?
    } else if is_scene(&args.path) {
        match Contents::of(&args.path)? {
            Contents::Splats => about_scene(&args.path)?,
            Contents::Mesh | Contents::Points => mesh::about(&args.path, console)?,
        }
    } else {
        let capture = args.skipping.open(&args.path)?;
        capture.warnings.iter().for_each(|warning| console.warn(warning));
        let (mut facts, mut json) = about_capture(&capture);
        if let Some((rig, report)) = rig::about(&capture, console)? {
            facts.extend(rig);
            json["rig"] = report;
        }
        (facts, json)
    };
    if args.json {
        return console.result(serde_json::to_string_pretty(&json).context("the report is no JSON")?);
    }
    console.result(facts)
}

fn is_scene(path: &Path) -> bool {
    if path.is_dir() { SplatFormat::to_read(path).is_ok() } else { path.is_file() && format::is_scene_name(path) }
}

fn about_capture(capture: &Capture) -> (Facts, Value) {
    let frames = &capture.frames;
    let masks = |kind| frames.iter().filter(|f| f.mask.as_ref().is_some_and(|m| m.kind == kind)).count();
    let in_split = |split| frames.iter().filter(|f| f.split == Some(split)).count();
    let depths = frames.iter().filter(|f| f.depth.is_some()).count();
    let times: Vec<f64> = frames.iter().filter_map(|f| f.time).collect();
    let centres = frames.iter().map(|f| f.camera_from_world.inverse().translation.vector.into());
    let camera_bounds = bounds(centres);
    let point_bounds = bounds(capture.points.iter().map(|p| p.position));
    let scale = capture.scene_from_world.scaling();

    let mut facts = Facts::default();
    facts.add("capture", &capture.name);
    facts.add("layout", &capture.layout);
    facts.add("photos", count(frames.len() as u128));
    for (camera, photos) in cameras(frames) {
        facts.add("camera", format!("{camera}, {}", count_of(photos, "photo", "photos")));
    }
    let splits = [("training", Split::Train), ("validation", Split::Validation), ("test", Split::Test)];
    let marked = splits.map(|(name, split)| (name, in_split(split)));
    let marked: Vec<_> = marked.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{n} {name}")).collect();
    facts.add_some("split", (!marked.is_empty()).then(|| marked.join(", ")));
    facts.add_some("masks (ignore)", some_count(masks(MaskKind::Ignore)));
    facts.add_some("masks (foreground)", some_count(masks(MaskKind::Foreground)));
    facts.add_some("depth images", some_count(depths));
    facts.add_some("time", range(&times).map(|[from, to]| format!("{from:.3} to {to:.3}")));
    facts.add("points", count(capture.points.len() as u128));
    facts.add_some("cameras within", camera_bounds.map(bounds_text));
    facts.add_some("points within", point_bounds.map(bounds_text));
    facts.add("scene units", format!("{scale:.6} for each unit of the capture"));
    let json = json!({
        "kind": "capture", "name": capture.name, "layout": capture.layout, "photos": frames.len(),
        "cameras": cameras(frames).into_iter().map(|(camera, photos)| json!({"camera": camera, "photos": photos}))
            .collect::<Vec<_>>(),
        "train": in_split(Split::Train), "validation": in_split(Split::Validation), "test": in_split(Split::Test),
        "ignore_masks": masks(MaskKind::Ignore), "foreground_masks": masks(MaskKind::Foreground),
        "depth_images": depths, "time": range(&times), "points": capture.points.len(),
        "camera_bounds": camera_bounds, "point_bounds": point_bounds, "scene_scale": scale,
        "warnings": capture.warnings,
    });
    (facts, json)
}

fn some_count(number: usize) -> Option<String> {
    (number > 0).then(|| count(number as u128))
}

/// The kinds of cameras with the number of photos that each took.
fn cameras(frames: &[Frame]) -> Vec<(String, usize)> {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for frame in frames {
        let camera = &frame.camera;
        let model = LensModel::describe(&camera.lens).0.name();
        let focal = camera.lens.focal[0];
        *kinds.entry(format!("{}x{} {model}, focal length {focal:.1} px", camera.width, camera.height)).or_default() +=
            1;
    }
    // A capture with a lens of its own for each photo is summed up.
    const MOST: usize = 6;
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    if kinds.len() > MOST {
        let others: usize = kinds[MOST..].iter().map(|(_, n)| n).sum();
        let text = format!("{} more", kinds.len() - MOST);
        kinds.truncate(MOST);
        kinds.push((text, others));
    }
    kinds
}

fn bounds(points: impl Iterator<Item = [f64; 3]>) -> Option<[[f64; 3]; 2]> {
    points.fold(None, |bounds, p| {
        let [low, high] = bounds.unwrap_or([p, p]);
        Some([[0, 1, 2].map(|i| p[i].min(low[i])), [0, 1, 2].map(|i| p[i].max(high[i]))])
    })
}

fn bounds_text([low, high]: [[f64; 3]; 2]) -> String {
    let [x, y, z] = [0, 1, 2].map(|i| format!("{:.3} to {:.3}", low[i], high[i]));
    format!("x {x}, y {y}, z {z}")
}

fn range(values: &[f64]) -> Option<[f64; 2]> {
    let low = values.iter().copied().reduce(f64::min)?;
    Some([low, values.iter().copied().reduce(f64::max)?])
}

fn about_run(run: &Run) -> Result<(Facts, Value)> {
    let metrics = metrics(&run.folder);
    let mut facts = Facts::default();
    facts.add("run", run.folder.display().to_string());
    facts.add("method", &run.config.method);
    facts.add("capture", run.config.capture.display().to_string());
    facts.add("tessera", &run.config.tessera_version);
    let number = |line: &Option<Value>, key: &str| line.as_ref().and_then(|l| l.get(key)).and_then(Value::as_f64);
    let steps = number(&metrics.step, "step");
    let blocks = match &run.settings {
        Settings::Blocks(_) => {
            let (of_blocks, json) = blocks::about(run)?;
            facts.extend(of_blocks);
            Some(json)
        }
        Settings::Anchors(config) => {
            let done = count(steps.unwrap_or(0.0) as u128);
            let what = if config.together > 1 { "rounds" } else { "of all blocks" };
            facts.add("steps", format!("{done} {what}, {} of each block when complete", count(config.steps)));
            None
        }
        _ => {
            facts.add("steps", format!("{} of {}", count(steps.unwrap_or(0.0) as u128), count(run.settings.steps())));
            None
        }
    };
    facts.add_some("training time", number(&metrics.step, "seconds").map(duration));
    facts.add_some(
        match run.settings {
            Settings::Splats(_) | Settings::Blocks(_) | Settings::Video(_) => "splats",
            Settings::Anchors(_) => "anchors",
            Settings::Surface(_) | Settings::Radiance(_) => "rays a step",
        },
        number(&metrics.step, "count").map(|n| count(n as u128)),
    );
    facts.add_some("loss", number(&metrics.step, "loss").map(|loss| format!("{loss:.5}")));
    let quality = metrics.evaluation.as_ref().and_then(|line| line.get("eval").cloned());
    facts.add_some("last evaluation", quality.as_ref().map(quality_text));
    for chosen in run.settings.chosen() {
        facts.add(format!("setting {}", chosen.name), chosen.value);
    }
    let results = [RUN_SCENE, MOVING_SCENE, RADIANCE_FILE, MESH_FILE, SURFACE_FILE].map(|name| run.folder.join(name));
    let scene_json = if let Some(scene) = results.iter().find(|file| file.is_file()) {
        let more =
            if scene.ends_with(SURFACE_FILE) { "tessera mesh makes a mesh of it" } else { "tessera info says more" };
        facts.add("scene", format!("{} ({more})", scene.display()));
        Some(scene.display().to_string())
    } else {
        facts.add("scene", "not yet; complete the run with --resume");
        None
    };
    let moments = sequences::find(&run.folder, Some(run))?;
    facts.add_some("moments", moments.as_ref().map(sequence::in_a_line));
    let json = json!({
        "kind": "run", "config": run.config, "last_step": metrics.step, "last_evaluation": metrics.evaluation,
        "scene": scene_json, "blocks": blocks, "moments": moments.map(|sequence| sequence.len()),
    });
    Ok((facts, json))
}

fn quality_text(eval: &Value) -> String {
    let number = |key: &str| eval.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let split = eval.get("split").and_then(Value::as_str).unwrap_or("?");
    let (psnr, ssim, cc_psnr) = (number("psnr"), number("ssim"), number("cc_psnr"));
    let images = number("images");
    format!("PSNR {psnr:.2} dB, SSIM {ssim:.4}, colour-corrected PSNR {cc_psnr:.2} dB on {images} {split} images")
}

/// The last lines of `metrics.jsonl`.
#[derive(Debug, Default)]
struct Metrics {
    step: Option<Value>,
    evaluation: Option<Value>,
}

fn metrics(folder: &Path) -> Metrics {
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap_or_default();
    let mut metrics = Metrics::default();
    for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let last = if line.get("eval").is_some() { &mut metrics.evaluation } else { &mut metrics.step };
        *last = Some(line);
    }
    metrics
}

fn about_scene(path: &Path) -> Result<(Facts, Value)> {
    let cloud = format::read_splats(path)?;
    let size = size_of_scene(path, SplatFormat::to_read(path)?);
    let extent = bounds(cloud.means.iter().map(|m| m.map(f64::from)));
    let opacities = percentiles(cloud.opacity_logits.iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect());
    let scales = percentiles(cloud.log_scales.iter().map(largest).collect());
    let mut facts = Facts::default();
    facts.add("scene", path.display().to_string());
    facts.add("size", bytes(size));
    facts.add("format", SplatFormat::to_read(path)?.name());
    facts.add("splats", count(cloud.len() as u128));
    facts.add("SH degree", cloud.sh_degree.to_string());
    facts.add("antialiased", if cloud.antialiased { "yes" } else { "no" });
    facts.add_some("centres within", extent.map(bounds_text));
    facts.add_some("opacity", opacities.map(percentiles_text));
    facts.add_some("largest scale", scales.map(percentiles_text));
    let json = json!({
        "kind": "scene", "format": SplatFormat::to_read(path)?.name(), "bytes": size, "splats": cloud.len(), "sh_degree": cloud.sh_degree,
        "antialiased": cloud.antialiased, "bounds": extent, "opacity_percentiles": opacities.map(named),
        "scale_percentiles": scales.map(named), "values_per_splat": values_per_splat(&cloud),
    });
    Ok((facts, json))
}

fn largest(log_scales: &[f32; 3]) -> f32 {
    log_scales.iter().copied().fold(f32::NEG_INFINITY, f32::max).exp()
}

fn values_per_splat(cloud: &SplatCloud) -> usize {
    14 + 3 * SplatCloud::rest_coefficients(cloud.sh_degree)
}

const PERCENTS: [usize; 5] = [1, 25, 50, 75, 99];

fn percentiles(mut values: Vec<f32>) -> Option<[f32; 5]> {
    values.sort_unstable_by(f32::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some(PERCENTS.map(|percent| values[percent * last / 100]))
}

fn percentiles_text(values: [f32; 5]) -> String {
    let [low, quarter, median, three_quarters, high] = values;
    format!("median {median:.4}, half within {quarter:.4} to {three_quarters:.4}, 98 % within {low:.5} to {high:.4}")
}

fn named(values: [f32; 5]) -> Value {
    PERCENTS.iter().zip(values).map(|(percent, value)| (format!("p{percent}"), json!(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_hundred_and_one_numbers_are_themselves() {
        let values = (0..=100).rev().map(|v| v as f32).collect();
        assert_eq!(percentiles(values), Some([1.0, 25.0, 50.0, 75.0, 99.0]));
        assert_eq!(percentiles(Vec::new()), None);
    }
}
