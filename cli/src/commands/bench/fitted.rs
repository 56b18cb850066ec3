//! How fast this machine draws a fitted field: `tessera bench --view --scene FILE.rbf`.

use super::view::{WARM_UP, median};
use crate::args::Bench;
use crate::console::Console;
use crate::fitted::{self, UP};
use crate::report::Facts;
use anyhow::{Context, Result};
use serde_json::json;
use std::path::Path;
use std::time::Instant;
use tessera_viewer::renderer::{FrameTimes, Gpu, Renderer, Style, View};

/// Draws a field, every frame from another camera.
///
/// # Errors
/// When the file cannot be drawn, or there is no graphics adapter.
pub fn run(path: &Path, args: &Bench, console: &Console) -> Result<()> {
    let gpu = Gpu::headless()?;
    let seen = fitted::open(path, console)?;
    let cameras = seen.cameras(UP, args.frames + WARM_UP, args.size);
    let mut renderer = Renderer::new(&gpu);
    let begin = Instant::now();
    renderer.add_field(&seen.scene)?;
    let views = cameras.into_iter().map(|c| View { camera: c.camera, camera_from_world: c.camera_from_world });
    let mut times = Vec::new();
    let mut first = 0.0;
    for view in views {
        times.push(renderer.time_frame(&view, &Style::default())?);
        if times.len() == 1 {
            first = 1e3 * begin.elapsed().as_secs_f64();
        }
    }
    let frame = median(&times.split_off(WARM_UP), FrameTimes::total);
    if args.json {
        let report = json!({
            "adapter": gpu.name(), "size": args.size, "frames": args.frames, "frame_ms": frame, "first_frame_ms": first,
        });
        return console.result(serde_json::to_string_pretty(&report).context("the report is no JSON")?);
    }
    let [width, height] = args.size;
    let mut facts = Facts::default();
    facts.add("adapter", gpu.name());
    facts.add("pictures", format!("{width}x{height}, {} frames", args.frames));
    facts.add("field", format!("{frame:.1} ms a frame; the first one, with compiling shaders, after {first:.0} ms"));
    console.result(facts)
}
