//! `tessera mesh`: a surface or a fitted shape as triangles.

use crate::args::Mesh;
use crate::console::Console;
use crate::inputs::{Run, open_surface};
use crate::progress::Progress;
use crate::report::{Facts, count};
use anyhow::{Context, Result, bail};
use tessera_engine::datasets::format::{Existing, MeshFormat, write_mesh};
use tessera_engine::datasets::scene::Mesh as SceneMesh;
use tessera_engine::rbf::file::RbfFile;
use tessera_engine::rbf::shape::Shape;
use tessera_engine::surface::mesh::{MeshOptions, extract};

/// Runs the command.
///
/// # Errors
/// When the run has no surface, the surface is empty, or the file cannot be written.
pub fn run(args: &Mesh, console: &Console) -> Result<()> {
    MeshFormat::to_write(&args.output)?;
    if args.output.exists() && !args.force {
        bail!("{}: exists already; replace it with --force", args.output.display());
    }
    let mesh = make(args, console)?;
    write_mesh(&args.output, &mesh, if args.force { Existing::Replace } else { Existing::Keep })?;
    let mut facts = Facts::default();
    facts.add("triangles", count(mesh.triangles.len() as u128));
    facts.add("vertices", count(mesh.positions.len() as u128));
    facts.add("area", format!("{:.4} square units of the capture", mesh.area()));
    console.note(&facts);
    console.result(args.output.display())
}

/// The mesh of a run's surface, or of a fitted shape.
fn make(args: &Mesh, console: &Console) -> Result<SceneMesh> {
    let options = MeshOptions {
        resolution: args.resolution as usize,
        least_part: f64::from(args.least_part),
        colours: !args.no_colours,
    };
    if RbfFile::is_named(&args.run) {
        let shape = Shape::read(&mut RbfFile::open(&args.run)?)
            .with_context(|| format!("{}: has no mesh", args.run.display()))?;
        let mut progress = Progress::new(console, "meshing");
        return Ok(shape.mesh(&options, &mut |done, total| progress.count(done, total))?);
    }
    let Some(run) = Run::find(&args.run)? else {
        bail!(
            "{}: is neither a run folder nor a fitted shape; name a run that was trained with --method surface, or an .rbf file",
            args.run.display()
        );
    };
    let surface = open_surface(&run)?;
    let mut progress = Progress::new(console, "meshing");
    Ok(extract(&surface, &options, &mut |done, total| progress.count(done, total))?)
}
