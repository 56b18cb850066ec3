//! A section of a `.ksplat` file: splats that are stored alike, in buckets of neighbours.

use super::{float, short, word};
use crate::format::input::Input;
use crate::format::quantise::{SATURATED, byte_logits, log_of_scale, sh0_of_colour};
use crate::scene::SplatCloud;
use crate::{DataError, Result};
use half::f16;

/// What all sections share.
pub(super) struct Shared {
    /// 0 to 2.
    pub level: u16,
    /// What the bytes of harmonics stand for on level 2.
    pub harmonics: [f32; 256],
    pub logits: [f32; 256],
}

impl Shared {
    pub(super) fn new(level: u16, least: f32, largest: f32) -> Self {
        let value = |byte: usize| least + byte as f32 / 255.0 * (largest - least);
        Self { level, harmonics: std::array::from_fn(value), logits: byte_logits() }
    }

    /// Bytes of a position, three scales, a rotation, and a coefficient.
    fn widths(&self) -> [usize; 4] {
        match self.level {
            0 => [12, 12, 16, 4],
            1 => [6, 6, 8, 2],
            _ => [6, 6, 8, 1],
        }
    }
}

pub(super) struct Section {
    /// Splats, and those that there is room for.
    pub count: u64,
    room: u64,
    pub sh_degree: u8,
    /// Where the data begin in the file, and where the splats do.
    start: u64,
    pub splats_start: u64,
    /// Bytes of a splat.
    pub stride: usize,
    bucket_capacity: u64,
    buckets: u64,
    full_buckets: u64,
    partial_buckets: u64,
    /// Of a step of a 16-bit position, and the number that is the centre.
    step: f32,
    centre: f32,
}

impl Section {
    /// Understands a section's header. Its data begin at `start`.
    pub(super) fn parse(bytes: &[u8], start: u64, shared: &Shared, input: &Input) -> Result<Self> {
        let number = |at: usize| u64::from(word(bytes, at));
        let fault = |what: String| DataError::new(input.path(), what).remedy("export it again");
        let sh_degree = short(bytes, 40);
        let Some(sh_degree) = u8::try_from(sh_degree).ok().filter(|degree| *degree <= 3) else {
            return Err(fault(format!("has spherical harmonics of degree {sh_degree}")));
        };
        let [positions, scales, rotations, coefficient] = shared.widths();
        let stride = positions + scales + rotations + 4 + 3 * SplatCloud::rest_coefficients(sh_degree) * coefficient;
        let centre = if number(24) == 0 { 32_767.0 } else { number(24) as f32 };
        let section = Self {
            count: number(0),
            room: number(4),
            sh_degree,
            start,
            splats_start: start + 4 * number(36) + u64::from(short(bytes, 20)) * number(12),
            stride,
            bucket_capacity: number(8),
            buckets: number(12),
            full_buckets: number(32),
            partial_buckets: number(36),
            step: float(bytes, 16) / 2.0 / centre,
            centre,
        };
        if section.count > section.room || section.splats_start + section.count * stride as u64 > input.length() {
            let reason = format!("claims {} splats in a section with no place for them", section.count);
            return Err(DataError::new(input.path(), reason).remedy("copy it again from its source"));
        }
        if shared.level > 0 && (short(bytes, 20) != 12 || !section.step.is_finite()) {
            return Err(fault("has buckets of an unknown layout".to_owned()));
        }
        Ok(section)
    }

    /// Where the next section's data begin.
    pub(super) fn end(&self) -> u64 {
        self.splats_start + self.room * self.stride as u64
    }

