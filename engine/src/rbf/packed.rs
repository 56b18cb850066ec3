//! Numbers in few bytes: as they are, in half precision, or in eight bits between the least and the largest of each group.

use half::f16;

/// Numbers that share their range in eight bits.
const GROUP: usize = 256;

/// How many bytes so many numbers take.
pub fn packed_len(count: usize, bits: u32) -> usize {
    match bits {
        8 => count + 8 * count.div_ceil(GROUP),
        16 => 2 * count,
        _ => 4 * count,
    }
}

/// Appends numbers at `bits` (32, 16 or 8) each.
pub fn pack(values: &[f32], bits: u32, out: &mut Vec<u8>) {
    match bits {
        8 => values.chunks(GROUP).for_each(|group| pack_group(group, out)),
        16 => values.iter().for_each(|v| out.extend(f16::from_f32(*v).to_le_bytes())),
        _ => values.iter().for_each(|v| out.extend(v.to_le_bytes())),
    }
}

fn pack_group(group: &[f32], out: &mut Vec<u8>) {
    let (low, high) = group.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    let step = (high - low) / 255.0;
    out.extend(low.to_le_bytes());
    out.extend(step.to_le_bytes());
    out.extend(group.iter().map(|v| if step > 0.0 { ((v - low) / step).round() as u8 } else { 0 }));
}

/// Takes `count` numbers off the front of `bytes`; `None` when there are fewer.
pub fn unpack(bytes: &mut &[u8], count: usize, bits: u32) -> Option<Vec<f32>> {
    let own = bytes.split_off(..packed_len(count, bits))?;
    Some(match bits {
        8 => own.chunks(GROUP + 8).flat_map(unpack_group).collect(),
        16 => own.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
        _ => own.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
    })
}

fn unpack_group(group: &[u8]) -> Vec<f32> {
    let Some((head, values)) = group.split_at_checked(8) else { return Vec::new() };
    let number = |at: usize| f32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (low, step) = (number(0), number(4));
    values.iter().map(|v| low + step * f32::from(*v)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_within_half_a_step() {
        let values: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.37).sin() * 3.0).collect();
        for (bits, limit) in [(32, 0.0), (16, 3.0 / 2048.0), (8, 0.5 * 6.0 / 255.0 + 1e-6)] {
            let mut bytes = Vec::new();
            pack(&values, bits, &mut bytes);
            assert_eq!(bytes.len(), packed_len(values.len(), bits));
            let mut rest = &bytes[..];
            let back = unpack(&mut rest, values.len(), bits).expect("as many numbers as were packed");
            assert!(rest.is_empty());
            let worst = values.iter().zip(&back).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= limit, "{bits} bits are off by {worst}");
            assert!(unpack(&mut &bytes[1..], values.len(), bits).is_none(), "a byte is missing");
        }
    }
}
