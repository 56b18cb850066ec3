//! Fitted shapes and pictures as the viewer takes them.

use crate::console::Console;
use crate::report::{bytes, count};
use anyhow::{Context, Result, bail};
use std::path::Path;
use tessera_engine::datasets::camera::Camera;
use tessera_engine::datasets::scene::Mesh;
use tessera_engine::rbf::field::{AnyDecoder, Field};
use tessera_engine::rbf::file::{Content, RbfFile};
use tessera_engine::rbf::image::TileRect;
use tessera_engine::rbf::shape::Shape;
use tessera_engine::render::{PathCamera, orbit_of_points};
use tessera_engine::surface::mesh::MeshOptions;
use tessera_kernels::hash_grid::Addressing as Corners;
use tessera_viewer::camera::looking_at;
use tessera_viewer::renderer::{
    Addressing, FieldData, FieldDecoder, FieldLevel, FieldScene, PictureData, PictureTile, ShapeData,
};

/// Upwards in meshes, by custom, and in pictures.
pub const UP: [f64; 3] = [0.0, 1.0, 0.0];
/// Field of view of cameras before pictures, radians.
const FIELD_OF_VIEW: f64 = 0.9;
/// A picture is seen from so much farther than it needs.
const MARGIN: f64 = 1.02;
/// How far the cameras of a row are apart.
const SHIFT: f64 = 1e-3;
/// Cells per side of the mesh by which it is found where a shape's surface is.
const OUTLINE: usize = 64;
/// Most numbers of a picture that are handed to the device.
const MOST_NUMBERS: usize = 1 << 28;

/// Something to look at.
pub struct Seen {
    /// For the renderer.
    pub scene: FieldScene,
    /// Places on its surface, `[N, 3]`, world units; none of a picture.
    surface: Vec<[f32; 3]>,
}

impl Seen {
    /// Cameras that see all of it: on a circle around a shape whose first one stands before it, in a row before a picture.
    pub fn cameras(&self, count: usize, size: [u32; 2]) -> Vec<PathCamera> {
        match &self.scene {
            FieldScene::Picture(picture) => (0..count).map(|i| before_picture(picture.size, size, i)).collect(),
            FieldScene::Shape(_) | FieldScene::Volume(_) => orbit_of_points(&self.surface, UP, count, size),
        }
    }
}

/// Camera `number` of a row before a picture of the height 1 in the plane z = 0: the first one before its middle.
fn before_picture(picture: [u32; 2], size: [u32; 2], number: usize) -> PathCamera {
    let camera = Camera::from_horizontal_fov(size[0], size[1], FIELD_OF_VIEW);
    let shape = f64::from(picture[0]) / f64::from(picture[1]);
    // Half of the view's width and height at the distance 1.
    let reach = [0, 1].map(|k| 0.5 * f64::from(size[k]) / camera.lens.focal[k]);
    let distance = MARGIN * (0.5 * shape / reach[0]).max(0.5 / reach[1]);
    let x = SHIFT * number as f64;
    let camera_from_world = looking_at([x, 0.0, distance], [x, 0.0, 0.0], UP);
    PathCamera { name: String::new(), camera, camera_from_world }
}

/// Reads a fitted shape or picture for the renderer.
///
/// # Errors
/// When the file is damaged, or cannot be drawn by its fields.
pub fn open(path: &Path, console: &Console) -> Result<Seen> {
    let mut file = RbfFile::open(path)?;
    console.note(format_args!("{} parameters, {}", count(file.numbers() as u128), bytes(file.length())));
    read(&mut file, path)
}

fn read(file: &mut RbfFile, path: &Path) -> Result<Seen> {
    match file.index.content.clone() {
        Content::Shape { .. } => {
            let shape = Shape::read(file)?;
            let outline = outline(&shape).with_context(|| format!("{}: cannot be shown", path.display()))?;
            let scene = FieldScene::Shape(shape_data(&shape, &outline));
            Ok(Seen { scene, surface: outline.positions })
        }
        Content::Image { width, height, tiles, .. } => {
            let scene = FieldScene::Picture(picture(file, [width, height], &tiles, path)?);
            Ok(Seen { scene, surface: Vec::new() })
        }
    }
}

/// A coarse mesh of a shape.
fn outline(shape: &Shape) -> Result<Mesh> {
    let options = MeshOptions { resolution: OUTLINE, least_part: 0.0, colours: false };
    Ok(shape.mesh(&options, &mut |_, _| {})?)
}

fn shape_data(shape: &Shape, outline: &Mesh) -> ShapeData {
    let (centre, side) = (shape.shape_box.centre, shape.shape_box.side);
    let cube = [-0.5, 0.5].map(|sign| centre.map(|c| (c + sign * side) as f32));
    ShapeData { field: field_data(&shape.field), centre, side, bounds: outline.bounds().unwrap_or(cube) }
}

fn picture(file: &mut RbfFile, size: [u32; 2], tiles: &[TileRect], path: &Path) -> Result<PictureData> {
    let name = path.display();
    if file.numbers() > MOST_NUMBERS {
        bail!(
            "{name}: has {} parameters, more than are shown at a time; draw it with tessera render {name} -o picture.png",
            count(file.numbers() as u128)
        );
    }
    let mut tile = |(number, rect): (usize, &TileRect)| {
        let field = file.field(number)?;
        if field.kernels.is_some() {
            bail!(
                "{name}: has kernels in space (it was fitted with kernel_share), which are not drawn on graphics devices; draw it with \
                 tessera render {name} -o picture.png"
            );
        }
        let (corner, size) = ([rect.x, rect.y], [rect.width, rect.height]);
        Ok(PictureTile { field: field_data(&field), corner, size, side: rect.side })
    };
    let tiles = tiles.iter().enumerate().map(&mut tile).collect::<Result<_>>()?;
    Ok(PictureData { size, tiles })
}

/// A field without kernels in space as plain numbers.
pub fn field_data(field: &Field) -> FieldData {
    let level = |level: &tessera_kernels::hash_grid::Level| FieldLevel {
        scale: level.scale,
        resolution: level.resolution,
        size: level.size,
        offset: level.offset,
        addressing: match level.addressing {
            Corners::Dense => Addressing::Dense,
            Corners::Hashed => Addressing::Hashed,
            Corners::Periodic => Addressing::Periodic,
        },
    };
    let numbers = |range: std::ops::Range<usize>| field.parameters[range].to_vec();
    let decoder = match &field.decoder {
        AnyDecoder::Rbf(decoder) => FieldDecoder::Rbf {
            centres: numbers(decoder.centres()),
            log_precisions: numbers(decoder.log_precisions()),
            weights: numbers(decoder.weights()),
            biases: numbers(decoder.biases()),
        },
        AnyDecoder::Network { mlp, .. } => {
            FieldDecoder::Network { widths: mlp.widths().to_vec(), weights: field.parameters.clone() }
        }
    };
    FieldData {
        dimensions: field.grid.dimensions(),
        levels: field.grid.levels().iter().map(level).collect(),
        smooth: field.grid.is_smooth(),
        table: field.table.clone(),
        decoder,
        outputs: field.decoder.outputs(),
    }
}

#[cfg(test)]
mod tests;
