//! A texture from photos: each texel shows what the photos show that see its place best.
//!
//! - `photos`: what photos show at places.
//! - [`textured`], [`from_capture`]: a mesh with such a texture.

mod photos;

use super::atlas::{Atlas, PADDING, Texel};
use crate::Result;
use crate::frames::{FrameSet, Split};
use std::path::Path;
use tessera_datasets::capture::Capture;
use tessera_datasets::image::Image8;
use tessera_datasets::scene::{Material, Mesh, NearestPoints, Texture};

/// A mesh in the world of `capture`, with normals, and a texture of `size` texels a side of what its photos show of it; those are chosen and read as
/// `split` says.
///
/// # Errors
/// As [`textured`], and when the capture has no such photos.
pub fn from_capture(
    mesh: &Mesh,
    capture: &Capture,
    split: &Split,
    size: u32,
    progress: super::Progress<'_>,
) -> Result<Mesh> {
    let (frames, _) = FrameSet::split(capture, split)?;
    let in_scene = mesh.clone().transformed(&capture.scene_from_world);
    Ok(textured(&in_scene, &frames, size, progress)?.transformed(&capture.scene_from_world.inverse()))
}

/// The mesh, in scene coordinates and with normals, with a texture of `size` texels a side of what `frames` show of it. Where none sees it the texture
/// has the colour of the nearest vertices, or grey.
///
/// # Errors
/// When the mesh falls into too many pieces for that size, or a photo cannot be read.
pub fn textured(mesh: &Mesh, frames: &FrameSet, size: u32, progress: super::Progress<'_>) -> Result<Mesh> {
    let atlas = Atlas::new(mesh, size)?;
    let texels = atlas.texels();
    let seen = photos::colours(&texels, mesh, frames, progress)?;
    let unseen = Unseen::new(mesh);
    let mut picture = Image8::new(size, size, 3);
    let mut is_known = vec![false; (size * size) as usize];
    for (texel, colour) in texels.iter().zip(seen) {
        let colour = colour.unwrap_or_else(|| unseen.colour(texel));
        picture.data[3 * texel.index as usize..][..3].copy_from_slice(&colour);
        is_known[texel.index as usize] = true;
    }
    spread(&mut picture, is_known);
    let texture = Texture::new(&picture, Path::new("texture.png"))?;
    let material = Material { texture: Some(texture), ..Material::named("photos") };
    Ok(Mesh { materials: vec![material], ..atlas.mesh })
}

/// The colours of places that no photo sees.
struct Unseen<'a> {
    mesh: &'a Mesh,
    nearest: NearestPoints,
}

impl<'a> Unseen<'a> {
    fn new(mesh: &'a Mesh) -> Self {
        Self { mesh, nearest: NearestPoints::new(&mesh.positions) }
    }

    fn colour(&self, texel: &Texel) -> [u8; 3] {
        let [(_, slot)] = self.nearest.nearest_to::<1>(texel.place);
        let vertex = self.nearest.order()[slot as usize];
        self.mesh.colours.get(vertex as usize).copied().unwrap_or([128; 3])
    }
}

/// Gives texels around known ones the mean of those, so that what is interpolated at a rim is of its colour; and all others the mean of all.
fn spread(picture: &mut Image8, mut is_known: Vec<bool>) {
    let (width, height) = (picture.width as usize, picture.height as usize);
    for _ in 0..=PADDING {
        let mut found = Vec::new();
        for i in (0..width * height).filter(|&i| !is_known[i]) {
            let (x, y) = (i % width, i / width);
            let (mut sum, mut count) = ([0u32; 3], 0);
            for near in y.saturating_sub(1)..(y + 2).min(height) {
                for near in (x.saturating_sub(1)..(x + 2).min(width)).map(|x| near * width + x) {
                    if is_known[near] {
                        (0..3).for_each(|k| sum[k] += u32::from(picture.data[3 * near + k]));
                        count += 1;
                    }
                }
            }
            if count > 0 {
                found.push((i, sum.map(|s| (s / count) as u8)));
            }
        }
        for (i, colour) in found {
            picture.data[3 * i..3 * i + 3].copy_from_slice(&colour);
            is_known[i] = true;
        }
    }
    let known: Vec<usize> = (0..width * height).filter(|&i| is_known[i]).collect();
    let mean: [u8; 3] = std::array::from_fn(|k| {
        let sum: u64 = known.iter().map(|i| u64::from(picture.data[3 * i + k])).sum();
        (sum / known.len().max(1) as u64) as u8
    });
    for i in (0..width * height).filter(|&i| !is_known[i]) {
        picture.data[3 * i..3 * i + 3].copy_from_slice(&mean);
    }
}

#[cfg(test)]
mod tests;
