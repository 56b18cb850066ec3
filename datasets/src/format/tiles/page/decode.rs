//! From a page to splats. Any bytes give either splats with finite values or an error.

use super::{CORE_HEADER, HARMONICS_HEADER, LARGEST_COLOUR, LARGEST_LOG_SCALE, band, core_bytes, harmonics_bytes};
use crate::format::quantise::{byte_logits, component_from_unorm, from_smallest_three};
use crate::scene::SplatCloud;
use crate::scene::tile_tree::MAX_PAGE_SPLATS;
use flate2::{Decompress, FlushDecompress, Status};
use thiserror::Error;

/// Why a page gives no splats, as the end of a sentence.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PageError {
    /// The bytes are not those that were written.
    #[error("is damaged: its checksum differs")]
    Checksum,
    /// The bytes do not inflate to the length that the count of splats asks for.
    #[error("is damaged: it does not hold as many splats as announced")]
    Length,
    /// The header's numbers are out of range.
    #[error("is damaged: it has values that are not finite or out of range")]
    Values,
}

/// Decodes `splats` splats from the deflated parts of a page. Without `harmonics` the cloud is of degree 0, else of `sh_degree`.
///
/// # Errors
/// When the parts are not what [`super::encode`] makes of so many splats.
pub fn decode(splats: usize, sh_degree: u8, core: &[u8], harmonics: Option<&[u8]>) -> Result<SplatCloud, PageError> {
    if splats > MAX_PAGE_SPLATS || sh_degree > 3 {
        return Err(PageError::Length);
    }
    let harmonics = harmonics.filter(|_| sh_degree > 0);
    let mut cloud = SplatCloud::with_capacity(splats, if harmonics.is_some() { sh_degree } else { 0 });
    decode_core(splats, &inflate(core, core_bytes(splats))?, &mut cloud)?;
    if let Some(harmonics) = harmonics {
        let coefficients = SplatCloud::rest_coefficients(sh_degree);
        let bytes = inflate(harmonics, harmonics_bytes(splats, coefficients))?;
        cloud.sh_rest = decode_harmonics(splats, coefficients, &bytes)?;
    }
    Ok(cloud)
}

fn decode_core(splats: usize, bytes: &[u8], cloud: &mut SplatCloud) -> Result<(), PageError> {
    let (header, planes) = bytes.split_at(CORE_HEADER);
    let plane = |i: usize| &planes[i * splats..(i + 1) * splats];
    let double = |at: usize| header[at..at + 8].try_into().map(f64::from_le_bytes).unwrap_or(f64::NAN);
    let single = |at: usize| f32_at(header, at);

    cloud.means = vec![[0.0; 3]; splats];
    for axis in 0..3 {
        let (low, step) = (double(8 * axis), double(24 + 8 * axis));
        if !(low.is_finite() && (0.0..1e300).contains(&step)) {
            return Err(PageError::Values);
        }
        let [fine, middle, coarse] = [0, 1, 2].map(|i| plane(3 * axis + i));
        for (i, mean) in cloud.means.iter_mut().enumerate() {
            let code = i32::from(fine[i]) | i32::from(middle[i]) << 8 | i32::from(coarse[i]) << 16;
            mean[axis] = (low + step * f64::from(code)).clamp(f32::MIN.into(), f32::MAX.into()) as f32;
        }
    }
    let scales = table(single(48), single(52), LARGEST_LOG_SCALE)?;
    let [a, b, c] = [9, 10, 11].map(plane);
    cloud.log_scales.extend((0..splats).map(|i| [a[i], b[i], c[i]].map(|code| scales[usize::from(code)])));
    let components: [f32; 1024] = std::array::from_fn(|code| component_from_unorm(code as u32, 10));
    let [a, b, c, high] = [12, 13, 14, 15].map(plane);
    cloud.quats.extend((0..splats).map(|i| {
        let high = usize::from(high[i]);
        let component = |low: u8, shift: u32| components[usize::from(low) | (high >> shift & 3) << 8];
        from_smallest_three(high >> 6, [component(a[i], 0), component(b[i], 2), component(c[i], 4)])
    }));
    let colours = table(single(56), single(60), LARGEST_COLOUR)?;
    let [green, red, blue] = [16, 17, 18].map(plane);
    cloud.sh0.extend((0..splats).map(|i| {
        let g = green[i];
        [red[i].wrapping_add(g), g, blue[i].wrapping_add(g)].map(|code| colours[usize::from(code)])
    }));
    let logits = byte_logits();
    cloud.opacity_logits.extend(plane(19).iter().map(|&code| logits[usize::from(code)]));
    Ok(())
}

fn decode_harmonics(splats: usize, coefficients: usize, bytes: &[u8]) -> Result<Vec<f32>, PageError> {
    let (header, planes) = bytes.split_at(HARMONICS_HEADER);
    let steps = [0, 4, 8].map(|at| f32_at(header, at));
    if steps.iter().any(|step| !(0.0..=LARGEST_COLOUR).contains(step)) {
        return Err(PageError::Values);
    }
    let [third, half, sixth] = [1.0f32 / 3.0, 0.5, 1.0 / 6.0].map(f32::sqrt);
    let mut rest = vec![0.0; 3 * coefficients * splats];
    let (rows, _) = rest.as_chunks_mut::<3>();
    for coefficient in 0..coefficients {
        let step = steps[band(coefficient)];
        let plane = |channel: usize| &planes[(3 * coefficient + channel) * splats..][..splats];
        let [l, m, n] = [0, 1, 2].map(plane);
        for i in 0..splats {
            let [l, m, n] = [l[i], m[i], n[i]].map(|code| f32::from(code as i8));
            let (grey, cross, rise) = (third * l, half * m, sixth * n);
            rows[i * coefficients + coefficient] =
                [grey + cross + rise, grey - 2.0 * rise, grey - cross + rise].map(|v| v * step);
        }
    }
    Ok(rest)
}

fn f32_at(bytes: &[u8], at: usize) -> f32 {
    bytes[at..at + 4].try_into().map(f32::from_le_bytes).unwrap_or(f32::NAN)
}

/// What the 256 codes of a scale mean.
fn table(low: f32, step: f32, largest: f32) -> Result<[f32; 256], PageError> {
    let table: [f32; 256] = std::array::from_fn(|code| low + step * code as f32);
    // Rounding may lead a little beyond.
    if table.iter().all(|v| v.abs() <= 1.01 * largest) { Ok(table) } else { Err(PageError::Values) }
}

/// Inflates to exactly `length` bytes: a stream that holds more is refused as soon as that shows.
pub(in crate::format) fn inflate(bytes: &[u8], length: usize) -> Result<Vec<u8>, PageError> {
    // A byte of deflate stands for at most 1032 bytes.
    if bytes.len() < length / 1032 {
        return Err(PageError::Length);
    }
    let mut out = vec![0; length];
    let mut decompress = Decompress::new(false);
    match decompress.decompress(bytes, &mut out, FlushDecompress::Finish) {
        Ok(Status::StreamEnd)
            if decompress.total_out() as usize == length && decompress.total_in() as usize == bytes.len() =>
        {
            Ok(out)
        }
        _ => Err(PageError::Length),
    }
}
