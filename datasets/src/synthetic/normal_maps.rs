//! Normal maps of a mesh from all sides, with outlines, cameras and, if the mesh has colours, photos without light.

use super::bvh::{Bvh, Hits, LANES, MISS, Packet};
use super::geometry::{self, V3};
use super::render::sample_pattern;
use super::write::{MARK, add_lens, fill_place, frame_entry};
use crate::camera::{Camera, Pose};
use crate::capture::Frame;
use crate::image::{Image8, encode_png, srgb_from_linear};
use crate::scene::Mesh;
use crate::{DataError, Result};
use nalgebra::{Matrix3, Rotation3, Translation3, UnitQuaternion, Vector3};
use rayon::prelude::*;
use serde_json::Map;
use std::f64::consts::{PI, TAU};
use std::fs;
use std::io;
use std::path::Path;

/// Horizontal and vertical field of view of cameras on all sides, in degrees.
const FIELD_OF_VIEW: f64 = 40.0;
/// The same of cameras on a ring.
const RING_FIELD_OF_VIEW: f64 = 60.0;
/// How much wider than the object pictures are.
const MARGIN: f64 = 1.05;
/// Where cameras of multi-view generators stand, in longest sides of the object: `1.5 * 0.5 / tan 30°`. Farther off when they would not see all.
const RING_DISTANCE: f64 = 1.299_038_105_676_658;

/// How normal maps are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormalMapOptions {
    /// Width and height in pixels, 8 to 16384.
    pub size: [u32; 2],
    /// Number of views, at least 2.
    pub views: u32,
    /// All around at one height, as multi-view generators make them, instead of on all sides.
    pub ring: bool,
    /// Samples per pixel for outlines, rounded up to a square number.
    pub samples_per_pixel: u32,
}

impl Default for NormalMapOptions {
    fn default() -> Self {
        Self { size: [512; 2], views: 6, ring: false, samples_per_pixel: 9 }
    }
}

