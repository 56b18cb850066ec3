//! `tessera plan`: what block-wise training of a capture will take.

use crate::args::{Method, Plan as Arguments};
use crate::commands::reconstruct::chosen;
use crate::console::{Console, UsageError};
use crate::inputs::{complete_points, open_capture};
use crate::report::{Facts, Table, bytes, count, count_of, duration};
use crate::settings::{self, Settings};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::path::Path;
use tessera_engine::blocks::{Block, BlocksConfig, Estimate, Plan, draw_map};
use tessera_engine::datasets::image::save_png;

/// Runs the command.
///
/// # Errors
/// When the capture cannot be divided, memory or disk do not suffice, or the map cannot be written.
pub fn run(args: &Arguments, console: &Console) -> Result<()> {
    if args.choices.settings.iter().any(|setting| setting == "help") {
        return console.result(Settings::of(Method::Blocks).help().trim_end());
    }
    if let Some(map) = &args.map {
        check_map(map, args.force)?;
    }
    let settings = settings::for_run(Some(Method::Blocks), &args.choices, None, console)?;
    let Settings::Blocks(config) = &settings else { bail!("blocks have settings of their own") };
    let mut capture = open_capture(&args.capture, args.skipping, console)?;
    complete_points(&mut capture, &settings, console)?;
    let device = chosen(args.device, console)?;
    let plan = Plan::of(&capture, config)?;
    if let Some(map) = &args.map {
        save_png(map, &draw_map(&plan, &capture))?;
        console.note(format_args!("the map is {}", map.display()));
    }
    if !args.quick {
        console.note("taking some steps on the block with the most photos, to see how long all will take");
    }
    let estimate = Estimate::of(&capture, &plan, config, device.as_ref(), !args.quick)?;
    if args.json {
        let report = json!({ "plan": plan, "estimate": estimate });
        console.result(serde_json::to_string_pretty(&report).context("the plan is no JSON")?)?;
    } else {
        console.result(table(&plan, config, &estimate))?;
        console.result("")?;
        console.result(facts(&plan, config, &estimate))?;
    }
    Ok(estimate.check_disk(&args.output)?)
}

fn check_map(map: &Path, force: bool) -> Result<()> {
    if map.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("png")) {
        return Err(
            UsageError(format!("{}: a map is a PNG file; give it a name that ends in .png", map.display())).into()
        );
    }
    if map.exists() && !force {
        bail!("{}: is there already; replace it with --force, or choose another name", map.display());
    }
    Ok(())
}

fn table(plan: &Plan, config: &BlocksConfig, estimate: &Estimate) -> Table {
    let heads = ["block", "cell", "photos", "held out", "points", "splats, at most", "memory", "disk", "time"];
    let mut table = Table::new(heads);
    for (number, block) in plan.blocks.iter().enumerate() {
        let number_of = |number: usize| count(number as u128);
        table.row([
            (number + 1).to_string(),
            cell_text(block),
            number_of(block.photos.len()),
            number_of(block.held_out.len()),
            number_of(block.points),
            number_of(config.splats.max_splats),
            bytes(estimate.memory.total()),
            bytes(estimate.block_disk),
            estimate.block_seconds.map_or_else(|| "?".to_owned(), duration),
        ]);
    }
    table
}

/// From where to where along both axes of the ground; `..` is a side without an end.
fn cell_text(block: &Block) -> String {
    let side = |side: Option<f64>| side.map_or_else(|| "..".to_owned(), |side| format!("{side:.1}"));
    let [along, across] =
        [0, 1].map(|axis| format!("{} to {}", side(block.cell.low[axis]), side(block.cell.high[axis])));
    format!("{along} × {across}")
}

fn facts(plan: &Plan, config: &BlocksConfig, estimate: &Estimate) -> Facts {
    let mut facts = Facts::default();
    facts.add("blocks", format!("{}, of {} steps on average", plan.blocks.len(), count(config.splats.steps)));
    facts.add("each photo is trained on", format!("by {:.2} blocks on average", plan.repetition()));
    facts.add_some(
        "not used",
        (plan.unused() > 0).then(|| format!("{}, which see no points", count_of(plan.unused(), "photo", "photos"))),
    );
    facts.add(
        "up",
        format!(
            "{:.3} {:.3} {:.3} in the capture's world",
            plan.ground.up()[0],
            plan.ground.up()[1],
            plan.ground.up()[2]
        ),
    );
    facts.add("memory, at most", bytes(estimate.memory.total()));
    facts.add_some(
        "memory of the GPU",
        (estimate.memory.total_on_device() > 0).then(|| bytes(estimate.memory.total_on_device())),
    );
    facts.add("disk, at most", bytes(estimate.disk));
    if let (Some(pace), Some(seconds)) = (estimate.pace, estimate.seconds) {
        let ((few, at_first), (many, in_the_end)) = (pace.at_first, pace.in_the_end);
        let measured = [(few, at_first), (many, in_the_end)]
            .map(|(splats, seconds)| format!("{:.1} ms with {} splats", 1000.0 * seconds, count(splats as u128)));
        facts.add("a step", format!("{}, {}", measured[0], measured[1]));
        let brought = |(rows, longer): (u64, f64)| {
            format!("{} splats are brought for a step, which makes it {longer:.1} times as long", count(rows))
        };
        facts.add_some("out of core", pace.brought.map(brought));
        facts.add("time, about", format!("{}, one block after the other, without joining them", duration(seconds)));
    }
    facts
}
