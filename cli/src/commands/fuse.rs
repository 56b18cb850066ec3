//! `tessera fuse`: normal maps as a mesh.

use crate::args::Fuse;
use crate::console::{Console, UsageError};
use crate::interrupt;
use crate::progress::Progress;
use crate::report::{Facts, count, duration};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::path::Path;
use std::time::Instant;
use tessera_engine::config::Config;
use tessera_engine::datasets::format::{Existing, MeshFormat, write_mesh};
use tessera_engine::datasets::scene::Mesh;
use tessera_engine::frames::Split;
use tessera_engine::fusion::{Convention, Fused, FusionConfig, Input, Ring, fuse};
use tessera_engine::meshing::texture::from_capture;
use tessera_engine::train::available_memory;

/// Memory for decoded photos while a texture is made, in MiB.
const CACHE_MB: usize = 256;

/// Runs the command.
///
/// # Errors
/// When the maps cannot be read or do not belong together, or the file cannot be written.
pub fn run(args: &Fuse, console: &Console) -> Result<()> {
    if args.settings.iter().any(|setting| setting == "help") {
        return console.result(FusionConfig::help());
    }
    let (Some(normals), Some(output)) = (&args.normals, &args.output) else {
        return Err(UsageError("name the normal maps, and the mesh to write with -o FILE".to_owned()).into());
    };
    let config = settings(args)?;
    MeshFormat::to_write(output)?;
    if output.exists() && !args.force {
        bail!("{}: exists already; replace it with --force", output.display());
    }
    let ring = Ring { fov: args.fov, elevation: args.elevation, distance: args.distance, clockwise: args.clockwise };
    let input = Input::open(normals, &ring)?;
    input.capture.warnings.iter().for_each(|warning| console.warn(warning));
    if args.texture.is_some() && !input.has_photos {
        bail!("{}: has normal maps but no photos to make a texture of; leave out --texture", normals.display());
    }
    let plan = input.memory_plan(config.resolution)?;
    if let Some(warning) = plan.check(available_memory(), "lower --resolution")? {
        console.warn(warning);
    }
    let start = Instant::now();
    let fused =
        fused(args, &input, &config, console).with_context(|| format!("{}: cannot be fused", normals.display()))?;
    let mesh = match args.texture {
        Some(size) => textured(&fused.mesh, &input, size, console)?,
        None => fused.mesh.clone(),
    };
    write_mesh(output, &mesh, if args.force { Existing::Replace } else { Existing::Keep })?;
    report(args, output, &fused, &mesh, start.elapsed().as_secs_f64(), console)
}

fn settings(args: &Fuse) -> Result<FusionConfig> {
    let mut config = FusionConfig::default();
    let flags = [args.steps.map(|v| format!("steps={v}")), args.resolution.map(|v| format!("resolution={v}"))];
    let mut all = flags.into_iter().flatten().chain(args.settings.iter().cloned());
    all.try_for_each(|flag| config.set(&flag)).map_err(|e| UsageError(e.to_string()))?;
    config.check().map_err(|e| UsageError(e.to_string()))?;
    Ok(config)
}

fn fused(args: &Fuse, input: &Input, config: &FusionConfig, console: &Console) -> Result<Fused> {
    let (views, remarks) = input.views(config.resolution)?;
    remarks.iter().for_each(|remark| console.warn(remark));
    let convention = Convention { space: args.space.into(), axes: args.axes };
    let faces = args.faces.map(|faces| faces as usize);
    let mut progress = Progress::new(console, "fusing");
    let start = Instant::now();
    let fused = interrupt::stoppable(|stop| {
        fuse(&views, convention, config, faces, stop, &mut |p| {
            let [done, all] = p.steps;
            progress.update(done, all, || {
                let left = start.elapsed().as_secs_f64() * (all - done) as f64 / done.max(1) as f64;
                let ending = if done == all { "done".to_owned() } else { format!("{} left", duration(left)) };
                format!("{done}/{all}, loss {:.4}, {} triangles, {ending}", p.loss, count(p.triangles as u128))
            });
        })
    });
    Ok(fused?)
}

fn textured(mesh: &Mesh, input: &Input, size: u32, console: &Console) -> Result<Mesh> {
    let split = Split { test_every: 0, resolution: 0, image_cache_mb: CACHE_MB };
    let mut progress = Progress::new(console, "looking at photos");
    Ok(from_capture(mesh, &input.capture, &split, size, &mut |done, total| progress.count(done, total))?)
}

fn report(args: &Fuse, output: &Path, fused: &Fused, mesh: &Mesh, seconds: f64, console: &Console) -> Result<()> {
    if args.json {
        return console.result(json!({
            "triangles": mesh.triangles.len(),
            "vertices": mesh.positions.len(),
            "area": mesh.area(),
            "normal_error_deg": fused.normal_degrees,
            "outline_iou": fused.outline_iou,
            "seconds": seconds,
        }));
    }
    let mut facts = Facts::default();
    facts.add("triangles", count(mesh.triangles.len() as u128));
    facts.add("vertices", count(mesh.positions.len() as u128));
    facts.add("area", format!("{:.4} square units of the cameras' world", mesh.area()));
    facts.add("normals differ by", format!("{:.2} degrees", fused.normal_degrees));
    facts.add("outlines agree by", format!("{:.2} %", 100.0 * fused.outline_iou));
    facts.add("time", duration(seconds));
    console.note(&facts);
    console.result(output.display())
}
