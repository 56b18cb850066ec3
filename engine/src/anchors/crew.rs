//! What ranks do together beside steps: rank 0 gives orders, and all others follow them.
//!
//! The blocks of several ranks are kept in the run folder, a folder for each block, by the rank that trains it; when all are safe
//! on the disk, rank 0 writes its own checkpoint. So the newest checkpoint of rank 0 is one that all blocks have, and the run can be
//! resumed by any number of ranks.

use super::painter::decoded;
use super::{AnchorTraining, Decoders, ONE_DECODER, SCENE_FILE};
use crate::blocks::BLOCKS_FOLDER;
use crate::exchange::{Contents, Parcel};
use crate::frames::{Sampler, SamplerState};
use crate::train::{CheckpointReader, CheckpointWriter, Method, RunFolder, available_memory};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tessera_datasets::format::{read_splats, write_splats};
use tessera_datasets::scene::SplatCloud;
use tessera_kernels::anchor_decoder::Decoding;
use tessera_kernels::camera_projection::View;

/// What a block's checkpoint says it is.
const OF_A_BLOCK: &str = "a block of anchors";
/// Memory for drawing a scene, for each byte of its file.
const DRAWING: u64 = 3;

/// What rank 0 tells the others to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Take this round.
    Round(u64),
    /// Decode what a view sees.
    Draw(View),
    /// Keep your blocks after so many rounds.
    Keep(u64),
    /// Take your blocks from the checkpoint after so many rounds.
    Load(u64),
    /// Write the splats of your blocks.
    Bake,
    /// Say what the transforms of your blocks' photos multiply a colour by.
    Gains,
    /// Say how long you have waited.
    Account,
    /// Go; the run is complete, or it was stopped.
    End(Ending),
}

/// How a run ended, for those who follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// All steps are taken and the scene is written.
    Complete,
    /// It was asked to stop and can be resumed.
    Stopped,
}

impl Order {
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let message = "rank 0 has given an order that is not understood; use the same version everywhere";
        serde_json::from_slice(bytes).map_err(|_| Error::Ranks(message.to_owned()))
    }
}

/// The name of a block, or of its decoder, in a checkpoint.
fn name_of(what: &str, number: usize) -> String {
    format!("{what}{:04}", number + 1)
}

impl AnchorTraining {
    /// Whether there are several ranks.
    pub(super) fn is_shared(&self) -> bool {
        self.ranks.borrow().size() > 1
    }

    pub(super) fn order(&self, order: &Order) -> Result<()> {
        let mut ranks = self.ranks.borrow_mut();
        if ranks.size() > 1 { ranks.tell(&order.to_bytes()) } else { Ok(()) }
    }

    /// Of rank 0: sends all others home.
    ///
    /// # Errors
    /// When one cannot be reached any more.
    pub fn dismiss(&mut self, ending: Ending) -> Result<()> {
        self.order(&Order::End(ending))?;
        self.leave();
        Ok(())
    }

    /// Says that this rank gives up and why, so that all do.
    pub fn give_up(&self, error: &Error) {
        self.ranks.borrow_mut().give_up(&error.to_string());
    }

    /// Of any rank but 0: does what rank 0 says until the run ends.
    ///
    /// # Errors
    /// When something fails here or rank 0 gives up or is lost.
    pub fn follow(&mut self, stop: &AtomicBool) -> Result<Ending> {
        let outcome = self.obey_all(stop);
        if let Err(error) = &outcome {
            self.give_up(error);
        }
        outcome
    }