    /// The centre of each bucket and the number of the first splat after it. Nothing on level 0, which needs none.
    pub(super) fn buckets(&self, shared: &Shared, input: &mut Input) -> Result<Vec<Bucket>> {
        if shared.level == 0 || self.count == 0 {
            return Ok(Vec::new());
        }
        // All of this lies before the splats, which lie within the file.
        input.go_to(self.start)?;
        let mut sizes = vec![0; 4 * self.partial_buckets as usize];
        input.fill(&mut sizes)?;
        let mut centres = vec![0; 12 * self.buckets as usize];
        input.fill(&mut centres)?;
        let mut end = 0u64;
        let mut buckets = Vec::with_capacity(self.buckets as usize);
        for (i, centre) in centres.as_chunks::<12>().0.iter().enumerate() {
            let partial = (i as u64).checked_sub(self.full_buckets);
            let size = match partial {
                None => self.bucket_capacity,
                Some(partial) if partial < self.partial_buckets => u64::from(word(&sizes, 4 * partial as usize)),
                Some(_) => 0,
            };
            end = end.saturating_add(size);
            buckets.push(Bucket { centre: [0, 4, 8].map(|at| float(centre, at)), end });
        }
        if end < self.count {
            let reason = format!("has {} splats in a section whose buckets hold {end}", self.count);
            return Err(DataError::new(input.path(), reason).remedy("export it again"));
        }
        Ok(buckets)
    }

    /// Appends a splat from its bytes.
    pub(super) fn append(
        &self,
        row: &[u8],
        bucket: [f32; 3],
        shared: &Shared,
        chunk: &mut SplatCloud,
    ) -> std::result::Result<(), &'static str> {
        let [positions, scales, rotations, coefficient] = shared.widths();
        let numbers = |at: usize, i: usize| match shared.level {
            0 => float(row, at + 4 * i),
            _ => f16::from_bits(short(row, at + 2 * i)).to_f32(),
        };
        let mean = [0, 1, 2].map(|axis| match shared.level {
            0 => float(row, 4 * axis),
            _ => (f32::from(short(row, 2 * axis)) - self.centre) * self.step + bucket[axis],
        });
        let scale = [0, 1, 2].map(|axis| numbers(positions, axis));
        let quat = [0, 1, 2, 3].map(|i| numbers(positions + scales, i));
        if !mean.iter().chain(&quat).all(|v| v.is_finite()) {
            return Err("a position or rotation that is not finite");
        }
        if !scale.iter().all(|&s| s >= 0.0 && s.is_finite()) {
            return Err("a scale that is negative or not finite");
        }
        let colours = &row[positions + scales + rotations..];
        chunk.means.push(mean);
        chunk.log_scales.push(scale.map(log_of_scale).map(|s| s.max(-SATURATED)));
        chunk.quats.push(if quat == [0.0; 4] { [1.0, 0.0, 0.0, 0.0] } else { quat });
        chunk.sh0.push([0, 1, 2].map(|i| sh0_of_colour(f32::from(colours[i]) / 255.0)));
        chunk.opacity_logits.push(shared.logits[usize::from(colours[3])]);
        let harmonics = &colours[4..];
        let stored = SplatCloud::rest_coefficients(self.sh_degree);
        for place in 0..SplatCloud::rest_coefficients(chunk.sh_degree) {
            for channel in 0..3 {
                if place >= stored {
                    chunk.sh_rest.push(0.0);
                    continue;
                }
                // Of this degree, all of one channel come before those of the next.
                let (first, n) = [(0, 3), (3, 5), (8, 7)][usize::from(place >= 3) + usize::from(place >= 8)];
                let at = (3 * first + channel * n + place - first) * coefficient;
                let value = match shared.level {
                    0 => float(harmonics, at),
                    1 => f16::from_bits(short(harmonics, at)).to_f32(),
                    _ => shared.harmonics[usize::from(harmonics[at])],
                };
                if !value.is_finite() {
                    return Err("a spherical-harmonics coefficient that is not finite");
                }
                chunk.sh_rest.push(value);
            }
        }
        Ok(())
    }
}

/// Neighbouring splats.
pub(super) struct Bucket {
    pub centre: [f32; 3],
    /// The number, in the section, of the first splat that is no longer in it.
    pub end: u64,
}
