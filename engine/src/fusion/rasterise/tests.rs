use super::*;
use crate::fusion::normals::{Normals, unevenness};
use crate::fusion::remesh::Edges;
use crate::fusion::tests::ball;
use crate::fusion::vector::{length, scaled, sub};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg32;
use tessera_camera::{Camera, Distortion};

type D3 = V3<f64>;

/// An eye three units before the origin, looking at it, through a lens that may distort.
fn eye(width: u32, height: u32, distortion: Distortion) -> Eye {
    let mut camera = Camera::from_horizontal_fov(width, height, 0.9);
    camera.lens.distortion = distortion;
    let rotation = [[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]];
    Eye { rotation, translation: [0.0, 0.0, 3.0], lens: camera.lens, rays: Plane::new(&camera) }
}

/// A ball of radius 1 whose vertices were moved at random.
fn rough_ball(rng: &mut Pcg32) -> (Vec<D3>, Vec<[u32; 3]>) {
    let (positions, triangles) = ball(2);
    let mut moved = |p: &V3<f32>| p.map(|x| f64::from(x) + rng.random_range(-0.08..0.08));
    (positions.iter().map(&mut moved).collect(), triangles)
}

/// A number that depends on all pixels, with random weights.
struct Weights(Vec<Pixel<f64>>);

impl Weights {
    fn of(&self, drawing: &Drawing<f64>) -> f64 {
        let products = drawing.pixels.iter().flatten().zip(self.0.iter().flatten()).map(|(a, b)| a * b);
        products.sum()
    }
}

/// Whether two pictures show the same triangles in the same pixels, and outlines in the same places: then nothing has jumped.
fn is_alike(a: &Drawing<f64>, b: &Drawing<f64>) -> bool {
    let outline =
        |(a, b): (&Blend<f64>, &Blend<f64>)| (a.pixels, a.ends, a.share > 0.5) == (b.pixels, b.ends, b.share > 0.5);
    let outlines = a.blends.len() == b.blends.len() && a.blends.iter().zip(&b.blends).all(outline);
    a.cover.triangles == b.cover.triangles && outlines
}

/// The derivative along a direction by central differences; `None` where the picture's structure changes on the way.
fn central(draw_at: &dyn Fn(f64) -> Drawing<f64>, weights: &Weights) -> Option<f64> {
    const STEP: f64 = 1e-6;
    let (before, here, after) = (draw_at(-STEP), draw_at(0.0), draw_at(STEP));
    let is_smooth = is_alike(&before, &here) && is_alike(&after, &here);
    is_smooth.then(|| (weights.of(&after) - weights.of(&before)) / (2.0 * STEP))
}

#[test]
fn derivatives_are_those_of_central_differences() {
    let seed = tessera_test_seed::test_seed();
    let mut rng = Pcg32::seed_from_u64(seed);
    let lenses = [Distortion::None, Distortion::Polynomial { k: [-0.1, 0.02, 0.0, 0.0, 0.0, 0.0], p: [1e-3, -1e-3] }];
    let mut compared = 0;
    for distortion in lenses {
        let eye = eye(40, 32, distortion);
        let (positions, triangles) = rough_ball(&mut rng);
        let neighbours = Edges::of(&triangles, positions.len()).expect("a ball is closed").neighbours();
        let mut random =
            |n: usize| -> Vec<D3> { (0..n).map(|_| [0; 3].map(|_| rng.random_range(-1.0..1.0))).collect() };
        let (normals, direction, turn) = (random(positions.len()), random(positions.len()), random(positions.len()));
        let weights = Weights((0..40 * 32).map(|_| [0; 4].map(|_| rng.random_range(-1.0..1.0))).collect());
        let along = |from: &[D3], to: &[D3], by: f64| -> Vec<D3> {
            from.iter().zip(to).map(|(a, b)| add(*a, scaled(*b, by))).collect()
        };
        let draw_with = |positions: &[D3], normals: &[D3]| {
            draw(&eye, &Shape { positions, normals, triangles: &triangles, neighbours: &neighbours }, Planes::default())
        };
        let mut drawing = draw_with(&positions, &normals);
        assert!(drawing.blends.len() > 20, "seed {seed}: a ball has an outline");
        let shape = Shape { positions: &positions, normals: &normals, triangles: &triangles, neighbours: &neighbours };
        drawing.of_pixels.clone_from(&weights.0);
        let gradient = drawing.backward(&eye, &shape);
        let product = |a: &[D3], b: &[D3]| a.iter().zip(b).map(|(a, b)| dot(*a, *b)).sum::<f64>();
        let pairs = [
            (
                "positions",
                product(&gradient.positions, &direction),
                central(&|h| draw_with(&along(&positions, &direction, h), &normals), &weights),
            ),
            (
                "normals",
                product(&gradient.normals, &turn),
                central(&|h| draw_with(&positions, &along(&normals, &turn, h)), &weights),
            ),
        ];
        for (what, exact, numeric) in pairs {
            let Some(numeric) = numeric else { continue };
            // Differences of sums of a thousand numbers of size 1 in double precision, over 2e-6: 1e-7; curvature is less.
            let error = (exact - numeric).abs() / (1.0 + exact.abs());
            assert!(error < 1e-4, "seed {seed}, {distortion:?}: by {what} {exact}, by differences {numeric}");
            compared += 1;
        }
    }
    assert!(compared >= 2, "seed {seed}: the picture's structure does not change with normals");
}

