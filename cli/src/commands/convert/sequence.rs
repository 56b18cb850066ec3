//! Meshes of several moments: a folder of them to one animated glTF file, or any to numbered files.

use super::frames::Pattern;
use super::meshes::edited;
use super::splats::movement;
use crate::args::Convert;
use crate::console::{Console, UsageError};
use crate::inputs::size_of;
use crate::report::{bytes, count_of};
use crate::sequences;
use anyhow::{Result, bail};
use serde_json::json;
use std::path::PathBuf;
use tessera_engine::datasets::format::{Existing, MeshFormat, MeshSequence, write_mesh};

/// Writes all moments, or those of `--frames`.
///
/// # Errors
/// When a mesh is damaged, there are no such moments, an output is in the way, or cannot be written.
pub fn convert(sequence: &MeshSequence, args: &Convert, existing: Existing, console: &Console) -> Result<()> {
    let output = args.output.as_deref().ok_or_else(|| UsageError("name the file to write".to_owned()))?;
    let target = MeshFormat::to_write(output)?;
    let movement = movement(args);
    let frames = args.frames.clone();
    let Some(pattern) = Pattern::of(output) else {
        if !sequences::can_hold(output) && frames.as_ref().is_none_or(|frames| frames.start() != frames.end()) {
            let message = "meshes of many moments need one .glb file, or many names: put a number into the output's name, such as frame_%04d.ply";
            return Err(UsageError(message.to_owned()).into());
        }
        let written = if sequences::can_hold(output) {
            sequences::animate(sequence, frames, output, existing, console, |mesh| edited(mesh, args, &movement))?
        } else {
            sequences::each(sequence, frames, "writing moments", console, |_, mesh| {
                Ok(write_mesh(output, &edited(mesh, args, &movement), existing)?)
            })?
        };
        return tell(args, written.moments, size_of(output), console);
    };
    let name = |moment: usize| -> PathBuf { pattern.name(moment as u32) };
    let (first, last) = frames.as_ref().map_or((0, sequence.len() - 1), |f| (*f.start() as usize, *f.end() as usize));
    if let Some(there) = (first..=last).map(name).find(|path| path.exists()).filter(|_| !args.force) {
        bail!("{}: exists already; choose another name, or replace it with --force", there.display());
    }
    let (mut size, mut losses) = (0, Vec::new());
    let written = sequences::each(sequence, frames, "writing moments", console, |moment, mesh| {
        let mesh = edited(mesh, args, &movement);
        if losses.is_empty() {
            losses = target.losses(&mesh);
        }
        write_mesh(name(moment), &mesh, existing)?;
        size += size_of(&name(moment));
        Ok(())
    })?;
    losses.iter().for_each(|loss| console.note(format_args!("{} holds {loss}", target.name())));
    tell(args, written.moments, size, console)
}

fn tell(args: &Convert, moments: usize, size: u64, console: &Console) -> Result<()> {
    let output = args.output.as_deref().unwrap_or(&args.input);
    if args.json {
        return console.result(json!({"output": output, "moments": moments, "bytes": size}));
    }
    console.result(format_args!("{} ({}, {})", output.display(), count_of(moments, "moment", "moments"), bytes(size)))
}
