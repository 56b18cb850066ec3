//! The run of all blocks: each is trained in a run folder of its own by the loop that all methods share, first to where blocks
//! are compared, then to its end; then all are joined.
//!
//! What a block becomes depends on the plan, the settings and the comparison alone, not on who trains it or in which order.

use super::ahead::{Next, shared_photos, train_before};
use super::block::{BlockMethod, BlockTraining, Goal, SCENE_FILE, compared_photos};
use super::config::BlocksConfig;
use super::estimate::Estimate;
use super::finish::{BlocksOutcome, finish};
use super::ledger::{BLOCKS_FOLDER, Finished, Ledger, Record};
use super::map::draw_map;
use super::plan::{PLAN_FILE, Plan};
use super::relay::Relay;
use super::sky::Sky;
use super::weights::{Quality, share_out, weights};
use crate::config::Config;
use crate::evaluate::EvalReport;
use crate::splats::appearance::AppearanceModel;
use crate::splats::{SplatTraining, SplatsConfig};
use crate::train::{self, Event, Existing, Outcome, RunFolder, RunOptions};
use crate::{Error, Result};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tessera_datasets::capture::Capture;
use tessera_datasets::format::open_splats;
use tessera_datasets::image::{ImageCache, save_png};
use tessera_kernels::device::Device;

/// The name of the method in `config.toml`.
pub const METHOD: &str = "blocks";
/// The picture of the plan in the run folder.
pub const MAP_FILE: &str = "plan.png";

/// How often a process that has nothing to do looks whether a block has become free, as one does at once when the process that
/// trained it dies.
const POLL: Duration = Duration::from_millis(500);
/// How often it says what it waits for.
const TELL_EVERY: Duration = Duration::from_secs(30);
/// How long a process that joins a run waits for its plan.
const PLAN_WAIT: Duration = Duration::from_secs(120);

/// What is trained, and how.
#[derive(Clone, Copy, Debug)]
pub struct BlocksJob<'a> {
    /// All of the photos.
    pub capture: &'a Capture,
    /// The settings.
    pub config: &'a BlocksConfig,
    /// A GPU, or `None` for the CPU.
    pub device: Option<&'a Device>,
    /// What is done around the steps.
    pub options: &'a RunOptions,
}

/// A run whose plan is made and can be carried out.
#[derive(Debug)]
pub struct BlocksRun<'a> {
    job: BlocksJob<'a>,
    plan: Plan,
}

impl<'a> BlocksRun<'a> {
    /// Plans a run in the folder `output`, and sees whether memory and disk suffice for it. Changes nothing.
    ///
    /// # Errors
    /// When the capture cannot be divided, the run in the folder has another plan, or memory or disk do not suffice.
    pub fn prepare(job: BlocksJob<'a>, output: &Path, existing: Existing) -> Result<Self> {
        let plan = Plan::of(job.capture, job.config)?;
        let path = output.join(PLAN_FILE);
        if existing == Existing::Resume && path.is_file() {
            check_same(&plan, &path)?;
        } else {
            Estimate::of(job.capture, &plan, job.config, job.device, false)?.check_disk(output)?;
        }
        Ok(Self { job, plan })
    }

    /// Plans a run that another process leads in the folder `output`, and compares the plan with its one, which may still be in
    /// the making.
    ///
    /// # Errors
    /// When there is no plan after two minutes, or it is another one.
    pub fn join(job: BlocksJob<'a>, output: &Path) -> Result<Self> {
        let plan = Plan::of(job.capture, job.config)?;
        let (path, begin) = (output.join(PLAN_FILE), Instant::now());
        while !path.is_file() {
            if begin.elapsed() > PLAN_WAIT {
                let remedy = "start the process that leads it: the same command without --join, or with rank 0";
                return Err(Error::file(output, "has no plan of blocks after two minutes of waiting", remedy));
            }
            std::thread::sleep(POLL);
        }
        check_same(&plan, &path)?;
        Ok(Self { job, plan })
    }

    /// Trains blocks of a run that another process leads until all are complete, and returns `None`; or the steps done when it
    /// was asked to stop.
    ///
    /// # Errors
    /// When training or writing fails. What was checkpointed stays.
    pub fn help(&self, output: &Path, events: &mut dyn FnMut(Event), stop: &AtomicBool) -> Result<Option<u64>> {
        self.crew(output).train_all(events, stop)
    }

