//! Events of single blocks as events of the whole run: steps are counted over all blocks.

use super::METHOD;
use super::ledger::Ledger;
use crate::Result;
use crate::train::Event;

/// Passes events on.
#[derive(Debug)]
pub(super) struct Relay {
    /// Steps of all blocks together.
    total: u64,
    is_started: bool,
    /// The block at hand, from 0, of how many, and its photos.
    block: (usize, usize, usize),
    /// Steps of all other blocks that are done.
    others: u64,
}

impl Relay {
    pub fn new(total: u64) -> Self {
        Self { total, is_started: false, block: (0, 0, 0), others: 0 }
    }

    /// From now on events are about this block.
    pub fn begin(&mut self, ledger: &Ledger, block: usize, photos: usize) -> Result<()> {
        let records = ledger.records()?;
        self.block = (block, records.len(), photos);
        let others = records.iter().enumerate().filter(|(other, _)| *other != block);
        self.others = others.map(|(other, record)| ledger.steps(other, record)).sum();
        Ok(())
    }

    /// Steps of all blocks that are safe on the disk.
    pub fn steps_of_all(&self, ledger: &Ledger) -> Result<u64> {
        let records = ledger.records()?;
        Ok(records.iter().enumerate().map(|(block, record)| ledger.steps(block, record)).sum())
    }

    /// Steps of all blocks, when the one at hand has done so many.
    pub fn in_all(&self, step: u64) -> u64 {
        self.others + step
    }

    pub fn pass(&mut self, event: Event, events: &mut dyn FnMut(Event)) {
        match event {
            Event::Started { step, total, memory, .. } => {
                let in_all = self.in_all(step);
                if !std::mem::replace(&mut self.is_started, true) {
                    events(Event::Started { method: METHOD.to_owned(), step: in_all, total: self.total, memory });
                }
                let (block, blocks, photos) = self.block;
                events(Event::Block { block: block + 1, blocks, photos, step, total });
            }
            Event::Step { step, loss, psnr, count, count_name, steps_per_second, .. } => {
                let (step, total) = (self.in_all(step), self.total);
                let seconds_left = total.saturating_sub(step) as f64 / steps_per_second.max(1e-9);
                events(Event::Step { step, total, loss, psnr, count, count_name, steps_per_second, seconds_left });
            }
            Event::Evaluated { step, report } => events(Event::Evaluated { step: self.in_all(step), report }),
            Event::Checkpointed { step, path } => events(Event::Checkpointed { step: self.in_all(step), path }),
            Event::Preview { step, path } => events(Event::Preview { step: self.in_all(step), path }),
            Event::Interrupted { step } => events(Event::Interrupted { step: self.in_all(step) }),
            Event::Warning { .. } | Event::Block { .. } => events(event),
            // The run has finished when all blocks are joined.
            Event::Finished { .. } => {}
        }
    }
}
