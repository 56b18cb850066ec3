//! Real spherical harmonics up to degree 3, in the order and with the signs of the original 3DGS code.

use tessera_camera::Real;

/// The value of the degree-0 harmonic: colour = 0.5 + `Y0` sh0 + ...
pub const Y0: f64 = 0.282_094_791_773_878_14;
const C1: f64 = 0.488_602_511_902_919_9;
const C2: [f64; 3] = [1.092_548_430_592_079_2, 0.315_391_565_252_520_05, 0.546_274_215_296_039_6];
const C3: [f64; 5] = [
    0.590_043_589_926_643_5,
    2.890_611_442_640_554,
    0.457_045_799_464_465_8,
    0.373_176_332_590_115_4,
    1.445_305_721_320_277,
];

/// Number of harmonics up to `degree`: 1, 4, 9 or 16.
pub const fn count(degree: u8) -> usize {
    (degree as usize + 1) * (degree as usize + 1)
}

/// The harmonics above degree 0 in the unit direction `(x, y, z)`; those above `degree` are zero.
#[inline(always)]
pub fn basis<R: Real>(degree: u8, [x, y, z]: [R; 3]) -> [R; 15] {
    let c = R::splat;
    let mut out = [c(0.0); 15];
    if degree >= 1 {
        out[0] = c(-C1) * y;
        out[1] = c(C1) * z;
        out[2] = c(-C1) * x;
    }
    if degree >= 2 {
        let (xx, yy, zz) = (x * x, y * y, z * z);
        out[3] = c(C2[0]) * x * y;
        out[4] = c(-C2[0]) * y * z;
        out[5] = c(C2[1]) * (zz + zz - xx - yy);
        out[6] = c(-C2[0]) * x * z;
        out[7] = c(C2[2]) * (xx - yy);
        if degree >= 3 {
            let four_zz = c(4.0) * zz - xx - yy;
            let three = c(3.0);
            out[8] = c(-C3[0]) * y * (three * xx - yy);
            out[9] = c(C3[1]) * x * y * z;
            out[10] = c(-C3[2]) * y * four_zz;
            out[11] = c(C3[3]) * z * (zz + zz - three * (xx + yy));
            out[12] = c(-C3[2]) * x * four_zz;
            out[13] = c(C3[4]) * z * (xx - yy);
            out[14] = c(-C3[0]) * x * (xx - three * yy);
        }
    }
    out
}

/// The gradient with respect to the direction of `Σ weights[k] basis[k]`, taking x, y and z as independent.
#[inline(always)]
pub fn direction_gradient<R: Real>(degree: u8, [x, y, z]: [R; 3], w: &[R; 15]) -> [R; 3] {
    let c = R::splat;
    let mut g = [c(0.0); 3];
    if degree >= 1 {
        g = [c(-C1) * w[2], c(-C1) * w[0], c(C1) * w[1]];
    }
    if degree >= 2 {
        let two = c(2.0);
        let (wxy, wyz, wzz, wxz, wd) =
            (c(C2[0]) * w[3], c(-C2[0]) * w[4], c(2.0 * C2[1]) * w[5], c(-C2[0]) * w[6], c(2.0 * C2[2]) * w[7]);
        g[0] = g[0] + wxy * y - wzz * x + wxz * z + wd * x;
        g[1] = g[1] + wxy * x + wyz * z - wzz * y - wd * y;
        g[2] = g[2] + wyz * y + two * wzz * z + wxz * x;
    }
    if degree >= 3 {
        let (xx, yy, zz) = (x * x, y * y, z * z);
        let (xy, yz, xz) = (x * y, y * z, x * z);
        let (two, three, four, six, eight) = (c(2.0), c(3.0), c(4.0), c(6.0), c(8.0));
        let w8 = c(-C3[0]) * w[8];
        let w9 = c(C3[1]) * w[9];
        let w10 = c(-C3[2]) * w[10];
        let w11 = c(C3[3]) * w[11];
        let w12 = c(-C3[2]) * w[12];
        let w13 = c(C3[4]) * w[13];
        let w14 = c(-C3[0]) * w[14];
        g[0] = g[0] + w8 * six * xy + w9 * yz - w10 * two * xy - w11 * six * xz
            + w12 * (four * zz - three * xx - yy)
            + w13 * two * xz
            + w14 * three * (xx - yy);
        g[1] = g[1] + w8 * three * (xx - yy) + w9 * xz + w10 * (four * zz - xx - three * yy)
            - w11 * six * yz
            - w12 * two * xy
            - w13 * two * yz
            - w14 * six * xy;
        g[2] = g[2]
            + w9 * xy
            + w10 * eight * yz
            + w11 * (six * zz - three * (xx + yy))
            + w12 * eight * xz
            + w13 * (xx - yy);
    }
    g
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    #[test]
    fn direction_gradient_matches_central_differences() {
        let seed = tessera_test_seed::test_seed();
        println!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        const H: f64 = 1e-5;
        for degree in 0..=3 {
            let at: [f64; 3] = std::array::from_fn(|_| rng.random_range(-1.0..1.0));
            let weights: [f64; 15] = std::array::from_fn(|_| rng.random_range(-1.0..1.0));
            let value = |d: [f64; 3]| -> f64 { basis(degree, d).iter().zip(&weights).map(|(b, w)| b * w).sum() };
            let analytic = direction_gradient(degree, at, &weights);
            for axis in 0..3 {
                let mut ends = [at, at];
                ends[0][axis] += H;
                ends[1][axis] -= H;
                let numeric = (value(ends[0]) - value(ends[1])) / (2.0 * H);
                assert!(
                    (numeric - analytic[axis]).abs() < 1e-7,
                    "degree {degree}, axis {axis}: {} against {numeric}",
                    analytic[axis]
                );
            }
        }
    }
}