    fn crew(&self, output: &Path) -> Crew<'_> {
        let Self { job, plan } = self;
        let ledger = Ledger::new(output, plan.blocks.len());
        let relay = Relay::new(job.config.splats.steps * plan.blocks.len() as u64);
        let sky = job.config.splats.sky.then(|| Sky::of(job.capture, plan));
        let photos = shared_photos(job.capture, plan, &job.config.splats);
        Crew { job, plan, sky, ledger, relay, photos }
    }

    /// What is done.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Trains all blocks that are not complete in `folder`, and joins them. When `stop` becomes true, the block at hand is
    /// checkpointed after the current step.
    ///
    /// # Errors
    /// When training or writing fails. What was checkpointed stays.
    pub fn run(&self, folder: &RunFolder, events: &mut dyn FnMut(Event), stop: &AtomicBool) -> Result<BlocksOutcome> {
        let Self { job, plan } = self;
        write_down(job, plan, folder)?;
        if plan.unused() > 0 {
            let message = format!("{} photos see no sparse points and are not used", plan.unused());
            events(Event::Warning { message });
        }
        let mut crew = self.crew(folder.path());
        if let Some(step) = crew.train_all(events, stop)? {
            return Ok(BlocksOutcome { outcome: Outcome::Interrupted { step }, borders: None });
        }
        finish(job, plan, (&crew.ledger, crew.sky.as_ref()), folder, events)
    }
}

fn check_same(plan: &Plan, path: &Path) -> Result<()> {
    if Plan::read(path)? == *plan {
        return Ok(());
    }
    let reason = "is another plan than the capture and the settings give now";
    Err(Error::file(path, reason, "use the settings that the run began with, or start again with --force"))
}

/// Puts plan, map and settings into the run folder.
fn write_down(job: &BlocksJob<'_>, plan: &Plan, folder: &RunFolder) -> Result<()> {
    let blocks = folder.path().join(BLOCKS_FOLDER);
    std::fs::create_dir_all(&blocks).map_err(|e| Error::write(&blocks, &e))?;
    folder.write_config(METHOD, &job.options.capture, job.options.skip_bad, &job.config.to_toml())?;
    plan.write(&folder.path().join(PLAN_FILE))?;
    Ok(save_png(folder.path().join(MAP_FILE), &draw_map(plan, job.capture))?)
}

/// What is left to do with a block: up to which goal, with how many steps in all.
type Task = Option<(Goal, u64)>;

/// Whoever trains blocks: this process, perhaps beside others that look at the same folder.
struct Crew<'a> {
    job: &'a BlocksJob<'a>,
    plan: &'a Plan,
    sky: Option<Sky>,
    ledger: Ledger,
    relay: Relay,
    /// Through which all blocks look at them.
    photos: Arc<ImageCache>,
}