/// Draws a mesh into `out_dir`:
///
/// - `normals/*.png`: world-space normals, `round(127.5 * (n + 1))`, towards the camera; alpha is the share of the pixel that the object covers;
/// - `images/*.png`: the mesh's own colours or texture with the same alpha, if it has some;
/// - `transforms.json`: lens, poses (camera-to-world, OpenGL axes) and paths; `README.txt`.
///
/// Cameras have y up. Six views look along the axes; any other number is spread evenly over a sphere. Views on a ring look at the object from its +z side first and go
/// around the y axis towards +x. A mesh with normals is smooth, one without is as flat as its triangles. `progress(done, total)` counts views.
///
/// # Errors
/// When the mesh has no triangles, when `out_dir` exists (and `force` is not given, or what is there is not made by this program), or when writing
/// fails. `source` is the mesh's file, for messages.
pub fn write_normal_maps(
    (mesh, source): (&Mesh, &Path),
    options: &NormalMapOptions,
    out_dir: &Path,
    force: bool,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<()> {
    if mesh.triangles.is_empty() {
        return Err(
            DataError::new(source, "has no triangles, so it has no normals").remedy("name a mesh, not a point cloud")
        );
    }
    let paint = Paint::of(mesh, source)?;
    let subject = Subject::new(mesh, paint);
    let frames = frames(mesh, options, !matches!(subject.paint, Paint::None));
    let filled = fill_place(out_dir, force, &|folder| write_files(&subject, &frames, options, folder, progress))?;
    filled.map_err(|e| DataError::unwritable(out_dir, &e))
}

fn write_files(
    subject: &Subject<'_>,
    frames: &[Frame],
    options: &NormalMapOptions,
    folder: &Path,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> io::Result<()> {
    for name in ["normals", "images"] {
        if frames.iter().any(|frame| frame.image.starts_with(name) || name == "normals") {
            fs::create_dir_all(folder.join(name))?;
        }
    }
    for (i, frame) in frames.iter().enumerate() {
        progress(i, frames.len());
        let [normals, colours] = subject.drawn(frame, options);
        let path = frame.normals.as_deref().unwrap_or(&frame.image);
        fs::write(folder.join(path), encode_png(&normals)?)?;
        if frame.normals.is_some() {
            fs::write(folder.join(&frame.image), encode_png(&colours)?)?;
        }
    }
    progress(frames.len(), frames.len());
    let mut root = Map::new();
    if let Some(frame) = frames.first() {
        add_lens(&mut root, &frame.camera.lens);
        root.insert("w".into(), frame.camera.width.into());
        root.insert("h".into(), frame.camera.height.into());
    }
    root.insert("frames".into(), frames.iter().map(frame_entry).collect());
    let mut json = serde_json::to_vec_pretty(&root)?;
    json.push(b'\n');
    fs::write(folder.join("transforms.json"), json)?;
    fs::write(folder.join("README.txt"), readme(frames))
}

fn readme(frames: &[Frame]) -> String {
    let photos = match frames.iter().any(|frame| frame.normals.is_some()) {
        true => "images/          the mesh's colours without light, with the same alpha\n",
        false => "",
    };
    format!(
        "{MARK}: normal maps of a mesh, {} views.\n\n\
         transforms.json  lens and poses, camera-to-world with OpenGL axes (x right, y up, z backwards), in the mesh's world\n\
         normals/         world-space normals as 127.5 (n + 1); alpha: the share of the pixel that the object covers\n{photos}",
        frames.len()
    )
}

/// The cameras, with the files that their pictures go to.
fn frames(mesh: &Mesh, options: &NormalMapOptions, has_colours: bool) -> Vec<Frame> {
    let [low, high] = mesh.bounds().unwrap_or_default().map(|corner| Vector3::from(corner.map(f64::from)));
    let middle = 0.5 * (low + high);
    let reach = |p: &[f32; 3]| (Vector3::from(p.map(f64::from)) - middle).norm();
    let radius = mesh.positions.iter().map(reach).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let [width, height] = options.size;
    let fov = if options.ring { RING_FIELD_OF_VIEW } else { FIELD_OF_VIEW }.to_radians();
    let mut camera = Camera::from_horizontal_fov(width, height, fov);
    camera.lens.focal = [0.5 * f64::from(width.min(height)) / (0.5 * fov).tan(); 2];
    let whole = MARGIN * radius / (0.5 * fov).sin();
    let distance = if options.ring { whole.max(RING_DISTANCE * (high - low).max()) } else { whole };
    let frame = |(i, back): (usize, Vector3<f64>)| {
        let [image, normals] = ["images", "normals"].map(|folder| format!("{folder}/{i:04}.png"));
        Frame {
            name: format!("{i:04}"),
            image: if has_colours { image } else { normals.clone() },
            video_frame: None,
            mask: None,
            depth: None,
            normals: has_colours.then_some(normals),
            camera,
            camera_from_world: looking_along(-back, middle + distance * back),
            time: None,
            rig_camera: None,
            split: None,
        }
    };
    directions(options).into_iter().enumerate().map(frame).collect()
}

/// From the middle of the object to the cameras.
fn directions(options: &NormalMapOptions) -> Vec<Vector3<f64>> {
    let count = options.views;
    if options.ring {
        let turn = |i: u32| (TAU * f64::from(i) / f64::from(count)).sin_cos();
        return (0..count).map(|i| Vector3::new(turn(i).0, 0.0, turn(i).1)).collect();
    }
    if count == 6 {
        let axes = [Vector3::z(), Vector3::x(), -Vector3::z(), -Vector3::x(), Vector3::y(), -Vector3::y()];
        return axes.to_vec();
    }
    // On a spiral, each at the same share of the sphere's area (Fibonacci lattice).
    let golden = PI * (3.0 - 5.0f64.sqrt());
    let direction = |i: u32| {
        let height = 1.0 - 2.0 * (f64::from(i) + 0.5) / f64::from(count);
        let (sine, cosine) = (golden * f64::from(i)).sin_cos();
        let wide = (1.0 - height * height).sqrt();
        Vector3::new(wide * sine, height, wide * cosine)
    };
    (0..count).map(direction).collect()
}

/// A camera at a place, y up unless it looks along y.
fn looking_along(forward: Vector3<f64>, place: Vector3<f64>) -> Pose {
    let upright = if forward.y.abs() > 0.999 { Vector3::z() } else { Vector3::y() };
    let right = forward.cross(&upright).normalize();
    let axes = Matrix3::from_columns(&[right, forward.cross(&right), forward]);
    let rotation = UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(axes));
    Pose::from_parts(Translation3::from(place), rotation).inverse()
}

/// Where colours come from.
enum Paint {
    None,
    Vertices,
    /// A colour for each material, and its texture.
    Materials(Vec<([u8; 3], Option<Image8>)>),
}

impl Paint {
    fn of(mesh: &Mesh, source: &Path) -> Result<Self> {
        let textured = !mesh.uvs.is_empty() && mesh.materials.iter().any(|m| m.texture.is_some());
        let coloured = mesh.materials.iter().any(|m| m.colour[..3] != [1.0; 3]);
        if !mesh.colours.is_empty() && !textured {
            return Ok(Self::Vertices);
        }
        if !textured && !coloured {
            return Ok(Self::None);
        }
        let materials = mesh.materials.iter().map(|material| {
            let colour = [0, 1, 2].map(|k| (255.0 * srgb_from_linear(material.colour[k])).round() as u8);
            let texture = material.texture.as_ref().filter(|_| textured);
            Ok((colour, texture.map(|texture| texture.decode(source)).transpose()?))
        });
        Ok(Self::Materials(materials.collect::<Result<_>>()?))
    }
}

/// A mesh that is ready to be drawn.
struct Subject<'a> {
    mesh: &'a Mesh,
    bvh: Bvh,
    paint: Paint,
}

