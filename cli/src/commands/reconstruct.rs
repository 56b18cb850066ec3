//! `tessera reconstruct`: photos to a scene.

use crate::allocator;
use crate::args::{Method, Reconstruct, Skipping};
use crate::commands::helpers::{Helpers, Rank, Workers};
use crate::commands::view::live::{self, Watched};
use crate::commands::{crew, join, serve};
use crate::console::{Console, INTERRUPTED, UsageError};
use crate::inputs::{FOUND_POSES, complete_points, open_capture};
use crate::interrupt;
use crate::progress::{PhotosProgress, TrainingProgress};
use crate::report::{Facts, borders_text, count, duration};
use crate::settings::{self, Settings};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use tessera_engine::anchors::AnchorTraining;
use tessera_engine::blocks::{BlocksJob, BlocksOutcome, BlocksRun};
use tessera_engine::datasets::capture::{Capture, photos};
use tessera_engine::evaluate::EvalReport;
use tessera_engine::exchange::Ranks;
use tessera_engine::rbf::radiance::RadianceTraining;
use tessera_engine::splats::SplatTraining;
use tessera_engine::surface::SurfaceTraining;
use tessera_engine::surface::sequence::SequenceTraining;
use tessera_engine::train::{self, Event, Existing, Outcome, RunFolder, RunOptions};
use tessera_engine::volumetric_video::VideoTraining;
use tessera_kernels::device::{Choice, Device, Request, choose};
use tessera_viewer::window::Update;

