//! Sums of gradients whose parts go from GPU to GPU by NCCL, and not through rank 0.
//!
//! Each rank's parts of a round's sum ([`TreeSum`]) are put into a slot of fixed size, all slots are gathered by all ranks, and each adds
//! them in the order of the tree: the same bits as over the link, on any number of ranks. Sums that NCCL makes itself have an order of their own, and are not used.
//!
//! Notes of a round still go over the link, and the verdict is awaited there first: the link knows of a rank that is lost, for which NCCL would
//! wait for ever. By then all ranks have begun to gather, so what is not done soon after has failed.
//!
//! - `choice`: whether all ranks can, and what they do if not.

mod choice;
#[cfg(test)]
mod tests;

use super::device::Size;
use super::round::{Round, Verdict};
use super::{AnchorTraining, Decoders, Exchange};
use crate::exchange::{Part, Patience, TreeSum};
use crate::{Error, Result};
use choice::{Finder, Offer};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};
use tessera_kernels::device::cuda::{Collectives, Communicator, UniqueId, find_nccl};
use tessera_kernels::device::{Buffer, Device, Pinned, Stream};

/// Between two looks whether a gather is done.
const LOOK_EVERY: Duration = Duration::from_micros(20);
/// The number of the gather by which ranks try whether it works.
const TRIAL: u64 = u64::MAX;
const PURPOSE: &str = "gradients of all processes";

/// What a rank has to give in a round, in words: the round, how many parts there are, and for each level, index and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    /// The most parts that a rank has in any round.
    parts: usize,
    /// Numbers of a part.
    values: usize,
}

/// Words of a slot before its parts, and of a part before its values.
const OF_SLOT: usize = 3;
const OF_PART: usize = 2;

impl Slot {
    fn words(self) -> usize {
        OF_SLOT + self.parts * (OF_PART + self.values)
    }

    /// Bytes on a device: the own slot, and those of all ranks.
    fn bytes(self, ranks: usize) -> usize {
        size_of::<u32>() * self.words() * (1 + ranks)
    }

    /// Writes what a rank has to give.
    fn write(self, words: &mut [u32], round: u64, parts: &[Part]) -> Result<()> {
        if parts.len() > self.parts || parts.iter().any(|part| part.values.len() != self.values) {
            return Err(Error::Ranks(format!("the parts of a sum do not fit into a slot of {self:?}")));
        }
        let (head, body) = words.split_at_mut(OF_SLOT);
        head.copy_from_slice(&[round as u32, (round >> 32) as u32, parts.len() as u32]);
        for (part, words) in parts.iter().zip(body.chunks_exact_mut(OF_PART + self.values)) {
            let (head, body) = words.split_at_mut(OF_PART);
            head.copy_from_slice(&[part.level, part.index as u32]);
            body.iter_mut().zip(&part.values).for_each(|(word, value)| *word = value.to_bits());
        }
        Ok(())
    }

    /// Takes out what another rank has given; nothing if it is not of this round.
    fn read(self, words: &[u32], round: u64) -> Option<Vec<Part>> {
        let (head, body) = words.split_at_checked(OF_SLOT)?;
        let (of, count) = (u64::from(head[0]) | u64::from(head[1]) << 32, head[2] as usize);
        if of != round || count > self.parts {
            return None;
        }
        let part = |words: &[u32]| Part {
            level: words[0],
            index: words[1] as usize,
            values: words[OF_PART..].iter().map(|word| f32::from_bits(*word)).collect(),
        };
        Some(body.chunks_exact(OF_PART + self.values).take(count).map(part).collect())
    }
}

/// What this rank's device gathers from those of all others.
pub(super) struct Gather {
    /// Before the buffers: it uses them until it ends.
    communicator: Communicator,
    stream: Stream,
    /// Of this rank, and of all.
    given: Buffer<u32>,
    gathered: Buffer<u32>,
    outgoing: Pinned<u32>,
    incoming: Pinned<u32>,
    slot: Slot,
    rank: usize,
    size: usize,
    /// The round that is under way, and what this rank has added of it.
    begun: Option<(u64, TreeSum)>,
    /// How long the others may take once all have begun.
    limit: Duration,
}

