//! Drawing a shape from anywhere, as the viewer draws it: rays go on by the distance that the field says is free, and a light beside the
//! camera falls on what they meet.

use super::Shape;
use crate::meshing::Distances;
use crate::rays::RayMaker;
use crate::rays::paint::{Seen, paint};
use crate::rays::scene_box::SceneBox;
use crate::render::Painter;
use nalgebra::{Translation3, UnitQuaternion, Vector3};
use std::ops::Range;
use tessera_datasets::camera::Similarity;
use tessera_kernels::camera_projection::View;
use tessera_kernels::occupancy::MarchedRay;
use tessera_kernels::splat::Rendering;

/// Pixels looked at together.
const PIXELS: usize = 64;
/// Rays along each side of a pixel, so that edges are smooth.
const FINENESS: usize = 2;
const STEPS: usize = 256;
/// Share of a distance that is gone at once. What is learned is only about a distance.
const STRIDE: f32 = 0.8;
/// No step is shorter than this share of a ray's width: rays along a surface would hardly come on.
const LEAST_STRIDE: f32 = 0.5;
/// A surface is where the distance is less than this share of a ray's width, or of a cell of the finest grid.
const WIDTH_SHARE: f32 = 0.1;
const CELL_SHARE: f32 = 0.02;
/// A ray goes on by so many times the distance at most when it is near enough.
const FARTHEST: f32 = 4.0;
/// Of the inside, where the camera cuts into the solid.
const CUT_COLOUR: [f32; 3] = [0.78, 0.42, 0.30];
/// Directions to the corners of a tetrahedron, over which slopes are differences.
const TETRAHEDRON: [[f32; 3]; 4] = [[-1.0; 3], [1.0, 1.0, -1.0], [1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]];

/// Draws a shape on a background.
#[derive(Debug)]
pub struct ShapePainter<'a> {
    shape: &'a Shape,
    background: [f32; 3],
    scene_from_world: Similarity,
    rendering: Rendering,
}

impl<'a> ShapePainter<'a> {
    /// Gets ready.
    pub fn new(shape: &'a Shape, background: [f32; 3]) -> Self {
        let (centre, scale) = (shape.shape_box.centre, 1.0 / shape.shape_box.side);
        let towards = Translation3::from(-scale * Vector3::from(centre));
        let scene_from_world = Similarity::from_parts(towards, UnitQuaternion::identity(), scale);
        Self { shape, background, scene_from_world, rendering: Rendering::default() }
    }
}

impl Painter for ShapePainter<'_> {
    fn scene_from_world(&self) -> &Similarity {
        &self.scene_from_world
    }

    fn draw(&mut self, view: &View, _median_depth: bool) -> &Rendering {
        let (shape, background) = (self.shape, self.background);
        let cube = SceneBox { corners: [[-0.5; 3], [0.5; 3]] };
        let ray_width = (1.0 / (FINENESS as f64 * view.lens.focal[0])) as f32;
        paint(view, &cube, PIXELS, &mut self.rendering, |rays: &mut Rays, maker, pixels, seen| {
            rays.start(maker, pixels, view.width);
            rays.march(shape, ray_width);
            rays.shade(shape, ray_width);
            seen.extend(rays.of_pixels(background));
        });
        &self.rendering
    }
}

/// What a ray has come to.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
    colour: [f32; 3],
    /// Along the ray, in sides of the cube.
    distance: f32,
}

/// A ray on its way.
#[derive(Clone, Copy, Debug)]
struct Marching {
    ray: MarchedRay,
    /// Its number among all.
    number: usize,
    t: f32,
    /// The place before and the distance there.
    before: [f32; 2],
}

/// The rays of a few pixels.
#[derive(Default)]
struct Rays {
    marching: Vec<Marching>,
    arrived: Vec<Marching>,
    met: Vec<Option<Met>>,
    places: Vec<[f32; 3]>,
    distances: Vec<f32>,
    scratch: <Shape as Distances>::Scratch,
}

impl Rays {
    /// Those of each pixel one after the other.
    fn start(&mut self, maker: &RayMaker, pixels: Range<usize>, width: usize) {
        self.marching.clear();
        self.arrived.clear();
        self.met.clear();
        self.met.resize(pixels.len() * FINENESS * FINENESS, None);
        for number in 0..self.met.len() {
            let (pixel, part) = (pixels.start + number / (FINENESS * FINENESS), number % (FINENESS * FINENESS));
            let inside = |k: usize| (k as f64 + 0.5) / FINENESS as f64;
            let at =
                [(pixel % width) as f64 + inside(part % FINENESS), (pixel / width) as f64 + inside(part / FINENESS)];
            if let Some(ray) = maker.ray(at) {
                let t = ray.near_far[0];
                self.marching.push(Marching { ray, number, t, before: [t, 0.0] });
            }
        }
    }

