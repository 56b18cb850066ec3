//! Surfaces: marching, opacities, blending, and what is asked of normals.

use crate::rows::{columns, rows, upload};
use crate::scenes::fresh_rng;
use crate::{assert_close, stream};
use rand::{Rng, RngExt};
use tessera_kernels::device::{Buffer, Device};
use tessera_kernels::hash_grid::cuda::Batch;
use tessera_kernels::occupancy::cuda::{Cells, DeviceRay, Grid, March};
use tessera_kernels::occupancy::{MarchedRay, OccupancyGrid};
use tessera_kernels::sdf_render::cuda::{
    Blended, Blending, Comparison, OPACITY_ROWS, Opacities, OpacitySettings, RaySamples, RayTarget, Seen, SumParts,
};
use tessera_kernels::sdf_render::{AlphaPartials, Ray, RayGradient, alpha, blend, blend_backward, weights};

fn random_ray(rng: &mut impl Rng) -> Option<MarchedRay> {
    let origin: [f32; 3] = std::array::from_fn(|_| rng.random_range(-1.0..2.0));
    let to: [f32; 3] = std::array::from_fn(|_| rng.random_range(0.0..1.0));
    let d: [f32; 3] = std::array::from_fn(|k| to[k] - origin[k]);
    let length = d.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-3);
    MarchedRay::clipped(origin, d.map(|x| x / length), [[0.05; 3], [0.95; 3]])
}

pub fn rays_find_the_steps_of_the_cpu(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let mut grid = OccupancyGrid::empty(20);
    // In the half of it whose blocks are not all empty; what is solid ends rays.
    (0..600).for_each(|_| grid.set(rng.random_range(0..4800)));
    for _ in 0..40 {
        let cell = rng.random_range(0..4800);
        grid.clear(cell);
        grid.set_solid(cell);
    }
    let rays: Vec<(Option<MarchedRay>, f32)> =
        (0..150).map(|i| (random_ray(&mut rng).filter(|_| i % 11 > 0), rng.random_range(0.0..1.0))).collect();
    let on_device = Grid::new(device, &grid).expect("memory");
    assert!(on_device.read(&stream).expect("a copy") == grid, "bits are others");
    let uploaded = upload(device, &rays.iter().map(|(ray, j)| DeviceRay::new(ray.as_ref(), *j)).collect::<Vec<_>>());
    let mut found = 0;
    for (step, limit) in [(0.011, usize::MAX >> 32), (0.003, 17)] {
        let (mut ts, mut starts, mut ray_of) = (Vec::new(), vec![0u32], Vec::new());
        for (r, (ray, jitter)) in rays.iter().enumerate() {
            if let Some(ray) = ray {
                grid.march(ray, step, *jitter, limit, &mut ts);
            }
            starts.push(ts.len() as u32);
            ray_of.resize(ts.len(), r as u32);
        }
        let march = March { rays: rays.len(), step, limit };
        let [mut of_rays, mut total] = [rays.len() + 1, 1].map(|n| device.zeros::<u32>(n, "counts").expect("memory"));
        on_device.count(&stream, &uploaded, march, &mut of_rays, &mut total).expect("counts");
        assert_eq!(of_rays.read(&stream).expect("a copy"), starts, "where samples of rays begin");
        assert_eq!(total.read(&stream).expect("a copy"), [ts.len() as u32]);
        let batch = Batch { samples: ts.len(), stride: ts.len() + 5 };
        let mut positions = device.zeros::<f32>(3 * batch.stride, "places").expect("memory");
        let mut rays_of = device.zeros::<u32>(ts.len(), "rays").expect("memory");
        let out = (&mut positions, &mut rays_of);
        on_device.place(&stream, &uploaded, march, &of_rays, batch, out).expect("places");
        assert_eq!(rays_of.read(&stream).expect("a copy"), ray_of, "rays of samples");
        let at = |i: usize| rays[ray_of[i] as usize].0.map_or([0.0; 3], |ray| ray.at(ts[i]));
        let places: Vec<f32> = (0..ts.len()).flat_map(at).collect();
        assert!(positions.read(&stream).expect("a copy") == rows(&places, 3, batch, 0), "places have other bits");
        found += ts.len();
    }
    assert!(found > 500, "hardly any step was in an occupied cell");
}

