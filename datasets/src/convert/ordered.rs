//! A scene in memory, in its own order or by place.

use crate::Result;
use crate::format::stream::{CHUNK_SPLATS, SplatHeader, SplatSource};
use crate::scene::{SplatCloud, morton_order};

pub(super) struct Ordered {
    cloud: SplatCloud,
    header: SplatHeader,
    order: Option<Vec<u32>>,
    next: usize,
}

impl Ordered {
    /// The splats of `cloud`, by their Morton codes if `morton` says so.
    pub(super) fn new(cloud: SplatCloud, morton: bool) -> Self {
        let order = morton.then(|| morton_order(&cloud.means));
        Self { header: SplatHeader::of(&cloud), cloud, order, next: 0 }
    }
}

impl SplatSource for Ordered {
    fn header(&self) -> &SplatHeader {
        &self.header
    }

    fn next_chunk(&mut self, chunk: &mut SplatCloud) -> Result<bool> {
        let range = self.next..self.cloud.len().min(self.next + CHUNK_SPLATS);
        self.next = range.end;
        match &self.order {
            Some(order) => *chunk = self.cloud.select(&order[range]),
            None => {
                chunk.clear();
                chunk.append_range(&self.cloud, range);
            }
        }
        Ok(!chunk.is_empty())
    }
}
