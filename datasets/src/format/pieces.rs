//! A chunk of splats cut into pieces, so that several threads fill it.

use crate::scene::SplatCloud;

/// Splats that one thread decodes at a time.
pub(in crate::format) const PIECE: usize = 2048;

/// Some splats of a chunk, for one thread.
pub(in crate::format) struct Piece<'a> {
    /// Of the first, in the chunk.
    pub first: usize,
    pub means: &'a mut [[f32; 3]],
    pub log_scales: &'a mut [[f32; 3]],
    pub quats: &'a mut [[f32; 4]],
    pub opacity_logits: &'a mut [f32],
    pub sh0: &'a mut [[f32; 3]],
    pub sh_rest: &'a mut [f32],
}

/// Makes room for `n` splats, whatever their values.
pub(in crate::format) fn resize(chunk: &mut SplatCloud, n: usize) {
    chunk.means.resize(n, [0.0; 3]);
    chunk.log_scales.resize(n, [0.0; 3]);
    chunk.quats.resize(n, [0.0; 4]);
    chunk.opacity_logits.resize(n, 0.0);
    chunk.sh0.resize(n, [0.0; 3]);
    chunk.sh_rest.resize(n * 3 * SplatCloud::rest_coefficients(chunk.sh_degree), 0.0);
}

/// The splats of a chunk, [`PIECE`] at a time.
pub(in crate::format) fn pieces(chunk: &mut SplatCloud) -> Vec<Piece<'_>> {
    let width = 3 * SplatCloud::rest_coefficients(chunk.sh_degree);
    let mut sh_rest = &mut chunk.sh_rest[..];
    let arrays = chunk.means.chunks_mut(PIECE).zip(chunk.log_scales.chunks_mut(PIECE));
    let arrays = arrays.zip(chunk.quats.chunks_mut(PIECE)).zip(chunk.opacity_logits.chunks_mut(PIECE));
    let arrays = arrays.zip(chunk.sh0.chunks_mut(PIECE)).enumerate();
    arrays
        .map(|(i, ((((means, log_scales), quats), opacity_logits), sh0))| {
            let (own, others) = std::mem::take(&mut sh_rest).split_at_mut(means.len() * width);
            sh_rest = others;
            Piece { first: i * PIECE, means, log_scales, quats, opacity_logits, sh0, sh_rest: own }
        })
        .collect()
}