pub fn cells_near_a_surface_are_found_from_coarse_to_fine(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let (centre, radius) = ([0.5, 0.45, 0.55].map(|c: f32| c + rng.random_range(-0.1..0.1)), 0.25f32);
    let distance = |p: &[f32]| (0..3).map(|a| (p[a] - centre[a]).powi(2)).sum::<f32>().sqrt();
    let mut grid = Grid::new(device, &OccupancyGrid::full(64)).expect("memory");
    let mut cells = Cells::new(device, 64).expect("memory");
    // Chunks that are no whole warps.
    let most = 3001;
    let mut positions = device.zeros::<f32>(3 * most, "places").expect("memory");
    cells.begin(&stream, 32).expect("a list");
    for side in [32usize, 64] {
        let limit = 0.01 + 0.9 / side as f32;
        cells.begin_keeping(&stream).expect("a count");
        if side == 64 {
            grid.clear(&stream).expect("an empty grid");
        }
        for first in (0..cells.len()).step_by(most) {
            let batch = Batch { samples: most.min(cells.len() - first), stride: most };
            cells.middles(&stream, first, batch, &mut positions).expect("places");
            let places = columns(&positions.read(&stream).expect("a copy"), 3, batch);
            let distances = upload(device, &places.chunks_exact(3).map(distance).collect::<Vec<_>>());
            let to = (side == 64).then_some(&mut grid);
            cells.keep(&stream, (first, batch), (Some(&distances), radius, limit), to).expect("cells");
        }
        let found = cells.found(&stream).expect("a count");
        assert!(found > 100 && found < side * side * side / 4, "{found} cells of {side} a side are near the surface");
        cells.descend(found);
    }
    let gaps = cells.find_gaps(&stream, &grid).expect("a list");
    assert!(gaps > 100, "{gaps} rows of cells lie between others");
    for first in (0..gaps).step_by(most) {
        let batch = Batch { samples: most.min(gaps - first), stride: most };
        cells.gap_middles(&stream, first, batch, &mut positions).expect("places");
        let places = columns(&positions.read(&stream).expect("a copy"), 3, batch);
        let distances = upload(device, &places.chunks_exact(3).map(distance).collect::<Vec<_>>());
        cells.fill_gaps(&stream, (first, batch), (&distances, radius), &mut grid).expect("cells");
    }
    let mut expected = OccupancyGrid::empty(64);
    for cell in 0..64usize.pow(3) {
        let near = |side: usize| {
            let at = expected.coordinates(cell).map(|x| ((x * side / 64) as f32 + 0.5) / side as f32);
            (distance(&at) - radius).abs() <= 0.01 + 0.9 / side as f32
        };
        if near(32) && near(64) {
            expected.set(cell);
        }
    }
    // Between those of a row.
    let occupied: Vec<usize> = expected.occupied().collect();
    for pair in occupied.windows(2).filter(|pair| pair[0] / 64 == pair[1] / 64 && pair[1] - pair[0] > 1) {
        let ends = [pair[0] + 1, pair[1] - 1].map(|cell| expected.coordinates(cell).map(|x| (x as f32 + 0.5) / 64.0));
        let middle: [f32; 3] = std::array::from_fn(|k| 0.5 * (ends[0][k] + ends[1][k]));
        if distance(&middle) < radius {
            (pair[0] + 1..pair[1]).for_each(|cell| expected.set_solid(cell));
        }
    }
    assert!(grid.read(&stream).expect("a copy") == expected, "other cells are near the surface, or solid");
}

