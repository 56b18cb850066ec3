//! Band-limited noise and lettering, the raw material of textures.

use super::geometry::V3;

/// A well-mixed number for a lattice point.
pub(super) fn hash(x: i32, y: i32, z: i32) -> u32 {
    let mut h = (x as u32).wrapping_mul(0x8da6_b343) ^ (y as u32).wrapping_mul(0xd816_3841);
    h ^= (z as u32).wrapping_mul(0xcb1a_b31f);
    h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
    h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
    h ^ (h >> 15)
}

/// A number in [0, 1) for a lattice point.
pub(super) fn random(x: i32, y: i32, z: i32) -> f32 {
    (hash(x, y, z) >> 8) as f32 / 16_777_216.0
}

/// Value noise in [-1, 1] with one feature per unit.
pub(super) fn noise(p: V3) -> f32 {
    let cell = p.map(f32::floor);
    let f = p - cell;
    let s = f.map(|t| t * t * (3.0 - 2.0 * t));
    let [x, y, z] = [cell.x as i32, cell.y as i32, cell.z as i32];
    let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
    let edge = |y: i32, z: i32| mix(random(x, y, z), random(x.wrapping_add(1), y, z), s.x);
    let face = |z: i32| mix(edge(y, z), edge(y.wrapping_add(1), z), s.y);
    2.0 * mix(face(z), face(z.wrapping_add(1)), s.z) - 1.0
}

/// Octaves of noise, the first with features of size 1, each next half as large and half as strong. Octaves
/// finer than `footprint` (the size of a sample, in the same units) are left out, the last one faded.
pub(super) fn fractal(p: V3, octaves: u32, footprint: f32) -> f32 {
    let (mut sum, mut amplitude, mut frequency) = (0.0, 0.5, 1.0f32);
    for octave in 0..octaves {
        let visible = (2.0 - 2.0 * frequency * footprint).clamp(0.0, 1.0);
        if visible == 0.0 {
            break;
        }
        let offset = V3::new(17.3, 5.7, 31.1) * octave as f32;
        sum += amplitude * visible * noise(p * frequency + offset);
        amplitude *= 0.5;
        frequency *= 2.03;
    }
    sum
}

/// Capitals in 5 x 7 dots, a row per byte, the left dot in bit 4.
const FONT: [[u8; 7]; 26] = [
    [14, 17, 17, 31, 17, 17, 17],
    [30, 17, 17, 30, 17, 17, 30],
    [14, 17, 16, 16, 16, 17, 14],
    [30, 17, 17, 17, 17, 17, 30],
    [31, 16, 16, 30, 16, 16, 31],
    [31, 16, 16, 30, 16, 16, 16],
    [14, 17, 16, 23, 17, 17, 15],
    [17, 17, 17, 31, 17, 17, 17],
    [14, 4, 4, 4, 4, 4, 14],
    [7, 2, 2, 2, 2, 18, 12],
    [17, 18, 20, 24, 20, 18, 17],
    [16, 16, 16, 16, 16, 16, 31],
    [17, 27, 21, 21, 17, 17, 17],
    [17, 25, 21, 19, 17, 17, 17],
    [14, 17, 17, 17, 17, 17, 14],
    [30, 17, 17, 30, 16, 16, 16],
    [14, 17, 17, 17, 21, 18, 13],
    [30, 17, 17, 30, 20, 18, 17],
    [15, 16, 16, 14, 1, 1, 30],
    [31, 4, 4, 4, 4, 4, 4],
    [17, 17, 17, 17, 17, 17, 14],
    [17, 17, 17, 17, 17, 10, 4],
    [17, 17, 17, 21, 21, 27, 17],
    [17, 17, 10, 4, 10, 17, 17],
    [17, 17, 10, 4, 4, 4, 4],
    [31, 1, 2, 4, 8, 16, 31],
];

/// Whether a point lies on a letter of `text` (capitals and spaces), which is written to the right from the
/// origin on lines of height 1; a letter is 5/7 wide with a gap of 1/7.
pub(super) fn letters(text: &str, x: f32, y: f32) -> bool {
    let (column, row) = ((x * 7.0).floor() as i32, ((1.0 - y) * 7.0).floor() as i32);
    if column < 0 || !(0..7).contains(&row) {
        return false;
    }
    let Some(letter) = text.as_bytes().get((column / 6) as usize) else {
        return false;
    };
    let glyph = usize::from(letter.wrapping_sub(b'A'));
    let dot = column % 6;
    dot < 5 && FONT.get(glyph).is_some_and(|rows| (rows[row as usize] >> (4 - dot)) & 1 == 1)
}

/// The width of `text` in units of the line's height.
pub(super) fn letters_width(text: &str) -> f32 {
    (6 * text.len()).saturating_sub(1) as f32 / 7.0
}
