//! Adam, sorts, sums, lenses.

use crate::scenes::{cameras, fresh_rng};
use crate::{assert_close, stream};
use rand::RngExt;
use tessera_camera::Pose;
use tessera_kernels::adam::cuda::{Adam, AdamUpdate, Moments, PairMoments, PairsAdam};
use tessera_kernels::adam::{self, AdamSettings, SparseMoments};
use tessera_kernels::camera_projection::View;
use tessera_kernels::camera_projection::cuda::{Camera, SELF_TEST};
use tessera_kernels::device::{Device, Launch};
use tessera_kernels::sort::cuda::{RadixSort, Scan};

pub fn adam_steps_as_on_the_cpu(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let adam = Adam::new(device).expect("a kernel");
    let settings = AdamSettings::default();
    for (rows, columns, with_factors) in [(0usize, 1usize, false), (1, 1, false), (1001, 3, false), (333, 5, true)] {
        let len = rows * columns;
        let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.random_range(-1.0..1.0)).collect() };
        let (mut params, factors) = (draw(len), draw(rows));
        let factors = with_factors.then_some(factors);
        let mut moments = adam::Moments::zeros(len);
        let mut on_device = device.upload(&params, "parameters").expect("memory");
        let mut device_moments = Moments::zeros(device, len).expect("memory");
        let device_factors = factors.as_ref().map(|f| device.upload(f, "factors").expect("memory"));
        for step in 1..=4 {
            let gradient = draw(len);
            adam::step_rows(&mut params, &gradient, &mut moments, &settings, 0.01, step, factors.as_deref());
            let gradient = device.upload(&gradient, "a gradient").expect("memory");
            let update = AdamUpdate::new(&settings, 0.01, step);
            adam.step_rows(&stream, &mut on_device, &gradient, &mut device_moments, update, device_factors.as_ref())
                .expect("a step");
        }
        // Rounding of twelve operations a step.
        assert_close("params", &on_device.read(&stream).expect("a copy"), &params, 1e-6);
        assert_close("first moments", &device_moments.first.read(&stream).expect("a copy"), &moments.first, 1e-6);
        assert_close("second moments", &device_moments.second.read(&stream).expect("a copy"), &moments.second, 1e-6);
    }
}

pub fn rows_with_a_gradient_step_as_on_the_cpu(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let settings = AdamSettings { beta1: 0.9, beta2: 0.99, epsilon: 1e-15 };
    let adam = PairsAdam::new(device, settings).expect("a kernel");
    let rows = 701;
    let mut params: Vec<f32> = (0..2 * rows).map(|_| rng.random_range(-1.0..1.0)).collect();
    let mut moments = SparseMoments::zeros(rows, 2);
    moments.steps[3] = u32::MAX - 1;
    let mut on_device = device.upload(&params, "parameters").expect("memory");
    let mut device_moments = PairMoments::zeros(device, rows).expect("memory");
    device_moments.write(&moments, &stream).expect("a copy");
    for _ in 0..4 {
        let mut gradient = vec![0.0f32; 2 * rows];
        for row in (0..rows).filter(|row| *row == 3 || rng.random_bool(0.4)).collect::<Vec<_>>() {
            gradient[2 * row + 1] = rng.random_range(-1.0..1.0);
            if rng.random_bool(0.5) {
                gradient[2 * row] = rng.random_range(-1.0..1.0);
            }
        }
        let of_step = device.upload(&gradient, "a gradient").expect("memory");
        adam.step(&stream, &mut on_device, &of_step, &mut device_moments, 0.01).expect("a step");
        adam::step_pairs(&mut params, &mut gradient, &mut moments, &settings, 0.01);
    }
    // Rounding of a dozen operations a step.
    assert_close("params", &on_device.read(&stream).expect("a copy"), &params, 1e-6);
    let found = device_moments.read(&stream).expect("a copy");
    assert_close("first moments", &found.first, &moments.first, 1e-6);
    assert_close("second moments", &found.second, &moments.second, 1e-6);
    assert_eq!(found.steps, moments.steps, "how many steps rows have taken");
}