    fn obey_all(&mut self, stop: &AtomicBool) -> Result<Ending> {
        self.memory_plan().check(available_memory(), self.memory_remedy())?;
        let mut next = None;
        loop {
            let message = match next.take() {
                Some(message) => message,
                None => self.ranks.get_mut().listen()?,
            };
            let order = Order::from_bytes(&message)?;
            if !matches!(order, Order::Round(_)) {
                self.bring_home()?;
            }
            match order {
                Order::Round(round) => {
                    self.is_asked_to_stop = stop.load(Ordering::Relaxed);
                    self.train_round(round)?;
                }
                Order::Draw(view) => next = Some(self.draw_all(view)?),
                Order::Keep(done) => {
                    self.done = done;
                    let kept = self.keep_own();
                    self.answer(kept)?;
                }
                Order::Load(done) => {
                    let loaded = RunFolder::checkpoints_at(&self.run).at(done).and_then(|main| self.load_own(&main));
                    self.answer(loaded)?;
                }
                Order::Bake => {
                    let baked = self.bake_own();
                    self.answer(baked.map(|_| 0))?;
                }
                Order::Gains => {
                    let mut parcel = Parcel::default();
                    self.put_gains(&mut parcel);
                    self.ranks.get_mut().report(&parcel.finish())?;
                }
                Order::Account => {
                    let mut parcel = Parcel::default();
                    parcel.f64(self.ranks.borrow().traffic().waited);
                    self.ranks.get_mut().report(&parcel.finish())?;
                }
                Order::End(ending) => {
                    self.leave();
                    return Ok(ending);
                }
            }
        }
    }

    /// Decodes what this view sees and all that follow it. Returns what rank 0 says next.
    fn draw_all(&self, mut view: View) -> Result<Vec<u8>> {
        let (parts, mut decoding) = (self.parts(), Decoding::new(self.config.decoder()));
        loop {
            let seen = decoded(&parts, &mut decoding, &view);
            let mut ranks = self.ranks.borrow_mut();
            ranks.report(&seen)?;
            let message = ranks.listen()?;
            match Order::from_bytes(&message)? {
                Order::Draw(other) => view = other,
                _ => return Ok(message),
            }
        }
    }

    /// Tells rank 0 how something went: a number that it may compare, or why it failed.
    fn answer(&mut self, outcome: Result<u64>) -> Result<()> {
        let mut parcel = Parcel::default();
        parcel.u64(outcome.as_ref().copied().unwrap_or_default());
        parcel.text(&outcome.as_ref().err().map(ToString::to_string).unwrap_or_default());
        self.ranks.get_mut().report(&parcel.finish())
    }

    /// At rank 0: how something went at all ranks, this one included. What they answer must be the same.
    pub(super) fn hear_of_all(&self, ours: Result<u64>) -> Result<()> {
        let mut ranks = self.ranks.borrow_mut();
        let ours = match ours {
            Ok(number) => number,
            Err(error) => {
                ranks.give_up(&error.to_string());
                return Err(error);
            }
        };
        for (other, message) in ranks.collect(Instant::now())?.iter().enumerate() {
            let mut contents = Contents::new(message);
            let (theirs, why) = (contents.u64()?, contents.text()?);
            let who = ranks.member(other + 1).clone();
            let message = match why.is_empty() {
                false => format!("{who}: {why}"),
                true if theirs != ours => format!(
                    "the decoder of {who} is no longer that of rank 0 after {} rounds, which must not happen; continue with --resume \
                     from the checkpoint before it",
                    self.done
                ),
                true => continue,
            };
            ranks.give_up(&message);
            return Err(Error::Ranks(message));
        }
        Ok(())
    }

    /// At rank 0: has all ranks keep their blocks, unless they have.
    pub(super) fn keep_all(&mut self) -> Result<()> {
        if self.kept == Some(self.done) {
            return Ok(());
        }
        self.order(&Order::Keep(self.done))?;
        let kept = self.keep_own();
        self.hear_of_all(kept)?;
        self.kept = Some(self.done);
        Ok(())
    }

    fn block_folder(&self, number: usize) -> PathBuf {
        self.run.join(BLOCKS_FOLDER).join(format!("{:04}", number + 1))
    }

    /// Writes a checkpoint for each block of this rank. Returns the decoder's fingerprint where all ranks have the same one.
    fn keep_own(&mut self) -> Result<u64> {
        for index in 0..self.blocks.len() {
            let folder = self.block_folder(self.blocks[index].number).join("checkpoint");
            std::fs::create_dir_all(&folder).map_err(|e| Error::write(&folder, &e))?;
            let mut writer = CheckpointWriter::default();
            self.save_block(index, &mut writer)?;
            let folder = self.block_folder(self.blocks[index].number);
            RunFolder::checkpoints_at(folder).write(writer, OF_A_BLOCK, self.done, 0.0)?;
        }
        let is_one = self.decoders == Decoders::One;
        Ok(if is_one { self.students[0].fingerprint() } else { 0 })
    }

