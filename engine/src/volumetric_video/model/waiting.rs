//! Segments that nobody looks at: on disk, until training comes back to their moments.
//!
//! They lie in one file without a name, which the system removes when the program ends in any way. A Gaussian is a record of
//! numbers in 4 bytes: all parameters, each with its two moments, and its age.

use crate::{Error, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

/// Records by what they wait for, say a [`Berth`](super::berth::Berth).
#[derive(Debug)]
pub struct Waiting<K> {
    /// Where the file is made.
    folder: PathBuf,
    /// Made when something is put into it.
    file: Option<File>,
    /// Numbers in a record.
    words: usize,
    kept: BTreeMap<K, Vec<Extent>>,
    /// What is free, in order; no two of them meet.
    free: Vec<Extent>,
    /// Records that the file has room for.
    end: u64,
}

/// Records that follow each other in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    first: u64,
    count: u64,
}

impl<K: Copy + Ord> Waiting<K> {
    /// Nothing waits. Records have so many numbers; the file will be made in a folder.
    pub fn new(words: usize, folder: PathBuf) -> Self {
        Self { folder, file: None, words, kept: BTreeMap::new(), free: Vec::new(), end: 0 }
    }

    /// Has the file in another folder.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn move_to(&mut self, folder: &Path) -> Result<()> {
        self.folder = folder.to_owned();
        if let Some(mut before) = self.file.take() {
            let copied = tempfile::tempfile_in(folder).and_then(|mut file| {
                before.seek(SeekFrom::Start(0))?;
                io::copy(&mut before, &mut file)?;
                Ok(file)
            });
            self.file = Some(copied.map_err(|e| Error::write(folder, &e))?);
        }
        Ok(())
    }

    /// Has the system read what waits in some places into memory that it can spare, so that it is there when it is asked for. Where
    /// the system cannot be told, nothing happens.
    pub fn read_ahead(&self, is_wanted: impl Fn(&K) -> bool) {
        #[cfg(target_os = "linux")]
        if let Some(file) = &self.file {
            for extent in self.kept.iter().filter(|(key, _)| is_wanted(key)).flat_map(|(_, extents)| extents) {
                let [from, to] = [extent.first, extent.first + extent.count].map(|record| self.byte(record));
                // Only advice: when it is not taken, reading takes longer.
                let _ = rustix::fs::fadvise(file, from, NonZeroU64::new(to - from), rustix::fs::Advice::WillNeed);
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = is_wanted;
    }

    /// How many Gaussians wait.
    pub fn total(&self) -> usize {
        self.kept.values().flatten().map(|extent| extent.count as usize).sum()
    }

    /// How many wait for one thing.
    pub fn count(&self, key: K) -> usize {
        self.kept.get(&key).into_iter().flatten().map(|extent| extent.count as usize).sum()
    }

    /// What any wait for, in their order.
    pub fn keys(&self) -> impl Iterator<Item = K> + '_ {
        self.kept.keys().copied()
    }

    /// Puts records behind those of a key.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn put(&mut self, key: K, records: &[f32]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let extent = self.allocate((records.len() / self.words) as u64);
        let start = self.byte(extent.first);
        let folder = &self.folder;
        let unwritable = |e| Error::write(folder, &e);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile_in(folder).map_err(unwritable)?),
        };
        let written = file.seek(SeekFrom::Start(start)).and_then(|_| file.write_all(bytemuck::cast_slice(records)));
        written.map_err(unwritable)?;
        self.kept.entry(key).or_default().push(extent);
        Ok(())
    }

    /// The records of a key, in the order in which they were put there. They wait on.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn read(&self, key: K) -> Result<Vec<f32>> {
        let extents = self.kept.get(&key).map_or(&[][..], Vec::as_slice);
        let count: u64 = extents.iter().map(|extent| extent.count).sum();
        let mut records = vec![0.0; count as usize * self.words];
        let mut rest = records.as_mut_slice();
        for extent in extents {
            let (part, behind) = rest.split_at_mut(extent.count as usize * self.words);
            rest = behind;
            let Some(mut file) = self.file.as_ref() else { continue };
            let start = SeekFrom::Start(self.byte(extent.first));
            let read = file.seek(start).and_then(|_| file.read_exact(bytemuck::cast_slice_mut(part)));
            read.map_err(|e| Error::read(&self.folder, &e))?;
        }
        Ok(records)
    }

    /// As [`Self::read`], and they wait no longer.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn take(&mut self, key: K) -> Result<Vec<f32>> {
        let records = self.read(key)?;
        for extent in self.kept.remove(&key).unwrap_or_default() {
            self.release(extent);
        }
        Ok(records)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.kept.clear();
        self.free.clear();
        self.end = 0;
    }

    /// Bytes that the file has.
    pub fn file_bytes(&self) -> u64 {
        self.byte(self.end)
    }

    fn byte(&self, record: u64) -> u64 {
        record * self.words as u64 * size_of::<f32>() as u64
    }

    /// The first free room that is large enough, else more of the file.
    fn allocate(&mut self, count: u64) -> Extent {
        if let Some(found) = self.free.iter().position(|extent| extent.count >= count) {
            let room = &mut self.free[found];
            let extent = Extent { first: room.first, count };
            (room.first, room.count) = (room.first + count, room.count - count);
            self.free.retain(|extent| extent.count > 0);
            return extent;
        }
        let first = self.end;
        self.end += count;
        Extent { first, count }
    }

    fn release(&mut self, extent: Extent) {
        let at = self.free.partition_point(|other| other.first < extent.first);
        self.free.insert(at, extent);
        self.free.dedup_by(|next, before| {
            let meets = before.first + before.count == next.first;
            before.count += if meets { next.count } else { 0 };
            meets
        });
        // What is free at the end belongs to nobody.
        if let Some(last) = self.free.pop_if(|last| last.first + last.count == self.end) {
            self.end = last.first;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    #[test]
    fn what_waits_comes_back_in_its_order_and_its_room_is_used_again() {
        for seed in 0..40 {
            let mut rng = Pcg64::seed_from_u64(seed);
            let mut waiting = Waiting::new(3, std::env::temp_dir());
            let mut wanted: BTreeMap<i64, Vec<f32>> = BTreeMap::new();
            let (mut most, mut number) = (0, 0.0);
            for _ in 0..200 {
                let segment = rng.random_range(0..6);
                if rng.random() {
                    let taken = waiting.take(segment).expect("a disk");
                    assert_eq!(taken, wanted.remove(&segment).unwrap_or_default(), "seed {seed}");
                } else {
                    let records: Vec<f32> = (0..3 * rng.random_range(0..5)).map(|i| number + i as f32).collect();
                    number += 100.0;
                    waiting.put(segment, &records).expect("a disk");
                    wanted.entry(segment).or_default().extend(records);
                }
                let count: usize = wanted.values().map(|records| records.len() / 3).sum();
                assert_eq!(waiting.total(), count, "seed {seed}");
                most = most.max(count);
            }
            for (segment, records) in &wanted {
                assert_eq!(&waiting.read(*segment).expect("a disk"), records, "seed {seed}");
            }
            // Where a piece of at most 4 records found no gap, each gap had at most 3, and something behind it that waited.
            let bytes = waiting.file_bytes();
            assert!(bytes <= 12 * 4 * most as u64, "seed {seed}: {bytes} bytes for {most} records of 12");
        }
    }
}