pub fn sorts_are_stable_and_complete(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let mut sort = RadixSort::new(device).expect("kernels");
    // More than one part of 4096, and fewer pairs than the buffers hold.
    for (capacity, count, bits) in
        [(0, 0, 32), (1, 1, 32), (40, 33, 8), (9000, 8700, 13), (5000, 5000, 32), (700, 0, 9)]
    {
        let keys: Vec<u32> = (0..capacity).map(|_| rng.random::<u32>() & (u32::MAX >> (32 - bits))).collect();
        let values: Vec<u32> = (0..capacity as u32).collect();
        let mut expected: Vec<(u32, u32)> = keys.iter().copied().zip(values.iter().copied()).take(count).collect();
        expected.sort_by_key(|pair| pair.0);
        let (mut k, mut v) =
            (device.upload(&keys, "keys").expect("memory"), device.upload(&values, "values").expect("memory"));
        let counts = device.upload(&[7, count as u32], "counts").expect("memory");
        sort.sort_pairs(&stream, &mut k, &mut v, (&counts, 1), bits).expect("a sort");
        let (k, v) = (k.read(&stream).expect("keys"), v.read(&stream).expect("values"));
        let sorted: Vec<(u32, u32)> = k.into_iter().zip(v).take(count).collect();
        assert_eq!(sorted, expected, "{count} pairs of {bits} bits");
    }
}

pub fn sums_are_exclusive(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let scan = Scan::new(device).expect("a kernel");
    for len in [0usize, 1, 32, 1023, 1024, 2500] {
        let values: Vec<u32> = (0..len).map(|_| rng.random_range(0..1000)).collect();
        let mut buffer = device.upload(&values, "values").expect("memory");
        let mut total = device.zeros::<u32>(2, "the total").expect("memory");
        scan.exclusive_sum(&stream, &mut buffer, len, total.at_mut(1)).expect("a scan");
        let mut sum = 0;
        let mut before = |v: u32| {
            sum += v;
            sum - v
        };
        let expected: Vec<u32> = values.iter().map(|&v| before(v)).collect();
        assert_eq!(buffer.read(&stream).expect("sums"), expected);
        assert_eq!(total.read(&stream).expect("the total"), [0, sum]);
    }
}

pub fn points_project_as_on_the_cpu(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let kernel = device.kernel(&SELF_TEST, "project_points").expect("a kernel");
    for camera in cameras() {
        let points: Vec<[f32; 3]> = (0..300)
            .map(|_| [rng.random_range(-0.9..0.9), rng.random_range(-0.9..0.9), rng.random_range(0.8..2.0)])
            .collect();
        let buffer = device.upload(points.as_flattened(), "points").expect("memory");
        let mut pixels = device.buffer::<f32>(600, "pixels").expect("memory");
        let mut jacobians = device.buffer::<f32>(1800, "jacobians").expect("memory");
        let view = Camera::from(&View::new(&camera, &Pose::identity()));
        let arguments = (&buffer, 300u32, view, &mut pixels, &mut jacobians);
        kernel.launch(&stream, Launch::linear(300, 256), arguments).expect("a launch");
        let projected: Vec<_> = points.iter().map(|p| camera.lens.project(p.map(f64::from))).collect();
        let expected: Vec<f32> = projected.iter().flat_map(|p| p.pixel.map(|v| v as f32)).collect();
        assert_close("pixels", &pixels.read(&stream).expect("pixels"), &expected, 1e-6);
        let expected: Vec<f32> = projected.iter().flat_map(|p| p.d_point.concat()).map(|v| v as f32).collect();
        assert_close("jacobians", &jacobians.read(&stream).expect("jacobians"), &expected, 1e-5);
    }
}