    /// Follows all rays until they meet the surface or leave the cube. `width` is a ray's at the distance 1.
    fn march(&mut self, shape: &Shape, width: f32) {
        let cell = CELL_SHARE * shape.finest_cell();
        for _ in 0..STEPS {
            if self.marching.is_empty() {
                break;
            }
            self.ask(shape, |marching, places| places.extend(marching.iter().map(|m| m.ray.at(m.t))));
            let (mut asked, distances, arrived) = (0, &self.distances, &mut self.arrived);
            self.marching.retain_mut(|m| {
                let distance = distances[asked];
                asked += 1;
                if distance < (WIDTH_SHARE * width * m.t).max(cell) {
                    m.t = m.meeting(distance);
                    arrived.push(*m);
                    return false;
                }
                m.before = [m.t, distance];
                m.t += (STRIDE * distance).max(LEAST_STRIDE * width * m.t);
                m.t <= m.ray.near_far[1]
            });
        }
    }

    /// Lights what rays have met.
    fn shade(&mut self, shape: &Shape, width: f32) {
        let finest = shape.finest_cell();
        let reach = |m: &Marching| 0.5 * finest.max(width * m.t);
        std::mem::swap(&mut self.marching, &mut self.arrived);
        self.ask(shape, |arrived, places| {
            places.extend(arrived.iter().flat_map(|m| {
                let (place, reach) = (m.ray.at(m.t), reach(m));
                TETRAHEDRON.map(|corner| std::array::from_fn(|k| place[k] + reach * corner[k]))
            }));
        });
        for (m, distances) in self.marching.iter().zip(self.distances.chunks_exact(TETRAHEDRON.len())) {
            let corners = TETRAHEDRON.iter().zip(distances);
            let slope: Vector3<f32> = corners.map(|(corner, distance)| *distance * Vector3::from(*corner)).sum();
            let facing = slope.dot(&Vector3::from(m.ray.direction)).abs() / slope.norm().max(1e-15);
            let colour = if m.t <= m.ray.near_far[0] { CUT_COLOUR } else { [0.25 + 0.75 * facing; 3] };
            self.met[m.number] = Some(Met { colour, distance: m.t });
        }
    }

    /// The distances at the places that rays want to know.
    fn ask(&mut self, shape: &Shape, places: impl FnOnce(&[Marching], &mut Vec<[f32; 3]>)) {
        self.places.clear();
        self.distances.clear();
        places(&self.marching, &mut self.places);
        shape.append(&mut self.scratch, &self.places, &mut self.distances);
    }

    /// The mean of each pixel's rays.
    fn of_pixels(&self, background: [f32; 3]) -> impl Iterator<Item = Seen> + '_ {
        self.met.chunks_exact(FINENESS * FINENESS).map(move |rays| {
            let of_rays = 1.0 / rays.len() as f32;
            let mut met: Vec<&Met> = rays.iter().flatten().collect();
            let transmittance = 1.0 - met.len() as f32 * of_rays;
            let colour =
                |k: usize| met.iter().map(|m| of_rays * m.colour[k]).sum::<f32>() + transmittance * background[k];
            let colour = std::array::from_fn(colour);
            met.sort_by(|a, b| a.distance.total_cmp(&b.distance));
            let distance = met.get((rays.len() - 1) / 2).map_or(0.0, |m| m.distance);
            Seen { colour, transmittance, distance }
        })
    }
}

impl Marching {
    /// Where it meets a surface that is near: where a straight line through both distances is zero, not far on where the ray grazes it.
    fn meeting(&self, distance: f32) -> f32 {
        let [near, far] = self.ray.near_far;
        if self.t == near {
            return near;
        }
        let [before, distance_before] = self.before;
        let on = (self.t - before) * distance / (distance_before - distance).max(1e-12);
        (self.t + on.clamp(before - self.t, FARTHEST * distance.max(0.0))).min(far)
    }
}

impl Shape {
    /// Width of a cell of the finest grid, in sides of the cube.
    fn finest_cell(&self) -> f32 {
        self.field.grid.levels().iter().map(|level| level.scale).fold(1.0, f32::max).recip()
    }
}
