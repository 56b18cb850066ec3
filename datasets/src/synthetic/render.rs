//! The renderer: rays through a lens, a triangle hierarchy, baked light plus view-dependent gloss, supersampling.
//!
//! A pixel is the mean of `n x n` samples in the correlated multi-jittered pattern (n² different columns and
//! rows), averaged in linear light and then tone-mapped. Depth and normal belong to the ray through the pixel's
//! centre. Every pixel is computed by itself, so the picture does not depend on the number of threads.

use super::bvh::{Bvh, Hits, LANES, MISS, Packet};
use super::geometry::{Mesh, V3, Vertex};
use super::light::{self, Lighting};
use super::texture::Material;
use crate::camera::{Camera, Pose};
use rayon::prelude::*;

/// A picture with its exact depth and normals, all row by row from the top left.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderedView {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// 3 for RGB, 4 for RGBA with straight (not premultiplied) alpha.
    pub channels: usize,
    /// `[height, width, channels]`, sRGB.
    pub pixels: Vec<u8>,
    /// `[height, width]`, distance along the camera's z axis at the centre of the pixel in metres, 0 for the sky.
    pub depth: Vec<f32>,
    /// `[height, width]`, unit normal in the world, smooth as of the surface that the mesh tessellates, 0 for the
    /// sky.
    pub normals: Vec<[f32; 3]>,
}

/// What a scene is made of, before light.
pub(super) struct Scene {
    pub(super) mesh: Mesh,
    pub(super) materials: Vec<Material>,
    pub(super) lighting: Lighting,
}

/// A scene ready to be rendered.
pub(super) struct World {
    pub(super) mesh: Mesh,
    materials: Vec<Material>,
    lighting: Lighting,
    bvh: Bvh,
}

/// A point of a surface.
pub(super) struct SurfacePoint {
    pub(super) position: V3,
    /// Of length 1.
    pub(super) normal: V3,
    /// In metres along the surface.
    pub(super) texture: V3,
    /// sRGB.
    pub(super) colour: [u8; 3],
}

/// The rays of a camera, found once for all its pictures: normalised coordinates of pixel centres, exactly, and
/// of pixel corners, between which samples are interpolated (within a pixel a lens is straight to 1e-3 pixels).
pub(super) struct RayTable {
    width: usize,
    height: usize,
    focal: f32,
    corners: Vec<[f32; 2]>,
    centres: Vec<[f32; 2]>,
}

impl RayTable {
    pub(super) fn new(camera: &Camera) -> Self {
        let (width, height) = (camera.width as usize, camera.height as usize);
        let table = |columns: usize, rows: usize, offset: f64| {
            (0..columns * rows)
                .into_par_iter()
                .map(|i| {
                    let pixel = [(i % columns) as f64 + offset, (i / columns) as f64 + offset];
                    camera.lens.unproject_clamped(pixel).map(|x| x as f32)
                })
                .collect()
        };
        let focal = camera.lens.focal[0] as f32;
        Self { width, height, focal, corners: table(width + 1, height + 1, 0.0), centres: table(width, height, 0.5) }
    }

    fn within(&self, column: usize, row: usize, [x, y]: [f32; 2]) -> [f32; 2] {
        let first = row * (self.width + 1) + column;
        let corner = |i: usize| self.corners[i];
        let (a, b) = (corner(first), corner(first + 1));
        let (c, d) = (corner(first + self.width + 1), corner(first + self.width + 2));
        [0, 1].map(|k| (a[k] * (1.0 - x) + b[k] * x) * (1.0 - y) + (c[k] * (1.0 - x) + d[k] * x) * y)
    }
}

/// Turns normalised coordinates into rays in the world.
struct Eye {
    position: V3,
    axes: [V3; 3],
}

impl Eye {
    fn new(camera_from_world: &Pose) -> Self {
        let world_from_camera = camera_from_world.inverse();
        let rotation = world_from_camera.rotation.to_rotation_matrix();
        let axes = [0, 1, 2].map(|i| rotation.matrix().column(i).map(|x| x as f32).into_owned());
        Self { position: world_from_camera.translation.vector.map(|x| x as f32), axes }
    }

    /// The distance along this ray is depth along the camera's z axis.
    fn ray(&self, [u, v]: [f32; 2]) -> V3 {
        self.axes[0] * u + self.axes[1] * v + self.axes[2]
    }
}

const BAND: usize = 4;

/// Accumulated samples of a pixel, its depth and its normal.
#[derive(Clone, Copy, Default)]
struct Pixel {
    colour: V3,
    covered: f32,
    depth: f32,
    normal: [f32; 3],
}

impl World {
    /// Builds the hierarchy and gathers light.
    pub(super) fn new(scene: Scene, progress: &(dyn Fn(usize, usize) + Sync)) -> Self {
        let Scene { mut mesh, materials, lighting } = scene;
        let bvh = Bvh::new(&mesh);
        light::bake(&mut mesh, &bvh, &materials, &lighting, progress);
        Self { mesh, materials, lighting, bvh }
    }

