//! Chunks from a source to a sink, read on one thread while they are written on another.

use super::{Progress, Stage, Watch};
use crate::Result;
use crate::format::stream::{SplatHeader, SplatSink, SplatSource};
use crate::scene::SplatCloud;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};

/// Chunks that may wait to be written.
const QUEUE: usize = 1;
/// Chunks that there are: one is read, one waits, one is written.
const CHUNKS: usize = QUEUE + 2;

/// Moves all splats, changed by `edit`, and says how many there were; nothing when it was broken off.
pub(super) fn pump(
    source: &mut dyn SplatSource,
    edit: impl Fn(&mut SplatCloud) + Send,
    sink: &mut dyn SplatSink,
    total: u64,
    watch: Watch<'_>,
) -> Result<Option<u64>> {
    let sh_degree = source.header().sh_degree;
    let (full_sender, full) = sync_channel::<SplatCloud>(QUEUE);
    let (empty_sender, empty) = channel::<SplatCloud>();
    (0..CHUNKS).for_each(|_| drop(empty_sender.send(source.header().empty_cloud(0))));
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || read(source, edit, &empty, &full_sender));
        let mut written = 0;
        let mut put = || -> Result<bool> {
            for mut chunk in &full {
                sink.put(&chunk)?;
                written += chunk.len() as u64;
                if watch(Progress { stage: Stage::Writing, done: written, total }).is_break() {
                    return Ok(false);
                }
                chunk.clear();
                chunk.sh_degree = sh_degree;
                // Nobody takes it when all has been read.
                drop(empty_sender.send(chunk));
            }
            Ok(true)
        };
        let complete = put();
        // The reader stops when nobody listens any more.
        drop(full);
        drop(empty_sender);
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let complete = complete?;
        read?;
        Ok(complete.then_some(written))
    })
}

fn read(
    source: &mut dyn SplatSource,
    edit: impl Fn(&mut SplatCloud),
    empty: &Receiver<SplatCloud>,
    full: &SyncSender<SplatCloud>,
) -> Result<()> {
    while let Ok(mut chunk) = empty.recv() {
        if !source.next_chunk(&mut chunk)? {
            break;
        }
        edit(&mut chunk);
        if full.send(chunk).is_err() {
            break;
        }
    }
    Ok(())
}

/// Keeps nothing.
pub(super) struct Nowhere;

impl SplatSink for Nowhere {
    fn put(&mut self, _: &SplatCloud) -> Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// Keeps the scene in memory and hands it over when it is finished.
pub(super) struct MemorySink {
    cloud: SplatCloud,
    finished: SyncSender<SplatCloud>,
}

impl MemorySink {
    pub(super) fn new(header: &SplatHeader) -> (Self, Receiver<SplatCloud>) {
        let (finished, receiver) = sync_channel(1);
        (Self { cloud: header.empty_cloud(0), finished }, receiver)
    }
}

impl SplatSink for MemorySink {
    fn put(&mut self, chunk: &SplatCloud) -> Result<()> {
        self.cloud.append(chunk);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let Self { cloud, finished } = *self;
        // There is room for one; when nobody wants it, that is no failure.
        drop(finished.send(cloud));
        Ok(())
    }
}