#[test]
fn derivatives_through_normals_and_unevenness_are_those_of_central_differences() {
    const STEP: f64 = 1e-6;
    let seed = tessera_test_seed::test_seed();
    let mut rng = Pcg32::seed_from_u64(seed);
    let (positions, triangles) = rough_ball(&mut rng);
    let edges = Edges::of(&triangles, positions.len()).expect("a ball is closed");
    let mut random = || -> Vec<D3> { positions.iter().map(|_| [0; 3].map(|_| rng.random_range(-1.0..1.0))).collect() };
    let (weights, direction) = (random(), random());
    let value = |h: f64| {
        let moved: Vec<D3> = positions.iter().zip(&direction).map(|(p, d)| add(*p, scaled(*d, h))).collect();
        let normals = Normals::of(&moved, &triangles);
        let product: f64 = normals.units.iter().zip(&weights).map(|(n, w)| dot(*n, *w)).sum();
        product + unevenness(&moved, &triangles, &edges, 3.0, &mut vec![[0.0; 3]; moved.len()])
    };
    let mut gradient = vec![[0.0; 3]; positions.len()];
    Normals::of(&positions, &triangles).backward(&positions, &triangles, &weights, &mut gradient);
    unevenness(&positions, &triangles, &edges, 3.0, &mut gradient);
    let exact: f64 = gradient.iter().zip(&direction).map(|(g, d)| dot(*g, *d)).sum();
    let numeric = (value(STEP) - value(-STEP)) / (2.0 * STEP);
    let error = (exact - numeric).abs() / (1.0 + exact.abs());
    assert!(error < 1e-4, "seed {seed}: {exact}, by differences {numeric}");
}

#[test]
fn a_ball_covers_what_it_should_and_shows_its_normals() {
    let eye = eye(96, 80, Distortion::None);
    let (positions, triangles) = ball(5);
    let neighbours = Edges::of(&triangles, positions.len()).expect("a ball is closed").neighbours();
    let drawing = draw(
        &eye,
        &Shape { positions: &positions, normals: &positions, triangles: &triangles, neighbours: &neighbours },
        Planes::default(),
    );
    // Seen from a distance of 3 the outline is a circle of tangent 1/√8.
    let radius = eye.lens.focal[0] / 8.0f64.sqrt();
    let covered: f64 = drawing.pixels.iter().map(|p| f64::from(p[3])).sum();
    let expected = std::f64::consts::PI * radius * radius;
    // Pixels are off by less than 1/8 each on average along an outline of 2 π r of them; at random most of that cancels.
    assert!((covered / expected - 1.0).abs() < 0.01, "{covered} pixels instead of {expected}");
    for (i, pixel) in drawing.pixels.iter().enumerate().filter(|(i, _)| drawing.cover.nearness[*i] > 0.0) {
        if drawing.blends.iter().any(|b| b.pixels.contains(&i)) {
            continue;
        }
        // Where the ray meets the ball.
        let ray: V3<f64> = eye.rays.ray(i);
        let (square, along) = (dot(ray, ray), 3.0 * ray[2]);
        let depth = (along - (along * along - square * 8.0).max(0.0).sqrt()) / square;
        let place = sub(scaled(ray, depth), [0.0, 0.0, 3.0]);
        let normal = turned(&eye.rotation.map(|r| r.map(f64::from)), [0, 1, 2].map(|k| f64::from(pixel[k])));
        // With edges of 0.05 a triangle lies up to 0.001 below the ball, which near the outline moves what is seen by the root of that.
        assert!(length(sub(normal, place)) < 0.06, "pixel {i} shows {normal:?} instead of {place:?}");
    }
}

#[test]
fn single_and_double_precision_draw_the_same() {
    let seed = tessera_test_seed::test_seed();
    let (positions, triangles) = rough_ball(&mut Pcg32::seed_from_u64(seed));
    let single: Vec<V3<f32>> = positions.iter().map(|p| p.map(|x| x as f32)).collect();
    let double: Vec<D3> = single.iter().map(|p| p.map(f64::from)).collect();
    let neighbours = Edges::of(&triangles, positions.len()).expect("a ball is closed").neighbours();
    let eye = eye(40, 32, Distortion::None);
    let a = draw(
        &eye,
        &Shape { positions: &single, normals: &single, triangles: &triangles, neighbours: &neighbours },
        Planes::default(),
    );
    let b = draw(
        &eye,
        &Shape { positions: &double, normals: &double, triangles: &triangles, neighbours: &neighbours },
        Planes::default(),
    );
    let differ = a.cover.triangles.iter().zip(&b.cover.triangles).filter(|(a, b)| a != b).count();
    // Corners in the camera's space are rounded: a ray within 1e-7 of an edge may fall on its other side.
    assert!(differ <= 2, "seed {seed}: {differ} of 1280 pixels show another triangle");
}
