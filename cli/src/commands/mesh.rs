//! `tessera mesh`: a surface, a fitted shape or radiance as triangles.

use crate::args::{Mesh, Skipping};
use crate::console::{Console, UsageError};
use crate::fields::open_radiance;
use crate::inputs::{Run, open_capture, open_surface};
use crate::progress::Progress;
use crate::report::{Facts, count};
use crate::sequences;
use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use tessera_engine::datasets::format::{Existing, MeshFormat, MeshSequence, write_mesh};
use tessera_engine::datasets::scene::Mesh as SceneMesh;
use tessera_engine::meshing::texture::from_capture;
use tessera_engine::meshing::{MeshOptions, coarser};
use tessera_engine::rbf::file::{Content, RbfFile};
use tessera_engine::rbf::radiance::Radiance;
use tessera_engine::rbf::shape::Shape;
use tessera_engine::surface::mesh::extract;

/// Memory for decoded photos while a texture is made, in MiB.
const CACHE_MB: usize = 256;

/// Runs the command.
///
/// # Errors
/// When the run has no such field, nothing in it is opaque, or the file cannot be written.
pub fn run(args: &Mesh, console: &Console) -> Result<()> {
    MeshFormat::to_write(&args.output)?;
    if args.output.exists() && !args.force {
        bail!("{}: exists already; replace it with --force", args.output.display());
    }
    let run = Run::find(&args.run)?;
    if let Some(sequence) = run.as_ref().map(|run| sequences::find(&run.folder, Some(run))).transpose()?.flatten()
        && !args.last
    {
        if sequences::can_hold(&args.output) {
            return animated(args, &sequence, console);
        }
        console.note(format_args!("the last of {} moments alone; a .glb file holds all of them", sequence.len()));
    }
    let mesh = match args.texture {
        Some(size) => textured(args, size, console)?,
        None => make(args, console)?,
    };
    write_mesh(&args.output, &mesh, if args.force { Existing::Replace } else { Existing::Keep })?;
    let mut facts = Facts::default();
    facts.add("triangles", count(mesh.triangles.len() as u128));
    facts.add("vertices", count(mesh.positions.len() as u128));
    facts.add("area", format!("{:.4} square units of the capture", mesh.area()));
    console.note(&facts);
    console.result(args.output.display())
}

/// The meshes of all moments of a moving surface, as training has left them, in one file that plays them.
fn animated(args: &Mesh, sequence: &MeshSequence, console: &Console) -> Result<()> {
    if args.resolution.is_some() || args.texture.is_some() {
        let option = if args.resolution.is_some() { "--resolution" } else { "--texture" };
        return Err(UsageError(format!(
            "{option} is for a surface that is still there, and of a moving one only the last moment is: mesh that alone with --last; \
             all moments are meshed while they are trained, as finely as --set mesh_resolution says"
        ))
        .into());
    }
    let existing = if args.force { Existing::Replace } else { Existing::Keep };
    let change = |mut mesh: SceneMesh| {
        if args.no_colours {
            mesh.colours.clear();
        }
        match args.faces {
            Some(faces) => coarser(&mesh, faces as usize, &mut |_, _| {}),
            None => mesh,
        }
    };
    let written = sequences::animate(sequence, None, &args.output, existing, console, change)?;
    let mut facts = Facts::default();
    facts.add("moments", count(written.moments as u128));
    let [least, most] = written.triangles.map(|triangles| count(triangles as u128));
    facts.add("triangles", format!("{least} to {most} a moment"));
    facts.add("duration", format!("{:.3} s", sequence.end()));
    console.note(&facts);
    console.result(args.output.display())
}

/// The mesh of a run with a texture of the photos that the run was trained on.
fn textured(args: &Mesh, size: u32, console: &Console) -> Result<SceneMesh> {
    let Some(run) = Run::find(&args.run)? else {
        bail!(
            "{}: is no run folder, and only runs have photos to make a texture of; leave out --texture",
            args.run.display()
        );
    };
    let mesh = make(args, console)?;
    let skipping = Skipping::default().or_of(Some(&run.config));
    let capture = run.settings.prepared(open_capture(&run.capture(), skipping, console)?);
    let split = run.settings.photos(CACHE_MB);
    let mut progress = Progress::new(console, "looking at photos");
    Ok(from_capture(&mesh, &capture, &split, size, &mut |done, total| progress.count(done, total))?)
}

/// The mesh of a run's field, or of a file's.
fn make(args: &Mesh, console: &Console) -> Result<SceneMesh> {
    let options = MeshOptions {
        resolution: args.resolution.map_or(MeshOptions::default().resolution, |resolution| resolution as usize),
        least_part: f64::from(args.least_part),
        faces: args.faces.map(|faces| faces as usize),
        colours: !args.no_colours,
    };
    let mut progress = Progress::new(console, "meshing");
    let mut count = |done, total| progress.count(done, total);
    if RbfFile::is_named(&args.run) {
        let mut file = RbfFile::open(&args.run)?;
        return Ok(match file.index.content {
            Content::Radiance(_) => Radiance::read(&mut file)?.mesh(&options, &mut count)?,
            _ => {
                let shape = Shape::read(&mut file).with_context(|| format!("{}: has no mesh", args.run.display()))?;
                shape.mesh(&options, &mut count)?
            }
        });
    }
    let Some(run) = Run::find(&args.run)? else {
        bail!(
            "{}: is neither a run folder nor a fitted shape; name a run of --method surface or rbf, or an .rbf file",
            args.run.display()
        );
    };
    match run.settings {
        Settings::Video(_) => bail!("{}: holds a moving scene, of which there is no mesh", args.run.display()),
        Settings::Radiance(_) => Ok(open_radiance(&run)?.mesh(&options, &mut count)?),
        _ => Ok(extract(&open_surface(&run)?, &options, &mut count)?),
    }
}
