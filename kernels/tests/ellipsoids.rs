//! The footprints of Gaussians that are given by their covariances, and the gradients of these.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tessera_camera::{Camera, Distortion, Lens, Pose};
use tessera_kernels::camera_projection::{
    Ellipsoid, FootprintGradient, View, project_ellipsoid, project_ellipsoid_backward,
};

fn view() -> View {
    let distortion = Distortion::None;
    let camera = Camera { width: 64, height: 48, lens: Lens { focal: [60.0, 55.0], centre: [31.0, 25.0], distortion } };
    let turn = nalgebra::UnitQuaternion::from_euler_angles(0.1, -0.2, 0.3);
    View::new(&camera, &Pose::from_parts(nalgebra::Translation3::new(0.1, -0.2, 3.0), turn))
}

/// Mean 3, covariance 6, opacity 1.
fn loss(p: &[f64; 10], view: &View, antialiased: bool, v: &FootprintGradient<f64>) -> f64 {
    let f = project_ellipsoid(view, &ellipsoid(p), 0.2, antialiased);
    let pairs = [(v.mean2d[0], f.mean2d[0]), (v.mean2d[1], f.mean2d[1]), (v.z, f.z), (v.opacity, f.opacity)];
    let conic: f64 = (0..3).map(|k| v.conic[k] * f.conic[k]).sum();
    conic + pairs.iter().map(|(v, f)| v * f).sum::<f64>()
}

fn ellipsoid(p: &[f64; 10]) -> Ellipsoid<f64> {
    Ellipsoid { mean: [p[0], p[1], p[2]], covariance: std::array::from_fn(|k| p[3 + k]), opacity: p[9] }
}

#[test]
fn gradients_of_footprints_are_their_differences() {
    const STEP: f64 = 1e-6;
    let seed = tessera_test_seed::test_seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let view = view();
    for round in 0..200 {
        let mut random = |low: f64, high: f64| rng.random_range(low..high);
        let mean: [f64; 3] = std::array::from_fn(|_| random(-0.4, 0.4));
        let root = nalgebra::Matrix3::from_fn(|_, _| random(-0.3, 0.3));
        // No thinner than two pixels: the square root in the antialiased opacity has no difference at a disc seen from its edge.
        let c = root * root.transpose() + nalgebra::Matrix3::identity() * 0.01;
        let covariance = [c[(0, 0)], c[(0, 1)], c[(0, 2)], c[(1, 1)], c[(1, 2)], c[(2, 2)]];
        let v = FootprintGradient {
            mean2d: [random(-1.0, 1.0), random(-1.0, 1.0)],
            conic: [random(-9.0, 9.0), random(-9.0, 9.0), random(-9.0, 9.0)],
            z: random(-1.0, 1.0),
            opacity: random(-9.0, 9.0),
        };
        let mut p = [0.0; 10];
        p[..3].copy_from_slice(&mean);
        p[3..9].copy_from_slice(&covariance);
        p[9] = random(0.1, 0.9);
        let antialiased = round % 2 == 1;
        let g = project_ellipsoid_backward(&view, &ellipsoid(&p), antialiased, &v);
        let got: Vec<f64> = g.mean.into_iter().chain(g.covariance).chain([g.opacity]).collect();
        let difference = |i: usize| {
            let moved = |by: f64| {
                let mut q = p;
                q[i] += by;
                loss(&q, &view, antialiased, &v)
            };
            (moved(STEP) - moved(-STEP)) / (2.0 * STEP)
        };
        let differences: Vec<f64> = (0..10).map(difference).collect();
        // Rounding errs by 1e-16 / 1e-6 of a loss of some hundred, 1e-8 times as much; the square of the step leaves 1e-12 of a
        // third derivative, which covariances of 0.01 make up to 1e4 times the gradient.
        let largest = differences.iter().fold(1.0f64, |m, d| m.max(d.abs()));
        for (i, (got, wanted)) in got.iter().zip(&differences).enumerate() {
            let message = format!("seed {seed}, round {round}, parameter {i}: {got} instead of {wanted}");
            assert!((got - wanted).abs() < 1e-7 * largest, "{message}");
        }
    }
}