impl Gather {
    /// Joins the others, and tries whether gathering works. Connections are made here, so that no round waits for that.
    fn join(
        device: &Device,
        (library, id): (&Arc<dyn Collectives>, UniqueId),
        (rank, size): (usize, usize),
        slot: Slot,
        patience: Patience,
    ) -> Result<Self> {
        let (device, library) = (device.clone(), Arc::clone(library));
        let work = move || -> Result<Self> {
            let communicator = Communicator::join(&library, &id, (rank, size), &device)?;
            let mut gather = Self {
                communicator,
                stream: device.stream()?,
                given: device.zeros(slot.words(), PURPOSE)?,
                gathered: device.zeros(size * slot.words(), PURPOSE)?,
                outgoing: device.pinned(slot.words())?,
                incoming: device.pinned(size * slot.words())?,
                slot,
                rank,
                size,
                begun: None,
                limit: patience.lost,
            };
            let mut sum = TreeSum::new(size);
            sum.add(rank, vec![(rank + 1) as f32; slot.values]);
            gather.begin(TRIAL, sum)?;
            let expected = (size * (size + 1) / 2) as f32;
            if gather.finish()?.iter().any(|value| *value != expected) {
                return Err(Error::Ranks("what was gathered for a trial is not what ranks gave".to_owned()));
            }
            Ok(gather)
        };
        // Whoever is stuck in there stays so: nothing of a communicator that is not made can be ended.
        within(patience.meeting, work).unwrap_or_else(|| {
            let seconds = patience.meeting.as_secs();
            Err(Error::Ranks(format!("NCCL did not bring the GPUs together within {seconds} seconds")))
        })
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> usize {
        self.slot.bytes(self.size)
    }

    /// Begins to gather the parts of a round's sum, on a stream of its own. Until [`Gather::finish`] the device's memory must stay as it is:
    /// allocating and freeing wait for all of its work, and so for all ranks.
    pub fn begin(&mut self, round: u64, sum: TreeSum) -> Result<()> {
        self.slot.write(self.outgoing.values()?, round, sum.parts())?;
        self.given.write_from(&mut self.outgoing, &self.stream)?;
        self.communicator.all_gather(&self.given, &mut self.gathered, &self.stream)?;
        self.begun = Some((round, sum));
        Ok(())
    }

    /// Waits until all is gathered, and adds it. After a failure nothing is gathered any more.
    pub fn finish(&mut self) -> Result<Vec<f32>> {
        let round = self.begun.as_ref().map_or(0, |(round, _)| *round);
        let sum = self.sum();
        if sum.is_err() {
            self.abort();
        }
        let what = if round == TRIAL { "for a trial".to_owned() } else { format!("of round {round}") };
        sum.map_err(|error| {
            Error::Ranks(format!("gathering gradients {what} between GPUs has failed: {error}; NCCL_DEBUG=WARN says more, and with --set \
                                  exchange=link processes do without NCCL"))
        })
    }

    fn sum(&mut self) -> Result<Vec<f32>> {
        let wrong = |what: &str| Error::Ranks(what.to_owned());
        let (round, mut sum) = self.begun.take().ok_or_else(|| wrong("nothing was begun"))?;
        let begin = Instant::now();
        while !self.communicator.is_done()? {
            if begin.elapsed() > self.limit {
                let seconds = self.limit.as_secs();
                return Err(Error::Ranks(format!(
                    "it was not done {seconds} seconds after all processes had begun it"
                )));
            }
            thread::sleep(LOOK_EVERY);
        }
        self.gathered.read_into(&mut self.incoming, &self.stream)?;
        for (rank, words) in self.incoming.values()?.chunks_exact(self.slot.words()).enumerate() {
            if rank != self.rank {
                let parts = self.slot.read(words, round);
                parts
                    .ok_or_else(|| wrong("processes gathered different rounds"))?
                    .into_iter()
                    .for_each(|part| sum.merge(part));
            }
        }
        sum.finish().ok_or_else(|| wrong("a part of the sum is missing"))
    }

    /// Ends what is under way, so that the device's work is done.
    pub fn abort(&mut self) {
        self.communicator.abort();
    }
}

impl std::fmt::Debug for Gather {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gather").field("rank", &self.rank).field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// What `work` gives, if it does within this time; else it goes on by itself, and what comes of it is dropped.
fn within<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = channel();
    // Whoever does not wait any more needs no result.
    thread::spawn(move || drop(sender.send(work())));
    receiver.recv_timeout(limit).ok()
}

impl AnchorTraining {
    /// The same on a device from its first step on, if one is given. All ranks do so at the same time, and settle how gradients will go from one to another.
    ///
    /// # Errors
    /// When the device has too little memory, or fails, or gradients must go by NCCL and cannot.
    pub fn on(self, device: Option<&Device>) -> Result<Self> {
        self.on_by(device, &find_nccl, Patience::default())
    }

