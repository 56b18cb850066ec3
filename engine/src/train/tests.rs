//! The loop around a toy: kill and resume, interruption, divergence, what is left on disk.

use super::*;
use crate::evaluate::EvalReport;
use crate::{Error, Result};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tessera_datasets::image::Image8;

/// Momentum descent to random targets: its result depends on every random number of every step.
struct Toy {
    values: Vec<f32>,
    momentum: Vec<f32>,
    rng: Pcg64,
    total: u64,
    fails_in: Option<u64>,
    diverges_in: Option<u64>,
}

impl Toy {
    fn new(total: u64) -> Self {
        let (values, momentum) = (vec![0.5; 16], vec![0.0; 16]);
        Self { values, momentum, rng: Pcg64::seed_from_u64(1), total, fails_in: None, diverges_in: None }
    }
}

impl Method for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn total_steps(&self) -> u64 {
        self.total
    }

    fn memory_plan(&self) -> MemoryPlan {
        MemoryPlan::default().with("parameters", 128, "16 values")
    }

    fn step(&mut self, step: u64) -> Result<StepReport> {
        if self.fails_in == Some(step) {
            return Err(Error::setting("pulled the plug"));
        }
        let mut loss = 0.0;
        for (value, momentum) in self.values.iter_mut().zip(&mut self.momentum) {
            let error = *value - self.rng.random::<f32>();
            *momentum = 0.9 * *momentum + error;
            *value -= 0.01 * *momentum;
            loss += f64::from(error * error);
        }
        let loss = if self.diverges_in == Some(step) { f64::NAN } else { loss };
        Ok(StepReport { loss, psnr: 20.0, count: 16, count_name: "values" })
    }

    fn evaluate(&mut self) -> Result<Option<EvalReport>> {
        Ok(None)
    }

    fn preview(&mut self) -> Result<Option<Image8>> {
        Ok(Some(Image8::new(2, 1, 3)))
    }

    fn save<'a>(&'a self, checkpoint: &mut CheckpointWriter<'a>) -> Result<()> {
        checkpoint.f32("values", &[16], &self.values);
        checkpoint.f32("momentum", &[16], &self.momentum);
        checkpoint.state("rng", &self.rng)
    }

    fn load(&mut self, checkpoint: &CheckpointReader) -> Result<()> {
        self.values = checkpoint.f32("values")?;
        self.momentum = checkpoint.f32("momentum")?;
        self.rng = checkpoint.state("rng")?;
        Ok(())
    }

    fn export(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let path = folder.join("scene.ply");
        std::fs::write(&path, bytemuck::cast_slice(&self.values)).map_err(|e| Error::write(&path, &e))?;
        Ok(vec![path])
    }

    fn config_toml(&self) -> String {
        format!("steps = {}\nseed = 1\n", self.total)
    }
}

fn options() -> RunOptions {
    let capture = "capture".into();
    RunOptions { capture, checkpoint_every: 10, preview_every: 20, log_every: 5, ..RunOptions::default() }
}

/// Runs a toy in `folder` and returns what came of it with all events.
fn train(folder: &Path, existing: Existing, toy: &mut Toy) -> (Result<Outcome>, Vec<Event>) {
    let folder = RunFolder::create(folder, existing).expect("the folder is usable");
    let mut events = Vec::new();
    let outcome = run(toy, &options(), &folder, &mut |event| events.push(event), &AtomicBool::new(false));
    (outcome, events)
}

fn logged_steps(folder: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).expect("there is a log");
    let step = |line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["step"].as_u64().expect("a step");
    text.lines().map(step).collect()
}

fn undisturbed() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    train(folder.path(), Existing::Refuse, &mut Toy::new(40)).0.expect("nothing disturbs it");
    std::fs::read(folder.path().join("scene.ply")).expect("exported")
}