/// What the samples of a pixel add up to.
#[derive(Clone, Copy, Default)]
struct Sum {
    normal: V3,
    colour: V3,
    covered: f32,
}

impl<'a> Subject<'a> {
    fn new(mesh: &'a Mesh, paint: Paint) -> Self {
        let vertex = |p: &[f32; 3]| geometry::Vertex {
            position: V3::from(*p),
            normal: V3::zeros(),
            texture: V3::zeros(),
            light: V3::zeros(),
            lit: 0.0,
        };
        let triangle = |t: &[u32; 3]| geometry::Triangle { vertices: *t, material: 0 };
        let shape = geometry::Mesh {
            vertices: mesh.positions.iter().map(vertex).collect(),
            triangles: mesh.triangles.iter().map(triangle).collect(),
        };
        Self { mesh, bvh: Bvh::new(&shape), paint }
    }

    /// Normals and colours.
    fn drawn(&self, frame: &Frame, options: &NormalMapOptions) -> [Image8; 2] {
        let side = f64::from(options.samples_per_pixel).sqrt().ceil() as usize;
        let pattern = sample_pattern(side);
        let [width, height] = options.size;
        let rows: Vec<Vec<Sum>> = (0..height).into_par_iter().map(|y| self.row(frame, &pattern, y)).collect();
        let mut pictures = [Image8::new(width, height, 4), Image8::new(width, height, 4)];
        for (i, sum) in rows.into_iter().flatten().enumerate().filter(|(_, sum)| sum.covered > 0.0) {
            let normal = sum.normal.try_normalize(0.0).unwrap_or_else(V3::z);
            let alpha = (255.0 * sum.covered / pattern.len() as f32).round() as u8;
            let colour = sum.colour / sum.covered;
            let bytes = [normal.map(|x| (127.5 * (x + 1.0)).round()), colour.map(f32::round)];
            for (picture, bytes) in pictures.iter_mut().zip(bytes) {
                picture.data[4 * i..4 * i + 4].copy_from_slice(&[bytes.x as u8, bytes.y as u8, bytes.z as u8, alpha]);
            }
        }
        pictures
    }