    /// Renders with `side * side` samples per pixel.
    pub(super) fn render(&self, rays: &RayTable, camera_from_world: &Pose, side: usize, rgba: bool) -> RenderedView {
        let eye = Eye::new(camera_from_world);
        let pattern = sample_pattern(side);
        let bands: Vec<Vec<Pixel>> = (0..rays.height.div_ceil(BAND))
            .into_par_iter()
            .map(|band| self.render_band(rays, &eye, &pattern, band * BAND, rgba))
            .collect();
        let channels = if rgba { 4 } else { 3 };
        let count = rays.width * rays.height;
        let mut view = RenderedView {
            width: rays.width as u32,
            height: rays.height as u32,
            channels,
            pixels: Vec::with_capacity(count * channels),
            depth: Vec::with_capacity(count),
            normals: Vec::with_capacity(count),
        };
        let samples = pattern.len() as f32;
        for pixel in bands.into_iter().flatten() {
            let weight = if rgba { pixel.covered.max(1.0) } else { samples };
            view.pixels.extend(tone_mapped(pixel.colour / weight));
            if rgba {
                view.pixels.push((255.0 * pixel.covered / samples).round() as u8);
            }
            view.depth.push(pixel.depth);
            view.normals.push(pixel.normal);
        }
        view
    }

    fn render_band(&self, rays: &RayTable, eye: &Eye, pattern: &[[f32; 2]], top: usize, rgba: bool) -> Vec<Pixel> {
        let rows = BAND.min(rays.height - top);
        let mut band = vec![Pixel::default(); rows * rays.width];
        for left in (0..rays.width).step_by(BAND) {
            let columns = BAND.min(rays.width - left);
            let place = |i: usize| (left + i % columns, i / columns);
            let index = |i: usize| place(i).1 * rays.width + place(i).0;
            let mut packet = Packet::new(eye.position);
            for i in 0..columns * rows {
                let (column, row) = place(i);
                packet.set(i, eye.ray(rays.centres[(top + row) * rays.width + column]), f32::MAX);
            }
            let hits = self.bvh.nearest(&packet);
            for i in (0..columns * rows).filter(|&i| hits.triangle[i] != MISS) {
                let pixel = &mut band[index(i)];
                pixel.depth = hits.t[i];
                pixel.normal = self.normal(&hits, i).into();
            }
            let samples = columns * rows * pattern.len();
            for start in (0..samples).step_by(LANES) {
                let mut packet = Packet::new(eye.position);
                let lanes = LANES.min(samples - start);
                for lane in 0..lanes {
                    let (column, row) = place((start + lane) / pattern.len());
                    let sample = rays.within(column, top + row, pattern[(start + lane) % pattern.len()]);
                    packet.set(lane, eye.ray(sample), f32::MAX);
                }
                let hits = self.bvh.nearest(&packet);
                for lane in 0..lanes {
                    let pixel = &mut band[index((start + lane) / pattern.len())];
                    let sample_size = 1.0 / (rays.focal * (pattern.len() as f32).sqrt());
                    if hits.triangle[lane] != MISS {
                        pixel.colour += self.shade(&hits, lane, packet.direction(lane), sample_size);
                        pixel.covered += 1.0;
                    } else if !rgba {
                        pixel.colour += self.lighting.sky.radiance(packet.direction(lane).normalize());
                    }
                }
            }
        }
        band
    }

    /// Points on surfaces that a camera sees through the given pixels: position and sRGB colour.
    pub(super) fn look(&self, rays: &RayTable, camera_from_world: &Pose, pixels: &[usize]) -> Vec<(V3, [u8; 3])> {
        let eye = Eye::new(camera_from_world);
        let mut seen = Vec::with_capacity(pixels.len());
        for batch in pixels.chunks(LANES) {
            let mut packet = Packet::new(eye.position);
            for (lane, &pixel) in batch.iter().enumerate() {
                packet.set(lane, eye.ray(rays.centres[pixel]), f32::MAX);
            }
            let hits = self.bvh.nearest(&packet);
            for lane in (0..batch.len()).filter(|&lane| hits.triangle[lane] != MISS) {
                let direction = packet.direction(lane);
                let colour = self.shade(&hits, lane, direction, 1.0 / rays.focal);
                seen.push((eye.position + direction * hits.t[lane], tone_mapped(colour)));
            }
        }
        seen
    }