    /// Hands a block over to a checkpoint, and the decoder that is kept with it.
    pub(super) fn save_block<'a>(&'a self, index: usize, checkpoint: &mut CheckpointWriter<'a>) -> Result<()> {
        let block = &self.blocks[index];
        let name = name_of("block", block.number);
        block.model.save(&name, checkpoint);
        block.statistics.save(&name, checkpoint);
        if let Some(appearance) = &block.appearance {
            let state = appearance.state();
            checkpoint.f32(&format!("{name}.appearance"), &[state.len()], state);
        }
        checkpoint.state(&format!("{name}.sampler"), &block.sampler.state())?;
        checkpoint.state(&format!("{name}.progress"), &(block.steps, block.quality))?;
        match self.decoder_kept_with(block.number) {
            Some(decoder) => self.students[self.student_of(index)].save(&decoder, checkpoint),
            None => Ok(()),
        }
    }

    /// The name of the decoder that is kept with a block: its own, or that of its lane with the first block there.
    fn decoder_kept_with(&self, number: usize) -> Option<String> {
        match self.decoders {
            Decoders::One => None,
            Decoders::Blocks => Some(name_of("decoder", number)),
            Decoders::Lanes => {
                let lane = self.deal.group(0).iter().position(|first| *first == number);
                lane.map(|lane| name_of("decoder", lane))
            }
        }
    }

    /// Takes this rank's blocks from a checkpoint of rank 0, or from those beside it. Returns what [`Self::keep_own`] does.
    pub(super) fn load_own(&mut self, main: &CheckpointReader) -> Result<u64> {
        self.cell = main.state("cell")?;
        self.all = main.state("blocks")?;
        if self.decoders == Decoders::One {
            self.students[0].load(ONE_DECODER, main)?;
        }
        for index in 0..self.blocks.len() {
            let number = self.blocks[index].number;
            let name = name_of("block", number);
            if main.shape(&format!("{name}.positions")).is_some() {
                self.load_block(index, main)?;
                continue;
            }
            let beside = RunFolder::checkpoints_at(self.block_folder(number)).at(main.step())?;
            self.load_block(index, &beside)?;
        }
        (self.done, self.kept) = (main.step(), Some(main.step()));
        let is_one = self.decoders == Decoders::One;
        Ok(if is_one { self.students[0].fingerprint() } else { 0 })
    }

    fn load_block(&mut self, index: usize, checkpoint: &CheckpointReader) -> Result<()> {
        let student = self.student_of(index);
        if let Some(decoder) = self.decoder_kept_with(self.blocks[index].number) {
            self.students[student].load(&decoder, checkpoint)?;
        }
        if let Some(machine) = &mut self.machine {
            machine.changed(index);
        }
        let block = &mut self.blocks[index];
        let name = name_of("block", block.number);
        block.model.load(&name, checkpoint)?;
        block.statistics.load(&name, block.model.len(), self.config.offsets, checkpoint)?;
        // A resumed run may change whether transforms are learned; then they begin anew.
        if let (Some(appearance), Ok(state)) = (&mut block.appearance, checkpoint.f32(&format!("{name}.appearance"))) {
            let _restored = appearance.restore(&state);
        }
        let sampler: SamplerState = checkpoint.state(&format!("{name}.sampler"))?;
        block.sampler = Sampler::restore(block.frames.len(), sampler);
        (block.steps, block.quality) = checkpoint.state(&format!("{name}.progress"))?;
        Ok(())
    }

    /// At rank 0: for each block of the plan and each of its photos, what the photo's transform multiplies a typical colour by.
    pub(super) fn gains_of_all(&self) -> Result<Vec<Vec<[f64; 3]>>> {
        let mut parcel = Parcel::default();
        self.put_gains(&mut parcel);
        let mut messages = vec![parcel.finish()];
        if self.is_shared() {
            self.order(&Order::Gains)?;
            messages.extend(self.ranks.borrow_mut().collect(Instant::now())?);
        }
        let mut gains = vec![Vec::new(); self.plan.blocks.len()];
        for message in &messages {
            let mut contents = Contents::new(message);
            for _ in 0..contents.u64()? {
                let (number, photos) = (contents.u64()?, contents.u64()?);
                let mut of_block = Vec::new();
                for _ in 0..photos {
                    of_block.push([contents.f64()?, contents.f64()?, contents.f64()?]);
                }
                if let Some(gains) = gains.get_mut(number as usize) {
                    *gains = of_block;
                }
            }
        }
        Ok(gains)
    }

    fn put_gains(&self, parcel: &mut Parcel) {
        let colour = self.capture.mean_colour();
        parcel.u64(self.blocks.len() as u64);
        for block in &self.blocks {
            let gains = block.appearance.as_ref().map_or_else(Vec::new, |appearance| appearance.gains(colour));
            parcel.u64(block.number as u64);
            parcel.u64(gains.len() as u64);
            gains.into_iter().flatten().for_each(|gain| parcel.f64(gain));
        }
    }

    /// At rank 0: has all ranks write the splats of their blocks, and says where all of them are.
    pub(super) fn bake_all(&self) -> Result<Vec<PathBuf>> {
        self.order(&Order::Bake)?;
        let baked = self.bake_own();
        self.hear_of_all(baked.map(|_| 0))?;
        Ok((0..self.plan.blocks.len()).map(|number| self.block_folder(number).join(SCENE_FILE)).collect())
    }

    fn bake_own(&self) -> Result<()> {
        for (block, cloud) in self.blocks.iter().zip(self.bake()) {
            write_splats(self.block_folder(block.number).join(SCENE_FILE), &cloud, true)?;
        }
        Ok(())
    }

    /// The splats that were written, unless they do not fit into memory.
    pub(super) fn written(&self) -> Result<Option<SplatCloud>> {
        if !self.is_shared() {
            let mut all = SplatCloud::with_capacity(0, self.config.sh_degree);
            self.baked.iter().for_each(|cloud| all.append(cloud));
            return Ok(Some(all));
        }
        let scene = self.run.join(SCENE_FILE);
        let needed = DRAWING * std::fs::metadata(&scene).map_or(0, |file| file.len());
        if available_memory().is_some_and(|memory| needed > memory.free) {
            return Ok(None);
        }
        Ok(Some(read_splats(&scene)?))
    }

    /// How ranks waited for each other, where there are several.
    pub(super) fn about_ranks(&self) -> Result<Vec<(&'static str, String)>> {
        if !self.is_shared() {
            return Ok(Vec::new());
        }
        self.order(&Order::Account)?;
        let mut ranks = self.ranks.borrow_mut();
        let before = ranks.traffic();
        let mut waited = vec![before.waited];
        for message in ranks.collect(Instant::now())? {
            waited.push(Contents::new(&message).f64()?);
        }
        let seconds = |all: &[f64]| all.iter().map(|s| format!("{s:.1}")).collect::<Vec<_>>().join(", ");
        let millions = |[_, bytes]: [u64; 2]| bytes as f64 / 1e6;
        let exchanged = format!(
            "{} processes; rank 0 sent {:.1} MB in {} messages and received {:.1} MB in {}",
            ranks.size(),
            millions(before.sent),
            before.sent[0],
            millions(before.received),
            before.received[0]
        );
        let late = ranks.lateness().seconds().to_vec();
        let waiting =
            format!("by each rank {} s; for each rank, by all others, {} s", seconds(&waited), seconds(&late));
        Ok(vec![("exchange", exchanged), ("gradients", self.way.clone()), ("waited", waiting)])
    }

    /// Whom the others wait for, once in a while.
    pub(super) fn straggler(&mut self) -> Option<String> {
        let ranks = self.ranks.get_mut();
        let (rank, waited, passed) = ranks.lateness().straggler()?;
        let who = ranks.member(rank);
        Some(format!("{who} is slow: in the last {passed:.0} seconds all others waited {waited:.0} for it"))
    }
}