impl Crew<'_> {
    /// Trains every block to the comparison, then to its end. The steps done when it was asked to stop, if it was.
    fn train_all(&mut self, events: &mut dyn FnMut(Event), stop: &AtomicBool) -> Result<Option<u64>> {
        let (each, compared_after) = (self.job.config.splats.steps, self.job.config.compared_after());
        if compared_after > 0 && self.plan.blocks.len() > 1 {
            let task = |_: usize, record: &Record| {
                let is_open = record.compared.is_none() && record.finished.is_none();
                is_open.then_some((Goal::Comparison(compared_after), each))
            };
            let stopped = self.work_off(&task, events, stop)?;
            if stopped.is_some() {
                return Ok(stopped);
            }
        }
        let steps = self.shared_out(&self.ledger.records()?);
        let task = |block: usize, record: &Record| {
            let is_open = record.finished.as_ref().is_none_or(|finished| finished.steps != steps[block]);
            is_open.then_some((Goal::End, steps[block]))
        };
        self.work_off(&task, events, stop)
    }

    /// Does what is left to do with all blocks, but for what other processes are doing; waits for these at the end. A block whose
    /// process has died is taken over: the system lets go of its lock.
    fn work_off(
        &mut self,
        task: &dyn Fn(usize, &Record) -> Task,
        events: &mut dyn FnMut(Event),
        stop: &AtomicBool,
    ) -> Result<Option<u64>> {
        let mut waiting_since = None;
        loop {
            let mut open = Vec::new();
            for (block, record) in self.ledger.records()?.iter().enumerate() {
                open.extend(task(block, record).map(|_| block));
            }
            if open.is_empty() {
                return Ok(None);
            }
            let mut is_idle = true;
            for (at, &block) in open.iter().enumerate() {
                let Some(folder) = try_open_block(&self.ledger.folder(block))? else { continue };
                // Another process may have done it since the records were read.
                let Some(work) = task(block, &self.ledger.record(block)?) else { continue };
                (is_idle, waiting_since) = (false, None);
                let stopped = self.train((block, &folder), work, &open[at + 1..], events, stop)?;
                if stopped.is_some() {
                    return Ok(stopped);
                }
            }
            if is_idle {
                if stop.load(Ordering::Relaxed) {
                    return self.relay.steps_of_all(&self.ledger).map(Some);
                }
                self.tell_waiting(&open, &mut waiting_since, events)?;
                std::thread::sleep(POLL);
            }
        }
    }

    /// Says once in a while which blocks are waited for, and how far they are.
    fn tell_waiting(&self, open: &[usize], since: &mut Option<Instant>, events: &mut dyn FnMut(Event)) -> Result<()> {
        let begin = *since.get_or_insert_with(Instant::now);
        if begin.elapsed() < TELL_EVERY {
            return Ok(());
        }
        *since = Some(Instant::now());
        for &block in open {
            let steps = self.ledger.steps(block, &self.ledger.record(block)?);
            let worker = self.ledger.worker(block).map_or_else(|| "another process".to_owned(), |w| w.to_string());
            let message = format!("waiting for block {}: {worker} has checkpointed it at step {steps}", block + 1);
            events(Event::Warning { message });
        }
        Ok(())
    }

    /// How many steps each block takes.
    fn shared_out(&self, records: &[Record]) -> Vec<u64> {
        let config = self.job.config;
        let compared: Option<Vec<Quality>> = records.iter().map(|record| record.compared).collect();
        let weights = compared
            .map_or_else(|| vec![1.0; records.len()], |qualities| weights(&qualities, config.division.compare_scale));
        share_out(&weights, config.compared_after(), config.splats.steps)
    }

    /// Trains a block to a goal, of `steps` steps in all; one of those that `follow` is probably next. The steps done by all when it
    /// was asked to stop, if it was.
    fn train(
        &mut self,
        (block, folder): (usize, &RunFolder),
        (goal, steps): (Goal, u64),
        follow: &[usize],
        events: &mut dyn FnMut(Event),
        stop: &AtomicBool,
    ) -> Result<Option<u64>> {
        self.ledger.sign(block)?;
        let part = self.plan.part(self.job.capture, block)?;
        let config = SplatsConfig { steps, ..self.job.config.splats.clone() };
        let surroundings = (self.sky.as_ref().map(|sky| sky.shell), &self.photos);
        let training = SplatTraining::of_part(&part, surroundings, self.job.device, &config)?;
        let mut inner: Box<dyn BlockMethod> = Box::new(training);
        let mut training = BlockTraining {
            inner: inner.as_mut(),
            goal,
            number: block,
            ground: &self.plan.ground,
            cell: &self.plan.blocks[block].cell,
            sky: self.sky.as_ref(),
            sample: compared_photos(&part, config.resolution),
        };
        self.relay.begin(&self.ledger, block, self.plan.blocks[block].photos.len())?;
        let (relay, job, plan) = (&mut self.relay, self.job, self.plan);
        let (ledger, photos) = (&self.ledger, &self.photos);
        let next = || {
            let block = follow.iter().copied().find(|block| !RunFolder::is_in_use(ledger.folder(*block)))?;
            let (capture, folder) = (job.capture, ledger.folder(block));
            Some(Next { capture, plan, block, config: config.clone(), folder, photos })
        };
        let mut listen = |event| relay.pass(event, events);
        let outcome = train_before(next, &mut listen, stop, |events| {
            train::run(&mut training, job.options, folder, events, stop)
        })?;
        let record = self.ledger.record(block)?;
        let record = match (outcome, goal) {
            (Outcome::Interrupted { step }, _) => return Ok(Some(self.relay.in_all(step))),
            (Outcome::Finished { report, .. }, Goal::Comparison(_)) => {
                // Where photos have transforms of their own, a block is not weak for being drawn without them.
                let is_corrected = config.appearance != AppearanceModel::None;
                let psnr = |report: &EvalReport| if is_corrected { report.cc_psnr } else { report.psnr };
                let compared = report.map(|report| Quality { psnr: psnr(&report), ssim: report.ssim });
                Record { compared, ..record }
            }
            (Outcome::Finished { seconds, .. }, Goal::End) => {
                let splats = open_splats(folder.path().join(SCENE_FILE))?.header().count;
                let gains = inner.photo_gains(self.job.capture.mean_colour());
                Record { finished: Some(Finished { steps, seconds, splats, gains }), ..record }
            }
        };
        self.ledger.write(block, &record)?;
        Ok(None)
    }
}

/// The run folder of a block, unless another process has it.
fn try_open_block(path: &Path) -> Result<Option<RunFolder>> {
    RunFolder::try_create(path, if RunFolder::is_at(path) { Existing::Resume } else { Existing::Refuse })
}