    fn row(&self, frame: &Frame, pattern: &[[f32; 2]], y: u32) -> Vec<Sum> {
        let world_from_camera = frame.camera_from_world.inverse();
        let turn = world_from_camera.rotation.to_rotation_matrix();
        let eye: V3 = world_from_camera.translation.vector.cast();
        let (lens, width) = (&frame.camera.lens, frame.camera.width as usize);
        let ray = |sample: usize| -> V3 {
            let [x, down] = pattern[sample % pattern.len()].map(f64::from);
            let pixel = [(sample / pattern.len()) as f64 + x, f64::from(y) + down];
            let [u, v] = [0, 1].map(|k| (pixel[k] - lens.centre[k]) / lens.focal[k]);
            (turn * Vector3::new(u, v, 1.0)).cast()
        };
        let mut row = vec![Sum::default(); width];
        let samples = width * pattern.len();
        for start in (0..samples).step_by(LANES) {
            let lanes = LANES.min(samples - start);
            let mut packet = Packet::new(eye);
            (0..lanes).for_each(|lane| packet.set(lane, ray(start + lane), f32::MAX));
            let hits = self.bvh.nearest(&packet);
            for lane in (0..lanes).filter(|lane| hits.triangle[*lane] != MISS) {
                let sum = &mut row[(start + lane) / pattern.len()];
                sum.normal += self.normal(&hits, lane, packet.direction(lane));
                sum.colour += self.colour(&hits, lane);
                sum.covered += 1.0;
            }
        }
        row
    }

    /// Of length 1, on the side that the ray comes from.
    fn normal(&self, hits: &Hits, lane: usize, direction: V3) -> V3 {
        let t = self.mesh.triangles[hits.triangle[lane] as usize];
        let [a, b, c] = t.map(|v| V3::from(self.mesh.positions[v as usize]));
        let flat = (b - a).cross(&(c - a));
        let away = if flat.dot(&direction) > 0.0 { -1.0 } else { 1.0 };
        let smooth = self.blended(t, hits, lane, |v| self.mesh.normals.get(v).map_or(flat, |n| V3::from(*n)));
        away * smooth.try_normalize(0.0).or_else(|| flat.try_normalize(0.0)).unwrap_or_else(V3::z)
    }

    fn colour(&self, hits: &Hits, lane: usize) -> V3 {
        let triangle = hits.triangle[lane] as usize;
        let t = self.mesh.triangles[triangle];
        let bytes = |colour: &[u8]| V3::new(colour[0].into(), colour[1].into(), colour[2].into());
        match &self.paint {
            Paint::None => V3::zeros(),
            Paint::Vertices => self.blended(t, hits, lane, |v| bytes(&self.mesh.colours[v])),
            Paint::Materials(materials) => {
                let index = self.mesh.triangle_materials.get(triangle).copied().unwrap_or(0) as usize;
                let Some((colour, texture)) = materials.get(index) else { return V3::zeros() };
                let Some(texture) = texture else { return bytes(colour) };
                let uv = self.blended(t, hits, lane, |v| V3::new(self.mesh.uvs[v][0], self.mesh.uvs[v][1], 0.0));
                let texel = |x: f32, side: u32| ((x.rem_euclid(1.0) * side as f32) as u32).min(side - 1);
                let shown = bytes(texture.pixel(texel(uv.x, texture.width), texel(uv.y, texture.height)));
                shown.component_mul(&bytes(colour)) / 255.0
            }
        }
    }

    /// A value of the vertices where a ray meets their triangle.
    fn blended(&self, t: [u32; 3], hits: &Hits, lane: usize, value: impl Fn(usize) -> V3) -> V3 {
        let (u, v) = (hits.u[lane], hits.v[lane]);
        value(t[0] as usize) * (1.0 - u - v) + value(t[1] as usize) * u + value(t[2] as usize) * v
    }
}
