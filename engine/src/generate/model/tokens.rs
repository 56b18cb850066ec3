//! What layers need to know of where tokens are, computed once for all of them.

use super::super::tape::Compressed;
use std::sync::Arc;
use tessera_kernels::sparse_attention::{Pattern, SetOrder, Sets, Windows, block_order, sample_ends};
use tessera_kernels::sparse_conv::{Neighbours, Sites};

/// Tokens window by window.
#[derive(Clone, Debug)]
pub struct Window {
    /// Which token comes when.
    pub order: Arc<Vec<u32>>,
    /// When each token comes.
    pub back: Arc<Vec<u32>>,
    /// What they see.
    pub pattern: Arc<Vec<Pattern>>,
}

impl Window {
    /// Windows of `size` voxels a side, and such that are moved by half of that.
    pub fn both(coordinates: &[[i32; 4]], size: usize) -> [Self; 2] {
        [0, size / 2].map(|shift| {
            let windows = Windows::new(coordinates, size as i32, shift as i32);
            Self::of(windows.order, windows.pattern)
        })
    }

    /// Sets of at most `size` voxels, in windows of `window` voxels a side, cut along one axis and along another.
    pub fn rotated(coordinates: &[[i32; 4]], window: usize, size: usize) -> [Self; 2] {
        [SetOrder::Y, SetOrder::X].map(|by| {
            let sets = Sets::new(coordinates, [window as i32; 3], [0; 3], size, by);
            Self::of(sets.order, sets.pattern)
        })
    }

    fn of(order: Vec<u32>, pattern: Pattern) -> Self {
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(i, token)| back[*token as usize] = i as u32);
        Self { order: Arc::new(order), back: Arc::new(back), pattern: Arc::new(vec![pattern]) }
    }
}

/// Sizes of blocks and windows, in voxels a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSizes {
    /// Of blocks that become one token.
    pub compression: usize,
    /// Of blocks that are selected, a multiple of those.
    pub selection: usize,
    /// Of windows.
    pub window: usize,
}

/// Tokens of several samples in the order of their blocks.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Which of the given tokens comes when.
    pub order: Vec<u32>,
    /// (sample, x, y, z) in this order.
    pub coordinates: Vec<[i32; 4]>,
    /// The sample of each.
    pub samples: Arc<Vec<u32>>,
    /// Where samples end.
    pub sample_ends: Arc<Vec<u32>>,
    /// Where selection blocks end.
    pub block_ends: Vec<usize>,
    /// The mean of each token.
    pub compressed: Arc<Compressed>,
    /// Where samples' means end.
    pub compressed_ends: Arc<Vec<u32>>,
    /// The selection block of each mean.
    pub of_means: Vec<u32>,
    /// Neighbours of means.
    pub compressed_neighbours: Arc<Neighbours>,
    /// Each token alone.
    pub alone: Arc<Neighbours>,
    /// Where in its block each token lies.
    pub places: Arc<Vec<u32>>,
    /// All means of a sample for all of its tokens.
    pub to_means: Arc<Vec<Pattern>>,
    /// Windows, not shifted and shifted.
    pub windows: [Window; 2],
}

impl Tokens {
    /// Of `samples` samples.
    ///
    /// # Panics
    /// When selection blocks are not made of compression blocks.
    pub fn new(given: &[[i32; 4]], samples: usize, sizes: BlockSizes) -> Self {
        let BlockSizes { compression, selection, window } = sizes;
        assert!(compression > 0 && selection.is_multiple_of(compression), "selection blocks are of compression blocks");
        let (order, block_ends) = block_order(given, selection as i32);
        let coordinates: Vec<[i32; 4]> = order.iter().map(|i| given[*i as usize]).collect();
        let side = compression as i32;
        let mean = |[b, x, y, z]: [i32; 4]| [b, x.div_euclid(side), y.div_euclid(side), z.div_euclid(side)];
        let means = Sites::new(coordinates.iter().map(|c| mean(*c)).collect());
        let at = |c: [i32; 4]| means.coordinates().partition_point(|other| *other < mean(c)) as u32;
        let parents: Vec<u32> = coordinates.iter().map(|c| at(*c)).collect();
        let mut of_means = vec![0; means.len()];
        let mut block = 0;
        for (i, parent) in parents.iter().enumerate() {
            block += usize::from(i == block_ends[block]);
            of_means[*parent as usize] = block as u32;
        }
        let place = |[_, x, y, z]: &[i32; 4]| {
            let [x, y, z] = [x, y, z].map(|x| x.rem_euclid(side));
            ((x * side + y) * side + z) as u32
        };
        let short = |ends: &[usize]| Arc::new(ends.iter().map(|end| *end as u32).collect());
        let (ends, mean_ends) = (sample_ends(&coordinates, samples), sample_ends(means.coordinates(), samples));
        Self {
            samples: Arc::new(coordinates.iter().map(|c| c[0] as u32).collect()),
            to_means: Arc::new(vec![Pattern::of_blocks(&ends, &mean_ends)]),
            sample_ends: short(&ends),
            block_ends,
            compressed: Arc::new(Compressed { parents, count: means.len() }),
            compressed_ends: short(&mean_ends),
            of_means,
            compressed_neighbours: Arc::new(means.neighbours()),
            alone: Arc::new(Neighbours::alone(coordinates.len())),
            places: Arc::new(coordinates.iter().map(place).collect()),
            windows: Window::both(&coordinates, window),
            order,
            coordinates,
        }
    }
}
