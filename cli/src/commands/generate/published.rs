//! `tessera generate image` and `tessera generate check`: shapes with published weights, and whether those are complete.

use crate::args::{GenerateCheck, GenerateImage};
use crate::console::{Console, INTERRUPTED, UsageError};
use crate::interrupt;
use crate::progress::Progress;
use crate::report::{Facts, Table, bytes, count, duration};
use anyhow::{Result, bail};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use tessera_engine::Error;
use tessera_engine::config::Config;
use tessera_engine::datasets::DataError;
use tessera_engine::datasets::format::{Existing, MeshFormat, read_mesh, write_mesh};
use tessera_engine::datasets::image::decode;
use tessera_engine::datasets::scene::Mesh;
use tessera_engine::generate::measure::is_one_closed_part;
use tessera_engine::generate::published::{Given, GivenBack, ImageConfig, ImageEvent, ImageStage, Published};
use tessera_engine::metrics::geometry::{self, GeometryReport};

/// Makes a mesh of a picture.
///
/// # Errors
/// When the weights do not fit, the picture shows no object, memory will not be enough, or there is no surface.
pub fn image(args: &GenerateImage, console: &Console) -> Result<ExitCode> {
    if args.chosen.help_settings {
        console.result(ImageConfig::help())?;
        return Ok(ExitCode::SUCCESS);
    }
    let (Some(path), Some(weights), Some(output)) = (&args.picture, &args.weights, &args.output) else {
        return Err(
            UsageError("name a picture, the weights with --weights, and the mesh to write with -o".to_owned()).into()
        );
    };
    let settings = settings(args)?;
    MeshFormat::to_write(output)?;
    if output.exists() && !args.force {
        bail!("{}: exists already; replace it with --force", output.display());
    }
    let picture = decode(&std::fs::read(path).map_err(|e| DataError::unreadable(path, &e))?, path)?;
    let shape = args.mesh.as_deref().map(read_shape).transpose()?;
    let given = Given { picture: &picture, path, shape: shape.as_ref() };
    let models = Published::open(weights, args.resolution.into())?;
    let place = super::place(&args.computing, console)?;
    let start = Instant::now();
    let mut shown = Shown { console, stage: None };
    let made = interrupt::stoppable(|stop| models.make(&given, &settings, &place, stop, &mut |e| shown.show(e)));
    let mesh = match made {
        Err(Error::Interrupted(what)) => {
            console.note(format_args!("stopped; {what}"));
            return Ok(ExitCode::from(INTERRUPTED));
        }
        made => made?,
    };
    drop(shown);
    if mesh.triangles.is_empty() {
        bail!(
            "{}: the models see no surface in it; try another seed, or cut the object out more closely",
            path.display()
        );
    }
    write_mesh(output, &mesh, if args.force { Existing::Replace } else { Existing::Keep })?;
    let (seconds, closed) = (start.elapsed().as_secs_f64(), is_one_closed_part(&mesh));
    let [vertices, triangles] = [mesh.positions.len(), mesh.triangles.len()];
    if args.json {
        console.result(json!({
            "vertices": vertices, "triangles": triangles, "one_closed_part": closed, "seconds": seconds,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut facts = Facts::default();
    facts.add("mesh", format!("{} triangles", count(triangles as u128)));
    facts.add("one closed part", if closed { "yes" } else { "no" });
    facts.add("time", duration(seconds));
    console.note(&facts);
    console.result(output.display())?;
    Ok(ExitCode::SUCCESS)
}

/// The shape to which details are made anew.
fn read_shape(path: &Path) -> Result<Mesh> {
    let mesh = read_mesh(path)?.mesh;
    if mesh.triangles.is_empty() {
        bail!("{}: has no triangles; details are made for a surface", path.display());
    }
    Ok(mesh)
}

fn settings(args: &GenerateImage) -> Result<ImageConfig> {
    let mut config = ImageConfig::default();
    args.chosen.apply(None, &mut config)?;
    config.check().map_err(|e| UsageError(e.to_string()))?;
    Ok(config)
}

/// One bar for each stage.
struct Shown<'a> {
    console: &'a Console,
    stage: Option<(ImageStage, Progress, Instant)>,
}

impl Shown<'_> {
    fn show(&mut self, event: ImageEvent) {
        match event {
            ImageEvent::Warning(warning) => self.console.warn(warning),
            ImageEvent::Tokens(stage, tokens) => {
                self.stage = None;
                let voxels = count(tokens as u128);
                self.console.note(format_args!("{} for {voxels} voxels", name(stage)));
            }
            ImageEvent::Step(stage, [done, all]) => {
                if self.stage.as_ref().is_none_or(|(shown, ..)| *shown != stage) {
                    // The bar before it ends first.
                    self.stage = None;
                    self.stage = Some((stage, Progress::new(self.console, name(stage)), Instant::now()));
                }
                if let Some((_, progress, start)) = &mut self.stage {
                    let left = start.elapsed().as_secs_f64() * (all - done) as f64 / done.max(1) as f64;
                    progress.update(done as u64, all as u64, || match done {
                        0 => format!("0/{all}"),
                        _ if done == all => "done".to_owned(),
                        _ => format!("{done}/{all}, {} left", duration(left)),
                    });
                }
            }
        }
    }
}

fn name(stage: ImageStage) -> &'static str {
    match stage {
        ImageStage::Picture => "picture",
        ImageStage::Structure => "structure",
        ImageStage::Details => "details",
        ImageStage::FineDetails => "finer details",
    }
}

/// Says what published weights there are, and how well they give a mesh back, where one is given.
///
/// # Errors
/// When they are incomplete or do not fit, or the mesh cannot be read or given back.
pub fn check(args: &GenerateCheck, console: &Console) -> Result<()> {
    if let Some(output) = &args.output {
        MeshFormat::to_write(output)?;
        if output.exists() && !args.force {
            bail!("{}: exists already; replace it with --force", output.display());
        }
    }
    let mesh = args.mesh.as_deref().map(read_shape).transpose()?;
    let models = Published::open(&args.weights, args.resolution.into())?;
    let parts = models.report()?;
    let back = mesh.map(|mesh| send_through(&models, &mesh, args, console)).transpose()?;
    let largest = parts.iter().map(|part| part.weights).max().unwrap_or(0);
    let in_memory = (largest * size_of::<f32>()) as u64;
    if args.json {
        let part = |part: &tessera_engine::generate::published::PartReport| {
            json!({
                "file": part.path.display().to_string(), "part": part.name, "numbers": part.numbers,
                "tensors": part.tensors, "weights": part.weights, "not_needed": part.unread,
            })
        };
        let all: Vec<serde_json::Value> = parts.iter().map(part).collect();
        let mut json = json!({ "parts": all, "bytes_of_largest_part": in_memory });
        if let Some((back, report)) = &back {
            json["mesh"] = json!({
                "resolution": back.resolution, "voxels": back.voxels, "latent_voxels": back.latent_voxels,
                "triangles": back.made.triangles.len(), "chamfer": report.chamfer, "f_score": report.f_score,
            });
        }
        return console.result(json);
    }
    let mut table = Table::new(["file", "part", "tensors", "weights", "numbers", "not needed"]);
    for part in &parts {
        let file = part.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let cells = [part.tensors, part.weights].map(|n| count(n as u128));
        let [tensors, weights] = cells;
        table.row([file, part.name.to_owned(), tensors, weights, part.numbers.clone(), count(part.unread as u128)]);
    }
    console.result(table)?;
    let files: BTreeSet<&std::path::Path> = parts.iter().map(|part| part.path.as_path()).collect();
    console.note(format_args!(
        "all of {} files fit config.yaml; one part is in memory at a time, the largest takes {}",
        files.len(),
        bytes(in_memory)
    ));
    if let Some((back, report)) = &back {
        console.result(facts_of(back, report))?;
    }
    Ok(())
}

/// A mesh through the autoencoder, and how near it comes back: within half a voxel.
fn send_through(
    models: &Published,
    mesh: &Mesh,
    args: &GenerateCheck,
    console: &Console,
) -> Result<(GivenBack, GeometryReport)> {
    let place = super::place(&args.computing, console)?;
    let back = models.give_back(mesh, &place, &mut |warning| console.warn(warning))?;
    if back.made.triangles.is_empty() {
        bail!(
            "the autoencoder of details gives no surface back; its weights are not read as they are meant, or are not trained"
        );
    }
    if let Some(output) = &args.output {
        write_mesh(output, &back.made, if args.force { Existing::Replace } else { Existing::Keep })?;
    }
    let half = 1.0 / back.resolution as f64;
    let report = geometry::compare(&back.made, &back.given, Some(half), None)?;
    Ok((back, report))
}

fn facts_of(back: &GivenBack, report: &GeometryReport) -> Facts {
    let mut facts = Facts::default();
    let voxels = [back.voxels, back.latent_voxels].map(|n| count(n as u128));
    facts.add("mesh", format!("{} voxels near its surface, {} latent ones", voxels[0], voxels[1]));
    facts.add("given back", format!("{} triangles", count(back.made.triangles.len() as u128)));
    let in_voxels = report.chamfer * 0.5 * back.resolution as f64;
    facts.add("Chamfer distance", format!("{in_voxels:.3} voxels of {}", back.resolution));
    facts.add("F-score", format!("{:.4} at half a voxel", report.f_score));
    facts
}
