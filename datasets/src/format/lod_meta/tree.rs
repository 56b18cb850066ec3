//! The description as it is written: the tree of a partition, whose leaves are regions with their runs.

use crate::scene::tile_tree::{Bounds, Partition};
use serde::Serialize;
use serde::ser::SerializeMap;
use std::ops::Range;

/// Which run of which SOG scene shows a region.
#[derive(Clone, Copy, Serialize)]
struct Run {
    file: usize,
    offset: usize,
    count: usize,
}

/// The levels of all regions.
pub(super) struct Description {
    filenames: Vec<String>,
    /// Splats by level.
    counts: Vec<usize>,
    /// By region and level.
    runs: Vec<Vec<Run>>,
}

/// A node over two others, or a region.
pub(super) struct Node {
    bounds: Bounds,
    content: Content,
}

enum Content {
    Region(usize),
    Halves(Box<[Node; 2]>),
}

impl Description {
    /// Of a scene of so many regions, without levels.
    pub(super) fn new(regions: usize) -> Self {
        Self { filenames: Vec::new(), counts: Vec::new(), runs: vec![Vec::new(); regions] }
    }

    /// The number of a level that is coarser than all before.
    pub(super) fn begin_level(&mut self) -> usize {
        self.counts.push(0);
        self.counts.len() - 1
    }

    /// A SOG scene in a folder of this name, with the splats of these regions in these ranges.
    pub(super) fn add_scene(&mut self, folder: &str, regions: Range<usize>, ranges: &[Range<usize>]) {
        let file = self.filenames.len();
        self.filenames.push(format!("{folder}/meta.json"));
        for (region, range) in regions.zip(ranges) {
            self.runs[region].push(Run { file, offset: range.start, count: range.len() });
            if let Some(count) = self.counts.last_mut() {
                *count += range.len();
            }
        }
    }

    /// The file's content.
    pub(super) fn to_json(&self, tree: &Node) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Raw<'a> {
            version: u32,
            asset: Asset,
            count: usize,
            counts: &'a [usize],
            lod_levels: usize,
            /// Viewers derive errors from counts where no table of them is there.
            lod_errors: bool,
            filenames: &'a [String],
            tree: Tree<'a>,
        }
        #[derive(Serialize)]
        struct Asset {
            generator: &'static str,
        }
        let raw = Raw {
            version: 1,
            asset: Asset { generator: concat!("Tessera ", env!("CARGO_PKG_VERSION")) },
            count: self.counts.iter().sum(),
            counts: &self.counts,
            lod_levels: self.counts.len(),
            lod_errors: false,
            filenames: &self.filenames,
            tree: Tree { node: tree, runs: &self.runs },
        };
        // Numbers and texts alone: nothing can fail.
        serde_json::to_vec(&raw).unwrap_or_default()
    }
}

impl Node {
    /// The tree over `regions`, the leaves of a partition in their order.
    pub(super) fn over(partition: &Partition, regions: &[u32], bounds: &[Bounds]) -> Self {
        let mut number = vec![0; partition.nodes.len()];
        regions.iter().enumerate().for_each(|(region, &leaf)| number[leaf as usize] = region);
        Grower { partition, number, bounds }.grow(0)
    }
}

struct Grower<'a> {
    partition: &'a Partition,
    /// The region of every leaf.
    number: Vec<usize>,
    bounds: &'a [Bounds],
}

impl Grower<'_> {
    fn grow(&self, node: u32) -> Node {
        let children = &self.partition.nodes[node as usize].children;
        if children.is_empty() {
            let region = self.number[node as usize];
            return Node { bounds: self.bounds[region], content: Content::Region(region) };
        }
        self.halve(children.clone())
    }

    /// Programs expect two children; a partition has up to four, which it divided in halves as well.
    fn halve(&self, children: Range<u32>) -> Node {
        if children.len() == 1 {
            return self.grow(children.start);
        }
        let middle = children.start + children.len() as u32 / 2;
        let halves = [self.halve(children.start..middle), self.halve(middle..children.end)];
        let bounds = halves[0].bounds.joined(&halves[1].bounds);
        Node { bounds, content: Content::Halves(Box::new(halves)) }
    }
}

/// A node with the runs of all regions.
struct Tree<'a> {
    node: &'a Node,
    runs: &'a [Vec<Run>],
}

impl Serialize for Tree<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Bound {
            min: [f32; 3],
            max: [f32; 3],
        }
        let Self { node: Node { bounds, content }, runs } = self;
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("bound", &Bound { min: bounds.low, max: bounds.high })?;
        match content {
            Content::Region(region) => map.serialize_entry("lods", &Lods(&runs[*region]))?,
            Content::Halves(halves) => {
                map.serialize_entry("children", &halves.each_ref().map(|node| Self { node, runs }))?;
            }
        }
        map.end()
    }
}

/// Runs by the number of their level.
struct Lods<'a>(&'a [Run]);

impl Serialize for Lods<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().enumerate())
    }
}
