//! `tessera generate`: learning to make shapes, making them, and measuring that.

mod published;

use super::reconstruct::chosen;
use crate::args::{ComputingOptions, Generate, GenerateEval, GenerateSample, GenerateTrain, MADE, MakingOptions};
use crate::console::{Console, INTERRUPTED, UsageError};
use crate::interrupt;
use crate::progress::Progress;
use crate::report::{Facts, bytes, count, count_of, duration};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tessera_engine::config::Config;
use tessera_engine::datasets::format::{Existing, write_mesh};
use tessera_engine::datasets::image::save_png;
use tessera_engine::datasets::scene::Mesh;
use tessera_engine::generate::data::{BLOCKS_OF_MADE, CLASSES, Cache};
use tessera_engine::generate::measure::{self, Report, SetReport, is_one_closed_part};
use tessera_engine::generate::memory;
use tessera_engine::generate::{
    Data, GenerateConfig, Generator, Host, Making, OnDevice, Place, Stage, TrainProgress, Trainer, contact_sheet,
};
use tessera_engine::train::available_memory;

/// Runs the command.
///
/// # Errors
/// When there is nothing to learn from, a model cannot be used, or files cannot be written.
pub fn run(args: &Generate, console: &Console) -> Result<ExitCode> {
    match args {
        Generate::Train(args) => train(args, console),
        Generate::Sample(args) => sample(args, console).map(|()| ExitCode::SUCCESS),
        Generate::Eval(args) => eval(args, console).map(|()| ExitCode::SUCCESS),
        Generate::Image(args) => published::image(args, console),
        Generate::Check(args) => published::check(args, console).map(|()| ExitCode::SUCCESS),
    }
}

