//! The blocks of a run that trains a large scene block by block.

use crate::inputs::Run;
use crate::report::{Facts, count, duration};
use anyhow::Result;
use serde_json::{Value, json};
use tessera_engine::blocks::{Ledger, PLAN_FILE, Plan};

/// How far the blocks are.
///
/// # Errors
/// When the plan or a block's record is damaged.
pub fn about(run: &Run) -> Result<(Facts, Value)> {
    let plan = Plan::read(&run.folder.join(PLAN_FILE))?;
    let ledger = Ledger::new(&run.folder, plan.blocks.len());
    let records = ledger.records()?;
    let steps: Vec<u64> = records.iter().enumerate().map(|(block, record)| ledger.steps(block, record)).collect();
    let finished: Vec<_> = records.iter().filter_map(|record| record.finished.as_ref()).collect();
    let total = run.settings.steps() * records.len() as u64;

    let mut facts = Facts::default();
    facts.add("blocks", format!("{} of {} complete", finished.len(), records.len()));
    facts.add("steps", format!("{} of {}", count(steps.iter().sum::<u64>()), count(total)));
    for (number, (record, steps)) in records.iter().zip(&steps).enumerate() {
        let quality = record.compared.map(|q| format!("PSNR {:.2} dB when blocks were compared", q.psnr));
        let complete =
            record.finished.as_ref().map(|done| format!("{} splats in {}", count(done.splats), duration(done.seconds)));
        let photos = plan.blocks[number].photos.len();
        let parts = [Some(format!("{photos} photos, {} steps", count(*steps))), quality, complete];
        facts.add(format!("block {}", number + 1), parts.into_iter().flatten().collect::<Vec<_>>().join(", "));
    }
    let json = json!({ "count": records.len(), "finished": finished.len(), "steps": steps, "records": records });
    Ok((facts, json))
}
