//! Formats whose splats are rows of numbers, any of which may be broken: a reader gives row after row, and those that are
//! not finite are left out and counted once that is allowed.

use super::stream::{SplatHeader, SplatSource};
use crate::Result;
use crate::scene::SplatCloud;

/// A file of rows, of which some may be left out. It is a [`SplatSource`].
pub(in crate::format) trait RowSource: Send {
    /// What the file says about all of them.
    fn header(&self) -> &SplatHeader;

    /// Replaces what is in `chunk` by the splats of the next rows, and says how many rows these were; 0 at the end.
    ///
    /// # Errors
    /// When the file is truncated, or a row is not finite and must not be left out.
    fn next_rows(&mut self, chunk: &mut SplatCloud) -> Result<u64>;

    /// How many rows were left out, where that is allowed.
    fn skipped(&self) -> Option<u64>;

    /// Allows it.
    fn skip_invalid(&mut self);
}

impl<T: RowSource> SplatSource for T {
    fn header(&self) -> &SplatHeader {
        RowSource::header(self)
    }

    fn next_chunk(&mut self, chunk: &mut SplatCloud) -> Result<bool> {
        loop {
            let n = self.next_rows(chunk)?;
            // Nothing of it may be left.
            if n == 0 || !chunk.is_empty() {
                return Ok(n > 0);
            }
        }
    }

    fn skip_invalid(&mut self) {
        RowSource::skip_invalid(self);
    }

    fn skipped(&self) -> u64 {
        RowSource::skipped(self).unwrap_or(0)
    }
}