fn train(args: &GenerateTrain, console: &Console) -> Result<ExitCode> {
    let Some(output) = args.output.as_ref().filter(|_| !args.chosen.help_settings) else {
        console.result(GenerateConfig::help())?;
        return Ok(ExitCode::SUCCESS);
    };
    if output.exists() && !args.force {
        bail!("{}: exists already; replace it with --force", output.display());
    }
    let checkpoint = checkpoint_of(output);
    let mut trainer = begin(args, &checkpoint, console)?;
    let place = place(&args.computing, console)?;
    let start = Instant::now();
    let outcome = interrupt::stoppable(|stop| {
        if args.data == Path::new(MADE) {
            let config = trainer.config();
            let shapes = config.shapes.saturating_add(config.held_out).saturating_mul(CLASSES.len());
            check_memory(&trainer, shapes, BLOCKS_OF_MADE, console)?;
        }
        let data = data(&args.data, args.cache.folder.as_deref(), trainer.config(), stop, console)?;
        check_memory(&trainer, data.len(), data.most_blocks(), console)?;
        if data.classes != trainer.classes() {
            trainer = trainer.of_classes(&data.classes).with_context(|| cannot(&args.data))?;
        }
        trainer.place_on(&place);
        let parameters: usize = trainer.parameters().iter().sum();
        console.note(format_args!(
            "{} to learn from, {} held out; {} parameters",
            count_of(data.train.len(), "shape", "shapes"),
            data.test.len(),
            count(parameters as u128)
        ));
        let mut bar = StageBar::new(console);
        trainer.train(&data.train, stop, &mut |p| bar.show(p), &mut |t| t.write(&checkpoint, true))?;
        Ok::<bool, anyhow::Error>(stop.load(Ordering::Relaxed) && !trainer.is_complete())
    });
    if outcome? {
        console.note(format_args!("stopped; {} holds what was learned: continue with --resume", checkpoint.display()));
        return Ok(ExitCode::from(INTERRUPTED));
    }
    trainer.write(output, false)?;
    if checkpoint.exists() {
        std::fs::remove_file(&checkpoint).with_context(|| format!("{}: cannot be removed", checkpoint.display()))?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let size = std::fs::metadata(output).map_or(0, |m| m.len());
    if args.json {
        let parameters = trainer.parameters();
        console.result(json!({
            "seconds": seconds, "bytes": size, "classes": trainer.classes(),
            "parameters": { "autoencoder": parameters[0], "structure": parameters[1], "details": parameters[2] },
        }))?;
    } else {
        let mut facts = Facts::default();
        facts.add("classes", trainer.classes().join(", "));
        facts.add("time", duration(seconds));
        facts.add("file", bytes(size));
        console.note(&facts);
        console.result(output.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Where layers are computed: on the GPU that is asked for or found, or on the CPU.
///
/// # Errors
/// When a GPU is asked for and cannot be used.
fn place(options: &ComputingOptions, console: &Console) -> Result<Arc<dyn Place>> {
    Ok(match chosen(options.device, console)? {
        Some(device) => Arc::new(OnDevice::new(&device, options.precision)?),
        None => Arc::new(Host),
    })
}

/// The checkpoint of a training, beside its output.
fn checkpoint_of(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".checkpoint");
    PathBuf::from(name)
}

/// A new training, or the one of the checkpoint.
fn begin(args: &GenerateTrain, checkpoint: &Path, console: &Console) -> Result<Trainer> {
    if args.resume {
        let trainer = Trainer::read(checkpoint)?;
        if args.chosen.are_given() {
            let message = "--resume continues with the settings that the training began with; leave --seed, --config and --set out";
            return Err(UsageError(message.to_owned()).into());
        }
        let done: Vec<String> =
            Stage::ALL.iter().map(|s| format!("{} {}", s.name(), count(u128::from(trainer.done(*s))))).collect();
        console.note(format_args!("continuing after steps: {}", done.join(", ")));
        return Ok(trainer);
    }
    if checkpoint.exists() && !args.force {
        bail!(
            "{}: is the checkpoint of a training; continue it with --resume, or replace it with --force",
            checkpoint.display()
        );
    }
    let mut config = GenerateConfig::default();
    args.chosen.apply(None, &mut config)?;
    config.check().map_err(|e| UsageError(e.to_string()))?;
    Ok(Trainer::new(&config, &[])?)
}

/// Refuses what the machine cannot hold, and warns of what it cannot at the moment.
fn check_memory(trainer: &Trainer, shapes: usize, blocks: usize, console: &Console) -> Result<()> {
    let plan = memory::plan(trainer.config(), shapes, blocks, trainer.parameters());
    let remedy = "lower --set shapes, a batch or a width";
    plan.check(available_memory(), remedy)?.into_iter().for_each(|warning| console.warn(warning));
    Ok(())
}

/// What to learn from.
fn data(
    path: &Path,
    cache: Option<&Path>,
    config: &GenerateConfig,
    stop: &AtomicBool,
    console: &Console,
) -> Result<Data> {
    if path == Path::new(MADE) {
        if cache.is_some() {
            return Err(UsageError("--cache is for a folder of meshes; leave it out".to_owned()).into());
        }
        return Ok(Data::made(config.shapes, config.held_out, config.seed));
    }
    let progress = Mutex::new(Progress::new(console, "reading meshes"));
    let count = |done, all| {
        if let Ok(mut progress) = progress.lock() {
            progress.count(done, all);
        }
    };
    let warn = |text: String| console.warn(text);
    let cache = Cache::new(path, cache, &warn);
    Ok(Data::of_folder(path, config.held_out_every, stop, &count, &cache)?)
}

fn cannot(path: &Path) -> String {
    format!("{}: cannot be learned from", path.display())
}

/// One bar for each stage.
struct StageBar<'a> {
    console: &'a Console,
    stage: Option<(Stage, Progress, Instant, u64)>,
}

impl<'a> StageBar<'a> {
    fn new(console: &'a Console) -> Self {
        Self { console, stage: None }
    }

    fn show(&mut self, p: TrainProgress) {
        if self.stage.as_ref().is_none_or(|(stage, ..)| *stage != p.stage) {
            // The bar before it ends first.
            self.stage = None;
            let progress = Progress::new(self.console, p.stage.name());
            self.stage = Some((p.stage, progress, Instant::now(), p.step - 1));
        }
        if let Some((_, progress, start, first)) = &mut self.stage {
            let left = start.elapsed().as_secs_f64() * (p.steps - p.step) as f64 / (p.step - *first) as f64;
            progress.update(p.step, p.steps, || {
                let ending = if p.step == p.steps { "done".to_owned() } else { format!("{} left", duration(left)) };
                format!("{}/{}, loss {:.4}, {ending}", count(u128::from(p.step)), count(u128::from(p.steps)), p.loss)
            });
        }
    }
}

fn making(options: &MakingOptions) -> Making {
    let default = Making::default();
    Making {
        steps: options.steps.map_or(default.steps, usize::from),
        guidance: options.guidance.unwrap_or(default.guidance),
        seed: options.seed,
        ..default
    }
}

/// Shapes of the given classes, each with its own number. Fewer when `stop` becomes true.
fn make_all(
    generator: &Generator,
    labels: &[usize],
    making: &Making,
    stop: &AtomicBool,
    console: &Console,
) -> Result<Vec<Mesh>> {
    let mut progress = Progress::new(console, "making shapes");
    let mut meshes = Vec::with_capacity(labels.len());
    for (i, label) in labels.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        meshes.push(generator.make(Some(*label), i as u64, making)?.mesh);
        progress.count(i + 1, labels.len());
    }
    Ok(meshes)
}

fn sample(args: &GenerateSample, console: &Console) -> Result<()> {
    let mut generator = Generator::read(&args.model)?;
    generator.place_on(&place(&args.computing, console)?);
    let classes = generator.classes();
    let labels: Vec<usize> = match &args.class {
        None => (0..args.count as usize).map(|i| i % classes.len()).collect(),
        Some(name) => {
            let Some(label) = classes.iter().position(|class| class == name) else {
                bail!("{}: cannot make '{name}'; it knows {}", args.model.display(), classes.join(", "));
            };
            vec![label; args.count as usize]
        }
    };
    let name = |i: usize| args.output.join(format!("{}-{:03}.glb", classes[labels[i]], i + 1));
    let sheet = args.output.join("contact-sheet.png");
    let taken = (0..labels.len()).map(name).chain([sheet.clone()]).find(|path| path.exists());
    if let Some(path) = taken.filter(|_| !args.force) {
        bail!("{}: exists already; choose another folder with -o, or replace it with --force", path.display());
    }
    std::fs::create_dir_all(&args.output).with_context(|| format!("{}: cannot be made", args.output.display()))?;
    let start = Instant::now();
    let meshes = interrupt::stoppable(|stop| make_all(&generator, &labels, &making(&args.making), stop, console))?;
    if meshes.len() < labels.len() {
        console.warn(format_args!("stopped after {} of {}", count_of(meshes.len(), "shape", "shapes"), labels.len()));
    }
    let existing = if args.force { Existing::Replace } else { Existing::Keep };
    let mut empty = 0;
    for (i, mesh) in meshes.iter().enumerate() {
        if mesh.triangles.is_empty() {
            empty += 1;
            console.warn(format_args!("{}: was not written, because the shape has no surface", name(i).display()));
        } else {
            write_mesh(name(i), mesh, existing)?;
        }
    }
    if empty == meshes.len() {
        bail!("{}: makes shapes without a surface; train it longer", args.model.display());
    }
    let columns = (meshes.len() as f64).sqrt().ceil() as usize;
    save_png(&sheet, &contact_sheet(&meshes, columns))?;
    let closed = meshes.iter().filter(|mesh| !mesh.triangles.is_empty() && is_one_closed_part(mesh)).count();
    let seconds = start.elapsed().as_secs_f64();
    if args.json {
        return console.result(json!({
            "shapes": meshes.len(), "one_closed_part": closed, "seconds": seconds, "contact_sheet": sheet.display().to_string(),
        }));
    }
    let mut facts = Facts::default();
    facts.add("shapes", format!("{}, {closed} of them one closed part", count(meshes.len() as u128)));
    facts.add("time", duration(seconds));
    console.note(&facts);
    console.result(args.output.display())
}

fn eval(args: &GenerateEval, console: &Console) -> Result<()> {
    let mut generator = Generator::read(&args.model)?;
    generator.place_on(&place(&args.computing, console)?);
    let start = Instant::now();
    let report = interrupt::stoppable(|stop| {
        let data = data(&args.data, args.cache.folder.as_deref(), generator.config(), stop, console)?;
        if data.classes != generator.classes() {
            bail!(
                "{}: has other classes than {}, which knows {}; name with --data what it has learned from",
                args.data.display(),
                args.model.display(),
                generator.classes().join(", ")
            );
        }
        let wanted = args.count.map_or(data.test.len(), |n| n as usize);
        if wanted < 2 || wanted > data.test.len() {
            bail!(
                "{wanted} shapes cannot be compared with {} held-out ones; choose another number with -n",
                data.test.len()
            );
        }
        let labels: Vec<usize> =
            measure::of_each_class(&data.test, wanted).iter().map(|sample| sample.label as usize).collect();
        let meshes = make_all(&generator, &labels, &making(&args.making), stop, console)?;
        if meshes.len() < labels.len() {
            bail!("interrupted; nothing was measured");
        }
        let made: Vec<(Mesh, u32)> = meshes.into_iter().zip(labels.iter().map(|label| *label as u32)).collect();
        let mut tell = |what: &str| console.note(format_args!("measuring {what}"));
        Ok(measure::measure(&generator, &made, [&data.train, &data.test], &mut tell)?)
    })?;
    let seconds = start.elapsed().as_secs_f64();
    if args.json {
        let mut json = serde_json::to_value(&report).context("the report is no JSON")?;
        json["seconds"] = json!(seconds);
        return console.result(json);
    }
    console.result(facts_of(&report, seconds))
}

fn facts_of(report: &Report, seconds: f64) -> Facts {
    let percent = |x: f64| format!("{:.1} %", 100.0 * x);
    let set = |set: &SetReport| {
        format!(
            "1-NNA {} ± {:.1}, COV {} ± {:.1}, MMD {:.5} ± {:.5}",
            percent(set.nearest_neighbour),
            100.0 * set.nearest_neighbour_error,
            percent(set.coverage),
            100.0 * set.coverage_error,
            set.mmd,
            set.mmd_error
        )
    };
    let mut facts = Facts::default();
    facts.add("shapes", format!("{} made, as many held out", report.shapes));
    facts.add("made", set(&report.made.chamfer));
    facts.add("learned from", set(&report.control.chamfer));
    facts.add("earth mover", set(&report.made.earth_mover));
    facts.add("learned from", set(&report.control.earth_mover));
    facts.add("one closed part", percent(report.valid));
    facts.add(
        "of their class",
        format!(
            "{}; of held-out shapes {}",
            percent(report.class_accuracy),
            percent(report.class_accuracy_of_held_out)
        ),
    );
    facts.add(
        "nearest learned",
        format!("{:.5}; of held-out shapes {:.5}", report.nearest_learned, report.nearest_learned_of_held_out),
    );
    facts.add("autoencoder", format!("F-score {:.4} at half a voxel", report.autoencoder_f_score));
    facts.add("time", duration(seconds));
    facts
}
