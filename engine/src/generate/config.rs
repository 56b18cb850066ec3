//! Settings of generation.

use super::data::PIECES;
use super::model::{AutoencoderShape, BlockSizes, Compression, SparseShape, TransformerShape};
use crate::{Error, Result};

crate::config! {
    /// How a generator of shapes is made and trained: autoencoders of distances, on a coarse grid and near the surface, a transformer for where the surface is,
    /// and one with spatial sparse attention for what it looks like there.
    pub struct GenerateConfig {
        /// Made shapes of each class to learn from.
        shapes: usize = 400,
        /// Made shapes of each class that are held out.
        held_out: usize = 20,
        /// Of a folder of meshes, every so many-th of a class is held out; 0 holds out none.
        held_out_every: usize = 10,
        /// Start of all random numbers: the same seed gives the same bits.
        seed: u64 = 1,
        /// Training steps of the autoencoder of details.
        autoencoder_steps: u64 = 1000,
        /// Training steps of the autoencoder of structure.
        structure_autoencoder_steps: u64 = 2000,
        /// Training steps of the transformer of structure.
        structure_steps: u64 = 6000,
        /// Training steps of the transformer of details.
        detail_steps: u64 = 2000,
        /// Shapes that a step of the autoencoder of details sees.
        autoencoder_batch: usize = 4,
        /// Shapes that a step of the autoencoder of structure sees.
        structure_autoencoder_batch: usize = 16,
        /// Shapes that a step of the transformer of structure sees.
        structure_batch: usize = 16,
        /// Shapes that a step of the transformer of details sees.
        detail_batch: usize = 4,
        /// Learning rate of the autoencoders at first; all rates fall along half a cosine.
        autoencoder_rate: f32 = 0.002,
        /// Learning rate of the transformers at first.
        rate: f32 = 0.0015,
        /// Numbers that a block of 4³ distances becomes.
        latent: usize = 8,
        /// Numbers that a piece of 4³ distances of the coarse grid becomes.
        structure_latent: usize = 8,
        /// Weight of the divergence of the autoencoders' numbers from a standard normal distribution.
        divergence: f32 = 0.0003,
        /// Numbers of a token of structure inside of the transformer.
        structure_width: usize = 144,
        /// Blocks of the transformer of structure.
        structure_depth: usize = 6,
        /// Numbers of a token of details inside of the transformer.
        detail_width: usize = 96,
        /// Blocks of the transformer of details.
        detail_depth: usize = 4,
        /// Heads of queries of both.
        heads: usize = 6,
        /// Heads of keys and values in sparse attention; they divide those of queries.
        key_heads: usize = 2,
        /// Voxels a side of the blocks that become one token in sparse attention.
        compression_block: usize = 4,
        /// Voxels a side of the blocks that queries select.
        selection_block: usize = 4,
        /// Blocks that a query selects.
        selected: usize = 8,
        /// Voxels a side of windows.
        window: usize = 4,
        /// Tokens that see each other in the autoencoder, as rotated sets of that many in windows three times as wide (DSVT); 0 for the windows themselves.
        set: usize = 0,
        /// How blocks become tokens: "points" or "neighbours".
        compression: Compression = Compression::Points,
        /// Share of training in which the class is kept secret, so that shapes of any class can be made and classes can be stressed.
        drop_class: f64 = 0.1,
        /// How much of the averaged weights is that of earlier steps.
        averaging: f32 = 0.999,
        /// Noise that is added to structures while details are learned, in units of a block's distances.
        structure_noise: f32 = 0.03,
        /// Steps after which a checkpoint is written.
        checkpoint_every: u64 = 500,
    }
}

impl GenerateConfig {
    /// Whether all values make sense together.
    ///
    /// # Errors
    /// When one does not, in words.
    pub fn check(&self) -> Result<()> {
        let bad = |message: String| Err(Error::setting(message));
        let positive = [
            ("shapes", self.shapes),
            ("autoencoder_batch", self.autoencoder_batch),
            ("structure_autoencoder_batch", self.structure_autoencoder_batch),
            ("structure_batch", self.structure_batch),
            ("detail_batch", self.detail_batch),
            ("latent", self.latent),
            ("structure_latent", self.structure_latent),
            ("structure_width", self.structure_width),
            ("detail_width", self.detail_width),
            ("heads", self.heads),
            ("key_heads", self.key_heads),
            ("compression_block", self.compression_block),
            ("selected", self.selected),
            ("window", self.window),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return bad(format!("{name} must be at least 1"));
        }
        for (name, width) in [("structure_width", self.structure_width), ("detail_width", self.detail_width)] {
            if !width.is_multiple_of(self.heads) {
                return bad(format!("{name} must be a multiple of heads, which are {}", self.heads));
            }
        }
        if !self.heads.is_multiple_of(self.key_heads) {
            return bad(format!("heads must be a multiple of key_heads, which are {}", self.key_heads));
        }
        if self.selection_block == 0 || !self.selection_block.is_multiple_of(self.compression_block) {
            return bad("selection_block must be a multiple of compression_block".to_owned());
        }
        if self.compression == Compression::Neighbours {
            let columns = self.detail_width / self.heads * self.key_heads;
            if columns > 32 && !columns.is_multiple_of(32) {
                return bad(format!(
                    "with compression=neighbours, detail_width / heads * key_heads must be a multiple of 32, and is {columns}"
                ));
            }
        }
        if !(0.0..1.0).contains(&self.drop_class) || !(0.0..1.0).contains(&self.averaging) {
            return bad("drop_class and averaging must be at least 0 and less than 1".to_owned());
        }
        let rates = [self.rate, self.autoencoder_rate];
        if rates.iter().any(|rate| !(*rate > 0.0 && rate.is_finite())) {
            return bad("rate and autoencoder_rate must be positive".to_owned());
        }
        Ok(())
    }

    /// Weights that both transformers have at least: a file's settings are not believed before its tensors are that many.
    pub(super) fn least_weights(&self) -> u64 {
        let of = |width: usize, depth: usize| 8 * (depth as u128) * (width as u128).pow(2);
        let both = of(self.structure_width, self.structure_depth) + of(self.detail_width, self.detail_depth);
        u64::try_from(both + 64 * self.latent as u128).unwrap_or(u64::MAX)
    }

    /// Sizes of the autoencoder of details.
    pub(super) fn autoencoder(&self) -> AutoencoderShape {
        AutoencoderShape { latent: self.latent, fine: 32, coarse: 64, window: self.window, set: self.set }
    }

    /// Sizes of the autoencoder of structure: all pieces of a shape are in one window.
    pub(super) fn structure_autoencoder(&self) -> AutoencoderShape {
        AutoencoderShape { latent: self.structure_latent, fine: 32, coarse: 64, window: PIECES, set: 0 }
    }

    /// Sizes of the transformer of structure.
    pub(super) fn structure(&self, classes: usize) -> TransformerShape {
        TransformerShape { width: self.structure_width, depth: self.structure_depth, heads: self.heads, classes }
    }

    /// Sizes of the transformer of details.
    pub(super) fn detail(&self, classes: usize) -> (TransformerShape, SparseShape) {
        let shape = TransformerShape { width: self.detail_width, depth: self.detail_depth, heads: self.heads, classes };
        let sizes =
            BlockSizes { compression: self.compression_block, selection: self.selection_block, window: self.window };
        let compression = self.compression;
        (shape, SparseShape { key_heads: self.key_heads, count: self.selected, sizes, compression })
    }
}
