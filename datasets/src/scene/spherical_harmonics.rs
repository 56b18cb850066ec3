//! Real spherical harmonics up to degree 3, in the order and with the signs of splat files (Kerbl et al. 2023), and
//! how their coefficients turn with a scene.

use nalgebra::{UnitQuaternion, Vector3};

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

/// Entries of a rotation matrix below this are rounding: half turns about an axis then change nothing but signs.
const ROUNDING: f64 = 1e-12;

/// All 16 harmonics up to degree 3 in the unit direction `[x, y, z]` from the camera to the splat.
pub fn basis([x, y, z]: [f64; 3]) -> [f64; 16] {
    let (xx, yy, zz) = (x * x, y * y, z * z);
    [
        Y0,
        -C1 * y,
        C1 * z,
        -C1 * x,
        C2[0] * x * y,
        -C2[0] * y * z,
        C2[1] * (2.0 * zz - xx - yy),
        -C2[0] * x * z,
        C2[2] * (xx - yy),
        -C3[0] * y * (3.0 * xx - yy),
        C3[1] * x * y * z,
        -C3[2] * y * (4.0 * zz - xx - yy),
        C3[3] * z * (2.0 * zz - 3.0 * xx - 3.0 * yy),
        -C3[2] * x * (4.0 * zz - xx - yy),
        C3[4] * z * (xx - yy),
        -C3[0] * x * (xx - 3.0 * yy),
    ]
}

/// What a rotation of the scene does to the coefficients of each degree: a matrix of size 3, 5 and 7.
#[derive(Clone, Debug, PartialEq)]
pub struct HarmonicsRotation {
    degree_1: [[f32; 3]; 3],
    degree_2: [[f32; 5]; 5],
    degree_3: [[f32; 7]; 7],
}

impl HarmonicsRotation {
    /// The matrices M of `rotation` R. With the turned coefficients M c, a splat shows in direction R d what it showed
    /// in direction d with c: `M_jk = ∫ Y_j(R d) Y_k(d) dd`, because the harmonics are orthonormal.
    pub fn new(rotation: &UnitQuaternion<f64>) -> Self {
        let mut products = [[0.0; 16]; 16];
        for (direction, weight) in quadrature() {
            let turned = basis((rotation * direction).into());
            let values = basis(direction.into());
            for (row, t) in products.iter_mut().zip(turned) {
                row.iter_mut().zip(values).for_each(|(sum, v)| *sum += weight * t * v);
            }
        }
        Self { degree_1: block(&products, 1), degree_2: block(&products, 4), degree_3: block(&products, 9) }
    }

    /// Turns the coefficients above degree 0 of one splat, `[3 | 8 | 15][r, g, b]`.
    #[inline]
    pub fn apply(&self, coefficients: &mut [[f32; 3]]) {
        let n = coefficients.len();
        if n >= 3 {
            turn(&self.degree_1, &mut coefficients[..3]);
        }
        if n >= 8 {
            turn(&self.degree_2, &mut coefficients[3..8]);
        }
        if n >= 15 {
            turn(&self.degree_3, &mut coefficients[8..15]);
        }
    }
}

/// Directions and weights that integrate polynomials up to degree 6 over the sphere exactly, as products of two
/// harmonics are: four Gauss-Legendre nodes along z times eight azimuths.
fn quadrature() -> impl Iterator<Item = (Vector3<f64>, f64)> {
    const NODES: [(f64, f64); 2] =
        [(0.339_981_043_584_856_26, 0.652_145_154_862_546_1), (0.861_136_311_594_052_6, 0.347_854_845_137_453_86)];
    let rings = NODES.into_iter().flat_map(|(z, weight)| [(z, weight), (-z, weight)]);
    rings.flat_map(|(z, weight)| {
        let radius = (1.0 - z * z).sqrt();
        (0..8).map(move |k| {
            let (sin, cos) = (f64::from(k) * std::f64::consts::FRAC_PI_4).sin_cos();
            (Vector3::new(radius * cos, radius * sin, z), weight * std::f64::consts::FRAC_PI_4)
        })
    })
}

fn block<const N: usize>(products: &[[f64; 16]; 16], first: usize) -> [[f32; N]; N] {
    let entry = |j: usize, k: usize| products[first + j][first + k];
    std::array::from_fn(|j| {
        std::array::from_fn(|k| if entry(j, k).abs() < ROUNDING { 0.0 } else { entry(j, k) as f32 })
    })
}

/// Four channels, of which three are used, make a SIMD register.
#[inline(always)]
fn turn<const N: usize>(matrix: &[[f32; N]; N], coefficients: &mut [[f32; 3]]) {
    let mut before = [[0.0; 4]; N];
    before.iter_mut().zip(&*coefficients).for_each(|(b, c)| b[..3].copy_from_slice(c));
    for (row, out) in matrix.iter().zip(coefficients) {
        let mut sum = [0.0; 4];
        for k in 0..N {
            for channel in 0..4 {
                sum[channel] += row[k] * before[k][channel];
            }
        }
        out.copy_from_slice(&sum[..3]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_harmonics_are_orthonormal() {
        let mut products = [[0.0; 16]; 16];
        for (direction, weight) in quadrature() {
            let values = basis(direction.into());
            for j in 0..16 {
                for k in 0..16 {
                    products[j][k] += weight * values[j] * values[k];
                }
            }
        }
        for j in 0..16 {
            for k in 0..16 {
                let expected = if j == k { 1.0 } else { 0.0 };
                assert!((products[j][k] - expected).abs() < 1e-13, "<Y{j}, Y{k}> = {}", products[j][k]);
            }
        }
    }

    #[test]
    fn a_half_turn_about_x_changes_signs_only() {
        let half_turn = UnitQuaternion::from_axis_angle(&Vector3::x_axis(), std::f64::consts::PI);
        let mut coefficients: [[f32; 3]; 15] = std::array::from_fn(|k| [k as f32 + 1.0, 0.1, -7.5e-7 * k as f32]);
        let before = coefficients;
        HarmonicsRotation::new(&half_turn).apply(&mut coefficients);
        // y and z change sign, so a harmonic does when it is odd in y and z together.
        let signs = [-1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0, -1.0, 1.0, -1.0, 1.0];
        for k in 0..15 {
            assert_eq!(coefficients[k], before[k].map(|c| c * signs[k]), "coefficient {}", k + 1);
        }
    }
}
