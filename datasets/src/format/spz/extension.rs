//! Extensions: records of a type, a length and so many bytes. One is ours: where the captured world lies.

use crate::camera::Similarity;
use crate::format::placement;

/// Ours: the first half of the number stands for the vendor ("TE"), the second for the extension.
const SCENE_FROM_WORLD: u32 = 0x5445_0001;
/// Translation (3), quaternion w x y z (4) and scale (1) as `f64`.
const LENGTH: usize = 64;

/// The record for a similarity, in the axes of PLY files.
pub(super) fn record(similarity: &Similarity) -> Vec<u8> {
    let head = [SCENE_FROM_WORLD, LENGTH as u32].map(u32::to_le_bytes);
    [head.as_flattened(), placement::numbers(similarity).map(f64::to_le_bytes).as_flattened()].concat()
}

/// The similarity among records, if there is one. None as well when the numbers are those of no similarity.
pub(super) fn find(mut records: &[u8]) -> Option<Similarity> {
    loop {
        let (kind, rest) = records.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let payload = rest.get(..length)?;
        if u32::from_le_bytes(*kind) == SCENE_FROM_WORLD {
            return similarity(payload);
        }
        records = &rest[length..];
    }
}

fn similarity(payload: &[u8]) -> Option<Similarity> {
    let payload: &[u8; LENGTH] = payload.try_into().ok()?;
    let numbers: Vec<f64> = payload.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    placement::from_numbers(numbers.try_into().ok()?)
}