pub fn opacities_are_those_of_the_cpu(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let opacities = Opacities::new(device).expect("kernels");
    let (n, count) = (400, 30);
    let batch = Batch { samples: n, stride: n + 1 };
    let rays: Vec<MarchedRay> = std::iter::repeat_with(|| random_ray(&mut rng)).flatten().take(count).collect();
    let uploaded = upload(device, &rays.iter().map(|ray| DeviceRay::new(Some(ray), 0.5)).collect::<Vec<_>>());
    let mut starts: Vec<u32> = (0..count as u32).map(|_| rng.random_range(0..n as u32)).chain([0, n as u32]).collect();
    starts.sort_unstable();
    starts.truncate(count + 1);
    starts[count] = n as u32;
    let ray_of: Vec<u32> = (0..n as u32).map(|i| starts[1..].iter().filter(|s| **s <= i).count() as u32).collect();
    let radius = 0.25;
    for (sharpness, anneal, step) in [(20.0f32, 0.3f32, 0.02f32), (800.0, 1.0, 0.002)] {
        // In places all around the surface, as far from it as its density reaches.
        let distances: Vec<f32> = (0..n).map(|_| rng.random_range(-6.0..6.0) / sharpness).collect();
        let normals: Vec<f32> = (0..3 * n).map(|_| rng.random_range(-1.0..1.0)).collect();
        let cosine = |i: usize| (0..3).map(|a| normals[3 * i + a] * rays[ray_of[i] as usize].direction[a]).sum::<f32>();
        // What the device computes distances from has this rounding, too.
        let given: Vec<f32> = distances.iter().map(|d| d + radius).collect();
        let distances: Vec<f32> = given.iter().map(|d| d - radius).collect();
        let (cosines, steps): (Vec<f32>, Vec<f32>) = ((0..n).map(cosine).collect(), vec![step; n]);
        let mut expected: [Vec<f32>; OPACITY_ROWS] = std::array::from_fn(|_| vec![0.0; n]);
        let [alphas, distance, by_cosine, by_step, by_sharpness] = &mut expected;
        let partials = AlphaPartials { distance, cosine: by_cosine, step: by_step, sharpness: by_sharpness };
        alpha([&distances, &cosines, &steps], sharpness, anneal, alphas, partials);

        let mut out = device.zeros::<f32>(OPACITY_ROWS * batch.stride, "opacities").expect("memory");
        let settings = OpacitySettings { sharpness, anneal, step, radius };
        let [d, normal_rows] = [rows(&given, 1, batch, 0), rows(&normals, 3, batch, 0)].map(|r| upload(device, &r));
        let (of_rays, along) = (upload(device, &ray_of), (&d, &normal_rows));
        opacities.alphas(&stream, along, (&uploaded, &of_rays), batch, settings, &mut out).expect("opacities");
        let found = columns(&out.read(&stream).expect("a copy"), OPACITY_ROWS, batch);
        for (row, expected) in expected.iter().enumerate() {
            let found: Vec<f32> = found.chunks_exact(OPACITY_ROWS).map(|sample| sample[row]).collect();
            // An opacity is a difference of sigmoids whose arguments are rounded: up to 6 of them, divided by one that may be 1e-3 of the largest.
            assert_close(&format!("row {row} at sharpness {sharpness}"), &found, expected, 2e-4);
        }

        // Of the CPU's opacities, so that both see the same samples.
        let invisible = 2e-5;
        let (mut kept, mut kept_starts, mut of_ray) = (Vec::new(), vec![0u32], vec![0.0; n]);
        for r in 0..count {
            let span = starts[r] as usize..starts[r + 1] as usize;
            let (seen, _) = weights(&expected[0][span.clone()], &mut of_ray);
            kept.extend((span.start..span.start + seen).filter(|&i| expected[0][i] > invisible).map(|i| i as u32));
            kept_starts.push(kept.len() as u32);
        }
        let all: Vec<f32> =
            (0..n).flat_map(|i| (0..OPACITY_ROWS).map(move |row| (row, i))).map(|(r, i)| expected[r][i]).collect();
        let alphas = upload(device, &rows(&all, OPACITY_ROWS, batch, 0));
        let [mut to_starts, mut total, mut list, mut rays_kept] =
            [count + 1, 1, n, n].map(|len| device.zeros::<u32>(len, "what is kept").expect("memory"));
        let samples = (&upload(device, &starts), &alphas);
        opacities.count_seen(&stream, samples, (count, invisible), &mut to_starts, &mut total).expect("counts");
        assert_eq!(to_starts.read(&stream).expect("a copy"), kept_starts, "where kept samples begin");
        opacities.list_seen(&stream, samples, (count, invisible), &to_starts, &mut list).expect("a list");
        assert_eq!(list.read(&stream).expect("a copy")[..kept.len()], kept, "which samples are kept");
        let of_kept = Batch { samples: kept.len(), ..batch };
        let [mut positions, mut kept_alphas] =
            [3, OPACITY_ROWS].map(|rows| device.zeros::<f32>(rows * batch.stride, "what is kept").expect("memory"));
        let to = Seen { positions: &mut positions, alphas: &mut kept_alphas, ray_of: &mut rays_kept };
        opacities.gather(&stream, &list, (&normal_rows, &alphas, &of_rays), of_kept, to).expect("copies");
        let chosen = |values: &[f32], width: usize| -> Vec<f32> {
            kept.iter().flat_map(|&i| values[width * i as usize..][..width].to_vec()).collect()
        };
        let read = |buffer: &Buffer<f32>, width| columns(&buffer.read(&stream).expect("a copy"), width, of_kept);
        assert_eq!(read(&positions, 3), chosen(&normals, 3), "what was taken for places");
        assert_eq!(read(&kept_alphas, OPACITY_ROWS), chosen(&all, OPACITY_ROWS), "opacities");
        let expected: Vec<u32> = kept.iter().map(|&i| ray_of[i as usize]).collect();
        assert_eq!(rays_kept.read(&stream).expect("a copy")[..kept.len()], expected, "rays");
    }
}

