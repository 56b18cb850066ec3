//! The baked form of fitted shapes and pictures: meshes, which every page can show.

use crate::console::Console;
use crate::progress::Progress;
use anyhow::{Context, Result, bail};
use std::path::Path;
use tessera_engine::datasets::image::Image8;
use tessera_engine::datasets::scene::{Material, Mesh, Texture};
use tessera_engine::meshing::MeshOptions;
use tessera_engine::rbf::file::{Content, RbfFile};
use tessera_engine::rbf::image::draw_picture;
use tessera_engine::rbf::radiance::Radiance;
use tessera_engine::rbf::shape::Shape;

/// Cells per side of a shape's cube.
const RESOLUTION: usize = 256;
/// Longest side of a texture: what every device can hold.
const MOST_SIDE: usize = 4096;
/// Most pixels of a picture on a page.
const MOST_PIXELS: u64 = 64 << 20;

/// Makes a mesh of what is in a file: of a shape its surface, of radiance where it is opaque, of a picture a board, a unit high, that carries it.
///
/// # Errors
/// When the file is damaged, the shape empty, or the picture too large for a page.
pub fn baked(path: &Path, console: &Console) -> Result<Mesh> {
    let mut file = RbfFile::open(path)?;
    match file.index.content.clone() {
        Content::Shape { .. } => {
            let shape = Shape::read(&mut file)?;
            let options = MeshOptions { resolution: RESOLUTION, colours: false, ..MeshOptions::default() };
            let mut progress = Progress::new(console, "meshing");
            let mesh = shape.mesh(&options, &mut |done, total| progress.count(done, total));
            mesh.with_context(|| format!("{}: cannot be shown on a page", path.display()))
        }
        Content::Radiance(_) => {
            let radiance = Radiance::read(&mut file)?;
            let options = MeshOptions { resolution: RESOLUTION, ..MeshOptions::default() };
            let mut progress = Progress::new(console, "meshing");
            let mesh = radiance.mesh(&options, &mut |done, total| progress.count(done, total));
            mesh.with_context(|| format!("{}: cannot be shown on a page", path.display()))
        }
        Content::Image { width, height, .. } => {
            let name = path.display();
            if u64::from(width) * u64::from(height) > MOST_PIXELS {
                bail!(
                    "{name}: has {width}x{height} pixels, too many for a page; draw it with tessera render {name} -o picture.png"
                );
            }
            board(&picture(&mut file, console)?, path)
        }
    }
}

/// A fitted picture in 8 bits a channel.
fn picture(file: &mut RbfFile, console: &Console) -> Result<Image8> {
    let mut progress = Progress::new(console, "drawing");
    let mut told = |done, total| progress.count(done, total);
    let ([width, height], channels, bands) = draw_picture(file, &mut told)?;
    let mut picture = Image8 { width, height, channels: if channels == 4 { 4 } else { 3 }, data: Vec::new() };
    for band in bands {
        let byte = |value: f32| (255.0 * value.clamp(0.0, 1.0)).round() as u8;
        match channels {
            1 => picture.data.extend(band?.into_iter().flat_map(|value| [byte(value); 3])),
            _ => picture.data.extend(band?.into_iter().map(byte)),
        }
    }
    Ok(picture)
}

/// A picture on rectangles in the plane z = 0, each with a texture that every device can hold.
fn board(picture: &Image8, path: &Path) -> Result<Mesh> {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let mut mesh = Mesh::default();
    for y in (0..height).step_by(MOST_SIDE) {
        for x in (0..width).step_by(MOST_SIDE) {
            let (w, h) = ((width - x).min(MOST_SIDE), (height - y).min(MOST_SIDE));
            let texture = Texture::new(&cut(picture, [x, y], [w, h]), path)?;
            let place = |x: usize, y: usize| {
                let scale = 1.0 / height as f32;
                [(x as f32 - 0.5 * width as f32) * scale, 0.5 - y as f32 * scale, 0.0]
            };
            let first = mesh.positions.len() as u32;
            mesh.positions.extend([place(x, y), place(x + w, y), place(x, y + h), place(x + w, y + h)]);
            // From middle to middle of the outermost pixels, because textures repeat.
            let [u, v] = [w, h].map(|pixels| 0.5 / pixels as f32);
            mesh.uvs.extend([[u, v], [1.0 - u, v], [u, 1.0 - v], [1.0 - u, 1.0 - v]]);
            mesh.triangles.extend([[0, 2, 1], [1, 2, 3]].map(|triangle| triangle.map(|i: u32| first + i)));
            let number = mesh.materials.len() as u32;
            mesh.triangle_materials.extend([number; 2]);
            mesh.materials.push(Material { texture: Some(texture), ..Material::named(format!("part {number}")) });
        }
    }
    mesh.normals = vec![[0.0, 0.0, 1.0]; mesh.positions.len()];
    Ok(mesh)
}

/// A part of a picture.
fn cut(picture: &Image8, [x, y]: [usize; 2], [width, height]: [usize; 2]) -> Image8 {
    let channels = usize::from(picture.channels);
    let rows = picture.data.chunks_exact(picture.width as usize * channels).skip(y).take(height);
    let data = rows.flat_map(|row| &row[x * channels..(x + width) * channels]).copied().collect();
    Image8 { width: width as u32, height: height as u32, channels: picture.channels, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_picture_lies_on_several_rectangles() {
        let (width, height) = (5000, 3);
        let data = (0..3 * width * height).map(|i| (i / 3 % width >= 4096) as u8).collect();
        let picture = Image8 { width: width as u32, height: height as u32, channels: 3, data };
        let mesh = board(&picture, Path::new("a.rbf")).expect("a board");
        assert!(mesh.is_consistent());
        assert_eq!((mesh.materials.len(), mesh.triangles.len()), (2, 4));
        let second = mesh.materials[1].texture.as_ref().expect("a texture").decode(Path::new("a")).expect("a picture");
        assert_eq!((second.width, second.height), (904, 3));
        assert!(second.data.iter().all(|&byte| byte == 1), "it begins where the first one ends");
        let bounds = mesh.bounds().expect("vertices");
        assert!((bounds[1][0] * 3.0 - 2500.0).abs() < 1e-3 && bounds[1][1] == 0.5, "{bounds:?}");
        assert!((f64::from(mesh.area() as f32) - 5000.0 / 3.0).abs() < 1e-2, "it covers the picture once");
    }
}