    /// sRGB colour of a vertex under diffuse light.
    pub(super) fn vertex_colours(&self) -> Vec<[u8; 3]> {
        let mut colours = vec![[0; 3]; self.mesh.vertices.len()];
        for triangle in &self.mesh.triangles {
            let material = &self.materials[triangle.material as usize];
            for index in triangle.vertices {
                let vertex = &self.mesh.vertices[index as usize];
                let colour = material.pattern.colour(vertex.texture, vertex.normal, self.lighting.offset);
                let light = vertex.light.add_scalar(material.emission);
                colours[index as usize] = tone_mapped(colour.component_mul(&light));
            }
        }
        colours
    }

    /// A point of a triangle by its barycentric coordinates, coloured as under diffuse light and seen by a sample of
    /// size `footprint` metres.
    pub(super) fn surface_point(&self, triangle: usize, [u, v]: [f32; 2], footprint: f32) -> SurfacePoint {
        let triangle = &self.mesh.triangles[triangle];
        let material = &self.materials[triangle.material as usize];
        let corners = triangle.vertices.map(|i| &self.mesh.vertices[i as usize]);
        let blend = |value: fn(&Vertex) -> V3| {
            value(corners[0]) * (1.0 - u - v) + value(corners[1]) * u + value(corners[2]) * v
        };
        let (normal, texture) = (blend(|v| v.normal).normalize(), blend(|v| v.texture));
        let colour = material.pattern.colour(texture, normal, footprint);
        let lit = colour.component_mul(&blend(|v| v.light).add_scalar(material.emission));
        SurfacePoint { position: blend(|v| v.position), normal, texture, colour: tone_mapped(lit) }
    }

    fn normal(&self, hits: &Hits, lane: usize) -> V3 {
        let corners = self.mesh.triangles[hits.triangle[lane] as usize].vertices;
        let [a, b, c] = corners.map(|i| self.mesh.vertices[i as usize].normal);
        let (u, v) = (hits.u[lane], hits.v[lane]);
        (a * (1.0 - u - v) + b * u + c * v).normalize()
    }

    fn shade(&self, hits: &Hits, lane: usize, direction: V3, sample_size: f32) -> V3 {
        let triangle = &self.mesh.triangles[hits.triangle[lane] as usize];
        let material = &self.materials[triangle.material as usize];
        let corners = triangle.vertices.map(|i| &self.mesh.vertices[i as usize]);
        let (u, v) = (hits.u[lane], hits.v[lane]);
        let weights = [1.0 - u - v, u, v];
        let blend = |value: fn(&Vertex) -> V3| {
            value(corners[0]) * weights[0] + value(corners[1]) * weights[1] + value(corners[2]) * weights[2]
        };
        let normal = blend(|v| v.normal).normalize();
        let view = -direction.normalize();
        let facing = normal.dot(&view).abs().max(0.25);
        let footprint = hits.t[lane] * sample_size / facing;
        let colour = material.pattern.colour(blend(|v| v.texture), normal, footprint);
        let mut out = colour.component_mul(&blend(|v| v.light).add_scalar(material.emission));
        if material.gloss > 0.0 {
            let lit: f32 = (0..3).map(|k| corners[k].lit * weights[k]).sum();
            out += self.reflection(material, blend(|v| v.position), normal, view, lit);
        }
        out
    }

    /// Sky and the first light, mirrored with Schlick's Fresnel factor; what stands in between is ignored.
    fn reflection(&self, material: &Material, point: V3, normal: V3, view: V3, lit: f32) -> V3 {
        let cosine = normal.dot(&view).max(0.0);
        let fresnel = 0.04 + 0.96 * (1.0 - cosine).powi(5);
        let mirrored = normal * (2.0 * cosine) - view;
        let mut out = self.lighting.sky.radiance(mirrored) * (fresnel * (0.3 + 0.7 * lit));
        if let Some(light) = self.lighting.lights.first() {
            let to_light = (light.centre - point).normalize();
            let highlight = mirrored.dot(&to_light).max(0.0).powf(material.sharpness);
            out += V3::repeat(1.6 * highlight * lit);
        }
        out * material.gloss
    }
}

/// Offsets within a pixel of `side * side` samples with different columns and rows.
pub(super) fn sample_pattern(side: usize) -> Vec<[f32; 2]> {
    let n = side as f32;
    (0..side * side)
        .map(|s| {
            let (i, j) = ((s % side) as f32, (s / side) as f32);
            [(i + (j + 0.5) / n) / n, (j + (i + 0.5) / n) / n]
        })
        .collect()
}

/// Linear light to sRGB bytes through a filmic curve (Narkowicz' fit of ACES).
fn tone_mapped(linear: V3) -> [u8; 3] {
    let channel = |x: f32| {
        let x = 0.62 * x;
        let y = ((x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14)).clamp(0.0, 1.0);
        let s = if y <= 0.003_130_8 { 12.92 * y } else { 1.055 * y.powf(1.0 / 2.4) - 0.055 };
        (255.0 * s).round() as u8
    };
    [channel(linear.x), channel(linear.y), channel(linear.z)]
}
