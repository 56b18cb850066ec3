//! The end of a run of blocks: one scene, measured as a whole and along the borders between its blocks.

use super::block::SCENE_FILE;
use super::borders::{BorderReport, evaluate_borders};
use super::ledger::{Finished, Ledger};
use super::merge::{Joined, TILES_FOLDER, merge};
use super::plan::Plan;
use super::run::BlocksJob;
use super::sky::Sky;
use super::tint::{Gains, tints};
use crate::Result;
use crate::evaluate::{EvalOptions, EvalReport, evaluate_capture, split_indices};
use crate::render::SplatPainter;
use crate::train::{Event, MetricsContent, MetricsLine, MetricsLog, Outcome, RunFolder, available_memory};
use serde_json::json;
use std::path::{Path, PathBuf};
use tessera_datasets::capture::{Capture, Split};
use tessera_datasets::format::read_splats;

/// Memory for drawing a scene, for each byte of its file.
const DRAWING: u64 = 3;

/// How a run of blocks ended.
#[derive(Clone, Debug, PartialEq)]
pub struct BlocksOutcome {
    /// As of every run.
    pub outcome: Outcome,
    /// How well the borders are hidden, when there are borders and held-out photos that show them.
    pub borders: Option<BorderReport>,
}

/// Joins complete blocks and measures the scene.
pub(super) fn finish(
    job: &BlocksJob<'_>,
    plan: &Plan,
    (ledger, sky): (&Ledger, Option<&Sky>),
    folder: &RunFolder,
    events: &mut dyn FnMut(Event),
) -> Result<BlocksOutcome> {
    let blocks: Vec<PathBuf> = (0..plan.blocks.len()).map(|block| ledger.folder(block).join(SCENE_FILE)).collect();
    let scene = folder.path().join(SCENE_FILE);
    let tiles = job.config.division.tiles.then(|| folder.path().join(TILES_FOLDER));
    let finished: Vec<_> = ledger.records()?.into_iter().filter_map(|record| record.finished).collect();
    let gains: Vec<_> = plan
        .blocks
        .iter()
        .zip(&finished)
        .map(|(block, Finished { gains, .. })| Gains { photos: &block.photos, gains })
        .collect();
    let start = sky.and_then(|sky| sky.start);
    let outputs = merge(&blocks, &tints(&gains), Joined { plan, start, scene: &scene, tiles: tiles.as_deref() })?;
    let steps = finished.iter().map(|block| block.steps).sum();
    let seconds = finished.iter().map(|block| block.seconds).sum();
    let count: u64 = finished.iter().map(|block| block.splats).sum();

    let mut log = MetricsLog::open(folder.metrics_path(), 0)?;
    log.append(&MetricsLine { step: steps, seconds, content: MetricsContent::Facts(json!({ "count": count })) })?;
    let measured = measure(job, plan, &scene, events)?;
    if let Some((report, _)) = &measured {
        log.append(&MetricsLine { step: steps, seconds, content: MetricsContent::Evaluation { eval: report.into() } })?;
        events(Event::Evaluated { step: steps, report: report.clone() });
    }
    events(Event::Finished { seconds, outputs: outputs.clone() });
    let (report, borders) = measured.map_or((None, None), |(report, borders)| (Some(report), borders));
    if let Some(borders) = borders {
        log.append(&MetricsLine {
            step: steps,
            seconds,
            content: MetricsContent::Facts(json!({ "borders": borders })),
        })?;
    }
    Ok(BlocksOutcome { outcome: Outcome::Finished { steps, seconds, outputs, report, facts: Vec::new() }, borders })
}

/// The scene against the held-out photos, if there are some and memory suffices.
fn measure(
    job: &BlocksJob<'_>,
    plan: &Plan,
    scene: &Path,
    events: &mut dyn FnMut(Event),
) -> Result<Option<(EvalReport, Option<BorderReport>)>> {
    let config = &job.config.splats;
    let options = EvalOptions {
        split: Split::Test,
        test_every: (config.test_every > 0).then_some(config.test_every),
        max_side: (config.resolution > 0).then_some(config.resolution),
        background: config.background,
    };
    if split_indices(job.capture, options.split, options.test_every).is_empty() {
        return Ok(None);
    }
    let needed = DRAWING * std::fs::metadata(scene).map_or(0, |file| file.len());
    if available_memory().is_some_and(|memory| needed > memory.free) {
        let message = "the joined scene is not measured, because it does not fit into memory as a whole".to_owned();
        events(Event::Warning { message });
        return Ok(None);
    }
    compare(scene, plan, job.capture, &options).map(Some)
}

fn compare(
    scene: &Path,
    plan: &Plan,
    capture: &Capture,
    options: &EvalOptions,
) -> Result<(EvalReport, Option<BorderReport>)> {
    let mut painter = SplatPainter::of(read_splats(scene)?, &capture.scene_from_world, options.background);
    let report = evaluate_capture(capture, options, &mut painter, &mut |_, _| {})?;
    let borders = evaluate_borders(&mut painter, plan, capture, options, &mut |_, _| {})?;
    Ok((report, borders))
}
