//! Fitted shapes and pictures as the viewer takes them.

use crate::console::Console;
use crate::report::{bytes, count};
use anyhow::{Context, Result, bail};
use nalgebra::{Point3, Vector3};
use std::path::Path;
use tessera_engine::datasets::camera::Camera;
use tessera_engine::datasets::scene::Mesh;
use tessera_engine::meshing::MeshOptions;
use tessera_engine::rbf::field::{AnyDecoder, Field};
use tessera_engine::rbf::file::{Content, RbfFile};
use tessera_engine::rbf::image::TileRect;
use tessera_engine::rbf::radiance::Radiance;
use tessera_engine::rbf::shape::Shape;
use tessera_engine::render::{PathCamera, orbit_of_points};
use tessera_kernels::hash_grid::Addressing as Corners;
use tessera_viewer::camera::looking_at;
use tessera_viewer::renderer::{
    Addressing, FieldData, FieldDecoder, FieldLevel, FieldScene, PictureData, PictureTile, ShapeData, VolumeData,
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
    pub fn cameras(&self, up: [f64; 3], count: usize, size: [u32; 2]) -> Vec<PathCamera> {
        match &self.scene {
            FieldScene::Picture(picture) => (0..count).map(|i| before_picture(picture.size, size, i)).collect(),
            FieldScene::Shape(_) | FieldScene::Volume(_) => orbit_of_points(&self.surface, up, count, size),
        }
    }

    /// The middle of its surface, world units.
    pub fn middle(&self) -> Vector3<f64> {
        let [low, high] = bounds_of(&self.surface);
        (0.5 * (Vector3::from(low) + Vector3::from(high))).cast()
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
    PathCamera { name: String::new(), camera, camera_from_world, time: None }
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
        Content::Radiance(_) => {
            let radiance = Radiance::read(file)?;
            let surface = opaque(&radiance);
            Ok(Seen { scene: FieldScene::Volume(volume_data(&radiance, bounds_of(&surface))), surface })
        }
        Content::Image { width, height, tiles, .. } => {
            let scene = FieldScene::Picture(picture(file, [width, height], &tiles, path)?);
            Ok(Seen { scene, surface: Vec::new() })
        }
    }
}

/// A coarse mesh of a shape.
///
/// # Errors
/// When the shape is empty.
pub fn outline(shape: &Shape) -> Result<Mesh> {
    let options = MeshOptions { resolution: OUTLINE, least_part: 0.0, faces: None, colours: false };
    Ok(shape.mesh(&options, &mut |_, _| {})?)
}

fn shape_data(shape: &Shape, outline: &Mesh) -> ShapeData {
    let (centre, side) = (shape.shape_box.centre, shape.shape_box.side);
    let cube = [-0.5, 0.5].map(|sign| centre.map(|c| (c + sign * side) as f32));
    ShapeData { field: field_data(&shape.field), centre, side, bounds: outline.bounds().unwrap_or(cube) }
}

/// Places where radiance is opaque, world units; the corners of its box where nothing is.
fn opaque(radiance: &Radiance) -> Vec<[f32; 3]> {
    let options = MeshOptions { resolution: OUTLINE, least_part: 0.0, faces: None, colours: false };
    if let Ok(mesh) = radiance.mesh(&options, &mut |_, _| {}) {
        return mesh.positions;
    }
    let corners = radiance.space.scene_box.corners;
    let world_from_scene = radiance.scene_from_world.inverse();
    let corner = |i: usize| std::array::from_fn::<f64, 3, _>(|k| corners[i >> k & 1][k]);
    let in_world = |i: usize| (world_from_scene * Point3::from(corner(i))).coords.map(|x| x as f32).into();
    (0..8).map(in_world).collect()
}

fn bounds_of(places: &[[f32; 3]]) -> [[f32; 3]; 2] {
    let start = [[f32::INFINITY; 3], [f32::NEG_INFINITY; 3]];
    places.iter().fold(start, |[low, high], p| {
        [std::array::from_fn(|k| low[k].min(p[k])), std::array::from_fn(|k| high[k].max(p[k]))]
    })
}

fn volume_data(radiance: &Radiance, bounds: [[f32; 3]; 2]) -> VolumeData {
    let space = &radiance.space;
    let cube = &space.scene_box;
    // From the world to the scene, from there to places in the box.
    let corner = cube.to_cube([0.0; 3]);
    let matrix = radiance.scene_from_world.to_homogeneous();
    let side = cube.side();
    let from_world =
        std::array::from_fn(|i| std::array::from_fn(|j| matrix[(i, j)] / side + if j == 3 { corner[i] } else { 0.0 }));
    let words = radiance.occupancy.bits().iter().flat_map(|word| [*word as u32, (word >> 32) as u32]);
    let resolution = radiance.occupancy.resolution();
    VolumeData {
        field: field_data(&radiance.field),
        from_world,
        corners: cube.in_cube(),
        is_unbounded: space.unbounded,
        // Box coordinates have two units for a side.
        step: 0.5 * space.step,
        near_far: space.near_far.map(|t| 0.5 * t),
        resolution: resolution as u32,
        occupied: words.take(resolution.pow(3).div_ceil(32)).collect(),
        bounds,
    }
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