pub fn blended_rays_are_those_of_the_cpu(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let blending = Blending::new(device).expect("kernels");
    let count = 200;
    let mut starts = vec![0u32];
    // Some rays have no samples; some are stopped.
    (0..count).for_each(|r| starts.push(starts[r] + if r % 9 == 0 { 0 } else { rng.random_range(1..30) }));
    let n = starts[count] as usize;
    let stride = n + 7;
    let batch = Batch { samples: n, stride };
    let alphas: Vec<f32> = (0..n).map(|i| rng.random_range(0.0..if i % 40 < 20 { 0.2f32 } else { 1.0 })).collect();
    let colours: Vec<[f32; 3]> = (0..n).map(|_| std::array::from_fn(|_| rng.random_range(0.0..1.0))).collect();
    let target = |rng: &mut rand::rngs::StdRng, r: usize| RayTarget {
        colour: std::array::from_fn(|_| rng.random_range(0.0..1.0)),
        opacity: if r.is_multiple_of(3) { -1.0 } else { rng.random_range(0.0..1.0) },
        background: std::array::from_fn(|_| rng.random_range(0.0..1.0)),
        photo: 0,
    };
    let targets: Vec<RayTarget> = (0..count).map(|r| target(&mut rng, r)).collect();
    let comparison = Comparison { huber: 0.1, per_ray: 1.0 / count as f32, mask: 0.3 };

    let on_device = (upload(device, &starts), upload(device, &rows(&alphas, 1, batch, 0)));
    let colour_rows = upload(device, &rows(colours.as_flattened(), 3, batch, 0));
    let uploaded = upload(device, &targets);
    let of = RaySamples {
        rays: count,
        starts: &on_device.0,
        alphas: &on_device.1,
        colours: &colour_rows,
        stride,
        targets: &uploaded,
    };
    let mut blended = Blended::new(device, count, stride).expect("memory");
    let mut sums = SumParts::new(device, 2, Blending::parts(count)).expect("memory");
    blending.blend(&stream, of, &mut blended).expect("a pass");
    blending.compare(&stream, (&uploaded, count), comparison, &mut blended, sums.at(0)).expect("a comparison");
    sums.add(&stream, [(Blending::parts(count), 0), (Blending::parts(count), 1), (0, 0), (0, 0), (0, 0)])
        .expect("sums");
    let (mut by_alphas, mut by_colours) = gradients(device, stride);
    blending.backward(&stream, of, &blended, (&mut by_alphas, &mut by_colours)).expect("gradients");

    let (mut loss, mut square) = (0.0, 0.0);
    let (mut d_alphas, mut d_colours) = (vec![0.0; n], vec![[0.0f32; 3]; n]);
    let (mut values, mut all_weights) = (vec![0.0f32; 5 * count], vec![0.0f32; n]);
    for r in 0..count {
        let span = starts[r] as usize..starts[r + 1] as usize;
        let ray =
            Ray { alphas: &alphas[span.clone()], colours: &colours[span.clone()], background: targets[r].background };
        let out = blend(&ray, &mut all_weights[span.clone()]);
        let mut upstream = RayGradient::default();
        let per_ray = comparison.per_ray;
        for k in 0..3 {
            let error = out.colour[k] - targets[r].colour[k];
            square += f64::from(error * error);
            let size = error.abs();
            loss += f64::from(per_ray / 3.0 * if size < 0.1 { 5.0 * size * size } else { size - 0.05 });
            upstream.colour[k] = per_ray / 3.0 * (error / 0.1).clamp(-1.0, 1.0);
            values[k * count + r] = out.colour[k];
        }
        (values[3 * count + r], values[4 * count + r]) = (out.opacity, out.transmittance);
        if targets[r].opacity >= 0.0 {
            let (t, o, weight) = (targets[r].opacity, out.opacity.clamp(1e-3, 1.0 - 1e-3), comparison.mask * per_ray);
            loss -= f64::from(weight * (t * o.ln() + (1.0 - t) * (1.0 - o).ln()));
            if o == out.opacity {
                upstream.opacity = -weight * (t / o - (1.0 - t) / (1.0 - o));
            }
        }
        blend_backward(
            &ray,
            &out,
            &all_weights[span.clone()],
            &upstream,
            &mut d_alphas[span.clone()],
            &mut d_colours[span],
        );
    }
    let read = |buffer: &Buffer<f32>| buffer.read(&stream).expect("a copy");
    assert_close("what rays see", &read(&blended.values), &values, 3e-6);
    assert_close("weights", &read(&blended.weights)[..n], &all_weights, 1e-6);
    let found = read(&sums.sums);
    assert!((f64::from(found[0]) - loss).abs() < 1e-5 * loss, "a loss of {} instead of {loss}", found[0]);
    assert!((f64::from(found[1]) - square).abs() < 1e-5 * square, "{} instead of {square}", found[1]);
    assert_close("gradients of colours", &columns(&read(&by_colours), 3, batch), d_colours.as_flattened(), 1e-5);
    // What is behind a sample is divided by what passes it, which may be 1e-4 and then has lost four of seven digits.
    assert_close("gradients of opacities", &read(&by_alphas)[..n], &d_alphas, 1e-3);
}

fn gradients(device: &Device, stride: usize) -> (Buffer<f32>, Buffer<f32>) {
    let zeros = |rows: usize| device.zeros(rows * stride, "gradients").expect("memory");
    (zeros(1), zeros(3))
}