    /// With an NCCL that is found in this way.
    fn on_by(mut self, device: Option<&Device>, find: Finder<'_>, patience: Patience) -> Result<Self> {
        self.device = device.cloned();
        if let Err(error) = self.settle_way(find, patience) {
            self.give_up(&error);
            return Err(error);
        }
        Ok(self)
    }

    fn settle_way(&mut self, find: Finder<'_>, patience: Patience) -> Result<()> {
        let size = self.ranks.get_mut().size();
        let slot = self.slot(size);
        if let Some(device) = &self.device {
            let gathered = slot.map_or(0, |slot| slot.bytes(size));
            Size::new(&self.blocks, &self.config).with_gathered(gathered).check(device, &self.config)?;
        }
        self.way = match (size, slot) {
            (1, _) => String::new(),
            (_, None) if self.decoders == Decoders::Blocks => "none, as each block has a decoder of its own".to_owned(),
            (_, None) => "over the link, as exchange=link says".to_owned(),
            (_, Some(slot)) => {
                let is_needed = self.config.exchange == Exchange::Nccl;
                let offer = Offer::of(self.device.as_ref(), find);
                let (gather, way) = choice::choose(self.ranks.get_mut(), offer, is_needed, slot, patience)?;
                self.gather = gather;
                way
            }
        };
        Ok(())
    }

    /// What a rank of so many gives in a round, if it may be gathered.
    fn slot(&mut self, size: usize) -> Option<Slot> {
        let values = match self.decoders {
            Decoders::One => self.config.decoder().parameters(),
            Decoders::Lanes => self.students.first_mut()?.numbers(),
            Decoders::Blocks => return None,
        };
        let is_wanted = size > 1 && self.config.exchange != Exchange::Link;
        is_wanted.then(|| Slot { parts: self.deal.most_parts(size), values })
    }

    /// The way that gradients take between processes, and why, for the user; nothing when there is one process.
    pub fn way(&self) -> Option<&str> {
        (!self.way.is_empty()).then_some(self.way.as_str())
    }

    /// Waits for what comes of a round: at the link first, which knows of ranks that are lost.
    pub(super) fn settle_round(&mut self, report: Round) -> Result<Verdict> {
        let verdict = report.settle(self.ranks.get_mut());
        let Some(gather) = &mut self.gather else { return verdict };
        if verdict.is_err() {
            gather.abort();
        }
        let mut verdict = verdict?;
        let begin = Instant::now();
        verdict.sum = Some(gather.finish()?);
        self.ranks.get_mut().has_waited(begin.elapsed());
        Ok(verdict)
    }

    /// Of a run that has ended, as all ranks know: goes from the others in order.
    pub(super) fn leave(&mut self) {
        if let Some(Gather { communicator, limit, .. }) = self.gather.take() {
            // The run is complete, whatever becomes of this.
            let _ = within(limit, move || communicator.leave());
        }
    }
}