/// Runs the command.
///
/// # Errors
/// When arguments, capture or output folder are at fault, or training fails.
pub fn run(args: &Reconstruct, console: &Console) -> Result<ExitCode> {
    if args.choices.settings.iter().any(|setting| setting == "help") {
        console.result(Settings::of(args.method.unwrap_or_default()).help().trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    let rank = Rank::of_environment();
    let method = method(args)?;
    let is_of_blocks = method == Method::Blocks;
    if method == Method::Anchors && rank.number > 0 && !args.join {
        return crew::follow(args, rank, &output(args)?, console);
    }
    if args.join || (rank.number > 0 && is_of_blocks) {
        return join::run(args, &output(args)?, !args.join, console);
    }
    if rank.of > 1 && args.force && is_of_blocks {
        let message = "--force does not go with several processes, which would not know the old run from the new; remove the folder first";
        return Err(UsageError(message.to_owned()).into());
    }
    let existing = match (args.resume, args.force) {
        (true, _) => Existing::Resume,
        (_, true) => Existing::Replace,
        _ => Existing::Refuse,
    };
    let output = output(args)?;
    // Where others wait for rank 0, it tells them what is wrong as well.
    if rank.of == 1 || method != Method::Anchors {
        RunFolder::check(&output, existing)?;
    }
    let resumed = if args.resume { Some(RunFolder::read_config(&output)?) } else { None };
    let mut settings = settings::for_run(args.method, &args.choices, resumed.as_ref(), console)?;
    if let Settings::Anchors(config) = &mut settings
        && config.together == 0
    {
        config.together = rank.of.max(usize::from(args.workers));
    }
    let of_run = || resumed.as_ref().map(|run| run.capture.clone());
    let path = args.capture.clone().or_else(of_run).context("name the capture")?;

    if let Settings::Video(_) = &settings {
        allocator::give_back_pictures();
    }
    let device = match &settings {
        Settings::Splats(_) => chosen(args.device, console)?,
        Settings::Blocks(_) | Settings::Anchors(_) | Settings::Video(_) | Settings::Surface(_) => {
            no_watching(args)?;
            chosen(args.device, console)?
        }
        Settings::Radiance(_) => no_device(args)?,
    };
    if args.workers > 1 && !matches!(settings, Settings::Blocks(_) | Settings::Anchors(_)) {
        return Err(UsageError("--workers is for --method blocks and anchors; leave it out".to_owned()).into());
    }
    if args.workers > 1 && rank.of > 1 {
        return Err(UsageError(
            "--workers does not go with processes that a launcher has started; leave it out".to_owned(),
        )
        .into());
    }
    let device = device.as_ref();
    let job = Job {
        capture: &path,
        skipping: args.skipping.or_of(resumed.as_ref()),
        output: &output,
        existing,
        settings: &settings,
        device,
        workers: Workers { count: args.workers, device: args.device },
        json: args.json,
    };
    let together = rank.of > 1 || args.workers > 1;
    let outcome = match args.serve {
        _ if together && let Settings::Anchors(config) = &settings => crew::lead(&job, config, rank, console),
        Some(port) => {
            let train = |updates: &mpsc::Sender<Update>| job.train_watched(console, Some(updates));
            serve::live::while_training(port, &job, console, train)
        }
        None if args.view => job.train_in_view(console),
        None => job.train(console),
    };
    match outcome? {
        Outcome::Finished { steps, seconds, outputs, report, facts } => {
            let mut summary = about(&settings, steps, seconds, report.as_ref());
            facts.into_iter().for_each(|(name, value)| summary.add(name, value));
            outputs.iter().for_each(|file| summary.add("result", file.display().to_string()));
            if args.json {
                console.note(&summary)
            } else {
                console.result(&summary)?
            }
            console.note(next_commands(&settings, &output));
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Interrupted { step } => {
            let run = output.display();
            let resume = format!("tessera reconstruct --resume -o {run}");
            console.note(format_args!("stopped after step {}; continue with: {resume}", count(step)));
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

/// How it is trained: as the user says, or as the run to resume is.
fn method(args: &Reconstruct) -> Result<Method> {
    match (args.method, args.resume) {
        (Some(method), _) => Ok(method),
        (None, true) => settings::method_of(&RunFolder::read_config(output(args)?)?),
        (None, false) => Ok(Method::default()),
    }
}

/// What came of a complete training.
fn about(settings: &Settings, steps: u64, seconds: f64, report: Option<&EvalReport>) -> Facts {
    let mut facts = Facts::default();
    let what = match settings {
        Settings::Blocks(_) => "steps of all blocks",
        Settings::Anchors(config) if config.together > 1 => "rounds of steps",
        Settings::Anchors(_) => "steps of all blocks",
        _ => "steps",
    };
    facts.add("trained", format!("{} {what} in {}", count(steps), duration(seconds)));
    if let Some(report) = report {
        let (psnr, ssim, cc_psnr) = (report.psnr, report.ssim, report.cc_psnr);
        let quality = format!("PSNR {psnr:.2} dB, SSIM {ssim:.4}, colour-corrected PSNR {cc_psnr:.2} dB");
        facts.add("held out", format!("{quality} ({} photos)", report.images));
    }
    facts
}

/// What one may want to do with the result.
fn next_commands(settings: &Settings, run: &Path) -> String {
    let run = run.display();
    match settings {
        Settings::Splats(_) | Settings::Blocks(_) | Settings::Anchors(_) => {
            format!("next: tessera view {run} · tessera render {run} --orbit 120 -o {run}/orbit.mp4")
        }
        Settings::Surface(_) => {
            format!("next: tessera view {run} · tessera mesh {run} -o {run}/fine.glb --resolution 1024")
        }
        Settings::Video(_) => {
            format!("next: tessera eval {run} · tessera render {run} --orbit 120 -o {run}/orbit.mp4")
        }
        Settings::Radiance(_) => {
            format!("next: tessera view {run} · tessera render {run} --orbit 60 -o {run}/orbit.mp4")
        }
    }
}

/// Radiance is trained on the CPU.
fn no_device(args: &Reconstruct) -> Result<Option<Device>> {
    if let Request::Cuda(_) = args.device {
        let message = "radiance is trained on the CPU; leave --device out";
        return Err(UsageError(message.to_owned()).into());
    }
    no_watching(args)?;
    Ok(None)
}

/// Only one training of splats can be watched.
fn no_watching(args: &Reconstruct) -> Result<()> {
    if args.view || args.serve.is_some() {
        let message = "--view and --serve show splats of still scenes as they are trained as a whole, nothing else; leave them out";
        return Err(UsageError(message.to_owned()).into());
    }
    Ok(())
}

/// The GPU that is asked for or found, or `None` for the CPU.
///
/// # Errors
/// When a GPU is asked for and cannot be used.
pub fn chosen(request: Request, console: &Console) -> Result<Option<Device>> {
    match choose(request)? {
        Choice::Gpu { device, found } => {
            console.note(format_args!("computing on {found}"));
            Ok(Some(device))
        }
        Choice::Cpu { because } => {
            if let Some(reason) = because.filter(|reason| reason.is_warning) {
                console.warn(format_args!("computing on the CPU: {}", reason.error));
            }
            Ok(None)
        }
    }
}

/// Where the run goes: as the user says, or by the capture's name.
fn output(args: &Reconstruct) -> Result<PathBuf> {
    if let Some(output) = &args.output {
        return Ok(output.clone());
    }
    let capture = args.capture.as_deref().ok_or_else(|| UsageError("name a capture".to_owned()))?;
    let full = std::path::absolute(capture).unwrap_or_else(|_| capture.to_owned());
    let name = if full.is_file() { full.file_stem() } else { full.file_name() };
    let name = name.ok_or_else(|| UsageError("name the output folder with -o".to_owned()))?;
    Ok(Path::new("runs").join(name))
}

/// What is being trained.
enum Training {
    Splats(Box<SplatTraining>),
    Anchors(Box<AnchorTraining>),
    Surface(Box<SurfaceTraining>),
    Sequence(Box<SequenceTraining>),
    Radiance(Box<RadianceTraining>),
    Video(Box<VideoTraining>),
}

/// One training from its capture to its run folder.
pub struct Job<'a> {
    pub capture: &'a Path,
    pub skipping: Skipping,
    pub output: &'a Path,
    pub existing: Existing,
    pub settings: &'a Settings,
    /// A GPU, or `None` for the CPU.
    pub device: Option<&'a Device>,
    /// Of blocks.
    pub workers: Workers,
    /// Whether events are printed to standard output.
    pub json: bool,
}

impl Job<'_> {
    /// Trains to the end or until `stop`.
    ///
    /// # Errors
    /// When the capture is damaged, or training fails.
    pub fn train(&self, console: &Console) -> Result<Outcome> {
        self.train_watched(console, None)
    }

    /// Trains and shows the scene in a window as it grows. When the window is closed, or none can be opened, training
    /// goes on.
    ///
    /// # Errors
    /// As [`Self::train`].
    fn train_in_view(&self, console: &Console) -> Result<Outcome> {
        let (sender, receiver) = mpsc::channel();
        // The window must be on the main thread.
        std::thread::scope(|scope| {
            let training = scope.spawn(move || self.train_watched(console, Some(&sender)));
            if let Err(error) = live::show(self.capture, self.skipping, receiver, console) {
                console.warn(format_args!("{error:#}; training goes on without a window"));
            }
            training.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn train_watched(&self, console: &Console, watcher: Option<&mpsc::Sender<Update>>) -> Result<Outcome> {
        // Poses for photos go into the run folder; a posed capture that is refused shall leave no folder behind.
        let (folder, mut capture) = match photos::is_photos_or_video(self.capture) {
            true => self.find_poses(console).map(|(folder, capture)| (Some(folder), capture))?,
            false => (None, open_capture(self.capture, self.skipping, console)?),
        };
        complete_points(&mut capture, self.settings, console)?;
        let options = self.options();
        let mut training = match self.settings {
            Settings::Blocks(config) => {
                let job = BlocksJob { capture: &capture, config, device: self.device, options: &options };
                return self.train_blocks(job, folder, console);
            }
            Settings::Splats(config) => Training::Splats(Box::new(SplatTraining::on(self.device, &capture, config)?)),
            Settings::Anchors(config) => {
                // Blocks may have been kept in the folder by several processes.
                let training = AnchorTraining::among(&capture, config, Ranks::alone(), self.output)?;
                Training::Anchors(Box::new(training.on(self.device)?))
            }
            Settings::Surface(config) if SequenceTraining::is_for(&capture, config) => {
                Training::Sequence(Box::new(SequenceTraining::on(self.device, &capture, config)?))
            }
            Settings::Surface(config) => {
                Training::Surface(Box::new(SurfaceTraining::on(self.device, &capture, config)?))
            }
            Settings::Radiance(config) => Training::Radiance(Box::new(RadianceTraining::new(&capture, config)?)),
            Settings::Video(config) => Training::Video(Box::new(VideoTraining::on(self.device, &capture, config)?)),
        };
        // Descriptions of thousands of photos: training has its own of those that it looks at.
        drop(capture);
        let folder = folder.map_or_else(|| RunFolder::create(self.output, self.existing), Ok)?;
        match &mut training {
            Training::Video(training) => training.wait_in(self.output)?,
            Training::Sequence(training) => training.write_into(self.output),
            _ => {}
        }
        self.shown(console, |show, stop| match (&mut training, watcher) {
            (Training::Splats(training), Some(watcher)) => {
                train::run(&mut Watched::new(training, watcher), &options, &folder, show, stop)
            }
            (Training::Splats(training), None) => train::run(training.as_mut(), &options, &folder, show, stop),
            (Training::Anchors(training), _) => train::run(training.as_mut(), &options, &folder, show, stop),
            (Training::Sequence(training), _) => train::run(training.as_mut(), &options, &folder, show, stop),
            (Training::Surface(training), _) => train::run(training.as_mut(), &options, &folder, show, stop),
            (Training::Radiance(training), _) => train::run(training.as_mut(), &options, &folder, show, stop),
            (Training::Video(training), _) => train::run(training.as_mut(), &options, &folder, show, stop),
        })
    }

    /// Trains a large scene block by block.
    fn train_blocks(&self, job: BlocksJob<'_>, folder: Option<RunFolder>, console: &Console) -> Result<Outcome> {
        let run = BlocksRun::prepare(job, self.output, self.existing)?;
        let folder = folder.map_or_else(|| RunFolder::create(self.output, self.existing), Ok)?;
        // They end when this function does.
        let _helpers = Helpers::start(&self.workers, self.output)?;
        let BlocksOutcome { outcome, borders } = self.shown(console, |show, stop| run.run(&folder, show, stop))?;
        if let Some(borders) = borders {
            console.note(borders_text(&borders));
        }
        Ok(outcome)
    }

    pub fn options(&self) -> RunOptions {
        let [checkpoint_every, eval_every, preview_every] = self.settings.intervals();
        RunOptions {
            capture: self.capture.to_owned(),
            skip_bad: self.skipping.skip_bad,
            checkpoint_every,
            eval_every,
            preview_every,
            ..RunOptions::default()
        }
    }

    /// Does `work`, whose events are shown, and which ends soon once the user wants no more.
    pub fn shown<T>(
        &self,
        console: &Console,
        work: impl FnOnce(&mut dyn FnMut(Event), &AtomicBool) -> tessera_engine::Result<T>,
    ) -> Result<T> {
        let mut progress = TrainingProgress::new(console);
        let mut unwritable = None;
        let mut show = |event: Event| {
            progress.show(&event);
            if self.json {
                let line = serde_json::to_string(&event).context("an event is no JSON");
                let written = line.and_then(|line| console.result(line));
                unwritable = written.err().or(unwritable.take());
            }
        };
        let outcome = interrupt::stoppable(|stop| work(&mut show, stop));
        match unwritable {
            Some(error) => Err(error),
            None => Ok(outcome?),
        }
    }

    /// Finds the poses of photos or a video, and keeps them in the run folder.
    fn find_poses(&self, console: &Console) -> Result<(RunFolder, Capture)> {
        let folder = RunFolder::create(self.output, self.existing)?;
        let mut progress = PhotosProgress::new(console);
        let work = self.output.join(FOUND_POSES);
        let mut left_out = None;
        let mut show = |event: photos::Progress| {
            let is_left_out = event.stage == photos::Stage::FindPoses && event.done < event.total;
            left_out = is_left_out.then(|| event.total - event.done);
            progress.show(event);
        };
        match photos::reconstruct_poses(self.capture, &work, &mut show) {
            Ok(posed) => {
                drop(progress);
                if let Some(photos) = left_out {
                    console.warn(format_args!("COLMAP found no poses for {photos} of the photos, which are not used"));
                }
                Ok((folder, open_capture(&posed, self.skipping, console)?))
            }
            Err(error) => {
                drop(folder);
                remove_if_empty(self.output);
                Err(error.into())
            }
        }
    }
}

/// Removes a run folder in which nothing has been written yet.
fn remove_if_empty(run: &Path) {
    let lock = run.join(".lock");
    let is_empty = |folder: &Path| std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    let entries = std::fs::read_dir(run).into_iter().flatten().flatten().map(|entry| entry.path());
    let entries: Vec<_> = entries.filter(|path| *path != lock).collect();
    if entries.iter().all(|path| is_empty(path)) {
        // Whatever cannot be removed does no harm.
        entries.iter().for_each(|path| drop(std::fs::remove_dir(path)));
        drop(std::fs::remove_file(lock));
        drop(std::fs::remove_dir(run));
    }
}
