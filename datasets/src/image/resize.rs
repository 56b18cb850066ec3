//! Changing the size of images: area averaging for what is seen, nearest neighbour for what is measured.

/// One source pixel's share in a target pixel.
struct Tap {
    source: usize,
    weight: f32,
}

/// For each target pixel along one axis, the source pixels that it covers; the weights of each sum to 1.
fn taps(source: u32, target: u32) -> Vec<Vec<Tap>> {
    let scale = f64::from(source) / f64::from(target);
    (0..target)
        .map(|i| {
            let (begin, end) = (f64::from(i) * scale, (f64::from(i) + 1.0) * scale);
            let last = (end.ceil() as usize).min(source as usize);
            let covered = |s: usize| (end.min(s as f64 + 1.0) - begin.max(s as f64)).max(0.0);
            (begin.floor() as usize..last).map(|s| Tap { source: s, weight: (covered(s) / scale) as f32 }).collect()
        })
        .collect()
}

/// Area averaging of interleaved 8-bit `channels` (1, 3 or 4; with 4, colours are weighted by alpha).
pub(super) fn area(data: &[u8], from: (u32, u32), channels: u8, to: (u32, u32)) -> Vec<u8> {
    if from == to {
        return data.to_vec();
    }
    let n = usize::from(channels);
    let row_values = from.0 as usize * n;
    let columns = taps(from.0, to.0);
    let mut out = Vec::with_capacity(to.0 as usize * to.1 as usize * n);
    // Rows are summed first: that pass runs along memory and vectorises.
    let mut sum = vec![0.0_f32; row_values];
    for row in taps(from.1, to.1) {
        sum.fill(0.0);
        for Tap { source, weight } in row {
            let values = &data[source * row_values..(source + 1) * row_values];
            if n == 4 {
                add_premultiplied(&mut sum, values, weight);
            } else {
                sum.iter_mut().zip(values).for_each(|(s, &v)| *s += weight * f32::from(v));
            }
        }
        for column in &columns {
            match n {
                1 => out.extend(gather::<1>(&sum, column).map(to_u8)),
                3 => out.extend(gather::<3>(&sum, column).map(to_u8)),
                _ => {
                    let [r, g, b, a] = gather::<4>(&sum, column);
                    let unpremultiply = if a > 0.0 { 1.0 / a } else { 0.0 };
                    out.extend([r * unpremultiply, g * unpremultiply, b * unpremultiply, a].map(to_u8));
                }
            }
        }
    }
    out
}

fn add_premultiplied(sum: &mut [f32], rgba: &[u8], weight: f32) {
    for (sum, pixel) in sum.chunks_exact_mut(4).zip(rgba.chunks_exact(4)) {
        let alpha = weight * f32::from(pixel[3]);
        for (sum, &value) in sum.iter_mut().zip(&pixel[..3]) {
            *sum += alpha * f32::from(value);
        }
        sum[3] += alpha;
    }
}

fn gather<const N: usize>(row: &[f32], taps: &[Tap]) -> [f32; N] {
    let mut mean = [0.0; N];
    for tap in taps {
        for (m, v) in mean.iter_mut().zip(&row[tap.source * N..]) {
            *m += tap.weight * v;
        }
    }
    mean
}

fn to_u8(value: f32) -> u8 {
    (value + 0.5) as u8 // saturates
}

/// The value under the centre of each target pixel.
pub(super) fn nearest(data: &[f32], from: (u32, u32), to: (u32, u32)) -> Vec<f32> {
    if from == to {
        return data.to_vec();
    }
    let index = |i: u32, source: u32, target: u32| {
        ((2 * u64::from(i) + 1) * u64::from(source) / (2 * u64::from(target))) as usize
    };
    let columns: Vec<usize> = (0..to.0).map(|x| index(x, from.0, to.0)).collect();
    (0..to.1)
        .flat_map(|y| {
            let row = &data[index(y, from.1, to.1) * from.0 as usize..];
            columns.iter().map(|&x| row[x]).collect::<Vec<_>>()
        })
        .collect()
}
