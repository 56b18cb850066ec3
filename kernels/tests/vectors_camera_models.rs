//! Lens models against golden vectors, in double and single precision, in SIMD lanes, and in the
//! CUDA kernels on the emulator.

mod common;

use common::{Case, for_each_case};
use tessera_camera::{Lens, LensModel, Projected, Real};
#[cfg(target_arch = "x86_64")]
use tessera_kernels::simd::{Avx2, Backend, best_backend};
use tessera_kernels::simd::{Lanes, Portable};

/// Projects points with one number type; each result is converted to `f64`.
type ProjectAll = fn(&Lens, &[[f32; 3]]) -> Vec<Projected<f64>>;

fn scalar<R: Real + From<f32> + Into<f64>>(lens: &Lens, points: &[[f32; 3]]) -> Vec<Projected<f64>> {
    points.iter().map(|p| convert(&lens.project(p.map(R::from)), R::into)).collect()
}

#[inline(always)]
fn lanes<V: Lanes>(lens: &Lens, points: &[[f32; 3]]) -> Vec<Projected<f64>> {
    let mut out = Vec::new();
    for group in points.chunks(8) {
        let column = |c: usize| V::from_array(std::array::from_fn(|i| group[i.min(group.len() - 1)][c]));
        let projected = lens.project([column(0), column(1), column(2)]);
        out.extend((0..group.len()).map(|i| convert(&projected, |x: V| f64::from(x.to_array()[i]))));
    }
    out
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(lens: &Lens, points: &[[f32; 3]]) -> Vec<Projected<f64>> {
    lanes::<Avx2>(lens, points)
}

fn convert<R: Copy>(p: &Projected<R>, f: impl Fn(R) -> f64) -> Projected<f64> {
    Projected { pixel: p.pixel.map(&f), d_point: p.d_point.map(|r| r.map(&f)), d_params: p.d_params.map(|r| r.map(&f)) }
}

/// For each parameter of the model, the columns of `Projected::d_params` whose sum is its derivative: a single focal
/// length is both fx and fy.
fn columns(model: LensModel) -> Vec<Vec<usize>> {
    if model == LensModel::SimpleRadial {
        return vec![vec![0, 1], vec![2], vec![3], vec![4]];
    }
    (0..model.parameter_count()).map(|c| vec![c]).collect()
}

fn check(case: &Case, project: ProjectAll) {
    let model = LensModel::from_name(case.name).expect("a model that we know");
    let params: Vec<f64> = case.f32("params").into_iter().map(f64::from).collect();
    let lens = model.lens(&params).expect("as many parameters as the model has");

    let points = case.f32("points");
    let projected = project(&lens, points.as_chunks().0);
    let flatten = |f: &dyn Fn(&Projected<f64>) -> Vec<f64>| projected.iter().flat_map(f).collect::<Vec<f64>>();
    case.compare("pixels", &flatten(&|p| p.pixel.to_vec()));
    case.compare("d_pixels_d_points", &flatten(&|p| p.d_point.concat()));
    let columns = columns(model);
    let row = |row: &[f64; 12]| columns.iter().map(|c| c.iter().map(|&i| row[i]).sum()).collect::<Vec<f64>>();
    case.compare("d_pixels_d_params", &flatten(&|p| p.d_params.iter().flat_map(row).collect()));

    let pixels = case.f32("pixels_in");
    let uv: Vec<[f64; 2]> = pixels
        .as_chunks()
        .0
        .iter()
        .map(|p: &[f32; 2]| lens.unproject(p.map(f64::from)).unwrap_or_else(|e| panic!("{}: {e}", case.name)))
        .collect();
    case.compare("uv", uv.as_flattened());
    let rays: Vec<[f32; 3]> = uv.iter().map(|uv| [uv[0] as f32, uv[1] as f32, 1.0]).collect();
    let inverse: Vec<f64> = project(&lens, &rays).iter().flat_map(inverse_of_uv_jacobian).collect();
    case.compare("d_uv_d_pixels", &inverse);
}

/// At z = 1 the first two columns of ∂pixel/∂point are ∂pixel/∂(u, v).
fn inverse_of_uv_jacobian(p: &Projected<f64>) -> [f64; 4] {
    let [[a, b, _], [c, d, _]] = p.d_point;
    let det = a * d - b * c;
    [d / det, -b / det, -c / det, a / det]
}

#[test]
fn lenses_match_in_double_precision() {
    for_each_case("camera_models", "f64", |case| check(case, scalar::<f64>));
}

#[test]
fn lenses_match_in_single_precision() {
    for_each_case("camera_models", "f32", |case| check(case, scalar::<f32>));
}

#[test]
fn lenses_match_in_portable_lanes() {
    for_each_case("camera_models", "portable", |case| check(case, lanes::<Portable>));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn lenses_match_in_avx2_lanes() {
    if best_backend() != Backend::Avx2 {
        println!("skipped: this processor has no AVX2");
        return;
    }
    // SAFETY: the processor has AVX2 and FMA.
    for_each_case("camera_models", "avx2", |case| check(case, |lens, points| unsafe { avx2(lens, points) }));
}

mod emulator {
    use super::common::for_each_case_of;
    use super::{Case, LensModel};
    use tessera_camera::{Camera, Pose};
    use tessera_kernels::camera_projection::View;
    use tessera_kernels::camera_projection::cuda::SELF_TEST;
    use tessera_kernels::device::{Device, Launch};

    /// Kernels need neither the derivatives by the lens's parameters nor its inverse.
    pub(super) const OUTPUTS: [&str; 2] = ["pixels", "d_pixels_d_points"];

    pub(super) fn check(case: &Case, device: &Device) {
        let model = LensModel::from_name(case.name).expect("a model that we know");
        let params: Vec<f64> = case.f32("params").into_iter().map(f64::from).collect();
        let lens = model.lens(&params).expect("as many parameters as the model has");
        let camera = Camera { width: 64, height: 48, lens };
        let points = case.f32("points");
        let count = points.len() / 3;
        let stream = device.stream().expect("a stream");
        let kernel = device.kernel(&SELF_TEST, "project_points").expect("a kernel");
        let points = device.upload(&points, "points").expect("memory");
        let mut pixels = device.buffer::<f32>(2 * count, "pixels").expect("memory");
        let mut jacobians = device.buffer::<f32>(6 * count, "jacobians").expect("memory");
        let view = (&View::new(&camera, &Pose::identity())).into();
        let arguments: (_, _, tessera_kernels::camera_projection::cuda::Camera, _, _) =
            (&points, count as u32, view, &mut pixels, &mut jacobians);
        kernel.launch(&stream, Launch::linear(count, 256), arguments).expect("a launch");
        case.compare("pixels", &pixels.read(&stream).expect("pixels"));
        case.compare("d_pixels_d_points", &jacobians.read(&stream).expect("jacobians"));
    }

    #[test]
    fn lenses_match_on_the_device() {
        let device = tessera_emulator::device();
        for_each_case_of("camera_models", "emulator", Some(&OUTPUTS), |case| check(case, &device));
    }
}

mod gpu {
    use super::common::for_each_case_of;
    use super::emulator::{OUTPUTS, check};

    #[test]
    #[ignore = "needs an NVIDIA GPU"]
    fn lenses_match_on_the_device() {
        let device = tessera_emulator::gpu();
        for_each_case_of("camera_models", "GPU", Some(&OUTPUTS), |case| check(case, &device));
    }
}