#[test]
fn a_run_leaves_its_folder_complete() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (outcome, events) = train(folder.path(), Existing::Refuse, &mut Toy::new(40));
    let Ok(Outcome::Finished { outputs, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(outputs, [folder.path().join("scene.ply")]);
    for file in ["config.toml", "preview/step-000020.png", "preview/step-000040.png"] {
        assert!(folder.path().join(file).is_file(), "{file} is missing");
    }
    let checkpoints = |step| folder.path().join(format!("checkpoint/step-{step:06}.safetensors")).is_file();
    assert_eq!([20, 30, 40].map(checkpoints), [false, true, true]);
    assert_eq!(logged_steps(folder.path()), [5, 10, 15, 20, 25, 30, 35, 40]);
    assert!(matches!(&events[0], Event::Started { step: 0, total: 40, method, .. } if method == "toy"));
    assert!(matches!(events.last(), Some(Event::Finished { .. })));
    assert!(events.iter().any(|e| matches!(e, Event::Step { step: 40, seconds_left: 0.0, .. })), "{events:?}");
}

#[test]
fn a_killed_run_resumes_to_the_same_bits() {
    let expected = undisturbed();
    for killed_in in [3, 10, 27] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut toy = Toy { fails_in: Some(killed_in), ..Toy::new(40) };
        train(folder.path(), Existing::Refuse, &mut toy).0.expect_err("the plug was pulled");
        let (outcome, events) = train(folder.path(), Existing::Resume, &mut Toy::new(40));
        outcome.expect("resumed");
        let resumed_at = killed_in / 10 * 10;
        assert!(matches!(&events[0], Event::Started { step, .. } if *step == resumed_at), "{:?}", events[0]);
        assert_eq!(
            std::fs::read(folder.path().join("scene.ply")).expect("exported"),
            expected,
            "killed in {killed_in}"
        );
        assert_eq!(logged_steps(folder.path()), [5, 10, 15, 20, 25, 30, 35, 40]);
    }
}

#[test]
fn a_damaged_checkpoint_costs_steps_but_not_the_result() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut toy = Toy { fails_in: Some(35), ..Toy::new(40) };
    train(folder.path(), Existing::Refuse, &mut toy).0.expect_err("the plug was pulled");
    std::fs::write(folder.path().join("checkpoint/step-000030.safetensors"), b"torn").expect("writable");
    let (outcome, events) = train(folder.path(), Existing::Resume, &mut Toy::new(40));
    outcome.expect("resumed");
    assert!(matches!(&events[0], Event::Warning { message } if message.contains("damaged")), "{:?}", events[0]);
    assert!(matches!(&events[1], Event::Started { step: 20, .. }), "{:?}", events[1]);
    assert_eq!(std::fs::read(folder.path().join("scene.ply")).expect("exported"), undisturbed());
}

#[test]
fn a_stopped_run_loses_no_step() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let stop = AtomicBool::new(false);
    let folder = RunFolder::create(root.path(), Existing::Refuse).expect("an empty folder");
    let stop_at_preview = |event: Event| stop.fetch_or(matches!(event, Event::Preview { .. }), Ordering::Relaxed);
    let outcome = run(
        &mut Toy::new(40),
        &options(),
        &folder,
        &mut |e| {
            stop_at_preview(e);
        },
        &stop,
    );
    assert_eq!(outcome.expect("interrupted"), Outcome::Interrupted { step: 20 });
    assert!(!root.path().join("scene.ply").exists());
    drop(folder);
    train(root.path(), Existing::Resume, &mut Toy::new(40)).0.expect("resumed");
    assert_eq!(std::fs::read(root.path().join("scene.ply")).expect("exported"), undisturbed());
}

#[test]
fn a_finished_run_can_be_given_more_steps() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    train(folder.path(), Existing::Refuse, &mut Toy::new(25)).0.expect("nothing disturbs it");
    train(folder.path(), Existing::Resume, &mut Toy::new(40)).0.expect("continued");
    assert_eq!(std::fs::read(folder.path().join("scene.ply")).expect("exported"), undisturbed());
    let settings = RunFolder::read_config(folder.path()).expect("readable").settings;
    assert_eq!(settings["steps"].as_integer(), Some(40), "the configuration is that of the continued run");
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_good_checkpoint() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut toy = Toy { diverges_in: Some(13), ..Toy::new(40) };
    let said = train(folder.path(), Existing::Refuse, &mut toy).0.expect_err("NaN").to_string();
    assert!(said.contains("NaN in step 13") && said.contains("checkpoint of step 10"), "{said}");
    train(folder.path(), Existing::Resume, &mut Toy::new(40)).0.expect("resumed from step 10");
    assert_eq!(std::fs::read(folder.path().join("scene.ply")).expect("exported"), undisturbed());
}

#[test]
fn events_are_one_json_object_each() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for event in train(folder.path(), Existing::Refuse, &mut Toy::new(3)).1 {
        let text = serde_json::to_string(&event).expect("serialisable");
        assert!(text.starts_with("{\"event\":\""), "{text}");
        assert_eq!(serde_json::from_str::<Event>(&text).expect("readable"), event);
    }
}
