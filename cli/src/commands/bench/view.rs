//! How fast this machine draws, and how much must come before there is something to draw: `tessera bench --view`.

use super::streaming;
use crate::args::Bench;
use crate::commands::render::orbit_cameras;
use crate::console::Console;
use crate::inputs::Scene;
use crate::progress::Progress;
use crate::report::{Facts, count};
use anyhow::{Context, Result};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use tessera_engine::datasets::camera::Similarity;
use tessera_engine::datasets::format::stream;
use tessera_engine::datasets::scene::SplatCloud;
use tessera_engine::datasets::synthetic::{self, Options, SceneKind};
use tessera_engine::render::{PathCamera, orbit};
use tessera_viewer::renderer::{FrameTimes, Gpu, Page, Picture, Renderer, Style, View};

/// Splats of the scenes that are drawn, where nothing else is asked for.
const SIZES: [u64; 3] = [100_000, 1_000_000, 4_000_000];
/// Frames before the clock starts: pipelines are compiled, buffers grow.
pub const WARM_UP: usize = 2;

/// Draws terrains of several sizes, or a scene, from cameras on a circle, every frame from another.
///
/// # Errors
/// When there is no graphics adapter, or no room for a scene.
pub fn run(args: &Bench, console: &Console) -> Result<()> {
    let gpu = Gpu::headless()?;
    let [width, height] = args.size;
    let subjects = match &args.scene {
        Some(path) => vec![Subject::Scene(path)],
        None if args.splats.is_empty() => SIZES.map(Subject::Terrain).into(),
        None => args.splats.iter().copied().map(Subject::Terrain).collect(),
    };
    let mut facts = Facts::default();
    facts.add("adapter", gpu.name());
    facts.add("pictures", format!("{width}x{height}, {} frames of each scene", args.frames));
    let mut scenes = Vec::new();
    for subject in subjects {
        let (cloud, views) = subject.make(args, console)?;
        let splats = cloud.len() as u64;
        let (times, whole) = measure(&gpu, &cloud, &views)?;
        let streaming = streaming::measure(&gpu, &cloud, &views[0], &style(), &whole)?;
        let [project, sort, draw] = [0, 1, 2].map(|step| median(&times, |t| [t.project, t.sort, t.draw][step]));
        let frame = median(&times, FrameTimes::total);
        let visible = times.iter().map(|t| u64::from(t.visible)).sum::<u64>() / times.len().max(1) as u64;
        let text = format!(
            "{frame:.1} ms a frame: project {project:.1}, sort {sort:.1}, draw {draw:.1} ({} visible)",
            count(u128::from(visible))
        );
        facts.add(format!("{} splats", count(u128::from(splats))), text);
        facts.add("  streamed", streaming.text());
        scenes.push(json!({
            "splats": splats, "visible": visible, "frame_ms": frame, "project_ms": project, "sort_ms": sort,
            "draw_ms": draw, "streaming": streaming.json(),
        }));
    }
    if args.json {
        let report = json!({ "adapter": gpu.name(), "size": args.size, "frames": args.frames, "scenes": scenes });
        return console.result(serde_json::to_string_pretty(&report).context("the report is no JSON")?);
    }
    console.result(facts)
}

fn terrain(splats: u64, console: &Console) -> Result<SplatCloud> {
    let progress = std::sync::Mutex::new(Progress::new(console, "making splats"));
    let show = |done, total| {
        if let Ok(mut progress) = progress.lock() {
            progress.count(done, total);
        }
    };
    let mut source = synthetic::splats(SceneKind::Terrain, &Options::default(), splats, 3, &show)?;
    Ok(stream::collect(&mut source)?)
}

fn style() -> Style {
    Style { near: 0.2, ..Style::default() }
}

/// What is drawn.
enum Subject<'a> {
    /// A made terrain of so many splats.
    Terrain(u64),
    /// A run folder or splat file.
    Scene(&'a Path),
}

impl Subject<'_> {
    /// The splats, and one view for each frame.
    fn make(&self, args: &Bench, console: &Console) -> Result<(SplatCloud, Vec<View>)> {
        let frames = args.frames + WARM_UP;
        let (cloud, cameras) = match self {
            Self::Terrain(splats) => {
                let cloud = terrain(*splats, console)?;
                let cameras = orbit(&cloud, frames, args.size);
                (cloud, cameras)
            }
            Self::Scene(path) => {
                let mut scene = Scene::open(path)?;
                // Splats are drawn as they are stored.
                scene.cloud.scene_from_world = Similarity::identity();
                let cameras = orbit_cameras(&scene, u32::try_from(frames)?, args.size, console);
                (scene.cloud, cameras)
            }
        };
        let view = |c: PathCamera| View { camera: c.camera, camera_from_world: c.camera_from_world };
        Ok((cloud, cameras.into_iter().map(view).collect()))
    }
}

/// Times of frames, and the picture of the first view.
fn measure(gpu: &Gpu, cloud: &SplatCloud, views: &[View]) -> Result<(Vec<FrameTimes>, Picture)> {
    let mut renderer = Renderer::new(gpu);
    for page in Page::all_of_cloud(cloud) {
        renderer.add_page(&page?)?;
    }
    let mut times = Vec::new();
    for view in views {
        times.push(renderer.time_frame(view, &style())?);
    }
    let picture = renderer.picture(&views[0], &style())?;
    Ok((times.split_off(WARM_UP), picture))
}

/// Milliseconds.
pub fn median(times: &[FrameTimes], of: impl Fn(&FrameTimes) -> Duration) -> f64 {
    let mut values: Vec<f64> = times.iter().map(|times| 1e3 * of(times).as_secs_f64()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
